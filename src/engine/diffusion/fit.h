/* Whether a picture fits into memory, and which way of running makes it fit: all parts kept, one
 * part after another, the autoencoder in tiles, weights read from their files.
 *
 *   AtlDiffusionFit fit;
 *   if (atl_diffusion_model_fit (model, NULL, 0, settings, inputs, room, G_MAXUINT64, &fit, error)
 * && fit.fits) atl_diffusion_model_set_how (model, &fit.how);
 *
 * Threading: as atl_diffusion_model_cost().
 */
#pragma once

#include "engine/diffusion/model.h"

G_BEGIN_DECLS

typedef struct
{
  gboolean fits;
  AtlDiffusionHow how;   /* the quickest way that fits, else the smallest */
  AtlDiffusionCost cost; /* of that way */
  guint width, height;   /* where it does not fit: one of this shape that does; 0 none */
} AtlDiffusionFit;

/* `room`: bytes for weights and working memory on the first backend, what the model holds there
 * already included; `host_room` beside a device. Errors: those of settings and files. */
gboolean atl_diffusion_model_fit (AtlDiffusionModel *self,
                                  AtlBackend *const *backends,
                                  guint n_backends,
                                  const AtlSettings *settings,
                                  GPtrArray *inputs,
                                  guint64 room,
                                  guint64 host_room,
                                  AtlDiffusionFit *fit,
                                  GError **error);

G_END_DECLS
