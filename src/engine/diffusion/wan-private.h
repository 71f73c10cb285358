/* One clip of Wan on its way, and what it is made from besides words. */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

#define ATL_WAN_TIME_FACTOR 4
#define ATL_WAN_MAX_REFERENCES 8

typedef struct
{
  gint64 channels, factor, frames, height, width; /* of the latent */
  double guidance, guidance_2, boundary;          /* boundary in timesteps; 0: one network */
  gboolean expands;
  float *mean, *std;             /* (owned) [channels] */
  AtlArray *positive, *negative; /* (owned) text; negative nullable */
  /* All owned and nullable: */
  AtlArray *first;                   /* latent of the first frame */
  AtlArray *condition;               /* channels behind the latent's: mask and clip */
  AtlArray *image_context;           /* [pictures, tokens, dim] */
  AtlArray *control, *control_scale; /* VACE: [1, channels, F, h, w], [side blocks] */
  gint64 n_references;               /* latent frames in front that are not of the clip */
  /* Of one frame that is drawn from a picture: */
  AtlArray *clean, *noise; /* latents [1, channels, 1, h, w] */
  AtlArray *mask;          /* [1, 1, h, w]: what may change; NULL: all */
} AtlWan;

/* Whether the denoiser takes a clip and its mask beside a latent of so many channels, or a control.
 * FALSE also when it cannot be opened. */
gboolean atl_wan_takes_condition (AtlBundle *bundle, gint64 channels);
gboolean atl_wan_takes_control (AtlBundle *bundle);
/* Reads the inputs image, last_image, control_video, mask and reference_image (or image_1, …) for
 * what the denoiser takes. ATL_ERROR_INVALID, ATL_ERROR_UNSUPPORTED in words. */
gboolean atl_wan_read_condition (AtlRun *run, AtlWan *self, GError **error);
/* Whether one frame is drawn from the input image: as noisy as the setting "strength" (0.6) says,
 * and not after it. */
gboolean atl_wan_is_picture (const AtlRun *run, const AtlWan *self);
/* Reads image and mask for that. ATL_ERROR_INVALID in words. */
gboolean atl_wan_read_start (AtlRun *run, AtlWan *self, GError **error);

G_END_DECLS
