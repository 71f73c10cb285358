/* What a model remembers of a chat, as a file: the token ids and the cache of keys, values and
 * states behind them, so that the chat can go on without being computed again.
 *
 *   atl_chat_file_write (fd, cache, ids, identity, &limits, error);
 *   ...
 *   AtlChatFile *file = atl_chat_file_open (fd, identity, n_vocab, empty_cache, error);
 *   n = atl_chat_common_prefix (atl_chat_file_ids (file), prompt);
 *   atl_chat_file_restore (file, empty_cache, error);
 *
 * Whoever wrote the file, it is untrusted: every size in it follows from the number of tokens,
 * which is bounded by the context before anything is allocated, and must agree with the size of the
 * file. Two checksums find damage, and the identity (32 bytes that name the model's files and
 * whatever else decides the numbers) tells a file of another model, or of other settings. A file
 * that is not right in every point is an error, and an empty cache stays empty.
 *
 * Layout, in the byte order of the machine (another one's magic number reads differently):
 *   head  AtlChatFileHead's fields (chat-file.c), its checksum over itself and the ids
 *   ids   i32 [image.length]
 *   data  atl_llm_cache_write()'s bytes, to the end of the file
 * The head is written last: a file that was not finished has none.
 *
 * Threading: the cache's.
 */
#pragma once

#include "engine/models/llm/llm-image.h"

G_BEGIN_DECLS

#define ATL_CHAT_IDENTITY_BYTES 32u

typedef struct
{
  guint64 max_bytes; /* of the file */
  gint64 deadline;   /* monotonic; 0: none */
  /* (nullable) Between two pieces of some MiB: something more important came up. */
  gboolean (*should_stop) (gpointer user_data);
  gpointer user_data;
} AtlChatFileLimits;

/* Writes what `cache` holds, whose tokens are `ids` (gint32), over the file `fd`, from its
 * beginning. ATL_ERROR_FULL when it would be larger than the limit, G_IO_ERROR_CANCELLED when it
 * was stopped or took too long, ATL_ERROR_NO_MEMORY when the disk is full or refuses otherwise. The
 * file is empty then. */
gboolean atl_chat_file_write (int fd,
                              const AtlLlmCache *cache,
                              const GArray *ids,
                              const guint8 *identity,
                              const AtlChatFileLimits *limits,
                              GError **error);

typedef struct _AtlChatFile AtlChatFile;

/* Reads and checks all but the data. `fd` is borrowed and stays open as long as the result.
 * `cache` is a cache of the size and type that the data would go into. ATL_ERROR_BAD_FILE;
 * ATL_ERROR_INVALID when the file is well, but another model's. */
AtlChatFile *atl_chat_file_open (
    int fd, const guint8 *identity, guint n_vocab, const AtlLlmCache *cache, GError **error);
/* Accepts NULL. */
void atl_chat_file_free (AtlChatFile *self);
/* gint32; borrowed. */
const GArray *atl_chat_file_ids (const AtlChatFile *self);
const AtlLlmCacheImage *atl_chat_file_image (const AtlChatFile *self);
/* Reads the data into the empty cache; on error it is empty again. */
gboolean atl_chat_file_restore (AtlChatFile *self, AtlLlmCache *cache, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlChatFile, atl_chat_file_free)

G_END_DECLS
