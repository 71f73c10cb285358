/* Latents as colours: a picture's cell is a weighted sum of its channels, roughly.
 *
 *   const AtlColors *colours = atl_colors_published (4, 0.18215);
 *   guint8 *rgb = atl_colors_paint (colours, latent, 0, 64, &width, &height);
 *
 * Threading: pure functions.
 */
#pragma once

#include "engine/tensor/array.h"

G_BEGIN_DECLS

#define ATL_COLORS_MAX_CHANNELS 64

/* colour c in -1…1 = bias[c] + sum over the channels of factors[channel][c] * latent. */
typedef struct
{
  guint n_channels;
  float bias[3];
  float factors[ATL_COLORS_MAX_CHANNELS][3];
} AtlColors;

/* Those published for a latent of so many channels with that scaling factor; 0 stands for latents
 * normalised by Wan's statistics. NULL when there are none. Source: ComfyUI,
 * comfy/latent_formats.py (commit 783545f), its numbers. */
const AtlColors *atl_colors_published (gint64 channels, double scaling);

/* Least squares, regularised: what makes of the latent [1, C, h, w] the picture [1, 3, h * f, w *
 * f] in -1…1. FALSE when there are too many channels or the numbers make no sense. */
gboolean atl_colors_fit (const AtlArray *latent, const AtlArray *picture, AtlColors *out);

/* A picture for atl_colors_fit(): soft and flat areas of all colours, [1, 3, side, side]. The
 * caller's. */
AtlArray *atl_colors_chart (gint64 side);

/* Frame `frame` of latent [1, C, (F,) h, w] as [height, width, 3], no side larger than max_side;
 * the caller's. C is that of the colours. */
guint8 *atl_colors_paint (const AtlColors *self,
                          const AtlArray *latent,
                          gint64 frame,
                          guint max_side,
                          guint *width,
                          guint *height);

G_END_DECLS
