/* Whether a picture fits into memory, and which way of running makes it fit: all parts kept, one
 * part after another, the autoencoder in tiles, weights read from their files.
 *
 *   AtlDiffusionPlace at = { .backends = &cpu, .n_backends = 1, .room = free_bytes };
 *   AtlDiffusionFit fit;
 *   if (atl_diffusion_model_fit (model, &at, settings, inputs, &fit, error) && fit.fits)
 *     atl_diffusion_model_set_how (model, &fit.how);
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

/* Where it would run, and what is free there. */
typedef struct
{
  AtlBackend *const *backends; /* the host's last */
  guint n_backends;
  guint64 room;        /* bytes for weights and working memory on the first backend, what the model
                          holds there already included */
  guint64 host_room;   /* beside a device; not looked at where there is none */
  gboolean is_shared;  /* a device whose memory is the host's: both together have host_room */
  gboolean wants_size; /* where it does not fit a smaller picture that does is looked for */
} AtlDiffusionPlace;

/* On a device text encoders may be left to the host. Errors: those of settings and files. */
gboolean atl_diffusion_model_fit (AtlDiffusionModel *self,
                                  const AtlDiffusionPlace *at,
                                  const AtlSettings *settings,
                                  GPtrArray *inputs,
                                  AtlDiffusionFit *fit,
                                  GError **error);

G_END_DECLS
