/* The end of every pipeline: a latent through the autoencoder.
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

/* Takes the latent [1, C, (F,) h, w], in the autoencoder's own numbers: pixels [1, 3, (F,) H, W],
 * about -1…1, the caller's. The autoencoder is released. */
AtlArray *atl_run_decode (AtlRun *run, AtlArray *latent, GError **error);

G_END_DECLS
