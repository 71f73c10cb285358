/* The gated short convolution of LFM2 (Liquid AI 2025), D n_embd, K taps:
 *
 *   [b | c | x] = in_proj n           3 D
 *   y = c * conv (b * x)              causal, depthwise, no bias, no activation
 *   out_proj y
 *
 * State: the last K - 1 rows of b * x. Tensors: shortconv.{in_proj,conv,out_proj}. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-pass.h"
#include "engine/models/llm/decoder-weights.h"

void
decoder_add_short_conv (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  gint64 D = h->n_embd;

  l->mix_in = decoder_matrix (ws, il, 3 * D, D, "shortconv.in_proj");
  l->mix_conv = atl_weights_add (ws, ATL_USE_VECTOR, il, DIM (D, h->ssm.n_taps),
                                 "blk.%u.shortconv.conv.weight", il);
  l->mix_out = decoder_matrix (ws, il, D, D, "shortconv.out_proj");
}

AtlTensor *
decoder_short_conv (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual)
{
  const AtlDecoderLayer *l = &p->m->layers[il];
  AtlTensor **parts = g_newa0 (AtlTensor *, p->n_segments);
  gint64 D = p->h->n_embd;
  AtlGraph *g = p->g;
  AtlTensor *bcx = atl_linear (g, x, atl_weight (g, l->mix_in), NULL);
  AtlTensor *u = atl_mul (g, atl_slice (g, bcx, 1, 0, D), atl_slice (g, bcx, 1, 2 * D, D));

  for (guint s = 0; s < p->n_segments; s++)
    parts[s] = decoder_causal_conv (p, il, s, u, ATL_ACT_NONE);
  u = atl_mul (g, atl_slice (g, bcx, 1, D, D), decoder_join (p, parts));
  return atl_linear_scaled_add (g, u, atl_weight (g, l->mix_out), NULL, p->h->residual_scale,
                                residual);
}
