/* The fast forms of norm, group-norm, rope and store-rows. */
#include <math.h>
#include <string.h>

#include "engine/tensor/cpu/cpu-private.h"

/* --- norm --- */

typedef struct
{
  const AtlCpuKernels *kernels;
  AtlNormRow row; /* vectors of row 0 */
  const float *x;
  gint64 n, x_stride;
  float *dst;
  gint64 weight_period, bias_period;
  gint64 scale_stride, shift_stride;
  gint64 rows_per_scale, rows_per_shift;
  gint64 per_chunk;
} Norm;

static void
norm_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Norm *m = args;
  gint64 first = chunk * m->per_chunk;

  for (gint64 r = first; r < MIN (first + m->per_chunk, m->n); r++)
    {
      AtlNormRow row = m->row;

      if (row.weight != NULL)
        row.weight += r % m->weight_period * row.dim;
      if (row.bias != NULL)
        row.bias += r % m->bias_period * row.dim;
      if (row.scale != NULL)
        row.scale += r / m->rows_per_scale * m->scale_stride;
      if (row.shift != NULL)
        row.shift += r / m->rows_per_shift * m->shift_stride;
      m->kernels->norm_row (&row, m->x + r * m->x_stride, m->dst + r * row.dim);
    }
}

gboolean
atl_fast_norm (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  gint64 n_rows;
  Norm m = {
    .kernels = run->cpu->kernels,
    .row = {
      .kind = node->p.norm,
      .eps = node->p.eps,
      .a = node->p.a,
      .dim = x->dim[x->n_dims - 1],
      .weight = atl_cpu_f32 (run, node->src[1]),
      .bias = atl_cpu_f32 (run, node->src[2]),
      .scale = atl_cpu_f32 (run, node->src[3]),
      .shift = atl_cpu_f32 (run, node->src[4]),
    },
    .x = atl_cpu_f32 (run, x),
    .dst = atl_tensor_host (node->dst),
  };

  atl_cpu_f32_rows (x, &m.n, &m.x_stride);
  if (m.row.weight != NULL)
    m.weight_period = atl_tensor_n_elems (node->src[1]) / m.row.dim;
  if (m.row.bias != NULL)
    m.bias_period = atl_tensor_n_elems (node->src[2]) / m.row.dim;
  if (m.row.scale != NULL)
    {
      atl_cpu_f32_rows (node->src[3], &n_rows, &m.scale_stride);
      m.rows_per_scale = m.n / n_rows;
    }
  if (m.row.shift != NULL)
    {
      atl_cpu_f32_rows (node->src[4], &n_rows, &m.shift_stride);
      m.rows_per_shift = m.n / n_rows;
    }
  m.per_chunk = atl_cpu_chunk_items (run, m.n, 32768 / m.row.dim + 1);
  atl_pool_run (run->pool, (m.n + m.per_chunk - 1) / m.per_chunk, norm_chunk, &m);
  return TRUE;
}

/* --- group norm --- */

/* Positions whose sums are taken in float32 before they are added up in double. */
#define SUM_POSITIONS 64

typedef struct
{
  const AtlCpuKernels *kernels;
  AtlAct act;
  const float *x;
  gint64 n_positions, channels, n_blocks; /* per batch entry */
  float *dst;
  float *sums;   /* [batch, blocks, channels] */
  float *mean;   /* [batch, channels] */
  float *factor; /* [batch, channels] */
  float *shift;  /* [channels] */
} GroupNorm;

/* Rows of block `chunk` of all batch entries. */
static const float *
block_rows (const GroupNorm *m, guint chunk, gint64 *n, gint64 *at)
{
  gint64 batch = chunk / m->n_blocks;
  gint64 first = chunk % m->n_blocks * SUM_POSITIONS;

  *n = MIN (SUM_POSITIONS, m->n_positions - first);
  *at = (batch * m->n_positions + first) * m->channels;
  return m->x + *at;
}

static void
sums_chunk (gconstpointer args, guint chunk, guint worker)
{
  const GroupNorm *m = args;
  gint64 n, at;
  const float *x = block_rows (m, chunk, &n, &at);

  m->kernels->column_sums (x, n, m->channels, m->sums + chunk * m->channels);
}

static void
squares_chunk (gconstpointer args, guint chunk, guint worker)
{
  const GroupNorm *m = args;
  gint64 n, at;
  const float *x = block_rows (m, chunk, &n, &at);

  m->kernels->column_squares (x, n, m->channels, m->mean + chunk / m->n_blocks * m->channels,
                              m->sums + chunk * m->channels);
}

static void
normalize_chunk (gconstpointer args, guint chunk, guint worker)
{
  const GroupNorm *m = args;
  gint64 n, at;
  const float *x = block_rows (m, chunk, &n, &at);
  gint64 batch = chunk / m->n_blocks;

  m->kernels->normalize_columns (m->act, x, n, m->channels, m->mean + batch * m->channels,
                                 m->factor + batch * m->channels, m->shift, m->dst + at);
}

/* The mean over each group of the blocks' sums, for all its channels. */
static double
group_mean (const GroupNorm *m, gint64 batch, gint64 first, gint64 per_group)
{
  double sum = 0.0;

  for (gint64 b = 0; b < m->n_blocks; b++)
    for (gint64 c = 0; c < per_group; c++)
      sum += m->sums[(batch * m->n_blocks + b) * m->channels + first + c];
  return sum / (double) (m->n_positions * per_group);
}

gsize
atl_fast_group_norm_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  gint64 channels = x->dim[x->n_dims - 1];
  gint64 n_positions = atl_tensor_n_elems (x) / x->dim[0] / channels;
  gint64 n_blocks = (n_positions + SUM_POSITIONS - 1) / SUM_POSITIONS;

  return (gsize) (x->dim[0] * channels * (n_blocks + 2) + channels) * sizeof (float);
}

gboolean
atl_fast_group_norm (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  const float *weight = atl_cpu_f32 (run, node->src[1]);
  const float *bias = atl_cpu_f32 (run, node->src[2]);
  const gint64 n_batch = x->dim[0];
  GroupNorm m = {
    .kernels = run->cpu->kernels,
    .act = node->p.act,
    .x = atl_cpu_f32 (run, x),
    .channels = x->dim[x->n_dims - 1],
    .dst = atl_tensor_host (node->dst),
    .sums = (float *) run->scratch,
  };
  const gint64 per_group = m.channels / node->p.groups;
  guint n_chunks;
  float nothing;

  if (!m.kernels->normalize_columns (m.act, &nothing, 0, 0, &nothing, &nothing, &nothing, &nothing))
    return FALSE;
  m.n_positions = atl_tensor_n_elems (x) / n_batch / m.channels;
  m.n_blocks = (m.n_positions + SUM_POSITIONS - 1) / SUM_POSITIONS;
  m.mean = m.sums + n_batch * m.n_blocks * m.channels;
  m.factor = m.mean + n_batch * m.channels;
  m.shift = m.factor + n_batch * m.channels;
  n_chunks = (guint) (n_batch * m.n_blocks);

  atl_pool_run (run->pool, n_chunks, sums_chunk, &m);
  for (gint64 b = 0; b < n_batch; b++)
    for (gint64 g = 0; g < node->p.groups; g++)
      {
        float mean = (float) group_mean (&m, b, g * per_group, per_group);
        for (gint64 c = g * per_group; c < (g + 1) * per_group; c++)
          m.mean[b * m.channels + c] = mean;
      }
  atl_pool_run (run->pool, n_chunks, squares_chunk, &m);
  for (gint64 b = 0; b < n_batch; b++)
    for (gint64 g = 0; g < node->p.groups; g++)
      {
        double variance = group_mean (&m, b, g * per_group, per_group);
        float factor = (float) (1.0 / sqrt (variance + node->p.eps));
        for (gint64 c = g * per_group; c < (g + 1) * per_group; c++)
          m.factor[b * m.channels + c] = weight != NULL ? factor * weight[c] : factor;
      }
  for (gint64 c = 0; c < m.channels; c++)
    m.shift[c] = bias != NULL ? bias[c] : 0.0f;
  atl_pool_run (run->pool, n_chunks, normalize_chunk, &m);
  return TRUE;
}

/* --- rope --- */

typedef struct
{
  const AtlCpuKernels *kernels;
  const AtlNode *node;
  const float *x;
  float *dst;
  gint64 dim[ATL_MAX_DIMS], stride[ATL_MAX_DIMS]; /* of x, aligned at the end */
  const float *table;
  gint64 n_rows, per_chunk;
} Rope;

static void
rope_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Rope *r = args;
  const AtlOpParams *p = &r->node->p;
  gint64 first = chunk * r->per_chunk;

  for (gint64 row = first; row < MIN (first + r->per_chunk, r->n_rows); row++)
    {
      gint64 rest = row;
      gint64 at = 0;

      for (gint d = 3; d >= 0; d--)
        {
          at += rest % r->dim[d] * r->stride[d];
          rest /= r->dim[d];
        }
      r->kernels->rope_row (p->pairing, r->x + at,
                            r->table + row / r->dim[3] % r->dim[2] * p->n_rot, p->n_rot, r->dim[4],
                            r->dst + row * r->dim[4]);
    }
}

gboolean
atl_fast_rope (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  Rope r = {
    .kernels = run->cpu->kernels,
    .node = node,
    .x = atl_cpu_f32 (run, x),
    .dst = atl_tensor_host (node->dst),
    .table = atl_cpu_f32 (run, node->src[1]),
  };

  atl_cpu_align_dims (x, ATL_MAX_DIMS, r.dim, r.stride);
  r.n_rows = atl_tensor_n_elems (x) / r.dim[4];
  r.per_chunk = atl_cpu_chunk_items (run, r.n_rows, 16384 / r.dim[4] + 1);
  atl_pool_run (run->pool, (r.n_rows + r.per_chunk - 1) / r.per_chunk, rope_chunk, &r);
  return TRUE;
}

/* --- store-rows --- */

gboolean
atl_fast_store_rows (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  const AtlTensor *state = node->src[2];
  const AtlDTypeInfo *info = atl_dtype_info (state->dtype);
  const gint32 *ids = atl_tensor_host (node->src[1]);
  const float *src = atl_cpu_f32 (run, x);
  const gint64 width = x->dim[x->n_dims - 1];
  const gsize row_bytes = (gsize) width / info->block_elems * info->block_bytes;
  guint8 *dst = atl_tensor_host (state);
  gint64 n, stride;

  atl_cpu_f32_rows (x, &n, &stride);
  for (gint64 i = 0; i < n; i++)
    {
      g_assert (ids[i] >= 0 && ids[i] < state->dim[0]);
      if (!run->cpu->kernels->store_cache_row (state->dtype, src + i * stride, width,
                                               dst + (gsize) ids[i] * row_bytes))
        return FALSE;
    }
  return TRUE;
}
