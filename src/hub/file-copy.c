/* Copies and hashes in one pass over the source. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/file-copy.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/write-all.h"
#include "hub/part-file.h"

#define CHUNK (4 << 20)

/* Only regular files: opening a pipe or a device could block or never end. */
static int
open_regular (const char *path, guint64 *size, GError **error)
{
  struct stat st;
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

  if (fd >= 0 && fstat (fd, &st) == 0 && S_ISREG (st.st_mode))
    {
      *size = (guint64) st.st_size;
      return fd;
    }
  if (fd < 0)
    g_set_error (error, ATL_ERROR, errno == ENOENT ? ATL_ERROR_NOT_FOUND : ATL_ERROR_INVALID,
                 _ ("%s cannot be opened: %s"), path, g_strerror (errno));
  else
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s is not a file"), path);
      close (fd);
    }
  return -1;
}

static gboolean
read_error (const char *path, gssize n, GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s cannot be read: %s"), path,
               n == 0 ? _ ("it became shorter meanwhile") : g_strerror (errno));
  return FALSE;
}

static gboolean
write_error (const char *path, GError **error)
{
  int code = errno;

  g_set_error (error, ATL_ERROR,
               code == ENOSPC || code == EDQUOT ? ATL_ERROR_FULL : ATL_ERROR_INVALID,
               _ ("%s cannot be written: %s"), path, g_strerror (code));
  return FALSE;
}

char *
atl_hub_hash_file (const char *path,
                   AtlReporter *reporter,
                   GCancellable *cancellable,
                   GError **error)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree guint8 *buffer = g_malloc (CHUNK);
  guint64 size, done = 0;
  int fd = open_regular (path, &size, error);
  gssize n = 0;

  if (fd < 0)
    return NULL;
  while (done < size)
    {
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        {
          close (fd);
          return NULL;
        }
      n = read (fd, buffer, CHUNK);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        {
          read_error (path, n, error);
          close (fd);
          return NULL;
        }
      g_checksum_update (checksum, buffer, n);
      done += (guint64) n;
      atl_reporter_done (reporter, done);
    }
  close (fd);
  return g_strdup (g_checksum_get_string (checksum));
}

/* The content of `from` into the empty `to`, hashed. A clone shares every block at once and leaves
 * only the hashing; copy_file_range lets the kernel (or a server) move the bytes. */
static gboolean
copy_content (int from,
              int to,
              guint64 size,
              guint64 base_bytes,
              const char *source,
              const char *target,
              GChecksum *checksum,
              AtlReporter *reporter,
              GCancellable *cancellable,
              GError **error)
{
  g_autofree guint8 *buffer = g_malloc (CHUNK);
  gboolean cloned = ioctl (to, FICLONE, from) == 0;
  gboolean in_kernel = TRUE;
  guint64 done = 0;

  if (!cloned && !atl_hub_check_room (target, size, source, error))
    return FALSE;
  while (done < size)
    {
      gsize wanted = (gsize) MIN (size - done, (guint64) CHUNK);
      gssize n;

      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      n = pread (from, buffer, wanted, (off_t) done);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return read_error (source, n, error);
      g_checksum_update (checksum, buffer, n);
      for (gssize left = n; !cloned && left > 0;)
        {
          off64_t at = (off64_t) done + (n - left);
          gssize moved = in_kernel ? copy_file_range (from, &at, to, NULL, (gsize) left, 0) : -1;

          if (moved > 0)
            {
              left -= moved;
              continue;
            }
          /* Other kernels and file systems refuse in many ways; a full disk is one that counts. */
          if (in_kernel && (errno == ENOSPC || errno == EDQUOT))
            return write_error (target, error);
          in_kernel = FALSE;
          if (!atl_write_all (to, buffer + (n - left), (gsize) left))
            return write_error (target, error);
          left = 0;
        }
      done += (guint64) n;
      atl_reporter_done (reporter, base_bytes + done);
    }
  return TRUE;
}

gboolean
atl_hub_copy_file (const char *source,
                   const char *target,
                   guint64 base_bytes,
                   char **sha256,
                   AtlReporter *reporter,
                   GCancellable *cancellable,
                   GError **error)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  guint64 size;
  int from = open_regular (source, &size, error), to;
  gboolean ok;

  if (from < 0)
    return FALSE;
  to = open (target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (to < 0)
    {
      write_error (target, error);
      close (from);
      return FALSE;
    }
  ok = copy_content (from, to, size, base_bytes, source, target, checksum, reporter, cancellable,
                     error);
  if (ok && fsync (to) != 0)
    ok = write_error (target, error);
  close (from);
  close (to);
  if (!ok)
    {
      g_unlink (target);
      return FALSE;
    }
  if (sha256 != NULL)
    *sha256 = g_strdup (g_checksum_get_string (checksum));
  return TRUE;
}
