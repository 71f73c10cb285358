/* Products with weights: embeddings, linear layers, experts and their router. */
#define G_LOG_DOMAIN "atl-tensor"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tensor/graph-private.h"

AtlTensor *
atl_embed (AtlGraph *self, AtlTensor *w, AtlTensor *ids, float scale)
{
  gint64 dim[ATL_MAX_DIMS];
  AtlNode *node;

  GRAPH_CHECK (self);
  if (w->n_dims != 2 || ids->dtype != ATL_DTYPE_I32 || ids->n_dims >= ATL_MAX_DIMS)
    {
      graph_fail_shape (self, "embed", w, _ ("[n, dim] and whole-number indices"));
      return &self->dummy;
    }
  memcpy (dim, ids->dim, sizeof dim);
  dim[ids->n_dims] = w->dim[1];
  node = graph_new_node (self, ATL_OP_EMBED, ids->n_dims + 1, dim);
  node->src[0] = w;
  node->src[1] = ids;
  node->p.a = scale;
  return node->dst;
}

/* --- Inputs in another order --- */

AtlTensor *
atl_reorder (AtlGraph *self, AtlTensor *x, AtlTensor *order, AtlTensor *ids)
{
  gint64 dim[ATL_MAX_DIMS];
  gint64 n_in;
  AtlNode *node;

  GRAPH_CHECK (self);
  n_in = x->dim[x->n_dims - 1];
  if (order->n_dims != (ids != NULL ? 2 : 1) || order->dim[order->n_dims - 1] != n_in)
    {
      g_autofree char *expected = g_strdup_printf ("[%" G_GINT64_FORMAT "]", n_in);
      graph_fail_shape (self, "reorder", order, expected);
      return &self->dummy;
    }
  x = ids != NULL ? atl_contiguous (self, x) : graph_as_rows (self, x);
  GRAPH_CHECK (self);
  /* Most often the last thing that was done: queries, keys and values, gate and up. */
  for (guint i = self->nodes->len; i > 0; i--)
    {
      node = self->nodes->pdata[i - 1];
      if (node->op == ATL_OP_REORDER && node->src[0] == x &&
          node->src[1]->weight == order->weight && node->src[2] == ids)
        return node->dst;
      if (node->dst == x)
        break;
    }
  memcpy (dim, x->dim, sizeof dim);
  if (ids != NULL)
    {
      dim[1] = ids->dim[1];
      dim[2] = n_in;
    }
  node = graph_new_node (self, ATL_OP_REORDER, ids != NULL ? 3 : x->n_dims, dim);
  node->src[0] = x;
  node->src[1] = order;
  node->src[2] = ids;
  return node->dst;
}

static AtlWeight *
order_of (const AtlTensor *w)
{
  return w->weight != NULL ? w->weight->order : NULL;
}

static gboolean
share_an_order (AtlTensor *const *w, guint n)
{
  for (guint i = 1; i < n; i++)
    if (order_of (w[i]) != order_of (w[0]))
      return FALSE;
  return TRUE;
}

static AtlTensor *
in_order_of (AtlGraph *self, AtlTensor *x, const AtlTensor *w, AtlTensor *ids)
{
  return order_of (w) != NULL ? atl_reorder (self, x, atl_weight (self, order_of (w)), ids) : x;
}

/* --- Products --- */

static AtlTensor *
linear (AtlGraph *self,
        AtlTensor *x,
        guint n,
        AtlTensor *const *w,
        AtlTensor *const *bias,
        AtlTensor *residual,
        AtlAct act,
        gboolean gated,
        float a)
{
  gint64 dim[ATL_MAX_DIMS];
  gint64 n_in, total = 0;
  AtlNode *node;

  GRAPH_CHECK (self);
  n_in = x->dim[x->n_dims - 1];
  for (guint i = 0; i < n; i++)
    {
      if (w[i]->n_dims != 2 || w[i]->dim[1] != n_in)
        {
          g_autofree char *expected = g_strdup_printf ("[out, %" G_GINT64_FORMAT "]", n_in);
          graph_fail_shape (self, "linear", w[i], expected);
          return &self->dummy;
        }
      if (gated && w[i]->dim[0] != w[0]->dim[0])
        {
          graph_fail_shape (self, "linear", w[i], _ ("the same shape as the gate"));
          return &self->dummy;
        }
      if (bias != NULL && !graph_check_vector (self, "linear bias", bias[i], w[i]->dim[0]))
        return &self->dummy;
      total += w[i]->dim[0];
    }
  if (gated)
    total = w[0]->dim[0];
  memcpy (dim, x->dim, sizeof dim);
  dim[x->n_dims - 1] = total;
  if (residual != NULL && !graph_same_shape (residual, x->n_dims, dim))
    {
      g_autofree char *expected = atl_shape_to_string (x->n_dims, dim);
      graph_fail_shape (self, "linear residual", residual, expected);
      return &self->dummy;
    }
  x = graph_as_rows (self, in_order_of (self, x, w[0], NULL));
  if (residual != NULL)
    residual = graph_as_rows (self, residual);
  GRAPH_CHECK (self);

  node = graph_new_node (self, ATL_OP_LINEAR, x->n_dims, dim);
  node->src[ATL_LINEAR_X] = x;
  for (guint i = 0; i < n; i++)
    {
      node->src[ATL_LINEAR_W0 + i] = w[i];
      node->src[ATL_LINEAR_B0 + i] = bias != NULL ? bias[i] : NULL;
    }
  node->src[ATL_LINEAR_RESIDUAL] = residual;
  node->p.n_weights = n;
  node->p.act = act;
  node->p.gated = gated;
  node->p.a = a;
  return node->dst;
}

AtlTensor *
graph_plain_product (AtlGraph *self,
                     AtlTensor *x,
                     AtlTensor *w,
                     AtlTensor *bias,
                     AtlTensor *residual,
                     const AtlOpParams *p)
{
  if (p != NULL)
    return graph_plain_conv (self, x, w, bias, residual, p);
  return linear (self, x, 1, &w, &bias, residual, ATL_ACT_NONE, FALSE, 1.0f);
}

AtlTensor *
atl_linear (AtlGraph *self, AtlTensor *x, AtlTensor *w, AtlTensor *bias)
{
  return atl_linear_scaled_add (self, x, w, bias, 1.0f, NULL);
}

AtlTensor *
atl_linear_act (AtlGraph *self, AtlTensor *x, AtlTensor *w, AtlTensor *bias, AtlAct act)
{
  if (graph_has_deltas (w))
    return atl_act (self, act, atl_linear (self, x, w, bias));
  return linear (self, x, 1, &w, &bias, NULL, act, FALSE, 1.0f);
}

AtlTensor *
atl_linear_add (AtlGraph *self, AtlTensor *x, AtlTensor *w, AtlTensor *bias, AtlTensor *residual)
{
  return atl_linear_scaled_add (self, x, w, bias, 1.0f, residual);
}

AtlTensor *
atl_linear_scaled_add (
    AtlGraph *self, AtlTensor *x, AtlTensor *w, AtlTensor *bias, float a, AtlTensor *residual)
{
  AtlTensor *y;

  if (!graph_has_gains (w))
    return graph_add_deltas (self, x, w, a, NULL,
                             linear (self, x, 1, &w, &bias, residual, ATL_ACT_NONE, FALSE, a));
  y = graph_changed_product (self, x, w, bias, NULL, NULL);
  if (a != 1.0f)
    y = atl_affine (self, y, a, 0.0f);
  return residual != NULL ? atl_add (self, y, residual) : y;
}

void
atl_linear_multi (AtlGraph *self,
                  AtlTensor *x,
                  guint n,
                  AtlTensor *const *w,
                  AtlTensor *const *bias,
                  AtlTensor **out)
{
  AtlTensor *all;
  gint64 start = 0;
  gboolean has_gains = FALSE;

  g_assert (n >= 1 && n <= 3);
  for (guint i = 0; i < n; i++)
    has_gains = has_gains || graph_has_gains (w[i]);
  if (has_gains || !share_an_order (w, n))
    {
      for (guint i = 0; i < n; i++)
        out[i] = atl_linear (self, x, w[i], bias != NULL ? bias[i] : NULL);
      return;
    }
  all = linear (self, x, n, w, bias, NULL, ATL_ACT_NONE, FALSE, 1.0f);
  for (guint i = 0; i < n; i++)
    {
      if (self->error != NULL)
        {
          out[i] = &self->dummy;
          continue;
        }
      out[i] = atl_slice (self, all, all->n_dims - 1, start, w[i]->dim[0]);
      start += w[i]->dim[0];
      out[i] = graph_add_deltas (self, x, w[i], 1.0f, NULL, out[i]);
    }
}

AtlTensor *
atl_linear_gated (AtlGraph *self,
                  AtlTensor *x,
                  AtlTensor *w_gate,
                  AtlTensor *b_gate,
                  AtlTensor *w_up,
                  AtlTensor *b_up,
                  AtlAct act)
{
  AtlTensor *w[2] = { w_gate, w_up };
  AtlTensor *b[2] = { b_gate, b_up };

  if (graph_has_deltas (w_gate) || graph_has_deltas (w_up) || !share_an_order (w, 2))
    {
      AtlTensor *gate = atl_act (self, act, atl_linear (self, x, w_gate, b_gate));
      AtlTensor *up = atl_linear (self, x, w_up, b_up);

      if (atl_act_of_factor (act) != ATL_ACT_NONE)
        up = atl_act (self, atl_act_of_factor (act), up);
      return atl_mul (self, gate, up);
    }
  return linear (self, x, 2, w, b, NULL, act, TRUE, 1.0f);
}

void
atl_route (AtlGraph *self,
           AtlTensor *logits,
           AtlTensor *bias,
           gint64 k,
           const AtlOpParams *p,
           AtlTensor **weights,
           AtlTensor **ids)
{
  gint64 dim[ATL_MAX_DIMS];
  gint64 n_experts;
  AtlNode *node;

  *weights = *ids = &self->dummy;
  if (self->error != NULL)
    return;
  n_experts = logits->dim[logits->n_dims - 1];
  if (logits->n_dims != 2 || k < 1 || k > n_experts ||
      (p->n_groups > 0 &&
       (n_experts % p->n_groups != 0 || p->n_groups_used < 1 || p->n_groups_used > p->n_groups ||
        n_experts / p->n_groups * p->n_groups_used < k)))
    {
      graph_fail_shape (self, "route", logits,
                        _ ("[tokens, experts] with room for the chosen ones"));
      return;
    }
  if (!graph_check_vector (self, "route bias", bias, n_experts))
    return;
  logits = graph_as_rows (self, logits);
  memcpy (dim, logits->dim, sizeof dim);
  dim[1] = k;
  node = graph_new_node (self, ATL_OP_ROUTE, 2, dim);
  node->src[0] = logits;
  node->src[1] = bias;
  node->dst2 = graph_new_tensor (self, ATL_TENSOR_VALUE, ATL_DTYPE_I32, 2, dim);
  node->dst2->producer = node;
  node->p = *p;
  if (node->p.scale == 0.0f)
    node->p.scale = 1.0f;
  *weights = node->dst;
  *ids = node->dst2;
}

static AtlTensor *
expert_linear (AtlGraph *self,
               AtlTensor *x,
               guint n,
               AtlTensor *const *w,
               AtlTensor *const *bias,
               AtlAct act,
               AtlTensor *ids)
{
  AtlNode *node;
  gint64 n_in, k;

  GRAPH_CHECK (self);
  n_in = x->dim[x->n_dims - 1];
  if (ids->n_dims != 2 || ids->dtype != ATL_DTYPE_I32 || (x->n_dims != 2 && x->n_dims != 3) ||
      x->dim[0] != ids->dim[0] || (x->n_dims == 3 && x->dim[1] != ids->dim[1]))
    {
      graph_fail_shape (self, "expert-linear", x, _ ("[tokens, dim] or [tokens, chosen, dim]"));
      return &self->dummy;
    }
  for (guint i = 0; i < n; i++)
    {
      if (w[i]->n_dims != 3 || w[i]->dim[2] != n_in || w[i]->dim[0] != w[0]->dim[0] ||
          w[i]->dim[1] != w[0]->dim[1])
        {
          g_autofree char *expected =
              g_strdup_printf ("[experts, out, %" G_GINT64_FORMAT "]", n_in);
          graph_fail_shape (self, "expert-linear", w[i], expected);
          return &self->dummy;
        }
      if (!graph_check_vector (self, "expert-linear bias", bias[i], w[i]->dim[0] * w[i]->dim[1]))
        return &self->dummy;
    }
  k = ids->dim[1];
  ids = atl_contiguous (self, ids);
  x = atl_contiguous (self, in_order_of (self, x, w[0], ids));
  GRAPH_CHECK (self);
  node = graph_new_node (self, ATL_OP_EXPERT_LINEAR, 3, (gint64[]){ x->dim[0], k, w[0]->dim[1] });
  node->src[ATL_EXPERT_X] = x;
  for (guint i = 0; i < n; i++)
    {
      node->src[ATL_EXPERT_W0 + i] = w[i];
      node->src[ATL_EXPERT_B0 + i] = bias[i];
    }
  node->src[ATL_EXPERT_IDS] = ids;
  node->p.n_weights = n;
  node->p.gated = n == 2;
  node->p.act = act;
  node->p.a = 1.0f;
  return node->dst;
}

AtlTensor *
atl_expert_linear (AtlGraph *self, AtlTensor *x, AtlTensor *w, AtlTensor *bias, AtlTensor *ids)
{
  return expert_linear (self, x, 1, &w, &bias, ATL_ACT_NONE, ids);
}

AtlTensor *
atl_expert_gated (AtlGraph *self,
                  AtlTensor *x,
                  AtlTensor *w_gate,
                  AtlTensor *b_gate,
                  AtlTensor *w_up,
                  AtlTensor *b_up,
                  AtlAct act,
                  AtlTensor *ids)
{
  AtlTensor *w[2] = { w_gate, w_up };
  AtlTensor *b[2] = { b_gate, b_up };

  if (!share_an_order (w, 2))
    {
      AtlTensor *gate = atl_act (self, act, atl_expert_linear (self, x, w_gate, b_gate, ids));
      AtlTensor *up = atl_expert_linear (self, x, w_up, b_up, ids);

      if (atl_act_of_factor (act) != ATL_ACT_NONE)
        up = atl_act (self, atl_act_of_factor (act), up);
      return atl_mul (self, gate, up);
    }
  return expert_linear (self, x, 2, w, b, act, ids);
}

AtlTensor *
atl_expert_sum (AtlGraph *self, AtlTensor *x, AtlTensor *weights, AtlTensor *residual)
{
  AtlNode *node;
  gint64 dim[2];

  GRAPH_CHECK (self);
  if (x->n_dims != 3 || !graph_same_shape (weights, 2, x->dim))
    {
      graph_fail_shape (self, "expert-sum", x, _ ("[tokens, chosen, dim] and [tokens, chosen]"));
      return &self->dummy;
    }
  dim[0] = x->dim[0];
  dim[1] = x->dim[2];
  if (residual != NULL && !graph_same_shape (residual, 2, dim))
    {
      graph_fail_shape (self, "expert-sum", residual, _ ("[tokens, dim]"));
      return &self->dummy;
    }
  x = atl_contiguous (self, x);
  weights = atl_contiguous (self, weights);
  if (residual != NULL)
    residual = graph_as_rows (self, residual);
  GRAPH_CHECK (self);
  node = graph_new_node (self, ATL_OP_EXPERT_SUM, 2, dim);
  node->src[0] = x;
  node->src[1] = weights;
  node->src[2] = residual;
  return node->dst;
}
