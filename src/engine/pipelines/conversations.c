/* Finding, sharing and dropping the caches of a model's chats. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/conversations.h"

#include "engine/pipelines/chat-model-private.h"

/* More are not kept: to find one takes a look at each. */
#define MAX_CONVERSATIONS 64u
/* A shared beginning that is worth copying. */
#define MIN_COPY 32u

struct _AtlConversations
{
  AtlLlm *llm; /* borrowed */
  guint n_ctx;
  AtlDType kv_dtype;
  AtlChatRoom room;
  GPtrArray *list; /* AtlConversation */
  guint64 bytes;   /* (atomic) */
};

static void
conversation_free (gpointer data)
{
  AtlConversation *self = data;

  g_assert (!self->is_taken);
  atl_llm_cache_free (self->cache);
  g_array_unref (self->ids);
  g_free (self->key);
  g_free (self);
}

AtlConversations *
atl_conversations_new (AtlLlm *llm, guint n_ctx, AtlDType kv_dtype, const AtlChatRoom *room)
{
  AtlConversations *self = g_new0 (AtlConversations, 1);

  self->llm = llm;
  self->n_ctx = n_ctx;
  self->kv_dtype = kv_dtype;
  if (room != NULL)
    self->room = *room;
  self->list = g_ptr_array_new_with_free_func (conversation_free);
  return self;
}

void
atl_conversations_free (AtlConversations *self)
{
  if (self == NULL)
    return;
  g_ptr_array_unref (self->list);
  g_free (self);
}

static void
count_bytes (AtlConversations *self)
{
  guint64 bytes = 0;

  for (guint i = 0; i < self->list->len; i++)
    bytes += atl_llm_cache_bytes (((AtlConversation *) self->list->pdata[i])->cache);
  __atomic_store_n (&self->bytes, bytes, __ATOMIC_RELAXED);
}

guint64
atl_conversations_bytes (const AtlConversations *self)
{
  return __atomic_load_n (&self->bytes, __ATOMIC_RELAXED);
}

static AtlConversation *
oldest_idle (const AtlConversations *self)
{
  AtlConversation *oldest = NULL;

  for (guint i = 0; i < self->list->len; i++)
    {
      AtlConversation *c = self->list->pdata[i];

      if (!c->is_taken && (oldest == NULL || c->used_at < oldest->used_at))
        oldest = c;
    }
  return oldest;
}

gint64
atl_conversations_oldest (const AtlConversations *self)
{
  const AtlConversation *oldest = oldest_idle (self);

  return oldest != NULL ? oldest->used_at : G_MAXINT64;
}

guint64
atl_conversations_drop_oldest (AtlConversations *self)
{
  AtlConversation *oldest = oldest_idle (self);
  guint64 bytes;

  if (oldest == NULL)
    return 0;
  bytes = MAX (atl_llm_cache_bytes (oldest->cache), 1);
  g_ptr_array_remove (self->list, oldest);
  count_bytes (self);
  return bytes;
}

void
atl_conversations_rewind (AtlConversation *conversation, guint length)
{
  if (length < conversation->ids->len)
    g_array_set_size (conversation->ids, atl_llm_cache_truncate (conversation->cache, length));
}

gboolean
atl_conversations_grow (AtlConversations *self,
                        AtlConversation *conversation,
                        guint n,
                        GError **error)
{
  guint64 bytes = atl_llm_cache_growth (conversation->cache, n);

  if (bytes == 0)
    return TRUE;
  if (self->room.make_room != NULL && !self->room.make_room (bytes, self->room.user_data, error))
    return FALSE;
  if (!atl_llm_cache_reserve (conversation->cache, n, error))
    return FALSE;
  count_bytes (self);
  return TRUE;
}

/* --- Finding --- */

/* The one with the key, else of those without any the one that is a beginning of the prompt for the
 * most part: another chat's memory is not spent on a few words in common. */
static AtlConversation *
find (const AtlConversations *self, const char *key, const GArray *ids)
{
  AtlConversation *best = NULL;
  guint most = 0;

  for (guint i = 0; i < self->list->len; i++)
    {
      AtlConversation *c = self->list->pdata[i];
      guint common;

      if (c->is_taken || g_strcmp0 (c->key, key) != 0)
        continue;
      if (key != NULL)
        return c;
      common = atl_chat_common_prefix (c->ids, ids);
      if (common > most && common >= MIN (c->ids->len, ids->len) / 2)
        {
          best = c;
          most = common;
        }
    }
  return best;
}

static AtlConversation *
add (AtlConversations *self, const char *key, GError **error)
{
  AtlLlmCache *cache;
  AtlConversation *c;

  while (self->list->len >= MAX_CONVERSATIONS && atl_conversations_drop_oldest (self) > 0)
    ;
  cache = atl_llm_cache_new (self->llm, self->n_ctx, self->kv_dtype, error);
  if (cache == NULL)
    return NULL;
  c = g_new0 (AtlConversation, 1);
  c->key = g_strdup (key);
  c->cache = cache;
  c->ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_ptr_array_add (self->list, c);
  count_bytes (self);
  return c;
}

/* How many of the first `limit` ids the conversation has, at a place where it can go on. */
static guint
usable (const AtlConversation *c, const GArray *ids, guint limit)
{
  return atl_llm_cache_reach (c->cache, MIN (atl_chat_common_prefix (c->ids, ids), limit));
}

/* Copies what another conversation holds of the prompt beyond the `own` tokens that are usable. */
static void
borrow (AtlConversations *self, AtlConversation *c, guint own, const GArray *ids, guint limit)
{
  AtlConversation *donor = NULL;
  gboolean was_taken;
  guint most = own + MIN_COPY;

  for (guint i = 0; i < self->list->len; i++)
    {
      AtlConversation *other = self->list->pdata[i];
      guint common = other != c ? usable (other, ids, limit) : 0;

      if (common >= most)
        {
          donor = other;
          most = common;
        }
    }
  if (donor == NULL)
    return;
  /* Making room must not drop it. A copy that cannot be made is computed instead. */
  was_taken = donor->is_taken;
  donor->is_taken = TRUE;
  atl_conversations_rewind (c, 0);
  if (atl_conversations_grow (self, c, most, NULL) &&
      atl_llm_cache_copy (c->cache, donor->cache, most, NULL))
    g_array_append_vals (c->ids, donor->ids->data, atl_llm_cache_length (c->cache));
  donor->is_taken = was_taken;
}

AtlConversation *
atl_conversations_take (AtlConversations *self, const char *key, const GArray *ids, GError **error)
{
  AtlConversation *c = find (self, key, ids);
  /* The last token is always computed: its logits begin the answer. */
  guint limit = ids->len - 1;

  if (c == NULL)
    c = add (self, key, error);
  if (c == NULL)
    return NULL;
  c->is_taken = TRUE;
  borrow (self, c, usable (c, ids, limit), ids, limit);
  atl_conversations_rewind (c, usable (c, ids, limit));
  /* Here the last answer ended: another question begins here, too. */
  atl_llm_cache_checkpoint (c->cache);
  return c;
}

void
atl_conversations_give_back (AtlConversations *self, AtlConversation *conversation)
{
  conversation->is_taken = FALSE;
  conversation->used_at = g_get_monotonic_time ();
}
