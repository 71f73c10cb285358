/* Wan's rotation: positions of a clip's tokens as angles. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/video/wan-rope.h"

#include <math.h>

#include "engine/models/blocks/rope-table.h"

AtlArray *
atl_wan_rope (gint64 d, gint64 F, gint64 h, gint64 w)
{
  gint64 side = 2 * (d / 6), axis_dim[3] = { d - 2 * side, side, side };
  gint64 T = F * h * w, at = 0;
  AtlArray *table = atl_array_new ("rope", ATL_DTYPE_F32, 2, (gint64[]){ T, d });

  if (atl_array_is_hollow (table))
    return table;
  for (guint axis = 0; axis < 3; axis++)
    {
      guint half = (guint) axis_dim[axis] / 2;
      g_autofree double *freqs = g_new (double, half);
      AtlRopeParams params = { .n_rot = (guint) axis_dim[axis],
                               .base = 10000.0,
                               .attn_factor = 1.0 };

      atl_rope_frequencies (&params, NULL, freqs);
      for (gint64 t = 0; t < T; t++)
        {
          gint64 position = axis == 0 ? t / (h * w) : axis == 1 ? t / w % h : t % w;
          float *row = atl_array_f32 (table) + t * d;

          for (guint i = 0; i < half; i++)
            {
              row[at + i] = (float) cos (position * freqs[i]);
              row[d / 2 + at + i] = (float) sin (position * freqs[i]);
            }
        }
      at += half;
    }
  return table;
}
