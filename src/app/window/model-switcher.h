/* The model in the header bar: name, a dot while it is in memory, and a popover to change it.
 *
 * Asks for "win.open-model", "win.unload-model" and "win.show-page" through actions.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_MODEL_SWITCHER (atl_model_switcher_get_type ())
G_DECLARE_FINAL_TYPE (AtlModelSwitcher, atl_model_switcher, ATL, MODEL_SWITCHER, GtkWidget)

/* `for_pictures`: chooses among the models of the Images page, for its session. */
void
atl_model_switcher_set_session (AtlModelSwitcher *self, AtlSession *session, gboolean for_pictures);
void atl_model_switcher_popup (AtlModelSwitcher *self);

G_END_DECLS
