/* The fast forms of binary, unary and glu: rows whose operands lie side by side or are one value.
 */
#include "engine/tensor/cpu/walk.h"

static void
binary_chunk (gconstpointer args, guint chunk, guint worker)
{
  const AtlWalk *w = args;
  gint64 first = chunk * w->per_chunk;
  gint64 sa = w->stride[0][ATL_MAX_DIMS - 1];
  gint64 sb = w->stride[1][ATL_MAX_DIMS - 1];

  for (gint64 row = first; row < MIN (first + w->per_chunk, w->n_rows); row++)
    w->kernels->binary_row (w->node->p.binary,
                            (const float *) w->src[0] + atl_walk_offset (w, 0, row), sa,
                            (const float *) w->src[1] + atl_walk_offset (w, 1, row), sb, w->width,
                            (float *) w->dst + row * w->width);
}

gboolean
atl_fast_binary (AtlCpuRun *run, const AtlNode *node)
{
  AtlWalk w;

  atl_walk_init (&w, run, node, 2);
  for (guint i = 0; i < 2; i++)
    if (w.src_dtype[i] != ATL_DTYPE_F32 || (guint64) w.stride[i][ATL_MAX_DIMS - 1] > 1)
      return FALSE;
  atl_pool_run (run->pool, atl_walk_n_chunks (&w), binary_chunk, &w);
  return TRUE;
}

static void
unary_chunk (gconstpointer args, guint chunk, guint worker)
{
  const AtlWalk *w = args;
  const AtlOpParams *p = &w->node->p;
  gint64 first = chunk * w->per_chunk;

  for (gint64 row = first; row < MIN (first + w->per_chunk, w->n_rows); row++)
    w->kernels->unary_row (p->act, (const float *) w->src[0] + atl_walk_offset (w, 0, row), p->a,
                           p->b, w->width, (float *) w->dst + row * w->width);
}

gboolean
atl_fast_unary (AtlCpuRun *run, const AtlNode *node)
{
  AtlWalk w;
  float nothing;

  atl_walk_init (&w, run, node, 1);
  if (w.src_dtype[0] != ATL_DTYPE_F32 || (w.stride[0][ATL_MAX_DIMS - 1] != 1 && w.width > 1) ||
      !run->cpu->kernels->unary_row (node->p.act, &nothing, 1.0f, 0.0f, 0, &nothing))
    return FALSE;
  atl_pool_run (run->pool, atl_walk_n_chunks (&w), unary_chunk, &w);
  return TRUE;
}

typedef struct
{
  const AtlCpuKernels *kernels;
  const AtlNode *node;
  const float *x;
  gint64 n, x_stride, half;
  float *dst;
  gint64 per_chunk;
} Glu;

static void
glu_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Glu *g = args;
  const AtlOpParams *p = &g->node->p;
  gint64 first = chunk * g->per_chunk;

  for (gint64 row = first; row < MIN (first + g->per_chunk, g->n); row++)
    {
      const float *a = g->x + row * g->x_stride;
      const float *b = a + g->half;

      g->kernels->glu_row (p->act, p->gate_second ? b : a, p->gate_second ? a : b, g->half,
                           g->dst + row * g->half);
    }
}

gboolean
atl_fast_glu (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  float nothing;
  Glu g = {
    .kernels = run->cpu->kernels,
    .node = node,
    .x = atl_cpu_f32 (run, x),
    .half = x->dim[x->n_dims - 1] / 2,
    .dst = atl_tensor_host (node->dst),
  };

  if (!g.kernels->glu_row (node->p.act, &nothing, &nothing, 0, &nothing))
    return FALSE;
  atl_cpu_f32_rows (x, &g.n, &g.x_stride);
  g.per_chunk = atl_cpu_chunk_items (run, g.n, 8192 / g.half + 1);
  atl_pool_run (run->pool, (g.n + g.per_chunk - 1) / g.per_chunk, glu_chunk, &g);
  return TRUE;
}
