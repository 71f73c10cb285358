/* Per-layer embeddings (Gemma 3n and 4): every layer gets a small vector of its own for each token,
 * looked up by the token and mixed with a projection of its embedding x.
 *
 *   e_l = (table[id][l] * sqrt(P) + rms_P ((proj x)[l] / sqrt(D); norm)) / sqrt(2)         [T, P]
 *   y   = rms (out (gelu (gate h) * e_l); post_norm)                                       [T, D]
 */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-pass.h"
#include "engine/models/llm/decoder-weights.h"

#include <math.h>

void
decoder_add_embeddings_per_layer (AtlDecoder *self)
{
  gint64 D = self->h.n_embd, P = self->h.n_embd_per_layer, L = self->h.n_layer;
  AtlWeights *ws = self->weights;

  /* The table is looked up row by row and as large as all else: it stays on the host. */
  self->per_layer_embd = atl_weights_add (ws, ATL_USE_ROWS, -1, DIM (self->h.n_vocab, P * L),
                                          "per_layer_token_embd.weight");
  self->per_layer_proj =
      atl_weights_add (ws, ATL_USE_LINEAR, 0, DIM (P * L, D), "per_layer_model_proj.weight");
  self->per_layer_norm =
      atl_weights_add (ws, ATL_USE_VECTOR, 0, DIM (P), "per_layer_proj_norm.weight");
  for (guint il = 0; il < self->h.n_layer; il++)
    {
      AtlDecoderLayer *l = &self->layers[il];

      l->per_layer_gate = decoder_matrix (ws, il, P, D, "inp_gate");
      l->per_layer_out = decoder_matrix (ws, il, D, P, "proj");
      l->per_layer_post_norm = decoder_vector (&self->h, ws, il, D, TRUE, "post_norm.weight");
    }
}

AtlTensor *
decoder_embeddings_per_layer (DecoderPass *p, AtlTensor *ids, AtlTensor *x)
{
  const AtlLlmHparams *h = p->h;
  gint64 P = h->n_embd_per_layer, L = h->n_layer;
  AtlGraph *g = p->g;
  AtlTensor *table = atl_embed (g, atl_weight (g, p->m->per_layer_embd), ids, sqrtf ((float) P));
  AtlTensor *own = atl_linear_scaled_add (g, x, atl_weight (g, p->m->per_layer_proj), NULL,
                                          1.0f / sqrtf ((float) h->n_embd), NULL);

  own = atl_norm (g, ATL_NORM_RMS, atl_reshape_to (g, own, p->T, L, P),
                  atl_weight (g, p->m->per_layer_norm), NULL, h->norm_eps);
  own = atl_add (g, table, atl_reshape_to (g, own, p->T, L * P));
  return atl_affine (g, own, (float) G_SQRT2 / 2.0f, 0.0f);
}

AtlTensor *
decoder_embedding_of_layer (DecoderPass *p, guint il, AtlTensor *x)
{
  const AtlDecoderLayer *l = &p->m->layers[il];
  gint64 P = p->h->n_embd_per_layer;
  AtlGraph *g = p->g;
  AtlTensor *y = atl_linear_act (g, x, atl_weight (g, l->per_layer_gate), NULL, p->h->traits->act);

  y = atl_mul (g, y, atl_slice (g, decoder_kept (p, p->per_layer), 1, il * P, P));
  y = atl_linear (g, y, atl_weight (g, l->per_layer_out), NULL);
  return decoder_norm (p, y, l->per_layer_post_norm, NULL);
}
