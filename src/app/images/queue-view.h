/* The pictures that wait, as a list: earlier, later, away; those that failed, with why.
 *
 * Rows can be dragged; Alt+Up and Alt+Down move the focused one, Delete takes it out.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

#define ATL_TYPE_QUEUE_VIEW (atl_queue_view_get_type ())
G_DECLARE_FINAL_TYPE (AtlQueueView, atl_queue_view, ATL, QUEUE_VIEW, GtkWidget)

/* Once, before it is shown; takes a reference. */
void atl_queue_view_set_session (AtlQueueView *self, AtlPicturesSession *pictures);

G_END_DECLS
