/* The fast forms of attention, both with a softmax that runs along (Milakov and Gimelshein, "Online
 * normalizer calculation for softmax"; Dao et al., "FlashAttention").
 *
 * Few queries (decode): a chunk is one key/value head and a stretch of keys, with all its query
 * heads; partial results are joined at the end. Many: a chunk is some hundred rows (a query and a
 * head each) of one key/value head; blocks of keys and values are laid out for the level's tiles
 * and meet all of them.
 */
#include <math.h>
#include <string.h>

#include "engine/tensor/cpu/cpu-private.h"

/* Keys of a step with few queries: scores and rows stay in the first cache. */
#define FEW_KEYS 64
/* Queries that count as few. */
#define FEW_QUERIES 8
/* Keys that are worth a chunk of their own. */
#define MIN_SPLIT 128
/* Keys of a step with many queries. */
#define TILE_KEYS 128
#define MAX_TILE_ROWS 512
/* Room for the rows of a chunk and their sums. */
#define TILE_BYTES (1024 * 1024)

typedef struct
{
  AtlDType dtype;
  const guint8 *data;
  gint64 stride[4]; /* bytes */
} Operand;

typedef struct
{
  const AtlCpuKernels *kernels;
  gint64 n_batch, n_q, n_heads, n_kv, n_k, dim, v_dim, per_kv;
  Operand q, k, v;
  const gint32 *ranges;
  gint64 ranges_batch;
  const float *bias;
  gint64 bias_stride[4];
  const float *sinks;
  float scale, softcap;
  float *dst;
  gint64 first_key, end_key; /* union of all ranges */
  /* few */
  gint64 n_splits, split_keys;
  float *partial; /* [batch, kv, split][rows][v_dim + 2] */
  /* many */
  gint64 tile_rows_max, n_row_blocks;
  guint8 *own;
  gsize own_bytes;
} Attention;

static gint64
round_up (gint64 n, gint64 to)
{
  return (n + to - 1) / to * to;
}

static Operand
operand (const AtlCpuRun *run, const AtlTensor *t)
{
  gboolean is_weight = atl_cpu_weight (run, t) != NULL;
  Operand o = { .dtype = is_weight ? ATL_DTYPE_F32 : t->dtype };
  const AtlDTypeInfo *info = atl_dtype_info (o.dtype);
  gint64 dim[4];

  o.data = is_weight ? (const guint8 *) atl_cpu_f32 (run, t) : atl_tensor_host (t);
  atl_cpu_align_dims (t, 4, dim, o.stride);
  for (guint i = 0; i < 4; i++)
    o.stride[i] = o.stride[i] / info->block_elems * info->block_bytes;
  return o;
}

static const guint8 *
operand_at (const Operand *o, gint64 batch, gint64 token, gint64 head)
{
  return o->data + batch * o->stride[0] + token * o->stride[1] + head * o->stride[2];
}

/* Keys of query `i`: read once and clamped, see AtlPoolCompute. */
static void
query_range (const Attention *a, gint64 batch, gint64 i, gint64 *first, gint64 *end)
{
  *first = 0;
  *end = a->n_k;
  if (a->ranges != NULL)
    {
      const volatile gint32 *range = a->ranges + batch * a->ranges_batch + 2 * i;

      *first = CLAMP (range[0], 0, a->n_k);
      *end = CLAMP (range[1], 0, a->n_k);
    }
}

static const float *
bias_row (const Attention *a, gint64 batch, gint64 i, gint64 head)
{
  return a->bias + batch * a->bias_stride[0] + head * a->bias_stride[1] + i * a->bias_stride[2];
}

/* Turns the scores of keys [at, at + n) of one query into weights, zero outside its range; returns
 * what its sums must be multiplied with. `state`: largest score and sum of weights so far. */
static float
step_row (const Attention *a,
          gint64 batch,
          gint64 query,
          gint64 head,
          gint64 at,
          gint64 n,
          float *s,
          float *state)
{
  gint64 from, to;

  query_range (a, batch, query, &from, &to);
  from = CLAMP (from - at, 0, n);
  to = CLAMP (to - at, from, n);
  memset (s, 0, (gsize) from * sizeof *s);
  memset (s + to, 0, (gsize) (n - to) * sizeof *s);
  if (from == to)
    return 1.0f;
  return a->kernels->softmax_step (
      s + from, to - from, a->scale, a->softcap,
      a->bias != NULL ? bias_row (a, batch, query, head) + at + from : NULL, &state[0], &state[1]);
}

static void
find_keys (Attention *a)
{
  a->first_key = 0;
  a->end_key = a->n_k;
  if (a->ranges == NULL)
    return;
  a->first_key = a->n_k;
  a->end_key = 0;
  for (gint64 b = 0; b < (a->ranges_batch > 0 ? a->n_batch : 1); b++)
    for (gint64 i = 0; i < a->n_q; i++)
      {
        gint64 first, end;

        query_range (a, b, i, &first, &end);
        if (first < end)
          {
            a->first_key = MIN (a->first_key, first);
            a->end_key = MAX (a->end_key, end);
          }
      }
  a->first_key = MIN (a->first_key, a->end_key);
}

/* --- Few queries --- */

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
              operand_at (&a->q, batch, r / a->per_kv, kv * a->per_kv + r % a->per_kv),
              (gsize) a->dim * sizeof *q);
      state[2 * r] = -INFINITY;
      state[2 * r + 1] = 0.0f;
    }
  for (gint64 at = first; at < end; at += FEW_KEYS)
    {
      gint64 n = MIN (FEW_KEYS, end - at);

      k->scores (a->k.dtype, operand_at (&a->k, batch, at, kv), (gsize) a->k.stride[1], n, a->dim,
                 q, rows, row, scores, FEW_KEYS);
      for (gint64 r = 0; r < rows; r++)
        {
          float *s = scores + r * FEW_KEYS;
          gint64 head = kv * a->per_kv + r % a->per_kv;
          float correction;

          correction = step_row (a, batch, r / a->per_kv, head, at, n, s, &state[2 * r]);
          if (correction != 1.0f)
            for (gint64 d = 0; d < a->v_dim; d++)
              sums[r * a->v_dim + d] *= correction;
        }
      k->weigh_values (a->v.dtype, operand_at (&a->v, batch, at, kv), (gsize) a->v.stride[1], n,
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

static gboolean
is_few (const AtlNode *node)
{
  const AtlTensor *q = node->src[0];
  const gint64 n_kv = node->src[1]->dim[2];
  const gint64 rows = q->dim[1] * (q->dim[2] / n_kv);
  const gint64 v_dim = node->src[2]->dim[3];

  return q->dim[1] <= FEW_QUERIES &&
         (few_room (rows, q->dim[3], v_dim) + rows * (v_dim + 2)) * (gint64) sizeof (float) <=
             ATL_POOL_SCRATCH_BYTES;
}

static void
run_few (AtlCpuRun *run, Attention *a)
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

/* --- Many queries --- */

/* What a worker has for itself; all in floats. */
typedef struct
{
  float *rows;     /* [tiles] as prepare_rows makes them */
  float *sums;     /* [rows][v_width] */
  float *state;    /* [rows][2] */
  float *k_panels; /* [TILE_KEYS / 16] */
  float *v_panels; /* [v_width / 16] */
  float *floats;   /* one panel */
  float *lines;    /* [16][dim] or [TILE_KEYS][v_dim] */
  float *scores;   /* [tile_rows][TILE_KEYS] */
  float *weights;  /* one tile's rows */
} Own;

static gint64
rows_of_chunk (const AtlCpuKernels *k, gint64 dim, gint64 v_dim)
{
  gint64 bytes = (round_up (dim, 32) + round_up (v_dim, 32)) * (gint64) sizeof (float);
  gint64 rows = CLAMP (TILE_BYTES / bytes, k->tile_rows, MAX_TILE_ROWS);

  return rows / k->tile_rows * k->tile_rows;
}

static gint64
own_layout (const AtlCpuKernels *k, gint64 dim, gint64 v_dim, float *memory, Own *own)
{
  const gint64 rows = rows_of_chunk (k, dim, v_dim);
  const gint64 width = round_up (dim, 32);
  const gint64 v_width = round_up (v_dim, 32);
  const gint64 sizes[] = {
    rows * width,
    rows * v_width,
    rows * 2,
    TILE_KEYS * width,
    TILE_KEYS * v_width,
    MAX (width, TILE_KEYS) * 16,
    MAX (16 * dim, TILE_KEYS * v_dim),
    (gint64) k->tile_rows * TILE_KEYS,
    (gint64) k->tile_rows * TILE_KEYS,
  };
  float **fields[] = { &own->rows,   &own->sums,  &own->state,  &own->k_panels, &own->v_panels,
                       &own->floats, &own->lines, &own->scores, &own->weights };
  gint64 total = 0;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      if (memory != NULL)
        *fields[i] = memory + total;
      total += round_up (sizes[i], 16);
    }
  return total;
}

/* Keys [at, at + n) as panels of 16 keys; those beyond n are zero. */
static void
make_keys (const Attention *a, gint64 batch, gint64 kv, gint64 at, gint64 n, const Own *own)
{
  const AtlCpuKernels *k = a->kernels;
  const gint64 panel = round_up (a->dim, 32) * 16;

  for (gint64 first = 0; first < round_up (n, 32); first += 16)
    {
      gint64 n_keys = CLAMP (n - first, 0, 16);
      float *to = own->k_panels + first / 16 * panel;
      float *floats = k->prepare_panel != NULL ? own->floats : to;

      for (gint64 i = 0; i < n_keys; i++)
        k->cache_row (a->k.dtype, operand_at (&a->k, batch, at + first + i, kv), a->dim,
                      own->lines + i * a->dim);
      k->plain_panel (ATL_DTYPE_F32, (const guint8 *) own->lines, (gsize) a->dim * sizeof (float),
                      (guint) n_keys, 0, a->dim, floats);
      if (k->prepare_panel != NULL)
        k->prepare_panel (floats, a->dim, (guint8 *) to);
    }
}

/* Values [at, at + n) as panels of 16 components. */
static void
make_values (const Attention *a, gint64 batch, gint64 kv, gint64 at, gint64 n, const Own *own)
{
  const AtlCpuKernels *k = a->kernels;

  for (gint64 i = 0; i < n; i++)
    k->cache_row (a->v.dtype, operand_at (&a->v, batch, at + i, kv), a->v_dim,
                  own->lines + i * a->v_dim);
  for (gint64 first = 0; first < round_up (a->v_dim, 32); first += 16)
    {
      gint64 n_columns = CLAMP (a->v_dim - first, 0, 16);
      float *to = own->v_panels + first * TILE_KEYS;
      float *floats = k->prepare_panel != NULL ? own->floats : to;

      for (gint64 i = 0; i < n; i++)
        {
          memcpy (floats + i * 16, own->lines + i * a->v_dim + first,
                  (gsize) n_columns * sizeof (float));
          if (n_columns < 16)
            memset (floats + i * 16 + n_columns, 0, (gsize) (16 - n_columns) * sizeof (float));
        }
      if (k->prepare_panel != NULL)
        k->prepare_panel (floats, n, (guint8 *) to);
    }
}

/* Scores, softmax and weighted values of one tile of rows with the block of keys in `own`. Row r of
 * the chunk is query r / per_kv and head r % per_kv of the key/value head. */
static void
tile_step (const Attention *a,
           gint64 batch,
           gint64 kv,
           gint64 first_row,
           gint64 in_chunk,
           gint64 n_rows,
           gint64 at,
           gint64 n,
           const Own *own)
{
  const AtlCpuKernels *k = a->kernels;
  const gint64 width = round_up (a->dim, 32);
  const gint64 v_width = round_up (a->v_dim, 32);
  const float *rows[ATL_TILE_MAX_ROWS];
  gboolean any = FALSE;

  /* Causal blocks: nothing to do where no row of the tile sees a key. */
  for (gint64 r = 0; r < n_rows && !any; r++)
    {
      gint64 from, to;

      query_range (a, batch, (first_row + r) / a->per_kv, &from, &to);
      any = from < at + n && to > at && from < to;
    }
  if (!any)
    return;

  for (gint64 j = 0; j < n; j += 32)
    k->tile (a->dim, (const guint8 *) (own->rows + in_chunk * width),
             (const guint8 *) (own->k_panels + j / 16 * width * 16),
             (const guint8 *) (own->k_panels + (j / 16 + 1) * width * 16), own->scores + j,
             TILE_KEYS, FALSE);
  for (gint64 r = 0; r < n_rows; r++)
    {
      gint64 query = (first_row + r) / a->per_kv;
      gint64 head = kv * a->per_kv + (first_row + r) % a->per_kv;
      float *s = own->scores + r * TILE_KEYS;
      float *sums = own->sums + (in_chunk + r) * v_width;
      float correction;

      correction = step_row (a, batch, query, head, at, n, s, own->state + 2 * (in_chunk + r));
      if (correction != 1.0f)
        for (gint64 d = 0; d < v_width; d++)
          sums[d] *= correction;
      rows[r] = s;
    }
  k->prepare_rows (rows, n_rows, n, (guint8 *) own->weights);
  for (gint64 d = 0; d < v_width; d += 32)
    k->tile (n, (const guint8 *) own->weights, (const guint8 *) (own->v_panels + d * TILE_KEYS),
             (const guint8 *) (own->v_panels + (d + 16) * TILE_KEYS),
             own->sums + in_chunk * v_width + d, v_width, TRUE);
}

static void
many_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Attention *a = args;
  const AtlCpuKernels *k = a->kernels;
  const gint64 width = round_up (a->dim, 32);
  const gint64 v_width = round_up (a->v_dim, 32);
  const gint64 kv = chunk / a->n_row_blocks % a->n_kv;
  const gint64 batch = chunk / a->n_row_blocks / a->n_kv;
  const gint64 first = chunk % a->n_row_blocks * a->tile_rows_max;
  const gint64 n_rows = MIN (a->tile_rows_max, a->n_q * a->per_kv - first);
  gint64 from = a->n_k;
  gint64 to = 0;
  Own own;

  own_layout (k, a->dim, a->v_dim, (float *) (a->own + worker * a->own_bytes), &own);
  if (k->begin != NULL)
    k->begin ();

  for (gint64 r = 0; r < n_rows; r += k->tile_rows)
    {
      const float *rows[ATL_TILE_MAX_ROWS];
      gint64 n = MIN (k->tile_rows, n_rows - r);

      for (gint64 i = 0; i < n; i++)
        {
          gint64 row = first + r + i;
          gint64 start, end;

          rows[i] = (const float *) operand_at (&a->q, batch, row / a->per_kv,
                                                kv * a->per_kv + row % a->per_kv);
          query_range (a, batch, row / a->per_kv, &start, &end);
          if (start < end)
            {
              from = MIN (from, start);
              to = MAX (to, end);
            }
        }
      k->prepare_rows (rows, n, a->dim, (guint8 *) (own.rows + r * width));
    }
  memset (own.sums, 0, (gsize) (round_up (n_rows, k->tile_rows) * v_width) * sizeof (float));
  for (gint64 r = 0; r < n_rows; r++)
    {
      own.state[2 * r] = -INFINITY;
      own.state[2 * r + 1] = 0.0f;
    }

  for (gint64 at = from; at < to; at += TILE_KEYS)
    {
      gint64 n = MIN (TILE_KEYS, to - at);

      make_keys (a, batch, kv, at, n, &own);
      make_values (a, batch, kv, at, n, &own);
      for (gint64 r = 0; r < n_rows; r += k->tile_rows)
        tile_step (a, batch, kv, first + r, r, MIN (k->tile_rows, n_rows - r), at, n, &own);
    }
  if (k->end != NULL)
    k->end ();

  for (gint64 r = 0; r < n_rows; r++)
    {
      gint64 query = (first + r) / a->per_kv;
      gint64 head = kv * a->per_kv + (first + r) % a->per_kv;
      float *out = a->dst + ((batch * a->n_q + query) * a->n_heads + head) * a->v_dim;
      const float *sums = own.sums + r * v_width;
      float total = own.state[2 * r + 1];
      float factor;

      if (a->sinks != NULL && total > 0.0f)
        total += expf (a->sinks[head] - own.state[2 * r]);
      factor = total > 0.0f ? 1.0f / total : 0.0f;
      for (gint64 d = 0; d < a->v_dim; d++)
        out[d] = sums[d] * factor;
    }
}

static void
run_many (AtlCpuRun *run, Attention *a)
{
  const AtlCpuKernels *k = a->kernels;
  const gint64 rows = a->n_q * a->per_kv;
  gint64 even;

  a->own = run->scratch;
  a->own_bytes = (gsize) own_layout (k, a->dim, a->v_dim, NULL, &(Own){ 0 }) * sizeof (float);
  /* Few heads: smaller chunks, so that all threads have some. */
  even = rows * a->n_batch * a->n_kv / (3 * (gint64) run->cpu->n_threads);
  a->tile_rows_max =
      MIN (rows_of_chunk (k, a->dim, a->v_dim), round_up (MAX (even, k->tile_rows), k->tile_rows));
  a->n_row_blocks = (rows + a->tile_rows_max - 1) / a->tile_rows_max;
  atl_pool_run (run->pool, a->n_batch * a->n_kv * a->n_row_blocks, many_chunk, a);
}

gsize
atl_fast_attention_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *q = node->src[0];
  const AtlTensor *k = node->src[1];
  const gint64 v_dim = node->src[2]->dim[3];

  if (is_few (node))
    {
      gint64 heads = q->dim[0] * k->dim[2];
      gint64 rows = q->dim[1] * (q->dim[2] / k->dim[2]);

      return (gsize) (heads * max_splits (cpu, k->dim[1], heads) * rows * (v_dim + 2)) *
             sizeof (float);
    }
  return cpu->n_threads * (gsize) own_layout (cpu->kernels, q->dim[3], v_dim, NULL, &(Own){ 0 }) *
         sizeof (float);
}

static gboolean
is_cache_dtype (AtlDType dtype)
{
  return dtype == ATL_DTYPE_F32 || dtype == ATL_DTYPE_F16 || dtype == ATL_DTYPE_Q8_0 ||
         dtype == ATL_DTYPE_Q4_0;
}

gboolean
atl_fast_attention (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *q = node->src[0];
  const AtlTensor *k = node->src[1];
  const AtlTensor *v = node->src[2];
  Attention a = {
    .kernels = run->cpu->kernels,
    .n_batch = q->dim[0],
    .n_q = q->dim[1],
    .n_heads = q->dim[2],
    .n_kv = k->dim[2],
    .n_k = k->dim[1],
    .dim = q->dim[3],
    .v_dim = v->dim[3],
    .per_kv = q->dim[2] / k->dim[2],
    .q = operand (run, q),
    .k = operand (run, k),
    .v = operand (run, v),
    .bias = atl_cpu_f32 (run, node->src[4]),
    .sinks = atl_cpu_f32 (run, node->src[5]),
    .scale = node->p.scale,
    .softcap = node->p.softcap,
    .dst = atl_tensor_host (node->dst),
  };

  G_STATIC_ASSERT (sizeof a <= ATL_POOL_ARGS_MAX);
  if (!is_cache_dtype (a.k.dtype) || !is_cache_dtype (a.v.dtype))
    return FALSE;
  if (node->src[3] != NULL)
    {
      a.ranges = atl_tensor_host (node->src[3]);
      if (atl_tensor_n_elems (node->src[3]) > 2 * a.n_q)
        a.ranges_batch = 2 * a.n_q;
    }
  if (a.bias != NULL)
    {
      gint64 dim[4];
      atl_cpu_align_dims (node->src[4], 4, dim, a.bias_stride);
      if (a.bias_stride[3] != 1 && a.n_k > 1)
        return FALSE;
    }
  find_keys (&a);
  if (is_few (node))
    run_few (run, &a);
  else
    run_many (run, &a);
  return TRUE;
}
