/* Pictures that a picture begins with: decoded behind the sandbox, and brought to a size. */
#define G_LOG_DOMAIN "atl-service"

#include <math.h>

#include "engine/service/service-private.h"

AtlPicture *
atl_picture_input_decode (AtlFileMap *map, GError **error)
{
  return atl_picture_decode (atl_file_map_data (map), atl_file_map_size (map), ATL_MAX_INPUT_PIXELS,
                             error);
}

/* One line of `n` samples, `stride` apart, to `m`: a triangle as wide as the larger of both
 * distances, so that shrinking averages and growing interpolates. */
static void
filter_line (const float *from, gint64 n, gint64 stride, float *to, gint64 m, gint64 to_stride)
{
  double scale = (double) n / (double) m;
  double width = MAX (scale, 1.0);

  for (gint64 i = 0; i < m; i++)
    {
      double middle = ((double) i + 0.5) * scale - 0.5, sum = 0, weights = 0;
      gint64 first = MAX ((gint64) ceil (middle - width), 0);
      gint64 last = MIN ((gint64) floor (middle + width), n - 1);

      for (gint64 k = first; k <= last; k++)
        {
          double weight = 1 - fabs ((double) k - middle) / width;

          sum += weight * from[k * stride];
          weights += weight;
        }
      to[i * to_stride] = (float) (sum / weights);
    }
}

AtlArray *
atl_picture_input_array (
    const AtlPicture *picture, const char *name, guint n_channels, gint64 width, gint64 height)
{
  AtlArray *array =
      atl_array_new (name, ATL_DTYPE_F32, 4, (gint64[]){ 1, n_channels, height, width });
  gint64 w = picture->width, h = picture->height;
  g_autofree float *line = g_new (float, w);
  g_autofree float *narrow = g_new (float, h *width);

  for (guint c = 0; c < n_channels; c++)
    {
      float *plane = atl_array_f32 (array) + (gint64) c * height * width;

      for (gint64 y = 0; y < h; y++)
        {
          for (gint64 x = 0; x < w; x++)
            line[x] = (float) picture->rgb[(y * w + x) * 3 + c] / 255.0f;
          filter_line (line, w, 1, narrow + y * width, width, 1);
        }
      for (gint64 x = 0; x < width; x++)
        filter_line (narrow + x, h, width, plane + x, height, width);
    }
  return array;
}
