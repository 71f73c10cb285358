/* The models this computer has: those in our folder, those used before, those of other apps.
 *
 *   AtlModelList *list = atl_model_list_new (store);      // a GListModel of AtlModelEntry
 *   atl_model_list_refresh (list);                        // looks again, on a worker thread
 *
 * Sorted: used last first, then by name. "refreshed" is emitted when a look round is done.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gio/gio.h>

#include "store/store.h"

G_BEGIN_DECLS

#define ATL_TYPE_MODEL_ENTRY (atl_model_entry_get_type ())
G_DECLARE_FINAL_TYPE (AtlModelEntry, atl_model_entry, ATL, MODEL_ENTRY, GObject)

struct _AtlModelEntry
{
  GObject parent_instance;

  char *path;
  char *name;
  char *origin; /* (nullable) "Ollama": the files belong to that app */
  char *note;   /* (nullable) what is wrong with it: "2 of 3 files are missing" */
  guint64 size_bytes;
  gint64 last_used_us; /* 0: never */
  gboolean in_library; /* in our folder, so it can be removed here */
  gboolean reference;  /* in our folder as a link */
  gboolean is_toy;
};

#define ATL_TYPE_MODEL_LIST (atl_model_list_get_type ())
G_DECLARE_FINAL_TYPE (AtlModelList, atl_model_list, ATL, MODEL_LIST, GObject)

AtlModelList *atl_model_list_new (AtlStore *store);
void atl_model_list_refresh (AtlModelList *self);
/* TRUE once the folders were looked at. */
gboolean atl_model_list_get_is_ready (AtlModelList *self);
/* (nullable) borrowed */
AtlModelEntry *atl_model_list_find (AtlModelList *self, const char *path);
/* What people call the model at `path`: as the list says, else by its file's name; the caller's. */
char *atl_model_list_get_name (AtlModelList *self, const char *path);

G_END_DECLS
