/* What a latent will look like, while it is drawn: the denoiser's estimate of the finished latent
 * through the bundle's tiny decoder (part-checks.h), a latent that is large for it made smaller
 * before; without one as colours. Those of an autoencoder that is not one of the published are
 * found by showing it a chart, once.
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/colors.h"
#include "engine/diffusion/run.h"

G_BEGIN_DECLS

/* What is found out once for a model. Embedded; zeroed to begin with. */
typedef struct
{
  gboolean is_known, is_fitted;
  gboolean is_tiny_bad; /* the tiny decoder is there, but shows nothing */
  AtlColors colors;     /* without channels: none */
} AtlPreview;

/* The caller's [height, width, 3] of `latent`, as hooks.step has it, within max_side; NULL where
 * nothing can be seen in it. Of a clip its middle. */
guint8 *atl_preview_paint (AtlPreview *self,
                           AtlRun *run,
                           const AtlArray *latent,
                           guint max_side,
                           guint *width,
                           guint *height);

/* In a walk that only counts, while the denoiser is loaded: what the tiny decoder takes beside it.
 */
void atl_preview_count (AtlRun *run, const AtlArray *latent);

/* After a run: where colours had to be found, its picture tells more than the chart did. */
void atl_preview_learn (AtlPreview *self, AtlRun *run);

G_END_DECLS
