/* Models that carry a state from token to token: going back to checkpoints, and what stays when a
 * decode ends early. A state cannot be cut off behind any token as keys and values can. */
#include <string.h>

#include "changed-model.h"

#define N_IDS 40

typedef struct
{
  const char *family;
  gboolean exact;
  double tolerance; /* between two orders of the same sums */
} Case;

static const Case cases[] = {
  { "llm-qwen35", TRUE, 2e-5 },    { "llm-qwen35", FALSE, 5e-3 },
  { "llm-qwen3next", TRUE, 2e-5 }, { "llm-lfm2", TRUE, 2e-5 },
  { "llm-lfm2", FALSE, 5e-3 },     { "llm-mamba2", TRUE, 2e-5 },
  { "llm-mamba2", FALSE, 5e-3 },   { "llm-granitehybrid", TRUE, 2e-5 },
  { "llm-falcon-h1", TRUE, 2e-5 },
};

typedef struct
{
  const Case *c;
  AtlCheckpoint *cp;
  AtlLlm *llm;
  AtlLlmCache *cache;
  gint32 a[N_IDS], b[N_IDS];
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  f->c = data;
  f->cp = model_fixture_open (f->c->family, "model.gguf");
  f->llm = model_fixture_load (f->cp, model_fixture_cpu (f->c->exact));
  f->cache = atl_llm_cache_new (f->llm, 4 * N_IDS, ATL_DTYPE_F32, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < N_IDS; i++)
    {
      f->a[i] = (gint32) (7 + i * 29 % 250);
      f->b[i] = (gint32) (11 + i * 53 % 250);
    }
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  atl_llm_cache_free (f->cache);
  atl_llm_free (f->llm);
  atl_checkpoint_unref (f->cp);
}

/* Feeds a[from, to). */
static void
feed (Fixture *f, guint from, guint to)
{
  g_assert_cmpuint (atl_llm_cache_length (f->cache), ==, from);
  model_fixture_feed (f->llm, f->cache, f->a + from, to - from);
}

/* The cache holds a[0, length): what b[0, 5) says after that is what it says after the same tokens
 * in a fresh cache. */
static void
check (Fixture *f, guint length)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlLlmCache) fresh = atl_llm_cache_new (f->llm, 4 * N_IDS, ATL_DTYPE_F32, &error);
  guint n_vocab = atl_llm_info (f->llm)->n_vocab;
  g_autofree float *want = NULL;
  double distance;

  g_assert_no_error (error);
  g_assert_cmpuint (atl_llm_cache_length (f->cache), ==, length);
  if (length > 0)
    model_fixture_feed (f->llm, fresh, f->a, length);
  want = g_memdup2 (model_fixture_feed (f->llm, fresh, f->b, 5), n_vocab * sizeof (float));
  distance = model_fixture_distance (model_fixture_feed (f->llm, f->cache, f->b, 5), want, n_vocab);
  g_test_message ("%s after %u: %g of %g", f->c->family, length, distance, f->c->tolerance);
  g_assert_cmpfloat (distance, <=, f->c->tolerance);
}

/* An answer is asked for again and again: each time from the checkpoint before it. */
static void
test_regenerate (Fixture *f, gconstpointer data)
{
  feed (f, 0, 17);
  atl_llm_cache_checkpoint (f->cache);
  for (guint i = 0; i < 4; i++)
    {
      feed (f, 17, 18);
      for (guint k = 18; k < 21 + i; k++)
        feed (f, k, k + 1);
      g_assert_cmpuint (atl_llm_cache_truncate (f->cache, 17), ==, 17);
    }
  check (f, 17);
}

/* The last message is changed: what was before it need not be computed again. */
static void
test_edit (Fixture *f, gconstpointer data)
{
  feed (f, 0, 12);
  atl_llm_cache_checkpoint (f->cache);
  feed (f, 12, 20);
  feed (f, 20, 30);
  atl_llm_cache_checkpoint (f->cache);
  feed (f, 30, 33);
  /* Behind a checkpoint: from there. */
  g_assert_cmpuint (atl_llm_cache_truncate (f->cache, 31), ==, 30);
  check (f, 30);
  g_assert_cmpuint (atl_llm_cache_truncate (f->cache, 25), ==, 12);
  check (f, 12);
  /* Before the first: from nothing. */
  g_assert_cmpuint (atl_llm_cache_truncate (f->cache, 5), ==, 0);
  check (f, 0);
}

/* Guessed tokens that turn out wrong: back to before they were tried, without a checkpoint. */
static void
test_speculation (Fixture *f, gconstpointer data)
{
  feed (f, 0, 9);
  for (guint i = 0; i < 3; i++)
    {
      model_fixture_feed (f->llm, f->cache, f->b, 6);
      g_assert_cmpuint (atl_llm_cache_truncate (f->cache, 11), ==, 9);
    }
  feed (f, 9, 11);
  check (f, 11);
}

/* More checkpoints than there is room for: the newest works, and whatever else is promised. */
static void
test_many_checkpoints (Fixture *f, gconstpointer data)
{
  guint n_kept = 0;

  for (guint i = 0; i < N_IDS; i += 2)
    {
      feed (f, i, i + 2);
      atl_llm_cache_checkpoint (f->cache);
    }
  for (guint length = N_IDS; length > 0;)
    {
      guint got = atl_llm_cache_truncate (f->cache, length - 1);

      g_assert_cmpuint (got, <, length);
      if (n_kept == 0)
        g_assert_cmpuint (got, ==, N_IDS - 2);
      check (f, got);
      g_assert_cmpuint (atl_llm_cache_truncate (f->cache, got), ==, got);
      length = got;
      n_kept++;
    }
  g_assert_cmpuint (n_kept, >, 2);
}

/* --- A decode that ends early --- */

/* Feeds in chunks of four and springs the trap in the middle of the third; then goes on as if
 * nothing was. */
static void
interrupt (Fixture *f, GCancellable *cancellable, GQuark domain, gint code)
{
  AtlBackend *cpu = model_fixture_cpu (f->c->exact);
  AtlLlmOptions options = { .n_batch = 4 };
  g_autoptr (GError) error = NULL;
  AtlLlmBatch batch = { NULL, f->b, 20, FALSE };

  g_clear_pointer (&f->cache, atl_llm_cache_free);
  g_clear_pointer (&f->llm, atl_llm_free);
  f->llm = atl_llm_new (f->cp, &cpu, 1, &options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  f->cache = batch.cache = atl_llm_cache_new (f->llm, 4 * N_IDS, ATL_DTYPE_F32, &error);
  g_assert_no_error (error);
  feed (f, 0, 5);
  atl_llm_cache_checkpoint (f->cache);
  feed (f, 5, 11);

  model_fixture_trap (cpu, 2, cancellable, TRUE);
  g_assert_false (atl_llm_decode (f->llm, &batch, 1, cancellable, &error));
  model_fixture_trap_end (cpu);

  g_assert_error (error, domain, code);
  check (f, 11);
  g_assert_cmpuint (atl_llm_cache_truncate (f->cache, 7), ==, 5);
  check (f, 5);
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  interrupt (f, cancellable, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_device_fails (Fixture *f, gconstpointer data)
{
  interrupt (f, NULL, ATL_ERROR, ATL_ERROR_DEVICE);
}

/* Another sequence in the same runs has its own states and checkpoints. */
static void
test_beside (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlLlmCache) other = atl_llm_cache_new (f->llm, 4 * N_IDS, ATL_DTYPE_F32, &error);

  g_assert_no_error (error);
  model_fixture_feed (f->llm, other, f->b + 3, 20);
  feed (f, 0, 7);
  atl_llm_cache_checkpoint (f->cache);
  for (guint i = 7; i < 12; i++)
    {
      AtlLlmBatch batch[2] = { { f->cache, f->a + i, 1, FALSE }, { other, f->b + i, 1, FALSE } };

      g_assert_true (atl_llm_decode (f->llm, batch, 2, NULL, &error));
      atl_llm_cache_checkpoint (other);
    }
  check (f, 12);
  g_assert_cmpuint (atl_llm_cache_truncate (f->cache, 10), ==, 7);
  check (f, 7);
}

/* Another sequence with the same beginning takes it over, as far as a state was kept. */
static void
test_copy (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  AtlLlmCache *other = atl_llm_cache_new (f->llm, 4 * N_IDS, ATL_DTYPE_F32, &error);

  g_assert_no_error (error);
  feed (f, 0, 13);
  atl_llm_cache_checkpoint (f->cache);
  feed (f, 13, 21);
  feed (f, 21, 30);
  g_assert_cmpuint (atl_llm_cache_reach (f->cache, 30), ==, 30);
  g_assert_cmpuint (atl_llm_cache_reach (f->cache, 20), ==, 13);
  g_assert_cmpuint (atl_llm_cache_reach (f->cache, 12), ==, 0);
  g_assert_true (atl_llm_cache_copy (other, f->cache, 20, &error));
  g_assert_no_error (error);
  check (f, 30);

  g_clear_pointer (&f->cache, atl_llm_cache_free);
  f->cache = other;
  check (f, 13);
}

/* What is promised before loading is what is taken. */
static void
test_memory (Fixture *f, gconstpointer data)
{
  guint64 weight_bytes, kv_bytes, scratch_bytes;
  g_autoptr (GError) error = NULL;

  g_assert_true (atl_llm_estimate (f->cp, 4 * N_IDS, ATL_DTYPE_F32, &weight_bytes, &kv_bytes,
                                   &scratch_bytes, NULL, &error));
  g_assert_no_error (error);
  feed (f, 0, N_IDS);
  g_assert_cmpuint (atl_llm_cache_bytes (f->cache), >, 0);
  g_assert_cmpuint (atl_llm_cache_bytes (f->cache), <=, kv_bytes);
}

/* Where a list says which layers attend, it counts, not the interval between them. */
static void
test_listed (void)
{
  static const gint32 ids[] = { 3, 1, 4, 1, 5 };
  static const gboolean recurrent[64] = { TRUE, TRUE, TRUE, FALSE, TRUE, TRUE, TRUE, FALSE };
  AtlMetaValue interval = { .type = ATL_META_UINT, .v_uint = 3 };
  AtlMetaValue list = { .type = ATL_META_ARRAY,
                        .v_array = {
                            .elem_type = ATL_META_BOOL, .n = 8, .elems = (gpointer) recurrent } };
  g_autoptr (AtlCheckpoint) plain = model_fixture_open ("llm-qwen35", "model.gguf");
  g_autoptr (AtlCheckpoint) other = changed_model (
      plain, &(Change){ .key = "qwen35.full_attention_interval", .value = &interval });
  g_autoptr (AtlCheckpoint) listed = changed_model (
      other, &(Change){ .key = "qwen35.attention.recurrent_layers", .value = &list });
  g_autoptr (AtlLlm) a = model_fixture_load (plain, model_fixture_cpu (TRUE));
  g_autoptr (AtlLlm) b = model_fixture_load (listed, model_fixture_cpu (TRUE));
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlLlmCache) cache_a = atl_llm_cache_new (a, 16, ATL_DTYPE_F32, &error);
  g_autoptr (AtlLlmCache) cache_b = atl_llm_cache_new (b, 16, ATL_DTYPE_F32, &error);
  guint n_vocab = atl_llm_info (a)->n_vocab;

  g_assert_no_error (error);
  g_assert_cmpfloat (
      model_fixture_distance (model_fixture_feed (b, cache_b, ids, G_N_ELEMENTS (ids)),
                              model_fixture_feed (a, cache_a, ids, G_N_ELEMENTS (ids)), n_vocab),
      ==, 0.0);
  changed_model_refuse (other, &(Change){ .key = "qwen35.attention.recurrent_layers" });
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    void (*func) (Fixture *f, gconstpointer data);
  } tests[] = {
    { "regenerate", test_regenerate },   { "edit", test_edit },
    { "speculation", test_speculation }, { "many-checkpoints", test_many_checkpoints },
    { "cancel", test_cancel },           { "device-fails", test_device_fails },
    { "beside", test_beside },           { "copy", test_copy },
    { "memory", test_memory },
  };
  int status;

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    for (gsize k = 0; k < G_N_ELEMENTS (tests); k++)
      {
        g_autofree char *path = g_strdup_printf ("/recurrent/%s/%s/%s", cases[i].family,
                                                 cases[i].exact ? "exact" : "fast", tests[k].name);

        g_test_add (path, Fixture, &cases[i], set_up, tests[k].func, tear_down);
      }
  g_test_add_func ("/models/recurrent/listed", test_listed);
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
