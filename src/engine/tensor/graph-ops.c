/* Ops of the transformer family besides products: norms, rope, attention, elementwise. */
#define G_LOG_DOMAIN "atl-tensor"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/tensor/graph-private.h"

static const char *const op_names[ATL_N_OPS] = {
  [ATL_OP_EMBED] = "embed",
  [ATL_OP_LINEAR] = "linear",
  [ATL_OP_EXPERT_LINEAR] = "expert-linear",
  [ATL_OP_REORDER] = "reorder",
  [ATL_OP_ROUTE] = "route",
  [ATL_OP_EXPERT_SUM] = "expert-sum",
  [ATL_OP_NORM] = "norm",
  [ATL_OP_GROUP_NORM] = "group-norm",
  [ATL_OP_ROPE] = "rope",
  [ATL_OP_STORE_ROWS] = "store-rows",
  [ATL_OP_ATTENTION] = "attention",
  [ATL_OP_BINARY] = "binary",
  [ATL_OP_UNARY] = "unary",
  [ATL_OP_GLU] = "glu",
  [ATL_OP_COPY] = "copy",
  [ATL_OP_CONCAT] = "concat",
  [ATL_OP_CONV] = "conv",
  [ATL_OP_UPSAMPLE] = "upsample",
  [ATL_OP_CAUSAL_CONV] = "causal-conv",
  [ATL_OP_SSM_SCAN] = "ssm-scan",
  [ATL_OP_DELTA_RULE] = "delta-rule",
};

const char *
atl_op_name (AtlOp op)
{
  return (guint) op < ATL_N_OPS ? op_names[op] : "?";
}

double
atl_node_products (const AtlNode *node)
{
  const AtlTensor *const *src = (const AtlTensor *const *) node->src;
  const double n = node->dst != NULL ? (double) atl_tensor_n_elems (node->dst) : 0.0;

  switch (node->op)
    {
    case ATL_OP_LINEAR:
    case ATL_OP_EXPERT_LINEAR:
      return n * atl_tensor_last_dim (src[0]) * (node->p.gated ? 2.0 : 1.0);
    case ATL_OP_CONV:
      return n * (double) (atl_tensor_n_elems (src[1]) / src[1]->dim[0]);
    case ATL_OP_ATTENTION:
      return (double) (src[0]->dim[0] * src[0]->dim[1] * src[0]->dim[2] * src[1]->dim[1]) *
             (atl_tensor_last_dim (src[1]) + atl_tensor_last_dim (src[2]));
    default:
      return 0.0;
    }
}

gboolean
atl_op_writes_state (AtlOp op)
{
  return op == ATL_OP_STORE_ROWS || op == ATL_OP_CAUSAL_CONV || op == ATL_OP_SSM_SCAN ||
         op == ATL_OP_DELTA_RULE;
}

gboolean
graph_same_shape (const AtlTensor *a, guint n_dims, const gint64 *dim)
{
  if (a->n_dims != n_dims)
    return FALSE;
  for (guint i = 0; i < n_dims; i++)
    if (a->dim[i] != dim[i])
      return FALSE;
  return TRUE;
}

gboolean
graph_check_vector (AtlGraph *self, const char *op, AtlTensor *t, gint64 n)
{
  if (t == NULL)
    return TRUE;
  if (atl_tensor_n_elems (t) != n)
    {
      g_autofree char *expected = g_strdup_printf ("%" G_GINT64_FORMAT " elements", n);
      graph_fail_shape (self, op, t, expected);
      return FALSE;
    }
  return TRUE;
}

static AtlTensor *
norm (AtlGraph *self,
      AtlNormKind kind,
      AtlTensor *x,
      AtlTensor *weight,
      AtlTensor *bias,
      float eps,
      float a,
      AtlTensor *scale,
      AtlTensor *shift)
{
  AtlTensor *vectors[2] = { weight, bias };
  AtlTensor *modulations[2] = { scale, shift };
  gint64 width, n_rows, row_stride;
  AtlNode *node;

  GRAPH_CHECK (self);
  width = x->dim[x->n_dims - 1];
  for (guint i = 0; i < 2; i++)
    if (vectors[i] != NULL && atl_tensor_n_elems (vectors[i]) != width &&
        (x->n_dims < 2 || atl_tensor_n_elems (vectors[i]) != width * x->dim[x->n_dims - 2]))
      {
        graph_fail_shape (self, "norm", vectors[i], _ ("the width of its input"));
        return &self->dummy;
      }
  x = graph_as_rows (self, x);
  GRAPH_CHECK (self);
  atl_tensor_rows (x, &n_rows, &row_stride);
  for (guint i = 0; i < 2; i++)
    if (modulations[i] != NULL)
      {
        gint64 m, m_stride;

        modulations[i] = graph_as_rows (self, modulations[i]);
        GRAPH_CHECK (self);
        atl_tensor_rows (modulations[i], &m, &m_stride);
        if (modulations[i]->dim[modulations[i]->n_dims - 1] != width || n_rows % m != 0)
          {
            graph_fail_shape (self, "norm modulation", modulations[i], _ ("[m, dim]"));
            return &self->dummy;
          }
      }
  node = graph_new_node (self, ATL_OP_NORM, x->n_dims, x->dim);
  node->src[0] = x;
  node->src[1] = weight;
  node->src[2] = bias;
  node->src[3] = modulations[0];
  node->src[4] = modulations[1];
  node->p.norm = kind;
  node->p.eps = eps;
  node->p.a = a;
  return node->dst;
}

AtlTensor *
atl_norm (
    AtlGraph *self, AtlNormKind kind, AtlTensor *x, AtlTensor *weight, AtlTensor *bias, float eps)
{
  return norm (self, kind, x, weight, bias, eps, 1.0f, NULL, NULL);
}

AtlTensor *
atl_norm_modulated (AtlGraph *self,
                    AtlNormKind kind,
                    AtlTensor *x,
                    AtlTensor *weight,
                    AtlTensor *bias,
                    float eps,
                    AtlTensor *scale,
                    AtlTensor *shift)
{
  return norm (self, kind, x, weight, bias, eps, 1.0f, scale, shift);
}

AtlTensor *
atl_norm_l2 (AtlGraph *self, AtlTensor *x, AtlTensor *weight, float eps, float a)
{
  return norm (self, ATL_NORM_L2, x, weight, NULL, eps, a, NULL, NULL);
}

AtlTensor *
atl_rope (AtlGraph *self, AtlTensor *x, AtlTensor *table, AtlRopePairing pairing)
{
  AtlNode *node;
  gint64 n_rot;

  GRAPH_CHECK (self);
  n_rot = table->dim[table->n_dims - 1];
  if (x->n_dims < 3 || table->n_dims != 2 || table->dim[0] != x->dim[x->n_dims - 3] ||
      n_rot % 2 != 0 || n_rot > x->dim[x->n_dims - 1])
    {
      graph_fail_shape (self, "rope", x,
                        _ ("[tokens, heads, head_dim] and a table [tokens, n_rot]"));
      return &self->dummy;
    }
  if (x->stride[x->n_dims - 1] != 1)
    x = atl_contiguous (self, x);
  table = atl_contiguous (self, table);
  GRAPH_CHECK (self);
  node = graph_new_node (self, ATL_OP_ROPE, x->n_dims, x->dim);
  node->src[0] = x;
  node->src[1] = table;
  node->p.pairing = pairing;
  node->p.n_rot = n_rot;
  return node->dst;
}

AtlTensor *
atl_store_rows (AtlGraph *self, AtlTensor *state, AtlTensor *x, AtlTensor *ids)
{
  AtlNode *node;
  gint64 n, row;

  GRAPH_CHECK (self);
  n = atl_tensor_n_elems (ids);
  row = atl_tensor_n_elems (state) / state->dim[0];
  if (state->kind != ATL_TENSOR_STATE || ids->dtype != ATL_DTYPE_I32 ||
      atl_tensor_n_elems (x) != n * row)
    {
      graph_fail_shape (self, "store-rows", x, _ ("one row of the state per index"));
      return &self->dummy;
    }
  x = graph_as_rows (self, atl_reshape_to (self, x, n, row));
  ids = atl_contiguous (self, ids);
  GRAPH_CHECK (self);
  node = g_new0 (AtlNode, 1);
  node->op = ATL_OP_STORE_ROWS;
  node->src[0] = x;
  node->src[1] = ids;
  node->src[2] = state;
  node->dst = state;
  g_ptr_array_add (self->nodes, node);
  return state;
}

/* [T, H, D] -> [1, T, H, D] with an innermost stride of one. */
static AtlTensor *
attention_operand (AtlGraph *self, AtlTensor *t)
{
  AtlTensor *v;

  GRAPH_CHECK (self);
  if (t->n_dims < 3 || t->n_dims > 4)
    {
      graph_fail_shape (self, "attention", t,
                        _ ("[tokens, heads, head_dim], with a batch or without"));
      return &self->dummy;
    }
  if (t->dim[t->n_dims - 1] != 1 && t->stride[t->n_dims - 1] != 1)
    t = atl_contiguous (self, t);
  if (t->n_dims == 4)
    return t;
  v = graph_new_view (self, t);
  v->n_dims = 4;
  v->dim[0] = 1;
  v->stride[0] = t->dim[0] * t->stride[0];
  for (guint i = 0; i < 3; i++)
    {
      v->dim[i + 1] = t->dim[i];
      v->stride[i + 1] = t->stride[i];
    }
  return v;
}

AtlTensor *
atl_attention (AtlGraph *self,
               AtlTensor *q,
               AtlTensor *k,
               AtlTensor *v,
               AtlTensor *ranges,
               AtlTensor *bias,
               AtlTensor *sinks,
               float scale,
               float softcap)
{
  guint n_dims = q->n_dims;
  AtlNode *node;

  q = attention_operand (self, q);
  k = attention_operand (self, k);
  v = attention_operand (self, v);
  GRAPH_CHECK (self);
  if (k->dim[0] != q->dim[0] || v->dim[0] != q->dim[0] || k->dim[3] != q->dim[3] ||
      k->dim[1] != v->dim[1] || k->dim[2] != v->dim[2] || q->dim[2] % k->dim[2] != 0)
    {
      graph_fail_shape (self, "attention", k, _ ("keys and values that fit the queries"));
      return &self->dummy;
    }
  if (ranges != NULL)
    {
      gint64 n = atl_tensor_n_elems (ranges);
      if (ranges->dtype != ATL_DTYPE_I32 || (n != 2 * q->dim[1] && n != 2 * q->dim[1] * q->dim[0]))
        {
          graph_fail_shape (self, "attention", ranges, _ ("a start and an end per query"));
          return &self->dummy;
        }
      ranges = atl_contiguous (self, ranges);
    }
  if (bias != NULL)
    {
      if (bias->n_dims != 4 || (bias->dim[0] != 1 && bias->dim[0] != q->dim[0]) ||
          (bias->dim[1] != 1 && bias->dim[1] != q->dim[2]) || bias->dim[2] != q->dim[1] ||
          bias->dim[3] != k->dim[1])
        {
          graph_fail_shape (self, "attention", bias, _ ("[batch or 1, heads or 1, queries, keys]"));
          return &self->dummy;
        }
      bias = atl_contiguous (self, bias);
    }
  if (!graph_check_vector (self, "attention sinks", sinks, q->dim[2]))
    return &self->dummy;
  GRAPH_CHECK (self);

  node = graph_new_node (self, ATL_OP_ATTENTION, 4,
                         (gint64[]){ q->dim[0], q->dim[1], q->dim[2], v->dim[3] });
  node->src[0] = q;
  node->src[1] = k;
  node->src[2] = v;
  node->src[3] = ranges;
  node->src[4] = bias;
  node->src[5] = sinks;
  node->p.scale = scale != 0.0f ? scale : 1.0f / sqrtf ((float) q->dim[3]);
  node->p.softcap = softcap;
  if (n_dims == 4)
    return node->dst;
  return atl_reshape (self, node->dst, 3, node->dst->dim + 1);
}

AtlTensor *
atl_binary (AtlGraph *self, AtlBinary op, AtlTensor *a, AtlTensor *b)
{
  gint64 dim[ATL_MAX_DIMS];
  guint n_dims;
  AtlNode *node;

  GRAPH_CHECK (self);
  n_dims = MAX (a->n_dims, b->n_dims);
  for (guint i = 0; i < n_dims; i++)
    {
      gint64 da = i < a->n_dims ? a->dim[a->n_dims - 1 - i] : 1;
      gint64 db = i < b->n_dims ? b->dim[b->n_dims - 1 - i] : 1;

      if (da != db && da != 1 && db != 1)
        {
          g_autofree char *other = atl_shape_to_string (a->n_dims, a->dim);
          graph_fail_shape (self, "binary", b, other);
          return &self->dummy;
        }
      dim[n_dims - 1 - i] = MAX (da, db);
    }
  node = graph_new_node (self, ATL_OP_BINARY, n_dims, dim);
  node->src[0] = a;
  node->src[1] = b;
  node->p.binary = op;
  return node->dst;
}

static AtlTensor *
unary (AtlGraph *self, AtlAct act, AtlTensor *x, float a, float b)
{
  AtlNode *node;

  GRAPH_CHECK (self);
  node = graph_new_node (self, ATL_OP_UNARY, x->n_dims, x->dim);
  node->src[0] = x;
  node->p.act = act;
  node->p.a = a;
  node->p.b = b;
  return node->dst;
}

AtlTensor *
atl_act (AtlGraph *self, AtlAct act, AtlTensor *x)
{
  return unary (self, act, x, 1.0f, 0.0f);
}

AtlTensor *
atl_affine (AtlGraph *self, AtlTensor *x, float a, float b)
{
  return unary (self, ATL_ACT_NONE, x, a, b);
}

AtlTensor *
atl_glu (AtlGraph *self, AtlTensor *x, AtlAct act, gboolean gate_second)
{
  gint64 dim[ATL_MAX_DIMS];
  AtlNode *node;

  GRAPH_CHECK (self);
  if (x->dim[x->n_dims - 1] % 2 != 0)
    {
      graph_fail_shape (self, "glu", x, _ ("an even width"));
      return &self->dummy;
    }
  x = graph_as_rows (self, x);
  GRAPH_CHECK (self);
  memcpy (dim, x->dim, sizeof dim);
  dim[x->n_dims - 1] /= 2;
  node = graph_new_node (self, ATL_OP_GLU, x->n_dims, dim);
  node->src[0] = x;
  node->p.act = act;
  node->p.gate_second = gate_second;
  return node->dst;
}

AtlTensor *
atl_concat (AtlGraph *self, guint axis, guint n, AtlTensor *const *parts)
{
  gint64 dim[ATL_MAX_DIMS];
  AtlNode *node;

  GRAPH_CHECK (self);
  g_assert (n >= 1 && n <= ATL_NODE_MAX_SRC && axis < parts[0]->n_dims);
  memcpy (dim, parts[0]->dim, sizeof dim);
  for (guint i = 1; i < n; i++)
    for (guint d = 0; d < parts[0]->n_dims; d++)
      {
        if (parts[i]->n_dims != parts[0]->n_dims || parts[i]->dtype != parts[0]->dtype ||
            (d != axis && parts[i]->dim[d] != dim[d]))
          {
            g_autofree char *other = atl_shape_to_string (parts[0]->n_dims, parts[0]->dim);
            graph_fail_shape (self, "concat", parts[i], other);
            return &self->dummy;
          }
        if (d == axis)
          dim[d] += parts[i]->dim[d];
      }
  node = graph_new_node (self, ATL_OP_CONCAT, parts[0]->n_dims, dim);
  node->dst->dtype = parts[0]->dtype;
  for (guint i = 0; i < n; i++)
    node->src[i] = parts[i];
  node->p.axis = axis;
  return node->dst;
}
