/* "Get a model": names the starter and its size, downloads it with progress, then loads it.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_STARTER_BUTTON (atl_starter_button_get_type ())
G_DECLARE_FINAL_TYPE (AtlStarterButton, atl_starter_button, ATL, STARTER_BUTTON, GtkWidget)

/* Once, before it is shown; takes a reference. */
void atl_starter_button_set_session (AtlStarterButton *self, AtlSession *session);

G_END_DECLS
