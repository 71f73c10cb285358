/* The shapes of pictures that are offered, and their sizes in pixels for a model.
 *
 *   const AtlPictureShape *shapes = atl_picture_shapes (&n);
 *   atl_picture_shape_size (&shapes[1], 1024, 8, &width, &height);        1152 × 896
 *
 * A model draws best near the number of pixels it was trained with, so every shape has about as
 * many as its square, never more.
 *
 * Threading: pure functions.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  const char *name; /* "4:3", as people write it */
  guint w, h;       /* the ratio */
} AtlPictureShape;

/* Static; the square is the first, then what lies, then what stands upright. */
const AtlPictureShape *atl_picture_shapes (guint *n);

/* In px for a model that was trained for squares of `side`, whose width and height are multiples of
 * `multiple` (both at least 1). */
void atl_picture_shape_size (
    const AtlPictureShape *shape, guint side, guint multiple, guint *width, guint *height);

/* The number of the shape that has exactly this size for the model, -1 when none has. */
gint atl_picture_shape_find (guint width, guint height, guint side, guint multiple);

/* The multiple of `multiple` that is nearest to `size`, from one to as many as 4096 px hold. */
guint atl_picture_round_side (double size, guint multiple);

G_END_DECLS
