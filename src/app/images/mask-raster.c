/* Painting into bytes. Steps of undo are whole copies: masks are small, and so a step back is
 * exactly what was there. */
#include "app/images/mask-raster.h"

#include <math.h>
#include <string.h>

#include "media/picture.h"

#define MAX_SIDE 4096u
/* Bytes that the steps of undo may take together; at least one is kept. */
#define MAX_UNDO_BYTES (48u << 20)

struct _AtlMask
{
  guint width, height;
  guint8 *bytes;     /* [height, width] */
  GQueue undo, redo; /* of guint8 *, newest first */
};

AtlMask *
atl_mask_new (guint width, guint height)
{
  AtlMask *self = g_new0 (AtlMask, 1);

  self->width = CLAMP (width, 1, MAX_SIDE);
  self->height = CLAMP (height, 1, MAX_SIDE);
  self->bytes = g_malloc0 ((gsize) self->width * self->height);
  g_queue_init (&self->undo);
  g_queue_init (&self->redo);
  return self;
}

void
atl_mask_free (AtlMask *self)
{
  if (self == NULL)
    return;
  g_queue_clear_full (&self->undo, g_free);
  g_queue_clear_full (&self->redo, g_free);
  g_free (self->bytes);
  g_free (self);
}

guint
atl_mask_get_width (const AtlMask *self)
{
  return self->width;
}

guint
atl_mask_get_height (const AtlMask *self)
{
  return self->height;
}

const guint8 *
atl_mask_get_bytes (const AtlMask *self)
{
  return self->bytes;
}

static gsize
size_of (const AtlMask *self)
{
  return (gsize) self->width * self->height;
}

gboolean
atl_mask_is_empty (const AtlMask *self)
{
  for (gsize i = 0; i < size_of (self); i++)
    if (self->bytes[i] > 0)
      return FALSE;
  return TRUE;
}

/* --- Undo --- */

void
atl_mask_begin (AtlMask *self)
{
  guint most = MAX (1, MAX_UNDO_BYTES / (guint) size_of (self));

  g_queue_clear_full (&self->redo, g_free);
  g_queue_push_head (&self->undo, g_memdup2 (self->bytes, size_of (self)));
  while (g_queue_get_length (&self->undo) > most)
    g_free (g_queue_pop_tail (&self->undo));
}

gboolean
atl_mask_can_undo (const AtlMask *self)
{
  return self->undo.length > 0;
}

gboolean
atl_mask_can_redo (const AtlMask *self)
{
  return self->redo.length > 0;
}

static void
step (AtlMask *self, GQueue *from, GQueue *to)
{
  if (from->length == 0)
    return;
  g_queue_push_head (to, self->bytes);
  self->bytes = g_queue_pop_head (from);
}

void
atl_mask_undo (AtlMask *self)
{
  step (self, &self->undo, &self->redo);
}

void
atl_mask_redo (AtlMask *self)
{
  step (self, &self->redo, &self->undo);
}

/* --- Painting --- */

/* Of the point (px, py) from the line between the two others. */
static double
distance (double px, double py, double x0, double y0, double x1, double y1)
{
  double dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy;
  double t = length > 0 ? CLAMP (((px - x0) * dx + (py - y0) * dy) / length, 0, 1) : 0;

  return hypot (px - (x0 + t * dx), py - (y0 + t * dy));
}

void
atl_mask_line (
    AtlMask *self, double x0, double y0, double x1, double y1, double radius, gboolean erase)
{
  double left = MIN (x0, x1) - radius - 1, right = MAX (x0, x1) + radius + 1;
  double top = MIN (y0, y1) - radius - 1, bottom = MAX (y0, y1) + radius + 1;
  gint from_x = (gint) CLAMP (left, 0, self->width), to_x = (gint) CLAMP (right, 0, self->width);
  gint from_y = (gint) CLAMP (top, 0, self->height), to_y = (gint) CLAMP (bottom, 0, self->height);

  for (gint y = from_y; y < to_y; y++)
    for (gint x = from_x; x < to_x; x++)
      {
        guint8 *byte = &self->bytes[(gsize) y * self->width + (gsize) x];
        double covered =
            CLAMP (radius + 0.5 - distance (x + 0.5, y + 0.5, x0, y0, x1, y1), 0, 1) * 255;

        if (erase)
          *byte = MIN (*byte, (guint8) (255 - covered));
        else
          *byte = MAX (*byte, (guint8) covered);
      }
}

void
atl_mask_fill (AtlMask *self, guint8 value)
{
  memset (self->bytes, value, size_of (self));
}

void
atl_mask_invert (AtlMask *self)
{
  for (gsize i = 0; i < size_of (self); i++)
    self->bytes[i] = 255 - self->bytes[i];
}

/* --- To and from pictures --- */

GBytes *
atl_mask_to_png (const AtlMask *self, GError **error)
{
  g_autoptr (AtlPicture) picture = atl_picture_new (self->width, self->height);

  for (gsize i = 0; i < size_of (self); i++)
    memset (picture->rgb + 3 * i, self->bytes[i], 3);
  return atl_picture_encode (picture, ATL_PICTURE_PNG, 0, error);
}

void
atl_mask_load (AtlMask *self, const guint8 *rgb, guint width, guint height)
{
  g_queue_clear_full (&self->undo, g_free);
  g_queue_clear_full (&self->redo, g_free);
  for (guint y = 0; y < self->height; y++)
    for (guint x = 0; x < self->width; x++)
      {
        gsize sx = (gsize) x * width / self->width, sy = (gsize) y * height / self->height;

        self->bytes[(gsize) y * self->width + x] = rgb[3 * (sy * width + sx)];
      }
}
