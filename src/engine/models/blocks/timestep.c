/* Sinusoidal timestep features. */
#include "engine/models/blocks/timestep.h"

#include <math.h>

void
atl_timestep_features (const float *timesteps, guint n, guint dim, float *out)
{
  guint half = dim / 2;

  for (guint t = 0; t < n; t++)
    for (guint i = 0; i < half; i++)
      {
        double angle = timesteps[t] * exp (-log (10000.0) * i / half);
        out[t * dim + i] = (float) cos (angle);
        out[t * dim + half + i] = (float) sin (angle);
      }
}
