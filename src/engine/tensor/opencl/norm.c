/* Norms: host side of kernels/norm.cl. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/op.h"

/* Rows up to this width get work-groups of 64. */
#define NARROW 256
/* Elements of a (batch, group) that one work-group of group norm takes. */
#define GROUP_NORM_CHUNK 16384

static gboolean
is_vector (const AtlTensor *t)
{
  return atl_cl_is_float (t) && (t == NULL || atl_tensor_is_contiguous (t));
}

static gboolean
norm_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *weight = node->src[1], *bias = node->src[2];
  gint64 n, m, stride, dim = node->dst->dim[node->dst->n_dims - 1];

  if (!atl_cl_is_rows (node->src[0], &n, &stride) || !is_vector (weight) || !is_vector (bias) ||
      !atl_tensor_is_contiguous (node->dst) || !atl_cl_fits (dim))
    return FALSE;
  /* One number says how both repeat. */
  if (weight != NULL && bias != NULL && atl_tensor_n_elems (weight) != atl_tensor_n_elems (bias))
    return FALSE;
  for (guint i = 3; i < 5; i++)
    if (node->src[i] != NULL &&
        (!atl_cl_is_rows (node->src[i], &m, &stride) || m < 1 || n % m != 0))
      return FALSE;
  return TRUE;
}

static void
modulation_args (AtlClCall *call, const AtlTensor *t, gint64 n_rows, guint64 *divisor)
{
  gint64 m = 1, stride = 0;

  if (t != NULL)
    atl_tensor_rows (t, &m, &stride);
  atl_cl_arg_tensor (call, t, sizeof (float));
  atl_cl_arg_ulong (call, (guint64) stride);
  *divisor = t != NULL ? (guint64) (n_rows / m) : 1;
}

static gboolean
norm_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *x = node->src[0], *weight = node->src[1], *bias = node->src[2];
  const AtlTensor *vector = weight != NULL ? weight : bias;
  gint64 n_rows, stride, dim = node->dst->dim[node->dst->n_dims - 1];
  guint64 scale_div, shift_div;
  AtlClCall call;

  atl_tensor_rows (x, &n_rows, &stride);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_NORM, 0, dim <= NARROW ? "norm_64" : "norm_256", error))
    return FALSE;
  atl_cl_arg_tensor (&call, x, sizeof (float));
  atl_cl_arg_ulong (&call, (guint64) stride);
  atl_cl_arg_tensor (&call, weight, sizeof (float));
  atl_cl_arg_tensor (&call, bias, sizeof (float));
  atl_cl_arg_uint (&call, vector != NULL ? (guint64) (atl_tensor_n_elems (vector) / dim) : 1);
  modulation_args (&call, node->src[3], n_rows, &scale_div);
  modulation_args (&call, node->src[4], n_rows, &shift_div);
  atl_cl_arg_uint (&call, scale_div);
  atl_cl_arg_uint (&call, shift_div);
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_uint (&call, (guint64) dim);
  atl_cl_arg_uint (&call, (guint64) n_rows);
  atl_cl_arg_float (&call, node->p.eps);
  atl_cl_arg_float (&call, node->p.a);
  atl_cl_arg_int (&call, (cl_int) node->p.norm);
  atl_cl_arg_int (&call, (weight != NULL ? ATL_CL_HAS_WEIGHT : 0) |
                             (bias != NULL ? ATL_CL_HAS_BIAS : 0) |
                             (node->src[3] != NULL ? ATL_CL_HAS_SCALE : 0) |
                             (node->src[4] != NULL ? ATL_CL_HAS_SHIFT : 0));
  return atl_cl_call_groups (&call, (guint64) n_rows, 1, 1, error);
}

const AtlClOp atl_cl_op_norm = { norm_supports, NULL, norm_run };

/* --- Group norm --- */

typedef struct
{
  gint64 batch, pixels, channels, width, chunk, n_chunks;
} GroupShape;

static void
group_shape_init (GroupShape *s, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];

  s->batch = x->dim[0];
  s->channels = x->dim[x->n_dims - 1];
  s->pixels = atl_tensor_n_elems (x) / s->batch / s->channels;
  s->width = s->channels / node->p.groups;
  s->chunk = CLAMP (GROUP_NORM_CHUNK / s->width, 1, s->pixels);
  s->n_chunks = (s->pixels + s->chunk - 1) / s->chunk;
}

static gboolean
group_norm_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  GroupShape s;

  group_shape_init (&s, node);
  return atl_cl_is_float (x) && atl_tensor_is_contiguous (x) && is_vector (node->src[1]) &&
         is_vector (node->src[2]) && atl_tensor_is_contiguous (node->dst) &&
         atl_cl_fits (s.pixels) && atl_cl_fits (s.channels) && s.batch <= 65535 &&
         node->p.groups <= 65535;
}

static gsize
group_norm_scratch (const AtlOpencl *cl, const AtlNode *node)
{
  GroupShape s;

  group_shape_init (&s, node);
  return (gsize) (s.batch * node->p.groups * s.n_chunks) * 2 * sizeof (float);
}

static gboolean
group_norm_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *x = node->src[0], *weight = node->src[1], *bias = node->src[2];
  GroupShape s;
  AtlClCall call;

  group_shape_init (&s, node);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_NORM, 0, "group_norm_stats", error))
    return FALSE;
  atl_cl_arg_tensor (&call, x, sizeof (float));
  atl_cl_arg_scratch (&call, scratch, 0);
  atl_cl_arg_uint (&call, (guint64) s.pixels);
  atl_cl_arg_uint (&call, (guint64) s.channels);
  atl_cl_arg_uint (&call, (guint64) s.width);
  atl_cl_arg_uint (&call, (guint64) s.chunk);
  atl_cl_arg_uint (&call, (guint64) s.n_chunks);
  if (!atl_cl_call_groups (&call, (guint64) s.n_chunks, (guint64) node->p.groups, (guint64) s.batch,
                           error))
    return FALSE;

  if (!atl_cl_call_begin (&call, cl, ATL_CL_NORM, 0, "group_norm", error))
    return FALSE;
  atl_cl_arg_tensor (&call, x, sizeof (float));
  atl_cl_arg_scratch (&call, scratch, 0);
  atl_cl_arg_tensor (&call, weight, sizeof (float));
  atl_cl_arg_tensor (&call, bias, sizeof (float));
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_uint (&call, (guint64) s.pixels);
  atl_cl_arg_uint (&call, (guint64) s.channels);
  atl_cl_arg_uint (&call, (guint64) s.width);
  atl_cl_arg_uint (&call, (guint64) s.chunk);
  atl_cl_arg_uint (&call, (guint64) s.n_chunks);
  atl_cl_arg_float (&call, node->p.eps);
  atl_cl_arg_int (&call, (cl_int) node->p.act);
  atl_cl_arg_int (&call,
                  (weight != NULL ? ATL_CL_HAS_WEIGHT : 0) | (bias != NULL ? ATL_CL_HAS_BIAS : 0));
  return atl_cl_call_groups (&call, (guint64) s.n_chunks, (guint64) node->p.groups,
                             (guint64) s.batch, error);
}

const AtlClOp atl_cl_op_group_norm = { group_norm_supports, group_norm_scratch, group_norm_run };
