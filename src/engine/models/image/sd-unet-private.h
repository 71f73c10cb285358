/* What the files of Stable Diffusion's UNet share (sd-unet.c says what is computed). */
#pragma once

#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"

G_BEGIN_DECLS

#define UNET_MAX_LEVELS 6
#define UNET_MAX_BLOCKS 5
#define UNET_MAX_SKIPS 40

typedef struct
{
  AtlAffine q, k, v, out;
} UnetAttention;

typedef struct
{
  AtlAffine norm1, norm2, norm3, ff_in, ff_out;
  UnetAttention self, cross;
} UnetBlock;

typedef struct
{
  AtlAffine norm, proj_in, proj_out;
  UnetBlock *blocks; /* (owned) */
  guint n_blocks, n_heads;
} UnetTransformer;

typedef struct
{
  AtlResnet resnets[UNET_MAX_BLOCKS];
  UnetTransformer transformers[UNET_MAX_BLOCKS]; /* n_blocks 0: none */
  guint n;
  AtlAffine resample; /* w nullable */
} UnetLevel;

typedef struct
{
  AtlNetwork net;
  gint64 groups;
  AtlAffine conv_in, time1, time2, add1, add2, norm_out, conv_out; /* add: w nullable */
  UnetLevel down[UNET_MAX_LEVELS], up[UNET_MAX_LEVELS], mid;
  guint n_down, n_up;
  guint heads[UNET_MAX_LEVELS]; /* from a configuration; 0 = by the rule */
} Unet;

/* Reads the configuration and asks the source for all weights. FALSE when the configuration makes
 * no sense; the weights' mistakes are their table's. */
gboolean unet_read_weights (Unet *self, AtlSource *source, const AtlCheckpoint *cp, GError **error);

G_END_DECLS
