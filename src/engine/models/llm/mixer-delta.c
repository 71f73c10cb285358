/* The gated delta net (Yang et al. 2024) of Qwen3-Next and Qwen 3.5; K key heads, V value heads, d
 * numbers each:
 *
 *   [q | k | v] = attn_qkv n                       Kd, Kd, Vd
 *   [q | k | v] = silu (conv [q | k | v])          causal, depthwise, no bias
 *   z = attn_gate n                                Vd
 *   b, a = ssm_beta n, ssm_alpha n                 V each; or ssm_ba n: for each key head its
 *                                                  V / K numbers b, then its V / K numbers a
 *   o = delta rule (q, k, v, a, b)                 ops.h, ATL_OP_DELTA_RULE
 *   y = rms (o per head; ssm_norm) * silu (z)
 *   ssm_out y
 *
 * State: the last inputs of the convolution, and S [d, d] a value head. ssm_a is -exp (A_log). */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-pass.h"
#include "engine/models/llm/decoder-weights.h"

/* Under the root of the norm of queries and keys: so in the authors' code. */
#define KEY_EPS 1e-6f

void
decoder_add_delta (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  const AtlLlmSsm *m = &h->ssm;
  gint64 D = h->n_embd, V = m->n_heads, n_inner = V * m->n;

  l->mix_in = decoder_matrix (ws, il, m->n_channels, D, "attn_qkv");
  l->mix_gate = decoder_matrix (ws, il, n_inner, D, "attn_gate");
  if (h->traits->fused_rates)
    l->mix_rates = decoder_matrix (ws, il, 2 * V, D, "ssm_ba");
  else
    {
      l->mix_beta = decoder_matrix (ws, il, V, D, "ssm_beta");
      l->mix_alpha = decoder_matrix (ws, il, V, D, "ssm_alpha");
    }
  l->mix_conv = atl_weights_add (ws, ATL_USE_VECTOR, il, DIM (m->n_channels, m->n_taps),
                                 "blk.%u.ssm_conv1d.weight", il);
  l->mix_dt_b = decoder_vector (h, ws, il, V, TRUE, "ssm_dt.bias");
  l->mix_a = decoder_vector (h, ws, il, V, TRUE, "ssm_a");
  l->mix_norm = decoder_vector (h, ws, il, m->n, TRUE, "ssm_norm.weight");
  l->mix_out = decoder_matrix (ws, il, D, n_inner, "ssm_out");
}

/* b and a [T, V] of the normed x. */
static void
rates (DecoderPass *p, const AtlDecoderLayer *l, AtlTensor *x, AtlTensor **b, AtlTensor **a)
{
  gint64 V = p->h->ssm.n_heads, K = p->h->ssm.n_groups;
  AtlGraph *g = p->g;
  AtlTensor *both[2];

  if (l->mix_rates != NULL)
    {
      AtlTensor *ba = atl_linear (g, x, atl_weight (g, l->mix_rates), NULL);

      ba = atl_reshape_to (g, ba, p->T, K, 2, V / K);
      *b = atl_reshape_to (g, atl_slice (g, ba, 2, 0, 1), p->T, V);
      *a = atl_reshape_to (g, atl_slice (g, ba, 2, 1, 1), p->T, V);
      return;
    }
  atl_linear_multi (g, x, 2,
                    (AtlTensor *[]){ atl_weight (g, l->mix_beta), atl_weight (g, l->mix_alpha) },
                    (AtlTensor *[]){ NULL, NULL }, both);
  *b = both[0];
  *a = both[1];
}

AtlTensor *
decoder_delta (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual)
{
  const AtlDecoderLayer *l = &p->m->layers[il];
  const AtlLlmSsm *m = &p->h->ssm;
  AtlTensor **parts = g_newa0 (AtlTensor *, p->n_segments);
  gint64 V = m->n_heads, K = m->n_groups, d = m->n, start = 0;
  AtlGraph *g = p->g;
  AtlTensor *in[2], *b, *a, *y;

  atl_linear_multi (g, x, 2,
                    (AtlTensor *[]){ atl_weight (g, l->mix_in), atl_weight (g, l->mix_gate) },
                    (AtlTensor *[]){ NULL, NULL }, in);
  rates (p, l, x, &b, &a);
  for (guint s = 0; s < p->n_segments; s++)
    {
      gint64 n = p->segments[s].n_tokens;
      AtlTensor *c = decoder_causal_conv (p, il, s, in[0], ATL_ACT_SILU);

      parts[s] = atl_delta_rule (g, atl_reshape_to (g, atl_slice (g, c, 1, 0, K * d), n, K, d),
                                 atl_reshape_to (g, atl_slice (g, c, 1, K * d, K * d), n, K, d),
                                 atl_reshape_to (g, atl_slice (g, c, 1, 2 * K * d, V * d), n, V, d),
                                 atl_slice (g, a, 0, start, n), atl_slice (g, b, 0, start, n),
                                 atl_weight (g, l->mix_a), atl_weight (g, l->mix_dt_b),
                                 p->h->traits->tiled_keys, KEY_EPS, 0.0f,
                                 decoder_state (p, s, il, ATL_LLM_STATE_SSM), decoder_slots (p, s));
      start += n;
    }
  y = atl_norm (g, ATL_NORM_RMS, decoder_join (p, parts), atl_weight (g, l->mix_norm), NULL,
                p->h->norm_eps);
  y = atl_mul (g, atl_reshape_to (g, y, p->T, V * d), atl_act (g, ATL_ACT_SILU, in[1]));
  return atl_linear_scaled_add (g, y, atl_weight (g, l->mix_out), NULL, p->h->residual_scale,
                                residual);
}
