/* Rotary embedding, rows stored into states, and rows in another order: host side of
 * kernels/rows.cl. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/op.h"

/* Folds all dimensions before the last three into one with one stride. */
static gboolean
fold_outer (const AtlTensor *x, gint64 *n_outer, gint64 *stride)
{
  guint n = x->n_dims - 3;

  *n_outer = 1;
  *stride = 0;
  for (guint i = n; i-- > 0;)
    {
      if (x->dim[i] == 1)
        continue;
      if (*n_outer == 1)
        *stride = x->stride[i];
      else if (x->stride[i] != *stride * *n_outer)
        return FALSE;
      *n_outer *= x->dim[i];
    }
  return TRUE;
}

static gboolean
rope_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *x = node->src[0], *table = node->src[1];
  gint64 n_outer, stride;

  return atl_cl_is_float (x) && atl_cl_is_float (table) && atl_tensor_is_contiguous (table) &&
         (x->dim[x->n_dims - 1] == 1 || x->stride[x->n_dims - 1] == 1) &&
         fold_outer (x, &n_outer, &stride) && atl_tensor_is_contiguous (node->dst) &&
         atl_cl_fits (atl_tensor_n_elems (x) / x->dim[x->n_dims - 1]);
}

static gboolean
rope_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *x = node->src[0];
  gint64 n_outer, outer_stride;
  guint64 dim = (guint64) x->dim[x->n_dims - 1], pairs = (dim + 1) / 2;
  guint64 n = (guint64) atl_tensor_n_elems (x) / dim * pairs;
  AtlClCall call;

  fold_outer (x, &n_outer, &outer_stride);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_ROWS, 0, "rope", error))
    return FALSE;
  atl_cl_arg_tensor (&call, x, sizeof (float));
  atl_cl_arg_ulong4 (&call, outer_stride, x->stride[x->n_dims - 3], x->stride[x->n_dims - 2], 0);
  atl_cl_arg_tensor (&call, node->src[1], sizeof (float));
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_uint (&call, (guint64) x->dim[x->n_dims - 3]);
  atl_cl_arg_uint (&call, (guint64) x->dim[x->n_dims - 2]);
  atl_cl_arg_uint (&call, dim);
  atl_cl_arg_uint (&call, pairs);
  atl_cl_arg_uint (&call, (guint64) node->p.n_rot);
  atl_cl_arg_int (&call, (cl_int) node->p.pairing);
  atl_cl_arg_ulong (&call, n);
  return atl_cl_call_items (&call, n, 1, error);
}

const AtlClOp atl_cl_op_rope = { rope_supports, NULL, rope_run };

/* --- STORE_ROWS --- */

static const char *
store_kernel (AtlDType dtype)
{
  switch (dtype)
    {
    case ATL_DTYPE_F32:
      return "store_float";
    case ATL_DTYPE_F16:
      return "store_half";
    case ATL_DTYPE_Q8_0:
      return "store_q8_0";
    case ATL_DTYPE_Q4_0:
      return "store_q4_0";
    default:
      return NULL;
    }
}

static gboolean
store_rows_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *x = node->src[0], *state = node->src[2];
  gint64 n, stride;

  return state->kind == ATL_TENSOR_STATE && store_kernel (state->dtype) != NULL &&
         atl_cl_is_rows (x, &n, &stride) && atl_cl_is_index (node->src[1]) &&
         atl_tensor_is_contiguous (state) &&
         x->dim[x->n_dims - 1] % atl_dtype_info (state->dtype)->block_elems == 0 &&
         x->dim[x->n_dims - 1] == atl_tensor_n_elems (state) / state->dim[0] &&
         atl_cl_fits (state->dim[0]) && atl_cl_fits (x->dim[x->n_dims - 1]);
}

static gboolean
store_rows_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *x = node->src[0], *state = node->src[2];
  guint64 width = (guint64) x->dim[x->n_dims - 1];
  gint64 n, stride;
  AtlClCall call;

  atl_tensor_rows (x, &n, &stride);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_ROWS, 0, store_kernel (state->dtype), error))
    return FALSE;
  atl_cl_arg_tensor (&call, x, sizeof (float));
  atl_cl_arg_ulong (&call, (guint64) stride);
  atl_cl_arg_tensor (&call, node->src[1], sizeof (gint32));
  atl_cl_arg_tensor (&call, state, 1);
  atl_cl_arg_uint (&call, width);
  atl_cl_arg_uint (&call, (guint64) n);
  atl_cl_arg_uint (&call, (guint64) state->dim[0]);
  return atl_cl_call_items (&call, width / atl_dtype_info (state->dtype)->block_elems, (guint64) n,
                            error);
}

const AtlClOp atl_cl_op_store_rows = { store_rows_supports, NULL, store_rows_run };

/* --- REORDER --- */

static gboolean
reorder_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *x = node->src[0], *order = node->src[1], *ids = node->src[2];
  gint64 n, stride;

  return atl_cl_is_rows (x, &n, &stride) && atl_cl_is_float (order) &&
         atl_tensor_is_contiguous (order) && (ids == NULL || atl_cl_is_index (ids)) &&
         atl_tensor_is_contiguous (node->dst) && atl_cl_fits (atl_tensor_n_elems (order)) &&
         atl_cl_fits (atl_tensor_n_elems (node->dst) / x->dim[x->n_dims - 1]);
}

static gboolean
reorder_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *x = node->src[0], *order = node->src[1], *ids = node->src[2];
  guint64 n_in = (guint64) x->dim[x->n_dims - 1];
  guint64 n = (guint64) atl_tensor_n_elems (node->dst) / n_in;
  gint64 n_x, stride;
  AtlClCall call;

  atl_tensor_rows (x, &n_x, &stride);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_ROWS, 0, ids != NULL ? "reorder_experts" : "reorder",
                          error))
    return FALSE;
  atl_cl_arg_tensor (&call, x, sizeof (float));
  atl_cl_arg_ulong (&call, (guint64) stride);
  atl_cl_arg_tensor (&call, order, sizeof (float));
  if (ids != NULL)
    {
      atl_cl_arg_tensor (&call, ids, sizeof (gint32));
      atl_cl_arg_uint (&call, n / (guint64) n_x);
      atl_cl_arg_uint (&call, (guint64) order->dim[0]);
    }
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_uint (&call, n_in);
  atl_cl_arg_uint (&call, n);
  return atl_cl_call_items (&call, n_in, n, error);
}

const AtlClOp atl_cl_op_reorder = { reorder_supports, NULL, reorder_run };
