/* A LoRA file's tensors, sorted by the layer that they change, whatever its tool calls that layer.
 *
 * A name is where the layer is (a prefix for the network), the layer, and what the tensor is for.
 * Dots of the layer count as underscores, as kohya's tools write them:
 *
 *   lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight
 *   base_model.model.transformer.blocks.0.attn.to_q.lora_A.weight
 *   text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_B.weight
 *
 *   AtlLoraIndex *index = atl_lora_index_new (cp);
 *   AtlLoraGroup *group = atl_lora_index_find (index, ATL_LORA_IN_DENOISER, "blocks.0.attn.to_q");
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/models/component.h"

G_BEGIN_DECLS

/* What a tensor is for; the formulas are lora.h's. */
typedef enum
{
  ATL_LORA_DOWN,
  ATL_LORA_UP,
  ATL_LORA_MID,
  ATL_LORA_UP_BIAS,
  ATL_LORA_ALPHA,
  ATL_LORA_MAGNITUDE, /* PEFT's: of rows, whatever its shape */
  ATL_LORA_DORA_SCALE,
  ATL_LORA_HADA_W1_A,
  ATL_LORA_HADA_W1_B,
  ATL_LORA_HADA_W2_A,
  ATL_LORA_HADA_W2_B,
  ATL_LORA_HADA_T1,
  ATL_LORA_HADA_T2,
  ATL_LORA_LOKR_W1,
  ATL_LORA_LOKR_W1_A,
  ATL_LORA_LOKR_W1_B,
  ATL_LORA_LOKR_W2,
  ATL_LORA_LOKR_W2_A,
  ATL_LORA_LOKR_W2_B,
  ATL_LORA_LOKR_T2,
  ATL_LORA_DIFF,
  ATL_LORA_DIFF_BIAS,
  ATL_LORA_N_PARTS
} AtlLoraPart;

/* All that a file says of one layer. */
typedef struct
{
  AtlLoraPlace place;
  char *module;                                /* (owned) with underscores */
  const AtlTensorInfo *part[ATL_LORA_N_PARTS]; /* (nullable) */
  float factor;                                /* alpha / rank, of pairs */
  gboolean is_used;                            /* a network's weight took it */
  gboolean is_bias_used;                       /* a network's bias took it */
} AtlLoraGroup;

typedef struct _AtlLoraIndex AtlLoraIndex;

/* Whether a tensor's name is one that is known here; with its layer (the caller frees) and what it
 * is for. */
gboolean
atl_lora_name_split (const char *name, AtlLoraPlace *place, char **module, AtlLoraPart *part);

AtlLoraIndex *atl_lora_index_new (AtlCheckpoint *cp);
void atl_lora_index_free (AtlLoraIndex *self);
AtlCheckpoint *atl_lora_index_checkpoint (const AtlLoraIndex *self);
/* Of the first of the places that has it; NULL if none does. Borrowed. */
AtlLoraGroup *atl_lora_index_find (const AtlLoraIndex *self, guint places, const char *module);
/* All groups, in the file's order; borrowed. (element-type AtlLoraGroup) */
GPtrArray *atl_lora_index_groups (const AtlLoraIndex *self);
/* What contradicts itself beyond shapes: an alpha that is no number. NULL without. */
const char *atl_lora_index_mistake (const AtlLoraIndex *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlLoraIndex, atl_lora_index_free)

G_END_DECLS
