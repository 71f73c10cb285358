/* Names and ratios. */
#include "app/images/picture-shapes.h"

#include <math.h>

#define MAX_SIDE 4096u

const char *const *
atl_picture_shapes (void)
{
  static const char *const shapes[] = { "1:1", "5:4", "4:3", "3:2",  "16:9", "21:9",
                                        "4:5", "3:4", "2:3", "9:16", "9:21", NULL };
  return shapes;
}

double
atl_picture_shape_ratio (const char *shape)
{
  char *end;
  guint64 width = g_ascii_strtoull (shape, &end, 10), height;

  if (*end != ':')
    return 1;
  height = g_ascii_strtoull (end + 1, NULL, 10);
  return width > 0 && height > 0 && width < 1000 && height < 1000 ? (double) width / (double) height
                                                                  : 1;
}

guint
atl_picture_round_side (double size, guint multiple)
{
  double most = MAX (1, MAX_SIDE / multiple);

  return (guint) CLAMP (floor (size / multiple + 0.5), 1, most) * multiple;
}
