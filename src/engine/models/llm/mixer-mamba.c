/* The mixer of Mamba-2 (Dao & Gu 2024), as GGUF stores it; H heads of P, G groups of N keys:
 *
 *   [z | x | B | C | dt] = ssm_in n                HP, HP, GN, GN, H
 *   [x | B | C] = silu (conv [x | B | C] + bias)   causal, depthwise
 *   y = scan (x, B, C, dt)                         ops.h, ATL_OP_SSM_SCAN
 *   y = y * silu (z), then an RMS norm over each group where ssm_norm is there
 *   ssm_out y
 *
 * State: the last inputs of the convolution, and S [N, P] a head. ssm_a is -exp (A_log) already. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-pass.h"
#include "engine/models/llm/decoder-weights.h"

void
decoder_add_mamba (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  const AtlLlmSsm *m = &h->ssm;
  gint64 D = h->n_embd, H = m->n_heads, n_inner = H * m->n;

  l->mix_in = decoder_matrix (ws, il, n_inner + m->n_channels + H, D, "ssm_in");
  l->mix_conv = atl_weights_add (ws, ATL_USE_VECTOR, il, DIM (m->n_channels, m->n_taps),
                                 "blk.%u.ssm_conv1d.weight", il);
  l->mix_conv_b = decoder_vector (h, ws, il, m->n_channels, TRUE, "ssm_conv1d.bias");
  l->mix_dt_b = decoder_vector (h, ws, il, H, TRUE, "ssm_dt.bias");
  l->mix_a = decoder_vector (h, ws, il, H, TRUE, "ssm_a");
  l->mix_d = decoder_vector (h, ws, il, H, TRUE, "ssm_d");
  if (m->has_norm)
    l->mix_norm = atl_weights_add (ws, ATL_USE_VECTOR, il, DIM (m->n_groups, n_inner / m->n_groups),
                                   "blk.%u.ssm_norm.weight", il);
  l->mix_out = decoder_matrix (ws, il, D, n_inner, "ssm_out");
}

AtlTensor *
decoder_mamba (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual)
{
  const AtlDecoderLayer *l = &p->m->layers[il];
  const AtlLlmSsm *m = &p->h->ssm;
  AtlTensor **parts = g_newa0 (AtlTensor *, p->n_segments);
  gint64 H = m->n_heads, G = m->n_groups, N = m->n_keys, n_inner = H * m->n, start = 0;
  AtlGraph *g = p->g;
  AtlTensor *in = atl_linear (g, x, atl_weight (g, l->mix_in), NULL);
  AtlTensor *z = atl_slice (g, in, 1, 0, n_inner);
  AtlTensor *xbc = atl_slice (g, in, 1, n_inner, m->n_channels);
  AtlTensor *dt = atl_slice (g, in, 1, n_inner + m->n_channels, H);
  AtlTensor *y;

  for (guint s = 0; s < p->n_segments; s++)
    {
      gint64 n = p->segments[s].n_tokens;
      AtlTensor *c = decoder_causal_conv (p, il, s, xbc, ATL_ACT_SILU);

      parts[s] =
          atl_ssm_scan (g, atl_reshape_to (g, atl_slice (g, c, 1, 0, n_inner), n, H, m->n),
                        atl_reshape_to (g, atl_slice (g, c, 1, n_inner, G * N), n, G, N),
                        atl_reshape_to (g, atl_slice (g, c, 1, n_inner + G * N, G * N), n, G, N),
                        atl_slice (g, dt, 0, start, n), atl_weight (g, l->mix_dt_b),
                        atl_weight (g, l->mix_a), atl_weight (g, l->mix_d),
                        decoder_state (p, s, il, ATL_LLM_STATE_SSM), decoder_slots (p, s));
      start += n;
    }
  y = atl_reshape_to (g, decoder_join (p, parts), p->T, n_inner);
  y = atl_mul (g, y, atl_act (g, ATL_ACT_SILU, z));
  if (l->mix_norm != NULL)
    {
      y = atl_reshape_to (g, y, p->T, G, n_inner / G);
      y = atl_norm (g, ATL_NORM_RMS, y, atl_weight (g, l->mix_norm), NULL, p->h->norm_eps);
      y = atl_reshape_to (g, y, p->T, n_inner);
    }
  return atl_linear_scaled_add (g, y, atl_weight (g, l->mix_out), NULL, p->h->residual_scale,
                                residual);
}
