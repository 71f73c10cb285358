/* What a loaded model remembers of its chats: a cache a conversation, the least recently used one
 * dropped first.
 *
 *   conversation = atl_conversations_take (conversations, "chat-7", ids, error);
 *   ... conversation->ids->len of the prompt's ids need not be computed again ...
 *   atl_conversations_give_back (conversations, conversation);
 *
 * A conversation is found by its key; without one, by the longest common beginning. Where another
 * conversation holds more of the prompt, that part is copied rather than computed. A conversation
 * that leaves the memory is kept in a file, if there is one for it (AtlChatKeep), and read back
 * when it is taken again.
 *
 * Threading: every function but atl_conversations_bytes() and _n_unkept() is called inside the
 * turnstile, which also guards the caches; a conversation that was taken belongs to the taker's
 * thread.
 */
#pragma once

#include "engine/models/llm/llm.h"
#include "engine/pipelines/chat-model.h"

G_BEGIN_DECLS

typedef struct _AtlConversations AtlConversations;

typedef struct
{
  char *key; /* (owned) (nullable) */
  AtlLlmCache *cache;
  GArray *ids; /* gint32: what the cache holds, in step with its length */
  gboolean is_taken;
  gboolean is_restored; /* its beginning came from a file, and no answer since */
  gboolean is_unkept;   /* changed since it was written to its file */
  gint64 used_at;       /* monotonic, when it was given back */
} AtlConversation;

/* `llm` is borrowed. `room` (nullable) is asked before memory is taken. */
AtlConversations *
atl_conversations_new (AtlLlm *llm, guint n_ctx, AtlDType kv_dtype, const AtlChatRoom *room);
/* Conversations of `model` (borrowed), whose decoder it is, are kept in files. */
void
atl_conversations_set_keep (AtlConversations *self, AtlChatModel *model, const AtlChatKeep *keep);
/* None is taken. Accepts NULL. */
void atl_conversations_free (AtlConversations *self);

/* A conversation whose cache holds a beginning of `ids`, never all of them. ATL_ERROR_NO_MEMORY in
 * words when there is no room for another one. */
AtlConversation *
atl_conversations_take (AtlConversations *self, const char *key, const GArray *ids, GError **error);
void atl_conversations_give_back (AtlConversations *self, AtlConversation *conversation);

/* Makes room for `n` more tokens. Errors: ATL_ERROR_NO_MEMORY. */
gboolean atl_conversations_grow (AtlConversations *self,
                                 AtlConversation *conversation,
                                 guint n,
                                 GError **error);
/* Keeps the first `length` tokens, or fewer where the model cannot stop there. By the taker, also
 * outside the turnstile. */
void atl_conversations_rewind (AtlConversation *conversation, guint length);

/* Writes the idle ones that changed into their files: see atl_chat_model_keep_conversations(). */
void atl_conversations_keep (AtlConversations *self,
                             gint64 deadline,
                             gboolean (*should_stop) (gpointer user_data),
                             gpointer user_data);
/* How many changed since they were written; any thread. */
guint atl_conversations_n_unkept (const AtlConversations *self);

/* Forgets all of them, without keeping any: none is taken. */
void atl_conversations_clear (AtlConversations *self);
/* Frees the cache that was idle for longest, kept in its file first if that is possible within some
 * seconds; the bytes, 0 when all are taken. */
guint64 atl_conversations_drop_oldest (AtlConversations *self);
/* When that one was last used, monotonic; G_MAXINT64 when all are taken. */
gint64 atl_conversations_oldest (const AtlConversations *self);
/* Memory of all caches; any thread. */
guint64 atl_conversations_bytes (const AtlConversations *self);

G_END_DECLS
