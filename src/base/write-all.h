/* Writing all of something: the kernel may take less at a time, or be interrupted.
 *
 *   if (!atl_write_all (fd, bytes, size))
 *     ... g_strerror (errno) ...
 *
 * Threading: from any thread; blocks as long as the disk takes.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* `size` bytes where the descriptor stands. FALSE with errno set, ENOSPC where no more is taken
 * without a reason; some may have been written then. */
gboolean atl_write_all (int fd, gconstpointer data, gsize size);
/* The same from byte `at` of the file on; the descriptor stays where it stands. */
gboolean atl_write_all_at (int fd, gconstpointer data, gsize size, goffset at);

G_END_DECLS
