/* The forward pass of the table-driven decoder; decoder.h has the specification. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-pass.h"

AtlTensor *
decoder_norm (DecoderPass *p, AtlTensor *x, AtlWeight *w, AtlWeight *b)
{
  return atl_norm (p->g, p->h->traits->norm, x, atl_weight (p->g, w), atl_weight (p->g, b),
                   p->h->norm_eps);
}

static AtlTensor *
attention (DecoderPass *p, guint il, AtlTensor *x)
{
  return p->h->mla.n_kv_lora > 0 ? decoder_latent_attention (p, il, x)
                                 : decoder_attention (p, il, x);
}

/* x + residual_scale * what the layer's mixers make of the normed n; all tokens of it where a
 * recurrence goes through them. */
static AtlTensor *
mix (DecoderPass *p, guint il, AtlTensor *n, AtlTensor *x)
{
  const AtlDecoderLayer *l = &p->m->layers[il];
  const gboolean last_only = p->last_only;

  p->last_only = last_only && p->h->layers[il].recurrent == ATL_RECURRENT_NONE;
  if (p->h->layers[il].attends)
    x = atl_linear_scaled_add (p->g, attention (p, il, n), atl_weight (p->g, l->wo),
                               atl_weight (p->g, l->bo), p->h->residual_scale, decoder_kept (p, x));
  p->last_only = last_only;
  switch (p->h->layers[il].recurrent)
    {
    case ATL_RECURRENT_SHORT_CONV:
      return decoder_short_conv (p, il, n, x);
    case ATL_RECURRENT_MAMBA2:
      return decoder_mamba (p, il, n, x);
    case ATL_RECURRENT_DELTA:
      return decoder_delta (p, il, n, x);
    case ATL_RECURRENT_NONE:
    default:
      return x;
    }
}

static AtlTensor *
layer (DecoderPass *p, guint il, AtlTensor *x)
{
  const AtlLlmHparams *h = p->h;
  const AtlDecoderLayer *l = &p->m->layers[il];
  AtlGraph *g = p->g;
  AtlTensor *a, *n;

  if (h->traits->norms == ATL_NORMS_PRE)
    {
      n = decoder_norm (p, x, l->attn_norm, l->attn_norm_b);
      if (h->traits->lone_sublayers && (h->layers[il].n_ff > 0 || h->layers[il].has_experts))
        return decoder_feed_forward (p, il, decoder_kept (p, n), decoder_kept (p, x));
      a = decoder_kept (p, mix (p, il, n, x));
      if (h->traits->no_feed_forward || h->traits->lone_sublayers)
        return a;
      if (l->ffn_norm != NULL)
        n = decoder_norm (p, h->parallel ? decoder_kept (p, x) : a, l->ffn_norm, l->ffn_norm_b);
      return decoder_feed_forward (p, il, decoder_kept (p, n), a);
    }

  gboolean pre = h->traits->norms == ATL_NORMS_SANDWICH;

  n = pre ? decoder_norm (p, x, l->attn_norm, l->attn_norm_b) : x;
  a = atl_linear (g, attention (p, il, n), atl_weight (g, l->wo), atl_weight (g, l->bo));
  x = atl_add (g, decoder_kept (p, x), decoder_norm (p, a, l->post_attn_norm, NULL));
  n = pre ? decoder_norm (p, x, l->ffn_norm, l->ffn_norm_b) : x;
  a = h->traits->dense_beside_experts && h->layers[il].has_experts
          ? decoder_dense_beside_experts (p, il, n, x)
          : decoder_feed_forward (p, il, n, NULL);
  x = atl_add (g, x, decoder_norm (p, a, l->post_ffn_norm, NULL));
  if (l->per_layer_gate != NULL)
    x = atl_add (g, x, decoder_embedding_of_layer (p, il, x));
  if (l->out_scale != NULL)
    x = atl_mul (g, x, atl_weight (g, l->out_scale));
  return x;
}

static AtlTensor *
add_inputs (DecoderPass *p)
{
  const AtlLlmHparams *h = p->h;
  AtlGraph *g = p->g;
  gboolean attends = FALSE, local = FALSE, rotated = FALSE, warm = FALSE;
  AtlTensor *ids = atl_graph_input (g, "ids", ATL_DTYPE_I32, 1, &p->T);

  for (guint il = 0; il < h->n_layer; il++)
    {
      if (!h->layers[il].attends)
        continue;
      attends = TRUE;
      local |= h->layers[il].windowed;
      rotated |= h->layers[il].rotated;
      warm |= h->layers[il].warm;
    }
  if (h->ssm.n_slots > 0)
    p->slots = atl_graph_input (g, "slots", ATL_DTYPE_I32, 2, (gint64[]){ p->n_segments, 2 });
  if (!attends)
    return ids;
  if (p->segments[0].states != NULL)
    p->cells = atl_graph_input (g, "cells", ATL_DTYPE_I32, 1, &p->T);
  p->ranges = atl_graph_input (g, "ranges", ATL_DTYPE_I32, 2, (gint64[]){ p->T, 2 });
  if (rotated)
    p->rope = atl_graph_input (g, "rope", ATL_DTYPE_F32, 2, (gint64[]){ p->T, h->rope.n_rot });
  p->cells_local = p->cells;
  p->ranges_local = p->ranges;
  p->rope_local = p->rope;
  if (local)
    {
      p->cells_local = atl_graph_input (g, "cells_local", ATL_DTYPE_I32, 1, &p->T);
      p->ranges_local =
          atl_graph_input (g, "ranges_local", ATL_DTYPE_I32, 2, (gint64[]){ p->T, 2 });
      p->rope_local = atl_graph_input (g, "rope_local", ATL_DTYPE_F32, 2,
                                       (gint64[]){ p->T, h->rope_local.n_rot });
    }
  if (h->mla.n_kv_lora > 0)
    p->heads = atl_graph_input (g, "heads", ATL_DTYPE_I32, 2, (gint64[]){ p->T, h->n_head });
  if (warm)
    p->warmth = atl_graph_input (g, "warmth", ATL_DTYPE_F32, 3, (gint64[]){ p->T, 1, 1 });
  return ids;
}

AtlGraph *
atl_decoder_graph (const AtlDecoder *self,
                   const AtlDecoderSegment *segments,
                   guint n_segments,
                   guint n_output_rows)
{
  const AtlLlmHparams *h = &self->h;
  AtlGraph *g = atl_graph_new ();
  DecoderPass p = { .m = self, .h = h, .g = g, .segments = segments, .n_segments = n_segments };
  gboolean streams = h->n_streams > 1;
  AtlTensor *ids, *x;

  for (guint s = 0; s < n_segments; s++)
    p.T += segments[s].n_tokens;
  ids = add_inputs (&p);
  x = atl_embed (g, atl_weight (g, self->token_embd), ids, h->embed_scale);
  if (self->per_layer_embd != NULL)
    p.per_layer = decoder_embeddings_per_layer (&p, ids, x);
  if (streams)
    x = decoder_streams_begin (&p, x);
  for (guint il = 0; il < h->n_layer; il++)
    {
      p.last_only = il + 1 == h->n_layer && n_output_rows < p.T && !streams;
      x = streams ? decoder_streams_layer (&p, il, x) : layer (&p, il, x);
    }

  if (n_output_rows == 0)
    return g;
  g_assert (n_output_rows == p.T || n_output_rows == n_segments);
  p.last_only = n_output_rows < p.T;
  x = decoder_kept (&p, x);
  if (streams)
    x = decoder_streams_end (&p, x);
  x = decoder_norm (&p, x, self->output_norm, self->output_norm_b);
  x = atl_linear_scaled_add (g, x, atl_weight (g, self->output), atl_weight (g, self->output_b),
                             h->logit_scale, NULL);
  if (h->logit_softcap > 0.0f)
    x = atl_affine (g, atl_act (g, ATL_ACT_TANH, atl_affine (g, x, 1.0f / h->logit_softcap, 0.0f)),
                    h->logit_softcap, 0.0f);
  atl_graph_output (g, x, "logits");
  return g;
}

gboolean
atl_decoder_can_encode (const AtlDecoder *self)
{
  const AtlLlmHparams *h = &self->h;

  if (h->mla.n_kv_lora > 0 || h->n_streams > 1 || self->per_layer_embd != NULL)
    return FALSE;
  for (guint il = 0; il < h->n_layer; il++)
    {
      const AtlLlmLayer *l = &h->layers[il];

      if (!l->attends || l->windowed || l->warm || l->recurrent != ATL_RECURRENT_NONE ||
          l->kv_layer != il || self->layers[il].wv == NULL)
        return FALSE;
    }
  return TRUE;
}

void
atl_decoder_describe_hidden (
    const AtlDecoder *self, AtlGraph *g, guint n_tokens, const gboolean *wanted, gboolean has_rows)
{
  const AtlLlmHparams *h = &self->h;
  AtlDecoderSegment segment = { .n_tokens = n_tokens };
  DecoderPass p = {
    .m = self, .h = h, .g = g, .segments = &segment, .n_segments = 1, .T = n_tokens
  };
  AtlTensor *x = atl_embed (g, atl_weight (g, self->token_embd), add_inputs (&p), h->embed_scale);
  guint last = h->n_layer;

  if (has_rows)
    {
      AtlTensor *keep = atl_graph_input (g, "keep", ATL_DTYPE_F32, 2, (gint64[]){ n_tokens, 1 });
      AtlTensor *rows =
          atl_graph_input (g, "rows", ATL_DTYPE_F32, 2, (gint64[]){ n_tokens, h->n_embd });

      x = atl_add (g, atl_mul (g, x, keep), rows);
    }
  while (last > 0 && !wanted[last])
    last--;
  for (guint i = 0; i <= last; i++)
    {
      g_autofree char *name = g_strdup_printf ("hidden_%u", i);

      if (i > 0)
        x = layer (&p, i - 1, x);
      if (i == h->n_layer)
        x = decoder_norm (&p, x, self->output_norm, self->output_norm_b);
      if (wanted[i])
        atl_graph_output (g, x, name);
    }
}
