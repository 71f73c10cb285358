/* What many families do with latents: statistics of autoencoders, patches, decoding.
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

/* "latents_mean" and "latents_std" of an autoencoder of Wan's kind, or those of the authors' 2.1
 * (16 channels) and 2.2 (48). Both are the caller's. */
gboolean atl_wan_statistics (
    const AtlCheckpoint *vae, gint64 channels, float **mean, float **std, GError **error);
/* Whether these means are those of one of the authors' two. */
gboolean atl_wan_is_published (const float *mean, gint64 channels);
/* x [1, C, …]: (x - mean) / std channel by channel, or backwards x * std + mean. */
void atl_latent_normalize (AtlArray *x, const float *mean, const float *std);
void atl_latent_restore (AtlArray *x, const float *mean, const float *std);

/* The size that is asked for, in pixels a multiple of `multiple`, and "scaling_factor" and
 * "shift_factor" of the autoencoder's configuration, else what stands in `self`. factor is the
 * caller's. The run remembers it. Errors: no autoencoder, numbers that make no sense. */
gboolean
atl_latent_init (AtlLatent *self, AtlRun *run, gint64 multiple, gint64 side, GError **error);
/* A picture [1, 3, H, W] in -1…1 as a latent: (mean - shift) * scaling. The caller's. */
AtlArray *
atl_vae_encode (AtlRun *run, const AtlArray *picture, const AtlLatent *how, GError **error);
/* The input "image" so; `*clean` (the caller's) is NULL when there is none. */
gboolean atl_vae_encode_input (AtlRun *run, const AtlLatent *how, AtlArray **clean, GError **error);
/* x [1, C, h, w] / scaling + shift through the autoencoder, to the output "image" in 0…1. */
gboolean atl_vae_decode (AtlRun *run, const AtlArray *x, const AtlLatent *how, GError **error);

/* [1, C, H, W] to tokens [1, H/2 * W/2, 4 C] and back: channel c * 4 + dy * 2 + dx. The caller's.
 */
AtlArray *atl_latent_pack (const AtlArray *x, const char *name);
AtlArray *atl_latent_unpack (const AtlArray *x, gint64 height, gint64 width);
typedef struct
{
  const AtlLatent *latent;
  gint64 channels;
  const AtlArray *clean; /* (nullable) what to begin with instead of noise alone */
  AtlArray **noise;      /* (nullable) as above */
  gboolean is_packed;    /* the denoiser works on tokens (atl_latent_pack()) */
  AtlPredictFunc predict;
  AtlStepFunc after; /* (nullable) */
} AtlFlowWalk;

/* The whole of flow matching, through the denoiser "transformer", to the drawn latent [1, channels,
 * height, width], the caller's. It begins with the input "initial_latent", plain or as tokens, or
 * noise (the input "noise", or of the seed); or with the walk's clean latent, as noisy as the
 * setting "strength" (0.6 unless said) wants it. The autoencoder is released before. */
AtlArray *atl_flow_draw (AtlRun *run,
                         AtlSchedule *schedule,
                         const AtlFlowWalk *walk,
                         gpointer user_data,
                         GError **error);
/* A mask [1, 1, H, W] at a latent's size, by nearest: 1 where it is at least one half. The
 * caller's.
 */
AtlArray *atl_mask_shrink (const AtlArray *mask, gint64 height, gint64 width);
/* After the step of `call`: where the mask [1, 1, h, w] is 0, x [1, C, h, w] becomes the clean
 * latent again, with the noise that the next step expects. */
void atl_latent_keep_outside (AtlSchedule *schedule,
                              guint call,
                              AtlArray *x,
                              const AtlArray *clean,
                              const AtlArray *noise,
                              const AtlArray *mask);
/* Positions [rows * columns, n_axes] of a grid of tokens: (first, row, column, 0…). The caller's.
 */
AtlArray *atl_grid_ids (const char *name, guint n_axes, double first, gint64 rows, gint64 columns);

G_END_DECLS
