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
  GPtrArray *shapes;  /* (element-type char*) of the buttons; of the last "" */
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
  const char *shape = data;
  double ratio = atl_picture_shape_ratio (shape), side = MIN (width, height);
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
  if (*shape == '\0')
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

static void
add_button (AtlShapePicker *self, const char *shape, int column, int row)
{
  GtkWidget *button = gtk_toggle_button_new (), *area = gtk_drawing_area_new ();
  /* Translators: on a small button; a size in pixels that a person gives. */
  GtkWidget *label = gtk_label_new (*shape != '\0' ? shape : _ ("Size…"));
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 1);
  char *name = g_strdup (shape);

  gtk_drawing_area_set_content_width (GTK_DRAWING_AREA (area), DRAWN_PX);
  gtk_drawing_area_set_content_height (GTK_DRAWING_AREA (area), DRAWN_PX);
  gtk_drawing_area_set_draw_func (GTK_DRAWING_AREA (area), draw_cb, g_strdup (shape), g_free);
  gtk_widget_set_halign (area, GTK_ALIGN_CENTER);
  /* Large letters leave their column as narrow as it is; the tooltip says all. */
  gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_END);
  gtk_widget_add_css_class (label, "caption");
  gtk_box_append (GTK_BOX (box), area);
  gtk_box_append (GTK_BOX (box), label);
  gtk_button_set_child (GTK_BUTTON (button), box);
  gtk_widget_add_css_class (button, "flat");
  gtk_widget_add_css_class (button, "shape");
  if (self->buttons->len > 0)
    gtk_toggle_button_set_group (GTK_TOGGLE_BUTTON (button), self->buttons->pdata[0]);
  g_signal_connect (button, "toggled", G_CALLBACK (toggled_cb), self);
  /* Pressed once more it asks for its numbers once more. */
  if (*shape == '\0')
    g_signal_connect (button, "clicked", G_CALLBACK (toggled_cb), self);
  g_ptr_array_add (self->buttons, button);
  g_ptr_array_add (self->shapes, name);
  gtk_grid_attach (GTK_GRID (self->grid), button, column, row, 1, 1);
}

const char *
atl_shape_picker_get_shape (AtlShapePicker *self)
{
  for (guint i = 0; i < self->buttons->len; i++)
    if (gtk_toggle_button_get_active (self->buttons->pdata[i]))
      return self->shapes->pdata[i];
  return "";
}

void
atl_shape_picker_set_shape (AtlShapePicker *self, const char *shape)
{
  self->setting = TRUE;
  for (guint i = 0; i < self->buttons->len; i++)
    if (g_str_equal (self->shapes->pdata[i], shape))
      gtk_toggle_button_set_active (self->buttons->pdata[i], TRUE);
  self->setting = FALSE;
}

static void
set_words (GtkWidget *button, const char *words)
{
  gtk_widget_set_tooltip_text (button, words);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, words,
                                  -1);
}

static gboolean
has_shapes (AtlShapePicker *self, const char *const *shapes)
{
  guint n = g_strv_length ((char **) shapes);

  if (self->shapes->len != n + 1)
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (!g_str_equal (self->shapes->pdata[i], shapes[i]))
      return FALSE;
  return TRUE;
}

/* What lies above, what stands upright below the one that is as wide as it is high. */
static void
set_shapes (AtlShapePicker *self, const char *const *shapes)
{
  g_autofree char *chosen = g_strdup (atl_shape_picker_get_shape (self));
  int lying = 0, standing = 1;

  if (has_shapes (self, shapes))
    return;
  for (guint i = 0; i < self->buttons->len; i++)
    gtk_grid_remove (GTK_GRID (self->grid), self->buttons->pdata[i]);
  g_ptr_array_set_size (self->buttons, 0);
  g_ptr_array_set_size (self->shapes, 0);
  for (guint i = 0; shapes[i] != NULL; i++)
    {
      gboolean upright = atl_picture_shape_ratio (shapes[i]) < 1;

      add_button (self, shapes[i], upright ? standing++ : lying++, upright);
    }
  add_button (self, "", 0, 1);
  atl_shape_picker_set_shape (self, chosen);
}

void
atl_shape_picker_set_model (AtlShapePicker *self,
                            const AtlModelInfo *info,
                            guint width,
                            guint height)
{
  g_autofree char *own = g_strdup_printf (_ ("Any size: %u × %u pixels"), width, height);
  g_autoptr (GPtrArray) shapes = g_ptr_array_new ();

  for (guint i = 0; info != NULL && i < info->n_sizes; i++)
    g_ptr_array_add (shapes, info->sizes[i].shape);
  for (const char *const *shape = atl_picture_shapes (); shapes->len == 0 && *shape != NULL;)
    {
      for (; *shape != NULL; shape++)
        g_ptr_array_add (shapes, (gpointer) *shape);
    }
  g_ptr_array_add (shapes, NULL);
  set_shapes (self, (const char *const *) shapes->pdata);
  for (guint i = 0; i + 1 < self->buttons->len; i++)
    {
      gboolean known = info != NULL && i < info->n_sizes;
      g_autofree char *words =
          /* Translators: a shape such as 4:3, and its width and height. */
          known ? g_strdup_printf (_ ("%s, %u × %u pixels"), info->sizes[i].shape,
                                   info->sizes[i].width, info->sizes[i].height)
                : g_strdup (self->shapes->pdata[i]);

      set_words (self->buttons->pdata[i], words);
    }
  set_words (self->buttons->pdata[self->buttons->len - 1], own);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_SHAPE)
    g_value_set_string (value, atl_shape_picker_get_shape (ATL_SHAPE_PICKER (object)));
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
  g_ptr_array_unref (ATL_SHAPE_PICKER (object)->shapes);
  G_OBJECT_CLASS (atl_shape_picker_parent_class)->finalize (object);
}

static void
atl_shape_picker_class_init (AtlShapePickerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = get_property;
  object_class->dispose = atl_shape_picker_dispose;
  object_class->finalize = atl_shape_picker_finalize;
  shape_prop =
      g_param_spec_string ("shape", NULL, NULL, NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_property (object_class, PROP_SHAPE, shape_prop);
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
}

static void
atl_shape_picker_init (AtlShapePicker *self)
{
  self->buttons = g_ptr_array_new ();
  self->shapes = g_ptr_array_new_with_free_func (g_free);
  self->grid = gtk_grid_new ();
  gtk_grid_set_column_homogeneous (GTK_GRID (self->grid), TRUE);
  gtk_grid_set_column_spacing (GTK_GRID (self->grid), 2);
  gtk_grid_set_row_spacing (GTK_GRID (self->grid), 3);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->grid), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Shape"), -1);
  gtk_widget_set_parent (self->grid, GTK_WIDGET (self));
  set_shapes (self, atl_picture_shapes ());
}
