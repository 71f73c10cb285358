/* Pictures as the enlargers take them. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/upscale/pixels.h"

#include <glib/gi18n.h>

/* Where pixel i of a row of n is when it is mirrored at the end, the last pixel not twice. */
static gint64
mirrored (gint64 i, gint64 n)
{
  gint64 period = MAX (2 * (n - 1), 1);

  i %= period;
  return i < n ? i : period - i;
}

/* x with its right and bottom mirrored so that both sides are multiples of f. The caller's;
 * NULL where memory is out. */
static AtlArray *
fill_up (const AtlArray *x, gint64 f, GError **error)
{
  gint64 C = x->dim[1], H = x->dim[2], W = x->dim[3];
  gint64 h = (H + f - 1) / f * f, w = (W + f - 1) / f * f;
  AtlArray *out = atl_array_try_new ("pixels", ATL_DTYPE_F32, 4, (gint64[]){ 1, C, h, w }, error);

  for (gint64 c = 0; out != NULL && c < C; c++)
    for (gint64 i = 0; i < h; i++)
      for (gint64 k = 0; k < w; k++)
        atl_array_f32 (out)[(c * h + i) * w + k] =
            atl_array_f32 (x)[(c * H + mirrored (i, H)) * W + mirrored (k, W)];
  return out;
}

AtlArray *
atl_upscale_pixels (const AtlRequest *request,
                    gint64 colors,
                    gint64 fold,
                    gint64 *height,
                    gint64 *width,
                    GError **error)
{
  AtlArray *x = atl_request_require (request, "image", ATL_DTYPE_F32, 4, error);

  if (x == NULL)
    return NULL;
  if (x->dim[0] != 1 || x->dim[1] != colors)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("This network enlarges one picture of %d colours at a time"), (int) colors);
      return NULL;
    }
  *height = x->dim[2];
  *width = x->dim[3];
  return fill_up (x, fold, error);
}
