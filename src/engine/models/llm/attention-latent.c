/* Multi-head latent attention (DeepSeek-AI 2024, "DeepSeek-V2", 2.1) in its absorbed form.
 *
 * A token keeps one latent l [kv_lora] and one rotated key r [n_rope] for all heads. A head's keys
 * and values would be K_h l and V_h l; since q . K_h l = (K_h^T q) . l, and a sum of V_h l is V_h
 * of the sum, neither is ever written down: queries go into the space of latents, and what
 * attention gathers there comes back through V_h.
 *
 *   [l | r] = wkv_a x,  l = rms(l),  r = rope(r)                     kept as keys; values are l
 *   [q | s] = wq x  or  wq rms(wq_a x)                                    per head, s = rope(s)
 *   ctx_h   = attention ([K_h^T q_h | s_h], [l | r], l),  out_h = V_h ctx_h
 */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-pass.h"

/* Of the latents' norms, whatever the file says of the others: so in the authors' code. */
#define LATENT_EPS 1e-6f

/* x [T, H, in], w [H, out, in] -> [T, H, out]: every head has its own matrix, as tokens have
 * experts. */
static AtlTensor *
per_head (DecoderPass *p, AtlTensor *x, AtlWeight *w)
{
  return atl_expert_linear (p->g, x, atl_weight (p->g, w), NULL, decoder_kept (p, p->heads));
}

AtlTensor *
decoder_latent_attention (DecoderPass *p, guint il, AtlTensor *x)
{
  const AtlLlmHparams *h = p->h;
  const AtlLlmMla *m = &h->mla;
  const AtlDecoderLayer *l = &p->m->layers[il];
  gint64 H = h->layers[il].n_head;
  AtlGraph *g = p->g;
  AtlTensor *kv = atl_linear (g, x, atl_weight (g, l->wkv_a), NULL);
  AtlTensor *latent = atl_norm (g, ATL_NORM_RMS, atl_slice (g, kv, 1, 0, m->n_kv_lora),
                                atl_weight (g, l->kv_a_norm), NULL, LATENT_EPS);
  AtlTensor *turned =
      atl_reshape_to (g, atl_slice (g, kv, 1, m->n_kv_lora, m->n_rope), p->T, 1, m->n_rope);
  AtlTensor *keys = atl_concat (g, 2, 2,
                                (AtlTensor *[]){ atl_reshape_to (g, latent, p->T, 1, m->n_kv_lora),
                                                 decoder_rotate (p, il, turned) });
  AtlTensor *q = decoder_kept (p, x);
  const gint64 n_q = q->dim[0];

  if (l->wq_a != NULL)
    q = atl_norm (g, ATL_NORM_RMS, atl_linear (g, q, atl_weight (g, l->wq_a), NULL),
                  atl_weight (g, l->q_a_norm), NULL, LATENT_EPS);
  q = atl_linear (g, q, atl_weight (g, l->wq), NULL);
  q = atl_reshape_to (g, q, n_q, H, m->n_nope + m->n_rope);
  q = atl_concat (
      g, 2, 2,
      (AtlTensor *[]){ per_head (p, atl_slice (g, q, 2, 0, m->n_nope), l->k_b),
                       decoder_rotate (p, il, atl_slice (g, q, 2, m->n_nope, m->n_rope)) });
  x = decoder_attend (p, il, q, keys, NULL);
  x = per_head (p, atl_reshape_to (g, x, n_q, H, m->n_kv_lora), l->v_b);
  return atl_reshape_to (g, x, n_q, H * m->n_v);
}
