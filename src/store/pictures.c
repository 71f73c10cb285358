/* Rows of pictures. */
#define G_LOG_DOMAIN "atl-store"

#include "store/pictures.h"

#include <glib/gi18n.h>

#include "store/query.h"
#include "store/store-private.h"

#define MAX_SIDE 1000000u

#define COLUMNS                                                                                    \
  "id, path, origin, created_us, width, height, prompt, negative, model, recipe, seed, parent_id," \
  " starred, trashed_us, size_bytes, changed_us"

void
atl_picture_row_free (AtlPictureRow *row)
{
  if (row == NULL)
    return;
  g_free (row->path);
  g_free (row->prompt);
  g_free (row->negative);
  g_free (row->model);
  g_free (row->recipe);
  g_free (row);
}

static gboolean
check_row (const AtlPictureRow *row, GError **error)
{
  g_return_val_if_fail (row->path != NULL && g_path_is_absolute (row->path), FALSE);
  if (row->width > MAX_SIDE || row->height > MAX_SIDE || row->seed < -1)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The numbers of the picture %s are out of range"), row->path);
      return FALSE;
    }
  return atl_store_check_json (row->recipe, FALSE, _ ("the recipe of a picture"), error);
}

/* One in the trash whose name a picture took that was made since: it waits under another, where
 * nothing is, until it is brought back. */
static gboolean
step_aside (AtlStore *self, const AtlPictureRow *row, GError **error)
{
  g_autoptr (AtlStmt) stmt = NULL;

  if (row->origin == ATL_ORIGIN_IMPORTED)
    return TRUE;
  stmt = atl_db_stmt (self,
                      "UPDATE pictures SET path = path || '/' || id"
                      " WHERE path = ?1 AND trashed_us IS NOT NULL"
                      "  AND NOT (size_bytes = ?2 AND changed_us = ?3)",
                      error);
  return stmt != NULL && atl_db_run (self, stmt, _ ("noting a picture"), error, "sii", row->path,
                                     (gint64) row->size_bytes, row->changed_us);
}

gint64
atl_store_picture_add (AtlStore *self, const AtlPictureRow *row, GError **error)
{
  static const char sql[] =
      "INSERT INTO pictures (path, origin, created_us, width, height, prompt, negative, model,"
      "  recipe, seed, parent_id, starred, size_bytes, changed_us)"
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
      " ON CONFLICT (path) DO UPDATE SET origin = excluded.origin, width = excluded.width,"
      "  height = excluded.height, prompt = excluded.prompt, negative = excluded.negative,"
      "  model = excluded.model, recipe = excluded.recipe, seed = excluded.seed,"
      "  parent_id = coalesce (excluded.parent_id, parent_id),"
      /* What was just made and is another file is a picture of its own. */
      "  created_us = CASE WHEN excluded.origin = 3 OR (size_bytes = excluded.size_bytes AND"
      "    changed_us = excluded.changed_us) THEN created_us ELSE excluded.created_us END,"
      "  starred = CASE WHEN excluded.origin = 3 OR (size_bytes = excluded.size_bytes AND"
      "    changed_us = excluded.changed_us) THEN max (starred, excluded.starred)"
      "    ELSE excluded.starred END,"
      "  trashed_us = NULL,"
      "  size_bytes = excluded.size_bytes, changed_us = excluded.changed_us"
      " RETURNING id";
  g_autoptr (GError) local = NULL;
  gint64 id = 0;

  if (!check_row (row, error) || !atl_db_begin (self, error))
    return 0;
  {
    g_autoptr (AtlStmt) stmt =
        step_aside (self, row, &local) ? atl_db_stmt (self, sql, &local) : NULL;

    if (stmt != NULL)
      {
        atl_stmt_bind (stmt, "siiiissssiziii", row->path, (gint64) row->origin,
                       row->created_us != 0 ? row->created_us : g_get_real_time (),
                       (gint64) row->width, (gint64) row->height, row->prompt, row->negative,
                       row->model, row->recipe, row->seed, row->parent_id,
                       (gint64) (row->starred != FALSE), (gint64) row->size_bytes, row->changed_us);
        /* Stepped to its end, so that the row is whole before the commit. */
        while (atl_db_next (self, stmt, _ ("noting a picture"), &local))
          id = sqlite3_column_int64 (stmt, 0);
      }
  }
  if (!atl_db_end (self, local == NULL, _ ("noting a picture"), local == NULL ? &local : NULL))
    id = 0;
  if (local != NULL)
    g_propagate_error (error, g_steal_pointer (&local));
  return id;
}

static AtlPictureRow *
row_from (AtlStore *self, AtlStmt *stmt)
{
  AtlPictureRow *row = g_new0 (AtlPictureRow, 1);
  int origin = sqlite3_column_int (stmt, 2);

  row->id = sqlite3_column_int64 (stmt, 0);
  row->path = atl_db_text (self, stmt, 1);
  row->origin = origin >= 0 && origin <= ATL_ORIGIN_IMPORTED ? origin : ATL_ORIGIN_IMPORTED;
  row->created_us = sqlite3_column_int64 (stmt, 3);
  row->width = (guint) sqlite3_column_int64 (stmt, 4);
  row->height = (guint) sqlite3_column_int64 (stmt, 5);
  row->prompt = atl_db_text (self, stmt, 6);
  row->negative = atl_db_text (self, stmt, 7);
  row->model = atl_db_text (self, stmt, 8);
  row->recipe = atl_db_text (self, stmt, 9);
  row->seed = sqlite3_column_int64 (stmt, 10);
  row->parent_id = sqlite3_column_int64 (stmt, 11);
  row->starred = sqlite3_column_int (stmt, 12) != 0;
  row->trashed_us = sqlite3_column_int64 (stmt, 13);
  row->size_bytes = (guint64) sqlite3_column_int64 (stmt, 14);
  row->changed_us = sqlite3_column_int64 (stmt, 15);
  return row;
}

static AtlPictureRow *
first_row (AtlStore *self, AtlStmt *stmt, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (stmt == NULL)
    return NULL;
  if (atl_db_next (self, stmt, _ ("looking for a picture"), &local))
    return row_from (self, stmt);
  if (local != NULL)
    g_propagate_error (error, g_steal_pointer (&local));
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, "%s",
                 _ ("This picture is not in the gallery any more"));
  return NULL;
}

AtlPictureRow *
atl_store_picture_get (AtlStore *self, gint64 id, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self, "SELECT " COLUMNS " FROM pictures WHERE id = ?1", error);

  if (stmt != NULL)
    atl_stmt_bind (stmt, "i", id);
  return first_row (self, stmt, error);
}

AtlPictureRow *
atl_store_picture_find (AtlStore *self, const char *path, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self, "SELECT " COLUMNS " FROM pictures WHERE path = ?1", error);

  if (stmt != NULL)
    atl_stmt_bind (stmt, "s", path);
  return first_row (self, stmt, error);
}

GArray *
atl_store_picture_list (AtlStore *self, const char *words, gboolean only_starred, GError **error)
{
  /* The text is read only where the index cannot look for it. */
  static const char sql_all[] =
      "SELECT id, created_us, width, height, starred FROM pictures"
      " WHERE trashed_us IS NULL AND starred >= ?2 ORDER BY created_us DESC, id DESC";
  static const char sql_scan[] =
      "SELECT id, created_us, width, height, starred,"
      "  coalesce (prompt, '') || ' ' || coalesce (negative, '') || ' ' || coalesce (model, '')"
      " FROM pictures WHERE trashed_us IS NULL AND starred >= ?2"
      " ORDER BY created_us DESC, id DESC";
  static const char sql_match[] =
      "SELECT p.id, p.created_us, p.width, p.height, p.starred,"
      "  coalesce (p.prompt, '') || ' ' || coalesce (p.negative, '') || ' ' ||"
      "  coalesce (p.model, '')"
      " FROM picture_search CROSS JOIN pictures p ON p.id = picture_search.rowid"
      " WHERE picture_search MATCH ?1 AND p.trashed_us IS NULL AND p.starred >= ?2"
      " ORDER BY p.created_us DESC, p.id DESC";
  g_autoptr (GArray) list = g_array_new (FALSE, TRUE, sizeof (AtlPictureBrief));
  g_auto (AtlQuery) query = { 0 };
  gboolean any = words != NULL && atl_query_init (&query, words);
  g_autoptr (AtlStmt) stmt = atl_db_stmt (self,
                                          !any                  ? sql_all
                                          : query.match != NULL ? sql_match
                                                                : sql_scan,
                                          error);
  g_autoptr (GError) local = NULL;

  if (stmt == NULL)
    return NULL;
  if (any && query.match != NULL)
    sqlite3_bind_text (stmt, 1, query.match, -1, SQLITE_STATIC);
  sqlite3_bind_int (stmt, 2, only_starred ? 1 : 0);
  while (atl_db_next (self, stmt, _ ("listing pictures"), &local))
    {
      AtlPictureBrief brief = { 0 };

      if (any && !atl_query_admits (&query, (const char *) sqlite3_column_text (stmt, 5)))
        continue;
      brief.id = sqlite3_column_int64 (stmt, 0);
      brief.created_us = sqlite3_column_int64 (stmt, 1);
      brief.width = (guint) sqlite3_column_int64 (stmt, 2);
      brief.height = (guint) sqlite3_column_int64 (stmt, 3);
      brief.starred = sqlite3_column_int (stmt, 4) != 0;
      g_array_append_val (list, brief);
    }
  if (local == NULL)
    return g_steal_pointer (&list);
  g_propagate_error (error, g_steal_pointer (&local));
  return NULL;
}

GHashTable *
atl_store_picture_paths (AtlStore *self, GError **error)
{
  g_autoptr (GHashTable) paths = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr (AtlStmt) stmt = atl_db_stmt (self, "SELECT path, id FROM pictures", error);
  g_autoptr (GError) local = NULL;

  if (stmt == NULL)
    return NULL;
  while (atl_db_next (self, stmt, _ ("listing pictures"), &local))
    {
      char *path = atl_db_text (self, stmt, 0);

      gint64 id = sqlite3_column_int64 (stmt, 1);

      if (path != NULL)
        g_hash_table_insert (paths, path, g_memdup2 (&id, sizeof id));
    }
  if (local == NULL)
    return g_steal_pointer (&paths);
  g_propagate_error (error, g_steal_pointer (&local));
  return NULL;
}

static gboolean
was_there (AtlStore *self, GError **error)
{
  if (sqlite3_changes (self->db) > 0)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, "%s",
               _ ("This picture is not in the gallery any more"));
  return FALSE;
}

gboolean
atl_store_picture_star (AtlStore *self, gint64 id, gboolean starred, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self, "UPDATE pictures SET starred = ?2 WHERE id = ?1", error);

  return stmt != NULL &&
         atl_db_run (self, stmt, _ ("starring a picture"), error, "ii", id,
                     (gint64) (starred != FALSE)) &&
         was_there (self, error);
}

gboolean
atl_store_picture_move (AtlStore *self, gint64 id, const char *path, GError **error)
{
  g_autoptr (AtlPictureRow) other = atl_store_picture_find (self, path, NULL);
  g_autoptr (AtlStmt) stmt = NULL;

  g_return_val_if_fail (g_path_is_absolute (path), FALSE);
  if (other != NULL && other->id != id)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BUSY, _ ("%s is in the gallery already"), path);
      return FALSE;
    }
  stmt = atl_db_stmt (self, "UPDATE pictures SET path = ?2 WHERE id = ?1", error);
  return stmt != NULL &&
         atl_db_run (self, stmt, _ ("noting where a picture is"), error, "is", id, path) &&
         was_there (self, error);
}
