/* Sinusoidal timestep features (Vaswani et al. 2017; diffusers get_timestep_embedding with
 * flip_sin_to_cos): cosines first, then sines, frequency exp(-ln(10000) i / (dim / 2)). Pure
 * function. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* out [n, dim], dim even. */
void atl_timestep_features (const float *timesteps, guint n, guint dim, float *out);

G_END_DECLS
