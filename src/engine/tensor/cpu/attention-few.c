/* Attention of few queries (decode): a chunk is a stretch of keys and, while its results fit a
 * worker's scratch, all key/value heads with their query heads, so that the cache is read in order;
 * partial results are joined at the end.
 *
 * A chunk takes ATL_CACHE_ROWS keys at a time: their scores, the steps of the softmax, and then
 * their values.
 */
#include <math.h>
#include <string.h>

#include "engine/tensor/cpu/attention-private.h"

/* Queries that count as few. */
#define FEW_QUERIES 8
/* Keys that are worth a chunk of their own; twice as many, and many more, where there are many. */
#define SPLIT_KEYS 128
#define N_SHORT_SPLITS 4
#define N_MIDDLE_SPLITS 6
#define LONG_SPLIT_KEYS 512
/* From so many splits on their results are joined by all threads. */
#define MANY_SPLITS 8
/* So many scores fit a worker's scratch. */
#define MAX_ROWS (ATL_POOL_SCRATCH_BYTES / (ATL_CACHE_ROWS * sizeof (float)))
/* How far ahead keys are asked for: what is worked on next; and how much further for the
 * second-level cache, so that enough is under way at a time. */
#define AHEAD_KEYS 16
#define FAR_BYTES (32 * 1024)

/* Floats of a row of n; vectors that cross cache lines would take twice as long. */
static gint64
padded (gint64 n)
{
  return attention_round_up (n, 16);
}

/* What multiplies queries with keys of `dtype` in integers; NULL: floats do. */
static const AtlCpuCacheTiles *
tiles_of (const AtlCpuKernels *k, AtlDType dtype)
{
  return dtype == ATL_DTYPE_Q8_0 ? k->q8_tiles : dtype == ATL_DTYPE_Q4_0 ? k->q4_tiles : NULL;
}

/* Floats of one head's queries, as they meet keys of `dtype`. */
static gint64
query_room (const AtlCpuKernels *k, AtlDType dtype, gint64 rows, gint64 dim)
{
  const AtlCpuCacheTiles *tiles = tiles_of (k, dtype);

  return padded (tiles != NULL ? (gint64) (tiles->queries_bytes (rows, dim) / sizeof (float))
                               : rows * dim);
}

/* Floats of one head's results: sums, then what weights are relative to and their sum. */
static gint64
results_room (gint64 rows, gint64 v_dim)
{
  return padded (rows * v_dim) + padded (2 * rows);
}

/* Floats that a chunk needs for one key/value head: results, queries, scores, sums in lanes. */
static gint64
head_room (const AtlCpuKernels *k, AtlDType dtype, gint64 rows, gint64 dim, gint64 v_dim)
{
  return results_room (rows, v_dim) + query_room (k, dtype, rows, dim) +
         rows * (ATL_CACHE_ROWS + ATL_SOFTMAX_LANES);
}

/* What a chunk works on, and where. */
typedef struct
{
  gint64 rows, batch, first_kv, n_kv;
  gint64 n_results, n_q; /* floats of one kv */
  float *results; /* [kv]: [rows][v_dim] sums, then [rows] what weights are relative to, [rows]
                     their sum */
  float *q;       /* [kv]: [rows][dim], or what AtlCpuCacheTiles make of it */
  float *scores;  /* [kv][rows][ATL_CACHE_ROWS] */
  float *lanes;   /* [kv][rows][ATL_SOFTMAX_LANES]: sums of weights until the end */
} FewChunk;

static FewChunk
few_chunk (const Attention *a, guint chunk, float *scratch)
{
  const gint64 group = chunk / a->n_splits;
  const gint64 n_groups = (a->n_kv + a->heads_per_chunk - 1) / a->heads_per_chunk;
  FewChunk c = { .rows = a->n_q * a->per_kv, .batch = group / n_groups };

  c.first_kv = group % n_groups * a->heads_per_chunk;
  c.n_kv = MIN (a->heads_per_chunk, a->n_kv - c.first_kv);
  c.n_results = results_room (c.rows, a->v_dim);
  c.n_q = query_room (a->kernels, a->k.dtype, c.rows, a->dim);
  c.results = scratch;
  c.q = c.results + a->heads_per_chunk * c.n_results;
  c.scores = c.q + a->heads_per_chunk * c.n_q;
  c.lanes = c.scores + a->heads_per_chunk * c.rows * ATL_CACHE_ROWS;
  return c;
}

static void
few_begin (const Attention *a, const FewChunk *c)
{
  const AtlCpuCacheTiles *tiles = tiles_of (a->kernels, a->k.dtype);

  for (gint64 h = 0; h < c->n_kv; h++)
    {
      const float *q[MAX_ROWS];
      float *sums = c->results + h * c->n_results;
      float *state = sums + c->rows * a->v_dim;

      memset (sums, 0, (gsize) (c->rows * a->v_dim) * sizeof *sums);
      for (gint64 r = 0; r < c->rows; r++)
        {
          gint64 head = (c->first_kv + h) * a->per_kv + r % a->per_kv;

          q[r] = (const float *) attention_at (&a->q, c->batch, r / a->per_kv, head);
          state[r] = -INFINITY;
          if (tiles == NULL)
            memcpy (c->q + h * c->n_q + r * a->dim, q[r], (gsize) a->dim * sizeof *sums);
        }
      if (tiles != NULL)
        tiles->prepare_queries (q, c->rows, a->dim, (guint8 *) (c->q + h * c->n_q));
    }
  memset (c->lanes, 0, (gsize) (c->n_kv * c->rows * ATL_SOFTMAX_LANES) * sizeof (float));
}

/* Turns the scores of keys [at, at + n) of a head into weights. A row's numbers do not depend on
 * what is beside it, see split_start(). */
static void
few_weights (const Attention *a, const FewChunk *c, gint64 h, gint64 at, gint64 n)
{
  float *sums = c->results + h * c->n_results;
  float *states = sums + c->rows * a->v_dim;
  float *lanes = c->lanes + h * c->rows * ATL_SOFTMAX_LANES;
  float *scores = c->scores + h * c->rows * ATL_CACHE_ROWS;
  float correction[MAX_ROWS];
  gint64 counts[MAX_ROWS];

  for (gint64 r = 0; r < c->rows; r++)
    {
      gint64 first, end;

      attention_range (a, c->batch, r / a->per_kv, &first, &end);
      counts[r] = a->is_simple && first <= at ? CLAMP (end - at, 0, n) : -1;
    }
  for (gint64 r = 0, same; r < c->rows; r += same)
    {
      for (same = 0; r + same < c->rows && counts[r + same] >= 0;)
        same++;
      if (same > 0)
        {
          a->kernels->softmax_rows (scores + r * ATL_CACHE_ROWS, counts + r, same, a->scale,
                                    states + r, lanes + r * ATL_SOFTMAX_LANES, correction + r);
          continue;
        }
      same = 1;
      float state[2] = { states[r], 0.0f };

      correction[r] = attention_step_row (a, c->batch, r / a->per_kv,
                                          (c->first_kv + h) * a->per_kv + r % a->per_kv, at, n,
                                          scores + r * ATL_CACHE_ROWS, state);
      states[r] = state[0];
      for (gint64 i = 0; i < ATL_SOFTMAX_LANES; i++)
        lanes[r * ATL_SOFTMAX_LANES + i] *= correction[r];
      lanes[r * ATL_SOFTMAX_LANES] += state[1];
    }
  for (gint64 r = 0; r < c->rows; r++)
    if (correction[r] != 1.0f)
      for (gint64 d = 0; d < a->v_dim; d++)
        sums[r * a->v_dim + d] *= correction[r];
}

/* Where splits begin does not depend on the queries: the sums of a query are formed in the same
 * order, to the last bit, however many others are computed beside it. */
static gint64
split_start (gint64 split)
{
  const gint64 middle = N_SHORT_SPLITS * SPLIT_KEYS;

  if (split <= N_SHORT_SPLITS)
    return split * SPLIT_KEYS;
  split -= N_SHORT_SPLITS;
  return split <= N_MIDDLE_SPLITS ? middle + split * 2 * SPLIT_KEYS
                                  : middle + N_MIDDLE_SPLITS * 2 * SPLIT_KEYS +
                                        (split - N_MIDDLE_SPLITS) * LONG_SPLIT_KEYS;
}

static gint64
split_of (gint64 key)
{
  if (key < N_SHORT_SPLITS * SPLIT_KEYS)
    return key / SPLIT_KEYS;
  key -= N_SHORT_SPLITS * SPLIT_KEYS;
  if (key < N_MIDDLE_SPLITS * 2 * SPLIT_KEYS)
    return N_SHORT_SPLITS + key / (2 * SPLIT_KEYS);
  return N_SHORT_SPLITS + N_MIDDLE_SPLITS +
         (key - N_MIDDLE_SPLITS * 2 * SPLIT_KEYS) / LONG_SPLIT_KEYS;
}

/* Rows [at, at + n) of all heads of the chunk, which ask for those `ahead` on. */
static AtlCacheRows
few_heads (
    const Attention *a, const FewChunk *c, const Operand *o, gint64 at, gint64 n, gint64 ahead)
{
  const guint8 *data = attention_at (o, c->batch, at, c->first_kv);

  return (AtlCacheRows){
    .data = data,
    .row_bytes = (gsize) o->stride[1],
    .n = n,
    .n_heads = c->n_kv,
    .head_bytes = (gsize) o->stride[2],
    .ahead = data + ahead * o->stride[1],
    .ahead_bytes = (gsize) (c->n_kv * o->stride[2]),
    .ahead_stride = (gsize) o->stride[1],
    .far_bytes = (gsize) (MAX (1, FAR_BYTES / MAX (1, o->stride[1])) * o->stride[1]),
  };
}

/* Scores of keys [at, at + n) for all heads of the chunk. */
static void
few_scores (const Attention *a, const FewChunk *c, gint64 at, gint64 n)
{
  const AtlCpuCacheTiles *tiles = tiles_of (a->kernels, a->k.dtype);
  AtlCacheRows keys = few_heads (a, c, &a->k, at, n, AHEAD_KEYS);

  keys.width = a->dim;
  keys.in_stride = (gsize) c->n_q * sizeof (float);
  keys.out_stride = c->rows * ATL_CACHE_ROWS;
  if (tiles != NULL)
    tiles->scores (&keys, (const guint8 *) c->q, c->rows, c->scores);
  else
    a->kernels->scores (a->k.dtype, &keys, c->q, c->rows, c->scores);
}

static void
few_values (const Attention *a, const FewChunk *c, gint64 at, gint64 n)
{
  const AtlCpuCacheTiles *tiles = tiles_of (a->kernels, a->v.dtype);
  AtlCacheRows values = few_heads (a, c, &a->v, at, n, tiles != NULL ? n : AHEAD_KEYS);

  values.width = a->v_dim;
  values.in_stride = (gsize) (c->rows * ATL_CACHE_ROWS) * sizeof (float);
  values.out_stride = c->n_results;
  if (tiles != NULL)
    tiles->weigh_values (&values, c->scores, c->rows, c->results);
  else
    a->kernels->weigh_values (a->v.dtype, &values, c->scores, c->rows, c->results);
}

/* Sums of weights over lanes. */
static void
few_end (const Attention *a, const FewChunk *c)
{
  for (gint64 h = 0; h < c->n_kv; h++)
    for (gint64 r = 0; r < c->rows; r++)
      {
        const float *lanes = c->lanes + (h * c->rows + r) * ATL_SOFTMAX_LANES;
        float sum = 0.0f;

        for (guint i = 0; i < ATL_SOFTMAX_LANES; i++)
          sum += lanes[i];
        c->results[h * c->n_results + c->rows * a->v_dim + c->rows + r] = sum;
      }
}

static void
few_compute (gconstpointer args, guint chunk, gpointer scratch)
{
  const Attention *a = args;
  const gint64 split = a->first_split + chunk % a->n_splits;
  const gint64 first = MAX (split_start (split), a->first_key);
  const gint64 end = MIN (split_start (split + 1), a->end_key);
  const FewChunk c = few_chunk (a, chunk, scratch);

  few_begin (a, &c);
  for (gint64 at = first; at < end; at += ATL_CACHE_ROWS)
    {
      const gint64 n = MIN (ATL_CACHE_ROWS, end - at);

      few_scores (a, &c, at, n);
      for (gint64 h = 0; h < c.n_kv; h++)
        few_weights (a, &c, h, at, n);
      few_values (a, &c, at, n);
    }
  few_end (a, &c);
}

static void
few_commit (gconstpointer args, guint chunk, gconstpointer scratch)
{
  const Attention *a = args;
  const FewChunk c = few_chunk (a, chunk, (float *) scratch);
  const gint64 n = c.n_results;

  for (gint64 h = 0; h < c.n_kv; h++)
    memcpy (a->partial +
                ((c.batch * a->n_kv + c.first_kv + h) * a->n_splits + chunk % a->n_splits) * n,
            c.results + h * n, (gsize) n * sizeof (float));
}

/* Joins the splits of one row. */
static void
join_row (const Attention *a, gint64 batch, gint64 kv, gint64 r)
{
  const gint64 rows = a->n_q * a->per_kv;
  const gint64 head = kv * a->per_kv + r % a->per_kv;
  const gint64 n = results_room (rows, a->v_dim);
  const float *partial = a->partial + (batch * a->n_kv + kv) * a->n_splits * n;
  float *out = a->dst + ((batch * a->n_q + r / a->per_kv) * a->n_heads + head) * a->v_dim;
  float largest = a->sinks != NULL ? a->sinks[head] : -INFINITY;
  float total = 0.0f;

  for (gint64 s = 0; s < a->n_splits; s++)
    largest = MAX (largest, partial[s * n + rows * a->v_dim + r]);
  memset (out, 0, (gsize) a->v_dim * sizeof *out);
  if (largest == -INFINITY)
    return;
  if (a->sinks != NULL)
    total = expf (a->sinks[head] - largest);
  for (gint64 s = 0; s < a->n_splits; s++)
    {
      const float *sums = partial + s * n + r * a->v_dim;
      const float *state = partial + s * n + rows * a->v_dim + r;
      float factor = expf (state[0] - largest);

      if (factor == 0.0f)
        continue;
      total += state[rows] * factor;
      for (gint64 d = 0; d < a->v_dim; d++)
        out[d] += sums[d] * factor;
    }
  if (total > 0.0f)
    for (gint64 d = 0; d < a->v_dim; d++)
      out[d] /= total;
}

static void
join_head (gconstpointer args, guint chunk, guint worker)
{
  const Attention *a = args;

  for (gint64 r = 0; r < a->n_q * a->per_kv; r++)
    join_row (a, chunk / a->n_kv, chunk % a->n_kv, r);
}

gboolean
attention_is_few (const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *q = node->src[0];
  const AtlTensor *k = node->src[1];
  const gint64 rows = q->dim[1] * (q->dim[2] / k->dim[2]);

  return q->dim[1] <= FEW_QUERIES &&
         head_room (cpu->kernels, k->dtype, rows, q->dim[3], node->src[2]->dim[3]) *
                 (gint64) sizeof (float) <=
             ATL_POOL_SCRATCH_BYTES;
}

/* As many heads in a chunk as fit; of few keys fewer, so that all threads have something to do. */
static gint64
heads_per_chunk (const AtlCpu *cpu, const Attention *a)
{
  const gint64 fit = ATL_POOL_SCRATCH_BYTES /
                     (head_room (a->kernels, a->k.dtype, a->n_q * a->per_kv, a->dim, a->v_dim) *
                      (gint64) sizeof (float));
  const gint64 wanted = 2 * (gint64) cpu->n_threads;
  const gint64 spread = a->n_batch * a->n_kv * a->n_splits / wanted;

  return CLAMP (MIN (fit, spread), 1, a->n_kv);
}

void
attention_run_few (AtlCpuRun *run, Attention *a)
{
  gint64 n_chunks;

  a->first_key -= a->first_key % ATL_CACHE_ROWS;
  a->first_split = split_of (a->first_key);
  a->n_splits = split_of (MAX (a->end_key, a->first_key + 1) - 1) - a->first_split + 1;
  a->heads_per_chunk = heads_per_chunk (run->cpu, a);
  a->partial = (float *) run->scratch;
  n_chunks = a->n_batch * ((a->n_kv + a->heads_per_chunk - 1) / a->heads_per_chunk) * a->n_splits;
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
  if (a->n_splits >= MANY_SPLITS)
    atl_pool_run (run->pool, (guint) (a->n_batch * a->n_kv), join_head, a);
  else
    for (gint64 i = 0; i < a->n_batch * a->n_kv; i++)
      join_head (a, (guint) i, 0);
}

gsize
attention_few_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *q = node->src[0];
  const AtlTensor *k = node->src[1];
  const gint64 v_dim = node->src[2]->dim[3];
  gint64 heads = q->dim[0] * k->dim[2];
  gint64 rows = q->dim[1] * (q->dim[2] / k->dim[2]);

  return (gsize) (heads * (split_of (k->dim[1]) + 1) * results_room (rows, v_dim)) * sizeof (float);
}
