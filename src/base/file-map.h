/* A read-only mapping of a whole file, from a descriptor somebody handed us.
 *
 * The mapping keeps the file alive when it is deleted. A file that is truncated while mapped raises
 * SIGBUS on use, which ends the engine and is reported by the client like any other crash.
 *
 * Threading: immutable after creation; reference counting is atomic.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

typedef struct _AtlFileMap AtlFileMap;

/* Maps the regular file behind `fd`, which stays the caller's. `name` is used in messages.
 * ATL_ERROR_BAD_FILE when it is empty or no regular file. */
AtlFileMap *atl_file_map_new_from_fd (int fd, const char *name, GError **error);

/* Opens and maps `path`. For tools and tests; the engine only ever sees descriptors. */
AtlFileMap *atl_file_map_new (const char *path, GError **error);

/* Counted atomically; the last one unmaps and closes. NULL is fine for unref. */
AtlFileMap *atl_file_map_ref (AtlFileMap *self);
void atl_file_map_unref (AtlFileMap *self);

/* Its bytes, atl_file_map_size() of them; borrowed, as long as the map lives. */
const guint8 *atl_file_map_data (const AtlFileMap *self);
gsize atl_file_map_size (const AtlFileMap *self);
/* When its bytes were last changed, nanoseconds since 1970; as it was when it was mapped. */
gint64 atl_file_map_mtime (const AtlFileMap *self);
/* As it was given, for messages; borrowed. */
const char *atl_file_map_name (const AtlFileMap *self);

/* Copies `size` bytes at `data` (inside the mapping) without their pages being mapped: for what is
 * read once that is sooner than meeting page after page and giving them back. */
void atl_file_map_read (const AtlFileMap *self, const guint8 *data, gsize size, guint8 *out);

/* Tells the kernel that `size` bytes at `data` (inside the mapping) were copied elsewhere and need
 * not stay in memory. */
void atl_file_map_forget (AtlFileMap *self, const guint8 *data, gsize size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlFileMap, atl_file_map_unref)

G_END_DECLS
