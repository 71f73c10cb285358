/* Removes models to the desktop's trash and brings them back: the home trash of the freedesktop.org
 * Trash specification 1.0, which the file manager shows and empties. */
#define G_LOG_DOMAIN "atl-hub"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub/library.h"
#include "hub/model-name.h"

static char *
trash_path (const char *folder, const char *name, const char *ending)
{
  g_autofree char *file = g_strconcat (name, ending, NULL);

  return g_build_filename (g_get_user_data_dir (), "Trash", folder, file, NULL);
}

static gboolean
is_ours (const char *path, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);

  if (g_str_equal (folder, atl_library_dir ()))
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("%s is not in Atelier's own folder, so it is left alone. Remove it with the "
                  "application it belongs to, or in the file manager"),
               path);
  return FALSE;
}

/* Reserves a name in the trash by creating its info file; the name, the caller's. */
static char *
reserve (const char *path, GError **error)
{
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *escaped = g_uri_escape_string (path, "/", FALSE);
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *when = g_date_time_format (now, "%Y-%m-%dT%H:%M:%S");
  g_autofree char *info =
      g_strdup_printf ("[Trash Info]\nPath=%s\nDeletionDate=%s\n", escaped, when);

  for (int i = 1; i < 10000; i++)
    {
      g_autofree char *name = i == 1 ? g_strdup (base) : g_strdup_printf ("%s.%d", base, i);
      g_autofree char *info_path = trash_path ("info", name, ".trashinfo");
      g_autofree char *file_path = trash_path ("files", name, "");
      g_autofree char *info_folder = g_path_get_dirname (info_path);
      g_autofree char *file_folder = g_path_get_dirname (file_path);
      GStatBuf st;
      gssize n;
      int fd;

      if (g_mkdir_with_parents (info_folder, 0700) != 0 ||
          g_mkdir_with_parents (file_folder, 0700) != 0)
        break;
      fd = open (info_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
      if (fd < 0 && errno == EEXIST)
        continue;
      if (fd < 0)
        break;
      n = write (fd, info, strlen (info));
      close (fd);
      if (n == (gssize) strlen (info) && g_lstat (file_path, &st) != 0)
        return g_steal_pointer (&name);
      g_unlink (info_path);
      if (n != (gssize) strlen (info))
        break;
    }
  g_set_error (error, ATL_ERROR,
               errno == ENOSPC || errno == EDQUOT ? ATL_ERROR_FULL : ATL_ERROR_INVALID,
               _ ("%s cannot be moved to the trash: %s"), path, g_strerror (errno));
  return NULL;
}

static gboolean
trash_file (const char *path, GError **error)
{
  g_autofree char *name = reserve (path, error);
  g_autofree char *info_path = NULL, *file_path = NULL;

  if (name == NULL)
    return FALSE;
  info_path = trash_path ("info", name, ".trashinfo");
  file_path = trash_path ("files", name, "");
  if (g_rename (path, file_path) == 0)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s cannot be moved to the trash: %s"), path,
               g_strerror (errno));
  g_unlink (info_path);
  return FALSE;
}

/* The newest name in the trash that came from `path`; the caller's, NULL when there is none. */
static char *
find_in_trash (const char *path)
{
  g_autofree char *folder = g_build_filename (g_get_user_data_dir (), "Trash", "info", NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autofree char *newest = NULL, *best = NULL;
  const char *entry;

  while (dir != NULL && (entry = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *info_path = g_build_filename (folder, entry, NULL);
      g_autoptr (GKeyFile) info = g_key_file_new ();
      g_autofree char *escaped = NULL, *from = NULL, *when = NULL;

      if (!g_str_has_suffix (entry, ".trashinfo") ||
          !g_key_file_load_from_file (info, info_path, G_KEY_FILE_NONE, NULL))
        continue;
      escaped = g_key_file_get_value (info, "Trash Info", "Path", NULL);
      when = g_key_file_get_value (info, "Trash Info", "DeletionDate", NULL);
      from = escaped != NULL ? g_uri_unescape_string (escaped, NULL) : NULL;
      if (g_strcmp0 (from, path) != 0 || when == NULL || g_strcmp0 (when, newest) < 0)
        continue;
      g_free (newest);
      newest = g_steal_pointer (&when);
      g_free (best);
      best = g_strndup (entry, strlen (entry) - strlen (".trashinfo"));
    }
  return g_steal_pointer (&best);
}

static gboolean
restore_file (const char *path, GError **error)
{
  g_autofree char *name = find_in_trash (path);
  g_autofree char *info_path = NULL, *file_path = NULL;

  if (name == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s is not in the trash any more"),
                   path);
      return FALSE;
    }
  info_path = trash_path ("info", name, ".trashinfo");
  file_path = trash_path ("files", name, "");
  if (renameat2 (AT_FDCWD, file_path, AT_FDCWD, path, RENAME_NOREPLACE) != 0)
    {
      g_set_error (error, ATL_ERROR, errno == ENOENT ? ATL_ERROR_NOT_FOUND : ATL_ERROR_BUSY,
                   _ ("%s cannot be brought back from the trash: %s"), path, g_strerror (errno));
      return FALSE;
    }
  g_unlink (info_path);
  return TRUE;
}

gboolean
atl_library_remove (const char *path, GError **error)
{
  g_autofree char *absolute = g_canonicalize_filename (path, NULL);
  g_auto (GStrv) files = NULL;
  GStatBuf st;

  if (!is_ours (absolute, error))
    return FALSE;
  files = atl_library_model_files (absolute, NULL);
  if (files == NULL)
    {
      /* Shards are missing, or a link leads nowhere: what was named goes. */
      if (g_lstat (absolute, &st) != 0)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s is not there"), absolute);
          return FALSE;
        }
      files = g_new0 (char *, 2);
      files[0] = g_strdup (absolute);
    }
  for (guint i = 0; files[i] != NULL; i++)
    if (!trash_file (files[i], error))
      {
        /* All or nothing. */
        while (i-- > 0)
          restore_file (files[i], NULL);
        return FALSE;
      }
  return TRUE;
}

gboolean
atl_library_restore (const char *path, GError **error)
{
  g_autofree char *absolute = g_canonicalize_filename (path, NULL);
  g_autofree char *base = g_path_get_basename (absolute);
  g_auto (AtlModelName) name = { 0 };

  if (!is_ours (absolute, error) || !restore_file (absolute, error))
    return FALSE;
  if (!atl_model_name_parse (base, &name))
    return TRUE;
  for (guint i = 1; i <= name.n_shards; i++)
    {
      g_autofree char *shard = atl_model_name_format (&name, name.stem, i);
      g_autofree char *file = g_build_filename (atl_library_dir (), shard, NULL);

      if (!g_file_test (file, G_FILE_TEST_EXISTS) && !restore_file (file, error))
        return FALSE;
    }
  return TRUE;
}
