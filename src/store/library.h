/* What the store remembers about model files.
 *
 * The files themselves are hub/library.h's: a row here may name a file that is gone, and a file may
 * have no row yet.
 *
 *   AtlModelRow row = { .path = path, .name = "Qwen", .size_bytes = size, .kind = "llm" };
 *   atl_store_model_save (store, &row, &error);
 *   atl_store_model_used (store, path, &error);
 *   guint n = 0;
 *   atl_store_model_crashed (store, path, &n, &error);
 *   if (n >= ATL_MODEL_MAX_CRASHES) ... not loaded again by itself
 *
 * Threading: that of the handle.
 */
#pragma once

#include "store/store.h"

G_BEGIN_DECLS

#define ATL_MODEL_MAX_CRASHES 3u

typedef struct
{
  gint64 id;
  char *path;         /* absolute; of a sharded model the first file; unique */
  char *name;         /* for people */
  char *kind;         /* (nullable) "llm", "image", "upscaler", ... */
  char *architecture; /* (nullable) "qwen2" */
  char *sha256;       /* (nullable) 64 lower-case hex digits, once known */
  char *meta_json;    /* (nullable) object: what the engine said about it when it was loaded */
  guint64 size_bytes; /* of all its files */
  gint64 added_us;
  gint64 last_used_us; /* 0: never */
  guint n_crashes;     /* since it last ran well */
} AtlModelRow;

/* NULL is fine. */
void atl_model_row_free (AtlModelRow *row);

/* Adds, or updates the row of that path: name, size, and those of kind, architecture, sha256 and
 * meta_json that are not NULL. Its id, or 0 on error. */
gint64 atl_store_model_save (AtlStore *self, const AtlModelRow *row, GError **error);

/* NULL with ATL_ERROR_NOT_FOUND when there is none. */
AtlModelRow *atl_store_model_get (AtlStore *self, const char *path, GError **error);

/* Last used first. (transfer full) (element-type AtlModelRow) */
GPtrArray *atl_store_model_list (AtlStore *self, GError **error);

/* Notes that it was loaded and ran well now: sets last_used_us, forgets crashes. */
gboolean atl_store_model_used (AtlStore *self, const char *path, GError **error);

/* Notes that it ended the engine; `n_crashes` (out, nullable) counts this one. */
gboolean
atl_store_model_crashed (AtlStore *self, const char *path, guint *n_crashes, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlModelRow, atl_model_row_free)

G_END_DECLS
