/* Reads GGUF files (versions 1 to 3, little endian), single or split into shards.
 *
 *   AtlFileMap *maps[] = { map };
 *   g_autoptr (AtlCheckpoint) cp = atl_gguf_open (maps, 1, &error);
 *
 * The whole file is vetted before anything is handed out: every count and length against the bytes
 * that are left, every shape and offset with checked arithmetic, names for being unique UTF-8.
 * Memory and time stay proportional to the file and below fixed limits (gguf-private.h).
 *
 * Tensor dimensions are outermost first, the reverse of the file's order. Metadata keep the file's
 * keys; integers become ATL_META_INT or ATL_META_UINT by their signedness, both float types
 * ATL_META_FLOAT.
 *
 * Threading: any thread; the result is immutable.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* Whether `size` bytes begin like a GGUF file. */
gboolean atl_gguf_is_gguf (const guint8 *data, gsize size);

/* Opens one GGUF file, or all shards of a split one in any order; `n_maps` is at least 1. The
 * checkpoint keeps the maps alive, takes its name from the first shard and its metadata from there
 * too (the others only repeat the split's own keys).
 * ATL_ERROR_BAD_FILE when a file is broken; ATL_ERROR_UNSUPPORTED for big-endian files, unknown
 * versions and element types; ATL_ERROR_NOT_FOUND when shards are missing. */
AtlCheckpoint *atl_gguf_open (AtlFileMap *const *maps, guint n_maps, GError **error);

G_END_DECLS
