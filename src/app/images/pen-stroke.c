/* Pens, told by their tool: their events come from the pointer that all devices move, so that the
 * device alone says little where a tool is known. */
#include "app/images/pen-stroke.h"

/* The least that a pen draws, however softly it touches. */
#define LEAST_WIDTH 0.25

static gboolean
is_pen (const AtlPenInput *input)
{
  if (!input->has_tool)
    return input->source == GDK_SOURCE_PEN;
  return input->tool != GDK_DEVICE_TOOL_TYPE_MOUSE && input->tool != GDK_DEVICE_TOOL_TYPE_LENS;
}

AtlPenStroke
atl_pen_stroke (const AtlPenInput *input)
{
  AtlPenStroke stroke = { 1, FALSE };

  stroke.erases = input->has_tool && input->tool == GDK_DEVICE_TOOL_TYPE_ERASER;
  if (input->has_pressure && is_pen (input))
    stroke.width = LEAST_WIDTH + (1 - LEAST_WIDTH) * CLAMP (input->pressure, 0, 1);
  return stroke;
}

AtlPenStroke
atl_pen_stroke_of_event (GdkEvent *event)
{
  AtlPenInput input = { FALSE, GDK_DEVICE_TOOL_TYPE_UNKNOWN, GDK_SOURCE_MOUSE, FALSE, 0 };
  GdkDeviceTool *tool = event != NULL ? gdk_event_get_device_tool (event) : NULL;
  GdkDevice *device = event != NULL ? gdk_event_get_device (event) : NULL;

  if (tool != NULL)
    {
      input.has_tool = TRUE;
      input.tool = gdk_device_tool_get_tool_type (tool);
    }
  if (device != NULL)
    input.source = gdk_device_get_source (device);
  if (event != NULL)
    input.has_pressure = gdk_event_get_axis (event, GDK_AXIS_PRESSURE, &input.pressure);
  return atl_pen_stroke (&input);
}
