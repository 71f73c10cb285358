/* Two rows of buttons: what lies above, what stands upright below. */
#include "app/images/shape-picker.h"

#include <glib/gi18n.h>
#include <math.h>

#include "app/images/picture-shapes.h"

#define DRAWN_PX 26

struct _AtlShapePicker
{
  GtkWidget parent_instance;

  GtkWidget *grid;
  GPtrArray *buttons; /* (element-type GtkToggleButton) borrowed; the last is the size in px */
  gboolean setting;
};

G_DEFINE_FINAL_TYPE (AtlShapePicker, atl_shape_picker, GTK_TYPE_WIDGET)

enum
{
  PROP_SHAPE = 1
};
static GParamSpec *shape_prop;

/* The rectangle of the shape with the area of a square of two thirds of the side. */
static void
draw_cb (GtkDrawingArea *area, cairo_t *cr, int width, int height, gpointer data)
{
  const AtlPictureShape *shape = data;
  double ratio = shape != NULL ? (double) shape->w / shape->h : 1, side = MIN (width, height);
  double w = MIN (side, side * 0.68 * sqrt (ratio)), h = w / ratio;
  GdkRGBA color;

  if (h > side)
    {
      h = side;
      w = h * ratio;
    }
  gtk_style_context_get_color (gtk_widget_get_style_context (GTK_WIDGET (area)), &color);
  gdk_cairo_set_source_rgba (cr, &color);
  cairo_set_line_width (cr, 1.5);
  if (shape == NULL)
    {
      static const double dashes[] = { 3, 2.5 };

      cairo_set_dash (cr, dashes, 2, 0);
    }
  cairo_rectangle (cr, (width - w) / 2 + 0.75, (height - h) / 2 + 0.75, w - 1.5, h - 1.5);
  cairo_stroke (cr);
}

static void
toggled_cb (GtkToggleButton *button, AtlShapePicker *self)
{
  if (!self->setting && gtk_toggle_button_get_active (button))
    g_object_notify_by_pspec (G_OBJECT (self), shape_prop);
}

static GtkWidget *
new_button (AtlShapePicker *self, const AtlPictureShape *shape, const char *words)
{
  GtkWidget *button = gtk_toggle_button_new (), *area = gtk_drawing_area_new ();
  GtkWidget *label = gtk_label_new (words), *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 1);

  gtk_drawing_area_set_content_width (GTK_DRAWING_AREA (area), DRAWN_PX);
  gtk_drawing_area_set_content_height (GTK_DRAWING_AREA (area), DRAWN_PX);
  gtk_drawing_area_set_draw_func (GTK_DRAWING_AREA (area), draw_cb, (gpointer) shape, NULL);
  gtk_widget_set_halign (area, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (label, "caption");
  gtk_box_append (GTK_BOX (box), area);
  gtk_box_append (GTK_BOX (box), label);
  gtk_button_set_child (GTK_BUTTON (button), box);
  gtk_widget_add_css_class (button, "flat");
  gtk_widget_add_css_class (button, "shape");
  if (self->buttons->len > 0)
    gtk_toggle_button_set_group (GTK_TOGGLE_BUTTON (button), self->buttons->pdata[0]);
  g_signal_connect (button, "toggled", G_CALLBACK (toggled_cb), self);
  g_ptr_array_add (self->buttons, button);
  return button;
}

gint
atl_shape_picker_get_shape (AtlShapePicker *self)
{
  for (guint i = 0; i + 1 < self->buttons->len; i++)
    if (gtk_toggle_button_get_active (self->buttons->pdata[i]))
      return (gint) i;
  return -1;
}

void
atl_shape_picker_set_shape (AtlShapePicker *self, gint shape)
{
  guint at =
      shape >= 0 && (guint) shape + 1 < self->buttons->len ? (guint) shape : self->buttons->len - 1;

  self->setting = TRUE;
  gtk_toggle_button_set_active (self->buttons->pdata[at], TRUE);
  self->setting = FALSE;
}

static void
set_words (GtkWidget *button, const char *words)
{
  gtk_widget_set_tooltip_text (button, words);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, words,
                                  -1);
}

void
atl_shape_picker_set_model (
    AtlShapePicker *self, guint side, guint multiple, guint width, guint height)
{
  guint n;
  const AtlPictureShape *shapes = atl_picture_shapes (&n);
  g_autofree char *own = g_strdup_printf (_ ("Any size: %u × %u pixels"), width, height);

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *words = NULL;
      guint w, h;

      atl_picture_shape_size (&shapes[i], side, multiple, &w, &h);
      /* Translators: a shape such as 4:3, and its width and height. */
      words = g_strdup_printf (_ ("%s, %u × %u pixels"), shapes[i].name, w, h);
      set_words (self->buttons->pdata[i], words);
    }
  set_words (self->buttons->pdata[n], own);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_SHAPE)
    g_value_set_int (value, atl_shape_picker_get_shape (ATL_SHAPE_PICKER (object)));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
atl_shape_picker_dispose (GObject *object)
{
  AtlShapePicker *self = ATL_SHAPE_PICKER (object);

  g_clear_pointer (&self->grid, gtk_widget_unparent);
  G_OBJECT_CLASS (atl_shape_picker_parent_class)->dispose (object);
}

static void
atl_shape_picker_finalize (GObject *object)
{
  g_ptr_array_unref (ATL_SHAPE_PICKER (object)->buttons);
  G_OBJECT_CLASS (atl_shape_picker_parent_class)->finalize (object);
}

static void
atl_shape_picker_class_init (AtlShapePickerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = get_property;
  object_class->dispose = atl_shape_picker_dispose;
  object_class->finalize = atl_shape_picker_finalize;
  shape_prop = g_param_spec_int ("shape", NULL, NULL, -1, G_MAXINT, 0,
                                 G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_property (object_class, PROP_SHAPE, shape_prop);
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
}

static void
atl_shape_picker_init (AtlShapePicker *self)
{
  guint n, lying = 0, standing = 0;
  const AtlPictureShape *shapes = atl_picture_shapes (&n);

  self->buttons = g_ptr_array_new ();
  self->grid = gtk_grid_new ();
  gtk_grid_set_column_homogeneous (GTK_GRID (self->grid), TRUE);
  gtk_grid_set_column_spacing (GTK_GRID (self->grid), 3);
  gtk_grid_set_row_spacing (GTK_GRID (self->grid), 3);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->grid), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Shape"), -1);
  for (guint i = 0; i < n; i++)
    {
      gboolean upright = shapes[i].h > shapes[i].w;

      gtk_grid_attach (GTK_GRID (self->grid), new_button (self, &shapes[i], shapes[i].name),
                       (int) (upright ? ++standing : lying++), upright, 1, 1);
    }
  /* Translators: on a small button; a size in pixels that a person gives. */
  gtk_grid_attach (GTK_GRID (self->grid), new_button (self, NULL, _ ("Size…")), 0, 1, 1, 1);
  gtk_widget_set_parent (self->grid, GTK_WIDGET (self));
  gtk_toggle_button_set_active (self->buttons->pdata[0], TRUE);
}
