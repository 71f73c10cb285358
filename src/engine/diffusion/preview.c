/* What a latent will look like, roughly and at once: three of its channels as colours. */
#define G_LOG_DOMAIN "atl-diffusion"

#include <math.h>

#include "engine/diffusion/model.h"

/* Mean and spread of what is finite. */
static void
measure (const float *x, gint64 n, double *mean, double *spread)
{
  double sum = 0, squares = 0;
  gint64 count = 0;

  for (gint64 i = 0; i < n; i++)
    if (isfinite (x[i]))
      {
        sum += x[i];
        squares += (double) x[i] * x[i];
        count++;
      }
  *mean = count > 0 ? sum / (double) count : 0;
  *spread = count > 0 ? sqrt (MAX (squares / (double) count - *mean * *mean, 1e-12)) : 1;
}

gboolean
atl_diffusion_model_preview (const AtlDiffusionModel *self,
                             const AtlArray *latent,
                             guint max_side,
                             guint8 **rgb,
                             guint *width,
                             guint *height)
{
  gint64 w, h, step, plane;

  if ((latent->n_dims != 4 && latent->n_dims != 5) || latent->dtype != ATL_DTYPE_F32 ||
      latent->dim[1] < 3)
    return FALSE;
  w = latent->dim[latent->n_dims - 1];
  h = latent->dim[latent->n_dims - 2];
  plane = atl_array_n_elems (latent) / latent->dim[0] / latent->dim[1];
  step = (MAX (w, h) + max_side - 1) / max_side;
  *width = (guint) ((w + step - 1) / step);
  *height = (guint) ((h + step - 1) / step);
  *rgb = g_malloc ((gsize) *width * *height * 3);
  for (guint c = 0; c < 3; c++)
    {
      const float *x = atl_array_f32 ((AtlArray *) latent) + c * plane;
      double mean, spread;

      measure (x, w * h, &mean, &spread);
      for (guint y = 0; y < *height; y++)
        for (guint i = 0; i < *width; i++)
          {
            double value = 0.5 + (x[y * step * w + i * step] - mean) / (5 * spread);

            (*rgb)[((gsize) y * *width + i) * 3 + c] = (guint8) (CLAMP (value, 0, 1) * 255 + 0.5);
          }
    }
  return TRUE;
}
