/* Weights of Wan's autoencoders (wan.c says what they are for).
 *
 * Threading: that of the component. For wan*.c only.
 */
#pragma once

#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"

G_BEGIN_DECLS

#define MAX_STAGES 40
#define MAX_LEVELS 8
#define MAX_GROUP 64
#define COLORS 3

typedef struct
{
  AtlWeight *norm1, *norm2;
  AtlAffine conv1, conv2, shortcut; /* shortcut w nullable */
} Residual;

typedef struct
{
  gboolean is_resample;
  Residual residual;
  AtlAffine resample, time_conv; /* time_conv w nullable */
} Stage;

/* Stages with one shortcut beside them. */
typedef struct
{
  guint n_stages;
  gboolean has_shortcut;
  gint64 channels, time, space; /* of the output; factors of the shortcut */
} Level;

typedef struct
{
  AtlAffine conv_in, conv_out;
  AtlWeight *norm_out, *attention_norm;
  Residual mid[2];
  AtlAffine qkv[3], proj;
  Stage stages[MAX_STAGES];
  Level levels[MAX_LEVELS];
  guint n_stages, n_levels;
  gint64 patch; /* side of the pixels' patches */
} Half;

typedef struct
{
  AtlNetwork net;
  Half encoder, decoder;
  AtlAffine quant, post_quant;
} WanVae;

/* By the authors' names; failures are the weights'. */
void atl_wan_vae_read_weights (WanVae *m, AtlSource *s);

G_END_DECLS
