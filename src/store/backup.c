/* Daily copies of the database, and the copying itself. */
#define G_LOG_DOMAIN "atl-store"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sync.h"
#include "store/store-private.h"

gboolean
atl_db_copy_to (sqlite3 *db, const char *dir, const char *path, GError **error)
{
  g_autofree char *temporary = g_strdup_printf ("%s.%d.tmp", path, (int) getpid ());
  g_autofree char *folder = g_path_get_dirname (path);
  sqlite3_stmt *stmt = NULL;
  int rc;

  g_mkdir_with_parents (folder, 0700);
  g_unlink (temporary); /* of a run that was killed; VACUUM INTO wants a name that is free */
  rc = sqlite3_prepare_v2 (db, "VACUUM INTO ?1", -1, &stmt, NULL);
  if (rc == SQLITE_OK)
    {
      sqlite3_bind_text (stmt, 1, temporary, -1, SQLITE_STATIC);
      rc = sqlite3_step (stmt);
    }
  if (rc != SQLITE_DONE)
    atl_db_set_error (db, rc, dir, _ ("making a backup"), error);
  sqlite3_finalize (stmt);
  if (rc != SQLITE_DONE)
    {
      g_unlink (temporary);
      return FALSE;
    }
  if (!atl_sync_path (temporary) || g_rename (temporary, path) != 0)
    {
      g_set_error (error, ATL_ERROR,
                   errno == ENOSPC || errno == EDQUOT ? ATL_ERROR_FULL : ATL_ERROR_INVALID,
                   _ ("The backup %s cannot be written: %s"), path, g_strerror (errno));
      g_unlink (temporary);
      return FALSE;
    }
  atl_sync_path (folder);
  return TRUE;
}

static gint
newest_name_first (gconstpointer a, gconstpointer b)
{
  return -g_strcmp0 (*(const char *const *) a, *(const char *const *) b);
}

GPtrArray *
atl_backup_list (const char *dir)
{
  g_autofree char *folder = g_build_filename (dir, "backups", NULL);
  GPtrArray *list = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) entries = g_dir_open (folder, 0, NULL);
  const char *name;

  while (entries != NULL && (name = g_dir_read_name (entries)) != NULL)
    if (g_str_has_prefix (name, "atelier-") && g_str_has_suffix (name, ".db"))
      g_ptr_array_add (list, g_build_filename (folder, name, NULL));
  /* The dates in the names sort as text. */
  g_ptr_array_sort (list, newest_name_first);
  return list;
}

static int
interrupt_cb (gpointer data)
{
  return g_cancellable_is_cancelled (data);
}

gboolean
atl_store_backup (const char *dir,
                  gboolean even_if_not_due,
                  char **path,
                  GCancellable *cancellable,
                  GError **error)
{
  g_autofree char *folder = dir != NULL ? g_strdup (dir) : atl_store_default_dir ();
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *name = g_date_time_format (now, "atelier-%Y-%m-%d.db");
  g_autofree char *target = g_build_filename (folder, "backups", name, NULL);
  g_autofree char *source = g_build_filename (folder, "atelier.db", NULL);
  g_autoptr (GPtrArray) list = NULL;
  sqlite3 *db = NULL;
  gboolean ok = FALSE;
  int rc;

  if (path != NULL)
    *path = NULL;
  if (!even_if_not_due && g_file_test (target, G_FILE_TEST_EXISTS))
    return TRUE;
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;

  rc = atl_db_open_file (source, SQLITE_OPEN_READWRITE, &db);
  if (rc == SQLITE_OK)
    {
      if (cancellable != NULL)
        sqlite3_progress_handler (db, 10000, interrupt_cb, cancellable);
      rc = atl_db_check (db, FALSE);
    }
  if (rc != SQLITE_OK)
    {
      if (!g_cancellable_set_error_if_cancelled (cancellable, error))
        atl_db_set_error (db, rc, folder, _ ("making a backup"), error);
    }
  else
    {
      g_autoptr (GError) local = NULL;

      ok = atl_db_copy_to (db, folder, target, &local);
      if (!ok && !g_cancellable_set_error_if_cancelled (cancellable, error))
        g_propagate_error (error, g_steal_pointer (&local));
    }
  sqlite3_close (db);
  if (!ok)
    return FALSE;

  list = atl_backup_list (folder);
  for (guint i = ATL_BACKUPS_KEPT; i < list->len; i++)
    g_unlink (list->pdata[i]);
  if (path != NULL)
    *path = g_steal_pointer (&target);
  return TRUE;
}

static void
backup_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  GError *error = NULL;
  char *path = NULL;

  if (atl_store_backup (data, FALSE, &path, cancellable, &error))
    g_task_return_pointer (task, path, g_free);
  else
    g_task_return_error (task, error);
}

void
atl_store_backup_async (const char *dir,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);

  g_task_set_source_tag (task, atl_store_backup_async);
  g_task_set_task_data (task, g_strdup (dir), g_free);
  g_task_run_in_thread (task, backup_thread);
}

gboolean
atl_store_backup_finish (GAsyncResult *result, char **path, GError **error)
{
  g_autoptr (GError) local = NULL;
  char *made = g_task_propagate_pointer (G_TASK (result), &local);

  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (path != NULL)
    *path = made;
  else
    g_free (made);
  return TRUE;
}
