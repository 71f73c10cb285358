/* Attention: host side of kernels/attention.cl. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/op.h"

/* Up to this many queries each gets work-groups of its own, with the keys split between them. */
#define FEW_QUERIES 8
#define FEW_HEAD_DIM 1024 /* WIDEST in the kernel */
#define FEW_VALUE_DIM 512 /* components of one work-group */
#define PARTIAL_FLOATS (2 + FEW_VALUE_DIM)
#define QUERY_BLOCK 64 /* QB */
#define MAX_SPLITS 64
#define KEYS_PER_SPLIT 256
/* Work-groups that keep a large GPU busy. */
#define WANTED_GROUPS 512

typedef struct
{
  const AtlTensor *q, *k, *v, *ranges, *bias, *sinks;
  gint64 batch, n_queries, n_keys, n_heads, group, head_dim, value_dim;
  gboolean few;
  guint value_block; /* components of a work-group */
  gint64 n_slices, n_splits;
} Shape;

static gboolean
shape_init (Shape *s, const AtlNode *node)
{
  *s = (Shape){ .q = node->src[0],
                .k = node->src[1],
                .v = node->src[2],
                .ranges = node->src[3],
                .bias = node->src[4],
                .sinks = node->src[5] };
  s->batch = s->q->dim[0];
  s->n_queries = s->q->dim[1];
  s->n_heads = s->q->dim[2];
  s->head_dim = s->q->dim[3];
  s->n_keys = s->k->dim[1];
  s->group = s->n_heads / s->k->dim[2];
  s->value_dim = s->v->dim[3];
  s->few = s->n_queries <= FEW_QUERIES && s->head_dim <= FEW_HEAD_DIM;
  s->value_block = s->few                ? FEW_VALUE_DIM
                   : s->value_dim <= 64  ? 64
                   : s->value_dim <= 128 ? 128
                                         : 256;
  s->n_slices = (s->value_dim + s->value_block - 1) / s->value_block;
  s->n_splits = 1;
  if (s->few)
    {
      gint64 groups = s->batch * s->n_slices * s->n_queries * s->n_heads;
      gint64 wanted = (WANTED_GROUPS + groups - 1) / groups;

      s->n_splits =
          CLAMP ((s->n_keys + KEYS_PER_SPLIT - 1) / KEYS_PER_SPLIT, 1, MIN (wanted, MAX_SPLITS));
    }
  return s->batch * s->n_slices <= 65535 && s->n_heads <= 65535 &&
         (!s->few || s->n_queries * s->n_heads <= 65535);
}

/* Innermost stride 1 and a kind that load4() knows. Packed blocks may not be cut. */
static gboolean
is_key_or_value (const AtlTensor *t)
{
  const AtlTensor *base = t->base != NULL ? t->base : t;

  if (base->kind == ATL_TENSOR_WEIGHT || (t->dim[3] != 1 && t->stride[3] != 1))
    return FALSE;
  switch (t->dtype)
    {
    case ATL_DTYPE_F32:
    case ATL_DTYPE_F16:
      return TRUE;
    case ATL_DTYPE_Q8_0:
    case ATL_DTYPE_Q4_0:
      return t->dim[3] % 32 == 0 && t->offset % 32 == 0 && t->stride[0] % 32 == 0 &&
             t->stride[1] % 32 == 0 && t->stride[2] % 32 == 0;
    default:
      return FALSE;
    }
}

static gboolean
attention_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *q = node->src[0];
  Shape s;

  return shape_init (&s, node) && atl_cl_is_float (q) && (q->dim[3] == 1 || q->stride[3] == 1) &&
         is_key_or_value (s.k) && is_key_or_value (s.v) &&
         (s.ranges == NULL || atl_cl_is_index (s.ranges)) && atl_cl_is_float (s.bias) &&
         (s.bias == NULL || s.bias->stride[3] == 1) && atl_cl_is_float (s.sinks) &&
         (s.sinks == NULL || atl_tensor_is_contiguous (s.sinks)) &&
         atl_tensor_is_contiguous (node->dst) && atl_cl_fits (s.n_queries) &&
         atl_cl_fits (s.n_keys);
}

static gsize
attention_scratch (const AtlOpencl *cl, const AtlNode *node)
{
  Shape s;

  shape_init (&s, node);
  if (s.n_splits == 1)
    return 0;
  return (gsize) (s.batch * s.n_slices * s.n_queries * s.n_heads * s.n_splits) * PARTIAL_FLOATS *
         sizeof (float);
}

/* Packed blocks need their place in bytes, the rest too. */
static void
key_value_args (AtlClCall *call, const AtlTensor *t)
{
  /* Batch strides of a single batch may be anything. */
  atl_cl_arg_tensor (call, t, 1);
  atl_cl_arg_ulong4 (call, t->stride[0], t->stride[1], t->stride[2], 0);
}

static void
common_args (AtlClCall *call, const AtlNode *node, const Shape *s)
{
  const AtlTensor *b = s->bias;
  gboolean per_batch = s->ranges != NULL && s->batch > 1 &&
                       atl_tensor_n_elems (s->ranges) == 2 * s->batch * s->n_queries;

  atl_cl_arg_tensor (call, s->q, sizeof (float));
  atl_cl_arg_ulong4 (call, s->q->stride[0], s->q->stride[1], s->q->stride[2], 0);
  key_value_args (call, s->k);
  key_value_args (call, s->v);
  atl_cl_arg_int (call, (cl_int) s->k->dtype);
  atl_cl_arg_int (call, (cl_int) s->v->dtype);
  atl_cl_arg_tensor (call, s->ranges, sizeof (gint32));
  atl_cl_arg_tensor (call, b, sizeof (float));
  if (b != NULL)
    atl_cl_arg_ulong4 (call, b->dim[0] > 1 ? b->stride[0] : 0, b->dim[1] > 1 ? b->stride[1] : 0,
                       b->stride[2], 0);
  else
    atl_cl_arg_ulong4 (call, 0, 0, 0, 0);
  atl_cl_arg_tensor (call, s->sinks, sizeof (float));
  atl_cl_arg_tensor (call, node->dst, sizeof (float));
  atl_cl_arg_uint (call, (guint64) s->n_queries);
  atl_cl_arg_uint (call, (guint64) s->n_keys);
  atl_cl_arg_uint (call, (guint64) s->n_heads);
  atl_cl_arg_uint (call, (guint64) s->group);
  atl_cl_arg_uint (call, (guint64) s->head_dim);
  atl_cl_arg_uint (call, (guint64) s->value_dim);
  atl_cl_arg_float (call, node->p.scale);
  atl_cl_arg_float (call, node->p.softcap);
  atl_cl_arg_int (call, (s->ranges != NULL ? ATL_CL_HAS_RANGES : 0) |
                            (per_batch ? ATL_CL_RANGES_PER_BATCH : 0) |
                            (b != NULL ? ATL_CL_HAS_BIAS : 0) |
                            (s->sinks != NULL ? ATL_CL_HAS_SINKS : 0) |
                            (s->few && s->n_splits == 1 ? ATL_CL_IS_FINAL : 0));
  atl_cl_arg_uint (call, (guint64) s->n_slices);
}

static gboolean
run_few (AtlOpencl *cl, const AtlNode *node, const Shape *s, AtlBuffer *scratch, GError **error)
{
  gint64 widest = MIN (s->value_dim, FEW_VALUE_DIM);
  guint lanes = 1;
  AtlClCall call;

  cl->n_flops += 2.0 * (double) (s->batch * s->n_heads * s->n_queries) * (double) s->n_keys *
                 (double) (s->head_dim * s->n_slices + s->value_dim);
  while ((gint64) lanes * 4 < widest)
    lanes *= 2;
  if (!atl_cl_call_begin (&call, cl, ATL_CL_ATTENTION, 0, "attention_few", error))
    return FALSE;
  common_args (&call, node, s);
  atl_cl_arg_uint (&call, (guint64) s->n_splits);
  atl_cl_arg_uint (&call, lanes);
  if (s->n_splits > 1)
    atl_cl_arg_scratch (&call, scratch, 0);
  else
    atl_cl_arg_tensor (&call, NULL, sizeof (float));
  if (!atl_cl_call_groups (&call, (guint64) s->n_splits, (guint64) (s->n_queries * s->n_heads),
                           (guint64) (s->batch * s->n_slices), error))
    return FALSE;
  if (s->n_splits == 1)
    return TRUE;

  if (!atl_cl_call_begin (&call, cl, ATL_CL_ATTENTION, 0, "attention_join", error))
    return FALSE;
  atl_cl_arg_scratch (&call, scratch, 0);
  atl_cl_arg_tensor (&call, s->sinks, sizeof (float));
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_uint (&call, (guint64) s->n_queries);
  atl_cl_arg_uint (&call, (guint64) s->n_heads);
  atl_cl_arg_uint (&call, (guint64) s->value_dim);
  atl_cl_arg_uint (&call, (guint64) s->n_slices);
  atl_cl_arg_uint (&call, (guint64) s->n_splits);
  atl_cl_arg_int (&call, s->sinks != NULL ? ATL_CL_HAS_SINKS : 0);
  return atl_cl_call_groups (&call, (guint64) (s->n_queries * s->n_heads),
                             (guint64) (s->batch * s->n_slices), 1, error);
}

static gboolean
attention_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const char *kernel;
  AtlClCall call;
  Shape s;

  shape_init (&s, node);
  if (s.few)
    return run_few (cl, node, &s, scratch, error);

  kernel = s.value_block == 64    ? "attention_64"
           : s.value_block == 128 ? "attention_128"
                                  : "attention_256";
  if (!atl_cl_call_begin (&call, cl, ATL_CL_ATTENTION, 0, kernel, error))
    return FALSE;
  common_args (&call, node, &s);
  atl_cl_arg_first (&call);
  return atl_cl_call_tiles (
      &call, (guint64) (s.n_queries + QUERY_BLOCK - 1) / QUERY_BLOCK, (guint64) s.n_heads,
      (guint64) (s.batch * s.n_slices),
      2.0 * QUERY_BLOCK * (double) s.n_keys * (double) (s.head_dim + s.value_block), error);
}

const AtlClOp atl_cl_op_attention = { attention_supports, attention_scratch, attention_run };
