/* Finding, sharing and dropping the caches of a model's chats. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/conversations.h"

#include <unistd.h>

#include "engine/pipelines/chat-file.h"
#include "engine/pipelines/chat-model-private.h"

/* More are not kept: to find one takes a look at each. */
#define MAX_CONVERSATIONS 64u
/* A shared beginning that is worth copying. */
#define MIN_COPY 32u
/* Memory is wanted: so long it may take to write a conversation before it is dropped. */
#define DROP_PATIENCE_US (5 * G_USEC_PER_SEC)

struct _AtlConversations
{
  AtlLlm *llm; /* borrowed */
  guint n_ctx;
  AtlDType kv_dtype;
  AtlChatRoom room;
  AtlChatModel *model; /* borrowed (nullable) when nothing is kept */
  AtlChatKeep keep;
  GPtrArray *list; /* AtlConversation */
  guint64 bytes;   /* (atomic) */
  guint n_unkept;  /* (atomic) */
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
atl_conversations_set_keep (AtlConversations *self, AtlChatModel *model, const AtlChatKeep *keep)
{
  self->model = model;
  self->keep = *keep;
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
count (AtlConversations *self)
{
  guint64 bytes = 0;
  guint n_unkept = 0;

  for (guint i = 0; i < self->list->len; i++)
    {
      const AtlConversation *c = self->list->pdata[i];

      bytes += atl_llm_cache_bytes (c->cache);
      n_unkept += c->is_unkept;
    }
  __atomic_store_n (&self->bytes, bytes, __ATOMIC_RELAXED);
  __atomic_store_n (&self->n_unkept, n_unkept, __ATOMIC_RELAXED);
}

guint64
atl_conversations_bytes (const AtlConversations *self)
{
  return __atomic_load_n (&self->bytes, __ATOMIC_RELAXED);
}

guint
atl_conversations_n_unkept (const AtlConversations *self)
{
  return __atomic_load_n (&self->n_unkept, __ATOMIC_RELAXED);
}

void
atl_conversations_clear (AtlConversations *self)
{
  g_ptr_array_set_size (self->list, 0);
  count (self);
}

/* --- Files --- */

/* FALSE when there was no time for it. */
static gboolean
keep (AtlConversations *self, AtlConversation *c, AtlChatFileLimits *limits)
{
  guint8 identity[ATL_CHAT_IDENTITY_BYTES];
  g_autoptr (GError) error = NULL;
  gboolean is_stopped;
  int fd;

  c->is_unkept = FALSE;
  if (c->ids->len < MIN_COPY || c->ids->len != atl_llm_cache_length (c->cache))
    return TRUE;
  fd = self->keep.begin_keep (c->key, &limits->max_bytes, self->keep.user_data);
  if (fd < 0)
    return TRUE;
  atl_chat_identity (self->model, c->cache, identity);
  if (!atl_chat_file_write (fd, c->cache, c->ids, identity, limits, &error))
    g_debug ("%s: %s", c->key, error->message);
  is_stopped = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  c->is_unkept = is_stopped;
  self->keep.end_keep (c->key, error == NULL ? c->ids->len : 0, is_stopped, self->keep.user_data);
  return !is_stopped;
}

static gint
compare_used (gconstpointer a, gconstpointer b)
{
  const AtlConversation *x = *(AtlConversation *const *) a, *y = *(AtlConversation *const *) b;

  return x->used_at > y->used_at ? -1 : x->used_at < y->used_at;
}

void
atl_conversations_keep (AtlConversations *self,
                        gint64 deadline,
                        gboolean (*should_stop) (gpointer user_data),
                        gpointer user_data)
{
  AtlChatFileLimits limits = { .deadline = deadline,
                               .should_stop = should_stop,
                               .user_data = user_data };

  /* The order of the list matters to nobody. */
  g_ptr_array_sort (self->list, compare_used);
  for (guint i = 0; i < self->list->len; i++)
    {
      AtlConversation *c = self->list->pdata[i];

      if (c->is_unkept && !c->is_taken && !keep (self, c, &limits))
        break;
    }
  count (self);
}

/* Fills the conversation, of which nothing is in memory, from its file. Whatever is wrong with it:
 * what is not read is computed. */
static void
restore (AtlConversations *self, AtlConversation *c, const GArray *ids, guint limit)
{
  guint n_vocab = atl_llm_info (self->llm)->n_vocab;
  guint8 identity[ATL_CHAT_IDENTITY_BYTES];
  g_autoptr (AtlChatFile) file = NULL;
  g_autoptr (GError) error = NULL;
  int fd = self->keep.open_kept (c->key, self->keep.user_data);
  guint common;

  if (fd < 0)
    return;
  atl_conversations_rewind (c, 0);
  atl_chat_identity (self->model, c->cache, identity);
  file = atl_chat_file_open (fd, identity, n_vocab, c->cache, &error);
  if (file != NULL)
    {
      const AtlLlmCacheImage *image = atl_chat_file_image (file);
      guint64 bytes = atl_llm_cache_image_growth (c->cache, image);

      common = MIN (atl_chat_common_prefix (atl_chat_file_ids (file), ids), limit);
      if (atl_llm_cache_image_reach (c->cache, image, common) >= MIN_COPY &&
          (self->room.make_room == NULL ||
           self->room.make_room (bytes, self->room.user_data, &error)) &&
          atl_chat_file_restore (file, c->cache, &error))
        {
          g_array_append_vals (c->ids, atl_chat_file_ids (file)->data, image->length);
          c->is_restored = TRUE;
        }
    }
  if (error != NULL)
    g_debug ("%s: %s", c->key, error->message);
  close (fd);
}

/* --- Dropping --- */

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
  AtlChatFileLimits limits = { .deadline = g_get_monotonic_time () + DROP_PATIENCE_US };
  guint64 bytes;

  if (oldest == NULL)
    return 0;
  if (oldest->is_unkept)
    keep (self, oldest, &limits);
  bytes = MAX (atl_llm_cache_bytes (oldest->cache), 1);
  g_ptr_array_remove (self->list, oldest);
  count (self);
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
  count (self);
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
  count (self);
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
  c->is_unkept = key != NULL && self->keep.begin_keep != NULL;
  if (key != NULL && self->keep.open_kept != NULL && usable (c, ids, limit) < MIN_COPY)
    restore (self, c, ids, limit);
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
  conversation->is_restored = FALSE;
  conversation->used_at = g_get_monotonic_time ();
  count (self);
}
