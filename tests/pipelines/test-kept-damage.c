/* Files of chats that are cut off, changed or forged: none that is not right in every point is
 * used, and the chat goes on. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/pipelines/chat-file-private.h"
#include "kept-fixture.h"
#include "model-fixture.h"

/* --- KeptFiles that are not used --- */

/* What answers a question once a file is there, and what is in the file. */
typedef struct
{
  const KeptCase *c;
  KeptFiles files;
  GBytes *good;
  char *more, *want;
} Damage;

static GBytes *
read_file (int fd)
{
  struct stat st;
  guint8 *bytes;

  g_assert_cmpint (fstat (fd, &st), ==, 0);
  bytes = g_malloc ((gsize) st.st_size);
  g_assert_cmpint (pread (fd, bytes, (gsize) st.st_size, 0), ==, st.st_size);
  return g_bytes_new_take (bytes, (gsize) st.st_size);
}

static void
damage_init (Damage *self, const KeptCase *c)
{
  g_autofree char *question = kept_make_question (c);
  g_autofree char *first = NULL;
  AtlTurnStats stats;
  AtlChatModel *model;

  self->c = c;
  kept_files_init (&self->files);
  model = kept_open_model (c, KEPT_N_CTX, NULL, &self->files);
  first = kept_ask (model, question, &stats);
  kept_keep_all (model);
  self->good = read_file (self->files.kept);
  self->more = g_strconcat (question, first, " And then?", NULL);
  self->want = kept_ask (model, self->more, &stats);
  atl_chat_model_free (model);
}

static void
damage_clear (Damage *self)
{
  kept_files_clear (&self->files);
  g_bytes_unref (self->good);
  g_free (self->more);
  g_free (self->want);
}

/* Whether a model that finds these bytes uses them; its answer is the right one either way, unless
 * `is_senseless`. */
static gboolean
is_used (Damage *self, AtlChatModel *model, gconstpointer bytes, gsize size, gboolean is_senseless)
{
  AtlTurnStats stats;
  g_autofree char *got = NULL;

  g_assert_cmpint (ftruncate (self->files.kept, 0), ==, 0);
  g_assert_cmpint (pwrite (self->files.kept, bytes, size, 0), ==, (gssize) size);
  self->files.room = -1;
  while (atl_chat_model_drop_conversation (model) > 0)
    ;
  got = kept_ask (model, self->more, &stats);
  if (!is_senseless || stats.n_cached == 0)
    g_assert_cmpstr (got, ==, self->want);
  return stats.n_cached > 0;
}

static void
test_damage (gconstpointer data)
{
  Damage d;
  AtlChatModel *model;
  gsize size, head;
  const guint8 *good;
  g_autofree guint8 *bytes = NULL;

  damage_init (&d, data);
  good = g_bytes_get_data (d.good, &size);
  head = sizeof (AtlChatFileHead);
  bytes = g_malloc0 (size + 64);
  close (d.files.room);
  model = kept_open_model (data, KEPT_N_CTX, NULL, &d.files);
  g_assert_true (is_used (&d, model, good, size, FALSE));

  /* Cut off, or too long. */
  for (gsize n = 0; n < size; n += n < head + 16 ? 7 : 1 + size / 40)
    g_assert_false (is_used (&d, model, good, n, FALSE));
  g_assert_false (is_used (&d, model, good, size - 1, FALSE));
  memcpy (bytes, good, size);
  g_assert_false (is_used (&d, model, bytes, size + 1, FALSE));
  g_assert_false (is_used (&d, model, bytes, size + 64, FALSE));
  /* A bit, in the head and all over the rest. */
  for (gsize i = 0; i < size; i += i < head ? 1 : 1 + size / 60)
    {
      memcpy (bytes, good, size);
      bytes[i] ^= (guint8) (1u << i % 8);
      g_assert_false (is_used (&d, model, bytes, size, FALSE));
    }
  /* Half written: no head yet. */
  memcpy (bytes, good, size);
  memset (bytes, 0, head);
  g_assert_false (is_used (&d, model, bytes, size, FALSE));
  atl_chat_model_free (model);
  damage_clear (&d);
}

/* --- KeptFiles that were forged: their checksums are right --- */

static void
forge (Damage *d, AtlChatModel *model, const char *what, const AtlChatFileHead *head, GArray *ids)
{
  AtlChatFileHead forged = *head;
  gsize size, n_good;
  const guint8 *good = g_bytes_get_data (d->good, &n_good);
  const AtlChatFileHead *old = (gconstpointer) good;
  gsize old_data = sizeof *old + old->image.length * sizeof (gint32);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  forged.head_sum = atl_chat_file_head_sum (&forged, ids);
  g_byte_array_append (bytes, (gconstpointer) &forged, sizeof forged);
  g_byte_array_append (bytes, (gconstpointer) ids->data, ids->len * sizeof (gint32));
  g_byte_array_append (bytes, good + old_data, (guint) (n_good - old_data));
  size = bytes->len;
  g_test_message ("%s", what);
  g_assert_false (is_used (d, model, bytes->data, size, FALSE));
}

static void
test_forged (gconstpointer data)
{
  static const guint32 numbers[] = {
    0,        1,          2,          7,          KEPT_N_CTX - 1, KEPT_N_CTX, KEPT_N_CTX + 1,
    1u << 24, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff,     0x55555555, 0x40000000
  };
  Damage d;
  AtlChatModel *model;
  AtlChatFileHead head;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  const guint8 *good;
  guint32 *words;

  damage_init (&d, data);
  close (d.files.room);
  model = kept_open_model (data, KEPT_N_CTX, NULL, &d.files);
  good = g_bytes_get_data (d.good, NULL);
  memcpy (&head, good, sizeof head);
  g_array_append_vals (ids, good + sizeof head, head.image.length);

  /* Every number of the image, and the sizes. */
  for (guint i = 0; i < sizeof (AtlLlmCacheImage) / 4; i++)
    for (guint k = 0; k < G_N_ELEMENTS (numbers); k++)
      {
        AtlChatFileHead bad = head;

        words = (guint32 *) &bad.image;
        if (words[i] == numbers[k])
          continue;
        words[i] = numbers[k];
        /* Another checkpoint is as possible as the one there is. */
        if (i >= 4 && head.image.n_slots > (i - 4) / 2 && words[i] <= head.image.length)
          continue;
        forge (&d, model, "image", &bad, ids);
      }
  for (guint k = 0; k < G_N_ELEMENTS (numbers); k++)
    {
      AtlChatFileHead bad = head;

      bad.data_bytes = (guint64) numbers[k] << (k % 3) * 16;
      forge (&d, model, "data bytes", &bad, ids);
      bad = head;
      bad.version = numbers[k] == head.version ? 77 : numbers[k];
      forge (&d, model, "version", &bad, ids);
      bad = head;
      bad.head_bytes = numbers[k];
      forge (&d, model, "head bytes", &bad, ids);
    }
  /* Tokens that are none. */
  for (guint k = 7; k < G_N_ELEMENTS (numbers); k++)
    {
      g_array_index (ids, gint32, k) = (gint32) numbers[k];
      forge (&d, model, "tokens", &head, ids);
    }
  atl_chat_model_free (model);
  damage_clear (&d);
}

/* --- Numbers that are none --- */

static gboolean
senseless_cb (void *data, gsize n, gpointer user_data, GError **error)
{
  memset (data, *(const int *) user_data, n);
  return TRUE;
}

/* A file that is right in every point, but for the numbers of the state: infinities, not-a-number,
 * garbage. Where no token can be chosen, all is computed; otherwise the answer is senseless. */
static void
test_senseless (gconstpointer data)
{
  static const int fills[] = { 0xff, 0x7f, 0x00, 0x80, 0x7c };
  Damage d;

  damage_init (&d, data);
  close (d.files.room);
  for (gsize i = 0; i < G_N_ELEMENTS (fills); i++)
    {
      AtlChatModel *model = kept_open_model (data, KEPT_N_CTX, NULL, &d.files);
      g_autoptr (AtlCheckpoint) cp = model_fixture_open (d.c->family, "model.gguf");
      AtlLlm *llm = model_fixture_load (cp, model_fixture_cpu (TRUE));
      g_autoptr (GError) error = NULL;
      AtlLlmCache *cache = atl_llm_cache_new (llm, KEPT_N_CTX, kept_kv_dtype (d.c), &error);
      const AtlChatFileHead *head = g_bytes_get_data (d.good, NULL);
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
      AtlChatFileLimits limits = { .max_bytes = G_MAXUINT64 };
      g_autoptr (GBytes) bytes = NULL;
      gsize size;
      gconstpointer file;

      g_array_append_vals (ids, head + 1, head->image.length);
      atl_llm_cache_read (cache, &head->image, senseless_cb, (gpointer) &fills[i], &error);
      g_assert_no_error (error);
      atl_chat_file_write (d.files.kept, cache, ids, head->identity, &limits, &error);
      g_assert_no_error (error);
      bytes = read_file (d.files.kept);
      file = g_bytes_get_data (bytes, &size);
      /* 0xff is not-a-number in every type. */
      if (is_used (&d, model, file, size, TRUE))
        g_assert_cmpint (fills[i], !=, 0xff);
      else
        g_assert_cmpint (fills[i], !=, 0);
      atl_llm_cache_free (cache);
      atl_llm_free (llm);
      atl_chat_model_free (model);
    }
  damage_clear (&d);
}

int
main (int argc, char **argv)
{
  static const KeptCase damaged[] = { { "llm-qwen2", "f32", 1, FALSE },
                                      { "llm-gpt-oss", "f32", 1, FALSE },
                                      { "llm-deepseek2-lite", "f32", 1, FALSE },
                                      { "llm-qwen35", "f32", 1, FALSE } };
  int status;

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (damaged); i++)
    {
      g_autofree char *damage = g_strconcat ("/pipelines/kept/damage/", damaged[i].family, NULL);
      g_autofree char *forged = g_strconcat ("/pipelines/kept/forged/", damaged[i].family, NULL);
      g_autofree char *none = g_strconcat ("/pipelines/kept/senseless/", damaged[i].family, NULL);

      g_test_add_data_func (damage, &damaged[i], test_damage);
      g_test_add_data_func (forged, &damaged[i], test_forged);
      g_test_add_data_func (none, &damaged[i], test_senseless);
    }
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
