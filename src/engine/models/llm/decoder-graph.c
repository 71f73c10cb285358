/* The forward pass of the table-driven decoder; decoder.h has the specification. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder.h"

typedef struct
{
  const AtlDecoder *m;
  const AtlLlmHparams *h;
  AtlGraph *g;
  const AtlDecoderSegment *segments;
  guint n_segments;
  gint64 T; /* tokens of all segments */
  AtlTensor *cells;
  AtlTensor *ranges, *rope;             /* full layers */
  AtlTensor *ranges_local, *rope_local; /* windowed layers; the same tensors if there are none */
} Pass;

static AtlTensor *
norm (Pass *p, AtlTensor *x, AtlWeight *w, AtlWeight *b)
{
  return atl_norm (p->g, p->h->traits->norm, x, atl_weight (p->g, w), atl_weight (p->g, b),
                   p->h->norm_eps);
}

/* q or k [T, heads * d] -> [T, heads, d], normed and rotated as the family does. */
static AtlTensor *
prepare_heads (Pass *p, guint il, AtlTensor *x, guint n_heads, AtlWeight *w)
{
  const AtlLlmHparams *h = p->h;
  AtlGraph *g = p->g;
  AtlTensor *weight = atl_weight (g, w);

  if (h->traits->qk_norm == ATL_QK_NORM_WHOLE)
    x = atl_norm (g, ATL_NORM_RMS, x, weight, NULL, h->norm_eps);
  x = atl_reshape_to (g, x, p->T, n_heads, h->head_dim);
  if (h->traits->qk_norm == ATL_QK_NORM_HEAD)
    x = atl_norm (g, ATL_NORM_RMS, x, weight, NULL, h->norm_eps);
  else if (h->traits->qk_norm == ATL_QK_NORM_LAYER_HEAD && weight != NULL)
    x = atl_norm (g, ATL_NORM_LAYER, x, weight, NULL, h->norm_eps);
  if (h->rotated[il])
    x = atl_rope (g, x, h->windowed[il] ? p->rope_local : p->rope, h->traits->pairing);
  return x;
}

static AtlTensor *
segment_state (Pass *p, guint segment, guint il, AtlLlmStateRole role)
{
  return atl_state (p->g, p->segments[segment].states[atl_decoder_state_index (il, role)]);
}

/* Heads' outputs [T, H * dv], before the output projection. */
static AtlTensor *
attend (Pass *p, guint il, AtlTensor *x)
{
  const AtlLlmHparams *h = p->h;
  const AtlDecoderLayer *l = &p->m->layers[il];
  AtlGraph *g = p->g;
  AtlTensor *w[3] = { atl_weight (g, l->wq), atl_weight (g, l->wk), atl_weight (g, l->wv) };
  AtlTensor *b[3] = { atl_weight (g, l->bq), atl_weight (g, l->bk), atl_weight (g, l->bv) };
  AtlTensor *ranges = h->windowed[il] ? p->ranges_local : p->ranges;
  AtlTensor *qkv[3];
  AtlTensor **parts = g_newa0 (AtlTensor *, p->n_segments);
  gint64 start = 0;

  atl_linear_multi (g, x, 3, w, b, qkv);
  qkv[0] = prepare_heads (p, il, qkv[0], h->n_head, l->q_norm);
  qkv[1] = prepare_heads (p, il, qkv[1], h->n_head_kv, l->k_norm);
  qkv[2] = atl_reshape_to (g, qkv[2], p->T, h->n_head_kv, h->head_dim_v);

  for (guint s = 0; s < p->n_segments; s++)
    {
      const AtlDecoderSegment *seg = &p->segments[s];
      gint64 n = seg->n_tokens;
      AtlTensor *cells = atl_slice (g, p->cells, 0, start, n);
      AtlTensor *k = atl_store_rows (g, segment_state (p, s, il, ATL_LLM_STATE_K),
                                     atl_slice (g, qkv[1], 0, start, n), cells);
      AtlTensor *v = atl_store_rows (g, segment_state (p, s, il, ATL_LLM_STATE_V),
                                     atl_slice (g, qkv[2], 0, start, n), cells);

      parts[s] = atl_attention (g, atl_slice (g, qkv[0], 0, start, n), k, v,
                                atl_slice (g, ranges, 0, start, n), NULL, NULL, h->attn_scale,
                                h->attn_softcap);
      start += n;
    }
  /* Concatenation takes a bounded number of parts. */
  AtlTensor *out = parts[0];
  for (guint s = 1; s < p->n_segments;)
    {
      AtlTensor *batch[ATL_NODE_MAX_SRC];
      guint n = 0;

      batch[n++] = out;
      while (n < ATL_NODE_MAX_SRC && s < p->n_segments)
        batch[n++] = parts[s++];
      out = atl_concat (g, 0, n, batch);
    }
  return atl_reshape_to (g, out, p->T, (gint64) h->n_head * h->head_dim_v);
}

static AtlTensor *
experts (Pass *p, const AtlDecoderLayer *l, AtlTensor *x, AtlTensor *residual)
{
  const AtlLlmHparams *h = p->h;
  const AtlLlmTraits *t = h->traits;
  AtlGraph *g = p->g;
  AtlOpParams route = { .route = t->route, .renorm = t->route_renorm };
  AtlTensor *weights, *ids, *y;

  atl_route (g, atl_linear (g, x, atl_weight (g, l->router), NULL), NULL, h->n_expert_used, &route,
             &weights, &ids);
  y = atl_expert_gated (g, x, atl_weight (g, l->gate_exps), NULL, atl_weight (g, l->up_exps), NULL,
                        t->act, ids);
  y = atl_expert_linear (g, y, atl_weight (g, l->down_exps), NULL, ids);
  y = atl_expert_sum (g, y, weights, residual);
  if (l->gate_shared != NULL)
    {
      AtlTensor *s = atl_linear_gated (g, x, atl_weight (g, l->gate_shared), NULL,
                                       atl_weight (g, l->up_shared), NULL, t->act);

      s = atl_linear (g, s, atl_weight (g, l->down_shared), NULL);
      if (l->shared_router != NULL)
        s = atl_mul (
            g, s, atl_linear_act (g, x, atl_weight (g, l->shared_router), NULL, ATL_ACT_SIGMOID));
      y = atl_add (g, y, s);
    }
  return y;
}

/* The feed-forward of `x`, plus `residual` if that is not NULL. */
static AtlTensor *
feed_forward (Pass *p, guint il, AtlTensor *x, AtlTensor *residual)
{
  const AtlLlmTraits *t = p->h->traits;
  const AtlDecoderLayer *l = &p->m->layers[il];
  AtlGraph *g = p->g;
  AtlTensor *y;

  if (l->router != NULL)
    return experts (p, l, x, residual);
  y = l->gate != NULL
          ? atl_linear_gated (g, x, atl_weight (g, l->gate), atl_weight (g, l->gate_b),
                              atl_weight (g, l->up), atl_weight (g, l->up_b), t->act)
          : atl_linear_act (g, x, atl_weight (g, l->up), atl_weight (g, l->up_b), t->act);
  return atl_linear_scaled_add (g, y, atl_weight (g, l->down), atl_weight (g, l->down_b),
                                residual != NULL ? p->h->residual_scale : 1.0f, residual);
}

static AtlTensor *
layer (Pass *p, guint il, AtlTensor *x)
{
  const AtlLlmHparams *h = p->h;
  const AtlDecoderLayer *l = &p->m->layers[il];
  AtlGraph *g = p->g;
  AtlTensor *wo = atl_weight (g, l->wo), *bo = atl_weight (g, l->bo);
  AtlTensor *a, *n;

  if (h->traits->norms == ATL_NORMS_PRE)
    {
      n = norm (p, x, l->attn_norm, l->attn_norm_b);
      x = atl_linear_scaled_add (g, attend (p, il, n), wo, bo, h->residual_scale, x);
      if (l->ffn_norm != NULL)
        n = norm (p, x, l->ffn_norm, l->ffn_norm_b);
      return feed_forward (p, il, n, x);
    }

  gboolean pre = h->traits->norms == ATL_NORMS_SANDWICH;

  a = atl_linear (g, attend (p, il, pre ? norm (p, x, l->attn_norm, l->attn_norm_b) : x), wo, bo);
  x = atl_add (g, x, norm (p, a, l->post_attn_norm, NULL));
  a = feed_forward (p, il, pre ? norm (p, x, l->ffn_norm, l->ffn_norm_b) : x, NULL);
  return atl_add (g, x, norm (p, a, l->post_ffn_norm, NULL));
}

AtlGraph *
atl_decoder_graph (const AtlDecoder *self,
                   const AtlDecoderSegment *segments,
                   guint n_segments,
                   guint n_output_rows)
{
  const AtlLlmHparams *h = &self->h;
  AtlGraph *g = atl_graph_new ();
  Pass p = { .m = self, .h = h, .g = g, .segments = segments, .n_segments = n_segments };
  AtlTensor *x, *ids;
  gboolean local = FALSE;

  for (guint s = 0; s < n_segments; s++)
    p.T += segments[s].n_tokens;
  for (guint il = 0; il < h->n_layer; il++)
    local |= h->windowed[il];

  ids = atl_graph_input (g, "ids", ATL_DTYPE_I32, 1, &p.T);
  p.cells = atl_graph_input (g, "cells", ATL_DTYPE_I32, 1, &p.T);
  p.ranges = atl_graph_input (g, "ranges", ATL_DTYPE_I32, 2, (gint64[]){ p.T, 2 });
  p.rope = atl_graph_input (g, "rope", ATL_DTYPE_F32, 2, (gint64[]){ p.T, h->rope.n_rot });
  p.ranges_local = p.ranges;
  p.rope_local = p.rope;
  if (local)
    {
      p.ranges_local = atl_graph_input (g, "ranges_local", ATL_DTYPE_I32, 2, (gint64[]){ p.T, 2 });
      p.rope_local = atl_graph_input (g, "rope_local", ATL_DTYPE_F32, 2,
                                      (gint64[]){ p.T, h->rope_local.n_rot });
    }

  x = atl_embed (g, atl_weight (g, self->token_embd), ids, h->embed_scale);
  for (guint il = 0; il < h->n_layer; il++)
    x = layer (&p, il, x);

  if (n_output_rows == 0)
    return g;
  if (n_output_rows < p.T)
    {
      /* The last token of every segment. */
      AtlTensor *last = NULL;
      gint64 end = 0;

      g_assert (n_output_rows == n_segments);
      for (guint s = 0; s < n_segments; s++)
        {
          end += segments[s].n_tokens;
          AtlTensor *row = atl_slice (g, x, 0, end - 1, 1);
          last = last == NULL ? row : atl_concat (g, 0, 2, (AtlTensor *[]){ last, row });
        }
      x = last;
    }
  x = norm (&p, x, self->output_norm, self->output_norm_b);
  x = atl_linear_scaled_add (g, x, atl_weight (g, self->output), NULL, h->logit_scale, NULL);
  if (h->logit_softcap > 0.0f)
    x = atl_affine (g, atl_act (g, ATL_ACT_TANH, atl_affine (g, x, 1.0f / h->logit_softcap, 0.0f)),
                    h->logit_softcap, 0.0f);
  atl_graph_output (g, x, "logits");
  return g;
}
