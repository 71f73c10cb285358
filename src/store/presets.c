/* Presets: named settings. */
#define G_LOG_DOMAIN "atl-store"

#include "store/presets.h"

#include <glib/gi18n.h>

#include "store/store-private.h"

void
atl_preset_free (AtlPreset *preset)
{
  if (preset == NULL)
    return;
  g_free (preset->name);
  g_free (preset->settings_json);
  g_free (preset);
}

gint64
atl_store_preset_save (AtlStore *self, const char *name, const char *settings_json, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self,
                   "INSERT INTO presets (name, settings, updated_us) VALUES (?1, ?2, ?3)"
                   " ON CONFLICT (name) DO UPDATE SET settings = excluded.settings,"
                   "  updated_us = excluded.updated_us",
                   error);
  g_autoptr (AtlStmt) find = atl_db_stmt (self, "SELECT id FROM presets WHERE name = ?1", error);

  g_return_val_if_fail (name != NULL && settings_json != NULL, 0);
  if (stmt == NULL || find == NULL ||
      !atl_store_check_json (settings_json, FALSE, "Preset", error) ||
      !atl_db_run (self, stmt, _ ("saving the preset"), error, "ssi", name, settings_json,
                   g_get_real_time ()))
    return 0;
  atl_stmt_bind (find, "s", name);
  return atl_db_next (self, find, _ ("saving the preset"), error) ? sqlite3_column_int64 (find, 0)
                                                                  : 0;
}

static AtlPreset *
preset_from_row (AtlStore *self, AtlStmt *stmt)
{
  AtlPreset *preset = g_new0 (AtlPreset, 1);

  preset->id = sqlite3_column_int64 (stmt, 0);
  preset->name = atl_db_text (self, stmt, 1);
  preset->settings_json = atl_db_text (self, stmt, 2);
  preset->updated_us = sqlite3_column_int64 (stmt, 3);
  return preset;
}

GPtrArray *
atl_store_preset_list (AtlStore *self, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_preset_free);
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self, "SELECT id, name, settings, updated_us FROM presets ORDER BY name", error);

  if (stmt == NULL)
    return NULL;
  return atl_db_collect (self, stmt, list, (AtlRowFunc) preset_from_row, _ ("listing presets"),
                         error)
             ? g_steal_pointer (&list)
             : NULL;
}

gboolean
atl_store_preset_rename (AtlStore *self, gint64 id, const char *name, GError **error)
{
  g_autoptr (AtlStmt) find =
      atl_db_stmt (self, "SELECT name FROM presets WHERE name = ?1 AND id != ?2", error);
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self, "UPDATE presets SET name = ?2 WHERE id = ?1", error);

  g_return_val_if_fail (name != NULL, FALSE);
  if (find == NULL || stmt == NULL)
    return FALSE;
  atl_stmt_bind (find, "si", name, id);
  if (atl_db_next (self, find, _ ("saving the preset"), NULL))
    {
      g_autofree char *other = atl_db_text (self, find, 0);

      g_set_error (error, ATL_ERROR, ATL_ERROR_BUSY, _ ("There is another preset called “%s”."),
                   other);
      return FALSE;
    }
  return atl_db_run (self, stmt, _ ("saving the preset"), error, "is", id, name);
}

gboolean
atl_store_preset_remove (AtlStore *self, gint64 id, GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (self, "DELETE FROM presets WHERE id = ?1", error);

  return stmt != NULL && atl_db_run (self, stmt, _ ("removing the preset"), error, "i", id);
}
