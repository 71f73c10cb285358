/* Elementwise operations, copies, resizing: host side of kernels/elementwise.cl. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/op.h"

#include <string.h>

/* Up to three operands over one index space, right-aligned to five dimensions; neighbouring
 * dimensions that every operand walks without a seam are merged, so that most operations have one.
 */
typedef struct
{
  gint64 dim[ATL_MAX_DIMS];
  gint64 stride[3][ATL_MAX_DIMS];
  guint n_operands;
} Space;

static void
space_init (Space *s, const AtlTensor *shape)
{
  *s = (Space){ 0 };
  for (guint i = 0; i < ATL_MAX_DIMS; i++)
    {
      guint pad = ATL_MAX_DIMS - shape->n_dims;
      s->dim[i] = i < pad ? 1 : shape->dim[i - pad];
    }
}

/* Dimensions of size one, where the space is larger, repeat. */
static void
space_add (Space *s, const AtlTensor *t)
{
  guint pad = ATL_MAX_DIMS - t->n_dims;

  for (guint i = pad; i < ATL_MAX_DIMS; i++)
    s->stride[s->n_operands][i] = t->dim[i - pad] == 1 ? 0 : t->stride[i - pad];
  s->n_operands++;
}

static void
space_move (Space *s, guint from, guint to)
{
  s->dim[to] = s->dim[from];
  s->dim[from] = 1;
  for (guint k = 0; k < s->n_operands; k++)
    s->stride[k][to] = s->stride[k][from];
}

static void
space_merge (Space *s)
{
  guint last = ATL_MAX_DIMS - 1;

  for (guint i = last; i-- > 0;)
    {
      gboolean joins = TRUE;

      if (s->dim[i] == 1)
        continue;
      if (s->dim[last] == 1)
        {
          space_move (s, i, last);
          continue;
        }
      for (guint k = 0; k < s->n_operands; k++)
        joins = joins && s->stride[k][i] == s->stride[k][last] * s->dim[last];
      if (joins)
        {
          s->dim[last] *= s->dim[i];
          s->dim[i] = 1;
        }
      else if (--last != i)
        space_move (s, i, last);
    }
}

static guint64
space_size (const Space *s)
{
  guint64 n = 1;

  for (guint i = 0; i < ATL_MAX_DIMS; i++)
    n *= (guint64) s->dim[i];
  return n;
}

static gboolean
dims_fit (const AtlTensor *t)
{
  /* Merging may join all of a contiguous tensor into one dimension. */
  return atl_tensor_n_elems (t) <= G_MAXUINT32;
}

/* --- BINARY, UNARY --- */

static gboolean
binary_supports (const AtlOpencl *cl, const AtlNode *node)
{
  return atl_cl_is_float (node->src[0]) && atl_cl_is_float (node->src[1]) &&
         atl_tensor_is_contiguous (node->dst) && dims_fit (node->dst);
}

static gboolean
binary_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  guint64 n = (guint64) atl_tensor_n_elems (node->dst);
  AtlClCall call;
  Space s;

  space_init (&s, node->dst);
  space_add (&s, node->src[0]);
  space_add (&s, node->src[1]);
  space_merge (&s);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_ELEMENTWISE, 0, "binary", error))
    return FALSE;
  for (guint i = 0; i < 2; i++)
    {
      atl_cl_arg_tensor (&call, node->src[i], sizeof (float));
      atl_cl_arg_strides (&call, s.stride[i]);
    }
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_dims (&call, s.dim);
  atl_cl_arg_ulong (&call, n);
  atl_cl_arg_int (&call, (cl_int) node->p.binary);
  return atl_cl_call_items (&call, n, 1, error);
}

const AtlClOp atl_cl_op_binary = { binary_supports, NULL, binary_run };

static gboolean
unary_supports (const AtlOpencl *cl, const AtlNode *node)
{
  return atl_cl_is_float (node->src[0]) && atl_tensor_is_contiguous (node->dst) &&
         dims_fit (node->dst);
}

static gboolean
unary_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  guint64 n = (guint64) atl_tensor_n_elems (node->dst);
  AtlClCall call;
  Space s;

  space_init (&s, node->dst);
  space_add (&s, node->src[0]);
  space_merge (&s);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_ELEMENTWISE, 0, "unary", error))
    return FALSE;
  atl_cl_arg_tensor (&call, node->src[0], sizeof (float));
  atl_cl_arg_strides (&call, s.stride[0]);
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_dims (&call, s.dim);
  atl_cl_arg_ulong (&call, n);
  atl_cl_arg_float (&call, node->p.a);
  atl_cl_arg_float (&call, node->p.b);
  atl_cl_arg_int (&call, (cl_int) node->p.act);
  return atl_cl_call_items (&call, n, 1, error);
}

const AtlClOp atl_cl_op_unary = { unary_supports, NULL, unary_run };

/* --- GLU --- */

static gboolean
glu_supports (const AtlOpencl *cl, const AtlNode *node)
{
  gint64 n, stride;

  return atl_cl_is_rows (node->src[0], &n, &stride) && atl_tensor_is_contiguous (node->dst);
}

static gboolean
glu_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  guint64 width = (guint64) node->dst->dim[node->dst->n_dims - 1];
  gint64 n, stride;
  AtlClCall call;

  atl_tensor_rows (node->src[0], &n, &stride);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_ELEMENTWISE, 0, "glu", error))
    return FALSE;
  atl_cl_arg_tensor (&call, node->src[0], sizeof (float));
  atl_cl_arg_ulong (&call, (guint64) stride);
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_uint (&call, width);
  atl_cl_arg_uint (&call, (guint64) n);
  atl_cl_arg_int (&call, (cl_int) node->p.act);
  atl_cl_arg_int (&call, (cl_int) atl_act_of_factor (node->p.act));
  atl_cl_arg_int (&call, node->p.gate_second ? ATL_CL_GATE_SECOND : 0);
  return atl_cl_call_items (&call, width, (guint64) n, error);
}

const AtlClOp atl_cl_op_glu = { glu_supports, NULL, glu_run };

/* --- COPY, CONCAT --- */

/* KIND_* of the kernel; -1 for types it does not move. */
static int
kind_of (const AtlTensor *t)
{
  const AtlTensor *base = t->base != NULL ? t->base : t;

  if (base->kind == ATL_TENSOR_WEIGHT)
    return base->weight->use & ATL_USE_VECTOR ? 0 : -1;
  switch (t->dtype)
    {
    case ATL_DTYPE_F32:
      return 0;
    case ATL_DTYPE_F16:
      return 1;
    case ATL_DTYPE_I32:
      return 2;
    default:
      return -1;
    }
}

/* x to dst from `offset` elements on. */
static gboolean
run_copy (AtlOpencl *cl, const AtlTensor *x, const AtlTensor *dst, guint64 offset, GError **error)
{
  AtlTensor part = *x; /* the part of dst that x fills */
  AtlClCall call;
  Space s;

  for (guint i = 0; i < x->n_dims; i++)
    part.stride[i] = dst->stride[i];
  space_init (&s, x);
  space_add (&s, x);
  space_add (&s, &part);
  space_merge (&s);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_ELEMENTWISE, 0, "copy", error))
    return FALSE;
  atl_cl_arg_tensor (&call, x, kind_of (x) == 1 ? 2 : 4);
  atl_cl_arg_strides (&call, s.stride[0]);
  atl_cl_arg_int (&call, kind_of (x));
  atl_cl_arg_tensor_at (&call, dst, kind_of (dst) == 1 ? 2 : 4, offset);
  atl_cl_arg_strides (&call, s.stride[1]);
  atl_cl_arg_int (&call, kind_of (dst));
  atl_cl_arg_dims (&call, s.dim);
  atl_cl_arg_ulong (&call, space_size (&s));
  return atl_cl_call_items (&call, space_size (&s), 1, error);
}

static gboolean
copy_supports (const AtlOpencl *cl, const AtlNode *node)
{
  return kind_of (node->src[0]) >= 0 && kind_of (node->dst) >= 0 &&
         atl_tensor_is_contiguous (node->dst) && dims_fit (node->dst);
}

static gboolean
copy_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  return run_copy (cl, node->src[0], node->dst, 0, error);
}

const AtlClOp atl_cl_op_copy = { copy_supports, NULL, copy_run };

static gboolean
concat_supports (const AtlOpencl *cl, const AtlNode *node)
{
  for (guint i = 0; i < ATL_NODE_MAX_SRC; i++)
    if (node->src[i] != NULL && kind_of (node->src[i]) < 0)
      return FALSE;
  return kind_of (node->dst) >= 0 && dims_fit (node->dst);
}

static gboolean
concat_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  guint64 offset = 0;

  for (guint i = 0; i < ATL_NODE_MAX_SRC && node->src[i] != NULL; i++)
    {
      if (!run_copy (cl, node->src[i], node->dst, offset, error))
        return FALSE;
      offset += (guint64) (node->src[i]->dim[node->p.axis] * node->dst->stride[node->p.axis]);
    }
  return TRUE;
}

const AtlClOp atl_cl_op_concat = { concat_supports, NULL, concat_run };

/* --- UPSAMPLE --- */

static gboolean
upsample_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];

  /* Index times size must fit into 32 bits. */
  for (guint i = 1; i < 5; i++)
    if (x->dim[i] > 32767 || node->dst->dim[i] > 65535)
      return FALSE;
  return atl_cl_is_float (x) && atl_tensor_is_contiguous (x) &&
         atl_tensor_is_contiguous (node->dst);
}

static gboolean
upsample_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *x = node->src[0], *dst = node->dst;
  guint64 n = (guint64) atl_tensor_n_elems (dst);
  AtlClCall call;

  if (!atl_cl_call_begin (&call, cl, ATL_CL_ELEMENTWISE, 0, "resize", error))
    return FALSE;
  atl_cl_arg_tensor (&call, x, sizeof (float));
  atl_cl_arg_tensor (&call, dst, sizeof (float));
  atl_cl_arg_int4 (&call, x->dim[1], x->dim[2], x->dim[3], x->dim[4]);
  atl_cl_arg_int4 (&call, dst->dim[1], dst->dim[2], dst->dim[3], dst->dim[4]);
  atl_cl_arg_ulong (&call, n);
  return atl_cl_call_items (&call, n, 1, error);
}

const AtlClOp atl_cl_op_upsample = { upsample_supports, NULL, upsample_run };
