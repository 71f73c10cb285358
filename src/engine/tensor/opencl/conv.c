/* Convolution: host side of kernels/conv.cl. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/op.h"

static gboolean
conv_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *x = node->src[0], *w = node->src[1], *bias = node->src[2];
  const AtlTensor *residual = node->src[3], *dst = node->dst;

  for (guint i = 0; i < 5; i++)
    if (x->dim[i] > G_MAXINT32 / 2 || dst->dim[i] > G_MAXINT32 / 2)
      return FALSE;
  return atl_cl_is_float (x) && atl_tensor_is_contiguous (x) &&
         atl_cl_is_weight (w, ATL_USE_CONV) && w->base == NULL && atl_cl_is_float (bias) &&
         (bias == NULL || atl_tensor_is_contiguous (bias)) && atl_cl_is_float (residual) &&
         (residual == NULL || atl_tensor_is_contiguous (residual)) &&
         atl_tensor_is_contiguous (dst) && atl_cl_fits (atl_tensor_n_elems (dst) / dst->dim[4]);
}

static gboolean
conv_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *x = node->src[0], *w = node->src[1], *bias = node->src[2];
  const AtlTensor *residual = node->src[3], *dst = node->dst;
  const AtlClMatrix *m = &atl_cl_weight (cl, w)->conv;
  const AtlOpParams *p = &node->p;
  gint64 n_rows = w->dim[0], n_cols = atl_tensor_n_elems (dst) / n_rows;
  guint64 n_tiles = (guint64) (n_cols + ATL_CL_TILE_COLUMNS - 1) / ATL_CL_TILE_COLUMNS;
  guint64 row_tiles = (guint64) (n_rows + ATL_CL_TILE_ROWS - 1) / ATL_CL_TILE_ROWS;
  AtlClCall call;

  if (!atl_cl_call_begin (&call, cl, ATL_CL_CONV, m->dtype, "conv", error))
    return FALSE;
  atl_cl_arg_memory (&call, m->memory);
  for (guint i = 1; i < ATL_CL_PLANES; i++)
    atl_cl_arg_ulong (&call, m->plane[i]);
  atl_cl_arg_uint (&call, (guint64) m->k / 16);
  atl_cl_arg_uint (&call, (guint64) n_rows);
  atl_cl_arg_tensor (&call, x, sizeof (float));
  atl_cl_arg_uint (&call, (guint64) n_cols);
  atl_cl_arg_first (&call);
  atl_cl_arg_int4 (&call, x->dim[1], x->dim[2], x->dim[3], x->dim[4]);
  atl_cl_arg_int4 (&call, dst->dim[1], dst->dim[2], dst->dim[3], n_rows);
  atl_cl_arg_int4 (&call, w->n_dims == 5 ? w->dim[2] : 1, w->dim[w->n_dims - 2],
                   w->dim[w->n_dims - 1], atl_cl_conv_channels (w->dim[1]));
  atl_cl_arg_int4 (&call, p->stride[0], p->stride[1], p->stride[2], 0);
  atl_cl_arg_int4 (&call, p->pad_before[0], p->pad_before[1], p->pad_before[2], 0);
  /* The epilogue of kernels/tile.cl. */
  atl_cl_arg_tensor (&call, dst, sizeof (float));
  atl_cl_arg_uint (&call, (guint64) n_rows);
  atl_cl_arg_tensor (&call, bias, sizeof (float));
  atl_cl_arg_tensor (&call, NULL, sizeof (float));
  atl_cl_arg_uint (&call, 0);
  atl_cl_arg_tensor (&call, residual, sizeof (float));
  atl_cl_arg_uint (&call, (guint64) n_rows);
  atl_cl_arg_float (&call, w->weight->scale);
  atl_cl_arg_float (&call, 1.0f);
  atl_cl_arg_int (&call, (cl_int) p->act);
  atl_cl_arg_int (&call, (bias != NULL ? ATL_CL_HAS_BIAS : 0) |
                             (residual != NULL ? ATL_CL_HAS_RESIDUAL : 0));
  return atl_cl_call_tiles (&call, n_tiles, row_tiles, 1,
                            2.0 * ATL_CL_TILE_COLUMNS * ATL_CL_TILE_ROWS * (double) m->k, error);
}

const AtlClOp atl_cl_op_conv = { conv_supports, NULL, conv_run };
