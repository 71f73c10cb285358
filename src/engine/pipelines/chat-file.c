/* Writing and vetting the file of a chat. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/chat-file-private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/write-all.h"

G_STATIC_ASSERT (sizeof (AtlLlmCacheImage) == 96);
G_STATIC_ASSERT (sizeof (AtlChatFileHead) == 168);

struct _AtlChatFile
{
  int fd; /* borrowed */
  AtlChatFileHead head;
  GArray *ids; /* (owned) gint32 */
};

/* --- The checksum --- */

/* Four lanes of words. A step is a bijection of the lane and of the word, so that a change within
 * one lane is found for certain, any other one with all but 1 in 2^64. Faster than a disk by far,
 * which a cryptographic sum is not; nothing rests on it but finding damage. */
typedef struct
{
  guint64 lanes[4];
  guint64 n;
} Sum;

#define ODD_1 G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)
#define ODD_2 G_GUINT64_CONSTANT (0xd6e8feb86659fd93)

static inline guint64
rotate (guint64 x, guint bits)
{
  return x << bits | x >> (64 - bits);
}

static inline void
sum_block (Sum *self, const guint8 *block)
{
  guint64 words[4];

  memcpy (words, block, sizeof words);
  for (guint i = 0; i < 4; i++)
    self->lanes[i] = rotate (self->lanes[i] ^ words[i], 29) * ODD_1;
}

/* What is not whole blocks is filled up: both sides see the same pieces. */
static void
sum_add (Sum *self, gconstpointer data, gsize n)
{
  const guint8 *bytes = data;
  guint8 rest[32] = { 0 };
  gsize i = 0;

  for (; i + sizeof rest <= n; i += sizeof rest)
    sum_block (self, bytes + i);
  if (i < n)
    {
      memcpy (rest, bytes + i, n - i);
      sum_block (self, rest);
    }
  self->n += n;
}

static guint64
sum_end (const Sum *self)
{
  guint64 sum = self->n * ODD_2 + 1;

  for (guint i = 0; i < 4; i++)
    sum = rotate (sum ^ self->lanes[i], 31) * ODD_2;
  return sum;
}

guint64
atl_chat_file_head_sum (const AtlChatFileHead *head, const GArray *ids)
{
  AtlChatFileHead copy = *head;
  Sum sum = { 0 };

  copy.head_sum = 0;
  sum_add (&sum, &copy, sizeof copy);
  sum_add (&sum, ids->data, (gsize) ids->len * sizeof (gint32));
  return sum_end (&sum);
}

/* --- Reading and writing --- */

typedef struct
{
  int fd;
  goffset at;
  Sum sum;
  const AtlChatFileLimits *limits; /* when writing */
} Stream;

static gboolean
write_all (Stream *self, gconstpointer data, gsize n, GError **error)
{
  if (!atl_write_all_at (self->fd, data, n, self->at))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "The chat could not be kept: %s",
                   g_strerror (errno));
      return FALSE;
    }
  self->at += (goffset) n;
  return TRUE;
}

static gboolean
read_all (Stream *self, gpointer data, gsize n, GError **error)
{
  guint8 *bytes = data;

  while (n > 0)
    {
      gssize done = pread (self->fd, bytes, n, self->at);

      if (done < 0 && errno == EINTR)
        continue;
      if (done <= 0)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "The kept chat cannot be read: %s",
                       done < 0 ? g_strerror (errno) : "it ends early");
          return FALSE;
        }
      bytes += done;
      n -= (gsize) done;
      self->at += done;
    }
  return TRUE;
}

static gboolean
write_cb (void *data, gsize n, gpointer user_data, GError **error)
{
  Stream *self = user_data;
  const AtlChatFileLimits *limits = self->limits;

  if ((limits->deadline != 0 && g_get_monotonic_time () > limits->deadline) ||
      (limits->should_stop != NULL && limits->should_stop (limits->user_data)))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "There was no time to keep the chat");
      return FALSE;
    }
  sum_add (&self->sum, data, n);
  return write_all (self, data, n, error);
}

static gboolean
read_cb (void *data, gsize n, gpointer user_data, GError **error)
{
  Stream *self = user_data;

  if (!read_all (self, data, n, error))
    return FALSE;
  sum_add (&self->sum, data, n);
  return TRUE;
}

/* --- Writing a file --- */

static gboolean
write_parts (Stream *self,
             AtlChatFileHead *head,
             const AtlLlmCache *cache,
             const GArray *ids,
             GError **error)
{
  goffset ids_at = sizeof *head;
  gsize ids_bytes = (gsize) ids->len * sizeof (gint32);

  self->at = ids_at;
  if (!write_all (self, ids->data, ids_bytes, error) ||
      !atl_llm_cache_write (cache, &head->image, write_cb, self, error))
    return FALSE;
  head->data_sum = sum_end (&self->sum);
  head->head_sum = atl_chat_file_head_sum (head, ids);
  self->at = 0;
  return write_all (self, head, sizeof *head, error);
}

gboolean
atl_chat_file_write (int fd,
                     const AtlLlmCache *cache,
                     const GArray *ids,
                     const guint8 *identity,
                     const AtlChatFileLimits *limits,
                     GError **error)
{
  AtlChatFileHead head = { .magic = ATL_CHAT_FILE_MAGIC,
                           .version = ATL_CHAT_FILE_VERSION,
                           .head_bytes = sizeof head };
  Stream stream = { .fd = fd, .limits = limits };
  guint64 all;

  g_return_val_if_fail (atl_llm_cache_length (cache) == ids->len, FALSE);
  if (!atl_llm_cache_describe (cache, &head.image))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "There is nothing to keep of the chat");
      return FALSE;
    }
  memcpy (head.identity, identity, sizeof head.identity);
  head.data_bytes = atl_llm_cache_image_bytes (cache, &head.image);
  all = sizeof head + (guint64) ids->len * sizeof (gint32) + head.data_bytes;
  if (all > limits->max_bytes)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_FULL,
                   "The chat takes %" G_GUINT64_FORMAT " bytes; %" G_GUINT64_FORMAT
                   " are allowed for keeping it",
                   all, limits->max_bytes);
      return FALSE;
    }
  if (write_parts (&stream, &head, cache, ids, error) && ftruncate (fd, (off_t) all) == 0)
    return TRUE;
  if (error != NULL && *error == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "The chat could not be kept: %s",
                 g_strerror (errno));
  /* Should this fail as well, the file has no head or a wrong size. */
  if (ftruncate (fd, 0) != 0)
    g_debug ("the rest of a kept chat stays: %s", g_strerror (errno));
  return FALSE;
}

/* --- Reading a file --- */

static gboolean
bad (GError **error, const char *what)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "The kept chat cannot be used: %s", what);
  return FALSE;
}

static gboolean
check_head (const AtlChatFile *self,
            const guint8 *identity,
            const AtlLlmCache *cache,
            guint64 file_bytes,
            GError **error)
{
  const AtlChatFileHead *head = &self->head;

  if (head->magic != ATL_CHAT_FILE_MAGIC || head->version != ATL_CHAT_FILE_VERSION ||
      head->head_bytes != sizeof *head)
    return bad (error, "it is no file of this version");
  if (memcmp (head->identity, identity, sizeof head->identity) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   "The kept chat is of another model or other settings");
      return FALSE;
    }
  if (head->data_bytes == 0 || atl_llm_cache_image_bytes (cache, &head->image) != head->data_bytes)
    return bad (error, "its state cannot be this model's");
  /* No overflow: length is at most the context's, data_bytes what a cache could take. */
  if (sizeof *head + (guint64) head->image.length * sizeof (gint32) + head->data_bytes !=
      file_bytes)
    return bad (error, "its size is wrong");
  return TRUE;
}

static gboolean
read_ids (AtlChatFile *self, Stream *stream, guint n_vocab, GError **error)
{
  guint n = self->head.image.length;

  self->ids = g_array_sized_new (FALSE, FALSE, sizeof (gint32), n);
  g_array_set_size (self->ids, n);
  if (!read_all (stream, self->ids->data, (gsize) n * sizeof (gint32), error))
    return FALSE;
  if (atl_chat_file_head_sum (&self->head, self->ids) != self->head.head_sum)
    return bad (error, "its checksum is wrong");
  for (guint i = 0; i < n; i++)
    if ((guint32) g_array_index (self->ids, gint32, i) >= n_vocab)
      return bad (error, "it has tokens that the model has not");
  return TRUE;
}

AtlChatFile *
atl_chat_file_open (
    int fd, const guint8 *identity, guint n_vocab, const AtlLlmCache *cache, GError **error)
{
  g_autoptr (AtlChatFile) self = g_new0 (AtlChatFile, 1);
  Stream stream = { .fd = fd };
  struct stat st;

  self->fd = fd;
  if (fstat (fd, &st) != 0 || !S_ISREG (st.st_mode))
    {
      bad (error, "it is no ordinary file");
      return NULL;
    }
  if (!read_all (&stream, &self->head, sizeof self->head, error) ||
      !check_head (self, identity, cache, (guint64) st.st_size, error) ||
      !read_ids (self, &stream, n_vocab, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
atl_chat_file_free (AtlChatFile *self)
{
  if (self == NULL)
    return;
  g_clear_pointer (&self->ids, g_array_unref);
  g_free (self);
}

const GArray *
atl_chat_file_ids (const AtlChatFile *self)
{
  return self->ids;
}

const AtlLlmCacheImage *
atl_chat_file_image (const AtlChatFile *self)
{
  return &self->head.image;
}

gboolean
atl_chat_file_restore (AtlChatFile *self, AtlLlmCache *cache, GError **error)
{
  Stream stream = { .fd = self->fd };

  stream.at = (goffset) (sizeof self->head + (gsize) self->ids->len * sizeof (gint32));
  if (!atl_llm_cache_read (cache, &self->head.image, read_cb, &stream, error))
    return FALSE;
  if (sum_end (&stream.sum) == self->head.data_sum)
    return TRUE;
  atl_llm_cache_truncate (cache, 0);
  return bad (error, "its checksum is wrong");
}
