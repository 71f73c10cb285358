/* Mirrors the edges outwards. */
#include "app/images/picture-extend.h"

#include <glib/gi18n.h>
#include <string.h>

/* How far the mask reaches into the picture: a part of its shorter side. */
#define SEAM_PARTS 32u

void
atl_extended_clear (AtlExtended *self)
{
  g_clear_pointer (&self->rgb, g_bytes_unref);
  g_clear_pointer (&self->mask, g_bytes_unref);
}

/* Where `i` px beyond or within a row of `n` px comes from, back and forth. */
static guint
mirrored (gint64 i, guint n)
{
  gint64 period = 2 * (gint64) n;

  i = ((i % period) + period) % period;
  return (guint) (i < n ? i : period - 1 - i);
}

/* 255 outside of [0, n), falling to 0 over `seam` px inside of an edge that is extended. */
static guint
rim (gint64 i, guint n, guint seam, gboolean before, gboolean after)
{
  guint value = 0;

  if (i < 0 || i >= n)
    return 255;
  if (before && i < seam)
    value = MAX (value, (guint) ((seam - i) * 255 / (seam + 1)));
  if (after && n - 1 - i < seam)
    value = MAX (value, (guint) ((seam - (n - 1 - i)) * 255 / (seam + 1)));
  return value;
}

gboolean
atl_picture_extend (GBytes *rgb,
                    guint width,
                    guint height,
                    const guint extend[4],
                    const guint8 *painted,
                    guint painted_width,
                    guint painted_height,
                    AtlExtended *result,
                    GError **error)
{
  const guint8 *from = g_bytes_get_data (rgb, NULL);
  guint left = width * extend[0] / 100, top = height * extend[1] / 100;
  guint seam = MAX (1, MIN (width, height) / SEAM_PARTS);
  guint8 *to, *mask;
  gsize size;

  g_return_val_if_fail (g_bytes_get_size (rgb) >= (gsize) width * height * 3, FALSE);
  result->width = width + left + width * extend[2] / 100;
  result->height = height + top + height * extend[3] / 100;
  size = (gsize) result->width * result->height * 3;
  to = g_try_malloc (size);
  mask = g_try_malloc (size);
  if (to == NULL || mask == NULL)
    {
      g_free (to);
      g_free (mask);
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
                   _ ("There is no memory left for a picture of %u × %u pixels."), result->width,
                   result->height);
      return FALSE;
    }
  for (guint y = 0; y < result->height; y++)
    for (guint x = 0; x < result->width; x++)
      {
        gsize at = 3 * ((gsize) y * result->width + x);
        gint64 sx = (gint64) x - left, sy = (gint64) y - top;
        guint mx = mirrored (sx, width), my = mirrored (sy, height);
        guint value = MAX (rim (sx, width, seam, extend[0] > 0, extend[2] > 0),
                           rim (sy, height, seam, extend[1] > 0, extend[3] > 0));

        if (painted != NULL && value < 255)
          value = MAX (value, painted[(gsize) my * painted_height / height * painted_width +
                                      (gsize) mx * painted_width / width]);
        memcpy (to + at, from + 3 * ((gsize) my * width + mx), 3);
        memset (mask + at, (int) value, 3);
      }
  result->rgb = g_bytes_new_take (to, size);
  result->mask = g_bytes_new_take (mask, size);
  return TRUE;
}
