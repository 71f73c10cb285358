/* Pictures in another size, part by part: Lanczos' filter with three lobes (Duchon 1979), widened
 * where the picture becomes smaller.
 *
 *   atl_resample (&from, 0.5, x, y, w, h, out, 3);
 *
 * Threading: pure function.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A plane of numbers that is a part of a larger one. */
typedef struct
{
  const float *data; /* [height, width] */
  gint64 width, height;
  gint64 x, y; /* where in the whole plane it begins */
} AtlPlane;

/* Pixels [y, y + h) x [x, x + w) of the whole plane enlarged by `factor` (below 1: made smaller),
 * as bytes of 0…1, `stride` numbers apart from pixel to pixel and `row` from row to row. Where the
 * filter reaches out of the part, its border goes on. A factor of 1 copies. */
void atl_resample (const AtlPlane *plane,
                   double factor,
                   gint64 x,
                   gint64 y,
                   gint64 w,
                   gint64 h,
                   guint8 *out,
                   gsize stride,
                   gsize row);

G_END_DECLS
