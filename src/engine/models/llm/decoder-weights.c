/* The decoder's weight table: names, shapes, and the fused forms in which some families store them.
 */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-weights.h"

#include <glib/gi18n.h>

/* The next layer of the same kind as `il`, as far as the tensor `name` goes; `il` if it is alone.
 */
static guint
like_layer (const AtlLlmHparams *h, guint il, const char *name)
{
  const AtlLlmLayer *l = &h->layers[il];
  gboolean is_ffn = g_str_has_prefix (name, "ffn_");

  for (guint k = 1; k < h->n_layer; k++)
    {
      guint i = (il + k) % h->n_layer;
      const AtlLlmLayer *other = &h->layers[i];

      if (other->attends == l->attends && other->recurrent == l->recurrent &&
          other->windowed == l->windowed && (other->has_experts == l->has_experts || !is_ffn))
        return i;
    }
  return il;
}

AtlWeight *
decoder_optional (const AtlLlmHparams *h,
                  AtlWeights *ws,
                  AtlWeightUse use,
                  guint il,
                  guint n_dims,
                  const gint64 *dim,
                  const char *name)
{
  const guint other = like_layer (h, il, name);
  g_autofree char *beside = g_strdup_printf ("blk.%u.%s", other, name);
  gboolean is_there =
      other != il && atl_checkpoint_find (atl_weights_checkpoint (ws), beside) != NULL;

  return is_there ? atl_weights_add (ws, use, il, n_dims, dim, "blk.%u.%s", il, name)
                  : atl_weights_add_optional (ws, use, il, n_dims, dim, "blk.%u.%s", il, name);
}

AtlWeight *
decoder_vector (
    const AtlLlmHparams *h, AtlWeights *ws, guint il, gint64 n, gboolean required, const char *name)
{
  return required ? atl_weights_add (ws, ATL_USE_VECTOR, il, DIM (n), "blk.%u.%s", il, name)
                  : decoder_optional (h, ws, ATL_USE_VECTOR, il, DIM (n), name);
}

AtlWeight *
decoder_matrix (AtlWeights *ws, guint il, gint64 out, gint64 in, const char *name)
{
  return atl_weights_add (ws, ATL_USE_LINEAR, il, DIM (out, in), "blk.%u.%s.weight", il, name);
}

/* One row of n numbers, which some files store as [n], some as [1, n]; NULL if it is not there. */
static AtlWeight *
add_row (AtlWeights *ws, AtlWeightUse use, guint il, gint64 n, const char *name)
{
  g_autofree char *full = g_strdup_printf ("blk.%u.%s", il, name);
  const AtlTensorInfo *info = atl_checkpoint_find (atl_weights_checkpoint (ws), full);

  if (info == NULL)
    return NULL;
  return info->n_dims == 1 ? atl_weights_add (ws, use, il, DIM (n), "%s", full)
                           : atl_weights_add (ws, use, il, DIM (1, n), "%s", full);
}

/* The three have them, or none. */
static gboolean
has_qkv_bias (const AtlLlmHparams *h, const AtlWeights *ws, guint il)
{
  return (h->traits->biases & ATL_BIAS_QKV) != 0 ||
         atl_weights_has (ws, "blk.%u.attn_q.bias", il) ||
         atl_weights_has (ws, "blk.%u.attn_k.bias", il) ||
         atl_weights_has (ws, "blk.%u.attn_v.bias", il) ||
         atl_weights_has (ws, "blk.%u.attn_qkv.bias", il);
}

static void
add_qkv (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  const AtlLlmLayer *hl = &h->layers[il];
  gint64 D = h->n_embd, n_q = (gint64) hl->n_head * hl->head_dim * (h->traits->gated_attention + 1);
  gint64 n_k = (gint64) hl->n_head_kv * hl->head_dim, n_v = (gint64) hl->n_head_kv * hl->head_dim_v;
  gboolean biased = has_qkv_bias (h, ws, il);
  AtlWeight *fused, *bias;

  fused = decoder_optional (h, ws, 0, il, DIM (n_q + n_k + n_v, D), "attn_qkv.weight");
  if (fused != NULL)
    {
      bias = biased ? atl_weights_add (ws, 0, il, DIM (n_q + n_k + n_v), "blk.%u.attn_qkv.bias", il)
                    : decoder_optional (h, ws, 0, il, DIM (n_q + n_k + n_v), "attn_qkv.bias");
      l->wq = atl_weights_add_rows (ws, fused, ATL_USE_LINEAR, 0, n_q);
      l->wk = atl_weights_add_rows (ws, fused, ATL_USE_LINEAR, n_q, n_k);
      l->wv = atl_weights_add_rows (ws, fused, ATL_USE_LINEAR, n_q + n_k, n_v);
      l->bq = atl_weights_add_rows (ws, bias, ATL_USE_VECTOR, 0, n_q);
      l->bk = atl_weights_add_rows (ws, bias, ATL_USE_VECTOR, n_q, n_k);
      l->bv = atl_weights_add_rows (ws, bias, ATL_USE_VECTOR, n_q + n_k, n_v);
      return;
    }
  l->wq = decoder_matrix (ws, il, n_q, D, "attn_q");
  l->bq = decoder_vector (h, ws, il, n_q, biased, "attn_q.bias");
  if (hl->kv_layer != il)
    return;
  l->wk = decoder_matrix (ws, il, n_k, D, "attn_k");
  l->bk = decoder_vector (h, ws, il, n_k, biased, "attn_k.bias");
  if (h->keys_as_values && !hl->windowed)
    return;
  l->wv = decoder_matrix (ws, il, n_v, D, "attn_v");
  l->bv = decoder_vector (h, ws, il, n_v, biased, "attn_v.bias");
}

static void
add_qk_norms (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  const AtlLlmLayer *hl = &h->layers[il];
  gboolean own = hl->kv_layer == il;

  switch (h->traits->qk_norm)
    {
    case ATL_QK_NORM_NONE:
    case ATL_QK_NORM_BARE_AFTER:
      break;
    case ATL_QK_NORM_HEAD:
    case ATL_QK_NORM_HEAD_AFTER:
    case ATL_QK_NORM_HEAD_OPTIONAL:
      {
        gboolean required = h->traits->qk_norm != ATL_QK_NORM_HEAD_OPTIONAL;

        l->q_norm = decoder_vector (h, ws, il, hl->head_dim, required, "attn_q_norm.weight");
        if (own)
          l->k_norm = decoder_vector (h, ws, il, hl->head_dim, required || l->q_norm != NULL,
                                      "attn_k_norm.weight");
        break;
      }
    case ATL_QK_NORM_WHOLE:
      l->q_norm = decoder_vector (h, ws, il, (gint64) hl->n_head * hl->head_dim, TRUE,
                                  "attn_q_norm.weight");
      l->k_norm = decoder_vector (h, ws, il, (gint64) hl->n_head_kv * hl->head_dim, TRUE,
                                  "attn_k_norm.weight");
      break;
    case ATL_QK_NORM_LAYER_HEAD:
      l->q_norm = decoder_optional (h, ws, ATL_USE_VECTOR, il, DIM (hl->n_head, hl->head_dim),
                                    "attn_q_norm.weight");
      l->k_norm = decoder_optional (h, ws, ATL_USE_VECTOR, il, DIM (hl->n_head_kv, hl->head_dim),
                                    "attn_k_norm.weight");
      break;
    default:
      g_assert_not_reached ();
    }
}

static void
add_attention (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  const AtlLlmLayer *hl = &h->layers[il];
  gboolean biased;

  if (h->traits->sinks)
    l->sinks = decoder_vector (h, ws, il, hl->n_head, TRUE, "attn_sinks.weight");
  if (h->mla.n_kv_lora > 0)
    {
      decoder_add_latent_attention (h, ws, il, l);
      return;
    }
  add_qkv (h, ws, il, l);
  add_qk_norms (h, ws, il, l);
  l->wo = decoder_matrix (ws, il, h->n_embd, (gint64) hl->n_head * hl->head_dim_v, "attn_output");
  biased = (h->traits->biases & ATL_BIAS_OUT) != 0 && has_qkv_bias (h, ws, il);
  l->bo = decoder_vector (h, ws, il, h->n_embd, biased, "attn_output.bias");
}

static void
add_mixer (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  switch (h->layers[il].recurrent)
    {
    case ATL_RECURRENT_SHORT_CONV:
      decoder_add_short_conv (h, ws, il, l);
      break;
    case ATL_RECURRENT_MAMBA2:
      decoder_add_mamba (h, ws, il, l);
      break;
    case ATL_RECURRENT_DELTA:
      decoder_add_delta (h, ws, il, l);
      break;
    case ATL_RECURRENT_NONE:
    default:
      break;
    }
}

static void
add_dense (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  gint64 D = h->n_embd, F = h->layers[il].n_ff;
  gboolean biased = (h->traits->biases & ATL_BIAS_FFN) != 0;

  if (h->traits->fused_gate_up)
    {
      AtlWeight *fused = atl_weights_add (ws, 0, il, DIM (2 * F, D), "blk.%u.ffn_up.weight", il);

      l->gate = atl_weights_add_rows (ws, fused, ATL_USE_LINEAR, 0, F);
      l->up = atl_weights_add_rows (ws, fused, ATL_USE_LINEAR, F, F);
    }
  else
    {
      if (!h->traits->ungated)
        {
          l->gate = decoder_matrix (ws, il, F, D, "ffn_gate");
          l->gate_b = decoder_vector (h, ws, il, F, FALSE, "ffn_gate.bias");
        }
      l->up = decoder_matrix (ws, il, F, D, "ffn_up");
      l->up_b = decoder_vector (h, ws, il, F, biased, "ffn_up.bias");
    }
  l->down = decoder_matrix (ws, il, D, F, "ffn_down");
  l->down_b = decoder_vector (h, ws, il, D, biased, "ffn_down.bias");
}

/* [E, n], or nothing. */
static AtlWeight *
add_expert_bias (const AtlLlmHparams *h, AtlWeights *ws, guint il, gint64 n, const char *name)
{
  if ((h->traits->biases & ATL_BIAS_EXPERTS) != 0)
    return atl_weights_add (ws, ATL_USE_VECTOR, il, DIM (h->experts.n, n), "blk.%u.%s", il, name);
  return decoder_optional (h, ws, ATL_USE_VECTOR, il, DIM (h->experts.n, n), name);
}

static void
add_beside_dense (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  gint64 D = h->n_embd, E = h->experts.n;

  l->router_scale = decoder_vector (h, ws, il, D, TRUE, "ffn_gate_inp.scale");
  l->expert_scale =
      atl_weights_add (ws, ATL_USE_ROWS, il, DIM (E), "blk.%u.ffn_down_exps.scale", il);
  if (l->expert_scale != NULL)
    {
      l->expert_scale->n_dims = 2;
      l->expert_scale->dim[1] = 1;
    }
  l->dense_post_norm = decoder_vector (h, ws, il, D, TRUE, "post_ffw_norm_1.weight");
  l->experts_norm = decoder_vector (h, ws, il, D, TRUE, "pre_ffw_norm_2.weight");
  l->experts_post_norm = decoder_vector (h, ws, il, D, TRUE, "post_ffw_norm_2.weight");
}

static void
add_experts (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  gint64 D = h->n_embd, E = h->experts.n, F = h->experts.n_ff, S = h->experts.n_ff_shared;
  gint64 in = h->experts.n_latent > 0 ? h->experts.n_latent : D;

  l->router = decoder_matrix (ws, il, E, D, "ffn_gate_inp");
  l->router_b = decoder_vector (h, ws, il, E, (h->traits->biases & ATL_BIAS_EXPERTS) != 0,
                                "ffn_gate_inp.bias");
  l->choice_b = add_row (ws, ATL_USE_VECTOR, il, E, "exp_probs_b.bias");
  if (l->choice_b == NULL && h->experts.has_choice_bias)
    atl_weights_fail (ws, _ ("%s: the tensor “blk.%u.exp_probs_b.bias” is missing"),
                      atl_checkpoint_name (atl_weights_checkpoint (ws)), il);
  if (h->experts.n_latent > 0)
    {
      l->latent_down = decoder_matrix (ws, il, in, D, "ffn_latent_down");
      l->latent_up = decoder_matrix (ws, il, D, in, "ffn_latent_up");
    }
  if (!h->traits->ungated)
    l->gate_up_exps =
        decoder_optional (h, ws, ATL_USE_LINEAR, il, DIM (E, 2 * F, D), "ffn_gate_up_exps.weight");
  if (l->gate_up_exps == NULL)
    {
      if (!h->traits->ungated)
        l->gate_exps = atl_weights_add (ws, ATL_USE_LINEAR, il, DIM (E, F, in),
                                        "blk.%u.ffn_gate_exps.weight", il);
      l->up_exps =
          atl_weights_add (ws, ATL_USE_LINEAR, il, DIM (E, F, in), "blk.%u.ffn_up_exps.weight", il);
    }
  l->down_exps =
      atl_weights_add (ws, ATL_USE_LINEAR, il, DIM (E, in, F), "blk.%u.ffn_down_exps.weight", il);
  l->gate_exps_b = add_expert_bias (h, ws, il, F, "ffn_gate_exps.bias");
  l->up_exps_b = add_expert_bias (h, ws, il, F, "ffn_up_exps.bias");
  l->down_exps_b = add_expert_bias (h, ws, il, D, "ffn_down_exps.bias");
  if (h->traits->dense_beside_experts)
    add_beside_dense (h, ws, il, l);
  if (S == 0)
    return;
  l->shared_router = add_row (ws, ATL_USE_LINEAR, il, D, "ffn_gate_inp_shexp.weight");
  if (l->shared_router == NULL && h->traits->shared_gate)
    atl_weights_fail (ws, _ ("%s: the tensor “blk.%u.ffn_gate_inp_shexp.weight” is missing"),
                      atl_checkpoint_name (atl_weights_checkpoint (ws)), il);
  if (l->shared_router != NULL)
    {
      l->shared_router->n_dims = 2;
      l->shared_router->dim[0] = 1;
      l->shared_router->dim[1] = D;
    }
  if (!h->traits->ungated)
    l->gate_shared = decoder_matrix (ws, il, S, D, "ffn_gate_shexp");
  l->up_shared = decoder_matrix (ws, il, S, D, "ffn_up_shexp");
  l->down_shared = decoder_matrix (ws, il, D, S, "ffn_down_shexp");
}

static void
add_norms (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  const AtlLlmTraits *t = h->traits;
  gint64 D = h->n_embd;
  gboolean biased = (t->biases & ATL_BIAS_NORMS) != 0;
  AtlWeight *norm_2;

  if (t->norms != ATL_NORMS_POST)
    {
      const char *ffn_norm = t->ffn_norm_is_post ? "post_attention_norm.weight" : "ffn_norm.weight";

      l->attn_norm = decoder_vector (h, ws, il, D, TRUE, "attn_norm.weight");
      l->attn_norm_b = decoder_vector (h, ws, il, D, biased, "attn_norm.bias");
      if (t->no_feed_forward || t->lone_sublayers)
        return;
      /* Where Falcon has two, the second is that of attention. */
      norm_2 = t->parallel_key ? decoder_vector (h, ws, il, D, FALSE, "attn_norm_2.weight") : NULL;
      if (norm_2 != NULL)
        {
          l->ffn_norm = l->attn_norm;
          l->ffn_norm_b = l->attn_norm_b;
          l->attn_norm = norm_2;
          l->attn_norm_b = decoder_vector (h, ws, il, D, biased, "attn_norm_2.bias");
          return;
        }
      /* Falcon H1's converter leaves the ending out. */
      if (!atl_weights_has (ws, "blk.%u.%s", il, ffn_norm) &&
          atl_weights_has (ws, "blk.%u.ffn_norm", il))
        ffn_norm = "ffn_norm";
      /* Absent in models whose two sublayers share one norm. */
      l->ffn_norm = decoder_vector (h, ws, il, D, t->norm == ATL_NORM_RMS, ffn_norm);
      l->ffn_norm_b = decoder_vector (h, ws, il, D, biased && l->ffn_norm != NULL, "ffn_norm.bias");
    }
  if (t->norms != ATL_NORMS_PRE)
    {
      l->post_attn_norm = decoder_vector (h, ws, il, D, TRUE, "post_attention_norm.weight");
      l->post_ffn_norm = decoder_vector (h, ws, il, D, TRUE, "post_ffw_norm.weight");
      l->out_scale = decoder_vector (h, ws, il, 1, FALSE, "layer_output_scale.weight");
    }
}

static void
add_head (AtlDecoder *self)
{
  AtlWeights *ws = self->weights;
  gint64 D = self->h.n_embd, V = self->h.n_vocab;

  self->output =
      self->h.has_own_head
          ? atl_weights_add (ws, ATL_USE_LINEAR, G_MAXINT, DIM (V, D), "output.weight")
          : atl_weights_add_optional (ws, ATL_USE_LINEAR, G_MAXINT, DIM (V, D), "output.weight");
  if (self->output == NULL && self->token_embd != NULL)
    {
      self->output = self->token_embd;
      atl_weights_use (self->output, ATL_USE_LINEAR);
      self->output->layer = G_MAXINT;
    }
  self->output_b = atl_weights_add_optional (ws, ATL_USE_VECTOR, G_MAXINT, DIM (V), "output.bias");
}

static gboolean
describe (AtlDecoder *self, AtlCheckpoint *cp, guint n_ctx, gboolean has_head, GError **error)
{
  AtlWeights *ws;
  gint64 D, V;

  *self = (AtlDecoder){ 0 };
  if (!atl_llm_hparams_read (&self->h, cp, n_ctx, error))
    return FALSE;
  D = self->h.n_embd;
  V = self->h.n_vocab;
  ws = self->weights = atl_weights_new (cp);
  self->token_embd = atl_weights_add (ws, ATL_USE_ROWS, -1, DIM (V, D), "token_embd.weight");
  self->output_norm = atl_weights_add (ws, ATL_USE_VECTOR, G_MAXINT, DIM (D), "%s.weight",
                                       self->h.traits->output_norm != NULL &&
                                               !atl_weights_has (ws, "output_norm.weight")
                                           ? self->h.traits->output_norm
                                           : "output_norm");
  self->output_norm_b =
      (self->h.traits->biases & ATL_BIAS_NORMS) != 0
          ? atl_weights_add (ws, ATL_USE_VECTOR, G_MAXINT, DIM (D), "output_norm.bias")
          : atl_weights_add_optional (ws, ATL_USE_VECTOR, G_MAXINT, DIM (D), "output_norm.bias");
  if (has_head)
    add_head (self);

  self->layers = g_new0 (AtlDecoderLayer, self->h.n_layer);
  for (guint il = 0; il < self->h.n_layer; il++)
    {
      AtlDecoderLayer *l = &self->layers[il];

      add_norms (&self->h, ws, il, l);
      if (self->h.layers[il].attends)
        add_attention (&self->h, ws, il, l);
      add_mixer (&self->h, ws, il, l);
      if (self->h.layers[il].has_experts)
        add_experts (&self->h, ws, il, l);
      if (self->h.layers[il].n_ff > 0)
        add_dense (&self->h, ws, il, l);
    }
  if (self->h.n_embd_per_layer > 0)
    decoder_add_embeddings_per_layer (self);
  if (self->h.n_streams > 1)
    decoder_add_streams (self);
  if (!atl_weights_check (ws, error) || !decoder_check_tensors (self, cp, error))
    {
      atl_decoder_clear (self);
      return FALSE;
    }
  return TRUE;
}

/* Mistakes are told in the words of the files. */
static gboolean
init (AtlDecoder *self, AtlCheckpoint *cp, guint n_ctx, gboolean has_head, GError **error)
{
  GError *mistake = NULL;

  if (describe (self, cp, n_ctx, has_head, &mistake))
    return TRUE;
  atl_checkpoint_say_origins (cp, mistake);
  g_propagate_error (error, mistake);
  return FALSE;
}

gboolean
atl_decoder_init (AtlDecoder *self, AtlCheckpoint *cp, guint n_ctx, GError **error)
{
  return init (self, cp, n_ctx, TRUE, error);
}

gboolean
atl_decoder_init_headless (AtlDecoder *self, AtlCheckpoint *cp, guint n_ctx, GError **error)
{
  return init (self, cp, n_ctx, FALSE, error);
}

void
atl_decoder_clear (AtlDecoder *self)
{
  g_clear_pointer (&self->layers, g_free);
  g_clear_pointer (&self->weights, atl_weights_free);
  atl_llm_hparams_clear (&self->h);
}
