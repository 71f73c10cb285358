/* A file that is being put together beside its target: NAME.part and NAME.part.state.
 *
 *   g_autoptr (AtlPart) part = atl_part_open (target, sha256, error);
 *   atl_part_append (part, data, size, error);
 *   char *path = atl_part_finish (part, sha256, error);
 *
 * The content is hashed as it is written. The state survives restarts; after a power cut only what
 * was flushed before counts. One process at a time holds a part.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "base/error.h"
#include "hub/reporter.h"

G_BEGIN_DECLS

typedef struct _AtlPart AtlPart;

/* At most this much is lost by a power cut. */
#define ATL_PART_FLUSH_BYTES (8u << 20)

/* Opens the part of `target`, or begins one. What is there counts only when it was begun with the
 * same `key` (what it will be: the hash). ATL_ERROR_BUSY when another process holds it. */
AtlPart *atl_part_open (const char *target, const char *key, GError **error);

/* Closes it and keeps what is there. NULL is fine. */
void atl_part_close (AtlPart *self);

/* How many bytes of it are there. */
guint64 atl_part_size (const AtlPart *self);

/* NAME.part; borrowed. */
const char *atl_part_path (const AtlPart *self);

/* Cuts it back (to 0: begins again). */
gboolean atl_part_truncate (AtlPart *self, guint64 size, GError **error);

/* Hashes what was there before it was opened or cut; needed once before appending or finishing. */
gboolean
atl_part_catch_up (AtlPart *self, AtlReporter *reporter, GCancellable *cancellable, GError **error);

/* ATL_ERROR_FULL when there is no room; what was written stays. */
gboolean atl_part_append (AtlPart *self, gconstpointer data, gsize size, GError **error);

/* Short texts kept in the state: the etag, the step. NULL forgets. Written with the next flush. */
void atl_part_set_note (AtlPart *self, const char *name, const char *value);
const char *atl_part_note (const AtlPart *self, const char *name);

/* Content and state on disk, now. */
gboolean atl_part_flush (AtlPart *self, GError **error);

/* Moves it to its target if the content has this SHA-256 (64 hex digits); the path, the caller's (a
 * number is added where the name is taken by something else). If it has not, removes the part:
 * ATL_ERROR_BAD_FILE. */
char *atl_part_finish (AtlPart *self, const char *sha256, GError **error);

/* Removes it from disk. */
void atl_part_discard (AtlPart *self);

/* How many bytes are on disk for `target`, whatever they are; nothing is opened. */
guint64 atl_part_bytes_there (const char *target);

/* TRUE when `bytes` more fit on the disk that holds `path` with some to spare; else ATL_ERROR_FULL
 * in words about `what`. */
gboolean atl_hub_check_room (const char *path, guint64 bytes, const char *what, GError **error);

/* Moves `from` to `to` or, where that is taken, to "to (2)" and so on, never over anything. The
 * path taken, the caller's. */
char *atl_hub_move_in (const char *from, const char *to, GError **error);

/* TRUE for 64 hex digits. */
gboolean atl_hub_is_sha256 (const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPart, atl_part_close)

G_END_DECLS
