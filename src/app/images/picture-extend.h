/* A picture on a larger ground, and the mask of what is new: what the engine needs to draw beyond
 * the edges.
 *
 * Threading: pure functions; slow ones for a large picture: on a worker.
 */
#pragma once

#include <glib.h>

#include "base/error.h"

G_BEGIN_DECLS

typedef struct
{
  GBytes *rgb;  /* [height, width, 3] */
  GBytes *mask; /* [height, width, 3]: white where it is to be drawn */
  guint width, height;
} AtlExtended;

/* `extend` is percent of the sides added left, above, right and below. The new ground repeats the
 * picture mirrored at its edges; the mask reaches a little into the picture, softly, so that no
 * seam is left. `painted` (nullable) [painted_height, painted_width], 255 where the picture itself
 * may change as well. ATL_ERROR_NO_MEMORY. */
gboolean atl_picture_extend (GBytes *rgb,
                             guint width,
                             guint height,
                             const guint extend[4],
                             const guint8 *painted,
                             guint painted_width,
                             guint painted_height,
                             AtlExtended *result,
                             GError **error);
void atl_extended_clear (AtlExtended *self);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlExtended, atl_extended_clear)

G_END_DECLS
