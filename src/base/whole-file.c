/* Files without a name, then named; hidden ones where the file system knows no others. */
#define G_LOG_DOMAIN "atl-base"

#include "base/whole-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/nameless.h"
#include "base/sync.h"
#include "base/thread-task.h"
#include "base/write-all.h"

#define MAX_TRIES 100

void
atl_whole_file_clear (AtlWholeFile *self)
{
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
  if (self->hidden != NULL)
    g_unlink (self->hidden);
  g_clear_pointer (&self->hidden, g_free);
}

void
atl_whole_file_set_error (GError **error, int number, const char *folder)
{
  if (number == ENOSPC || number == EDQUOT)
    g_set_error (error, ATL_ERROR, ATL_ERROR_FULL,
                 _ ("The disk with “%s” is full. Free some space and save again"), folder);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("“%s” cannot be written to: %s"), folder,
                 g_strerror (number));
}

static gboolean
write_and_flush (int fd, GBytes *bytes)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  return atl_write_all (fd, data, size) && fsync (fd) == 0;
}

gboolean
atl_whole_file_write (AtlWholeFile *self, const char *folder, GBytes *bytes, GError **error)
{
  self->fd = atl_nameless_open (folder);
  if (self->fd < 0)
    {
      self->hidden = g_build_filename (folder, ".atelier-XXXXXX", NULL);
      self->fd = g_mkstemp_full (self->hidden, O_WRONLY | O_CLOEXEC, 0644);
      if (self->fd < 0)
        g_clear_pointer (&self->hidden, g_free);
    }
  if (self->fd >= 0 && write_and_flush (self->fd, bytes))
    return TRUE;
  atl_whole_file_set_error (error, errno != 0 ? errno : EIO, folder);
  atl_whole_file_clear (self);
  return FALSE;
}

static int
take_name (AtlWholeFile *self, const char *path)
{
  int own, number;

  if (self->hidden == NULL)
    return atl_nameless_link (self->fd, path) ? 0 : errno;
  /* A link fails when the name is taken, which a rename would not. */
  if (link (self->hidden, path) == 0)
    {
      g_unlink (self->hidden);
      g_clear_pointer (&self->hidden, g_free);
      return 0;
    }
  if (errno != EPERM && errno != ENOTSUP)
    return errno;
  /* A file system without links: the name is made first, then filled by renaming. */
  own = g_open (path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (own < 0)
    return errno;
  close (own);
  if (g_rename (self->hidden, path) == 0)
    {
      g_clear_pointer (&self->hidden, g_free);
      return 0;
    }
  number = errno;
  g_unlink (path);
  return number;
}

static void
sync_folder_of (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);

  atl_sync_path (folder);
}

int
atl_whole_file_take_name (AtlWholeFile *self, const char *path)
{
  int number = take_name (self, path);

  if (number == 0)
    sync_folder_of (path);
  return number;
}

/* A hidden name for what has none: only a named file can take another's place. */
static int
hide (AtlWholeFile *self, const char *folder)
{
  for (guint i = 0; self->hidden == NULL && i < MAX_TRIES; i++)
    {
      g_autofree char *name = g_strdup_printf (".atelier-%08x", g_random_int ());
      g_autofree char *path = g_build_filename (folder, name, NULL);

      if (atl_nameless_link (self->fd, path))
        self->hidden = g_steal_pointer (&path);
      else if (errno != EEXIST)
        return errno;
    }
  return self->hidden != NULL ? 0 : EEXIST;
}

static int
take_place (AtlWholeFile *self, const char *folder, const char *path)
{
  int number = atl_whole_file_take_name (self, path);
  GStatBuf st;

  if (number != EEXIST)
    return number;
  if (g_stat (path, &st) != 0 || !S_ISREG (st.st_mode))
    return EEXIST;
  if (fchmod (self->fd, st.st_mode & 0777) != 0)
    g_debug ("the rights of %s are not kept: %s", path, g_strerror (errno));
  number = hide (self, folder);
  if (number != 0)
    return number;
  if (g_rename (self->hidden, path) != 0)
    return errno;
  g_clear_pointer (&self->hidden, g_free);
  sync_folder_of (path);
  return 0;
}

static gboolean
save_elsewhere (GFile *to, GBytes *bytes, gboolean replaces, GError **error)
{
  g_autoptr (GFileOutputStream) stream =
      replaces ? g_file_replace (to, NULL, FALSE, G_FILE_CREATE_NONE, NULL, error)
               : g_file_create (to, G_FILE_CREATE_NONE, NULL, error);
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  return stream != NULL &&
         g_output_stream_write_all (G_OUTPUT_STREAM (stream), data, size, NULL, NULL, error) &&
         g_output_stream_close (G_OUTPUT_STREAM (stream), NULL, error);
}

gboolean
atl_whole_file_save (GFile *to, GBytes *bytes, gboolean replaces, GError **error)
{
  g_auto (AtlWholeFile) file = ATL_WHOLE_FILE_INIT;
  const char *path = g_file_is_native (to) ? g_file_peek_path (to) : NULL;
  g_autofree char *followed = NULL, *folder = NULL;
  int number;

  if (path == NULL)
    return save_elsewhere (to, bytes, replaces, error);
  followed = g_file_test (path, G_FILE_TEST_IS_SYMLINK) ? realpath (path, NULL) : NULL;
  if (followed != NULL)
    path = followed;
  folder = g_path_get_dirname (path);
  if (!atl_whole_file_write (&file, folder, bytes, error))
    return FALSE;
  number = replaces ? take_place (&file, folder, path) : atl_whole_file_take_name (&file, path);
  if (number == 0)
    return TRUE;
  atl_whole_file_set_error (error, number, path);
  return FALSE;
}

/* --- On a thread --- */

typedef struct
{
  GFile *to;
  GBytes *bytes;
} Save;

static void
save_free (gpointer data)
{
  Save *save = data;

  g_object_unref (save->to);
  g_bytes_unref (save->bytes);
  g_free (save);
}

static void
save_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Save *save = data;
  GError *error = NULL;

  if (atl_whole_file_save (save->to, save->bytes, TRUE, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

void
atl_whole_file_save_async (GFile *to, GBytes *bytes, GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, callback, data);
  Save *save = g_new0 (Save, 1);

  g_task_set_source_tag (task, atl_whole_file_save_async);
  save->to = g_object_ref (to);
  save->bytes = g_bytes_ref (bytes);
  g_task_set_task_data (task, save, save_free);
  atl_thread_task_run (task, save_thread);
}

gboolean
atl_whole_file_save_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
