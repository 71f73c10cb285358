/* The decoder's feed-forward: one gated network, or routed experts beside shared ones. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-pass.h"

#include <math.h>

/* The choice of experts for the rows of x, which is not normed yet where the router has a scale:
 * weights and ids [T, n_used]. */
static void
route (DecoderPass *p, const AtlDecoderLayer *l, AtlTensor *x, AtlTensor **weights, AtlTensor **ids)
{
  const AtlLlmExperts *e = &p->h->experts;
  AtlGraph *g = p->g;
  float scale = 1.0f;
  AtlOpParams route = { .route = e->kind,
                        .renorm = e->renorm,
                        .scale = e->scale,
                        .n_groups = e->n_groups,
                        .n_groups_used = e->n_groups_used,
                        .group_by_best = e->group_by_best };

  if (l->router_scale != NULL)
    {
      x = decoder_norm (p, x, l->router_scale, NULL);
      scale = 1.0f / sqrtf ((float) p->h->n_embd);
    }
  x = atl_linear_scaled_add (g, x, atl_weight (g, l->router), atl_weight (g, l->router_b), scale,
                             NULL);
  atl_route (g, x, atl_weight (g, l->choice_b), e->n_used, &route, weights, ids);
  if (l->expert_scale != NULL)
    {
      AtlTensor *own = atl_embed (g, atl_weight (g, l->expert_scale), *ids, 1.0f);

      *weights = atl_mul (g, *weights, atl_reshape_to (g, own, x->dim[0], e->n_used));
    }
}

/* sum_k weights_k * expert_k (x) + residual, or sum_k expert_k (weights_k * x) + residual. */
static AtlTensor *
routed (DecoderPass *p,
        const AtlDecoderLayer *l,
        AtlTensor *x,
        AtlTensor *router_x,
        AtlTensor *residual)
{
  const AtlLlmHparams *h = p->h;
  AtlGraph *g = p->g;
  AtlTensor *weights, *ids, *y;

  route (p, l, router_x, &weights, &ids);
  if (l->latent_down != NULL)
    x = atl_linear (g, x, atl_weight (g, l->latent_down), NULL);
  if (h->traits->experts_scale_input)
    {
      x = atl_mul (g, atl_reshape_to (g, x, x->dim[0], 1, h->n_embd),
                   atl_reshape_to (g, weights, weights->dim[0], h->experts.n_used, 1));
      weights = atl_affine (g, weights, 0.0f, 1.0f);
    }
  if (l->gate_up_exps != NULL)
    y = atl_glu (g, atl_expert_linear (g, x, atl_weight (g, l->gate_up_exps), NULL, ids),
                 h->traits->act, FALSE);
  else if (l->gate_exps == NULL)
    y = atl_act (
        g, h->traits->act,
        atl_expert_linear (g, x, atl_weight (g, l->up_exps), atl_weight (g, l->up_exps_b), ids));
  else
    y = atl_expert_gated (g, x, atl_weight (g, l->gate_exps), atl_weight (g, l->gate_exps_b),
                          atl_weight (g, l->up_exps), atl_weight (g, l->up_exps_b), h->traits->act,
                          ids);
  y = atl_expert_linear (g, y, atl_weight (g, l->down_exps), atl_weight (g, l->down_exps_b), ids);
  if (l->latent_up == NULL)
    return atl_expert_sum (g, y, weights, residual);
  y = atl_expert_sum (g, y, weights, NULL);
  return atl_linear_scaled_add (g, y, atl_weight (g, l->latent_up), NULL, 1.0f, residual);
}

AtlTensor *
decoder_experts (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual)
{
  const AtlDecoderLayer *l = &p->m->layers[il];
  AtlGraph *g = p->g;
  AtlTensor *y = routed (p, l, x, x, residual), *s;

  if (l->up_shared == NULL)
    return y;
  s = l->gate_shared != NULL
          ? atl_linear_gated (g, x, atl_weight (g, l->gate_shared), NULL,
                              atl_weight (g, l->up_shared), NULL, p->h->traits->act)
          : atl_linear_act (g, x, atl_weight (g, l->up_shared), NULL, p->h->traits->act);
  if (l->shared_router == NULL)
    return atl_linear_add (g, s, atl_weight (g, l->down_shared), NULL, y);
  s = atl_linear (g, s, atl_weight (g, l->down_shared), NULL);
  s = atl_mul (g, s,
               atl_linear_act (g, x, atl_weight (g, l->shared_router), NULL, ATL_ACT_SIGMOID));
  return atl_add (g, y, s);
}

AtlTensor *
decoder_dense (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual)
{
  const AtlLlmTraits *t = p->h->traits;
  const AtlDecoderLayer *l = &p->m->layers[il];
  AtlGraph *g = p->g;
  AtlTensor *y;

  y = l->gate != NULL
          ? atl_linear_gated (g, x, atl_weight (g, l->gate), atl_weight (g, l->gate_b),
                              atl_weight (g, l->up), atl_weight (g, l->up_b), t->act)
          : atl_linear_act (g, x, atl_weight (g, l->up), atl_weight (g, l->up_b), t->act);
  return atl_linear_scaled_add (g, y, atl_weight (g, l->down), atl_weight (g, l->down_b),
                                residual != NULL ? p->h->residual_scale : 1.0f, residual);
}

AtlTensor *
decoder_dense_beside_experts (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual)
{
  const AtlDecoderLayer *l = &p->m->layers[il];
  AtlTensor *dense = decoder_norm (p, decoder_dense (p, il, x, NULL), l->dense_post_norm, NULL);
  AtlTensor *y = decoder_norm (p, residual, l->experts_norm, NULL);

  y = routed (p, l, y, residual, NULL);
  return atl_add (p->g, dense, decoder_norm (p, y, l->experts_post_norm, NULL));
}

AtlTensor *
decoder_feed_forward (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual)
{
  const AtlLlmHparams *h = p->h;

  if (!h->layers[il].has_experts)
    return decoder_dense (p, il, x, residual);
  if (residual == NULL || h->residual_scale == 1.0f)
    return decoder_experts (p, il, x, residual);
  x = decoder_experts (p, il, x, NULL);
  return atl_add (p->g, residual, atl_affine (p->g, x, h->residual_scale, 0.0f));
}
