/* Reference of the products: embed, linear, expert-linear, reorder. A weight row becomes float32
 * once and is dotted with every activation row. */
#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#include "engine/tensor/cpu/act.h"
#include "engine/tensor/cpu/cpu-private.h"

/* Sixteen sums side by side: the compiler may keep them in vectors without reordering what the
 * language says. Of 256 products at a time, whose sums are added in double: rounding errors hardly
 * grow with n, and it is nearly as quick as all in float. */
float
atl_ref_dot (const float *a, const float *b, gint64 n)
{
  double sum = 0.0;

  for (gint64 first = 0; first < n; first += 256)
    {
      gint64 end = MIN (n, first + 256), i = first;
      float s[16] = { 0 };

      for (; i + 16 <= end; i += 16)
        for (guint j = 0; j < 16; j++)
          s[j] += a[i + j] * b[i + j];
      for (; i < end; i++)
        s[i % 16] += a[i] * b[i];
      for (guint j = 0; j < 16; j++)
        sum += s[j];
    }
  return (float) sum;
}

/* --- embed --- */

void
atl_ref_embed (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *table = node->src[0];
  const AtlTensor *ids = node->src[1];
  const AtlCpuRows rows = atl_cpu_rows (table);
  const gint64 dim = table->dim[1];
  const gint64 n = atl_tensor_n_elems (ids);
  const gint32 *id = atl_tensor_host (ids);
  float *dst = atl_tensor_host (node->dst);

  for (gint64 i = 0; i < n; i++)
    {
      float *out = dst + i * dim;

      if (id[i] < 0 || id[i] >= table->dim[0])
        {
          g_set_error (&run->error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("The index %d is outside a table of %" PRId64 " rows."), id[i],
                       table->dim[0]);
          return;
        }
      atl_cpu_row_f32 (&rows, id[i], dim, out);
      if (node->p.a != 1.0f)
        for (gint64 k = 0; k < dim; k++)
          out[k] *= node->p.a;
    }
}

/* --- linear --- */

typedef struct
{
  const AtlNode *node;
  guint8 *scratch; /* per worker: [n_weights, n_in] floats */
  const float *x;
  gint64 n, n_in, x_stride;
  float *dst;
  gint64 dst_width;
  const float *residual; /* (nullable) */
  gint64 residual_stride;
  AtlCpuRows w[3];
  const float *bias[3];
  gint64 first_out[4]; /* where each weight's outputs start; [n_weights] is the end */
  gint64 per_chunk;
} Linear;

static void
linear_row (const Linear *l, gint64 out, float *row)
{
  const AtlOpParams *p = &l->node->p;
  guint which = 0;
  float bias;

  while (out >= l->first_out[which + 1])
    which++;
  atl_cpu_row_f32 (&l->w[which], out - l->first_out[which], l->n_in, row);
  bias = l->bias[which] != NULL ? l->bias[which][out - l->first_out[which]] : 0.0f;
  for (gint64 t = 0; t < l->n; t++)
    {
      float v = atl_ref_dot (row, l->x + t * l->x_stride, l->n_in) + bias;

      v = atl_act_apply (p->act, v) * p->a;
      if (l->residual != NULL)
        v += l->residual[t * l->residual_stride + out];
      l->dst[t * l->dst_width + out] = v;
    }
}

static void
gated_row (const Linear *l, gint64 out, float *rows)
{
  const AtlOpParams *p = &l->node->p;
  float *up_row = rows + l->n_in;
  float b0 = l->bias[0] != NULL ? l->bias[0][out] : 0.0f;
  float b1 = l->bias[1] != NULL ? l->bias[1][out] : 0.0f;

  atl_cpu_row_f32 (&l->w[0], out, l->n_in, rows);
  atl_cpu_row_f32 (&l->w[1], out, l->n_in, up_row);
  for (gint64 t = 0; t < l->n; t++)
    {
      const float *x = l->x + t * l->x_stride;
      float gate = atl_ref_dot (rows, x, l->n_in) + b0;
      float up = atl_ref_dot (up_row, x, l->n_in) + b1;
      float v = atl_act_apply (p->act, gate) * atl_act_apply (atl_act_of_factor (p->act), up);

      if (l->residual != NULL)
        v += l->residual[t * l->residual_stride + out];
      l->dst[t * l->dst_width + out] = v;
    }
}

static void
linear_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Linear *l = args;
  gint64 first = chunk * l->per_chunk;
  gint64 end = MIN (first + l->per_chunk, l->dst_width);
  float *rows = (float *) l->scratch + worker * 2 * l->n_in;

  for (gint64 out = first; out < end; out++)
    if (l->node->p.gated)
      gated_row (l, out, rows);
    else
      linear_row (l, out, rows);
}

gsize
atl_ref_linear_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  return cpu->n_threads * 2 * (gsize) x->dim[x->n_dims - 1] * sizeof (float);
}

void
atl_ref_linear (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[ATL_LINEAR_X];
  Linear l = { .node = node, .scratch = run->scratch };
  gint64 n_rows;

  atl_cpu_f32_rows (x, &l.n, &l.x_stride);
  l.x = atl_cpu_f32 (run, x);
  l.n_in = x->dim[x->n_dims - 1];
  l.dst = atl_tensor_host (node->dst);
  l.dst_width = node->dst->dim[node->dst->n_dims - 1];
  if (node->src[ATL_LINEAR_RESIDUAL] != NULL)
    {
      atl_cpu_f32_rows (node->src[ATL_LINEAR_RESIDUAL], &n_rows, &l.residual_stride);
      l.residual = atl_cpu_f32 (run, node->src[ATL_LINEAR_RESIDUAL]);
    }
  for (guint i = 0; i < node->p.n_weights; i++)
    {
      l.w[i] = atl_cpu_rows (node->src[ATL_LINEAR_W0 + i]);
      l.bias[i] = atl_cpu_f32 (run, node->src[ATL_LINEAR_B0 + i]);
      l.first_out[i + 1] = l.first_out[i] + node->src[ATL_LINEAR_W0 + i]->dim[0];
    }
  l.per_chunk = atl_cpu_chunk_items (run, l.dst_width, 4);
  atl_pool_run (run->pool, (l.dst_width + l.per_chunk - 1) / l.per_chunk, linear_chunk, &l);
}

/* --- expert-linear --- */

typedef struct
{
  const AtlNode *node;
  guint8 *scratch;
  const float *x;
  gboolean x_per_slot; /* x is [n, k, in], not [n, in] */
  gint64 n, k, n_in, n_out, n_experts;
  const gint32 *ids;
  float *dst;
  AtlCpuRows w[2];
  const float *bias[2];
  gint64 per_chunk;
} Experts;

/* Outputs [first, end) of every token for every expert: a weight row is converted once and meets
 * all tokens that chose its expert. */
static void
experts_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Experts *e = args;
  const AtlOpParams *p = &e->node->p;
  gint64 first = chunk * e->per_chunk;
  gint64 end = MIN (first + e->per_chunk, e->n_out);
  float *rows = (float *) e->scratch + worker * 2 * e->n_in;

  for (gint64 expert = 0; expert < e->n_experts; expert++)
    {
      gint64 n_used = 0;

      for (gint64 s = 0; s < e->n * e->k; s++)
        n_used += e->ids[s] == expert;
      if (n_used == 0)
        continue;
      for (gint64 out = first; out < end; out++)
        {
          gint64 row = expert * e->n_out + out;

          for (guint i = 0; i < p->n_weights; i++)
            atl_cpu_row_f32 (&e->w[i], row, e->n_in, rows + i * e->n_in);
          for (gint64 s = 0; s < e->n * e->k; s++)
            {
              const float *x = e->x + (e->x_per_slot ? s : s / e->k) * e->n_in;
              float v;

              if (e->ids[s] != expert)
                continue;
              v = atl_ref_dot (rows, x, e->n_in) + (e->bias[0] != NULL ? e->bias[0][row] : 0.0f);
              v = atl_act_apply (p->act, v);
              if (p->gated)
                v *= atl_act_apply (atl_act_of_factor (p->act),
                                    atl_ref_dot (rows + e->n_in, x, e->n_in) +
                                        (e->bias[1] != NULL ? e->bias[1][row] : 0.0f));
              e->dst[s * e->n_out + out] = v * p->a;
            }
        }
    }
}

gboolean
atl_cpu_check_experts (AtlCpuRun *run, const gint32 *ids, gint64 n, gint64 n_experts)
{
  for (gint64 s = 0; s < n; s++)
    if (ids[s] < 0 || ids[s] >= n_experts)
      {
        g_set_error (&run->error, ATL_ERROR, ATL_ERROR_INVALID,
                     _ ("Expert %d was chosen, but there are %" PRId64 "."), ids[s], n_experts);
        return FALSE;
      }
  return TRUE;
}

void
atl_ref_expert_linear (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[ATL_EXPERT_X];
  const AtlTensor *ids = node->src[ATL_EXPERT_IDS];
  const AtlTensor *w = node->src[ATL_EXPERT_W0];
  Experts e = {
    .node = node,
    .scratch = run->scratch,
    .x = atl_cpu_f32 (run, x),
    .x_per_slot = x->n_dims == 3,
    .n = ids->dim[0],
    .k = ids->dim[1],
    .n_in = w->dim[2],
    .n_out = w->dim[1],
    .n_experts = w->dim[0],
    .ids = atl_tensor_host (ids),
    .dst = atl_tensor_host (node->dst),
  };

  if (!atl_cpu_check_experts (run, e.ids, e.n * e.k, e.n_experts))
    return;
  for (guint i = 0; i < node->p.n_weights; i++)
    {
      e.w[i] = atl_cpu_rows (node->src[ATL_EXPERT_W0 + i]);
      e.bias[i] = atl_cpu_f32 (run, node->src[ATL_EXPERT_B0 + i]);
    }
  e.per_chunk = atl_cpu_chunk_items (run, e.n_out, 4);
  atl_pool_run (run->pool, (e.n_out + e.per_chunk - 1) / e.per_chunk, experts_chunk, &e);
}

/* --- reorder --- */

typedef struct
{
  const float *x, *order;
  const gint32 *ids; /* (nullable) [n] */
  gint64 n, n_in, x_stride;
  gint64 rows_per_x; /* of the result */
  float *dst;
  gint64 per_chunk;
} Reorder;

static void
reorder_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Reorder *m = args;
  gint64 first = chunk * m->per_chunk;

  for (gint64 r = first; r < MIN (first + m->per_chunk, m->n); r++)
    {
      const float *x = m->x + r / m->rows_per_x * m->x_stride;
      const float *order = m->order + (m->ids != NULL ? m->ids[r] * m->n_in : 0);
      float *out = m->dst + r * m->n_in;

      for (gint64 i = 0; i < m->n_in; i++)
        out[i] = x[(gint64) order[i]];
    }
}

void
atl_ref_reorder (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0], *order = node->src[1], *ids = node->src[2];
  Reorder m = {
    .x = atl_cpu_f32 (run, x),
    .order = atl_cpu_f32 (run, order),
    .ids = ids != NULL ? atl_tensor_host (ids) : NULL,
    .n_in = x->dim[x->n_dims - 1],
    .dst = atl_tensor_host (node->dst),
  };
  gint64 n_x;

  atl_cpu_f32_rows (x, &n_x, &m.x_stride);
  m.n = atl_tensor_n_elems (node->dst) / m.n_in;
  m.rows_per_x = m.n / n_x;
  for (gint64 i = 0; m.ids != NULL && i < m.n; i++)
    if (m.ids[i] < 0 || m.ids[i] >= order->dim[0])
      {
        g_set_error (&run->error, ATL_ERROR, ATL_ERROR_INVALID,
                     _ ("The index %d is outside a table of %" PRId64 " rows."), m.ids[i],
                     order->dim[0]);
        return;
      }
  m.per_chunk = atl_cpu_chunk_items (run, m.n, 8192 / m.n_in + 1);
  atl_pool_run (run->pool, (m.n + m.per_chunk - 1) / m.per_chunk, reorder_chunk, &m);
}
