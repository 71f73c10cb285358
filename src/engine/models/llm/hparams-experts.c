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

  e->has_choice_bias = t->choice_bias;
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
  if (e->n_groups <= 1)
    {
      atl_llm_key_uint (k, "expert_group_used_count", 0, e->n, FALSE, &e->n_groups_used);
      e->n_groups = 0;
      return;
    }
  atl_llm_key_uint (k, "expert_group_used_count", 1, e->n_groups, FALSE, &e->n_groups_used);
  if (e->n % e->n_groups != 0)
    atl_llm_key_unfit (k, ATL_LLM_DIVISOR, "expert_group_count", e->n_groups, "expert_count", e->n);
  else if (e->n / e->n_groups * e->n_groups_used < e->n_used)
    atl_llm_key_unfit (k, ATL_LLM_AT_MOST, "expert_used_count", e->n_used,
                       "expert_group_used_count", e->n / e->n_groups * e->n_groups_used);
  /* DeepSeek V2, before there was a bias: group_limited_greedy of its authors' code. */
  e->group_by_best = e->kind == ATL_ROUTE_SOFTMAX && !e->has_choice_bias;
}

/* Without other experts the shared one is the feed-forward (Granite 4's dense models). */
static void
read_lone_shared (AtlLlmHparams *h, AtlLlmKeys *k)
{
  guint n_ff = 0;

  if (!atl_llm_key_uint (k, "expert_shared_feed_forward_length", 0, 1 << 20, FALSE, &n_ff) ||
      n_ff == 0)
    return;
  h->n_ff = n_ff;
  for (guint il = 0; il < h->n_layer; il++)
    if (h->layers[il].n_ff > 0)
      h->layers[il].n_ff = n_ff;
}

void
hparams_read_experts (AtlLlmHparams *h, AtlLlmKeys *k)
{
  AtlLlmExperts *e = &h->experts;
  guint n_dense = 0, step = 1, n_shared = h->traits->n_shared_experts;

  atl_llm_key_uint (k, "expert_count", 0, 4096, FALSE, &e->n);
  if (k->error == NULL && e->n == 0)
    read_lone_shared (h, k);
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
        atl_llm_key_unfit (k, ATL_LLM_AT_MOST, "expert_shared_count", n_shared,
                           "expert_feed_forward_length", (1 << 20) / e->n_ff);
      else
        e->n_ff_shared = n_shared * e->n_ff;
    }
  atl_llm_key_uint (k, "leading_dense_block_count", 0, h->n_layer, FALSE, &n_dense);
  atl_llm_key_uint (k, "interleave_moe_layer_step", 1, 1024, FALSE, &step);
  if (h->traits->lone_sublayers)
    atl_llm_key_uint (k, "moe_latent_size", 0, 1 << 20, FALSE, &e->n_latent);
  if (k->error == NULL && e->n_ff == 0)
    atl_llm_key_fail (k, _ ("the key “%s.expert_feed_forward_length” is missing"), k->prefix);
  if (k->error != NULL)
    return;
  for (guint il = n_dense; il < h->n_layer; il++)
    h->layers[il].has_experts =
        (il + 1) % step == 0 && (!h->traits->lone_sublayers || h->layers[il].n_ff > 0);
  read_router (h, k);
}
