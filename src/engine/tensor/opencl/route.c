/* Routing to experts and their weighted sum: host side of kernels/route.cl. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/op.h"

#define MAX_EXPERTS 1024 /* as in the kernel */
#define MAX_GROUPS 64
#define MAX_PICKED 64

static gboolean
route_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *logits = node->src[0], *bias = node->src[1];
  gint64 n, stride;

  return atl_cl_is_rows (logits, &n, &stride) && atl_cl_is_float (bias) &&
         (bias == NULL || atl_tensor_is_contiguous (bias)) && logits->dim[1] <= MAX_EXPERTS &&
         node->dst->dim[1] <= MAX_PICKED && node->p.n_groups <= MAX_GROUPS &&
         atl_tensor_is_contiguous (node->dst) && node->dst2 != NULL &&
         atl_tensor_is_contiguous (node->dst2);
}

static gboolean
route_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *logits = node->src[0], *bias = node->src[1];
  gint64 n, stride;
  AtlClCall call;

  atl_tensor_rows (logits, &n, &stride);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_ROUTE, 0, "route", error))
    return FALSE;
  atl_cl_arg_tensor (&call, logits, sizeof (float));
  atl_cl_arg_ulong (&call, (guint64) stride);
  atl_cl_arg_tensor (&call, bias, sizeof (float));
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_tensor (&call, node->dst2, sizeof (gint32));
  atl_cl_arg_uint (&call, (guint64) n);
  atl_cl_arg_uint (&call, (guint64) logits->dim[1]);
  atl_cl_arg_uint (&call, (guint64) node->dst->dim[1]);
  atl_cl_arg_uint (&call, (guint64) node->p.n_groups);
  atl_cl_arg_uint (&call, (guint64) node->p.n_groups_used);
  atl_cl_arg_float (&call, node->p.scale);
  atl_cl_arg_int (&call, (cl_int) node->p.route);
  atl_cl_arg_int (&call, (bias != NULL ? ATL_CL_HAS_BIAS : 0) |
                             (node->p.renorm ? ATL_CL_RENORM : 0) |
                             (node->p.group_by_best ? ATL_CL_GROUP_BY_BEST : 0));
  return atl_cl_call_groups (&call, (guint64) n, 1, 1, error);
}

const AtlClOp atl_cl_op_route = { route_supports, NULL, route_run };

/* --- EXPERT_SUM --- */

static gboolean
expert_sum_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *x = node->src[0], *weights = node->src[1], *residual = node->src[2];
  gint64 n, stride;

  return atl_cl_is_float (x) && atl_tensor_is_contiguous (x) && atl_cl_is_float (weights) &&
         atl_tensor_is_contiguous (weights) && atl_tensor_is_contiguous (node->dst) &&
         atl_cl_fits (x->dim[0]) && atl_cl_fits (x->dim[2]) &&
         (residual == NULL || atl_cl_is_rows (residual, &n, &stride));
}

static gboolean
expert_sum_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *x = node->src[0], *residual = node->src[2];
  gint64 ignored, stride = 0;
  AtlClCall call;

  if (residual != NULL)
    atl_tensor_rows (residual, &ignored, &stride);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_ROUTE, 0, "expert_sum", error))
    return FALSE;
  atl_cl_arg_tensor (&call, x, sizeof (float));
  atl_cl_arg_tensor (&call, node->src[1], sizeof (float));
  atl_cl_arg_tensor (&call, residual, sizeof (float));
  atl_cl_arg_ulong (&call, (guint64) stride);
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_uint (&call, (guint64) x->dim[2]);
  atl_cl_arg_uint (&call, (guint64) x->dim[0]);
  atl_cl_arg_uint (&call, (guint64) x->dim[1]);
  atl_cl_arg_int (&call, residual != NULL ? ATL_CL_HAS_RESIDUAL : 0);
  return atl_cl_call_items (&call, (guint64) x->dim[2], (guint64) x->dim[0], error);
}

const AtlClOp atl_cl_op_expert_sum = { expert_sum_supports, NULL, expert_sum_run };
