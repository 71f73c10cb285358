/* What a movement on the mask paints, by what makes it: mouse, finger, or a pen with its two ends.
 *
 *   AtlPenStroke stroke = atl_pen_stroke_of_event (event);
 *   atl_mask_line (mask, x0, y0, x1, y1, radius * stroke.width, stroke.erases);
 *
 * Threading: the main thread.
 */
#pragma once

#include <gdk/gdk.h>

G_BEGIN_DECLS

/* What is known of the device behind an event. */
typedef struct
{
  gboolean has_tool; /* the device told which tool is held */
  GdkDeviceToolType tool;
  GdkInputSource source; /* of the device; all that is known where there is no tool */
  gboolean has_pressure;
  double pressure; /* 0 to 1 */
} AtlPenInput;

typedef struct
{
  double width;    /* part of the brush's, 0.25 to 1 */
  gboolean erases; /* the end of a pen that erases */
} AtlPenStroke;

/* Only of a pen's pressure does the width depend: a mouse may claim to have one, always 0. */
AtlPenStroke atl_pen_stroke (const AtlPenInput *input);
/* NULL is a mouse. */
AtlPenStroke atl_pen_stroke_of_event (GdkEvent *event);

G_END_DECLS
