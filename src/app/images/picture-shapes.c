/* From a ratio to the best size with about as many pixels as the model's square. */
#include "app/images/picture-shapes.h"

#include <math.h>

#define MAX_SIDE 4096u
/* The grid of sizes that models were trained with: 64 px where the square has 1024. */
#define STEPS_A_SIDE 16u

static const AtlPictureShape shapes[] = {
  { "1:1", 1, 1 }, { "4:3", 4, 3 }, { "3:2", 3, 2 },   { "16:9", 16, 9 }, { "21:9", 21, 9 },
  { "3:4", 3, 4 }, { "2:3", 2, 3 }, { "9:16", 9, 16 }, { "9:21", 9, 21 },
};

const AtlPictureShape *
atl_picture_shapes (guint *n)
{
  *n = G_N_ELEMENTS (shapes);
  return shapes;
}

guint
atl_picture_round_side (double size, guint multiple)
{
  double most = MAX (1, MAX_SIDE / multiple);

  return (guint) CLAMP (floor (size / multiple + 0.5), 1, most) * multiple;
}

/* How far a size is off: in its shape first, and half as much in lacking pixels. */
static double
badness (guint width, guint height, double ratio, double pixels)
{
  return fabs (log ((double) width / height / ratio)) +
         fabs (log ((double) width * height / pixels)) / 2;
}

void
atl_picture_shape_size (
    const AtlPictureShape *shape, guint side, guint multiple, guint *width, guint *height)
{
  double ratio = (double) shape->w / shape->h, pixels = (double) side * side, best = INFINITY;
  guint grid = MAX (1, (side / STEPS_A_SIDE + multiple - 1) / multiple) * multiple;

  *width = *height = atl_picture_round_side (side, multiple);
  if (shape->w == shape->h)
    return;
  for (guint w = grid; w <= MAX_SIDE && w <= 8 * side; w += grid)
    {
      double exact = w / ratio / grid;

      for (guint i = 0; i < 2; i++)
        {
          guint h = (guint) (i == 0 ? floor (exact) : ceil (exact)) * grid;
          double bad;

          if (h == 0 || h > MAX_SIDE || (double) w * h > pixels)
            continue;
          bad = badness (w, h, ratio, pixels);
          if (bad >= best)
            continue;
          best = bad;
          *width = w;
          *height = h;
        }
    }
}

gint
atl_picture_shape_find (guint width, guint height, guint side, guint multiple)
{
  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
    {
      guint w, h;

      atl_picture_shape_size (&shapes[i], side, multiple, &w, &h);
      if (w == width && h == height)
        return (gint) i;
    }
  return -1;
}
