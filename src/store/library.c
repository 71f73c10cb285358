/* Model rows and measurements. */
#define G_LOG_DOMAIN "atl-store"

#include "store/library.h"

#include <glib/gi18n.h>

#include "store/store-private.h"

#define MODEL_COLUMNS                                                                              \
  "id, path, name, kind, architecture, sha256, meta, size_bytes, added_us, last_used_us, "         \
  "n_crashes"

void
atl_model_row_free (AtlModelRow *row)
{
  if (row == NULL)
    return;
  g_free (row->path);
  g_free (row->name);
  g_free (row->kind);
  g_free (row->architecture);
  g_free (row->sha256);
  g_free (row->meta_json);
  g_free (row);
}

static AtlModelRow *
model_from_row (AtlStore *self, AtlStmt *stmt)
{
  AtlModelRow *row = g_new0 (AtlModelRow, 1);

  row->id = sqlite3_column_int64 (stmt, 0);
  row->path = atl_db_text (self, stmt, 1);
  row->name = atl_db_text (self, stmt, 2);
  row->kind = atl_db_text (self, stmt, 3);
  row->architecture = atl_db_text (self, stmt, 4);
  row->sha256 = atl_db_text (self, stmt, 5);
  row->meta_json = atl_db_text (self, stmt, 6);
  row->size_bytes = (guint64) MAX (sqlite3_column_int64 (stmt, 7), 0);
  row->added_us = sqlite3_column_int64 (stmt, 8);
  row->last_used_us = sqlite3_column_int64 (stmt, 9);
  row->n_crashes = (guint) CLAMP (sqlite3_column_int64 (stmt, 10), 0, G_MAXINT);
  return row;
}

gint64
atl_store_model_save (AtlStore *self, const AtlModelRow *row, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self,
                   "INSERT INTO models (path, name, kind, architecture, sha256, meta,"
                   "  size_bytes, added_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
                   " ON CONFLICT (path) DO UPDATE SET name = excluded.name,"
                   "  kind = ifnull (excluded.kind, kind),"
                   "  architecture = ifnull (excluded.architecture, architecture),"
                   "  sha256 = ifnull (excluded.sha256, sha256),"
                   "  meta = ifnull (excluded.meta, meta), size_bytes = excluded.size_bytes",
                   error);
  gint64 id;

  g_return_val_if_fail (row->path != NULL && row->name != NULL, 0);
  if (stmt == NULL || !atl_store_check_json (row->meta_json, FALSE, "Model description", error) ||
      !atl_db_run (self, stmt, _ ("saving the model"), error,
                   "ssssss"
                   "ii",
                   row->path, row->name, row->kind, row->architecture, row->sha256, row->meta_json,
                   (gint64) MIN (row->size_bytes, (guint64) G_MAXINT64), g_get_real_time ()))
    return 0;
  {
    g_autoptr (AtlModelRow) saved = atl_store_model_get (self, row->path, error);

    id = saved != NULL ? saved->id : 0;
  }
  return id;
}

AtlModelRow *
atl_store_model_get (AtlStore *self, const char *path, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self, "SELECT " MODEL_COLUMNS " FROM models WHERE path = ?1", error);
  g_autoptr (GError) local = NULL;

  g_return_val_if_fail (path != NULL, NULL);
  if (stmt == NULL)
    return NULL;
  atl_stmt_bind (stmt, "s", path);
  if (atl_db_next (self, stmt, _ ("reading the library"), &local))
    return model_from_row (self, stmt);
  if (local != NULL)
    g_propagate_error (error, g_steal_pointer (&local));
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s is not in the library"), path);
  return NULL;
}

GPtrArray *
atl_store_model_list (AtlStore *self, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_model_row_free);
  g_autoptr (AtlStmt) stmt = atl_db_stmt (
      self, "SELECT " MODEL_COLUMNS " FROM models ORDER BY last_used_us DESC, name, id", error);

  if (stmt == NULL)
    return NULL;
  return atl_db_collect (self, stmt, list, (AtlRowFunc) model_from_row, _ ("listing models"), error)
             ? g_steal_pointer (&list)
             : NULL;
}

static gboolean
require_model (AtlStore *self, const char *path, GError **error)
{
  if (sqlite3_changes (self->db) == 1)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s is not in the library"), path);
  return FALSE;
}

gboolean
atl_store_model_used (AtlStore *self, const char *path, GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (
      self, "UPDATE models SET last_used_us = ?2, n_crashes = 0 WHERE path = ?1", error);

  return stmt != NULL &&
         atl_db_run (self, stmt, _ ("saving the model"), error, "si", path, g_get_real_time ()) &&
         require_model (self, path, error);
}

gboolean
atl_store_model_crashed (AtlStore *self, const char *path, guint *n_crashes, GError **error)
{
  g_autoptr (AtlModelRow) row = NULL;
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self, "UPDATE models SET n_crashes = n_crashes + 1 WHERE path = ?1", error);

  if (stmt == NULL || !atl_db_run (self, stmt, _ ("saving the model"), error, "s", path) ||
      !require_model (self, path, error))
    return FALSE;
  row = atl_store_model_get (self, path, error);
  if (row == NULL)
    return FALSE;
  if (n_crashes != NULL)
    *n_crashes = row->n_crashes;
  return TRUE;
}
