/* Hyperparameters of experts: how many, where, and how tokens are sent to them. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/hparams-private.h"

#include <glib/gi18n.h>

/* The router's formula is in the file, or follows from the family. */
static void
read_router (AtlLlmHparams *h, AtlLlmKeys *k)
{
  const AtlLlmTraits *t = h->traits;
  AtlLlmExperts *e = &h->experts;
  guint func = 0;
  double scale = 1.0;

  for (guint il = 0; il < h->n_layer && !e->has_choice_bias; il++)
    {
      g_autofree char *name = g_strdup_printf ("blk.%u.exp_probs_b.bias", il);

      e->has_choice_bias = atl_checkpoint_find (k->cp, name) != NULL;
    }
  e->kind = t->route_by_bias && e->has_choice_bias ? ATL_ROUTE_SIGMOID : t->route;
  atl_llm_key_uint (k, "expert_gating_func", 0, 3, FALSE, &func);
  if (func > 0)
    e->kind = func == 1   ? ATL_ROUTE_SOFTMAX
              : func == 2 ? ATL_ROUTE_SIGMOID
                          : ATL_ROUTE_SOFTMAX_AFTER;
  e->renorm = t->route_renorm;
  atl_llm_key_bool (k, "expert_weights_norm", &e->renorm);
  atl_llm_key_float (k, "expert_weights_scale", 0.0, 1e6, &scale);
  e->scale = scale > 0.0 ? (float) scale : 1.0f;

  atl_llm_key_uint (k, "expert_group_count", 0, e->n, FALSE, &e->n_groups);
  e->n_groups_used = e->n_groups;
  atl_llm_key_uint (k, "expert_group_used_count", 0, e->n, FALSE, &e->n_groups_used);
  if (e->n_groups <= 1)
    {
      e->n_groups = 0;
      return;
    }
  if (e->n_groups_used < 1 || e->n_groups_used > e->n_groups)
    atl_llm_key_fail (k, _ ("%u groups of %u are to be used"), e->n_groups_used, e->n_groups);
  else if (e->n % e->n_groups != 0)
    atl_llm_key_fail (k, _ ("%u experts cannot form %u groups"), e->n, e->n_groups);
  else if (e->n / e->n_groups * e->n_groups_used < e->n_used)
    atl_llm_key_fail (k, _ ("%u groups of %u experts do not have the %u that a token is sent to"),
                      e->n_groups_used, e->n / e->n_groups, e->n_used);
  /* DeepSeek V2, before there was a bias: group_limited_greedy of its authors' code. */
  e->group_by_best = e->kind == ATL_ROUTE_SOFTMAX && !e->has_choice_bias;
}

void
hparams_read_experts (AtlLlmHparams *h, AtlLlmKeys *k)
{
  AtlLlmExperts *e = &h->experts;
  guint n_dense = 0, step = 1, n_shared = h->traits->n_shared_experts;

  atl_llm_key_uint (k, "expert_count", 0, 4096, FALSE, &e->n);
  if (k->error != NULL || e->n == 0)
    return;
  atl_llm_key_uint (k, "expert_used_count", 1, e->n, TRUE, &e->n_used);
  e->n_ff = h->n_ff;
  atl_llm_key_uint (k, "expert_feed_forward_length", 1, 1 << 20, FALSE, &e->n_ff);
  atl_llm_key_uint (k, "expert_shared_count", 0, 4096, FALSE, &n_shared);
  if (!atl_llm_key_uint (k, "expert_shared_feed_forward_length", 0, 1 << 20, FALSE,
                         &e->n_ff_shared) &&
      k->error == NULL)
    {
      if ((guint64) n_shared * e->n_ff > (1 << 20))
        atl_llm_key_fail (k, _ ("%u shared experts of width %u are too many"), n_shared, e->n_ff);
      else
        e->n_ff_shared = n_shared * e->n_ff;
    }
  atl_llm_key_uint (k, "leading_dense_block_count", 0, h->n_layer, FALSE, &n_dense);
  atl_llm_key_uint (k, "interleave_moe_layer_step", 1, 1024, FALSE, &step);
  if (h->traits->lone_sublayers)
    atl_llm_key_uint (k, "moe_latent_size", 0, 1 << 20, FALSE, &e->n_latent);
  if (k->error == NULL && e->n_ff == 0)
    atl_llm_key_fail (k, _ ("the size of the experts is missing"));
  if (k->error != NULL)
    return;
  for (guint il = n_dense; il < h->n_layer; il++)
    h->layers[il].has_experts =
        (il + 1) % step == 0 && (!h->traits->lone_sublayers || h->layers[il].n_ff > 0);
  read_router (h, k);
}
