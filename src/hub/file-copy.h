/* Hashing and copying of large files.
 *
 * Threading: any; blocks.
 */
#pragma once

#include "hub/reporter.h"

G_BEGIN_DECLS

/* The SHA-256 of a file in lower-case hex, the caller's. Progress counts its bytes. */
char *atl_hub_hash_file (const char *path,
                         AtlReporter *reporter,
                         GCancellable *cancellable,
                         GError **error);

/* Copies `source` to the new file `target` (which must not be there) and flushes it. Shares blocks
 * where the file system can, else copies in the kernel, else through memory. `sha256` (out,
 * nullable) is the caller's. `base_bytes` of the progress lie before this file. On failure `target`
 * is gone. */
gboolean atl_hub_copy_file (const char *source,
                            const char *target,
                            guint64 base_bytes,
                            char **sha256,
                            AtlReporter *reporter,
                            GCancellable *cancellable,
                            GError **error);

G_END_DECLS
