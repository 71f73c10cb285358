/* What the files of Z-Image's transformer share (zimage.c says what is computed). */
#pragma once

#include "engine/models/blocks/denoiser.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/blocks/stages.h"

G_BEGIN_DECLS

#define ZIMAGE_MAX_LAYERS 128
#define ZIMAGE_MAX_REFINERS 16
#define ZIMAGE_MULTIPLE 32
#define ZIMAGE_PATCH 2
#define ZIMAGE_N_AXES 3
#define ZIMAGE_MAX_SIDE 2048 /* of a latent */
#define ZIMAGE_MAX_TEXT 16384

typedef struct
{
  AtlAffine mod; /* w nullable: a plain block */
  AtlAffine q, k, v, out, norm_q, norm_k, norm1, norm2, ffn_norm1, ffn_norm2, w1, w2, w3;
} ZImageBlock;

typedef struct
{
  AtlNetwork net;
  gint64 dim, head_dim, n_heads, n_kv_heads, channels;
  gint64 axis[ZIMAGE_N_AXES];
  double theta, time_scale;
  float eps;
  guint n_layers, n_refiners, n_text_refiners, n_siglip_refiners;
  ZImageBlock layers[ZIMAGE_MAX_LAYERS], refiners[ZIMAGE_MAX_REFINERS],
      text_refiners[ZIMAGE_MAX_REFINERS], siglip_refiners[ZIMAGE_MAX_REFINERS];
  AtlEmbedder time;
  AtlAffine x_embedder, text_norm, text_linear, out_mod, out;
  AtlAffine siglip_norm, siglip_linear;     /* w nullable: it edits no pictures */
  AtlWeight *x_pad, *text_pad, *siglip_pad; /* [1, dim]; siglip_pad nullable */
} ZImage;

/* Reads the configuration and asks the source for all weights. FALSE when the configuration makes
 * no sense; the weights' mistakes are their table's. */
gboolean
zimage_read_weights (ZImage *self, AtlSource *source, const AtlCheckpoint *cp, GError **error);

/* Root mean square norm with the model's eps. */
AtlTensor *zimage_rms (AtlGraph *g, const ZImage *self, AtlTensor *x, const AtlAffine *a);
/* x [T, dim]; time [1 or T, M] (nullable for a plain block). */
AtlTensor *zimage_block (AtlGraph *g,
                         const ZImage *self,
                         const ZImageBlock *b,
                         AtlTensor *x,
                         AtlTensor *rope,
                         AtlTensor *time);
/* The layers of this part of a pass (blocks/stages.h) over the one stream [T, dim] of all tokens,
 * or what it goes on from; NULL where the part ends before the last one. */
AtlTensor *zimage_layers (AtlGraph *g,
                          const ZImage *self,
                          AtlStage stage,
                          AtlTensor *x,
                          AtlTensor *rope,
                          AtlTensor *time);
/* The stream that the part goes on from, [T, dim]; NULL where it begins with the first layer. */
AtlTensor *zimage_resume (AtlGraph *g, const ZImage *self, AtlStage stage, GPtrArray *inputs);
/* From [T, dim] and time as above to the patches' numbers [T, channels * 4]. */
AtlTensor *zimage_end (AtlGraph *g, const ZImage *self, AtlTensor *x, AtlTensor *time);
/* Latent [C, H, W] to tokens [n, 4 C] or back. */
void zimage_patch (float *latent, float *tokens, gint64 C, gint64 H, gint64 W, gboolean is_back);
/* n, filled up to whole groups of tokens. */
gint64 zimage_filled (gint64 n);

/* Runs a part's graph on arrays that were made (they stay the caller's) and those of the request
 * that it goes on from. "tokens_out" becomes "output", a latent shaped as `like`. */
gboolean zimage_compute (ZImage *self,
                         const AtlRequest *request,
                         const char *key,
                         AtlDescribeFunc describe_pass,
                         gpointer call,
                         GPtrArray *made,
                         const AtlArray *like,
                         GPtrArray *outputs,
                         GCancellable *cancellable,
                         GError **error);

/* The mode that edits pictures: as atl_component_run() with requests that have the list "noisy". */
gboolean zimage_run_omni (ZImage *self,
                          const AtlRequest *request,
                          GPtrArray *outputs,
                          GCancellable *cancellable,
                          GError **error);

G_END_DECLS
