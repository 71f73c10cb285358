/* Read-only file mappings with reference counts. */
#define G_LOG_DOMAIN "atl-base"

#include "base/file-map.h"

#include <glib/gi18n.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct _AtlFileMap
{
  gatomicrefcount refs;
  guint8 *data;
  gsize size;
  int fd; /* (owned) our own, or -1: only the mapping is read */
  gint64 mtime;
  char *name; /* (owned) */
};

AtlFileMap *
atl_file_map_new_from_fd (int fd, const char *name, GError **error)
{
  struct stat st;
  void *data;

  if (fstat (fd, &st) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s cannot be read: %s"), name,
                   g_strerror (errno));
      return NULL;
    }
  if (!S_ISREG (st.st_mode))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s is not a regular file"), name);
      return NULL;
    }
  if (st.st_size <= 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s is empty"), name);
      return NULL;
    }

  data = mmap (NULL, (gsize) st.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s cannot be read: %s"), name,
                   g_strerror (errno));
      return NULL;
    }

  AtlFileMap *self = g_new0 (AtlFileMap, 1);
  g_atomic_ref_count_init (&self->refs);
  self->data = data;
  self->size = (gsize) st.st_size;
  self->fd = fcntl (fd, F_DUPFD_CLOEXEC, 0);
  self->mtime = (gint64) st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
  self->name = g_strdup (name);
  return self;
}

AtlFileMap *
atl_file_map_new (const char *path, GError **error)
{
  g_autofree char *name = g_filename_display_basename (path);
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  AtlFileMap *self;

  if (fd < 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s cannot be opened: %s"), name,
                   g_strerror (errno));
      return NULL;
    }
  self = atl_file_map_new_from_fd (fd, name, error);
  close (fd);
  return self;
}

AtlFileMap *
atl_file_map_ref (AtlFileMap *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
atl_file_map_unref (AtlFileMap *self)
{
  if (self == NULL || !g_atomic_ref_count_dec (&self->refs))
    return;
  munmap (self->data, self->size);
  if (self->fd >= 0)
    close (self->fd);
  g_free (self->name);
  g_free (self);
}

const guint8 *
atl_file_map_data (const AtlFileMap *self)
{
  return self->data;
}

gsize
atl_file_map_size (const AtlFileMap *self)
{
  return self->size;
}

gint64
atl_file_map_mtime (const AtlFileMap *self)
{
  return self->mtime;
}

const char *
atl_file_map_name (const AtlFileMap *self)
{
  return self->name;
}

void
atl_file_map_read (const AtlFileMap *self, const guint8 *data, gsize size, guint8 *out)
{
  const gsize start = (gsize) (data - self->data);
  gsize done = 0;

  g_return_if_fail (start <= self->size && size <= self->size - start);
  while (done < size && self->fd >= 0)
    {
      gssize n = pread (self->fd, out + done, size - done, (off_t) (start + done));

      if (n > 0)
        done += (gsize) n;
      else if (n == 0 || errno != EINTR)
        break;
    }
  /* What cannot be read is met in the mapping, and fails there as it does for everybody else. */
  if (done < size)
    memcpy (out + done, data + done, size - done);
}

void
atl_file_map_forget (AtlFileMap *self, const guint8 *data, gsize size)
{
  gsize page = (gsize) sysconf (_SC_PAGESIZE);
  gsize start = (gsize) (data - self->data);
  gsize end;

  g_return_if_fail (start <= self->size && size <= self->size - start);

  /* Whole pages only: the neighbours may still be in use. */
  end = (start + size) / page * page;
  start = (start + page - 1) / page * page;
  if (end > start)
    madvise (self->data + start, end - start, MADV_DONTNEED);
}
