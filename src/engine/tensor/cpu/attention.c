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

#include "engine/tensor/cpu/attention-private.h"

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
  o.row_bytes = dim[3] / info->block_elems * info->block_bytes;
  return o;
}

void
attention_range (const Attention *a, gint64 batch, gint64 i, gint64 *first, gint64 *end)
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

float
attention_step_row (const Attention *a,
                    gint64 batch,
                    gint64 query,
                    gint64 head,
                    gint64 at,
                    gint64 n,
                    float *s,
                    float *state)
{
  gint64 from, to;

  attention_range (a, batch, query, &from, &to);
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

        attention_range (a, b, i, &first, &end);
        if (first < end)
          {
            a->first_key = MIN (a->first_key, first);
            a->end_key = MAX (a->end_key, end);
          }
      }
  a->first_key = MIN (a->first_key, a->end_key);
}

gsize
atl_fast_attention_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  return attention_is_few (cpu, node)        ? attention_few_scratch (cpu, node)
         : attention_is_in_lanes (cpu, node) ? attention_lanes_scratch (cpu, node)
                                             : attention_many_scratch (cpu, node);
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
  a.is_simple = a.bias == NULL && a.softcap == 0.0f && a.scale > 0.0f;
  a.is_plain = a.is_simple && a.ranges == NULL;
  find_keys (&a);
  if (attention_is_few (run->cpu, node))
    attention_run_few (run, &a);
  else if (attention_is_in_lanes (run->cpu, node))
    attention_run_lanes (run, &a);
  else
    attention_run_many (run, &a);
  return TRUE;
}
