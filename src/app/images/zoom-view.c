/* Zooming and moving a picture. */
#include "app/images/zoom-view.h"

#include <math.h>

#define MAX_FACTOR 64.0
/* A small picture is not blown up to any size. */
#define MAX_FIT 4.0
#define WHEEL_STEP 1.25

/* --- What is shown --- */

struct _AtlZoom
{
  GObject parent_instance;

  double factor; /* 1: the whole picture */
  double x, y;   /* the middle of the view, as a part of the picture's sides */
};

G_DEFINE_FINAL_TYPE (AtlZoom, atl_zoom, G_TYPE_OBJECT)

static guint changed_signal;

static void
atl_zoom_class_init (AtlZoomClass *klass)
{
  changed_signal = g_signal_new ("changed", ATL_TYPE_ZOOM, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                 G_TYPE_NONE, 0);
}

static void
atl_zoom_init (AtlZoom *self)
{
  self->factor = 1;
  self->x = self->y = 0.5;
}

AtlZoom *
atl_zoom_new (void)
{
  return g_object_new (ATL_TYPE_ZOOM, NULL);
}

static void
set (AtlZoom *self, double factor, double x, double y)
{
  self->factor = CLAMP (factor, 1, MAX_FACTOR);
  self->x = CLAMP (x, 0, 1);
  self->y = CLAMP (y, 0, 1);
  g_signal_emit (self, changed_signal, 0);
}

void
atl_zoom_reset (AtlZoom *self)
{
  set (self, 1, 0.5, 0.5);
}

/* --- The view --- */

struct _AtlZoomView
{
  GtkWidget parent_instance;

  AtlZoom *zoom;
  GdkTexture *texture;         /* (nullable) */
  double pointer_x, pointer_y; /* in the view */
  double start_x, start_y;     /* of a drag */
  double start_factor;         /* of a pinch */
};

G_DEFINE_FINAL_TYPE (AtlZoomView, atl_zoom_view, GTK_TYPE_WIDGET)

/* Pixels of the view for one of the picture when all of it is shown. */
static double
fit_scale (AtlZoomView *self)
{
  double width = gtk_widget_get_width (GTK_WIDGET (self));
  double height = gtk_widget_get_height (GTK_WIDGET (self));

  return MIN (MIN (width / gdk_texture_get_width (self->texture),
                   height / gdk_texture_get_height (self->texture)),
              MAX_FIT);
}

/* Where the picture lies in the view. Along a side that it does not fill it stays in the middle. */
static graphene_rect_t
picture_place (AtlZoomView *self)
{
  double scale = fit_scale (self) * self->zoom->factor;
  double width = gtk_widget_get_width (GTK_WIDGET (self));
  double height = gtk_widget_get_height (GTK_WIDGET (self));
  double w = gdk_texture_get_width (self->texture) * scale;
  double h = gdk_texture_get_height (self->texture) * scale;
  double x = w <= width ? (width - w) / 2 : CLAMP (width / 2 - self->zoom->x * w, width - w, 0);
  double y = h <= height ? (height - h) / 2 : CLAMP (height / 2 - self->zoom->y * h, height - h, 0);

  return GRAPHENE_RECT_INIT ((float) x, (float) y, (float) w, (float) h);
}

static void
changed_cb (AtlZoomView *self)
{
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

/* Sets the factor so that the point (x, y) of the view keeps its place. */
static void
zoom_at (AtlZoomView *self, double factor, double x, double y)
{
  graphene_rect_t before;
  double part_x, part_y, scale, w, h;

  if (self->texture == NULL)
    return;
  factor = CLAMP (factor, 1, MAX_FACTOR);
  before = picture_place (self);
  part_x = (x - before.origin.x) / before.size.width;
  part_y = (y - before.origin.y) / before.size.height;
  scale = fit_scale (self) * factor;
  w = gdk_texture_get_width (self->texture) * scale;
  h = gdk_texture_get_height (self->texture) * scale;
  set (self->zoom, factor, part_x - (x - gtk_widget_get_width (GTK_WIDGET (self)) / 2.0) / w,
       part_y - (y - gtk_widget_get_height (GTK_WIDGET (self)) / 2.0) / h);
}

void
atl_zoom_view_zoom_by (AtlZoomView *self, double step)
{
  zoom_at (self, self->zoom->factor * step, gtk_widget_get_width (GTK_WIDGET (self)) / 2.0,
           gtk_widget_get_height (GTK_WIDGET (self)) / 2.0);
}

void
atl_zoom_view_toggle_full_size (AtlZoomView *self)
{
  double full;

  if (self->texture == NULL)
    return;
  full = 1.0 / gtk_widget_get_scale_factor (GTK_WIDGET (self)) / fit_scale (self);
  /* A picture that is shown enlarged already gets no nearer by its full size. */
  if (full < 1.01)
    full = 2;
  if (fabs (self->zoom->factor - full) < 0.01)
    atl_zoom_reset (self->zoom);
  else
    zoom_at (self, full, gtk_widget_get_width (GTK_WIDGET (self)) / 2.0,
             gtk_widget_get_height (GTK_WIDGET (self)) / 2.0);
}

static void
move_to (AtlZoomView *self, double x, double y)
{
  graphene_rect_t place = picture_place (self);
  /* As far as there is something to see, so that the way back begins at once. */
  double half_x = MIN (gtk_widget_get_width (GTK_WIDGET (self)) / place.size.width / 2, 0.5);
  double half_y = MIN (gtk_widget_get_height (GTK_WIDGET (self)) / place.size.height / 2, 0.5);

  set (self->zoom, self->zoom->factor, CLAMP (x, half_x, 1 - half_x),
       CLAMP (y, half_y, 1 - half_y));
}

void
atl_zoom_view_move_by (AtlZoomView *self, double x, double y)
{
  graphene_rect_t place;

  if (self->texture == NULL)
    return;
  place = picture_place (self);
  move_to (self, self->zoom->x + x * gtk_widget_get_width (GTK_WIDGET (self)) / place.size.width,
           self->zoom->y + y * gtk_widget_get_height (GTK_WIDGET (self)) / place.size.height);
}

void
atl_zoom_view_set_texture (AtlZoomView *self, GdkTexture *texture, const char *words)
{
  g_set_object (&self->texture, texture);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  words != NULL ? words : "", -1);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

/* --- Input --- */

static void
motion_cb (GtkEventControllerMotion *motion, double x, double y, AtlZoomView *self)
{
  self->pointer_x = x;
  self->pointer_y = y;
}

static gboolean
scroll_cb (GtkEventControllerScroll *scroll, double dx, double dy, AtlZoomView *self)
{
  GdkModifierType mods =
      gtk_event_controller_get_current_event_state (GTK_EVENT_CONTROLLER (scroll));
  GdkEvent *event = gtk_event_controller_get_current_event (GTK_EVENT_CONTROLLER (scroll));
  gboolean is_wheel = event != NULL && gdk_scroll_event_get_direction (event) != GDK_SCROLL_SMOOTH;

  if (is_wheel || (mods & GDK_CONTROL_MASK) != 0)
    zoom_at (self, self->zoom->factor * pow (WHEEL_STEP, -dy), self->pointer_x, self->pointer_y);
  else
    atl_zoom_view_move_by (self, dx / 10, dy / 10);
  return GDK_EVENT_STOP;
}

static void
drag_begin_cb (GtkGestureDrag *drag, double x, double y, AtlZoomView *self)
{
  self->start_x = self->zoom->x;
  self->start_y = self->zoom->y;
}

static void
drag_update_cb (GtkGestureDrag *drag, double x, double y, AtlZoomView *self)
{
  graphene_rect_t place;

  if (self->texture == NULL)
    return;
  place = picture_place (self);
  move_to (self, self->start_x - x / place.size.width, self->start_y - y / place.size.height);
}

static void
pinch_begin_cb (GtkGesture *pinch, GdkEventSequence *sequence, AtlZoomView *self)
{
  self->start_factor = self->zoom->factor;
}

static void
pinch_cb (GtkGestureZoom *pinch, double scale, AtlZoomView *self)
{
  double x, y;

  if (gtk_gesture_get_bounding_box_center (GTK_GESTURE (pinch), &x, &y))
    zoom_at (self, self->start_factor * scale, x, y);
}

static void
released_cb (GtkGestureClick *click, int n_press, double x, double y, AtlZoomView *self)
{
  if (n_press == 2)
    atl_zoom_view_toggle_full_size (self);
}

/* --- GObject --- */

static void
snapshot (GtkWidget *widget, GtkSnapshot *snapshot)
{
  AtlZoomView *self = ATL_ZOOM_VIEW (widget);
  graphene_rect_t place;

  if (self->texture == NULL)
    return;
  place = picture_place (self);
  gtk_snapshot_append_texture (snapshot, self->texture, &place);
}

static void
atl_zoom_view_dispose (GObject *object)
{
  AtlZoomView *self = ATL_ZOOM_VIEW (object);

  g_clear_object (&self->texture);
  g_clear_object (&self->zoom);
  G_OBJECT_CLASS (atl_zoom_view_parent_class)->dispose (object);
}

static void
atl_zoom_view_class_init (AtlZoomViewClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_zoom_view_dispose;
  widget_class->snapshot = snapshot;
  gtk_widget_class_set_css_name (widget_class, "zoomview");
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_IMG);
}

static void
add (AtlZoomView *self, gpointer controller)
{
  gtk_widget_add_controller (GTK_WIDGET (self), controller);
}

static void
atl_zoom_view_init (AtlZoomView *self)
{
  GtkEventController *motion = gtk_event_controller_motion_new ();
  GtkEventController *scroll =
      gtk_event_controller_scroll_new (GTK_EVENT_CONTROLLER_SCROLL_BOTH_AXES);
  GtkGesture *drag = gtk_gesture_drag_new (), *pinch = gtk_gesture_zoom_new ();
  GtkGesture *click = gtk_gesture_click_new ();

  gtk_widget_set_overflow (GTK_WIDGET (self), GTK_OVERFLOW_HIDDEN);
  gtk_widget_set_focusable (GTK_WIDGET (self), TRUE);
  gtk_widget_set_hexpand (GTK_WIDGET (self), TRUE);
  gtk_widget_set_vexpand (GTK_WIDGET (self), TRUE);
  g_signal_connect (motion, "enter", G_CALLBACK (motion_cb), self);
  g_signal_connect (motion, "motion", G_CALLBACK (motion_cb), self);
  g_signal_connect (scroll, "scroll", G_CALLBACK (scroll_cb), self);
  g_signal_connect (drag, "drag-begin", G_CALLBACK (drag_begin_cb), self);
  g_signal_connect (drag, "drag-update", G_CALLBACK (drag_update_cb), self);
  g_signal_connect (pinch, "begin", G_CALLBACK (pinch_begin_cb), self);
  g_signal_connect (pinch, "scale-changed", G_CALLBACK (pinch_cb), self);
  g_signal_connect (click, "released", G_CALLBACK (released_cb), self);
  add (self, motion);
  add (self, scroll);
  add (self, drag);
  add (self, pinch);
  add (self, click);
}

GtkWidget *
atl_zoom_view_new (AtlZoom *zoom)
{
  AtlZoomView *self = g_object_new (ATL_TYPE_ZOOM_VIEW, NULL);

  self->zoom = g_object_ref (zoom);
  g_signal_connect_object (zoom, "changed", G_CALLBACK (changed_cb), self, G_CONNECT_SWAPPED);
  return GTK_WIDGET (self);
}
