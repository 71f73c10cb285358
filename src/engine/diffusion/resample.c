/* Lanczos' filter, one direction after the other. */
#include "engine/diffusion/resample.h"

#include <math.h>

#define LOBES 3.0

/* What one pixel is made of: `n` pixels from `first` on. */
typedef struct
{
  gint64 first;
  guint n;
  float *weights; /* borrowed [n] */
} Tap;

typedef struct
{
  Tap *taps;      /* (owned) */
  float *weights; /* (owned) of all taps */
} Taps;

static double
lanczos (double x)
{
  if (fabs (x) < 1e-9)
    return 1.0;
  if (fabs (x) >= LOBES)
    return 0.0;
  x *= G_PI;
  return LOBES * sin (x) * sin (x / LOBES) / (x * x);
}

static void
taps_clear (Taps *self)
{
  g_free (self->taps);
  g_free (self->weights);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Taps, taps_clear)

/* Of pixels [start, start + n) of a line that `factor` made of one which begins at `origin`. */
static Taps
taps_for (gint64 start, gint64 n, double factor, gint64 origin)
{
  double wide = MAX (1.0, 1.0 / factor), reach = LOBES * wide;
  guint most = (guint) (2 * reach) + 2;
  Taps taps = { g_new (Tap, n), g_new (float, (n * most)) };

  for (gint64 i = 0; i < n; i++)
    {
      double center = ((double) (start + i) + 0.5) / factor - 0.5, sum = 0.0;
      Tap *tap = &taps.taps[i];

      tap->first = (gint64) ceil (center - reach);
      tap->n = 0;
      tap->weights = taps.weights + i * most;
      for (gint64 k = tap->first; k <= (gint64) floor (center + reach) && tap->n < most; k++)
        {
          double weight = lanczos (((double) k - center) / wide);

          tap->weights[tap->n++] = (float) weight;
          sum += weight;
        }
      for (guint k = 0; k < tap->n; k++)
        tap->weights[k] /= (float) sum;
      tap->first -= origin;
    }
  return taps;
}

static guint8
to_byte (float x)
{
  return (guint8) lrintf (255.0f * CLAMP (x, 0.0f, 1.0f));
}

static void
copy (const AtlPlane *plane,
      gint64 x,
      gint64 y,
      gint64 w,
      gint64 h,
      guint8 *out,
      gsize stride,
      gsize row)
{
  for (gint64 i = 0; i < h; i++)
    {
      const float *from = plane->data + (y + i - plane->y) * plane->width + x - plane->x;

      for (gint64 k = 0; k < w; k++)
        out[(gsize) i * row + (gsize) k * stride] = to_byte (from[k]);
    }
}

void
atl_resample (const AtlPlane *plane,
              double factor,
              gint64 x,
              gint64 y,
              gint64 w,
              gint64 h,
              guint8 *out,
              gsize stride,
              gsize row)
{
  g_auto (Taps) across = { NULL, NULL };
  g_auto (Taps) down = { NULL, NULL };
  g_autofree float *lines = NULL;
  gint64 top, n_lines;

  if (factor == 1.0)
    {
      copy (plane, x, y, w, h, out, stride, row);
      return;
    }
  across = taps_for (x, w, factor, plane->x);
  down = taps_for (y, h, factor, plane->y);
  /* Rows of the plane that are needed, in the new width. */
  top = CLAMP (down.taps[0].first, 0, plane->height - 1);
  n_lines = CLAMP (down.taps[h - 1].first + down.taps[h - 1].n, top + 1, plane->height) - top;
  lines = g_new (float, (n_lines * w));
  for (gint64 i = 0; i < n_lines; i++)
    for (gint64 k = 0; k < w; k++)
      {
        const Tap *tap = &across.taps[k];
        const float *from = plane->data + (top + i) * plane->width;
        float sum = 0.0f;

        for (guint t = 0; t < tap->n; t++)
          sum += tap->weights[t] * from[CLAMP (tap->first + t, 0, plane->width - 1)];
        lines[i * w + k] = sum;
      }
  for (gint64 i = 0; i < h; i++)
    for (gint64 k = 0; k < w; k++)
      {
        const Tap *tap = &down.taps[i];
        float sum = 0.0f;

        for (guint t = 0; t < tap->n; t++)
          sum += tap->weights[t] *
                 lines[(CLAMP (tap->first + t, top, top + n_lines - 1) - top) * w + k];
        out[(gsize) i * row + (gsize) k * stride] = to_byte (sum);
      }
}
