/* Choosing one of the models of this computer that answer, in a GtkDropDown.
 *
 *   atl_model_drop_down_set_models (drop, atl_session_get_models (session));
 *   atl_model_drop_down_set_path (drop, path);
 *   AtlModelEntry *entry = atl_model_drop_down_get_entry (drop);
 *
 * Models that cannot be used are in the list with the reason below their name, and cannot be
 * chosen; one that is chosen when that turns out gives way to the first that can, unless the
 * drop-down is insensitive.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/models/model-list.h"

G_BEGIN_DECLS

/* Once for each drop-down; follows the list from then on. */
void atl_model_drop_down_set_models (GtkDropDown *self, AtlModelList *models);
/* (nullable) borrowed */
AtlModelEntry *atl_model_drop_down_get_entry (GtkDropDown *self);
void atl_model_drop_down_set_path (GtkDropDown *self, const char *path);

G_END_DECLS
