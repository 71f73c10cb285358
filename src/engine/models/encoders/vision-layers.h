/* The layers that vision towers of CLIP's and SigLIP's kind share.
 *
 *   m->layers = (AtlVisionLayers){ .width = 1152, .n_heads = 16, .eps = 1e-6f, .act = ... };
 *   atl_vision_layers_read (&m->layers, source);
 *   x = atl_vision_layers_run (g, &m->layers, x, m->layers.n);
 *
 *   x += out_proj(attention(layer_norm1 x)); x += fc2(act(fc1(layer_norm2 x)))
 *
 * Names: "encoder.layers.N." (transformers'); queries, keys and values apart or in thirds of
 * self_attn.qkv.
 *
 * Threading: as the graph's.
 */
#pragma once

#include "engine/models/blocks/resnet.h"

G_BEGIN_DECLS

#define ATL_VISION_MAX_LAYERS 64

typedef struct
{
  AtlAffine norm1, qkv[3], out, norm2, fc1, fc2;
} AtlVisionLayer;

typedef struct
{
  gint64 width, n_heads;
  float eps;
  AtlAct act;
  guint n;
  AtlVisionLayer layer[ATL_VISION_MAX_LAYERS];
} AtlVisionLayers;

/* Where the tower of transformers begins in the file: what stands before "embeddings.". NULL when
 * there is none. Static. */
const char *atl_vision_prefix (const AtlCheckpoint *cp);
/* A setting of the tower, of the file itself or of its "vision_config", that is a number from 1 to
 * `max`; 0 without. */
guint64 atl_vision_uint (const AtlCheckpoint *cp, const char *name, guint64 max);
/* "hidden_act"; NULL without. */
const char *atl_vision_act (const AtlCheckpoint *cp);

/* Counts the layers and reads their weights; width and n_heads are known. */
void atl_vision_layers_read (AtlVisionLayers *self, AtlSource *source);
/* LN with weights and biases. */
AtlTensor *atl_vision_norm (AtlGraph *g, AtlTensor *x, const AtlAffine *a, float eps);
/* x [B, T, width] through the first n layers. */
AtlTensor *atl_vision_layers_run (AtlGraph *g, const AtlVisionLayers *self, AtlTensor *x, guint n);
/* A token [width] in front of, or in place of, x's: [B, 1, width]. */
AtlTensor *atl_vision_token (AtlGraph *g, AtlTensor *x, AtlWeight *token);

G_END_DECLS
