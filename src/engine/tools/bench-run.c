/* What the benchmark measures: passes over one model. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/bench-run.h"

#include <stdlib.h>
#include <string.h>

#include "engine/models/llm/llm.h"
#include "engine/samplers/sampler.h"

/* Readings of memory before decoding, and as many after it. */
#define N_READINGS 4

static double
now (void)
{
  return (double) g_get_monotonic_time () / 1e6;
}

static int
compare_doubles (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return x < y ? -1 : x > y;
}

double
bench_median (double *values, int n)
{
  qsort (values, (gsize) n, sizeof *values, compare_doubles);
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2.0;
}

/* --- One model --- */

/* Weights that every decoded token reads: all but the embedding rows, of experts the chosen share.
 */
static guint64
decode_bytes (AtlCheckpoint *cp)
{
  gboolean tied = atl_checkpoint_find (cp, "output.weight") == NULL;
  const char *arch = atl_checkpoint_get_string (cp, "general.architecture");
  g_autofree char *n_key = g_strconcat (arch, ".expert_count", NULL);
  g_autofree char *used_key = g_strconcat (arch, ".expert_used_count", NULL);
  guint64 n_experts = 0, n_used = 0, total = 0;

  atl_checkpoint_get_uint (cp, n_key, 0, G_MAXUINT32, &n_experts, NULL);
  atl_checkpoint_get_uint (cp, used_key, 0, G_MAXUINT32, &n_used, NULL);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *t = atl_checkpoint_tensor (cp, i);

      if (!tied && g_str_equal (t->name, "token_embd.weight"))
        continue;
      if (n_experts > 0 && strstr (t->name, "_exps.") != NULL)
        total += t->size_bytes / n_experts * n_used;
      else
        total += t->size_bytes;
    }
  return total;
}

/* What a round works with. */
typedef struct
{
  const BenchPlan *plan;
  AtlLlm *llm;
  AtlLlmCache *caches[BENCH_MAX_LIST]; /* of each depth */
  AtlLlmCache *chats[BENCH_MAX_CHATS];
  gint32 *tokens;
} Run;

static guint
list_max (const BenchList *list)
{
  guint most = 0;

  for (guint i = 0; i < list->n; i++)
    most = MAX (most, list->value[i]);
  return most;
}

static void
run_clear (Run *r)
{
  for (guint i = 0; i < BENCH_MAX_LIST; i++)
    g_clear_pointer (&r->caches[i], atl_llm_cache_free);
  for (guint i = 0; i < BENCH_MAX_CHATS; i++)
    g_clear_pointer (&r->chats[i], atl_llm_cache_free);
  g_clear_pointer (&r->tokens, g_free);
  g_clear_pointer (&r->llm, atl_llm_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Run, run_clear)

/* A cache of `depth` tokens, with room for what is measured. */
static AtlLlmCache *
filled_cache (Run *r, guint depth, guint room, GError **error)
{
  g_autoptr (AtlLlmCache) cache =
      atl_llm_cache_new (r->llm, depth + room, r->plan->kv_dtype, error);
  AtlLlmBatch batch = { cache, r->tokens, depth, FALSE };

  if (cache == NULL || (depth > 0 && !atl_llm_decode (r->llm, &batch, 1, NULL, error)))
    return NULL;
  return g_steal_pointer (&cache);
}

/* Back to `depth` tokens; what cannot be rewound so far, as states of recurrences, is read again.
 */
static gboolean
rewind_to (Run *r, AtlLlmCache *cache, guint depth, GError **error)
{
  guint length = atl_llm_cache_truncate (cache, MIN (depth, atl_llm_cache_length (cache)));
  AtlLlmBatch batch = { cache, r->tokens + length, depth - length, FALSE };

  return length == depth || atl_llm_decode (r->llm, &batch, 1, NULL, error);
}

static gboolean
run_open (Run *r, GError **error)
{
  const BenchPlan *p = r->plan;
  guint n_max = MAX (MAX (p->n_prompt, list_max (&p->depths)), list_max (&p->rows));
  guint room = MAX (MAX (p->n_prompt, p->n_generate), list_max (&p->rows)) + 1;

  r->tokens = g_new (gint32, n_max + 1);
  for (guint i = 0; i <= n_max; i++)
    r->tokens[i] = (gint32) ((i * 7919u + 13u) % atl_llm_info (r->llm)->n_vocab);
  for (guint i = 0; i < p->depths.n; i++)
    {
      r->caches[i] = filled_cache (r, p->depths.value[i], room, error);
      if (r->caches[i] == NULL)
        return FALSE;
    }
  for (guint i = 0; i < list_max (&p->chats); i++)
    {
      r->chats[i] = filled_cache (r, p->depths.value[0], room, error);
      if (r->chats[i] == NULL)
        return FALSE;
    }
  return TRUE;
}

/* Tokens a second of `n` passes over `batch`, whose cache has `depth` tokens before the first; with
 * `rewind` before each, the time of which counts only where it is more than a number. */
static gboolean
passes (Run *r,
        const AtlLlmBatch *batch,
        guint depth,
        guint n,
        gboolean rewind,
        double *speed,
        GError **error)
{
  double start;

  if (!rewind_to (r, batch->cache, depth, error))
    return FALSE;
  start = now ();
  for (guint i = 0; i < n; i++)
    if ((rewind && i > 0 && !rewind_to (r, batch->cache, depth, error)) ||
        !atl_llm_decode (r->llm, batch, 1, NULL, error))
      return FALSE;
  *speed = n * batch->n_tokens / (now () - start);
  return TRUE;
}

/* Chats that each choose their next token from what was computed for all of them in one pass. */
static gboolean
chat_passes (Run *r, guint n, guint depth, guint n_steps, double *speed, GError **error)
{
  const guint n_vocab = atl_llm_info (r->llm)->n_vocab;
  g_autofree float *logits = g_new (float, n_vocab);
  g_autoptr (GPtrArray) samplers =
      g_ptr_array_new_with_free_func ((GDestroyNotify) atl_sampler_free);
  AtlLlmBatch batch[BENCH_MAX_CHATS];
  gint32 next[BENCH_MAX_CHATS];
  AtlSamplingParams params;
  double start;

  atl_sampling_params_init (&params);
  for (guint c = 0; c < n; c++)
    {
      params.seed = c;
      g_ptr_array_add (samplers, atl_sampler_new (&params, n_vocab, NULL));
      next[c] = r->tokens[0];
      batch[c] = (AtlLlmBatch){ r->chats[c], &next[c], 1, FALSE };
      if (!rewind_to (r, r->chats[c], depth, error))
        return FALSE;
    }
  start = now ();
  for (guint i = 0; i < n_steps; i++)
    {
      if (!atl_llm_decode (r->llm, batch, n, NULL, error))
        return FALSE;
      for (guint c = 0; c < n; c++)
        {
          memcpy (logits, atl_llm_logits (r->llm, c), n_vocab * sizeof *logits);
          next[c] = MAX (0, atl_sampler_sample (samplers->pdata[c], logits, n_vocab));
        }
    }
  *speed = n * n_steps / (now () - start);
  return TRUE;
}

/* Decoding, right between readings of the memory that bounds it. */
static gboolean
decode_round (Run *r, guint64 bytes_per_token, BenchSpeeds *out, GError **error)
{
  const BenchPlan *p = r->plan;
  double readings[2 * N_READINGS] = { 0 };

  for (guint i = 0; i < p->depths.n; i++)
    {
      const AtlLlmBatch batch = { r->caches[i], r->tokens, 1, FALSE };

      if (i == 0 && p->memory != NULL)
        bench_memory_read (p->memory, readings, N_READINGS);
      if (!passes (r, &batch, p->depths.value[i], p->n_generate, FALSE, &out->decode[i], error))
        return FALSE;
      if (i == 0 && p->memory != NULL)
        bench_memory_read (p->memory, readings + N_READINGS, N_READINGS);
    }
  out->bandwidth = bench_median (readings, G_N_ELEMENTS (readings));
  out->bandwidth_best = readings[G_N_ELEMENTS (readings) - 1];
  out->share = p->memory != NULL ? out->decode[0] * (double) bytes_per_token / out->bandwidth : 0.0;
  return TRUE;
}

/* One of all measurements, in turns, so that what disturbs a moment disturbs all alike. */
static gboolean
one_round (Run *r, guint64 bytes_per_token, BenchSpeeds *out, GError **error)
{
  const BenchPlan *p = r->plan;
  const guint depth = p->depths.value[0];
  AtlLlmBatch batch = { r->caches[0], r->tokens, p->n_prompt, FALSE };

  /* The prompt is read into an empty context and taken away again. */
  if (depth == 0 && !passes (r, &batch, 0, 1, FALSE, &out->prefill, error))
    return FALSE;
  if (depth > 0)
    {
      g_autoptr (AtlLlmCache) empty = atl_llm_cache_new (r->llm, p->n_prompt, p->kv_dtype, error);

      batch.cache = empty;
      if (empty == NULL || !passes (r, &batch, 0, 1, FALSE, &out->prefill, error))
        return FALSE;
    }
  if (!decode_round (r, bytes_per_token, out, error))
    return FALSE;
  for (guint i = 0; i < p->rows.n; i++)
    {
      batch = (AtlLlmBatch){ r->caches[0], r->tokens, p->rows.value[i], TRUE };
      if (!passes (r, &batch, depth, MAX (p->n_generate / 2, 1), TRUE, &out->rows[i], error))
        return FALSE;
    }
  for (guint i = 0; i < p->chats.n; i++)
    if (!chat_passes (r, p->chats.value[i], depth, p->n_generate, &out->chats[i], error))
      return FALSE;
  return TRUE;
}

static double
median_of (const BenchSpeeds *rounds, guint n, gsize offset)
{
  double values[BENCH_MAX_REPEATS];

  for (guint i = 0; i < n; i++)
    values[i] = *(const double *) ((const guint8 *) &rounds[i] + offset);
  return bench_median (values, (int) n);
}

gboolean
bench_run (const BenchPlan *plan,
           AtlCheckpoint *cp,
           AtlBackend **backends,
           guint n_backends,
           BenchResult *out,
           GError **error)
{
  guint n_ctx = MAX (plan->n_prompt, list_max (&plan->depths) + plan->n_generate) + 1;
  AtlLlmOptions options = { .n_gpu_layers = G_MAXUINT,
                            .n_ctx_hint = n_ctx,
                            .kv_dtype = plan->kv_dtype };
  BenchSpeeds rounds[BENCH_MAX_REPEATS];
  g_auto (Run) r = { .plan = plan };
  double start = now ();

  r.llm = atl_llm_new (cp, backends, n_backends, &options, NULL, NULL, NULL, error);
  if (r.llm == NULL)
    return FALSE;
  out->load_s = now () - start;
  out->bytes_per_token = decode_bytes (cp);
  if (!run_open (&r, error))
    return FALSE;
  /* The first round warms caches and plans and is not counted. */
  if (!one_round (&r, out->bytes_per_token, &rounds[0], error))
    return FALSE;
  for (guint i = 0; i < plan->n_repeats; i++)
    if (!one_round (&r, out->bytes_per_token, &rounds[i], error))
      return FALSE;
  for (gsize at = 0; at < sizeof (BenchSpeeds); at += sizeof (double))
    *(double *) ((guint8 *) &out->speeds + at) = median_of (rounds, plan->n_repeats, at);
  return TRUE;
}
