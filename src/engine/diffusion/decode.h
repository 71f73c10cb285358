/* Both ends of every pipeline: pictures through the autoencoder, whole or in tiles.
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

/* Takes pixels [1, 3, (F,) H, W] in -1…1: the mean of their latent, in the autoencoder's own
 * numbers; the caller's. */
AtlArray *atl_run_encode (AtlRun *run, AtlArray *pixels, GError **error);
/* Takes the latent [1, C, (F,) h, w], in the autoencoder's own numbers: pixels [1, 3, (F,) H, W],
 * about -1…1, the caller's. The autoencoder is released. ATL_ERROR_INVALID in words where the
 * result is no picture: numbers that overflowed, or nothing but black. */
AtlArray *atl_run_decode (AtlRun *run, AtlArray *latent, GError **error);

/* Whether anything can be seen in pixels of -1…1; errors as above. */
gboolean atl_pixels_check (const AtlArray *pixels, GError **error);

G_END_DECLS
