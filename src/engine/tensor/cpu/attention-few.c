/* Attention of few queries (decode): a chunk is one key/value head and a stretch of keys, with all
 * its query heads; partial results are joined at the end. */
#include <math.h>
#include <string.h>

#include "engine/tensor/cpu/attention-private.h"

/* Keys of a step with few queries: scores and rows stay in the first cache. */
#define FEW_KEYS 64
/* Queries that count as few. */
#define FEW_QUERIES 8
/* Keys that are worth a chunk of their own. */
#define MIN_SPLIT 128

/* Floats that a chunk of few queries needs beside its results. */
static gint64
few_room (gint64 rows, gint64 dim, gint64 v_dim)
{
  return rows * (dim + FEW_KEYS) + MAX (dim, v_dim) + 64;
}

/* Results first: [rows][v_dim + 2] sums, largest score, sum of weights. */
static void
few_compute (gconstpointer args, guint chunk, gpointer scratch)
{
  const Attention *a = args;
  const AtlCpuKernels *k = a->kernels;
  const gint64 rows = a->n_q * a->per_kv;
  const gint64 split = chunk % a->n_splits;
  const gint64 kv = chunk / a->n_splits % a->n_kv;
  const gint64 batch = chunk / a->n_splits / a->n_kv;
  const gint64 first = a->first_key + split * a->split_keys;
  const gint64 end = MIN (first + a->split_keys, a->end_key);
  float *sums = scratch;
  float *state = sums + rows * a->v_dim;
  float *q = state + 2 * rows;
  float *scores = q + rows * a->dim;
  float *row = scores + rows * FEW_KEYS;

  memset (sums, 0, (gsize) (rows * a->v_dim) * sizeof *sums);
  for (gint64 r = 0; r < rows; r++)
    {
      memcpy (q + r * a->dim,
              attention_at (&a->q, batch, r / a->per_kv, kv * a->per_kv + r % a->per_kv),
              (gsize) a->dim * sizeof *q);
      state[2 * r] = -INFINITY;
      state[2 * r + 1] = 0.0f;
    }
  for (gint64 at = first; at < end; at += FEW_KEYS)
    {
      gint64 n = MIN (FEW_KEYS, end - at);

      k->scores (a->k.dtype, attention_at (&a->k, batch, at, kv), (gsize) a->k.stride[1], n, a->dim,
                 q, rows, row, scores, FEW_KEYS);
      for (gint64 r = 0; r < rows; r++)
        {
          float *s = scores + r * FEW_KEYS;
          gint64 head = kv * a->per_kv + r % a->per_kv;
          float correction;

          correction = attention_step_row (a, batch, r / a->per_kv, head, at, n, s, &state[2 * r]);
          if (correction != 1.0f)
            for (gint64 d = 0; d < a->v_dim; d++)
              sums[r * a->v_dim + d] *= correction;
        }
      k->weigh_values (a->v.dtype, attention_at (&a->v, batch, at, kv), (gsize) a->v.stride[1], n,
                       a->v_dim, scores, rows, FEW_KEYS, row, sums);
    }
}

static void
few_commit (gconstpointer args, guint chunk, gconstpointer scratch)
{
  const Attention *a = args;
  const gsize n = (gsize) (a->n_q * a->per_kv * (a->v_dim + 2));

  memcpy (a->partial + chunk * n, scratch, n * sizeof (float));
}

/* Joins the splits of one row. */
static void
join_row (const Attention *a, gint64 batch, gint64 kv, gint64 r)
{
  const gint64 rows = a->n_q * a->per_kv;
  const gint64 head = kv * a->per_kv + r % a->per_kv;
  const gint64 n = rows * (a->v_dim + 2);
  const float *partial = a->partial + (batch * a->n_kv + kv) * a->n_splits * n;
  float *out = a->dst + ((batch * a->n_q + r / a->per_kv) * a->n_heads + head) * a->v_dim;
  float largest = a->sinks != NULL ? a->sinks[head] : -INFINITY;
  float total = 0.0f;

  for (gint64 s = 0; s < a->n_splits; s++)
    largest = MAX (largest, partial[s * n + rows * a->v_dim + 2 * r]);
  memset (out, 0, (gsize) a->v_dim * sizeof *out);
  if (largest == -INFINITY)
    return;
  if (a->sinks != NULL)
    total = expf (a->sinks[head] - largest);
  for (gint64 s = 0; s < a->n_splits; s++)
    {
      const float *sums = partial + s * n + r * a->v_dim;
      const float *state = partial + s * n + rows * a->v_dim + 2 * r;
      float factor = expf (state[0] - largest);

      if (factor == 0.0f)
        continue;
      total += state[1] * factor;
      for (gint64 d = 0; d < a->v_dim; d++)
        out[d] += sums[d] * factor;
    }
  if (total > 0.0f)
    for (gint64 d = 0; d < a->v_dim; d++)
      out[d] /= total;
}

static gint64
max_splits (const AtlCpu *cpu, gint64 n_keys, gint64 n_kv_heads)
{
  gint64 wanted = (4 * (gint64) cpu->n_threads + n_kv_heads - 1) / n_kv_heads;
  return CLAMP (wanted, 1, MAX (1, n_keys / MIN_SPLIT));
}

gboolean
attention_is_few (const AtlNode *node)
{
  const AtlTensor *q = node->src[0];
  const gint64 n_kv = node->src[1]->dim[2];
  const gint64 rows = q->dim[1] * (q->dim[2] / n_kv);
  const gint64 v_dim = node->src[2]->dim[3];

  return q->dim[1] <= FEW_QUERIES &&
         (few_room (rows, q->dim[3], v_dim) + rows * (v_dim + 2)) * (gint64) sizeof (float) <=
             ATL_POOL_SCRATCH_BYTES;
}

void
attention_run_few (AtlCpuRun *run, Attention *a)
{
  const gint64 n_keys = a->end_key - a->first_key;
  const gint64 n_kv_heads = a->n_batch * a->n_kv;
  gint64 n_chunks;

  a->n_splits = max_splits (run->cpu, n_keys, n_kv_heads);
  a->split_keys = (n_keys + a->n_splits - 1) / a->n_splits;
  a->partial = (float *) run->scratch;
  n_chunks = n_kv_heads * a->n_splits;
  if (n_chunks <= ATL_POOL_MAX_RESTARTABLE)
    {
      atl_pool_run_restartable (run->pool, n_chunks, few_compute, few_commit, a, sizeof *a);
    }
  else
    {
      g_autofree guint8 *memory = g_malloc (ATL_POOL_SCRATCH_BYTES);

      for (gint64 i = 0; i < n_chunks; i++)
        {
          few_compute (a, (guint) i, memory);
          few_commit (a, (guint) i, memory);
        }
    }
  for (gint64 b = 0; b < a->n_batch; b++)
    for (gint64 kv = 0; kv < a->n_kv; kv++)
      for (gint64 r = 0; r < a->n_q * a->per_kv; r++)
        join_row (a, b, kv, r);
}

gsize
attention_few_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *q = node->src[0];
  const AtlTensor *k = node->src[1];
  const gint64 v_dim = node->src[2]->dim[3];
  gint64 heads = q->dim[0] * k->dim[2];
  gint64 rows = q->dim[1] * (q->dim[2] / k->dim[2]);

  return (gsize) (heads * max_splits (cpu, k->dim[1], heads) * rows * (v_dim + 2)) * sizeof (float);
}
