/* Files that have no name until they are complete: however the program that writes one ends, the
 * kernel takes it away with it, and no half or hidden file stays.
 *
 *   int fd = atl_nameless_open (folder);
 *   ... write and fsync ...
 *   atl_nameless_link (fd, path);
 *   atl_sync_path (folder);
 *
 * Not every file system has them: the caller then writes under a hidden name.
 *
 * Threading: from any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* For writing, in this folder, of mode 0644; -1 where the file system has none, or what is mounted
 * would not let it get a name later. */
int atl_nameless_open (const char *folder);

/* Gives it a name in the same file system. FALSE with errno set; EEXIST where the name is taken. */
gboolean atl_nameless_link (int fd, const char *path);

G_END_DECLS
