/* One forward pass being described: what the decoder-*.c and attention-*.c files share.
 *
 * Threading: the thread that describes the pass; tensors belong to its graph.
 */
#pragma once

#include "engine/models/llm/decoder.h"

G_BEGIN_DECLS

typedef struct
{
  const AtlDecoder *m;
  const AtlLlmHparams *h;
  AtlGraph *g;
  const AtlDecoderSegment *segments;
  guint n_segments;
  gint64 T;                             /* tokens of all segments */
  AtlTensor *cells, *cells_local;       /* of full and of windowed layers */
  AtlTensor *ranges, *rope;             /* full layers */
  AtlTensor *ranges_local, *rope_local; /* windowed layers; the same tensors if there are none */
  AtlTensor *heads;     /* (nullable) i32 [T, H]: 0 … H - 1 in every row; latent attention */
  AtlTensor *per_layer; /* (nullable) f32 [T, n_layer * P], per-layer embeddings */
  AtlTensor *warmth;    /* (nullable) f32 [T, 1, 1]: factor of queries that are not rotated */
  AtlTensor *slots;     /* (nullable) i32 [n_segments, 2]; recurrent mixers */
  gboolean last_only;   /* nothing but each segment's last token goes on from this layer */
} DecoderPass;

/* The family's norm of x [T, D] or [T, heads, d]; w and b nullable. */
AtlTensor *decoder_norm (DecoderPass *p, AtlTensor *x, AtlWeight *w, AtlWeight *b);
/* Of x [T, ...]: the last token of every segment, [n_segments, ...], where only those go on; else
 * x, also where the others are gone already. */
AtlTensor *decoder_kept (DecoderPass *p, AtlTensor *x);
/* Rotates [T, heads, d], or those that are kept, as layer `il` does, if it does. */
AtlTensor *decoder_rotate (DecoderPass *p, guint il, AtlTensor *x);

/* The state `role` of layer `il` of a segment. */
AtlTensor *decoder_state (DecoderPass *p, guint segment, guint il, AtlLlmStateRole role);
/* Results of every segment, one after the other along dimension 0. */
AtlTensor *decoder_join (DecoderPass *p, AtlTensor **parts);

/* Stores keys and values [T, K, d] of layer `il` and lets queries decoder_kept ([T, H, d]) attend
 * to all that was stored so far, every segment to its own: [their number, H * dv]. k NULL: those of
 * another layer are read; v NULL: values are the first head_dim_v components of the keys. */
AtlTensor *decoder_attend (DecoderPass *p, guint il, AtlTensor *q, AtlTensor *k, AtlTensor *v);

/* Heads' outputs decoder_kept ([T, H * dv]) of the normed x [T, D], before the output projection.
 */
AtlTensor *decoder_attention (DecoderPass *p, guint il, AtlTensor *x);
AtlTensor *decoder_latent_attention (DecoderPass *p, guint il, AtlTensor *x);

/* What the mixer of layer `il` makes of the normed x [T, D], times residual_scale, + residual. */
AtlTensor *decoder_delta (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual);
AtlTensor *decoder_mamba (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual);
AtlTensor *decoder_short_conv (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual);
/* Segment `segment` of rows x [T, channels] through the layer's convolution, with its state. */
AtlTensor *decoder_causal_conv (DecoderPass *p, guint il, guint segment, AtlTensor *x, AtlAct act);
/* The two slots of a segment. */
AtlTensor *decoder_slots (DecoderPass *p, guint segment);

/* The feed-forward of x [T, D], or of what is kept of it, plus `residual` (nullable). */
AtlTensor *decoder_feed_forward (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual);
/* Its two kinds: one network, and experts with the shared ones beside them. */
AtlTensor *decoder_dense (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual);
AtlTensor *decoder_experts (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual);
/* Both: post (dense (x)) + post (experts (norm (residual))), routed by the residual. */
AtlTensor *
decoder_dense_beside_experts (DecoderPass *p, guint il, AtlTensor *x, AtlTensor *residual);

/* per-layer-embedding.c: what all layers get, [T, n_layer * P], from the tokens and their
 * embedding; and what layer `il` makes of its share for x [T, D]. */
AtlTensor *decoder_embeddings_per_layer (DecoderPass *p, AtlTensor *ids, AtlTensor *x);
AtlTensor *decoder_embedding_of_layer (DecoderPass *p, guint il, AtlTensor *x);

/* gemma3n.c: from an embedding [T, D] to streams [T, n, D], through a layer, and back. */
AtlTensor *decoder_streams_begin (DecoderPass *p, AtlTensor *x);
AtlTensor *decoder_streams_layer (DecoderPass *p, guint il, AtlTensor *streams);
AtlTensor *decoder_streams_end (DecoderPass *p, AtlTensor *streams);

G_END_DECLS
