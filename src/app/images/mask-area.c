/* Draws the picture, the mask over it and the brush; turns movements into strokes. */
#include "app/images/mask-area.h"

#include <math.h>
#include <string.h>

#include "app/images/pen-stroke.h"

#define LEAST_PX 80
#define LEAST_BRUSH 0.005
#define MOST_BRUSH 0.5
/* How far an arrow key moves the brush: a part of its radius. */
#define KEY_STEP 0.6
#define BRUSH_KEY_FACTOR 1.2
/* What is painted is striped in the theme's accent and in white, half seen through: on a picture of
 * either colour the other stripes show. */
#define MASK_ALPHA 0.55
#define STRIPE_PX 5

struct _AtlMaskArea
{
  GtkWidget parent_instance;

  GdkTexture *picture; /* (nullable) */
  AtlMask *mask;       /* (nullable) */
  GdkTexture *overlay; /* (nullable) of the mask, until it changes */
  double brush;        /* the diameter, part of the shorter side */
  gboolean erases;
  double x, y;        /* of the brush, px of the mask */
  gboolean has_brush; /* pointer or keyboard is there */
  gboolean is_drawing, stroke_erases;
  double stroke_x, stroke_y; /* where the pointer went down, px of the widget */
};

G_DEFINE_FINAL_TYPE (AtlMaskArea, atl_mask_area, GTK_TYPE_WIDGET)

static guint changed_signal;

/* --- Where the picture lies --- */

static double
layout (AtlMaskArea *self, graphene_rect_t *rect)
{
  double width = gtk_widget_get_width (GTK_WIDGET (self));
  double height = gtk_widget_get_height (GTK_WIDGET (self));
  double w = self->mask != NULL ? atl_mask_get_width (self->mask) : 1;
  double h = self->mask != NULL ? atl_mask_get_height (self->mask) : 1;
  double scale = MIN (width / w, height / h);

  graphene_rect_init (rect, (float) ((width - w * scale) / 2), (float) ((height - h * scale) / 2),
                      (float) (w * scale), (float) (h * scale));
  return scale;
}

static void
move_to (AtlMaskArea *self, double x, double y)
{
  graphene_rect_t rect;
  double scale = layout (self, &rect);

  self->x = (x - rect.origin.x) / scale;
  self->y = (y - rect.origin.y) / scale;
}

static double
radius (AtlMaskArea *self)
{
  return self->brush / 2 * MIN (atl_mask_get_width (self->mask), atl_mask_get_height (self->mask));
}

/* --- Drawing --- */

/* `scale`: px of the widget for one of the mask. */
static GdkTexture *
make_overlay (AtlMaskArea *self, double scale)
{
  guint width = atl_mask_get_width (self->mask), height = atl_mask_get_height (self->mask);
  const guint8 *from = atl_mask_get_bytes (self->mask);
  gsize n = (gsize) width * height;
  guint stripe = MAX (1, (guint) (STRIPE_PX / scale + 0.5));
  guint8 *to = g_malloc (n * 4);
  g_autoptr (GBytes) bytes = NULL;
  GdkRGBA color;
  guint8 colors[2][3] = { { 0 }, { 255, 255, 255 } };

  if (!gtk_style_context_lookup_color (gtk_widget_get_style_context (GTK_WIDGET (self)),
                                       "accent_bg_color", &color))
    gdk_rgba_parse (&color, "#3584e4");
  colors[0][0] = (guint8) (color.red * 255);
  colors[0][1] = (guint8) (color.green * 255);
  colors[0][2] = (guint8) (color.blue * 255);
  for (gsize y = 0, i = 0; y < height; y++)
    for (gsize x = 0; x < width; x++, i++)
      {
        memcpy (to + 4 * i, colors[(x + y) / stripe % 2], 3);
        to[4 * i + 3] = (guint8) (from[i] * MASK_ALPHA);
      }
  bytes = g_bytes_new_take (to, n * 4);
  return gdk_memory_texture_new ((int) width, (int) height, GDK_MEMORY_R8G8B8A8, bytes,
                                 (gsize) width * 4);
}

/* A dark ring in a light one: seen on every picture. */
static void
snapshot_brush (AtlMaskArea *self, GtkSnapshot *snapshot, const graphene_rect_t *rect, double scale)
{
  double r = MAX (radius (self) * scale, 2);
  graphene_rect_t bounds = GRAPHENE_RECT_INIT (0, 0, gtk_widget_get_width (GTK_WIDGET (self)),
                                               gtk_widget_get_height (GTK_WIDGET (self)));
  cairo_t *cr = gtk_snapshot_append_cairo (snapshot, &bounds);
  double x = rect->origin.x + self->x * scale, y = rect->origin.y + self->y * scale;

  cairo_arc (cr, x, y, r, 0, 2 * G_PI);
  cairo_set_source_rgb (cr, 1, 1, 1);
  cairo_set_line_width (cr, 3);
  cairo_stroke_preserve (cr);
  cairo_set_source_rgb (cr, 0, 0, 0);
  cairo_set_line_width (cr, 1);
  cairo_stroke (cr);
  cairo_destroy (cr);
}

static void
snapshot (GtkWidget *widget, GtkSnapshot *snapshot)
{
  AtlMaskArea *self = ATL_MASK_AREA (widget);
  graphene_rect_t rect;
  double scale;

  if (self->mask == NULL || self->picture == NULL)
    return;
  scale = layout (self, &rect);
  if (rect.size.width < 1 || rect.size.height < 1)
    return;
  if (self->overlay == NULL)
    self->overlay = make_overlay (self, scale);
  gtk_snapshot_append_texture (snapshot, self->picture, &rect);
  gtk_snapshot_append_texture (snapshot, self->overlay, &rect);
  if (self->has_brush)
    snapshot_brush (self, snapshot, &rect, scale);
}

void
atl_mask_area_changed (AtlMaskArea *self)
{
  g_clear_object (&self->overlay);
  gtk_widget_queue_draw (GTK_WIDGET (self));
  g_signal_emit (self, changed_signal, 0);
}

/* --- Painting --- */

static void
paint (AtlMaskArea *self, double x0, double y0, gboolean erase, double width)
{
  atl_mask_line (self->mask, x0, y0, self->x, self->y, radius (self) * width, erase);
  g_clear_object (&self->overlay);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

static AtlPenStroke
get_stroke (GtkGesture *gesture)
{
  return atl_pen_stroke_of_event (
      gtk_event_controller_get_current_event (GTK_EVENT_CONTROLLER (gesture)));
}

static void
drag_begin_cb (GtkGestureDrag *gesture, double x, double y, AtlMaskArea *self)
{
  AtlPenStroke stroke = get_stroke (GTK_GESTURE (gesture));

  if (self->mask == NULL)
    return;
  gtk_gesture_set_state (GTK_GESTURE (gesture), GTK_EVENT_SEQUENCE_CLAIMED);
  gtk_widget_grab_focus (GTK_WIDGET (self));
  self->stroke_x = x;
  self->stroke_y = y;
  self->is_drawing = self->has_brush = TRUE;
  self->stroke_erases =
      self->erases || stroke.erases ||
      gtk_gesture_single_get_current_button (GTK_GESTURE_SINGLE (gesture)) == GDK_BUTTON_SECONDARY;
  atl_mask_begin (self->mask);
  move_to (self, x, y);
  paint (self, self->x, self->y, self->stroke_erases, stroke.width);
}

static void
drag_update_cb (GtkGestureDrag *gesture, double dx, double dy, AtlMaskArea *self)
{
  double x0 = self->x, y0 = self->y;

  if (!self->is_drawing)
    return;
  move_to (self, self->stroke_x + dx, self->stroke_y + dy);
  paint (self, x0, y0, self->stroke_erases, get_stroke (GTK_GESTURE (gesture)).width);
}

static void
drag_end_cb (GtkGestureDrag *gesture, double dx, double dy, AtlMaskArea *self)
{
  if (!self->is_drawing)
    return;
  self->is_drawing = FALSE;
  g_signal_emit (self, changed_signal, 0);
}

static void
motion_cb (GtkEventControllerMotion *controller, double x, double y, AtlMaskArea *self)
{
  if (self->mask == NULL || self->is_drawing)
    return;
  self->has_brush = TRUE;
  move_to (self, x, y);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

static void
leave_cb (GtkEventControllerMotion *controller, AtlMaskArea *self)
{
  self->has_brush = gtk_widget_has_focus (GTK_WIDGET (self));
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

static void
focus_cb (AtlMaskArea *self)
{
  if (self->mask != NULL && gtk_widget_has_focus (GTK_WIDGET (self)))
    self->has_brush = TRUE;
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

static gboolean
is_arrow (guint keyval, double *dx, double *dy)
{
  *dx = keyval == GDK_KEY_Left ? -1 : keyval == GDK_KEY_Right ? 1 : 0;
  *dy = keyval == GDK_KEY_Up ? -1 : keyval == GDK_KEY_Down ? 1 : 0;
  return *dx != 0 || *dy != 0;
}

static void
arrow (AtlMaskArea *self, double dx, double dy, gboolean draws)
{
  double x0 = self->x, y0 = self->y, by = MAX (1, radius (self) * KEY_STEP);

  self->x = CLAMP (self->x + dx * by, 0, atl_mask_get_width (self->mask));
  self->y = CLAMP (self->y + dy * by, 0, atl_mask_get_height (self->mask));
  self->has_brush = TRUE;
  if (draws)
    {
      atl_mask_begin (self->mask);
      paint (self, x0, y0, self->erases, 1);
      g_signal_emit (self, changed_signal, 0);
    }
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

static gboolean
key_cb (GtkEventControllerKey *controller,
        guint keyval,
        guint keycode,
        GdkModifierType state,
        AtlMaskArea *self)
{
  double dx, dy;

  if (self->mask == NULL)
    return FALSE;
  if ((state & GDK_CONTROL_MASK) != 0)
    {
      if (keyval == GDK_KEY_z)
        atl_mask_undo (self->mask);
      else if (keyval == GDK_KEY_Z || keyval == GDK_KEY_y)
        atl_mask_redo (self->mask);
      else
        return FALSE;
      atl_mask_area_changed (self);
      return TRUE;
    }
  if (is_arrow (keyval, &dx, &dy))
    arrow (self, dx, dy, (state & GDK_SHIFT_MASK) != 0);
  else if (keyval == GDK_KEY_space)
    arrow (self, 0, 0, TRUE);
  else if (keyval == GDK_KEY_bracketleft)
    atl_mask_area_set_brush (self, self->brush / BRUSH_KEY_FACTOR);
  else if (keyval == GDK_KEY_bracketright)
    atl_mask_area_set_brush (self, self->brush * BRUSH_KEY_FACTOR);
  else
    return FALSE;
  return TRUE;
}

/* --- What others ask for --- */

void
atl_mask_area_set_picture (AtlMaskArea *self, GdkTexture *picture, AtlMask *mask)
{
  g_set_object (&self->picture, picture);
  g_clear_pointer (&self->mask, atl_mask_free);
  self->mask = mask;
  self->is_drawing = self->has_brush = FALSE;
  if (mask != NULL)
    {
      self->x = atl_mask_get_width (mask) / 2.0;
      self->y = atl_mask_get_height (mask) / 2.0;
    }
  atl_mask_area_changed (self);
}

AtlMask *
atl_mask_area_get_mask (AtlMaskArea *self)
{
  return self->mask;
}

void
atl_mask_area_set_erases (AtlMaskArea *self, gboolean erases)
{
  self->erases = erases;
}

double
atl_mask_area_get_brush (AtlMaskArea *self)
{
  return self->brush;
}

void
atl_mask_area_set_brush (AtlMaskArea *self, double size)
{
  self->brush = CLAMP (size, LEAST_BRUSH, MOST_BRUSH);
  gtk_widget_queue_draw (GTK_WIDGET (self));
  g_signal_emit (self, changed_signal, 0);
}

/* --- GObject --- */

static void
atl_mask_area_dispose (GObject *object)
{
  AtlMaskArea *self = ATL_MASK_AREA (object);

  g_clear_object (&self->picture);
  g_clear_object (&self->overlay);
  g_clear_pointer (&self->mask, atl_mask_free);
  G_OBJECT_CLASS (atl_mask_area_parent_class)->dispose (object);
}

static void
atl_mask_area_class_init (AtlMaskAreaClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_mask_area_dispose;
  widget_class->snapshot = snapshot;
  changed_signal = g_signal_new ("changed", ATL_TYPE_MASK_AREA, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                 NULL, G_TYPE_NONE, 0);
  gtk_widget_class_set_css_name (widget_class, "maskarea");
}

static void
atl_mask_area_init (AtlMaskArea *self)
{
  GtkGesture *drag = gtk_gesture_drag_new ();
  GtkEventController *motion = gtk_event_controller_motion_new ();
  GtkEventController *keys = gtk_event_controller_key_new ();

  self->brush = 0.12;
  gtk_widget_set_focusable (GTK_WIDGET (self), TRUE);
  gtk_widget_set_hexpand (GTK_WIDGET (self), TRUE);
  gtk_widget_set_vexpand (GTK_WIDGET (self), TRUE);
  gtk_widget_set_size_request (GTK_WIDGET (self), LEAST_PX, LEAST_PX);
  gtk_gesture_single_set_button (GTK_GESTURE_SINGLE (drag), 0);
  g_signal_connect (drag, "drag-begin", G_CALLBACK (drag_begin_cb), self);
  g_signal_connect (drag, "drag-update", G_CALLBACK (drag_update_cb), self);
  g_signal_connect (drag, "drag-end", G_CALLBACK (drag_end_cb), self);
  g_signal_connect (motion, "motion", G_CALLBACK (motion_cb), self);
  g_signal_connect (motion, "enter", G_CALLBACK (motion_cb), self);
  g_signal_connect (motion, "leave", G_CALLBACK (leave_cb), self);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  g_signal_connect (self, "notify::has-focus", G_CALLBACK (focus_cb), NULL);
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (drag));
  gtk_widget_add_controller (GTK_WIDGET (self), motion);
  gtk_widget_add_controller (GTK_WIDGET (self), keys);
}

GtkWidget *
atl_mask_area_new (void)
{
  return g_object_new (ATL_TYPE_MASK_AREA, NULL);
}
