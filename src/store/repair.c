/* A damaged database: kept under another name, never deleted, and replaced by the newest backup
 * that is sound. */
#define G_LOG_DOMAIN "atl-store"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/sync.h"
#include "store/store-private.h"

/* Moves the database and its log into damaged/; the name of the database there, or NULL. */
static char *
move_aside (const char *dir, const char *path, GError **error)
{
  static const char *const suffixes[] = { "-wal", "-shm", "" };
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *folder = g_build_filename (dir, "damaged", NULL);
  g_autofree char *stamp = g_date_time_format (now, "atelier-%Y-%m-%d-%H%M%S");
  g_autofree char *target = NULL;

  g_mkdir_with_parents (folder, 0700);
  for (int i = 0;; i++)
    {
      g_autofree char *name =
          i == 0 ? g_strconcat (stamp, ".db", NULL) : g_strdup_printf ("%s-%d.db", stamp, i);

      g_free (target);
      target = g_build_filename (folder, name, NULL);
      if (!g_file_test (target, G_FILE_TEST_EXISTS))
        break;
    }
  /* The database last: were we killed between, the next start finds it damaged again. */
  for (gsize i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *from = g_strconcat (path, suffixes[i], NULL);
      g_autofree char *to = g_strconcat (target, suffixes[i], NULL);

      if (g_rename (from, to) != 0 && errno != ENOENT)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       _ ("The chat database %s is damaged and cannot be moved aside: %s"), path,
                       g_strerror (errno));
          return NULL;
        }
    }
  atl_sync_path (folder);
  atl_sync_path (dir);
  return g_steal_pointer (&target);
}

/* Copies a backup to `target` if it is sound. FALSE without an error when it is not. */
static gboolean
copy_sound (const char *backup, const char *dir, const char *target, GError **error)
{
  sqlite3 *db = NULL;
  gboolean ok = FALSE;
  int rc = atl_db_open_file (backup, SQLITE_OPEN_READONLY, &db);

  if (rc == SQLITE_OK && atl_db_check (db, TRUE) == SQLITE_OK)
    ok = atl_db_copy_to (db, dir, target, error);
  sqlite3_close (db);
  return ok;
}

gboolean
atl_store_repair (const char *dir, const char *path, char **report, GError **error)
{
  g_autoptr (GPtrArray) backups = atl_backup_list (dir);
  g_autofree char *ready = g_strconcat (path, ".restored", NULL);
  g_autofree char *aside = NULL;
  const char *used = NULL;

  for (guint i = 0; i < backups->len && used == NULL; i++)
    {
      g_autoptr (GError) local = NULL;

      if (copy_sound (backups->pdata[i], dir, ready, &local))
        used = backups->pdata[i];
      else if (local != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
    }
  aside = move_aside (dir, path, error);
  if (aside == NULL)
    return FALSE;
  if (used == NULL)
    {
      *report =
          g_strdup_printf (_ ("The chat database was damaged and there is no backup of it, so "
                              "the list of chats starts empty. The damaged file is kept as %s"),
                           aside);
      return TRUE;
    }
  if (g_rename (ready, path) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The backup %s cannot be put in place of the damaged chat database: %s"),
                   used, g_strerror (errno));
      return FALSE;
    }
  atl_sync_path (dir);
  {
    g_autofree char *name = g_path_get_basename (used);

    /* "atelier-2026-11-21.db": the ten characters of the date. */
    *report =
        g_strdup_printf (_ ("The chat database was damaged. Your chats were restored from the "
                            "backup of %.10s; what came later is not in it. The damaged file is "
                            "kept as %s"),
                         name + strlen ("atelier-"), aside);
  }
  return TRUE;
}
