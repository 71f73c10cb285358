/* Sinusoidal timestep features. */
#include "engine/models/blocks/timestep.h"

#include <math.h>

void
atl_timestep_features (const float *timesteps, guint n, guint dim, float *out)
{
  guint half = dim / 2;

  for (guint i = 0; i < half; i++)
    {
      /* In single precision, as the originals: of a large angle the rounding shows. */
      float exponent = (float) -log (10000.0) * (float) i / (float) half;
      float frequency = expf (exponent);

      for (guint t = 0; t < n; t++)
        {
          float angle = timesteps[t] * frequency;

          out[t * dim + i] = (float) cos ((double) angle);
          out[t * dim + half + i] = (float) sin ((double) angle);
        }
    }
}

AtlArray *
atl_timestep_array (const char *name, const AtlArray *numbers, gint64 B, float factor, guint dim)
{
  AtlArray *out = atl_array_new (name, ATL_DTYPE_F32, 2, (gint64[]){ B, dim });

  for (gint64 b = 0; b < B; b++)
    {
      float t = factor * atl_array_f32 (numbers)[numbers->dim[0] == B ? b : 0];

      atl_timestep_features (&t, 1, dim, atl_array_f32 (out) + b * dim);
    }
  return out;
}
