/* Sinusoidal timestep features (Vaswani et al. 2017; diffusers get_timestep_embedding with
 * flip_sin_to_cos): cosines first, then sines, frequency exp(-ln(10000) i / (dim / 2)).
 *
 * Threading: pure functions.
 */
#pragma once

#include "engine/tensor/array.h"

G_BEGIN_DECLS

/* out [n, dim], dim even. */
void atl_timestep_features (const float *timesteps, guint n, guint dim, float *out);
/* The array `name` [B, dim] of factor times `numbers` [B] or [1] (of other lengths the first counts
 * for all). The caller's. */
AtlArray *
atl_timestep_array (const char *name, const AtlArray *numbers, gint64 B, float factor, guint dim);

G_END_DECLS
