/* The decoder's weight table: names, shapes, and the fused forms in which some families store them.
 */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder.h"

#define DIM(...)                                                                                   \
  sizeof ((gint64[]){ __VA_ARGS__ }) / sizeof (gint64), (gint64[])                                 \
  {                                                                                                \
    __VA_ARGS__                                                                                    \
  }

static AtlWeight *
vector (AtlWeights *ws, guint il, gint64 n, gboolean required, const char *name, const char *suffix)
{
  return required
             ? atl_weights_add (ws, ATL_USE_VECTOR, il, DIM (n), "blk.%u.%s.%s", il, name, suffix)
             : atl_weights_add_optional (ws, ATL_USE_VECTOR, il, DIM (n), "blk.%u.%s.%s", il, name,
                                         suffix);
}

static AtlWeight *
matrix (AtlWeights *ws, guint il, gint64 out, gint64 in, const char *name)
{
  return atl_weights_add (ws, ATL_USE_LINEAR, il, DIM (out, in), "blk.%u.%s.weight", il, name);
}

static void
add_attention (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  gint64 D = h->n_embd, n_q = (gint64) h->n_head * h->head_dim;
  gint64 n_k = (gint64) h->n_head_kv * h->head_dim, n_v = (gint64) h->n_head_kv * h->head_dim_v;
  gint64 n_o = (gint64) h->n_head * h->head_dim_v;
  AtlWeight *fused;

  fused =
      atl_weights_add_optional (ws, 0, il, DIM (n_q + n_k + n_v, D), "blk.%u.attn_qkv.weight", il);
  if (fused != NULL)
    {
      AtlWeight *bias =
          atl_weights_add_optional (ws, 0, il, DIM (n_q + n_k + n_v), "blk.%u.attn_qkv.bias", il);
      l->wq = atl_weights_add_rows (ws, fused, ATL_USE_LINEAR, 0, n_q);
      l->wk = atl_weights_add_rows (ws, fused, ATL_USE_LINEAR, n_q, n_k);
      l->wv = atl_weights_add_rows (ws, fused, ATL_USE_LINEAR, n_q + n_k, n_v);
      l->bq = atl_weights_add_rows (ws, bias, ATL_USE_VECTOR, 0, n_q);
      l->bk = atl_weights_add_rows (ws, bias, ATL_USE_VECTOR, n_q, n_k);
      l->bv = atl_weights_add_rows (ws, bias, ATL_USE_VECTOR, n_q + n_k, n_v);
    }
  else
    {
      l->wq = matrix (ws, il, n_q, D, "attn_q");
      l->wk = matrix (ws, il, n_k, D, "attn_k");
      l->wv = matrix (ws, il, n_v, D, "attn_v");
      l->bq = vector (ws, il, n_q, FALSE, "attn_q", "bias");
      l->bk = vector (ws, il, n_k, FALSE, "attn_k", "bias");
      l->bv = vector (ws, il, n_v, FALSE, "attn_v", "bias");
    }
  l->wo = matrix (ws, il, D, n_o, "attn_output");
  l->bo = vector (ws, il, D, FALSE, "attn_output", "bias");

  switch (h->traits->qk_norm)
    {
    case ATL_QK_NORM_NONE:
      break;
    case ATL_QK_NORM_HEAD:
      l->q_norm = vector (ws, il, h->head_dim, TRUE, "attn_q_norm", "weight");
      l->k_norm = vector (ws, il, h->head_dim, TRUE, "attn_k_norm", "weight");
      break;
    case ATL_QK_NORM_WHOLE:
      l->q_norm = vector (ws, il, n_q, TRUE, "attn_q_norm", "weight");
      l->k_norm = vector (ws, il, n_k, TRUE, "attn_k_norm", "weight");
      break;
    case ATL_QK_NORM_LAYER_HEAD:
      l->q_norm = atl_weights_add_optional (ws, ATL_USE_VECTOR, il, DIM (h->n_head, h->head_dim),
                                            "blk.%u.attn_q_norm.weight", il);
      l->k_norm = atl_weights_add_optional (ws, ATL_USE_VECTOR, il, DIM (h->n_head_kv, h->head_dim),
                                            "blk.%u.attn_k_norm.weight", il);
      break;
    }
}

static void
add_dense (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  gint64 D = h->n_embd, F = h->n_ff;

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
          l->gate = matrix (ws, il, F, D, "ffn_gate");
          l->gate_b = vector (ws, il, F, FALSE, "ffn_gate", "bias");
        }
      l->up = matrix (ws, il, F, D, "ffn_up");
      l->up_b = vector (ws, il, F, FALSE, "ffn_up", "bias");
    }
  l->down = matrix (ws, il, D, F, "ffn_down");
  l->down_b = vector (ws, il, D, FALSE, "ffn_down", "bias");
}

static void
add_experts (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  gint64 D = h->n_embd, E = h->n_expert, F = h->n_ff_expert, S = h->n_ff_shared;
  g_autofree char *name = NULL;
  const AtlTensorInfo *info;

  l->router = matrix (ws, il, E, D, "ffn_gate_inp");
  l->gate_exps =
      atl_weights_add (ws, ATL_USE_LINEAR, il, DIM (E, F, D), "blk.%u.ffn_gate_exps.weight", il);
  l->up_exps =
      atl_weights_add (ws, ATL_USE_LINEAR, il, DIM (E, F, D), "blk.%u.ffn_up_exps.weight", il);
  l->down_exps =
      atl_weights_add (ws, ATL_USE_LINEAR, il, DIM (E, D, F), "blk.%u.ffn_down_exps.weight", il);
  if (S == 0)
    return;
  /* One row, which some files store as a vector. */
  name = g_strdup_printf ("blk.%u.ffn_gate_inp_shexp.weight", il);
  info = atl_checkpoint_find (atl_weights_checkpoint (ws), name);
  if (info != NULL && info->n_dims == 1)
    {
      l->shared_router = atl_weights_add (ws, ATL_USE_LINEAR, il, DIM (D), "%s", name);
      if (l->shared_router != NULL)
        {
          l->shared_router->n_dims = 2;
          l->shared_router->dim[0] = 1;
          l->shared_router->dim[1] = D;
        }
    }
  else
    l->shared_router = atl_weights_add_optional (ws, ATL_USE_LINEAR, il, DIM (1, D), "%s", name);
  l->gate_shared = matrix (ws, il, S, D, "ffn_gate_shexp");
  l->up_shared = matrix (ws, il, S, D, "ffn_up_shexp");
  l->down_shared = matrix (ws, il, D, S, "ffn_down_shexp");
}

static void
add_norms (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  const AtlLlmTraits *t = h->traits;
  gint64 D = h->n_embd;

  if (t->norms != ATL_NORMS_POST)
    {
      l->attn_norm = vector (ws, il, D, TRUE, "attn_norm", "weight");
      l->attn_norm_b = vector (ws, il, D, FALSE, "attn_norm", "bias");
      /* Absent in models whose two sublayers share one norm. */
      l->ffn_norm = vector (ws, il, D, t->norm == ATL_NORM_RMS, "ffn_norm", "weight");
      l->ffn_norm_b = vector (ws, il, D, FALSE, "ffn_norm", "bias");
    }
  if (t->norms != ATL_NORMS_PRE)
    {
      l->post_attn_norm = vector (ws, il, D, TRUE, "post_attention_norm", "weight");
      l->post_ffn_norm = vector (ws, il, D, TRUE, "post_ffw_norm", "weight");
    }
}

gboolean
atl_decoder_init (AtlDecoder *self, AtlCheckpoint *cp, guint n_ctx, GError **error)
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
  self->output_norm = atl_weights_add (ws, ATL_USE_VECTOR, G_MAXINT, DIM (D), "output_norm.weight");
  self->output_norm_b =
      atl_weights_add_optional (ws, ATL_USE_VECTOR, G_MAXINT, DIM (D), "output_norm.bias");
  self->output =
      atl_weights_add_optional (ws, ATL_USE_LINEAR, G_MAXINT, DIM (V, D), "output.weight");
  if (self->output == NULL && self->token_embd != NULL)
    {
      self->output = self->token_embd;
      atl_weights_use (self->output, ATL_USE_LINEAR);
      self->output->layer = G_MAXINT;
    }

  self->layers = g_new0 (AtlDecoderLayer, self->h.n_layer);
  for (guint il = 0; il < self->h.n_layer; il++)
    {
      AtlDecoderLayer *l = &self->layers[il];

      add_norms (&self->h, ws, il, l);
      add_attention (&self->h, ws, il, l);
      if (self->h.n_expert > 0)
        add_experts (&self->h, ws, il, l);
      else
        add_dense (&self->h, ws, il, l);
    }
  if (!atl_weights_check (ws, error))
    {
      atl_decoder_clear (self);
      return FALSE;
    }
  return TRUE;
}

void
atl_decoder_clear (AtlDecoder *self)
{
  g_clear_pointer (&self->layers, g_free);
  g_clear_pointer (&self->weights, atl_weights_free);
  atl_llm_hparams_clear (&self->h);
}
