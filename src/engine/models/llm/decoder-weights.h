/* What the files that fill the decoder's weight table share.
 *
 * Threading: the thread that loads; weights belong to the table.
 */
#pragma once

#include "engine/models/llm/decoder.h"

G_BEGIN_DECLS

/* Number of dimensions and dimensions, as atl_weights_add() takes them. */
#define DIM(...)                                                                                   \
  sizeof ((gint64[]){ __VA_ARGS__ }) / sizeof (gint64), (gint64[])                                 \
  {                                                                                                \
    __VA_ARGS__                                                                                    \
  }

/* "blk.<il>.<name>", which a family may lack: NULL without an error if it is not there, unless the
 * next layer of its kind has it, so that a file that lost one tensor is no other model. */
AtlWeight *decoder_optional (const AtlLlmHparams *h,
                             AtlWeights *ws,
                             AtlWeightUse use,
                             guint il,
                             guint n_dims,
                             const gint64 *dim,
                             const char *name);
/* The same for n numbers that are used as float32, or may be required. */
AtlWeight *decoder_vector (const AtlLlmHparams *h,
                           AtlWeights *ws,
                           guint il,
                           gint64 n,
                           gboolean required,
                           const char *name);
/* "blk.<il>.<name>.weight", [out, in]. */
AtlWeight *decoder_matrix (AtlWeights *ws, guint il, gint64 out, gint64 in, const char *name);

/* Once the table is whole (decoder-check.c): FALSE with ATL_ERROR_BAD_FILE for numbers of a type
 * that vectors never have, and for tensors of layers that nothing reads. */
gboolean decoder_check_tensors (const AtlDecoder *self, const AtlCheckpoint *cp, GError **error);

/* The mixer of layer `il`: mixer-*.c. */
void decoder_add_delta (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l);
void decoder_add_mamba (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l);
void decoder_add_short_conv (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l);

/* latent-weights.c */
void
decoder_add_latent_attention (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l);

/* per-layer-embedding.c and gemma3n.c: for all layers, whose norms, attention and feed-forward are
 * there already. */
void decoder_add_embeddings_per_layer (AtlDecoder *self);
void decoder_add_streams (AtlDecoder *self);

G_END_DECLS
