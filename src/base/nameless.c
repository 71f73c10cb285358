/* Linux's O_TMPFILE. */
#include "base/nameless.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

int
atl_nameless_open (const char *folder)
{
  return g_access ("/proc/self/fd", X_OK) == 0
             ? open (folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644)
             : -1;
}

gboolean
atl_nameless_link (int fd, const char *path)
{
  g_autofree char *nameless = g_strdup_printf ("/proc/self/fd/%d", fd);

  return linkat (AT_FDCWD, nameless, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0;
}
