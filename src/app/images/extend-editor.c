/* The picture on the ground that it will get. */
#include "app/images/extend-editor.h"

#include <glib/gi18n.h>
#include <math.h>

#define STEP_PERCENT 5
/* How near to an edge a pointer takes hold of it, px. */
#define NEAR_PX 28

struct _AtlExtendEditor
{
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkWidget *overlay;
  GtkWidget *shown; /* the picture, below the area that draws the edges */
  GtkWidget *area;
  GtkWidget *left_spin, *top_spin, *right_spin, *bottom_spin;

  GdkTexture *picture; /* (nullable) */
  gint held;           /* the side that is dragged, -1: none */
  double held_from;    /* its percent when it was taken hold of */
  double held_scale;   /* percent a px of the widget */
};

G_DEFINE_FINAL_TYPE (AtlExtendEditor, atl_extend_editor, GTK_TYPE_WIDGET)

enum
{
  DONE,
  CANCELLED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static GtkWidget *
spin_of (AtlExtendEditor *self, guint side)
{
  GtkWidget *spins[] = { self->left_spin, self->top_spin, self->right_spin, self->bottom_spin };

  return spins[side];
}

static double
percent (AtlExtendEditor *self, guint side)
{
  return gtk_spin_button_get_value (GTK_SPIN_BUTTON (spin_of (self, side)));
}

/* Where the whole ground and the picture on it lie; px of the widget a px of the picture. */
static double
layout (AtlExtendEditor *self, double width, double height, GdkRectangle *ground, GdkRectangle *on)
{
  double w = gdk_texture_get_width (self->picture), h = gdk_texture_get_height (self->picture);
  double all_w = w * (1 + (percent (self, 0) + percent (self, 2)) / 100);
  double all_h = h * (1 + (percent (self, 1) + percent (self, 3)) / 100);
  double scale = MIN ((width - 2 * NEAR_PX) / all_w, (height - 2 * NEAR_PX) / all_h);

  scale = MAX (scale, 0.001);
  ground->width = (int) (all_w * scale);
  ground->height = (int) (all_h * scale);
  ground->x = (int) ((width - ground->width) / 2);
  ground->y = (int) ((height - ground->height) / 2);
  on->x = ground->x + (int) (w * percent (self, 0) / 100 * scale);
  on->y = ground->y + (int) (h * percent (self, 1) / 100 * scale);
  on->width = (int) (w * scale);
  on->height = (int) (h * scale);
  return scale;
}

static void
draw_handle (cairo_t *cr, double x, double y)
{
  cairo_arc (cr, x, y, 7, 0, 2 * G_PI);
  cairo_set_source_rgb (cr, 1, 1, 1);
  cairo_fill_preserve (cr);
  cairo_set_source_rgb (cr, 0.2, 0.2, 0.2);
  cairo_set_line_width (cr, 1.5);
  cairo_stroke (cr);
}

static void
draw_cb (GtkDrawingArea *area, cairo_t *cr, int width, int height, gpointer data)
{
  AtlExtendEditor *self = data;
  GdkRectangle ground, on;
  GdkRGBA color;
  static const double dashes[] = { 6, 4 };

  if (self->picture == NULL)
    return;
  layout (self, width, height, &ground, &on);
  gtk_style_context_get_color (gtk_widget_get_style_context (GTK_WIDGET (area)), &color);
  color.alpha = 0.1f;
  gdk_cairo_set_source_rgba (cr, &color);
  /* Around the picture, whose colours stay what they are. */
  cairo_set_fill_rule (cr, CAIRO_FILL_RULE_EVEN_ODD);
  cairo_rectangle (cr, ground.x, ground.y, ground.width, ground.height);
  cairo_rectangle (cr, on.x, on.y, on.width, on.height);
  cairo_fill (cr);
  color.alpha = 0.8f;
  gdk_cairo_set_source_rgba (cr, &color);
  cairo_set_dash (cr, dashes, 2, 0);
  cairo_set_line_width (cr, 1.5);
  cairo_rectangle (cr, ground.x, ground.y, ground.width, ground.height);
  cairo_stroke (cr);
  cairo_set_dash (cr, NULL, 0, 0);
  draw_handle (cr, ground.x, ground.y + ground.height / 2.0);
  draw_handle (cr, ground.x + ground.width / 2.0, ground.y);
  draw_handle (cr, ground.x + ground.width, ground.y + ground.height / 2.0);
  draw_handle (cr, ground.x + ground.width / 2.0, ground.y + ground.height);
}

/* The picture itself is a child of the overlay, so that it is drawn as every texture is. */
static gboolean
place_picture_cb (GtkOverlay *overlay, GtkWidget *child, GdkRectangle *place, gpointer data)
{
  AtlExtendEditor *self = data;
  GdkRectangle ground;

  if (self->picture == NULL || child != self->shown)
    return FALSE;
  layout (self, gtk_widget_get_width (GTK_WIDGET (overlay)),
          gtk_widget_get_height (GTK_WIDGET (overlay)), &ground, place);
  return TRUE;
}

static void
refresh (AtlExtendEditor *self)
{
  gtk_widget_queue_draw (self->area);
  gtk_widget_queue_allocate (self->overlay);
}

/* --- Dragging --- */

static gint
side_at (AtlExtendEditor *self, double x, double y)
{
  GdkRectangle ground, on;
  double gaps[4], best = NEAR_PX;
  gint side = -1;

  layout (self, gtk_widget_get_width (self->area), gtk_widget_get_height (self->area), &ground,
          &on);
  gaps[0] = fabs (x - ground.x);
  gaps[1] = fabs (y - ground.y);
  gaps[2] = fabs (x - ground.x - ground.width);
  gaps[3] = fabs (y - ground.y - ground.height);
  for (gint i = 0; i < 4; i++)
    if (gaps[i] < best)
      {
        best = gaps[i];
        side = i;
      }
  return side;
}

static void
drag_begin_cb (GtkGestureDrag *gesture, double x, double y, AtlExtendEditor *self)
{
  GdkRectangle ground, on;
  double scale;

  if (self->picture == NULL)
    return;
  self->held = side_at (self, x, y);
  if (self->held < 0)
    {
      gtk_gesture_set_state (GTK_GESTURE (gesture), GTK_EVENT_SEQUENCE_DENIED);
      return;
    }
  scale = layout (self, gtk_widget_get_width (self->area), gtk_widget_get_height (self->area),
                  &ground, &on);
  self->held_from = percent (self, (guint) self->held);
  self->held_scale = 100 / scale /
                     (self->held % 2 == 0 ? gdk_texture_get_width (self->picture)
                                          : gdk_texture_get_height (self->picture));
}

static void
drag_update_cb (GtkGestureDrag *gesture, double dx, double dy, AtlExtendEditor *self)
{
  double outwards = self->held == 0 ? -dx : self->held == 1 ? -dy : self->held == 2 ? dx : dy;

  if (self->held < 0)
    return;
  gtk_spin_button_set_value (
      GTK_SPIN_BUTTON (spin_of (self, (guint) self->held)),
      floor ((self->held_from + outwards * self->held_scale) / STEP_PERCENT + 0.5) * STEP_PERCENT);
}

static void
drag_end_cb (GtkGestureDrag *gesture, double dx, double dy, AtlExtendEditor *self)
{
  self->held = -1;
}

static void
motion_cb (GtkEventControllerMotion *controller, double x, double y, AtlExtendEditor *self)
{
  static const char *const cursors[] = { "w-resize", "n-resize", "e-resize", "s-resize" };
  gint side = self->picture != NULL && self->held < 0 ? side_at (self, x, y) : self->held;

  gtk_widget_set_cursor_from_name (self->area, side >= 0 ? cursors[side] : NULL);
}

/* --- The end --- */

void
atl_extend_editor_finish (AtlExtendEditor *self)
{
  g_signal_emit (self, signals[DONE], 0, (guint) percent (self, 0), (guint) percent (self, 1),
                 (guint) percent (self, 2), (guint) percent (self, 3));
}

static void
cancel_cb (AtlExtendEditor *self)
{
  g_signal_emit (self, signals[CANCELLED], 0);
}

static gboolean
escape_cb (GtkWidget *widget, GVariant *arguments, gpointer data)
{
  cancel_cb (ATL_EXTEND_EDITOR (widget));
  return TRUE;
}

void
atl_extend_editor_begin (AtlExtendEditor *self, GdkTexture *picture, const guint extend[4])
{
  g_set_object (&self->picture, picture);
  gtk_picture_set_paintable (GTK_PICTURE (self->shown), GDK_PAINTABLE (picture));
  for (guint i = 0; i < 4; i++)
    gtk_spin_button_set_value (GTK_SPIN_BUTTON (spin_of (self, i)), extend[i]);
  gtk_widget_queue_allocate (self->overlay);
  gtk_widget_grab_focus (self->left_spin);
}

static void
atl_extend_editor_dispose (GObject *object)
{
  AtlExtendEditor *self = ATL_EXTEND_EDITOR (object);

  g_clear_object (&self->picture);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  G_OBJECT_CLASS (atl_extend_editor_parent_class)->dispose (object);
}

static void
atl_extend_editor_class_init (AtlExtendEditorClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_extend_editor_dispose;
  signals[DONE] =
      g_signal_new ("done", ATL_TYPE_EXTEND_EDITOR, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 4, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT);
  signals[CANCELLED] = g_signal_new ("cancelled", ATL_TYPE_EXTEND_EDITOR, G_SIGNAL_RUN_LAST, 0,
                                     NULL, NULL, NULL, G_TYPE_NONE, 0);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/extend-editor.ui");
  gtk_widget_class_add_binding (widget_class, GDK_KEY_Escape, 0, escape_cb, NULL);
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlExtendEditor, name)
  BIND (box);
  BIND (overlay);
  BIND (shown);
  BIND (area);
  BIND (left_spin);
  BIND (top_spin);
  BIND (right_spin);
  BIND (bottom_spin);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, refresh);
  gtk_widget_class_bind_template_callback (widget_class, atl_extend_editor_finish);
  gtk_widget_class_bind_template_callback (widget_class, cancel_cb);
}

static void
atl_extend_editor_init (AtlExtendEditor *self)
{
  GtkGesture *drag = gtk_gesture_drag_new ();
  GtkEventController *motion = gtk_event_controller_motion_new ();

  gtk_widget_init_template (GTK_WIDGET (self));
  self->held = -1;
  gtk_drawing_area_set_draw_func (GTK_DRAWING_AREA (self->area), draw_cb, self, NULL);
  g_signal_connect (self->overlay, "get-child-position", G_CALLBACK (place_picture_cb), self);
  g_signal_connect (drag, "drag-begin", G_CALLBACK (drag_begin_cb), self);
  g_signal_connect (drag, "drag-update", G_CALLBACK (drag_update_cb), self);
  g_signal_connect (drag, "drag-end", G_CALLBACK (drag_end_cb), self);
  g_signal_connect (motion, "motion", G_CALLBACK (motion_cb), self);
  gtk_widget_add_controller (self->area, GTK_EVENT_CONTROLLER (drag));
  gtk_widget_add_controller (self->area, motion);
}
