/* Pictures for CLIP's vision tower. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/clip-pixels.h"

#include <math.h>

#include "base/json-bounded.h"

#define MAX_SIDE 512
#define DEFAULT_SIDE 224
#define BITS 22 /* of a weight's fraction */

/* Keys' filter with a = -0.5. */
static double
bicubic (double x)
{
  x = fabs (x);
  if (x < 1.0)
    return (1.5 * x - 2.5) * x * x + 1.0;
  return x < 2.0 ? -0.5 * (((x - 5.0) * x + 8.0) * x - 4.0) : 0.0;
}

static double
bilinear (double x)
{
  return MAX (1.0 - fabs (x), 0.0);
}

typedef struct
{
  double (*weight) (double x);
  double support; /* in pixels */
} Filter;

static const Filter filters[] = {
  [ATL_FILTER_BICUBIC] = { bicubic, 2.0 }, [ATL_FILTER_BILINEAR] = { bilinear, 1.0 }
};

/* `n_lines` lines of `n_in` bytes, each `in_line` apart and its pixels `in_step`, to `n_out` of the
 * same layout in `to`. */
static void
resize_lines (const guint8 *from,
              gint64 n_in,
              gint64 in_step,
              gint64 in_line,
              guint8 *to,
              gint64 n_out,
              gint64 out_step,
              gint64 out_line,
              gint64 n_lines,
              const Filter *filter)
{
  double scale = (double) n_in / (double) n_out, wide = MAX (scale, 1.0);
  double support = filter->support * wide;
  g_autofree double *w = g_new (double, (gsize) ceil (support) * 2 + 1);

  for (gint64 o = 0; o < n_out; o++)
    {
      double center = ((double) o + 0.5) * scale, sum = 0.0;
      gint64 first = MAX ((gint64) (center - support + 0.5), 0);
      gint64 n = MIN ((gint64) (center + support + 0.5), n_in) - first;

      for (gint64 i = 0; i < n; i++)
        {
          w[i] = filter->weight (((double) (i + first) - center + 0.5) / wide);
          sum += w[i];
        }
      for (gint64 i = 0; i < n; i++)
        {
          double fixed = w[i] / sum * (1 << BITS);

          w[i] = trunc (fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
      for (gint64 line = 0; line < n_lines; line++)
        {
          const guint8 *p = from + line * in_line + first * in_step;
          gint64 total = 1 << (BITS - 1);

          for (gint64 i = 0; i < n; i++)
            total += p[i * in_step] * (gint64) w[i];
          to[line * out_line + o * out_step] = (guint8) CLAMP (total >> BITS, 0, 255);
        }
    }
}

static double
list_number (JsonObject *object, const char *member, guint i, double fallback)
{
  JsonArray *list = atl_json_array (object, member);
  JsonNode *node =
      list != NULL && json_array_get_length (list) == 3 ? json_array_get_element (list, i) : NULL;

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_double (node) : fallback;
}

/* A plane [H, W] of 0…1 in another size, on 8 bits; `h` x `w` bytes, the caller's. */
static guint8 *
resize_plane (const float *from, gint64 H, gint64 W, gint64 h, gint64 w, const Filter *filter)
{
  g_autofree guint8 *bytes = g_malloc ((gsize) (H * W));
  g_autofree guint8 *wide = g_malloc ((gsize) (H * w));
  guint8 *small = g_malloc ((gsize) (h * w));

  for (gint64 i = 0; i < H * W; i++)
    bytes[i] = (guint8) (CLAMP (from[i], 0.0f, 1.0f) * 255.0f + 0.5f);
  resize_lines (bytes, W, 1, W, wide, w, 1, w, H, filter);
  resize_lines (wide, H, w, 1, small, h, w, 1, w, filter);
  return small;
}

AtlArray *
atl_resize_picture (
    const AtlArray *picture, const char *name, gint64 height, gint64 width, AtlFilter filter)
{
  gint64 H = picture->dim[2], W = picture->dim[3], n = height * width;
  AtlArray *out =
      atl_array_new (name, ATL_DTYPE_F32, 4, (gint64[]){ 1, picture->dim[1], height, width });

  for (gint64 c = 0; c < picture->dim[1] && !atl_array_is_hollow (picture); c++)
    {
      g_autofree guint8 *plane =
          resize_plane (atl_array_f32 (picture) + c * H * W, H, W, height, width, &filters[filter]);

      for (gint64 i = 0; i < n; i++)
        atl_array_f32 (out)[c * n + i] = plane[i] / 255.0f;
    }
  return out;
}

static const double means[] = { 0.48145466, 0.4578275, 0.40821073 };
static const double stds[] = { 0.26862954, 0.26130258, 0.27577711 };

void
atl_clip_normalize (AtlArray *picture)
{
  gint64 n = picture->dim[2] * picture->dim[3];

  for (gint64 i = 0; i < 3 * n && !atl_array_is_hollow (picture); i++)
    atl_array_f32 (picture)[i] =
        (float) ((atl_array_f32 (picture)[i] - means[i / n]) / stds[i / n]);
}

AtlArray *
atl_clip_pixels (const AtlArray *picture, JsonObject *processor)
{
  JsonObject *size = atl_json_object (processor, "size");
  JsonObject *crop = atl_json_object (processor, "crop_size");
  gint64 edge = CLAMP (atl_json_int (size, "shortest_edge", DEFAULT_SIDE), 1, MAX_SIDE);
  gint64 side = CLAMP (atl_json_int (crop, "height", edge), 1, MAX_SIDE);
  gint64 H = picture->dim[2], W = picture->dim[3];
  gint64 h = H <= W ? edge : (gint64) ((double) (edge * H) / (double) W);
  gint64 w = W <= H ? edge : (gint64) ((double) (edge * W) / (double) H);
  /* Floor, also of negative ones. */
  gint64 top = (h - side) >> 1, left = (w - side) >> 1;
  AtlArray *out = atl_array_new ("image", ATL_DTYPE_F32, 4, (gint64[]){ 1, 3, side, side });

  for (guint c = 0; c < 3 && !atl_array_is_hollow (picture); c++)
    {
      g_autofree guint8 *small = resize_plane (atl_array_f32 (picture) + c * H * W, H, W, h, w,
                                               &filters[ATL_FILTER_BICUBIC]);
      float *to = atl_array_f32 (out) + c * side * side;
      double mean = list_number (processor, "image_mean", c, means[c]);
      double std = list_number (processor, "image_std", c, stds[c]);

      for (gint64 y = 0; y < side; y++)
        for (gint64 x = 0; x < side; x++)
          {
            gint64 sy = y + top, sx = x + left;
            double value = sy >= 0 && sy < h && sx >= 0 && sx < w ? small[sy * w + sx] / 255.0 : 0;

            to[y * side + x] = (float) ((value - mean) / std);
          }
    }
  return out;
}
