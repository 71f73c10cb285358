/* Residual blocks of two convolutions. */
#include "engine/models/blocks/resnet.h"

void
atl_resnet_init (
    AtlResnet *self, AtlSource *source, gint64 in, gint64 out, gint64 temb_dim, const char *prefix)
{
  *self = (AtlResnet){ 0 };
  self->norm1 = atl_source_norm (source, in, FALSE, "%s.norm1", prefix);
  self->conv1 = atl_source_conv (source, out, in, 0, 3, "%s.conv1", prefix);
  if (temb_dim > 0)
    self->temb = atl_source_linear (source, out, temb_dim, "%s.time_emb_proj", prefix);
  self->norm2 = atl_source_norm (source, out, FALSE, "%s.norm2", prefix);
  self->conv2 = atl_source_conv (source, out, out, 0, 3, "%s.conv2", prefix);
  if (in != out)
    self->shortcut = atl_source_linear (source, out, in, "%s.conv_shortcut", prefix);
}

AtlTensor *
atl_apply_act (AtlGraph *g, AtlTensor *x, const AtlAffine *a, AtlAct act)
{
  AtlTensor *w = atl_weight (g, a->w), *b = atl_weight (g, a->b), *y;

  if (a->smooth == NULL)
    return atl_linear_act (g, x, w, b, act);
  y = atl_linear (g, atl_mul (g, x, atl_weight (g, a->smooth)), w, b);
  if (a->down != NULL)
    y = atl_add (g, y,
                 atl_linear (g, atl_linear (g, x, atl_weight (g, a->down), NULL),
                             atl_weight (g, a->up), NULL));
  if (a->whole != NULL)
    y = atl_linear_deltas (g, x, a->whole, y);
  return act != ATL_ACT_NONE ? atl_act (g, act, y) : y;
}

AtlTensor *
atl_apply (AtlGraph *g, AtlTensor *x, const AtlAffine *a)
{
  return atl_apply_act (g, x, a, ATL_ACT_NONE);
}

void
atl_apply_multi (AtlGraph *g, AtlTensor *x, guint n, const AtlAffine *a, AtlTensor **y)
{
  AtlTensor *w[ATL_APPLY_MAX], *b[ATL_APPLY_MAX];
  gboolean is_whole = TRUE;

  g_assert (n <= ATL_APPLY_MAX);
  for (guint i = 0; i < n; i++)
    is_whole = is_whole && a[i].smooth == NULL;
  for (guint i = 0; i < n; i++)
    if (is_whole)
      {
        w[i] = atl_weight (g, a[i].w);
        b[i] = atl_weight (g, a[i].b);
      }
    else
      y[i] = atl_apply (g, x, &a[i]);
  if (is_whole)
    atl_linear_multi (g, x, n, w, b, y);
}

AtlTensor *
atl_apply_gated (AtlGraph *g, AtlTensor *x, const AtlAffine *gate, const AtlAffine *up, AtlAct act)
{
  if (gate->smooth == NULL && up->smooth == NULL)
    return atl_linear_gated (g, x, atl_weight (g, gate->w), atl_weight (g, gate->b),
                             atl_weight (g, up->w), atl_weight (g, up->b), act);
  return atl_mul (g, atl_apply_act (g, x, gate, act), atl_apply (g, x, up));
}

static AtlTensor *
norm (AtlGraph *g, AtlTensor *x, const AtlAffine *a, gint64 groups, float eps)
{
  return atl_group_norm (g, x, atl_weight (g, a->w), atl_weight (g, a->b), groups, eps,
                         ATL_ACT_SILU);
}

AtlTensor *
atl_resnet (
    AtlGraph *g, const AtlResnet *self, AtlTensor *x, AtlTensor *temb, gint64 groups, float eps)
{
  AtlOpParams same = { .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 } };
  AtlTensor *skip = self->shortcut.w != NULL ? atl_apply (g, x, &self->shortcut) : x;
  AtlTensor *h = norm (g, x, &self->norm1, groups, eps);

  h = atl_conv (g, h, atl_weight (g, self->conv1.w), atl_weight (g, self->conv1.b), NULL, &same);
  if (temb != NULL && self->temb.w != NULL)
    {
      AtlTensor *t = atl_apply (g, temb, &self->temb);
      h = atl_add (g, h, atl_reshape_to (g, t, t->dim[0], 1, 1, t->dim[1]));
    }
  h = norm (g, h, &self->norm2, groups, eps);
  return atl_conv (g, h, atl_weight (g, self->conv2.w), atl_weight (g, self->conv2.b), skip, &same);
}

AtlTensor *
atl_conv3 (
    AtlGraph *g, AtlTensor *x, const AtlAffine *a, gint64 stride, AtlTensor *residual, AtlAct act)
{
  AtlOpParams p = {
    .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 }, .stride = { 1, stride, stride }, .act = act
  };

  return atl_conv (g, x, atl_weight (g, a->w), atl_weight (g, a->b), residual, &p);
}
