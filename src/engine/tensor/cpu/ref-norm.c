/* Reference of the normalisations: norm, group-norm. Sums are taken in double. */
#include <math.h>

#include "engine/tensor/cpu/act.h"
#include "engine/tensor/cpu/cpu-private.h"

typedef struct
{
  const AtlNode *node;
  const float *x;
  gint64 n, dim, x_stride;
  float *dst;
  const float *weight, *bias; /* (nullable) [periods, dim] */
  gint64 weight_period, bias_period;
  const float *scale, *shift; /* (nullable) */
  gint64 scale_stride, shift_stride;
  gint64 rows_per_scale, rows_per_shift;
  gint64 per_chunk;
} Norm;

static void
norm_row (const Norm *m, gint64 row)
{
  const AtlOpParams *p = &m->node->p;
  const float *x = m->x + row * m->x_stride;
  float *out = m->dst + row * m->dim;
  double sum = 0.0;
  double squares = 0.0;
  float mean = 0.0f;
  float factor;

  if (p->norm == ATL_NORM_LAYER)
    {
      for (gint64 i = 0; i < m->dim; i++)
        sum += x[i];
      mean = (float) (sum / (double) m->dim);
    }
  for (gint64 i = 0; i < m->dim; i++)
    {
      double d = (double) x[i] - mean;
      squares += d * d;
    }
  if (p->norm == ATL_NORM_L2)
    factor = (float) (p->a / fmax (sqrt (squares), p->eps));
  else
    factor = (float) (1.0 / sqrt (squares / (double) m->dim + p->eps));

  for (gint64 i = 0; i < m->dim; i++)
    {
      float v = (x[i] - mean) * factor;

      if (m->weight != NULL)
        v *= m->weight[row % m->weight_period * m->dim + i];
      if (m->bias != NULL)
        v += m->bias[row % m->bias_period * m->dim + i];
      if (m->scale != NULL)
        v *= 1.0f + m->scale[row / m->rows_per_scale * m->scale_stride + i];
      if (m->shift != NULL)
        v += m->shift[row / m->rows_per_shift * m->shift_stride + i];
      out[i] = v;
    }
}

static void
norm_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Norm *m = args;
  gint64 first = chunk * m->per_chunk;

  for (gint64 row = first; row < MIN (first + m->per_chunk, m->n); row++)
    norm_row (m, row);
}

void
atl_ref_norm (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  Norm m = { .node = node, .weight_period = 1, .bias_period = 1 };
  gint64 n_rows;

  atl_cpu_f32_rows (x, &m.n, &m.x_stride);
  m.x = atl_cpu_f32 (run, x);
  m.dim = x->dim[x->n_dims - 1];
  m.dst = atl_tensor_host (node->dst);
  m.weight = atl_cpu_f32 (run, node->src[1]);
  if (m.weight != NULL)
    m.weight_period = atl_tensor_n_elems (node->src[1]) / m.dim;
  m.bias = atl_cpu_f32 (run, node->src[2]);
  if (m.bias != NULL)
    m.bias_period = atl_tensor_n_elems (node->src[2]) / m.dim;
  m.scale = atl_cpu_f32 (run, node->src[3]);
  if (m.scale != NULL)
    {
      atl_cpu_f32_rows (node->src[3], &n_rows, &m.scale_stride);
      m.rows_per_scale = m.n / n_rows;
    }
  m.shift = atl_cpu_f32 (run, node->src[4]);
  if (m.shift != NULL)
    {
      atl_cpu_f32_rows (node->src[4], &n_rows, &m.shift_stride);
      m.rows_per_shift = m.n / n_rows;
    }
  m.per_chunk = atl_cpu_chunk_items (run, m.n, 8192 / m.dim + 1);
  atl_pool_run (run->pool, (m.n + m.per_chunk - 1) / m.per_chunk, norm_chunk, &m);
}

/* --- group norm --- */

typedef struct
{
  const AtlNode *node;
  const float *x;
  gint64 n_positions, channels, per_group;
  float *dst;
  const float *weight, *bias; /* (nullable) */
} GroupNorm;

/* One chunk is one group of one batch entry. */
static void
group_norm_chunk (gconstpointer args, guint chunk, guint worker)
{
  const GroupNorm *m = args;
  const AtlOpParams *p = &m->node->p;
  gint64 batch = chunk / p->groups;
  gint64 first = chunk % p->groups * m->per_group;
  const float *x = m->x + batch * m->n_positions * m->channels + first;
  float *out = m->dst + batch * m->n_positions * m->channels + first;
  double count = (double) (m->n_positions * m->per_group);
  double sum = 0.0;
  double squares = 0.0;
  float mean;
  float factor;

  for (gint64 i = 0; i < m->n_positions; i++)
    for (gint64 c = 0; c < m->per_group; c++)
      sum += x[i * m->channels + c];
  mean = (float) (sum / count);
  for (gint64 i = 0; i < m->n_positions; i++)
    for (gint64 c = 0; c < m->per_group; c++)
      {
        double d = (double) x[i * m->channels + c] - mean;
        squares += d * d;
      }
  factor = (float) (1.0 / sqrt (squares / count + p->eps));

  for (gint64 i = 0; i < m->n_positions; i++)
    for (gint64 c = 0; c < m->per_group; c++)
      {
        float v = (x[i * m->channels + c] - mean) * factor;

        if (m->weight != NULL)
          v *= m->weight[first + c];
        if (m->bias != NULL)
          v += m->bias[first + c];
        out[i * m->channels + c] = atl_act_apply (p->act, v);
      }
}

void
atl_ref_group_norm (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  GroupNorm m = {
    .node = node,
    .x = atl_cpu_f32 (run, x),
    .channels = x->dim[x->n_dims - 1],
    .dst = atl_tensor_host (node->dst),
    .weight = atl_cpu_f32 (run, node->src[1]),
    .bias = atl_cpu_f32 (run, node->src[2]),
  };

  m.n_positions = atl_tensor_n_elems (x) / x->dim[0] / m.channels;
  m.per_group = m.channels / node->p.groups;
  atl_pool_run (run->pool, x->dim[0] * node->p.groups, group_norm_chunk, &m);
}
