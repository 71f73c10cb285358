/* The row of a model in the library: name, size, fit in words, and what can be done with it.
 *
 * Actions: "model.use", "model.show", "model.remove".
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/models/model-list.h"
#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_MODEL_LIST_ROW (atl_model_list_row_get_type ())
G_DECLARE_FINAL_TYPE (AtlModelListRow, atl_model_list_row, ATL, MODEL_LIST_ROW, AdwActionRow)

GtkWidget *atl_model_list_row_new (AtlSession *session, AtlModelEntry *entry);
AtlModelEntry *atl_model_list_row_get_entry (AtlModelListRow *self); /* borrowed */
/* Draws anew what depends on the model in use and on what is known about this one. */
void atl_model_list_row_refresh (AtlModelListRow *self);

G_END_DECLS
