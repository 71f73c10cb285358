/* What Gemma 3n does otherwise than the other decoders: N residual streams of which each layer
 * computes one and predicts the others (Baykal et al. 2023, "Alternating Updates"), a low-rank
 * residual beside attention (Laurel), and gates of which only the largest pass.
 *
 * H [T, N, D] are the streams, a the active one, n = N, d = D:
 *
 *   begin    H_0 = x;  H_i = P_i x, scaled to the root mean square of x
 *   modes(y) = tanh (router (rms (y; router_norm)) / d)                                      [T, n]
 *   layer    predicted_i = H_i + sum_j c[n i + j] H_j,      c = predict_coef modes (H_a)
 *            z = norm (predicted_a)
 *            b = (predicted_a + post (attention z) + z + laurel_post (R L z)) / sqrt(2)
 *            f = b + post (feed-forward (norm b))
 *            H_i = predicted_i + (f - predicted_a) (1 + (correct_coef modes (f))_i)
 *            H_i += per-layer embedding of H_a * correct_scale,   i > 0
 *   end      x = mean of H_0 and U_i H_i, scaled to the root mean square of H_0
 *
 * Sparse layers: gate = relu (gate - mean - k * standard deviation), over the row.
 */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-pass.h"
#include "engine/models/llm/decoder-weights.h"

#include <math.h>

/* Smallest mean square that is divided by, in the authors' code. */
#define LEAST_SQUARE 1e-5

/* --- Weights --- */

/* [1, n] whose product with a row is the row's mean. */
static AtlWeight *
add_mean (AtlWeights *ws, guint il, gint64 n, const char *name)
{
  float *values;

  if (!atl_weights_check (ws, NULL))
    return NULL;
  values = g_new (float, n);
  for (gint64 i = 0; i < n; i++)
    values[i] = 1.0f / (float) n;
  return atl_weights_add_bytes (ws, ATL_USE_LINEAR, (gint) il, ATL_DTYPE_F32, DIM (1, n),
                                g_bytes_new_take (values, (gsize) n * sizeof *values), name);
}

/* The n - 1 matrices [D, D] of a tensor [n - 1, D, D]. */
static void
add_stack (AtlWeights *ws, gint layer, guint n, gint64 D, const char *name, AtlWeight **out)
{
  AtlWeight *whole = atl_weights_add (ws, 0, layer, DIM (n - 1, D, D), "%s", name);

  for (guint i = 1; i < n; i++)
    {
      out[i] = atl_weights_add_rows (ws, whole, ATL_USE_LINEAR, i - 1, 1);
      if (out[i] == NULL)
        continue;
      out[i]->n_dims = 2;
      out[i]->dim[0] = out[i]->dim[1] = D;
    }
}

static gint64
laurel_rank (AtlWeights *ws, guint il)
{
  g_autofree char *name = g_strdup_printf ("blk.%u.laurel_l.weight", il);
  const AtlTensorInfo *info = atl_checkpoint_find (atl_weights_checkpoint (ws), name);

  return info != NULL && info->n_dims == 2 ? info->dim[0] : 1;
}

void
decoder_add_streams (AtlDecoder *self)
{
  const AtlLlmHparams *h = &self->h;
  gint64 D = h->n_embd, n = h->n_streams;
  AtlWeights *ws = self->weights;

  add_stack (ws, 0, h->n_streams, D, "altup_proj.weight", self->stream_in);
  add_stack (ws, G_MAXINT, h->n_streams, D, "altup_unembd_proj.weight", self->stream_out);
  self->mean_in = add_mean (ws, 0, D, "mean of the first layer");
  self->mean_out = add_mean (ws, h->n_layer - 1, D, "mean of the last layer");
  for (guint il = 0; il < h->n_layer; il++)
    {
      AtlDecoderLayer *l = &self->layers[il];
      gint64 rank = laurel_rank (ws, il);

      l->altup_router = decoder_matrix (ws, il, n, D, "altup_router");
      l->altup_router_norm = decoder_vector (h, ws, il, D, TRUE, "altup_router_norm.weight");
      l->altup_predict = decoder_matrix (ws, il, n * n, n, "altup_predict_coef");
      l->altup_correct = decoder_matrix (ws, il, n, n, "altup_correct_coef");
      l->altup_scale = decoder_vector (h, ws, il, D, TRUE, "altup_correct_scale.weight");
      l->laurel_l = decoder_matrix (ws, il, rank, D, "laurel_l");
      l->laurel_r = decoder_matrix (ws, il, D, rank, "laurel_r");
      l->laurel_norm = decoder_vector (h, ws, il, D, TRUE, "laurel_post_norm.weight");
      if (isfinite (h->layers[il].sparsity))
        l->mean_ff = add_mean (ws, il, h->layers[il].n_ff, "mean of a feed-forward");
    }
}

/* --- Pass --- */

static AtlTensor *
stream (DecoderPass *p, AtlTensor *streams, guint i)
{
  AtlTensor *h = atl_slice (p->g, streams, 1, i, 1);

  return atl_reshape_to (p->g, h, h->dim[0], p->h->n_embd);
}

/* Roots of the rows' mean squares: [T, 1]. */
static AtlTensor *
magnitude (DecoderPass *p, AtlTensor *x, AtlWeight *mean)
{
  AtlTensor *squares = atl_act (p->g, ATL_ACT_SQUARE, x);

  return atl_linear_act (p->g, squares, atl_weight (p->g, mean), NULL, ATL_ACT_SQRT);
}

/* w x with rows as long as `size` [T, 1] says. */
static AtlTensor *
turned (DecoderPass *p, AtlTensor *x, AtlWeight *w, AtlTensor *size)
{
  float root = sqrtf ((float) p->h->n_embd);

  x = atl_linear (p->g, x, atl_weight (p->g, w), NULL);
  x = atl_norm_l2 (p->g, x, NULL, root * sqrtf ((float) LEAST_SQUARE), root);
  return atl_mul (p->g, x, size);
}

/* [T, D] parts -> [T, n, D] */
static AtlTensor *
stack (DecoderPass *p, AtlTensor *const *parts)
{
  AtlTensor *views[ATL_LLM_MAX_STREAMS];

  for (guint i = 0; i < p->h->n_streams; i++)
    views[i] = atl_reshape_to (p->g, parts[i], p->T, 1, p->h->n_embd);
  return atl_concat (p->g, 1, p->h->n_streams, views);
}

AtlTensor *
decoder_streams_begin (DecoderPass *p, AtlTensor *x)
{
  AtlTensor *size = magnitude (p, x, p->m->mean_in);
  AtlTensor *parts[ATL_LLM_MAX_STREAMS] = { x };

  for (guint i = 1; i < p->h->n_streams; i++)
    parts[i] = turned (p, x, p->m->stream_in[i], size);
  return stack (p, parts);
}

AtlTensor *
decoder_streams_end (DecoderPass *p, AtlTensor *streams)
{
  AtlTensor *x = stream (p, streams, 0), *sum = x;
  AtlTensor *size = magnitude (p, x, p->m->mean_out);

  for (guint i = 1; i < p->h->n_streams; i++)
    sum = atl_add (p->g, sum, turned (p, stream (p, streams, i), p->m->stream_out[i], size));
  return atl_affine (p->g, sum, 1.0f / (float) p->h->n_streams, 0.0f);
}

static AtlTensor *
modes (DecoderPass *p, const AtlDecoderLayer *l, AtlTensor *x)
{
  AtlTensor *m = atl_linear_scaled_add (p->g, decoder_norm (p, x, l->altup_router_norm, NULL),
                                        atl_weight (p->g, l->altup_router), NULL,
                                        1.0f / (float) p->h->n_embd, NULL);

  return atl_act (p->g, ATL_ACT_TANH, m);
}

static AtlTensor *
feed_forward (DecoderPass *p, guint il, AtlTensor *x)
{
  const AtlDecoderLayer *l = &p->m->layers[il];
  double sparsity = p->h->layers[il].sparsity;
  AtlGraph *g = p->g;
  AtlTensor *gate, *above, *mean, *deviation;

  if (!isfinite (sparsity))
    return decoder_dense (p, il, x, NULL);
  gate = atl_linear (g, x, atl_weight (g, l->gate), NULL);
  mean = atl_linear (g, gate, atl_weight (g, l->mean_ff), NULL);
  above = atl_sub (g, gate, mean);
  deviation = magnitude (p, above, l->mean_ff);
  above = atl_sub (g, above, atl_affine (g, deviation, (float) sparsity, 0.0f));
  gate = atl_act (g, p->h->traits->act, atl_act (g, ATL_ACT_RELU, above));
  x = atl_mul (g, gate, atl_linear (g, x, atl_weight (g, l->up), NULL));
  return atl_linear (g, x, atl_weight (g, l->down), NULL);
}

/* The active stream through attention and feed-forward. */
static AtlTensor *
activate (DecoderPass *p, guint il, AtlTensor *x)
{
  const AtlDecoderLayer *l = &p->m->layers[il];
  AtlGraph *g = p->g;
  AtlTensor *n = decoder_norm (p, x, l->attn_norm, NULL);
  AtlTensor *low = atl_linear (g, n, atl_weight (g, l->laurel_l), NULL);
  AtlTensor *laurel = atl_linear (g, low, atl_weight (g, l->laurel_r), NULL);
  AtlTensor *a = atl_linear (g, decoder_attention (p, il, n), atl_weight (g, l->wo), NULL);

  laurel = atl_add (g, n, decoder_norm (p, laurel, l->laurel_norm, NULL));
  a = atl_add (g, x, decoder_norm (p, a, l->post_attn_norm, NULL));
  a = atl_affine (g, atl_add (g, a, laurel), (float) G_SQRT2 / 2.0f, 0.0f);
  x = feed_forward (p, il, decoder_norm (p, a, l->ffn_norm, NULL));
  return atl_add (g, a, decoder_norm (p, x, l->post_ffn_norm, NULL));
}

AtlTensor *
decoder_streams_layer (DecoderPass *p, guint il, AtlTensor *streams)
{
  const AtlDecoderLayer *l = &p->m->layers[il];
  guint n = p->h->n_streams, active = p->h->active_stream;
  AtlGraph *g = p->g;
  AtlTensor *predicted[ATL_LLM_MAX_STREAMS] = { NULL }, *corrected[ATL_LLM_MAX_STREAMS] = { NULL };
  AtlTensor *coefs, *news, *own;

  coefs = atl_linear (g, modes (p, l, stream (p, streams, active)),
                      atl_weight (g, l->altup_predict), NULL);
  for (guint i = 0; i < n; i++)
    predicted[i] =
        atl_expert_sum (g, streams, atl_slice (g, coefs, 1, i * n, n), stream (p, streams, i));

  own = activate (p, il, predicted[active]);
  news = atl_reshape_to (g, atl_sub (g, own, predicted[active]), p->T, 1, p->h->n_embd);
  coefs = atl_linear (g, modes (p, l, own), atl_weight (g, l->altup_correct), NULL);
  coefs = atl_affine (g, coefs, 1.0f, 1.0f);
  for (guint i = 0; i < n; i++)
    corrected[i] = atl_expert_sum (g, news, atl_slice (g, coefs, 1, i, 1), predicted[i]);

  own = atl_mul (g, corrected[active], atl_weight (g, l->altup_scale));
  own = decoder_embedding_of_layer (p, il, own);
  for (guint i = 1; i < n; i++)
    corrected[i] = atl_add (g, corrected[i], own);
  return stack (p, corrected);
}
