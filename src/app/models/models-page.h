/* The page of models: what is on this computer, whether it fits, where it lies; adding and
 * removing.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_MODELS_PAGE (atl_models_page_get_type ())
G_DECLARE_FINAL_TYPE (AtlModelsPage, atl_models_page, ATL, MODELS_PAGE, GtkWidget)

/* Once, before it is shown; takes a reference. */
void atl_models_page_set_session (AtlModelsPage *self, AtlSession *session);

G_END_DECLS
