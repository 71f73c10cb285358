/* The models this computer has: those in our folder, those used before, those of other apps.
 *
 *   AtlModelList *list = atl_model_list_new (store, client); // a GListModel of AtlModelEntry
 *   atl_model_list_refresh (list);                           // looks again, on a worker thread
 *
 * Sorted: used last first, then by name. Signals: "refreshed", when a look round is done, and
 * "judged" (AtlModelEntry *), when atl_model_list_inspect() learnt something about a model.
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/models/model-entry.h"
#include "client/client.h"
#include "store/store.h"

G_BEGIN_DECLS

#define ATL_TYPE_MODEL_LIST (atl_model_list_get_type ())
G_DECLARE_FINAL_TYPE (AtlModelList, atl_model_list, ATL, MODEL_LIST, GObject)

AtlModelList *atl_model_list_new (AtlStore *store, AtlClient *client);
void atl_model_list_refresh (AtlModelList *self);
/* Asks the engine which models can be used, and those that may be too large whether they fit: what
 * is not known yet. `all`: also whether the others fit. Costs nothing when all is known. */
void atl_model_list_inspect (AtlModelList *self, gboolean all);
/* TRUE once the folders were looked at. */
gboolean atl_model_list_get_is_ready (AtlModelList *self);
/* Whether one of them may answer in a chat, as far as is known; `usable`: one that is not known to
 * be damaged, incomplete or of an unknown kind. */
gboolean atl_model_list_may_answer (AtlModelList *self, gboolean usable);
/* (nullable) borrowed */
AtlModelEntry *atl_model_list_find (AtlModelList *self, const char *path);
/* What people call the model at `path`: as the list says, else by its file's name; the caller's. */
char *atl_model_list_get_name (AtlModelList *self, const char *path);

G_END_DECLS
