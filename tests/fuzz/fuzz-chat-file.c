/* Any file as that of a chat, for a model of each kind of state.
 *
 * A file of random bytes never gets past its checksum, so the bytes are changes to one that is
 * well: which model's, whether the head's checksum is made right afterwards, where the file ends,
 * and pieces to write over it, each (where, how many, bytes). */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/pipelines/chat-file-private.h"
#include "fuzz.h"
#include "model-fixture.h"

#define N_CTX 64u
#define N_TOKENS 40u

#define HEAD(what) what "\xff\xff"

/* Where the numbers of the image are. */
static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES (HEAD ("\x00")),
  ATL_FUZZ_BYTES (HEAD ("\x01")),
  ATL_FUZZ_BYTES (HEAD ("\x02")),
  ATL_FUZZ_BYTES (HEAD ("\x03")),
  ATL_FUZZ_BYTES (HEAD ("\x04") "\x30\x00\x04\x20\x00\x00\x00"),
  ATL_FUZZ_BYTES (HEAD ("\x05") "\x34\x00\x04\x08\x00\x00\x00\x90\x00\x04\x00\x00\x00\x00"),
  ATL_FUZZ_BYTES (HEAD ("\x06") "\x38\x00\x04\x01\x00\x00\x00"),
  ATL_FUZZ_BYTES (HEAD ("\x07") "\x40\x00\x08\x28\x00\x00\x00\x01\x00\x00\x00"),
  ATL_FUZZ_BYTES (HEAD ("\x07") "\x38\x00\x04\x02\x00\x00\x00\x48\x00\x04\x20\x00\x00\x00"),
  ATL_FUZZ_BYTES (HEAD ("\x04") "\xa8\x00\x04\xff\xff\xff\x7f"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("\x30\x00\x04"), ATL_FUZZ_BYTES ("\x34\x00\x04"),
  ATL_FUZZ_BYTES ("\x38\x00\x04"), ATL_FUZZ_BYTES ("\x3c\x00\x04"),
  ATL_FUZZ_BYTES ("\x40\x00\x08"), ATL_FUZZ_BYTES ("\x90\x00\x08"),
  ATL_FUZZ_BYTES ("\xa8\x00\x04"), { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "chat-file", NULL, NULL, seeds, words };

typedef struct
{
  const char *family;
  AtlLlm *llm;
  GByteArray *good;
} Model;

static Model models[] = { { "llm-qwen2", NULL, NULL },
                          { "llm-gpt-oss", NULL, NULL },
                          { "llm-deepseek2-lite", NULL, NULL },
                          { "llm-qwen35", NULL, NULL } };
static const guint8 identity[ATL_CHAT_IDENTITY_BYTES];

static AtlLlmCache *
new_cache (const Model *model)
{
  g_autoptr (GError) error = NULL;
  AtlLlmCache *cache = atl_llm_cache_new (model->llm, N_CTX, ATL_DTYPE_F16, &error);

  g_assert_no_error (error);
  return cache;
}

static int
new_file (void)
{
  int fd = memfd_create ("chat", MFD_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  return fd;
}

static void
make_good (Model *model)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open (model->family, "model.gguf");
  AtlChatFileLimits limits = { .max_bytes = G_MAXUINT64 };
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (AtlLlmCache) cache = NULL;
  g_autoptr (GError) error = NULL;
  int fd = new_file ();
  off_t size;

  model->llm = model_fixture_load (cp, model_fixture_cpu (TRUE));
  cache = new_cache (model);
  for (gint32 i = 0; i < (gint32) N_TOKENS; i++)
    g_array_append_val (ids, i);
  /* With a checkpoint in the middle. */
  model_fixture_feed (model->llm, cache, (gint32 *) (gpointer) ids->data, N_TOKENS / 2);
  atl_llm_cache_checkpoint (cache);
  model_fixture_feed (model->llm, cache, (gint32 *) (gpointer) ids->data + N_TOKENS / 2,
                      N_TOKENS / 2);
  atl_chat_file_write (fd, cache, ids, identity, &limits, &error);
  g_assert_no_error (error);
  size = lseek (fd, 0, SEEK_END);
  model->good = g_byte_array_new ();
  g_byte_array_set_size (model->good, (guint) size);
  g_assert_cmpint (pread (fd, model->good->data, (gsize) size, 0), ==, size);
  close (fd);
}

static guint
take_number (const uint8_t **data, size_t *size, guint n_bytes)
{
  guint number = 0;

  for (guint i = 0; i<n_bytes && * size> 0; i++, (*data)++, (*size)--)
    number |= (guint) * *data << 8 * i;
  return number;
}

static void
write_over (GByteArray *bytes, const uint8_t *data, size_t size)
{
  while (size > 3)
    {
      guint at = take_number (&data, &size, 2), n = take_number (&data, &size, 1);

      n = MIN (n, (guint) size);
      if (at + n <= bytes->len)
        memcpy (bytes->data + at, data, n);
      data += n;
      size -= n;
    }
}

/* The head's checksum over as many tokens as it says, where they are there. */
static void
make_sum_right (GByteArray *bytes)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  AtlChatFileHead head;

  if (bytes->len < sizeof head)
    return;
  memcpy (&head, bytes->data, sizeof head);
  if (head.image.length > (bytes->len - sizeof head) / sizeof (gint32))
    return;
  g_array_append_vals (ids, bytes->data + sizeof head, head.image.length);
  head.head_sum = atl_chat_file_head_sum (&head, ids);
  memcpy (bytes->data, &head, sizeof head);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  guint flags = take_number (&data, &size, 1), end = take_number (&data, &size, 2);
  Model *model = &models[flags % G_N_ELEMENTS (models)];
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (AtlLlmCache) cache = NULL;
  g_autoptr (AtlChatFile) file = NULL;
  g_autoptr (GError) error = NULL;
  const gint32 next = 1;
  int fd = new_file ();

  if (model->good == NULL)
    make_good (model);
  g_byte_array_append (bytes, model->good->data, model->good->len);
  write_over (bytes, data, size);
  if (flags & 4)
    make_sum_right (bytes);
  if (end < bytes->len)
    g_byte_array_set_size (bytes, end);
  g_assert_cmpint (write (fd, bytes->data, bytes->len), ==, bytes->len);

  cache = new_cache (model);
  file = atl_chat_file_open (fd, identity, atl_llm_info (model->llm)->n_vocab, cache, &error);
  if (file != NULL && atl_chat_file_restore (file, cache, &error))
    {
      guint length = atl_llm_cache_length (cache);

      g_assert_cmpuint (length, ==, atl_chat_file_ids (file)->len);
      g_assert_cmpuint (length, <=, N_CTX);
      if (length == N_CTX)
        length = atl_llm_cache_truncate (cache, length - 1);
      model_fixture_feed (model->llm, cache, &next, 1);
      g_assert_cmpuint (atl_llm_cache_length (cache), ==, length + 1);
    }
  else
    {
      g_assert_nonnull (error);
      g_assert_cmpuint (atl_llm_cache_length (cache), ==, 0);
    }
  close (fd);
  return 0;
}
