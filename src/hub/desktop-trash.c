/* Files to the desktop's trash and back: the home trash of the freedesktop.org Trash specification
 * 1.0, which the file manager shows and empties. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/desktop-trash.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sync.h"
#include "hub/file-copy.h"

static char *
trash_path (const char *folder, const char *name, const char *ending)
{
  g_autofree char *file = g_strconcat (name, ending, NULL);

  return g_build_filename (g_get_user_data_dir (), "Trash", folder, file, NULL);
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
      /* On the disk before the file comes: without it nobody would know where that belongs. */
      n = write (fd, info, strlen (info));
      n = fsync (fd) == 0 ? n : -1;
      close (fd);
      if (n == (gssize) strlen (info) && atl_sync_path (info_folder) &&
          g_lstat (file_path, &st) != 0)
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

/* Between two disks: copied under a hidden name, then named, then removed. */
static gboolean
move_across (const char *from, const char *to, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (to);
  g_autofree char *base = g_path_get_basename (to);
  g_autofree char *hidden = g_strdup_printf ("%s/.%s.%d.copying", folder, base, (int) getpid ());
  struct timespec times[2];
  GStatBuf st;

  if (g_lstat (from, &st) == 0 && !S_ISREG (st.st_mode))
    {
      g_autoptr (GFile) source = g_file_new_for_path (from);
      g_autoptr (GFile) target = g_file_new_for_path (to);

      return g_file_move (source, target, G_FILE_COPY_NOFOLLOW_SYMLINKS | G_FILE_COPY_ALL_METADATA,
                          NULL, NULL, NULL, error);
    }
  g_unlink (hidden);
  if (!atl_hub_copy_file (from, hidden, 0, NULL, NULL, NULL, error))
    return FALSE;
  times[0] = st.st_atim;
  times[1] = st.st_mtim;
  if (chmod (hidden, st.st_mode & 0777) != 0 ||
      utimensat (AT_FDCWD, hidden, times, AT_SYMLINK_NOFOLLOW) != 0)
    g_debug ("rights and times of %s are not kept: %s", to, g_strerror (errno));
  if (renameat2 (AT_FDCWD, hidden, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
    {
      atl_sync_path (folder);
      g_unlink (from);
      return TRUE;
    }
  g_set_error (error, ATL_ERROR, errno == EEXIST ? ATL_ERROR_BUSY : ATL_ERROR_INVALID,
               _ ("%s cannot be written: %s"), to, g_strerror (errno));
  g_unlink (hidden);
  return FALSE;
}

gboolean
atl_desktop_trash (const char *path, char **trashed, GError **error)
{
  g_autofree char *name = reserve (path, error);
  g_autofree char *info_path = NULL, *file_path = NULL;
  g_autoptr (GError) local = NULL;

  if (name == NULL)
    return FALSE;
  info_path = trash_path ("info", name, ".trashinfo");
  file_path = trash_path ("files", name, "");
  if (g_rename (path, file_path) == 0 || (errno == EXDEV && move_across (path, file_path, &local)))
    {
      if (trashed != NULL)
        *trashed = g_steal_pointer (&name);
      return TRUE;
    }
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s cannot be moved to the trash: %s"), path,
               local != NULL ? local->message : g_strerror (errno));
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
      g_autofree char *escaped = NULL, *from = NULL, *when = NULL, *name = NULL, *file_path = NULL;
      GStatBuf st;

      if (!g_str_has_suffix (entry, ".trashinfo") ||
          !g_key_file_load_from_file (info, info_path, G_KEY_FILE_NONE, NULL))
        continue;
      /* A move that was cut short may have left a note of what never came, or went again. */
      name = g_strndup (entry, strlen (entry) - strlen (".trashinfo"));
      file_path = trash_path ("files", name, "");
      if (g_lstat (file_path, &st) != 0)
        continue;
      escaped = g_key_file_get_value (info, "Trash Info", "Path", NULL);
      when = g_key_file_get_value (info, "Trash Info", "DeletionDate", NULL);
      from = escaped != NULL ? g_uri_unescape_string (escaped, NULL) : NULL;
      if (g_strcmp0 (from, path) != 0 || when == NULL || g_strcmp0 (when, newest) < 0)
        continue;
      g_free (newest);
      newest = g_steal_pointer (&when);
      g_free (best);
      best = g_steal_pointer (&name);
    }
  return g_steal_pointer (&best);
}

gboolean
atl_desktop_untrash (const char *path, const char *trashed, GError **error)
{
  g_autofree char *name = trashed != NULL ? g_strdup (trashed) : find_in_trash (path);
  g_autofree char *info_path = NULL, *file_path = NULL, *folder = NULL;
  g_autoptr (GError) local = NULL;

  if (name == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s is not in the trash any more"),
                   path);
      return FALSE;
    }
  info_path = trash_path ("info", name, ".trashinfo");
  file_path = trash_path ("files", name, "");
  if (renameat2 (AT_FDCWD, file_path, AT_FDCWD, path, RENAME_NOREPLACE) != 0 &&
      (errno != EXDEV || !move_across (file_path, path, &local)))
    {
      g_set_error (error, ATL_ERROR, errno == ENOENT ? ATL_ERROR_NOT_FOUND : ATL_ERROR_BUSY,
                   _ ("%s cannot be brought back from the trash: %s"), path,
                   local != NULL ? local->message : g_strerror (errno));
      return FALSE;
    }
  folder = g_path_get_dirname (path);
  atl_sync_path (folder);
  g_unlink (info_path);
  return TRUE;
}
