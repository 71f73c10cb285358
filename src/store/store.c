/* Opening and closing the store, and its small values. */
#define G_LOG_DOMAIN "atl-store"

#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/schema.h"
#include "store/store-private.h"

char *
atl_store_default_dir (void)
{
  return g_build_filename (g_get_user_data_dir (), "atelier", NULL);
}

static gboolean
make_folder (const char *dir, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  if (g_mkdir_with_parents (path, 0700) == 0)
    return TRUE;
  g_set_error (
      error, ATL_ERROR, errno == ENOSPC || errno == EDQUOT ? ATL_ERROR_FULL : ATL_ERROR_INVALID,
      _ ("The folder %s, where chats are kept, cannot be made: %s"), path, g_strerror (errno));
  return FALSE;
}

/* The shared lock says "somebody has the database open": repair, which replaces the file, needs the
 * exclusive one. A repair in another process is awaited for ten seconds. */
static int
take_shared_lock (const char *dir, GError **error)
{
  g_autofree char *path = g_build_filename (dir, "store.lock", NULL);
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

  if (fd < 0)
    {
      g_set_error (error, ATL_ERROR,
                   errno == ENOSPC || errno == EDQUOT ? ATL_ERROR_FULL : ATL_ERROR_INVALID,
                   _ ("The folder %s, where chats are kept, cannot be written to: %s"), dir,
                   g_strerror (errno));
      return -1;
    }
  for (int i = 0; i < 100; i++)
    {
      if (flock (fd, LOCK_SH | LOCK_NB) == 0)
        return fd;
      g_usleep (100 * 1000);
    }
  close (fd);
  g_set_error (error, ATL_ERROR, ATL_ERROR_BUSY,
               _ ("Another window is repairing the chats in %s. Try again in a moment"), dir);
  return -1;
}

/* An empty file is what some file systems leave of a database after a crash; beside a backup it is
 * damage, without one it is a new store. */
static gboolean
is_emptied (const char *dir, const char *path)
{
  g_autofree char *wal = g_strconcat (path, "-wal", NULL);
  g_autoptr (GPtrArray) backups = NULL;
  GStatBuf st;

  if (g_stat (path, &st) != 0 || st.st_size != 0)
    return FALSE;
  if (g_stat (wal, &st) == 0 && st.st_size > 0)
    return FALSE;
  backups = atl_backup_list (dir);
  return backups->len > 0;
}

/* Where WAL is impossible (some network file systems) the rollback journal is as safe. The switch
 * of a new or old database needs it for itself and does not wait by itself for another window that
 * is just doing the same. */
static int
switch_to_wal (sqlite3 *db)
{
  int rc = SQLITE_BUSY;

  for (int i = 0; i < 150 && (rc & 0xff) == SQLITE_BUSY; i++)
    {
      if (i > 0)
        g_usleep (20 * 1000);
      rc = sqlite3_exec (db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    }
  return rc;
}

/* Opens the file and reads enough to know that it is a sound database. */
static int
open_sound (AtlStore *self, gboolean thorough)
{
  int rc, version;

  if (is_emptied (self->dir, self->path))
    return SQLITE_CORRUPT;
  rc = atl_db_open_file (self->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &self->db);
  if (rc == SQLITE_OK)
    version = atl_schema_version (self->db, &rc);
  if (rc == SQLITE_OK)
    rc = switch_to_wal (self->db);
  /* Makes SQLite parse the whole schema. */
  if (rc == SQLITE_OK)
    rc = sqlite3_exec (self->db, "SELECT count (*) FROM sqlite_schema", NULL, NULL, NULL);
  if (rc == SQLITE_OK && thorough)
    rc = atl_db_check (self->db, FALSE);
  if (rc == SQLITE_OK && version == 0)
    sqlite3_exec (self->db, "PRAGMA application_id = 1096057964", NULL, NULL, NULL);
  return rc;
}

static gboolean
repair_and_open (AtlStore *self, GError **error)
{
  g_autofree char *report = NULL;
  int rc;

  sqlite3_close (g_steal_pointer (&self->db));
  if (flock (self->lock_fd, LOCK_EX | LOCK_NB) != 0)
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_BUSY,
          _ ("The chat database in %s is damaged and another window has it open. Close all "
             "windows of Atelier and start it again: it restores the newest backup"),
          self->dir);
      return FALSE;
    }
  /* Somebody may have repaired it between our look and our lock. */
  rc = open_sound (self, TRUE);
  if (atl_db_is_damage (rc))
    {
      sqlite3_close (g_steal_pointer (&self->db));
      if (!atl_store_repair (self->dir, self->path, &report, error))
        return FALSE;
      atl_store_report (self, "%s", report);
      rc = open_sound (self, FALSE);
    }
  flock (self->lock_fd, LOCK_SH | LOCK_NB);
  if (rc == SQLITE_OK)
    return TRUE;
  atl_db_set_error (self->db, rc, self->dir, _ ("opening it after a repair"), error);
  return FALSE;
}

static gboolean
open_database (AtlStore *self, GError **error)
{
  g_autofree char *check = g_build_filename (self->dir, "check-needed", NULL);
  gboolean thorough = g_file_test (check, G_FILE_TEST_EXISTS);
  const AtlMigration *steps;
  guint n_steps;
  int rc = open_sound (self, thorough);

  if (atl_db_is_damage (rc))
    {
      if (!repair_and_open (self, error))
        return FALSE;
    }
  else if (rc != SQLITE_OK)
    {
      atl_db_set_error (self->db, rc, self->dir, _ ("opening it"), error);
      return FALSE;
    }
  if (thorough)
    g_unlink (check);

  steps = atl_schema_migrations (&n_steps);
  if (!atl_schema_migrate (self->db, steps, n_steps, self->dir, error))
    return FALSE;
  return atl_store_recover (self, error) >= 0;
}

static void
finalize_cb (gpointer stmt)
{
  sqlite3_finalize (stmt);
}

AtlStore *
atl_store_open (const char *dir, GError **error)
{
  g_autofree char *default_dir = dir == NULL ? atl_store_default_dir () : NULL;
  g_autoptr (AtlStore) self = g_new0 (AtlStore, 1);

  self->lock_fd = self->owner_fd = -1;
  self->dir = g_strdup (dir != NULL ? dir : default_dir);
  self->path = g_build_filename (self->dir, "atelier.db", NULL);
  self->reports = g_ptr_array_new_with_free_func (g_free);
  self->stmts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, finalize_cb);

  if (!make_folder (self->dir, "backups", error) || !make_folder (self->dir, "running", error))
    return NULL;
  self->lock_fd = take_shared_lock (self->dir, error);
  if (self->lock_fd < 0)
    return NULL;
  if (!open_database (self, error))
    return NULL;
  atl_store_changed_elsewhere (self);
  return g_steal_pointer (&self);
}

void
atl_store_free (AtlStore *self)
{
  if (self == NULL)
    return;
  if (self->db != NULL && self->owner != NULL)
    atl_store_drop_owner (self);
  g_clear_pointer (&self->stmts, g_hash_table_unref);
  sqlite3_close (self->db);
  if (self->owner_fd >= 0)
    close (self->owner_fd);
  if (self->lock_fd >= 0)
    close (self->lock_fd);
  g_clear_pointer (&self->reports, g_ptr_array_unref);
  g_free (self->owner);
  g_free (self->path);
  g_free (self->dir);
  g_free (self);
}

const char *
atl_store_dir (const AtlStore *self)
{
  return self->dir;
}

char **
atl_store_take_reports (AtlStore *self)
{
  GPtrArray *taken = g_steal_pointer (&self->reports);

  self->reports = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_set_free_func (taken, NULL);
  g_ptr_array_add (taken, NULL);
  return (char **) g_ptr_array_free (taken, FALSE);
}

gboolean
atl_store_changed_elsewhere (AtlStore *self)
{
  gint64 before = self->data_version;

  return atl_db_int (self, "PRAGMA data_version", 0, before, &self->data_version, NULL) &&
         self->data_version != before;
}

char *
atl_store_setting_get (AtlStore *self, const char *key, GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (self, "SELECT value FROM settings WHERE key = ?1", error);

  g_return_val_if_fail (key != NULL, NULL);
  if (stmt == NULL)
    return NULL;
  atl_stmt_bind (stmt, "s", key);
  if (!atl_db_next (self, stmt, _ ("reading a setting"), error))
    return NULL;
  return atl_db_text (self, stmt, 0);
}

gboolean
atl_store_setting_set (AtlStore *self, const char *key, const char *value, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self,
                   value != NULL ? "INSERT INTO settings (key, value) VALUES (?1, ?2)"
                                   " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
                                 : "DELETE FROM settings WHERE key = ?1",
                   error);

  g_return_val_if_fail (key != NULL, FALSE);
  return stmt != NULL && atl_db_run (self, stmt, _ ("saving a setting"), error,
                                     value != NULL ? "ss" : "s", key, value);
}
