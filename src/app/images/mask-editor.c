/* Brush, eraser, size, undo, invert, clear, done. */
#include "app/images/mask-editor.h"

#include <glib/gi18n.h>

#include "app/images/mask-area.h"

struct _AtlMaskEditor
{
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkWidget *frame;
  GtkWidget *area;
  GtkWidget *brush_button;
  GtkWidget *eraser_button;
  GtkWidget *size_scale;
  GtkWidget *undo_button;
  GtkWidget *redo_button;
  GtkWidget *clear_button;
  gboolean showing;
};

G_DEFINE_FINAL_TYPE (AtlMaskEditor, atl_mask_editor, GTK_TYPE_WIDGET)

enum
{
  DONE,
  CANCELLED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static AtlMask *
mask_of (AtlMaskEditor *self)
{
  return atl_mask_area_get_mask (ATL_MASK_AREA (self->area));
}

static void
refresh (AtlMaskEditor *self)
{
  AtlMask *mask = mask_of (self);

  self->showing = TRUE;
  gtk_widget_set_sensitive (self->undo_button, mask != NULL && atl_mask_can_undo (mask));
  gtk_widget_set_sensitive (self->redo_button, mask != NULL && atl_mask_can_redo (mask));
  gtk_widget_set_sensitive (self->clear_button, mask != NULL && !atl_mask_is_empty (mask));
  gtk_range_set_value (GTK_RANGE (self->size_scale),
                       atl_mask_area_get_brush (ATL_MASK_AREA (self->area)));
  self->showing = FALSE;
}

static void
tool_cb (AtlMaskEditor *self)
{
  atl_mask_area_set_erases (ATL_MASK_AREA (self->area),
                            gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (self->eraser_button)));
}

static void
size_cb (AtlMaskEditor *self)
{
  if (!self->showing)
    atl_mask_area_set_brush (ATL_MASK_AREA (self->area),
                             gtk_range_get_value (GTK_RANGE (self->size_scale)));
}

static void
undo_cb (AtlMaskEditor *self)
{
  atl_mask_undo (mask_of (self));
  atl_mask_area_changed (ATL_MASK_AREA (self->area));
}

static void
redo_cb (AtlMaskEditor *self)
{
  atl_mask_redo (mask_of (self));
  atl_mask_area_changed (ATL_MASK_AREA (self->area));
}

static void
clear_cb (AtlMaskEditor *self)
{
  atl_mask_begin (mask_of (self));
  atl_mask_fill (mask_of (self), 0);
  atl_mask_area_changed (ATL_MASK_AREA (self->area));
}

static void
invert_cb (AtlMaskEditor *self)
{
  atl_mask_begin (mask_of (self));
  atl_mask_invert (mask_of (self));
  atl_mask_area_changed (ATL_MASK_AREA (self->area));
}

void
atl_mask_editor_finish (AtlMaskEditor *self)
{
  AtlMask *mask = mask_of (self);
  g_autoptr (GBytes) png = NULL;

  if (mask == NULL)
    return;
  if (!atl_mask_is_empty (mask))
    png = atl_mask_to_png (mask, NULL);
  g_signal_emit (self, signals[DONE], 0, png);
}

static void
cancel_cb (AtlMaskEditor *self)
{
  g_signal_emit (self, signals[CANCELLED], 0);
}

void
atl_mask_editor_begin (
    AtlMaskEditor *self, GdkTexture *picture, GBytes *mask, guint mask_width, guint mask_height)
{
  AtlMask *painted = atl_mask_new ((guint) gdk_texture_get_width (picture),
                                   (guint) gdk_texture_get_height (picture));

  if (mask != NULL)
    atl_mask_load (painted, g_bytes_get_data (mask, NULL), mask_width, mask_height);
  atl_mask_area_set_picture (ATL_MASK_AREA (self->area), picture, painted);
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (self->brush_button), TRUE);
  gtk_widget_grab_focus (self->area);
}

/* Escape leaves; what was painted before stays as it was. */
static gboolean
escape_cb (GtkWidget *widget, GVariant *arguments, gpointer data)
{
  cancel_cb (ATL_MASK_EDITOR (widget));
  return TRUE;
}

static void
atl_mask_editor_dispose (GObject *object)
{
  AtlMaskEditor *self = ATL_MASK_EDITOR (object);

  g_clear_pointer (&self->box, gtk_widget_unparent);
  G_OBJECT_CLASS (atl_mask_editor_parent_class)->dispose (object);
}

static void
atl_mask_editor_class_init (AtlMaskEditorClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_mask_editor_dispose;
  signals[DONE] = g_signal_new ("done", ATL_TYPE_MASK_EDITOR, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                NULL, G_TYPE_NONE, 1, G_TYPE_BYTES);
  signals[CANCELLED] = g_signal_new ("cancelled", ATL_TYPE_MASK_EDITOR, G_SIGNAL_RUN_LAST, 0, NULL,
                                     NULL, NULL, G_TYPE_NONE, 0);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/mask-editor.ui");
  gtk_widget_class_add_binding (widget_class, GDK_KEY_Escape, 0, escape_cb, NULL);
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlMaskEditor, name)
  BIND (box);
  BIND (frame);
  BIND (brush_button);
  BIND (eraser_button);
  BIND (size_scale);
  BIND (undo_button);
  BIND (redo_button);
  BIND (clear_button);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, tool_cb);
  gtk_widget_class_bind_template_callback (widget_class, size_cb);
  gtk_widget_class_bind_template_callback (widget_class, undo_cb);
  gtk_widget_class_bind_template_callback (widget_class, redo_cb);
  gtk_widget_class_bind_template_callback (widget_class, clear_cb);
  gtk_widget_class_bind_template_callback (widget_class, invert_cb);
  gtk_widget_class_bind_template_callback (widget_class, atl_mask_editor_finish);
  gtk_widget_class_bind_template_callback (widget_class, cancel_cb);
}

static void
atl_mask_editor_init (AtlMaskEditor *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  self->area = atl_mask_area_new ();
  gtk_accessible_update_property (
      GTK_ACCESSIBLE (self->area), GTK_ACCESSIBLE_PROPERTY_LABEL, _ ("Picture to paint on"),
      GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
      _ ("Arrow keys move the brush, with Shift they paint. Space paints a dot, [ and ] change "
         "the size."),
      -1);
  gtk_box_append (GTK_BOX (self->frame), self->area);
  g_signal_connect_swapped (self->area, "changed", G_CALLBACK (refresh), self);
}
