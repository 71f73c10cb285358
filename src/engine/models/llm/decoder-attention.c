/* The decoder's attention: grouped queries over what every segment's states hold. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-pass.h"

AtlTensor *
decoder_rotate (DecoderPass *p, guint il, AtlTensor *x)
{
  const AtlLlmLayer *l = &p->h->layers[il];
  AtlTensor *table = l->windowed ? p->rope_local : p->rope;

  if (!l->rotated)
    return x;
  if (x->dim[0] != p->T)
    table = decoder_kept (p, table);
  return atl_rope (p->g, x, table, p->h->traits->pairing);
}

/* q or k [rows, heads * d] -> [rows, heads, d], normed and rotated as the family does. */
static AtlTensor *
prepare_heads (DecoderPass *p, guint il, AtlTensor *x, guint n_heads, AtlWeight *w)
{
  const AtlLlmHparams *h = p->h;
  AtlGraph *g = p->g;
  AtlTensor *weight = atl_weight (g, w);
  AtlQkNorm kind = h->traits->qk_norm;

  if (kind == ATL_QK_NORM_WHOLE)
    x = atl_norm (g, ATL_NORM_RMS, x, weight, NULL, h->norm_eps);
  x = atl_reshape_to (g, x, x->dim[0], n_heads, h->layers[il].head_dim);
  if (kind == ATL_QK_NORM_HEAD || (kind == ATL_QK_NORM_HEAD_OPTIONAL && weight != NULL))
    x = atl_norm (g, ATL_NORM_RMS, x, weight, NULL, h->norm_eps);
  else if (kind == ATL_QK_NORM_LAYER_HEAD && weight != NULL)
    x = atl_norm (g, ATL_NORM_LAYER, x, weight, NULL, h->norm_eps);

  x = decoder_rotate (p, il, x);
  if (kind == ATL_QK_NORM_HEAD_AFTER ||
      (kind == ATL_QK_NORM_BARE_AFTER && h->layers[il].rotated && h->experts.n != 128))
    x = atl_norm (g, ATL_NORM_RMS, x, weight, NULL, h->norm_eps);
  return x;
}

AtlTensor *
decoder_attend (DecoderPass *p, guint il, AtlTensor *q, AtlTensor *k, AtlTensor *v)
{
  const AtlLlmHparams *h = p->h;
  const AtlLlmLayer *l = &h->layers[il];
  AtlGraph *g = p->g;
  AtlTensor *ranges = l->windowed ? p->ranges_local : p->ranges;
  AtlTensor *sinks = atl_weight (g, p->m->layers[il].sinks);
  AtlTensor **parts = g_newa0 (AtlTensor *, p->n_segments);
  gint64 start = 0, first_q = 0;

  for (guint s = 0; s < p->n_segments; s++)
    {
      gint64 n = p->segments[s].n_tokens;
      gint64 n_q = p->last_only ? 1 : n;
      AtlTensor *cells, *keys, *values;

      if (p->segments[s].states == NULL)
        {
          parts[s] =
              atl_attention (g, q, k, v, ranges, NULL, sinks, h->attn_scale, h->attn_softcap);
          continue;
        }
      cells = atl_slice (g, l->windowed ? p->cells_local : p->cells, 0, start, n);
      keys = decoder_state (p, s, l->kv_layer, ATL_LLM_STATE_K);
      values = h->mla.n_kv_lora > 0 ? NULL : decoder_state (p, s, l->kv_layer, ATL_LLM_STATE_V);

      if (k != NULL)
        keys = atl_store_rows (g, keys, atl_slice (g, k, 0, start, n), cells);
      if (v != NULL)
        values = atl_store_rows (g, values, atl_slice (g, v, 0, start, n), cells);
      if (values == NULL)
        values = atl_slice (g, keys, 2, 0, l->head_dim_v);
      parts[s] = atl_attention (g, atl_slice (g, q, 0, first_q, n_q), keys, values,
                                atl_slice (g, ranges, 0, start + n - n_q, n_q), NULL, sinks,
                                h->attn_scale, h->attn_softcap);
      start += n;
      first_q += n_q;
    }
  return atl_reshape_to (g, decoder_join (p, parts), q->dim[0], (gint64) l->n_head * l->head_dim_v);
}

AtlTensor *
decoder_attention (DecoderPass *p, guint il, AtlTensor *x)
{
  const AtlLlmLayer *hl = &p->h->layers[il];
  const AtlDecoderLayer *l = &p->m->layers[il];
  AtlGraph *g = p->g;
  AtlTensor *w[3] = { atl_weight (g, l->wq), atl_weight (g, l->wk), atl_weight (g, l->wv) };
  AtlTensor *b[3] = { atl_weight (g, l->bq), atl_weight (g, l->bk), atl_weight (g, l->bv) };
  AtlTensor *qkv[3] = { NULL };
  AtlTensor *k = NULL, *v = NULL, *gate = NULL;

  /* Keys of another layer: queries only. No values: those are the keys. */
  const guint n_products = l->wk == NULL ? 1 : l->wv == NULL ? 2 : 3;

  if (p->last_only)
    {
      atl_linear_multi (g, decoder_kept (p, x), 1, w, b, qkv);
      if (n_products > 1)
        atl_linear_multi (g, x, n_products - 1, w + 1, b + 1, qkv + 1);
    }
  else
    atl_linear_multi (g, x, n_products, w, b, qkv);
  if (l->wk != NULL)
    {
      v = atl_reshape_to (g, l->wv != NULL ? qkv[2] : qkv[1], p->T, hl->n_head_kv, hl->head_dim_v);
      k = prepare_heads (p, il, qkv[1], hl->n_head_kv, l->k_norm);
      if (p->h->traits->v_norm)
        v = atl_norm (g, ATL_NORM_RMS, v, NULL, NULL, p->h->norm_eps);
    }
  if (p->h->traits->gated_attention)
    {
      AtlTensor *both = atl_reshape_to (g, qkv[0], qkv[0]->dim[0], hl->n_head, 2 * hl->head_dim);

      gate = atl_slice (g, both, 2, hl->head_dim, hl->head_dim);
      qkv[0] = atl_slice (g, both, 2, 0, hl->head_dim);
    }
  qkv[0] = prepare_heads (p, il, qkv[0], hl->n_head, l->q_norm);
  if (p->warmth != NULL && hl->warm)
    qkv[0] = atl_mul (g, qkv[0], decoder_kept (p, p->warmth));
  x = decoder_attend (p, il, qkv[0], k, v);
  if (gate == NULL)
    return x;
  return atl_mul (g, x, atl_reshape (g, atl_act (g, ATL_ACT_SIGMOID, gate), 2, x->dim));
}
