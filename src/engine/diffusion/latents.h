/* What many families do with latents: statistics of autoencoders, patches, decoding.
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

/* Numbers that stand in the autoencoder's configuration under `name`, or `fallback` [n_fallback];
 * the caller's. ATL_ERROR_BAD_FILE when the configuration has another number than `n`. */
float *atl_latent_statistics (const AtlCheckpoint *vae,
                              const char *name,
                              gint64 n,
                              const float *fallback,
                              gint64 n_fallback,
                              GError **error);
/* x [1, C, …]: (x - mean) / std channel by channel, or backwards x * std + mean. */
void atl_latent_normalise (AtlArray *x, const float *mean, const float *std);
void atl_latent_restore (AtlArray *x, const float *mean, const float *std);

/* A picture [1, 3, H, W] in -1…1 as a latent: (mean - shift) * scaling. The caller's. */
AtlArray *
atl_vae_encode (AtlRun *run, const AtlArray *picture, double scaling, double shift, GError **error);
/* latent [1, C, h, w] / scaling + shift through the autoencoder, to the output "image" in 0…1. */
gboolean
atl_vae_decode (AtlRun *run, const AtlArray *latent, double scaling, double shift, GError **error);

/* [1, C, H, W] to tokens [1, H/2 * W/2, 4 C] and back: channel c * 4 + dy * 2 + dx. The caller's.
 */
AtlArray *atl_latent_pack (const AtlArray *x, const char *name);
AtlArray *atl_latent_unpack (const AtlArray *x, gint64 height, gint64 width);
/* Tokens [1, height/2 * width/2, 4 channels] for flow matching to begin with: the input
 * "initial_latent", or noise (the input "noise" or of the seed); with a `clean` latent [1,
 * channels, height, width] (nullable) that one, as noisy as call `*first`, n - n "strength" (0.6),
 * expects it.
 * `*noise` (nullable) is set to the noise in the latent's shape, the caller's. The caller's. */
AtlArray *atl_flow_start (AtlRun *run,
                          AtlSchedule *schedule,
                          gint64 channels,
                          gint64 height,
                          gint64 width,
                          const AtlArray *clean,
                          guint *first,
                          AtlArray **noise,
                          GError **error);
/* A mask [1, 1, H, W] at a latent's size, by nearest: 1 where it is at least one half. The
 * caller's.
 */
AtlArray *atl_mask_shrink (const AtlArray *mask, gint64 height, gint64 width);
/* Positions [rows * columns, 3] of a grid of tokens: (first, row, column). The caller's. */
AtlArray *atl_grid_ids (const char *name, double first, gint64 rows, gint64 columns);

G_END_DECLS
