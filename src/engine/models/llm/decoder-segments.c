/* What a pass has of each segment: its states, its share of rows, and putting results together. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-pass.h"

AtlTensor *
decoder_state (DecoderPass *p, guint segment, guint il, AtlLlmStateRole role)
{
  return atl_state (p->g, p->segments[segment].states[atl_decoder_state_index (il, role)]);
}

/* Concatenation takes a bounded number of parts. */
AtlTensor *
decoder_join (DecoderPass *p, AtlTensor **parts)
{
  AtlTensor *out = parts[0];

  for (guint s = 1; s < p->n_segments;)
    {
      AtlTensor *batch[ATL_NODE_MAX_SRC];
      guint n = 0;

      batch[n++] = out;
      while (n < ATL_NODE_MAX_SRC && s < p->n_segments)
        batch[n++] = parts[s++];
      out = atl_concat (p->g, 0, n, batch);
    }
  return out;
}

AtlTensor *
decoder_kept (DecoderPass *p, AtlTensor *x)
{
  AtlTensor **parts = g_newa0 (AtlTensor *, p->n_segments);
  gint64 end = 0;

  if (!p->last_only || x->dim[0] != p->T)
    return x;
  for (guint s = 0; s < p->n_segments; s++)
    {
      end += p->segments[s].n_tokens;
      parts[s] = atl_slice (p->g, x, 0, end - 1, 1);
    }
  return decoder_join (p, parts);
}

AtlTensor *
decoder_slots (DecoderPass *p, guint segment)
{
  return atl_slice (p->g, p->slots, 0, segment, 1);
}

AtlTensor *
decoder_causal_conv (DecoderPass *p, guint il, guint segment, AtlTensor *x, AtlAct act)
{
  const AtlDecoderLayer *l = &p->m->layers[il];
  AtlGraph *g = p->g;
  gint64 start = 0;

  for (guint s = 0; s < segment; s++)
    start += p->segments[s].n_tokens;
  return atl_causal_conv (g, atl_slice (g, x, 0, start, p->segments[segment].n_tokens),
                          atl_weight (g, l->mix_conv), atl_weight (g, l->mix_conv_b), act,
                          decoder_state (p, segment, il, ATL_LLM_STATE_CONV),
                          decoder_slots (p, segment));
}
