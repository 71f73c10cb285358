/* Files in memory that the engine writes pixels to. */
#define G_LOG_DOMAIN "atl-client"

#include <errno.h>
#include <glib/gi18n.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/client-private.h"

gboolean
atl_room_add (GUnixFDList *fds, GPtrArray *names, const char *name, GError **error)
{
  int fd = memfd_create ("atelier-picture", MFD_CLOEXEC);
  gboolean ok;

  if (fd < 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "%s",
                   _ ("There is no memory left for the finished picture"));
      return FALSE;
    }
  ok = g_unix_fd_list_append (fds, fd, error) >= 0;
  close (fd);
  g_ptr_array_add (names, g_strdup (name));
  return ok;
}

/* The engine may still write to the file: its bytes are copied. */
GBytes *
atl_room_read (GUnixFDList *fds,
               int room,
               guint width,
               guint height,
               guint max_side,
               guint64 offset,
               GError **error)
{
  gsize size = (gsize) width * height * 3, done = 0;
  g_autofree guint8 *bytes = NULL;
  int fd;

  if (width == 0 || height == 0 || width > max_side || height > max_side ||
      offset > G_MAXINT64 / 2 || fds == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s",
                   _ ("The engine gave an answer that makes no sense."));
      return NULL;
    }
  bytes = g_try_malloc (size);
  if (bytes == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "%s",
                   _ ("There is no memory left for the finished picture"));
      return NULL;
    }
  fd = g_unix_fd_list_get (fds, room, error);
  if (fd < 0)
    return NULL;
  while (done < size)
    {
      gssize n = pread (fd, bytes + done, size - done, (off_t) (offset + done));

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        break;
      done += (gsize) n;
    }
  close (fd);
  if (done < size)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s",
                   _ ("The engine gave an answer that makes no sense."));
      return NULL;
    }
  return g_bytes_new_take (g_steal_pointer (&bytes), size);
}
