/* Writing until all of it is written. */
#include "base/write-all.h"

#include <errno.h>
#include <unistd.h>

/* Negative `at`: where the descriptor stands. */
static gboolean
write_from (int fd, const guint8 *bytes, gsize size, goffset at)
{
  for (gsize done = 0; done < size;)
    {
      gssize n = at < 0 ? write (fd, bytes + done, size - done)
                        : pwrite (fd, bytes + done, size - done, at + (goffset) done);

      if (n < 0 && errno == EINTR)
        continue;
      if (n == 0)
        errno = ENOSPC;
      if (n <= 0)
        return FALSE;
      done += (gsize) n;
    }
  return TRUE;
}

gboolean
atl_write_all (int fd, gconstpointer data, gsize size)
{
  return write_from (fd, data, size, -1);
}

gboolean
atl_write_all_at (int fd, gconstpointer data, gsize size, goffset at)
{
  g_return_val_if_fail (at >= 0, FALSE);
  return write_from (fd, data, size, at);
}
