/* Reference of what works element by element or only moves data: binary, unary, glu, copy, concat,
 * upsample. Shapes are walked as rows of the innermost dimension of the result. */
#include <string.h>

#include "engine/tensor/cpu/act.h"
#include "engine/tensor/cpu/walk.h"
#include "engine/tensor/quants/half.h"

/* --- binary --- */

static inline float
binary_apply (AtlBinary op, float a, float b)
{
  switch (op)
    {
    case ATL_ADD:
      return a + b;
    case ATL_SUB:
      return a - b;
    case ATL_MUL:
      return a * b;
    case ATL_DIV:
      return a / b;
    case ATL_MIN:
      return a < b ? a : b;
    case ATL_MAX:
    default:
      return a > b ? a : b;
    }
}

static void
binary_chunk (gconstpointer args, guint chunk, guint worker)
{
  const AtlWalk *w = args;
  gint64 first = chunk * w->per_chunk;
  gint64 sa = w->stride[0][ATL_MAX_DIMS - 1];
  gint64 sb = w->stride[1][ATL_MAX_DIMS - 1];

  for (gint64 row = first; row < MIN (first + w->per_chunk, w->n_rows); row++)
    {
      const float *a = (const float *) w->src[0] + atl_walk_offset (w, 0, row);
      const float *b = (const float *) w->src[1] + atl_walk_offset (w, 1, row);
      float *out = (float *) w->dst + row * w->width;

      for (gint64 i = 0; i < w->width; i++)
        out[i] = binary_apply (w->node->p.binary, a[i * sa], b[i * sb]);
    }
}

void
atl_ref_binary (AtlCpuRun *run, const AtlNode *node)
{
  AtlWalk w;

  atl_walk_init (&w, run, node, 2);
  g_assert (w.src_dtype[0] == ATL_DTYPE_F32 && w.src_dtype[1] == ATL_DTYPE_F32);
  atl_pool_run (run->pool, atl_walk_n_chunks (&w), binary_chunk, &w);
}

/* --- unary --- */

static void
unary_chunk (gconstpointer args, guint chunk, guint worker)
{
  const AtlWalk *w = args;
  const AtlOpParams *p = &w->node->p;
  gint64 first = chunk * w->per_chunk;
  gint64 s = w->stride[0][ATL_MAX_DIMS - 1];

  for (gint64 row = first; row < MIN (first + w->per_chunk, w->n_rows); row++)
    {
      const float *x = (const float *) w->src[0] + atl_walk_offset (w, 0, row);
      float *out = (float *) w->dst + row * w->width;

      for (gint64 i = 0; i < w->width; i++)
        out[i] = atl_act_apply (p->act, x[i * s] * p->a + p->b);
    }
}

void
atl_ref_unary (AtlCpuRun *run, const AtlNode *node)
{
  AtlWalk w;

  atl_walk_init (&w, run, node, 1);
  g_assert (w.src_dtype[0] == ATL_DTYPE_F32);
  atl_pool_run (run->pool, atl_walk_n_chunks (&w), unary_chunk, &w);
}

/* --- glu --- */

typedef struct
{
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
  const AtlAct factor = atl_act_of_factor (p->act);
  gint64 first = chunk * g->per_chunk;

  for (gint64 row = first; row < MIN (first + g->per_chunk, g->n); row++)
    {
      const float *a = g->x + row * g->x_stride;
      const float *b = a + g->half;
      float *out = g->dst + row * g->half;

      for (gint64 i = 0; i < g->half; i++)
        out[i] = p->gate_second ? atl_act_apply (factor, a[i]) * atl_act_apply (p->act, b[i])
                                : atl_act_apply (p->act, a[i]) * atl_act_apply (factor, b[i]);
    }
}

void
atl_ref_glu (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  Glu g = {
    .node = node,
    .x = atl_cpu_f32 (run, x),
    .half = x->dim[x->n_dims - 1] / 2,
    .dst = atl_tensor_host (node->dst),
  };

  atl_cpu_f32_rows (x, &g.n, &g.x_stride);
  g.per_chunk = atl_cpu_chunk_items (run, g.n, 8192 / g.half + 1);
  atl_pool_run (run->pool, (g.n + g.per_chunk - 1) / g.per_chunk, glu_chunk, &g);
}

/* --- copy --- */

static inline float
load_element (AtlDType dtype, const guint8 *base, gint64 i)
{
  switch (dtype)
    {
    case ATL_DTYPE_F16:
      return atl_f16_to_f32 (((const guint16 *) base)[i]);
    case ATL_DTYPE_BF16:
      return atl_bf16_to_f32 (((const guint16 *) base)[i]);
    case ATL_DTYPE_I32:
      return (float) ((const gint32 *) base)[i];
    case ATL_DTYPE_F32:
    default:
      return ((const float *) base)[i];
    }
}

static inline void
store_element (AtlDType dtype, guint8 *base, gint64 i, float v)
{
  switch (dtype)
    {
    case ATL_DTYPE_F16:
      ((guint16 *) base)[i] = atl_f32_to_f16 (v);
      break;
    case ATL_DTYPE_BF16:
      ((guint16 *) base)[i] = atl_f32_to_bf16 (v);
      break;
    case ATL_DTYPE_I32:
      ((gint32 *) base)[i] = (gint32) v;
      break;
    case ATL_DTYPE_F32:
    default:
      ((float *) base)[i] = v;
      break;
    }
}

static void
copy_chunk (gconstpointer args, guint chunk, guint worker)
{
  const AtlWalk *w = args;
  AtlDType from = w->src_dtype[0];
  AtlDType to = w->node->dst->dtype;
  gint64 first = chunk * w->per_chunk;
  gint64 s = w->stride[0][ATL_MAX_DIMS - 1];

  for (gint64 row = first; row < MIN (first + w->per_chunk, w->n_rows); row++)
    {
      gint64 at = atl_walk_offset (w, 0, row);
      gint64 out = row * w->width;

      if (from == to && atl_dtype_info (to)->block_bytes == 4)
        for (gint64 i = 0; i < w->width; i++)
          ((guint32 *) w->dst)[out + i] = ((const guint32 *) w->src[0])[at + i * s];
      else
        for (gint64 i = 0; i < w->width; i++)
          store_element (to, w->dst, out + i, load_element (from, w->src[0], at + i * s));
    }
}

void
atl_ref_copy (AtlCpuRun *run, const AtlNode *node)
{
  AtlWalk w;

  atl_walk_init (&w, run, node, 1);
  g_assert (!atl_dtype_info (w.src_dtype[0])->quantized);
  atl_pool_run (run->pool, atl_walk_n_chunks (&w), copy_chunk, &w);
}

/* --- concat --- */

void
atl_ref_concat (AtlCpuRun *run, const AtlNode *node)
{
  const guint axis = node->p.axis + ATL_MAX_DIMS - node->dst->n_dims;
  guint8 *dst = atl_tensor_host (node->dst);
  gint64 dst_dim[ATL_MAX_DIMS];
  gint64 dst_stride[ATL_MAX_DIMS];
  gint64 done = 0;

  g_assert (atl_dtype_info (node->dst->dtype)->block_bytes == 4);
  atl_cpu_align_dims (node->dst, ATL_MAX_DIMS, dst_dim, dst_stride);
  for (guint s = 0; s < ATL_NODE_MAX_SRC && node->src[s] != NULL; s++)
    {
      const AtlTensor *t = node->src[s];
      const guint32 *src = atl_cpu_weight (run, t) != NULL ? (const guint32 *) atl_cpu_f32 (run, t)
                                                           : atl_tensor_host (t);
      gint64 dim[ATL_MAX_DIMS];
      gint64 stride[ATL_MAX_DIMS];
      gint64 width;
      gint64 n_rows;

      atl_cpu_align_dims (t, ATL_MAX_DIMS, dim, stride);
      width = dim[ATL_MAX_DIMS - 1];
      n_rows = atl_tensor_n_elems (t) / width;
      for (gint64 row = 0; row < n_rows; row++)
        {
          gint64 from = 0;
          gint64 to = done * dst_stride[axis];
          gint64 rest = row;
          const gint64 step = stride[ATL_MAX_DIMS - 1];
          guint32 *out;

          for (gint d = ATL_MAX_DIMS - 2; d >= 0; d--)
            {
              from += rest % dim[d] * stride[d];
              to += rest % dim[d] * dst_stride[d];
              rest /= dim[d];
            }
          out = (guint32 *) dst + to;
          if (step == 1)
            memcpy (out, src + from, (gsize) width * 4);
          else
            for (gint64 i = 0; i < width; i++)
              out[i] = src[from + i * step];
        }
      done += dim[axis];
    }
}

/* --- upsample --- */

typedef struct
{
  gint64 in[3], out[3], channels;
  const float *x;
  float *dst;
} Upsample;

/* One chunk is one output row of pixels of one frame of one batch entry. */
static void
upsample_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Upsample *u = args;
  gint64 row = chunk % u->out[1];
  gint64 frame = chunk / u->out[1] % u->out[0];
  gint64 batch = chunk / u->out[1] / u->out[0];
  gint64 from_row = row * u->in[1] / u->out[1];
  gint64 from_frame = frame * u->in[0] / u->out[0];
  const float *x =
      u->x + ((batch * u->in[0] + from_frame) * u->in[1] + from_row) * u->in[2] * u->channels;
  float *out = u->dst + chunk * u->out[2] * u->channels;

  for (gint64 col = 0; col < u->out[2]; col++)
    memcpy (out + col * u->channels, x + col * u->in[2] / u->out[2] * u->channels,
            (gsize) u->channels * sizeof (float));
}

void
atl_ref_upsample (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  Upsample u = {
    .channels = x->dim[4],
    .x = atl_cpu_f32 (run, x),
    .dst = atl_tensor_host (node->dst),
  };

  for (guint i = 0; i < 3; i++)
    {
      u.in[i] = x->dim[i + 1];
      u.out[i] = node->dst->dim[i + 1];
    }
  atl_pool_run (run->pool, x->dim[0] * u.out[0] * u.out[1], upsample_chunk, &u);
}
