/* One member out of a zip archive (a wheel), within bounds.
 *
 * Only what wheels are: one file, no encryption, stored or deflated, sizes below 4 GB in the
 * central directory. Everything is checked against the archive before it is used, the member is
 * found by its exact name, its name is never used as a path, and never more than the expected size
 * is produced.
 *
 * Threading: any; blocks.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Takes the next `size` bytes; FALSE with an error stops. */
typedef gboolean (*AtlZipSink) (gconstpointer bytes, gsize size, gpointer data, GError **error);

/* Hands the content of `member` in the archive at `path` to `sink`, in pieces. It must be exactly
 * `size_bytes` long. ATL_ERROR_BAD_FILE when the archive does not hold that. */
gboolean atl_zip_extract (const char *path,
                          const char *member,
                          guint64 size_bytes,
                          AtlZipSink sink,
                          gpointer data,
                          GCancellable *cancellable,
                          GError **error);

G_END_DECLS
