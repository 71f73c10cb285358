/* What the files of Wan's transformer share (wan.c says what is computed). */
#pragma once

#include "engine/models/blocks/denoiser.h"
#include "engine/models/blocks/runner.h"

G_BEGIN_DECLS

#define WAN_MAX_BLOCKS 128

typedef struct
{
  AtlAffine q, k, v, o, norm_q, norm_k;
} WanAttention;

typedef struct
{
  WanAttention self, cross;
  AtlAffine k_img, v_img, norm_k_img; /* w nullable */
  AtlAffine norm3, ffn1, ffn2;
  AtlWeight *modulation;             /* [1, 6, dim] */
  AtlAffine before_proj, after_proj; /* VACE; w nullable */
} WanBlock;

typedef struct
{
  AtlNetwork net;
  gint64 dim, n_heads, patch_h, patch_w, n_freqs;
  guint n_blocks, n_vace;
  WanBlock *blocks, *vace; /* (owned) */
  gint vace_layer[WAN_MAX_BLOCKS];
  AtlEmbedder time;
  AtlAffine patch, vace_patch, time_proj, text1, text2, head;
  AtlAffine img_norm1, img1, img2, img_norm2; /* w nullable */
  AtlWeight *img_pos, *head_modulation;       /* img_pos nullable */
} Wan;

/* Sizes and all weights; the source knows their names. Mistakes are the weight table's. */
void wan_read_weights (Wan *self, AtlSource *source, const AtlCheckpoint *cp);

G_END_DECLS
