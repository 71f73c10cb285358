/* The ops that carry a state: host side of kernels/recurrent.cl and kernels/recurrence.cl. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/op.h"

/* Columns of a head's state that one work-group takes. */
#define COLUMNS 32

static gboolean
is_slots (const AtlTensor *t)
{
  return atl_cl_is_index (t) && atl_tensor_n_elems (t) == 2;
}

static gboolean
is_state (const AtlTensor *t)
{
  return t->kind == ATL_TENSOR_STATE && t->dtype == ATL_DTYPE_F32 && atl_tensor_is_contiguous (t) &&
         atl_cl_fits (t->dim[0]);
}

static gboolean
is_vector (const AtlTensor *t)
{
  return atl_cl_is_float (t) && (t == NULL || atl_tensor_is_contiguous (t));
}

/* --- CAUSAL_CONV --- */

static gboolean
causal_conv_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *w = node->src[ATL_CAUSAL_CONV_W];
  gint64 n, stride;

  return atl_cl_is_rows (node->src[ATL_CAUSAL_CONV_X], &n, &stride) && is_vector (w) &&
         is_vector (node->src[ATL_CAUSAL_CONV_BIAS]) &&
         is_state (node->src[ATL_CAUSAL_CONV_STATE]) &&
         is_slots (node->src[ATL_CAUSAL_CONV_SLOTS]) && atl_tensor_is_contiguous (node->dst) &&
         atl_cl_fits (w->dim[0]) && atl_cl_fits (w->dim[1]);
}

static gboolean
causal_conv_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *x = node->src[ATL_CAUSAL_CONV_X], *w = node->src[ATL_CAUSAL_CONV_W];
  const AtlTensor *bias = node->src[ATL_CAUSAL_CONV_BIAS];
  const AtlTensor *state = node->src[ATL_CAUSAL_CONV_STATE];
  guint64 n_channels = (guint64) w->dim[0], n_taps = (guint64) w->dim[1];
  gint64 n_tokens, stride;
  AtlClCall call;

  atl_tensor_rows (x, &n_tokens, &stride);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_RECURRENT, 0, "causal_conv", error))
    return FALSE;
  atl_cl_arg_tensor (&call, x, sizeof (float));
  atl_cl_arg_ulong (&call, (guint64) stride);
  atl_cl_arg_tensor (&call, w, sizeof (float));
  atl_cl_arg_tensor (&call, bias, sizeof (float));
  atl_cl_arg_tensor (&call, state, sizeof (float));
  atl_cl_arg_tensor (&call, node->src[ATL_CAUSAL_CONV_SLOTS], sizeof (gint32));
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_uint (&call, n_channels);
  atl_cl_arg_uint (&call, n_taps);
  atl_cl_arg_uint (&call, (guint64) n_tokens);
  atl_cl_arg_uint (&call, (guint64) state->dim[0]);
  atl_cl_arg_int (&call, (cl_int) node->p.act);
  atl_cl_arg_int (&call, bias != NULL ? ATL_CL_HAS_BIAS : 0);
  if (!atl_cl_call_items (&call, n_channels, (guint64) n_tokens, error))
    return FALSE;

  if (!atl_cl_call_begin (&call, cl, ATL_CL_RECURRENT, 0, "causal_conv_keep", error))
    return FALSE;
  atl_cl_arg_tensor (&call, x, sizeof (float));
  atl_cl_arg_ulong (&call, (guint64) stride);
  atl_cl_arg_tensor (&call, state, sizeof (float));
  atl_cl_arg_tensor (&call, node->src[ATL_CAUSAL_CONV_SLOTS], sizeof (gint32));
  atl_cl_arg_uint (&call, n_channels);
  atl_cl_arg_uint (&call, n_taps);
  atl_cl_arg_uint (&call, (guint64) n_tokens);
  atl_cl_arg_uint (&call, (guint64) state->dim[0]);
  return atl_cl_call_items (&call, n_channels, 1, error);
}

const AtlClOp atl_cl_op_causal_conv = { causal_conv_supports, NULL, causal_conv_run };

/* --- SSM_SCAN, DELTA_RULE --- */

/* Both as the one recurrence that the kernel knows. */
typedef struct
{
  const AtlTensor *k, *q, *v, *gate, *state, *slots;
  const AtlTensor *a, *beta, *bias, *d; /* the last three nullable */
} Recurrence;

static Recurrence
recurrence_of (const AtlNode *node)
{
  AtlTensor *const *src = node->src;

  if (node->op == ATL_OP_SSM_SCAN)
    return (Recurrence){ .k = src[ATL_SSM_B],
                         .q = src[ATL_SSM_C],
                         .v = src[ATL_SSM_X],
                         .gate = src[ATL_SSM_DT],
                         .state = src[ATL_SSM_STATE],
                         .slots = src[ATL_SSM_SLOTS],
                         .a = src[ATL_SSM_A],
                         .bias = src[ATL_SSM_DT_BIAS],
                         .d = src[ATL_SSM_D] };
  return (Recurrence){ .k = src[ATL_DELTA_K],
                       .q = src[ATL_DELTA_Q],
                       .v = src[ATL_DELTA_V],
                       .gate = src[ATL_DELTA_ALPHA],
                       .state = src[ATL_DELTA_STATE],
                       .slots = src[ATL_DELTA_SLOTS],
                       .a = src[ATL_DELTA_A],
                       .beta = src[ATL_DELTA_BETA],
                       .bias = src[ATL_DELTA_DT_BIAS] };
}

static gboolean
is_heads (const AtlTensor *t)
{
  return atl_cl_is_float (t) && t->n_dims == 3 && (t->dim[2] == 1 || t->stride[2] == 1) &&
         (t->dim[1] == 1 || t->stride[1] == t->dim[2]) && atl_cl_fits (t->dim[2]);
}

static gboolean
recurrence_supports (const AtlOpencl *cl, const AtlNode *node)
{
  Recurrence m = recurrence_of (node);
  gint64 n, stride;

  return is_heads (m.k) && is_heads (m.q) && is_heads (m.v) &&
         atl_cl_is_rows (m.gate, &n, &stride) &&
         (m.beta == NULL || atl_cl_is_rows (m.beta, &n, &stride)) && is_vector (m.a) &&
         is_vector (m.bias) && is_vector (m.d) && is_state (m.state) && is_slots (m.slots) &&
         atl_tensor_is_contiguous (node->dst) && node->dst->dim[1] <= 65535;
}

static void
strided_arg (AtlClCall *call, const AtlTensor *t)
{
  atl_cl_arg_tensor (call, t, sizeof (float));
  atl_cl_arg_ulong (call, t != NULL ? (guint64) t->stride[0] : 0);
}

static gboolean
recurrence_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  Recurrence m = recurrence_of (node);
  guint64 n_keys = (guint64) m.k->dim[2], n = (guint64) m.v->dim[2];
  guint64 n_heads = (guint64) m.v->dim[1], n_tokens = (guint64) m.v->dim[0];
  AtlClCall call;

  cl->n_flops += 6.0 * (double) (n_tokens * n_heads) * (double) (n_keys * n);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_RECURRENT, 0,
                          n_keys <= 64    ? "recurrence_64"
                          : n_keys <= 128 ? "recurrence_128"
                          : n_keys <= 256 ? "recurrence_256"
                                          : "recurrence_0",
                          error))
    return FALSE;
  strided_arg (&call, m.k);
  strided_arg (&call, m.q);
  strided_arg (&call, m.v);
  strided_arg (&call, m.gate);
  strided_arg (&call, m.beta);
  atl_cl_arg_tensor (&call, m.bias, sizeof (float));
  atl_cl_arg_tensor (&call, m.a, sizeof (float));
  atl_cl_arg_tensor (&call, m.d, sizeof (float));
  atl_cl_arg_tensor (&call, m.state, sizeof (float));
  atl_cl_arg_tensor (&call, m.slots, sizeof (gint32));
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_uint (&call, n_keys);
  atl_cl_arg_uint (&call, n);
  atl_cl_arg_uint (&call, n_heads);
  atl_cl_arg_uint (&call, (guint64) m.k->dim[1]);
  atl_cl_arg_uint (&call, n_tokens);
  atl_cl_arg_uint (&call, (guint64) m.state->dim[0]);
  atl_cl_arg_int (&call, m.beta != NULL);
  atl_cl_arg_int (&call, node->p.tiled);
  atl_cl_arg_float (&call, node->p.eps);
  atl_cl_arg_float (&call, node->p.scale);
  atl_cl_arg_int (&call,
                  (m.bias != NULL ? ATL_CL_HAS_BIAS : 0) | (m.d != NULL ? ATL_CL_HAS_SCALE : 0));
  return atl_cl_call_groups (&call, n_heads, (n + COLUMNS - 1) / COLUMNS, 1, error);
}

const AtlClOp atl_cl_op_recurrence = { recurrence_supports, NULL, recurrence_run };
