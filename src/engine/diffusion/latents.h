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

G_END_DECLS
