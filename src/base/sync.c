/* Flushing by path. */
#include "base/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

gboolean
atl_sync_path (const char *path)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  gboolean ok;
  int number;

  if (fd < 0)
    return FALSE;
  ok = fsync (fd) == 0;
  number = errno;
  close (fd);
  errno = number;
  return ok;
}
