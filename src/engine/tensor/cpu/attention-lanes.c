/* Attention of many queries in words of 16 bits, all seeing every key (pictures) or each a range of
 * its own (prompts): a chunk is some hundred rows (a query and a head each) of one key/value head
 * in tiles of lanes; blocks of keys and values are rounded and meet all of them. kern-attend.c and
 * kern-attend-range.c have the arithmetic. */
#include <math.h>
#include <string.h>

#include "engine/tensor/cpu/attention-private.h"

#define KEYS ATL_ATTEND_KEYS
#define MAX_LANES 32
#define MAX_ROWS 1024
#define MIN_PRODUCTS (1 << 25)
/* Room for the rows of a chunk and their sums. */
#define CHUNK_BYTES (1024 * 1024)

/* What a worker has for itself, in words of 32 bits. */
typedef struct
{
  float *queries; /* [tiles][atl_attend_words (dim)][lanes] */
  float *sums;    /* [tiles][v_dim][lanes] */
  float *state;   /* [tiles][2][lanes] */
  float *keys;    /* [KEYS * atl_attend_words (dim) + dim] */
  float *values;
  float *lines;  /* [KEYS][dim or v_dim]: rows of a cache as floats */
  float *ranges; /* [tiles][2][lanes] integers: keys that rows see */
} Own;

static gint64
rows_of_chunk (const AtlCpuKernels *k, gint64 dim, gint64 v_dim)
{
  const gint64 lanes = k->attend->n_lanes;
  const gint64 bytes = (atl_attend_words (dim) + v_dim) * (gint64) sizeof (float);

  return CLAMP (CHUNK_BYTES / bytes, lanes, MAX_ROWS) / lanes * lanes;
}

static gint64
own_layout (const AtlCpuKernels *k, gint64 dim, gint64 v_dim, float *memory, Own *own)
{
  const gint64 rows = rows_of_chunk (k, dim, v_dim);
  const gint64 sizes[] = {
    rows * atl_attend_words (dim),
    rows * v_dim,
    rows * 2,
    KEYS * atl_attend_words (dim) + dim,
    KEYS * atl_attend_words (v_dim) + v_dim,
    KEYS * MAX (dim, v_dim),
    rows * 2,
  };
  float **fields[] = { &own->queries, &own->sums,  &own->state, &own->keys,
                       &own->values,  &own->lines, &own->ranges };

  return attention_divide (memory, sizes, fields, G_N_ELEMENTS (sizes));
}

/* Rows [at, at + n) of keys or values, as floats in place or in `lines`. */
static void
find_rows (const Attention *a,
           const Operand *o,
           gint64 dim,
           gint64 batch,
           gint64 kv,
           gint64 at,
           gint64 n,
           float *lines,
           const float **rows)
{
  for (gint64 i = 0; i < n; i++)
    {
      const guint8 *row = attention_at (o, batch, at + i, kv);

      rows[i] = (const float *) row;
      if (o->dtype != ATL_DTYPE_F32)
        {
          a->kernels->cache_row (o->dtype, row, dim, lines + i * dim);
          rows[i] = lines + i * dim;
        }
    }
}

/* Row r is query r / per_kv and head r % per_kv of the key/value head. */
static float *
result_of (const Attention *a, gint64 batch, gint64 kv, gint64 r)
{
  const gint64 head = kv * a->per_kv + r % a->per_kv;

  return a->dst + ((batch * a->n_q + r / a->per_kv) * a->n_heads + head) * a->v_dim;
}

/* What the n rows of a tile see; lanes without a row see every key. Returns whether any row sees
 * one. */
static gboolean
find_ranges (const Attention *a, gint64 batch, gint64 first, gint64 n, gint64 lanes, gint32 *ranges)
{
  gboolean any = FALSE;

  for (gint64 i = 0; i < lanes; i++)
    {
      gint64 from = 0, to = a->n_k;

      if (i < n)
        attention_range (a, batch, (first + i) / a->per_kv, &from, &to);
      ranges[i] = (gint32) from;
      ranges[lanes + i] = (gint32) to;
      any = any || from < to;
    }
  return any;
}

/* The first and last key that rows of these ranges see; FALSE: none. */
static gboolean
union_of (const gint32 *ranges, gint64 n, gint64 lanes, gint64 *from, gint64 *to)
{
  gboolean any = FALSE;

  for (gint64 i = 0; i < n; i++)
    if (ranges[i] < ranges[lanes + i])
      {
        *from = any ? MIN (*from, ranges[i]) : ranges[i];
        *to = any ? MAX (*to, ranges[lanes + i]) : ranges[lanes + i];
        any = TRUE;
      }
  return any;
}

/* A tile of n_rows rows with the block of n keys in `own` from `at` on. */
static void
range_step (const Attention *a, const Own *own, gint64 r, gint64 n_rows, gint64 at, gint64 n)
{
  const AtlCpuKernels *k = a->kernels;
  const gint64 lanes = k->attend->n_lanes;
  const gint32 *ranges = (const gint32 *) own->ranges + 2 * r;
  gint32 seen[2 * MAX_LANES];
  gint64 from, to;

  /* Nothing to do where no row sees a key, nor behind the last that one sees. */
  if (!union_of (ranges, n_rows, lanes, &from, &to) || from >= at + n || to <= at)
    return;
  for (gint64 i = 0; i < 2 * lanes; i++)
    seen[i] = ranges[i] - (gint32) at;
  k->attend_range->step ((const guint8 *) (own->queries + r * atl_attend_words (a->dim)),
                         (const guint8 *) own->keys, (const guint8 *) own->values, seen,
                         MIN (n, to - at), a->dim, a->v_dim, own->state + 2 * r,
                         own->sums + r * a->v_dim);
}

/* Sinks are keys without values. */
static void
add_sinks (const Attention *a, gint64 kv, gint64 first, gint64 n, gint64 lanes, float *state)
{
  for (gint64 i = 0; i < n && a->sinks != NULL; i++)
    if (state[lanes + i] > 0.0f)
      state[lanes + i] +=
          exp2f (a->sinks[kv * a->per_kv + (first + i) % a->per_kv] * 1.44269504f - state[i]);
}

static void
lanes_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Attention *a = args;
  const AtlCpuAttend *kernels = a->kernels->attend;
  const gint64 lanes = kernels->n_lanes;
  const gint64 words = atl_attend_words (a->dim);
  const gint64 kv = chunk / a->n_row_blocks % a->n_kv;
  const gint64 batch = chunk / a->n_row_blocks / a->n_kv;
  const gint64 first = chunk % a->n_row_blocks * a->tile_rows_max;
  const gint64 n_rows = MIN (a->tile_rows_max, a->n_q * a->per_kv - first);
  gint64 from = a->n_k, to = 0;
  Own own;

  own_layout (a->kernels, a->dim, a->v_dim, (float *) (a->own + worker * a->own_bytes), &own);
  for (gint64 r = 0; r < n_rows; r += lanes)
    {
      const gint64 n = MIN (lanes, n_rows - r);
      gint32 *ranges = (gint32 *) own.ranges + 2 * r;
      const float *rows[MAX_LANES];

      if (find_ranges (a, batch, first + r, n, lanes, ranges))
        {
          gint64 tile_from = 0, tile_to = 0;

          union_of (ranges, n, lanes, &tile_from, &tile_to);
          from = MIN (from, tile_from);
          to = MAX (to, tile_to);
        }
      for (gint64 i = 0; i < n; i++)
        rows[i] = (const float *) attention_at (&a->q, batch, (first + r + i) / a->per_kv,
                                                kv * a->per_kv + (first + r + i) % a->per_kv);
      kernels->queries (rows, n, a->dim, a->scale * 1.44269504f,
                        (guint8 *) (own.queries + r * words));
      for (gint64 i = 0; i < lanes; i++)
        {
          own.state[2 * r + i] = -INFINITY;
          own.state[2 * r + lanes + i] = 0.0f;
        }
      memset (own.sums + r * a->v_dim, 0, (gsize) (lanes * a->v_dim) * sizeof (float));
    }

  /* Where blocks begin does not depend on the queries. */
  for (gint64 at = from / KEYS * KEYS; at < to; at += KEYS)
    {
      const gint64 n = MIN (KEYS, to - at);
      const float *rows[KEYS];

      find_rows (a, &a->k, a->dim, batch, kv, at, n, own.lines, rows);
      kernels->keys (rows, n, a->dim, (guint8 *) own.keys);
      find_rows (a, &a->v, a->v_dim, batch, kv, at, n, own.lines, rows);
      (a->ranges != NULL ? a->kernels->attend_range->values
                         : kernels->values) (rows, n, a->v_dim, (guint8 *) own.values);
      for (gint64 r = 0; r < n_rows; r += lanes)
        if (a->ranges != NULL)
          range_step (a, &own, r, MIN (lanes, n_rows - r), at, n);
        else
          kernels->step ((const guint8 *) (own.queries + r * words), (const guint8 *) own.keys,
                         (const guint8 *) own.values, n, a->dim, a->v_dim, own.state + 2 * r,
                         own.sums + r * a->v_dim);
    }

  for (gint64 r = 0; r < n_rows; r += lanes)
    {
      const gint64 n = MIN (lanes, n_rows - r);
      float *out[MAX_LANES];

      for (gint64 i = 0; i < n; i++)
        out[i] = result_of (a, batch, kv, first + r + i);
      add_sinks (a, kv, first + r, n, lanes, own.state + 2 * r);
      kernels->finish (own.state + 2 * r, own.sums + r * a->v_dim, a->v_dim, n, out);
    }
}

/* Of pictures one head is the attention of autoencoders: a small part of their time, and what it
 * rounds would be seen in their pictures. Small ones stay in floats, too: they take little of a
 * real model's time, and deep tiny ones multiply what is rounded. Prompts go by their
 * queries and not by how many keys may come, which depends on where a prompt is cut. */
gboolean
attention_is_in_lanes (const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *q = node->src[0], *k = node->src[1], *v = node->src[2];

  if (cpu->kernels->attend == NULL || node->src[4] != NULL || node->p.softcap != 0.0f ||
      node->p.scale <= 0.0f)
    return FALSE;
  if (node->src[3] != NULL)
    return q->dim[1] >= ATL_PROMPT_MIN_ROWS && q->dim[2] * q->dim[3] >= ATL_PROMPT_MIN_WIDTH;
  return node->src[5] == NULL && q->dim[2] > 1 &&
         q->dim[1] * k->dim[1] * q->dim[2] * (q->dim[3] + v->dim[3]) >= MIN_PRODUCTS;
}

void
attention_run_lanes (AtlCpuRun *run, Attention *a)
{
  const gint64 lanes = a->kernels->attend->n_lanes;
  const gint64 rows = a->n_q * a->per_kv;
  const gint64 most = rows_of_chunk (a->kernels, a->dim, a->v_dim);
  /* Few heads: smaller chunks, so that all threads have some. */
  const gint64 even = rows * a->n_batch * a->n_kv / (3 * (gint64) run->cpu->n_threads);
  gint64 n_blocks;

  a->own = run->scratch;
  a->own_bytes =
      (gsize) own_layout (a->kernels, a->dim, a->v_dim, NULL, &(Own){ 0 }) * sizeof (float);
  a->tile_rows_max = MIN (most, attention_round_up (MAX (even, lanes), lanes));
  n_blocks = (rows + a->tile_rows_max - 1) / a->tile_rows_max;
  a->tile_rows_max = attention_round_up ((rows + n_blocks - 1) / n_blocks, lanes);
  a->n_row_blocks = (rows + a->tile_rows_max - 1) / a->tile_rows_max;
  atl_pool_run (run->pool, a->n_batch * a->n_kv * a->n_row_blocks, lanes_chunk, a);
}

gsize
attention_lanes_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  return cpu->n_threads *
         (gsize) own_layout (cpu->kernels, node->src[0]->dim[3], node->src[2]->dim[3], NULL,
                             &(Own){ 0 }) *
         sizeof (float);
}
