/* What a power cut must not take back.
 *
 *   ... write, fsync and rename a file ...
 *   atl_sync_path (folder);
 *
 * A new name, or one that was removed, is on the disk once its folder was flushed: flushing the
 * file is not enough.
 *
 * Threading: from any thread; may block as long as the disk takes.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Flushes a file, or the names in a folder, to the disk. FALSE with errno set when that failed,
 * which for folders some file systems always do. */
gboolean atl_sync_path (const char *path);

G_END_DECLS
