/* Key-value caches: rewinding, types, several sequences, and what stays when a step ends early. */
#include <string.h>

#include "model-fixture.h"

#define N_IDS 24

typedef struct
{
  const char *family;
  gboolean exact;
  double tolerance;     /* between two orders of the same sums */
  gboolean small_heads; /* no whole blocks of 32 */
} Case;

static const Case cases[] = {
  { "llm-qwen2", TRUE, 2e-5 },
  { "llm-qwen2", FALSE, 5e-4 },
  { "llm-llama3-tied", TRUE, 2e-5 },
  { "llm-llama3-tied", FALSE, 5e-4 },
  /* latent attention; windows, sinks and experts; keys shared between layers */
  { "llm-deepseek2-lite", TRUE, 2e-5 },
  { "llm-deepseek2-lite", FALSE, 5e-4 },
  { "llm-gpt-oss", TRUE, 2e-5, TRUE },
  { "llm-gemma4", TRUE, 2e-5, TRUE },
  { "llm-gemma3n", FALSE, 5e-4, TRUE },
};

static const gint32 ids_a[N_IDS] = { 1,  17, 45, 9,  88, 120, 3,  200, 14, 15, 16,  90,
                                     91, 92, 5,  33, 61, 7,   10, 11,  12, 70, 150, 42 };
static const gint32 ids_b[N_IDS] = { 2,  99, 31, 30, 29, 128, 127, 4,  6,  8,   10,  100,
                                     64, 65, 66, 67, 68, 69,  20,  21, 22, 110, 111, 112 };

typedef struct
{
  AtlCheckpoint *cp;
  AtlLlm *llm;
  const Case *c;
  guint n_vocab;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->c = data;
  f->cp = model_fixture_open (f->c->family, "model.gguf");
  f->llm = model_fixture_load (f->cp, model_fixture_cpu (f->c->exact));
  f->n_vocab = atl_llm_info (f->llm)->n_vocab;
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  atl_llm_free (f->llm);
  atl_checkpoint_unref (f->cp);
}

static AtlLlmCache *
new_cache (Fixture *f, guint n_ctx, AtlDType dtype)
{
  g_autoptr (GError) error = NULL;
  AtlLlmCache *cache = atl_llm_cache_new (f->llm, n_ctx, dtype, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (atl_llm_cache_length (cache), ==, 0);
  g_assert_cmpuint (atl_llm_cache_n_ctx (cache), ==, n_ctx);
  return cache;
}

/* Logits after `ids` in a fresh float32 cache, fed in one go. */
static float *
fresh_logits (Fixture *f, const gint32 *ids, guint n)
{
  g_autoptr (AtlLlmCache) cache = new_cache (f, n, ATL_DTYPE_F32);

  return g_memdup2 (model_fixture_feed (f->llm, cache, ids, n), f->n_vocab * sizeof (float));
}

static void
assert_close (Fixture *f, const float *got, const float *want, double tolerance)
{
  double distance = model_fixture_distance (got, want, f->n_vocab);

  g_test_message ("%s: %g of %g", f->c->family, distance, tolerance);
  g_assert_cmpfloat (distance, <=, tolerance);
}

/* The turn of a chat that is regenerated: a common beginning is kept. */
static void
test_truncate (Fixture *f, gconstpointer data)
{
  static const guint keep[] = { 0, 1, 12, N_IDS - 1 };
  g_autoptr (AtlLlmCache) cache = new_cache (f, 2 * N_IDS, ATL_DTYPE_F32);

  for (gsize i = 0; i < G_N_ELEMENTS (keep); i++)
    {
      guint n_new = N_IDS - keep[i];
      gint32 ids[N_IDS];
      g_autofree float *want = NULL;

      memcpy (ids, ids_a, keep[i] * sizeof *ids);
      memcpy (ids + keep[i], ids_b, n_new * sizeof *ids);
      want = fresh_logits (f, ids, N_IDS);

      g_assert_cmpuint (atl_llm_cache_truncate (cache, 0), ==, 0);
      model_fixture_feed (f->llm, cache, ids_a, N_IDS);
      g_assert_cmpuint (atl_llm_cache_truncate (cache, keep[i]), ==, keep[i]);
      g_assert_cmpuint (atl_llm_cache_length (cache), ==, keep[i]);
      assert_close (f, model_fixture_feed (f->llm, cache, ids_b, n_new), want, f->c->tolerance);
      g_assert_cmpuint (atl_llm_cache_length (cache), ==, N_IDS);
    }
}

/* A prompt longer than a chunk, whatever the chunks. */
static void
test_chunks (Fixture *f, gconstpointer data)
{
  static const guint sizes[] = { 1, 5, 8, 23 };
  g_autofree float *want = fresh_logits (f, ids_a, N_IDS);

  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      AtlBackend *cpu = model_fixture_cpu (f->c->exact);
      AtlLlmOptions options = { .n_batch = sizes[i] };
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlLlm) llm = atl_llm_new (f->cp, &cpu, 1, &options, NULL, NULL, NULL, &error);
      g_autoptr (AtlLlmCache) cache = NULL;
      AtlLlmBatch batch = { NULL, ids_a, N_IDS, TRUE };

      g_assert_no_error (error);
      cache = batch.cache = atl_llm_cache_new (llm, N_IDS, ATL_DTYPE_F32, &error);
      g_assert_no_error (error);
      atl_llm_decode (llm, &batch, 1, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (atl_llm_n_logits (llm), ==, N_IDS);
      assert_close (f, atl_llm_logits (llm, N_IDS - 1), want, f->c->tolerance);
    }
}

/* Rounding of keys and values shows, and no more than the type explains. */
static void
test_types (Fixture *f, gconstpointer data)
{
  static const struct
  {
    AtlDType dtype;
    double most;
  } types[] = {
    { ATL_DTYPE_F16, 2e-3 },
    { ATL_DTYPE_Q8_0, 5e-2 },
    { ATL_DTYPE_Q4_0, 0.3 },
  };
  g_autofree float *want = fresh_logits (f, ids_a, N_IDS);
  gsize last_bytes = G_MAXSIZE;

  for (gsize i = 0; i < (f->c->small_heads ? 1 : G_N_ELEMENTS (types)); i++)
    {
      g_autoptr (AtlLlmCache) cache = new_cache (f, N_IDS, types[i].dtype);
      guint64 weights, kv, scratch;
      const float *got;

      model_fixture_feed (f->llm, cache, ids_a, N_IDS - 4);
      for (guint k = N_IDS - 4; k < N_IDS; k++)
        got = model_fixture_feed (f->llm, cache, ids_a + k, 1);
      g_test_message ("%s", atl_dtype_name (types[i].dtype));
      assert_close (f, got, want, types[i].most);
      g_assert_cmpfloat (model_fixture_distance (got, want, f->n_vocab), >, 0.0);

      g_assert_cmpuint (atl_llm_cache_bytes (cache), <, last_bytes);
      last_bytes = atl_llm_cache_bytes (cache);
      g_assert_true (
          atl_llm_estimate (f->cp, N_IDS, types[i].dtype, &weights, &kv, &scratch, NULL, NULL));
      g_assert_cmpuint (kv, ==, last_bytes);
    }
}

/* Sequences of different lengths in one step do not see each other. */
static void
test_sequences (Fixture *f, gconstpointer data)
{
  g_autoptr (AtlLlmCache) a = new_cache (f, N_IDS, ATL_DTYPE_F32);
  g_autoptr (AtlLlmCache) b = new_cache (f, N_IDS + 7, ATL_DTYPE_F32);
  g_autoptr (AtlLlmCache) c = new_cache (f, N_IDS, ATL_DTYPE_F32);
  g_autofree float *want_a = fresh_logits (f, ids_a, N_IDS);
  g_autofree float *want_b = fresh_logits (f, ids_b, N_IDS);
  g_autofree float *want_c = fresh_logits (f, ids_b, 3);
  g_autoptr (GError) error = NULL;
  AtlLlmBatch batch[3] = {
    { a, ids_a + 10, N_IDS - 10, FALSE },
    { b, ids_b + 20, N_IDS - 20, FALSE },
    { c, ids_b, 3, FALSE },
  };

  model_fixture_feed (f->llm, a, ids_a, 10);
  model_fixture_feed (f->llm, b, ids_b, 20);
  atl_llm_decode (f->llm, batch, 3, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (atl_llm_n_logits (f->llm), ==, 3);
  assert_close (f, atl_llm_logits (f->llm, 0), want_a, f->c->tolerance);
  assert_close (f, atl_llm_logits (f->llm, 1), want_b, f->c->tolerance);
  assert_close (f, atl_llm_logits (f->llm, 2), want_c, f->c->tolerance);
  g_assert_cmpuint (atl_llm_cache_length (c), ==, 3);
}

/* Up to few_rows tokens at a time are, bit for bit, what one at a time are: guesses are checked so.
 * The context is long enough for attention to be divided. */
static void
test_few_rows (Fixture *f, gconstpointer data)
{
  const guint n_before = 250, n_ctx = n_before + N_IDS;
  guint few = MIN (atl_llm_few_rows (f->llm), N_IDS);
  g_autoptr (AtlLlmCache) one = new_cache (f, n_ctx, ATL_DTYPE_F16);
  g_autoptr (AtlLlmCache) more = new_cache (f, n_ctx, ATL_DTYPE_F16);
  g_autofree float *want = g_new (float, (gsize) N_IDS * f->n_vocab);
  g_autoptr (GError) error = NULL;
  gint32 before[250];

  for (guint i = 0; i < n_before; i++)
    before[i] = ids_b[i * 7 % N_IDS];
  model_fixture_feed (f->llm, one, before, n_before);
  model_fixture_feed (f->llm, more, before, n_before);
  for (guint i = 0; i < N_IDS; i++)
    memcpy (want + (gsize) i * f->n_vocab, model_fixture_feed (f->llm, one, ids_a + i, 1),
            f->n_vocab * sizeof (float));
  for (guint at = 0; at < N_IDS; at += few)
    {
      AtlLlmBatch batch = { more, ids_a + at, MIN (few, N_IDS - at), TRUE };

      atl_llm_decode (f->llm, &batch, 1, NULL, &error);
      g_assert_no_error (error);
      for (guint i = 0; i < batch.n_tokens; i++)
        g_assert_cmpmem (atl_llm_logits (f->llm, i), f->n_vocab * sizeof (float),
                         want + (gsize) (at + i) * f->n_vocab, f->n_vocab * sizeof (float));
    }
}

/* Longer than what windowed layers keep: however the text comes in, they see what they should, can
 * go back a little, and say so when they cannot go back as far as asked. */
static void
test_window (Fixture *f, gconstpointer data)
{
  const guint n_ctx = 1700, n = 1600;
  g_autofree gint32 *ids = g_new (gint32, n);
  g_autofree float *want = NULL;
  g_autoptr (AtlLlmCache) whole = new_cache (f, n_ctx, ATL_DTYPE_F32);
  g_autoptr (AtlLlmCache) pieces = new_cache (f, n_ctx, ATL_DTYPE_F32);
  g_autoptr (AtlLlmCache) copy = new_cache (f, n_ctx, ATL_DTYPE_F32);
  g_autoptr (GError) error = NULL;
  guint64 weights, kv, scratch;
  const float *got = NULL;
  guint held;

  for (guint i = 0; i < n; i++)
    ids[i] = i % 3 == 0 ? ids_a[i / 3 % N_IDS] : ids_b[(i * 5 + i / 7) % N_IDS];
  want = g_memdup2 (model_fixture_feed (f->llm, whole, ids, n), f->n_vocab * sizeof (float));
  for (guint at = 0; at < n; at += 37)
    got = model_fixture_feed (f->llm, pieces, ids + at, MIN (37, n - at));
  assert_close (f, got, want, f->c->tolerance);
  g_assert_true (
      atl_llm_estimate (f->cp, n_ctx, ATL_DTYPE_F32, &weights, &kv, &scratch, NULL, NULL));
  g_assert_cmpuint (atl_llm_cache_bytes (whole), <=, kv);

  g_assert_cmpuint (atl_llm_cache_truncate (whole, n - 20), ==, n - 20);
  assert_close (f, model_fixture_feed (f->llm, whole, ids + n - 20, 20), want, f->c->tolerance);

  if (atl_llm_cache_copy (copy, whole, n - 5, &error))
    assert_close (f, model_fixture_feed (f->llm, copy, ids + n - 5, 5), want, f->c->tolerance);
  else
    g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);

  held = atl_llm_cache_truncate (whole, 300);
  g_assert_true (held == 300 || held == 0);
  assert_close (f, model_fixture_feed (f->llm, whole, ids + held, n - held), want, f->c->tolerance);
}

/* All rows of one entry beside the last row of another. */
static void
test_rows (Fixture *f, gconstpointer data)
{
  g_autoptr (AtlLlmCache) a = new_cache (f, N_IDS, ATL_DTYPE_F32);
  g_autoptr (AtlLlmCache) b = new_cache (f, N_IDS, ATL_DTYPE_F32);
  g_autofree float *want_a = fresh_logits (f, ids_a, 5);
  g_autofree float *want_b = fresh_logits (f, ids_b, N_IDS);
  g_autoptr (GError) error = NULL;
  AtlLlmBatch batch[2] = { { a, ids_a, 8, TRUE }, { b, ids_b, N_IDS, FALSE } };

  atl_llm_decode (f->llm, batch, 2, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (atl_llm_n_logits (f->llm), ==, 9);
  assert_close (f, atl_llm_logits (f->llm, 4), want_a, f->c->tolerance);
  assert_close (f, atl_llm_logits (f->llm, 8), want_b, f->c->tolerance);
}

/* More shapes and caches than plans are kept; caches come and go. */
static void
test_many_plans (Fixture *f, gconstpointer data)
{
  g_autofree float *want = fresh_logits (f, ids_a, N_IDS);

  for (guint round = 0; round < 3; round++)
    for (guint n = 1; n < 12; n++)
      {
        g_autoptr (AtlLlmCache) cache = new_cache (f, N_IDS, ATL_DTYPE_F32);

        model_fixture_feed (f->llm, cache, ids_a, n);
        assert_close (f, model_fixture_feed (f->llm, cache, ids_a + n, N_IDS - n), want,
                      f->c->tolerance);
      }
}

static void
test_full (Fixture *f, gconstpointer data)
{
  g_autoptr (AtlLlmCache) cache = new_cache (f, 10, ATL_DTYPE_F16);
  AtlLlmBatch batch = { cache, ids_a, 11, FALSE };
  g_autoptr (GError) error = NULL;

  g_assert_false (atl_llm_decode (f->llm, &batch, 1, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_TOO_LONG);
  g_assert_nonnull (strstr (error->message, "10"));
  g_assert_cmpuint (atl_llm_cache_length (cache), ==, 0);
  g_clear_error (&error);

  model_fixture_feed (f->llm, cache, ids_a, 10);
  batch.n_tokens = 1;
  g_assert_false (atl_llm_decode (f->llm, &batch, 1, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_TOO_LONG);
  g_assert_cmpuint (atl_llm_cache_length (cache), ==, 10);

  atl_llm_cache_truncate (cache, 4);
  model_fixture_feed (f->llm, cache, ids_a + 4, 6);
  g_assert_cmpuint (atl_llm_cache_length (cache), ==, 10);
}

static void
test_wrong_ids (Fixture *f, gconstpointer data)
{
  const gint32 wrong[] = { -1, (gint32) f->n_vocab, G_MAXINT32, G_MININT32 };
  g_autoptr (AtlLlmCache) cache = new_cache (f, 10, ATL_DTYPE_F16);

  model_fixture_feed (f->llm, cache, ids_a, 3);
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      gint32 ids[] = { 5, wrong[i], 6 };
      AtlLlmBatch batch = { cache, ids, 3, FALSE };
      g_autoptr (GError) error = NULL;

      g_assert_false (atl_llm_decode (f->llm, &batch, 1, NULL, &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
      g_assert_cmpuint (atl_llm_cache_length (cache), ==, 3);
    }
}

/* --- Steps that end early --- */

/* Feeds in chunks of four and springs the trap in the third; then goes on as if nothing was. */
static void
interrupt (Fixture *f, GCancellable *cancellable, GQuark domain, gint code)
{
  AtlBackend *cpu = model_fixture_cpu (f->c->exact);
  AtlLlmOptions options = { .n_batch = 4 };
  g_autofree float *want = fresh_logits (f, ids_a, N_IDS);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlLlm) llm = atl_llm_new (f->cp, &cpu, 1, &options, NULL, NULL, NULL, &error);
  g_autoptr (AtlLlmCache) cache = atl_llm_cache_new (llm, N_IDS, ATL_DTYPE_F32, &error);
  AtlLlmBatch batch = { cache, ids_a + 6, N_IDS - 6, FALSE };

  g_assert_no_error (error);
  model_fixture_feed (llm, cache, ids_a, 6);

  model_fixture_trap (cpu, 2, cancellable, FALSE);
  g_assert_false (atl_llm_decode (llm, &batch, 1, cancellable, &error));
  model_fixture_trap_end (cpu);

  g_assert_error (error, domain, code);
  g_assert_cmpuint (atl_llm_cache_length (cache), ==, 6);
  g_assert_cmpuint (atl_llm_n_logits (llm), ==, 0);
  assert_close (f, model_fixture_feed (llm, cache, ids_a + 6, N_IDS - 6), want, f->c->tolerance);
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

static guint64
kv_bytes (AtlCheckpoint *cp, AtlDType dtype)
{
  guint64 weights, kv = 0, scratch;

  g_assert_true (atl_llm_estimate (cp, 64, dtype, &weights, &kv, &scratch, NULL, NULL));
  return kv;
}

/* Four bits lose keys beside large biases: where there are biases, keys have eight. */
static void
test_key_bias (void)
{
  g_autoptr (AtlCheckpoint) plain = model_fixture_open ("llm-llama3-tied", "model.gguf");
  g_autoptr (AtlCheckpoint) biased = model_fixture_open ("llm-qwen2", "model.gguf");

  /* 18 and 34 bytes for 32 numbers, of keys and as many values. */
  g_assert_cmpuint (kv_bytes (plain, ATL_DTYPE_Q4_0) * 34, ==,
                    kv_bytes (plain, ATL_DTYPE_Q8_0) * 18);
  g_assert_cmpuint (kv_bytes (biased, ATL_DTYPE_Q4_0) * 2 * 34, ==,
                    kv_bytes (biased, ATL_DTYPE_Q8_0) * (34 + 18));
}

/* --- Refusals --- */

static void
test_bad_caches (void)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-llama2", "model.gguf"); /* heads of 16 */
  g_autoptr (AtlLlm) llm = model_fixture_load (cp, model_fixture_cpu (TRUE));
  static const struct
  {
    guint n_ctx;
    AtlDType dtype;
    int code;
  } bad[] = {
    { 16, ATL_DTYPE_I32, ATL_ERROR_INVALID },      { 16, ATL_DTYPE_Q4_K, ATL_ERROR_INVALID },
    { 16, ATL_DTYPE_Q8_0, ATL_ERROR_UNSUPPORTED }, { 16, ATL_DTYPE_Q4_0, ATL_ERROR_UNSUPPORTED },
    { 0, ATL_DTYPE_F16, ATL_ERROR_INVALID },       { G_MAXUINT, ATL_DTYPE_F16, ATL_ERROR_INVALID },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (atl_llm_cache_new (llm, bad[i].n_ctx, bad[i].dtype, &error));
      g_assert_error (error, ATL_ERROR, bad[i].code);
    }
  atl_llm_cache_free (NULL);
}

static void
test_cancelled_load (void)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-llama2", "model.gguf");
  AtlBackend *cpu = model_fixture_cpu (TRUE);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_null (atl_llm_new (cp, &cpu, 1, NULL, NULL, NULL, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    void (*func) (Fixture *f, gconstpointer data);
  } tests[] = {
    { "truncate", test_truncate }, { "chunks", test_chunks },
    { "types", test_types },       { "sequences", test_sequences },
    { "few-rows", test_few_rows }, { "window", test_window },
    { "rows", test_rows },         { "many-plans", test_many_plans },
    { "full", test_full },         { "wrong-ids", test_wrong_ids },
    { "cancel", test_cancel },     { "device-fails", test_device_fails },
  };
  int status;

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    for (gsize t = 0; t < G_N_ELEMENTS (tests); t++)
      {
        g_autofree char *path =
            g_strdup_printf ("/models/cache/%s/%s/%s", cases[i].exact ? "exact" : "fast",
                             cases[i].family, tests[t].name);
        g_test_add (path, Fixture, &cases[i], set_up, tests[t].func, tear_down);
      }
  g_test_add_func ("/models/cache/key-bias", test_key_bias);
  g_test_add_func ("/models/cache/bad", test_bad_caches);
  g_test_add_func ("/models/cache/cancelled-load", test_cancelled_load);
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
