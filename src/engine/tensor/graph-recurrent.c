/* The ops that carry a state from token to token: causal convolution, selective scan, delta rule.
 */
#define G_LOG_DOMAIN "atl-tensor"

#include "engine/tensor/graph-private.h"

#include <glib/gi18n.h>
#include <math.h>

/* [T, heads, dim] with only the token stride free. */
static AtlTensor *
as_heads (AtlGraph *self, const char *op, AtlTensor *t)
{
  GRAPH_CHECK (self);
  if (t->n_dims != 3 || t->dtype != ATL_DTYPE_F32)
    {
      graph_fail_shape (self, op, t, _ ("[tokens, heads, dim]"));
      return &self->dummy;
    }
  if ((t->dim[2] > 1 && t->stride[2] != 1) || (t->dim[1] > 1 && t->stride[1] != t->dim[2]))
    t = atl_contiguous (self, t);
  return t;
}

/* One number per token and head. */
static AtlTensor *
as_scalars (AtlGraph *self, const char *op, AtlTensor *t, gint64 n_tokens, gint64 n_heads)
{
  GRAPH_CHECK (self);
  if (!graph_same_shape (t, 2, (gint64[]){ n_tokens, n_heads }))
    {
      graph_fail_shape (self, op, t, _ ("one number per token and head"));
      return &self->dummy;
    }
  return graph_as_rows (self, t);
}

static gboolean
check_state (AtlGraph *self,
             const char *op,
             const AtlTensor *state,
             AtlTensor **slots,
             guint n_dims,
             const gint64 *dim)
{
  gboolean fits = state->kind == ATL_TENSOR_STATE && state->dtype == ATL_DTYPE_F32 &&
                  state->n_dims == n_dims + 1;

  if (self->error != NULL)
    return FALSE;
  for (guint i = 0; fits && i < n_dims; i++)
    fits = state->dim[i + 1] == dim[i];
  if (!fits)
    {
      g_autofree char *expected = atl_shape_to_string (n_dims, dim);
      graph_fail_shape (self, op, state, expected);
      return FALSE;
    }
  if ((*slots)->dtype != ATL_DTYPE_I32 || atl_tensor_n_elems (*slots) != 2)
    {
      graph_fail_shape (self, op, *slots, _ ("the slot to read and the slot to write"));
      return FALSE;
    }
  *slots = atl_contiguous (self, *slots);
  return self->error == NULL;
}

AtlTensor *
atl_causal_conv (AtlGraph *self,
                 AtlTensor *x,
                 AtlTensor *w,
                 AtlTensor *bias,
                 AtlAct act,
                 AtlTensor *state,
                 AtlTensor *slots)
{
  gint64 n_channels;
  AtlNode *node;

  GRAPH_CHECK (self);
  if (x->n_dims != 2)
    {
      graph_fail_shape (self, "causal-conv", x, _ ("[tokens, channels]"));
      return &self->dummy;
    }
  n_channels = x->dim[1];
  if (w->n_dims != 2 || w->dim[0] != n_channels || w->dim[1] < 2)
    {
      graph_fail_shape (self, "causal-conv", w, _ ("[channels, at least 2]"));
      return &self->dummy;
    }
  x = graph_as_rows (self, x);
  if (!graph_check_vector (self, "causal-conv", bias, n_channels) ||
      !check_state (self, "causal-conv", state, &slots, 2, (gint64[]){ w->dim[1] - 1, n_channels }))
    return &self->dummy;
  node = graph_new_node (self, ATL_OP_CAUSAL_CONV, 2, x->dim);
  node->src[ATL_CAUSAL_CONV_X] = x;
  node->src[ATL_CAUSAL_CONV_W] = w;
  node->src[ATL_CAUSAL_CONV_BIAS] = bias;
  node->src[ATL_CAUSAL_CONV_STATE] = state;
  node->src[ATL_CAUSAL_CONV_SLOTS] = slots;
  node->p.act = act;
  return node->dst;
}

AtlTensor *
atl_ssm_scan (AtlGraph *self,
              AtlTensor *x,
              AtlTensor *b,
              AtlTensor *c,
              AtlTensor *dt,
              AtlTensor *dt_bias,
              AtlTensor *a,
              AtlTensor *d,
              AtlTensor *state,
              AtlTensor *slots)
{
  static const char op[] = "ssm-scan";
  gint64 n_heads;
  AtlNode *node;

  x = as_heads (self, op, x);
  b = as_heads (self, op, b);
  c = as_heads (self, op, c);
  GRAPH_CHECK (self);
  n_heads = x->dim[1];
  if (b->dim[0] != x->dim[0] || n_heads % b->dim[1] != 0 || !graph_same_shape (c, 3, b->dim))
    {
      graph_fail_shape (self, op, b, _ ("groups that fit the heads"));
      return &self->dummy;
    }
  dt = as_scalars (self, op, dt, x->dim[0], n_heads);
  if (!graph_check_vector (self, op, dt_bias, n_heads) ||
      !graph_check_vector (self, op, a, n_heads) || !graph_check_vector (self, op, d, n_heads) ||
      !check_state (self, op, state, &slots, 3, (gint64[]){ n_heads, b->dim[2], x->dim[2] }))
    return &self->dummy;
  node = graph_new_node (self, ATL_OP_SSM_SCAN, 3, x->dim);
  node->src[ATL_SSM_X] = x;
  node->src[ATL_SSM_B] = b;
  node->src[ATL_SSM_C] = c;
  node->src[ATL_SSM_DT] = dt;
  node->src[ATL_SSM_DT_BIAS] = dt_bias;
  node->src[ATL_SSM_A] = a;
  node->src[ATL_SSM_D] = d;
  node->src[ATL_SSM_STATE] = state;
  node->src[ATL_SSM_SLOTS] = slots;
  return node->dst;
}

AtlTensor *
atl_delta_rule (AtlGraph *self,
                AtlTensor *q,
                AtlTensor *k,
                AtlTensor *v,
                AtlTensor *alpha,
                AtlTensor *beta,
                AtlTensor *a,
                AtlTensor *dt_bias,
                gboolean tiled,
                float eps,
                float scale,
                AtlTensor *state,
                AtlTensor *slots)
{
  static const char op[] = "delta-rule";
  gint64 n_heads;
  AtlNode *node;

  q = as_heads (self, op, q);
  k = as_heads (self, op, k);
  v = as_heads (self, op, v);
  GRAPH_CHECK (self);
  n_heads = v->dim[1];
  if (k->dim[0] != v->dim[0] || n_heads % k->dim[1] != 0 || !graph_same_shape (q, 3, k->dim))
    {
      graph_fail_shape (self, op, k, _ ("queries and keys that fit the values"));
      return &self->dummy;
    }
  alpha = as_scalars (self, op, alpha, v->dim[0], n_heads);
  beta = as_scalars (self, op, beta, v->dim[0], n_heads);
  if (!graph_check_vector (self, op, a, n_heads) ||
      !graph_check_vector (self, op, dt_bias, n_heads) ||
      !check_state (self, op, state, &slots, 3, (gint64[]){ n_heads, k->dim[2], v->dim[2] }))
    return &self->dummy;
  node = graph_new_node (self, ATL_OP_DELTA_RULE, 3, v->dim);
  node->src[ATL_DELTA_Q] = q;
  node->src[ATL_DELTA_K] = k;
  node->src[ATL_DELTA_V] = v;
  node->src[ATL_DELTA_ALPHA] = alpha;
  node->src[ATL_DELTA_BETA] = beta;
  node->src[ATL_DELTA_A] = a;
  node->src[ATL_DELTA_DT_BIAS] = dt_bias;
  node->src[ATL_DELTA_STATE] = state;
  node->src[ATL_DELTA_SLOTS] = slots;
  node->p.tiled = tiled;
  node->p.eps = eps;
  node->p.scale = scale != 0.0f ? scale : 1.0f / sqrtf ((float) k->dim[2]);
  return node->dst;
}
