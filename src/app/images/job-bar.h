/* Below the canvas while pictures are made: how far it is, how long it takes, pause, stop, and what
 * comes next.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

#define ATL_TYPE_JOB_BAR (atl_job_bar_get_type ())
G_DECLARE_FINAL_TYPE (AtlJobBar, atl_job_bar, ATL, JOB_BAR, GtkWidget)

/* Once, before it is shown; takes a reference. */
void atl_job_bar_set_session (AtlJobBar *self, AtlPicturesSession *pictures);

G_END_DECLS
