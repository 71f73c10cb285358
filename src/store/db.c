/* The thin layer over SQLite: cached statements, binding, transactions, and errors in words. */
#define G_LOG_DOMAIN "atl-store"

#include "store/store-private.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"

#define BUSY_TIMEOUT_MS 3000

gboolean
atl_db_is_damage (int rc)
{
  int code = rc & 0xff;

  return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

/* Running out of room has many faces: SQLITE_FULL from the database, an I/O error with ENOSPC or
 * EDQUOT from the write-ahead log or its index. */
static gboolean
is_disk_full (sqlite3 *db, int rc)
{
  int system_errno = db != NULL ? sqlite3_system_errno (db) : 0;

  if ((rc & 0xff) == SQLITE_FULL)
    return TRUE;
  if ((rc & 0xff) != SQLITE_IOERR && (rc & 0xff) != SQLITE_CANTOPEN)
    return FALSE;
  return rc == SQLITE_IOERR_SHMSIZE || system_errno == ENOSPC || system_errno == EDQUOT;
}

/* Leaves a note that makes the next open check the whole database. */
static void
note_damage (const char *dir)
{
  g_autofree char *path = g_build_filename (dir, "check-needed", NULL);

  g_file_set_contents (path, "", 0, NULL);
}

void
atl_db_set_error (sqlite3 *db, int rc, const char *dir, const char *doing, GError **error)
{
  const char *detail = db != NULL ? sqlite3_errmsg (db) : sqlite3_errstr (rc);

  if (is_disk_full (db, rc))
    g_set_error (
        error, ATL_ERROR, ATL_ERROR_FULL,
        _ ("The disk is full: %s was not possible. Nothing saved before is lost. Free some "
           "space on the disk of %s and try again"),
        doing, dir);
  else if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
    g_set_error (
        error, ATL_ERROR, ATL_ERROR_BUSY,
        _ ("Another window is writing to the chat database: %s was not possible. Try again "
           "in a moment"),
        doing);
  else if (atl_db_is_damage (rc))
    {
      note_damage (dir);
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The chat database in %s is damaged: %s was not possible. Close Atelier and "
                      "start it again: it restores the newest backup and keeps the damaged file"),
                   dir, doing);
    }
  else if ((rc & 0xff) == SQLITE_READONLY || (rc & 0xff) == SQLITE_CANTOPEN)
    g_set_error (
        error, ATL_ERROR, ATL_ERROR_INVALID,
        _ ("The chat database in %s cannot be opened for writing: %s was not possible. Check "
           "that the folder belongs to you (%s)"),
        dir, doing, detail);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                 _ ("The chat database in %s refused: %s was not possible (%s)"), dir, doing,
                 detail);
}

int
atl_db_open_file (const char *path, int flags, sqlite3 **out)
{
  int rc = sqlite3_open_v2 (path, out, flags | SQLITE_OPEN_NOMUTEX, NULL);

  if (*out == NULL)
    return rc != SQLITE_OK ? rc : SQLITE_NOMEM;
  sqlite3_extended_result_codes (*out, 1);
  if (rc != SQLITE_OK)
    return rc;
  sqlite3_busy_timeout (*out, BUSY_TIMEOUT_MS);
  /* Nothing of ours writes to the schema or to the shadow tables of the search index. */
  sqlite3_db_config (*out, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  return sqlite3_exec (*out,
                       "PRAGMA temp_store = MEMORY; PRAGMA synchronous = FULL; "
                       "PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON;",
                       NULL, NULL, NULL);
}

int
atl_db_check (sqlite3 *db, gboolean indexes_too)
{
  sqlite3_stmt *stmt = NULL;
  int rc = sqlite3_prepare_v2 (
      db, indexes_too ? "PRAGMA integrity_check (1)" : "PRAGMA quick_check (1)", -1, &stmt, NULL);

  if (rc == SQLITE_OK)
    {
      rc = sqlite3_step (stmt);
      if (rc == SQLITE_ROW)
        rc = g_strcmp0 ((const char *) sqlite3_column_text (stmt, 0), "ok") == 0 ? SQLITE_OK
                                                                                 : SQLITE_CORRUPT;
    }
  sqlite3_finalize (stmt);
  return rc;
}

void
atl_stmt_release (AtlStmt *stmt)
{
  if (stmt == NULL)
    return;
  sqlite3_reset (stmt);
  sqlite3_clear_bindings (stmt);
}

AtlStmt *
atl_db_stmt (AtlStore *self, const char *sql, GError **error)
{
  sqlite3_stmt *stmt = g_hash_table_lookup (self->stmts, sql);
  int rc;

  if (stmt != NULL)
    {
      g_assert (!sqlite3_stmt_busy (stmt));
      return stmt;
    }
  rc = sqlite3_prepare_v3 (self->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
  if (rc != SQLITE_OK)
    {
      atl_db_set_error (self->db, rc, self->dir, _ ("reading it"), error);
      return NULL;
    }
  g_hash_table_insert (self->stmts, g_strdup (sql), stmt);
  return stmt;
}

static void
bind_list (AtlStmt *stmt, const char *types, va_list args)
{
  for (int i = 0; types[i] != '\0'; i++)
    switch (types[i])
      {
      case 'i':
        sqlite3_bind_int64 (stmt, i + 1, va_arg (args, gint64));
        break;
      case 'z':
        {
          gint64 value = va_arg (args, gint64);
          if (value != 0)
            sqlite3_bind_int64 (stmt, i + 1, value);
          break;
        }
      case 'd':
        sqlite3_bind_double (stmt, i + 1, va_arg (args, double));
        break;
      case 's':
        sqlite3_bind_text (stmt, i + 1, va_arg (args, const char *), -1, SQLITE_TRANSIENT);
        break;
      default:
        g_assert_not_reached ();
      }
}

void
atl_stmt_bind (AtlStmt *stmt, const char *types, ...)
{
  va_list args;

  va_start (args, types);
  bind_list (stmt, types, args);
  va_end (args);
}

gboolean
atl_db_run (
    AtlStore *self, AtlStmt *stmt, const char *doing, GError **error, const char *types, ...)
{
  va_list args;
  int rc;

  va_start (args, types);
  bind_list (stmt, types, args);
  va_end (args);
  rc = sqlite3_step (stmt);
  if (rc == SQLITE_DONE || rc == SQLITE_ROW)
    {
      /* The last write of an implicit transaction is only certain once the reset went well. */
      rc = sqlite3_reset (stmt);
      if (rc == SQLITE_OK)
        return TRUE;
    }
  atl_db_set_error (self->db, rc, self->dir, doing, error);
  return FALSE;
}

gboolean
atl_db_next (AtlStore *self, AtlStmt *stmt, const char *doing, GError **error)
{
  int rc = sqlite3_step (stmt);

  if (rc == SQLITE_ROW)
    return TRUE;
  if (rc != SQLITE_DONE)
    atl_db_set_error (self->db, rc, self->dir, doing, error);
  return FALSE;
}

gboolean
atl_db_collect (AtlStore *self,
                AtlStmt *stmt,
                GPtrArray *list,
                AtlRowFunc func,
                const char *doing,
                GError **error)
{
  g_autoptr (GError) local = NULL;

  while (atl_db_next (self, stmt, doing, &local))
    {
      gpointer item = func (self, stmt);

      if (item != NULL)
        g_ptr_array_add (list, item);
    }
  if (local == NULL)
    return TRUE;
  if (g_error_matches (local, ATL_ERROR, ATL_ERROR_BAD_FILE))
    {
      atl_store_report (self, "%s", local->message);
      return TRUE;
    }
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

gboolean
atl_db_int (
    AtlStore *self, const char *sql, gint64 arg, gint64 fallback, gint64 *out, GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (self, sql, error);
  g_autoptr (GError) local = NULL;

  if (stmt == NULL)
    return FALSE;
  if (sqlite3_bind_parameter_count (stmt) > 0)
    sqlite3_bind_int64 (stmt, 1, arg);
  if (atl_db_next (self, stmt, _ ("reading it"), &local))
    {
      *out =
          sqlite3_column_type (stmt, 0) == SQLITE_NULL ? fallback : sqlite3_column_int64 (stmt, 0);
      return TRUE;
    }
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  *out = fallback;
  return TRUE;
}

char *
atl_db_text (AtlStore *self, AtlStmt *stmt, int column)
{
  const char *text = (const char *) sqlite3_column_text (stmt, column);
  int length = sqlite3_column_bytes (stmt, column);

  if (text == NULL)
    return NULL;
  if (g_utf8_validate (text, length, NULL))
    return g_strndup (text, length);
  atl_store_report (self,
                    _ ("Some text in the chat database was damaged; its readable part is shown"));
  return g_utf8_make_valid (text, length);
}

gboolean
atl_db_begin (AtlStore *self, GError **error)
{
  /* IMMEDIATE: waits for another writer here, where waiting is possible, instead of failing at the
   * first write. */
  int rc = SQLITE_FULL;

  /* A full disk may have ended the batch: nothing may come after what is lost. */
  if (!self->is_batch || !sqlite3_get_autocommit (self->db))
    rc = sqlite3_exec (self->db, self->is_batch ? "SAVEPOINT part" : "BEGIN IMMEDIATE", NULL, NULL,
                       NULL);

  if (rc == SQLITE_OK)
    return TRUE;
  atl_db_set_error (self->db, rc, self->dir, _ ("saving"), error);
  return FALSE;
}

gboolean
atl_db_end (AtlStore *self, gboolean ok, const char *doing, GError **error)
{
  int rc;

  if (ok)
    {
      rc = sqlite3_exec (self->db, self->is_batch ? "RELEASE part" : "COMMIT", NULL, NULL, NULL);
      if (rc == SQLITE_OK)
        return TRUE;
      atl_db_set_error (self->db, rc, self->dir, doing, error);
    }
  /* A full disk may have rolled back already. */
  if (!sqlite3_get_autocommit (self->db))
    sqlite3_exec (self->db, self->is_batch ? "ROLLBACK TO part; RELEASE part" : "ROLLBACK", NULL,
                  NULL, NULL);
  return FALSE;
}

gboolean
atl_store_begin (AtlStore *self, GError **error)
{
  g_return_val_if_fail (!self->is_batch, FALSE);

  self->is_batch = atl_db_begin (self, error);
  return self->is_batch;
}

gboolean
atl_store_end (AtlStore *self, gboolean ok, GError **error)
{
  g_return_val_if_fail (self->is_batch, FALSE);

  self->is_batch = FALSE;
  if (ok && sqlite3_get_autocommit (self->db))
    {
      atl_db_set_error (self->db, SQLITE_FULL, self->dir, _ ("saving"), error);
      return FALSE;
    }
  return atl_db_end (self, ok, _ ("saving"), error);
}

void
atl_store_report (AtlStore *self, const char *format, ...)
{
  va_list args;
  char *text;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  /* A thousand broken rows are one sentence. */
  for (guint i = 0; i < self->reports->len; i++)
    if (g_str_equal (self->reports->pdata[i], text))
      {
        g_free (text);
        return;
      }
  g_ptr_array_add (self->reports, text);
}

gboolean
atl_store_check_json (const char *json, gboolean array, const char *what, GError **error)
{
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) local = NULL;

  if (json == NULL)
    return TRUE;
  node = atl_json_parse (json, strlen (json), what, &local);
  if (node != NULL && (array ? JSON_NODE_HOLDS_ARRAY (node) : JSON_NODE_HOLDS_OBJECT (node)))
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s: expected a JSON %s%s%s"), what,
               array ? "array" : "object", local != NULL ? ": " : "",
               local != NULL ? local->message : "");
  return FALSE;
}
