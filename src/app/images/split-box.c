/* Lays out by the width that it is given. */
#include "app/images/split-box.h"

/* The second child is never narrower than this beside the first. */
#define LEAST_SECOND_PX 320
/* Of the first one while it is hidden and was never seen beside the second. */
#define LEAST_FIRST_PX 330

struct _AtlSplitBox
{
  GtkWidget parent_instance;

  GtkWidget *first, *line, *second;
  gboolean is_folded;
  gboolean told_folded; /* what others were told last, and the first child is like now */
  guint notify_source;
  int least_beside;     /* what the first child needed beside the second, 0: it never was */
  int least_beside_for; /* the size of letters then, in Pango units */
};

G_DEFINE_FINAL_TYPE (AtlSplitBox, atl_split_box, GTK_TYPE_WIDGET)

enum
{
  PROP_IS_FOLDED = 1
};
static GParamSpec *folded_prop;

static int
natural (GtkWidget *widget, GtkOrientation orientation, int for_size, int *minimum)
{
  int min, nat;

  gtk_widget_measure (widget, orientation, for_size, &min, &nat, NULL, NULL);
  if (minimum != NULL)
    *minimum = min;
  return nat;
}

static int
font_size (AtlSplitBox *self)
{
  PangoContext *context = gtk_widget_get_pango_context (GTK_WIDGET (self));

  return MAX (1, pango_font_description_get_size (pango_context_get_font_description (context)));
}

/* What the first child gets where `width` is enough for both; 0: it is not. Folded it may show less
 * and be content with less, which must not unfold it again: so what it needs is remembered. */
static int
first_width (AtlSplitBox *self, int width)
{
  int least, first, font = font_size (self);

  natural (self->first, GTK_ORIENTATION_HORIZONTAL, -1, &first);
  natural (self->second, GTK_ORIENTATION_HORIZONTAL, -1, &least);
  if (!self->told_folded)
    {
      self->least_beside = first;
      self->least_beside_for = font;
    }
  else if (self->least_beside > 0)
    first = MAX (first, (int) ((gint64) self->least_beside * font / self->least_beside_for));
  if (!gtk_widget_get_visible (self->first))
    first = MAX (first, LEAST_FIRST_PX);
  return width >= first + MAX (least, LEAST_SECOND_PX) ? first : 0;
}

static GtkSizeRequestMode
get_request_mode (GtkWidget *widget)
{
  return GTK_SIZE_REQUEST_HEIGHT_FOR_WIDTH;
}

static void
measure (GtkWidget *widget,
         GtkOrientation orientation,
         int for_size,
         int *minimum,
         int *natural_size,
         int *minimum_baseline,
         int *natural_baseline)
{
  AtlSplitBox *self = ATL_SPLIT_BOX (widget);
  int first_min, second_min, first_nat, second_nat, first;

  *minimum_baseline = *natural_baseline = -1;
  if (orientation == GTK_ORIENTATION_HORIZONTAL)
    {
      first_nat = natural (self->first, orientation, -1, &first_min);
      second_nat = natural (self->second, orientation, -1, &second_min);
      *minimum = MAX (first_min, second_min);
      *natural_size = first_nat + second_nat;
      return;
    }
  first = for_size >= 0 ? first_width (self, for_size) : 0;
  first_nat = natural (self->first, orientation, first > 0 ? first : for_size, &first_min);
  second_nat =
      natural (self->second, orientation, first > 0 ? for_size - first : for_size, &second_min);
  *minimum = first > 0 || for_size < 0 ? MAX (first_min, second_min) : first_min + second_min;
  *natural_size = first > 0 ? MAX (first_nat, second_nat) : first_nat + second_nat;
}

static gboolean
notify_cb (gpointer data)
{
  AtlSplitBox *self = data;

  self->notify_source = 0;
  self->told_folded = self->is_folded;
  g_object_notify_by_pspec (G_OBJECT (self), folded_prop);
  return G_SOURCE_REMOVE;
}

static void
place (GtkWidget *child, int x, int y, int width, int height)
{
  gtk_widget_size_allocate (child, &(GtkAllocation){ x, y, width, height }, -1);
}

static void
size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  AtlSplitBox *self = ATL_SPLIT_BOX (widget);
  int first = first_width (self, width), line, high, least_second;
  gboolean is_folded = first == 0, is_rtl = gtk_widget_get_direction (widget) == GTK_TEXT_DIR_RTL;

  if (is_folded != self->is_folded)
    {
      self->is_folded = is_folded;
      gtk_orientable_set_orientation (GTK_ORIENTABLE (self->line), is_folded
                                                                       ? GTK_ORIENTATION_HORIZONTAL
                                                                       : GTK_ORIENTATION_VERTICAL);
      /* What follows from it changes sizes, which must wait until this layout is done. */
      if (self->notify_source == 0)
        self->notify_source = g_idle_add (notify_cb, self);
    }
  line = natural (self->line, is_folded ? GTK_ORIENTATION_VERTICAL : GTK_ORIENTATION_HORIZONTAL, -1,
                  NULL);
  if (!is_folded)
    {
      place (self->first, is_rtl ? width - first : 0, 0, first, height);
      place (self->line, is_rtl ? width - first - line : first, 0, line, height);
      place (self->second, is_rtl ? 0 : first + line, 0, width - first - line, height);
      return;
    }
  if (!gtk_widget_get_visible (self->first))
    {
      place (self->line, 0, 0, width, line);
      place (self->second, 0, line, width, height - line);
      return;
    }
  if (!gtk_widget_get_visible (self->second))
    {
      place (self->first, 0, 0, width, height);
      place (self->line, 0, height - line, width, line);
      return;
    }
  high = natural (self->first, GTK_ORIENTATION_VERTICAL, width, NULL);
  natural (self->second, GTK_ORIENTATION_VERTICAL, width, &least_second);
  high = CLAMP (high, 0, MAX (0, height - line - least_second));
  natural (self->first, GTK_ORIENTATION_VERTICAL, width, &least_second);
  high = MAX (high, MIN (least_second, height));
  place (self->first, 0, 0, width, high);
  place (self->line, 0, high, width, line);
  place (self->second, 0, high + line, width, MAX (0, height - high - line));
}

void
atl_split_box_set_children (AtlSplitBox *self, GtkWidget *first, GtkWidget *second)
{
  g_return_if_fail (self->first == NULL);

  self->first = first;
  self->second = second;
  gtk_widget_set_parent (first, GTK_WIDGET (self));
  self->line = gtk_separator_new (GTK_ORIENTATION_HORIZONTAL);
  gtk_widget_set_parent (self->line, GTK_WIDGET (self));
  gtk_widget_set_parent (second, GTK_WIDGET (self));
}

gboolean
atl_split_box_get_is_folded (AtlSplitBox *self)
{
  return self->is_folded;
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_IS_FOLDED)
    g_value_set_boolean (value, ATL_SPLIT_BOX (object)->is_folded);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
atl_split_box_dispose (GObject *object)
{
  AtlSplitBox *self = ATL_SPLIT_BOX (object);

  g_clear_handle_id (&self->notify_source, g_source_remove);
  g_clear_pointer (&self->first, gtk_widget_unparent);
  g_clear_pointer (&self->line, gtk_widget_unparent);
  g_clear_pointer (&self->second, gtk_widget_unparent);
  G_OBJECT_CLASS (atl_split_box_parent_class)->dispose (object);
}

static void
atl_split_box_class_init (AtlSplitBoxClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->get_property = get_property;
  G_OBJECT_CLASS (klass)->dispose = atl_split_box_dispose;
  widget_class->get_request_mode = get_request_mode;
  widget_class->measure = measure;
  widget_class->size_allocate = size_allocate;
  folded_prop = g_param_spec_boolean ("is-folded", NULL, NULL, FALSE,
                                      G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_property (G_OBJECT_CLASS (klass), PROP_IS_FOLDED, folded_prop);
}

static void
atl_split_box_init (AtlSplitBox *self)
{
  /* Until it is known how much room there is: a window that was once too wide stays so. */
  self->is_folded = self->told_folded = TRUE;
}
