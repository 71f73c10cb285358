/* A tile draws its thumbnail itself, so that a row of them is cheap. */
#include "app/gallery/gallery-tile.h"

#include <glib/gi18n.h>

#define RADIUS 9.0f
#define ICON_MARGIN 6
#define STATE_ICON 24

struct _AtlGalleryTile
{
  GtkWidget parent_instance;

  AtlGallery *gallery;  /* (nullable) borrowed */
  AtlGalleryItem *item; /* (nullable) */
  GSignalGroup *signals;
  int width, height;
  gboolean is_chosen, is_near;

  GtkWidget *star;
  GtkWidget *check;
  GtkWidget *problem;
  const char *problem_words; /* (nullable) of the catalogue: what the tooltip says */
};

G_DEFINE_FINAL_TYPE (AtlGalleryTile, atl_gallery_tile, GTK_TYPE_WIDGET)

static guint activated_signal, chosen_signal, menu_signal, dragged_signal;

static void
refresh (AtlGalleryTile *self)
{
  AtlGalleryState state =
      self->item != NULL ? atl_gallery_item_get_state (self->item) : ATL_GALLERY_FRESH;
  const char *problem = state == ATL_GALLERY_GONE     ? _ ("The file is not where it was")
                        : state == ATL_GALLERY_BROKEN ? _ ("The file cannot be read as a picture")
                                                      : NULL;

  gtk_widget_set_visible (self->star,
                          self->item != NULL && atl_gallery_item_get_starred (self->item));
  gtk_widget_set_visible (self->check, self->is_chosen);
  gtk_widget_set_visible (self->problem, problem != NULL);
  /* GTK asks the display server where the pointer is at each call and waits for the answer: with
   * hundreds of tiles bound at once that is most of the time. */
  if (problem != self->problem_words)
    {
      self->problem_words = problem;
      gtk_image_set_from_icon_name (GTK_IMAGE (self->problem), state == ATL_GALLERY_GONE
                                                                   ? "edit-find-symbolic"
                                                                   : "image-missing-symbolic");
      gtk_widget_set_tooltip_text (GTK_WIDGET (self), problem);
    }
  gtk_accessible_update_state (
      GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_STATE_PRESSED,
      self->is_chosen ? GTK_ACCESSIBLE_TRISTATE_TRUE : GTK_ACCESSIBLE_TRISTATE_FALSE, -1);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

void
atl_gallery_tile_set_item (AtlGalleryTile *self, AtlGallery *gallery, AtlGalleryItem *item)
{
  g_autofree char *words = NULL;

  if (self->item == item)
    return;
  if (self->item != NULL)
    {
      g_autoptr (AtlGalleryItem) old = g_steal_pointer (&self->item);

      g_signal_group_set_target (self->signals, NULL);
      if (self->is_near)
        atl_gallery_hide (self->gallery, old);
    }
  self->gallery = gallery;
  if (item != NULL)
    {
      self->item = g_object_ref (item);
      g_signal_group_set_target (self->signals, item);
      if (self->is_near)
        atl_gallery_show (gallery, item);
      words = atl_gallery_describe (gallery, item);
      gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, words,
                                      -1);
    }
  refresh (self);
}

AtlGalleryItem *
atl_gallery_tile_get_item (AtlGalleryTile *self)
{
  return self->item;
}

void
atl_gallery_tile_set_size (AtlGalleryTile *self, int width, int height)
{
  if (self->width == width && self->height == height)
    return;
  self->width = width;
  self->height = height;
  gtk_widget_queue_resize (GTK_WIDGET (self));
}

void
atl_gallery_tile_set_is_near (AtlGalleryTile *self, gboolean is_near)
{
  if (self->is_near == is_near)
    return;
  self->is_near = is_near;
  if (self->item == NULL)
    return;
  if (is_near)
    atl_gallery_show (self->gallery, self->item);
  else
    atl_gallery_hide (self->gallery, self->item);
}

void
atl_gallery_tile_set_is_chosen (AtlGalleryTile *self, gboolean is_chosen)
{
  if (self->is_chosen == is_chosen)
    return;
  self->is_chosen = is_chosen;
  if (is_chosen)
    gtk_widget_add_css_class (GTK_WIDGET (self), "chosen");
  else
    gtk_widget_remove_css_class (GTK_WIDGET (self), "chosen");
  refresh (self);
}

/* --- Drawing --- */

static void
snapshot (GtkWidget *widget, GtkSnapshot *snapshot)
{
  AtlGalleryTile *self = ATL_GALLERY_TILE (widget);
  GdkTexture *texture = self->item != NULL ? atl_gallery_item_get_texture (self->item) : NULL;
  float width = (float) gtk_widget_get_width (widget),
        height = (float) gtk_widget_get_height (widget);
  float inset = self->is_chosen ? 6 : 0;
  graphene_rect_t bounds = GRAPHENE_RECT_INIT (inset, inset, width - 2 * inset, height - 2 * inset);
  GskRoundedRect outline;

  gsk_rounded_rect_init_from_rect (&outline, &bounds, RADIUS);
  gtk_snapshot_push_rounded_clip (snapshot, &outline);
  if (texture != NULL)
    {
      /* Covers: the row's aspect is bounded, and rounded to whole pixels. */
      float scale = MAX (bounds.size.width / gdk_texture_get_width (texture),
                         bounds.size.height / gdk_texture_get_height (texture));
      float w = gdk_texture_get_width (texture) * scale;
      float h = gdk_texture_get_height (texture) * scale;

      gtk_snapshot_append_texture (
          snapshot, texture,
          &GRAPHENE_RECT_INIT (bounds.origin.x + (bounds.size.width - w) / 2,
                               bounds.origin.y + (bounds.size.height - h) / 2, w, h));
    }
  else
    {
      GdkRGBA color;

      gtk_style_context_get_color (gtk_widget_get_style_context (widget), &color);
      color.alpha = 0.08f;
      gtk_snapshot_append_color (snapshot, &color, &bounds);
    }
  gtk_snapshot_pop (snapshot);
  GTK_WIDGET_CLASS (atl_gallery_tile_parent_class)->snapshot (widget, snapshot);
}

static void
measure (GtkWidget *widget,
         GtkOrientation orientation,
         int for_size,
         int *minimum,
         int *natural,
         int *minimum_baseline,
         int *natural_baseline)
{
  AtlGalleryTile *self = ATL_GALLERY_TILE (widget);

  *minimum = *natural = orientation == GTK_ORIENTATION_HORIZONTAL ? self->width : self->height;
}

static void
place (GtkWidget *child, int x, int y, int size)
{
  if (gtk_widget_should_layout (child))
    {
      gtk_widget_measure (child, GTK_ORIENTATION_HORIZONTAL, -1, NULL, NULL, NULL, NULL);
      gtk_widget_size_allocate (child, &(GtkAllocation){ x, y, size, size }, -1);
    }
}

static void
size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  AtlGalleryTile *self = ATL_GALLERY_TILE (widget);
  gboolean rtl = gtk_widget_get_direction (widget) == GTK_TEXT_DIR_RTL;
  int far = width - STATE_ICON - ICON_MARGIN;

  place (self->star, rtl ? ICON_MARGIN : far, height - STATE_ICON - ICON_MARGIN, STATE_ICON);
  place (self->check, rtl ? far : ICON_MARGIN, ICON_MARGIN, STATE_ICON);
  place (self->problem, (width - STATE_ICON) / 2, (height - STATE_ICON) / 2, STATE_ICON);
}

/* --- Input --- */

static void
released_cb (GtkGestureClick *click, int n_press, double x, double y, AtlGalleryTile *self)
{
  GdkModifierType modifiers =
      gtk_event_controller_get_current_event_state (GTK_EVENT_CONTROLLER (click));

  if (!gtk_widget_contains (GTK_WIDGET (self), x, y))
    return;
  gtk_gesture_set_state (GTK_GESTURE (click), GTK_EVENT_SEQUENCE_CLAIMED);
  gtk_widget_grab_focus (GTK_WIDGET (self));
  modifiers &= GDK_CONTROL_MASK | GDK_SHIFT_MASK;
  if (modifiers != 0)
    g_signal_emit (self, chosen_signal, 0, modifiers);
  else if (n_press == 1)
    g_signal_emit (self, activated_signal, 0);
}

static void
long_press_cb (GtkGestureLongPress *press, double x, double y, AtlGalleryTile *self)
{
  gtk_gesture_set_state (GTK_GESTURE (press), GTK_EVENT_SEQUENCE_CLAIMED);
  g_signal_emit (self, chosen_signal, 0, GDK_CONTROL_MASK);
}

static void
menu_pressed_cb (GtkGestureClick *click, int n_press, double x, double y, AtlGalleryTile *self)
{
  gtk_gesture_set_state (GTK_GESTURE (click), GTK_EVENT_SEQUENCE_CLAIMED);
  gtk_widget_grab_focus (GTK_WIDGET (self));
  g_signal_emit (self, menu_signal, 0, x, y);
}

static gboolean
key_cb (
    GtkEventControllerKey *keys, guint key, guint code, GdkModifierType mods, AtlGalleryTile *self)
{
  mods &= gtk_accelerator_get_default_mod_mask ();
  if ((key == GDK_KEY_Return || key == GDK_KEY_KP_Enter) && mods == 0)
    g_signal_emit (self, activated_signal, 0);
  else if (key == GDK_KEY_Menu || (key == GDK_KEY_F10 && mods == GDK_SHIFT_MASK))
    g_signal_emit (self, menu_signal, 0, self->width / 2.0, self->height / 2.0);
  else
    return GDK_EVENT_PROPAGATE;
  return GDK_EVENT_STOP;
}

GdkContentProvider *
atl_gallery_file_content (const GPtrArray *paths)
{
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (g_object_unref);
  GdkFileList *list;
  GdkContentProvider *content;

  for (guint i = 0; i < paths->len; i++)
    g_ptr_array_add (files, g_file_new_for_path (paths->pdata[i]));
  list = gdk_file_list_new_from_array ((GFile **) files->pdata, files->len);
  content = gdk_content_provider_new_typed (GDK_TYPE_FILE_LIST, list);
  g_boxed_free (GDK_TYPE_FILE_LIST, list);
  return content;
}

static GdkContentProvider *
drag_prepare_cb (GtkDragSource *source, double x, double y, AtlGalleryTile *self)
{
  char *path = self->item != NULL ? atl_gallery_dup_path (self->gallery, self->item) : NULL;
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);

  if (path == NULL)
    return NULL;
  g_ptr_array_add (paths, path);
  if (atl_gallery_item_get_state (self->item) == ATL_GALLERY_GONE)
    return NULL;
  g_signal_emit (self, dragged_signal, 0, paths);
  return atl_gallery_file_content (paths);
}

static void
drag_begin_cb (GtkDragSource *source, GdkDrag *drag, AtlGalleryTile *self)
{
  g_autoptr (GdkPaintable) icon = gtk_widget_paintable_new (GTK_WIDGET (self));
  g_autoptr (GdkPaintable) still = gdk_paintable_get_current_image (icon);

  gtk_drag_source_set_icon (source, still, self->width / 2, self->height / 2);
}

/* --- GObject --- */

static void
atl_gallery_tile_dispose (GObject *object)
{
  AtlGalleryTile *self = ATL_GALLERY_TILE (object);
  GtkWidget *child;

  atl_gallery_tile_set_item (self, self->gallery, NULL);
  g_clear_object (&self->signals);
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))) != NULL)
    gtk_widget_unparent (child);
  G_OBJECT_CLASS (atl_gallery_tile_parent_class)->dispose (object);
}

static void
atl_gallery_tile_class_init (AtlGalleryTileClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_gallery_tile_dispose;
  widget_class->snapshot = snapshot;
  widget_class->measure = measure;
  widget_class->size_allocate = size_allocate;
  gtk_widget_class_set_css_name (widget_class, "gallerytile");
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_BUTTON);
  activated_signal = g_signal_new ("activated", ATL_TYPE_GALLERY_TILE, G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 0);
  chosen_signal = g_signal_new ("chosen", ATL_TYPE_GALLERY_TILE, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                NULL, G_TYPE_NONE, 1, G_TYPE_UINT);
  menu_signal = g_signal_new ("menu", ATL_TYPE_GALLERY_TILE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                              G_TYPE_NONE, 2, G_TYPE_DOUBLE, G_TYPE_DOUBLE);
  dragged_signal = g_signal_new ("dragged", ATL_TYPE_GALLERY_TILE, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                 NULL, G_TYPE_NONE, 1, G_TYPE_PTR_ARRAY);
}

static GtkWidget *
add_icon (AtlGalleryTile *self, const char *name, const char *css_class)
{
  GtkWidget *icon = gtk_image_new_from_icon_name (name);

  gtk_widget_add_css_class (icon, css_class);
  gtk_widget_set_visible (icon, FALSE);
  gtk_widget_set_can_target (icon, FALSE);
  gtk_widget_set_parent (icon, GTK_WIDGET (self));
  return icon;
}

static void
atl_gallery_tile_init (AtlGalleryTile *self)
{
  GtkWidget *widget = GTK_WIDGET (self);
  GtkGesture *click = gtk_gesture_click_new (), *menu = gtk_gesture_click_new ();
  GtkGesture *press = gtk_gesture_long_press_new ();
  GtkEventController *keys = gtk_event_controller_key_new ();
  GtkDragSource *drag = gtk_drag_source_new ();

  self->is_near = TRUE;
  gtk_widget_set_overflow (widget, GTK_OVERFLOW_HIDDEN);
  gtk_widget_set_focusable (widget, TRUE);
  self->star = add_icon (self, "starred-symbolic", "tile-star");
  self->check = add_icon (self, "object-select-symbolic", "tile-check");
  self->problem = add_icon (self, "image-missing-symbolic", "tile-problem");
  self->signals = g_signal_group_new (ATL_TYPE_GALLERY_ITEM);
  g_signal_group_connect_swapped (self->signals, "notify", G_CALLBACK (refresh), self);

  g_signal_connect (click, "released", G_CALLBACK (released_cb), self);
  gtk_widget_add_controller (widget, GTK_EVENT_CONTROLLER (click));
  gtk_gesture_single_set_button (GTK_GESTURE_SINGLE (menu), GDK_BUTTON_SECONDARY);
  g_signal_connect (menu, "pressed", G_CALLBACK (menu_pressed_cb), self);
  gtk_widget_add_controller (widget, GTK_EVENT_CONTROLLER (menu));
  gtk_gesture_single_set_touch_only (GTK_GESTURE_SINGLE (press), TRUE);
  g_signal_connect (press, "pressed", G_CALLBACK (long_press_cb), self);
  gtk_widget_add_controller (widget, GTK_EVENT_CONTROLLER (press));
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (widget, keys);
  g_signal_connect (drag, "prepare", G_CALLBACK (drag_prepare_cb), self);
  g_signal_connect (drag, "drag-begin", G_CALLBACK (drag_begin_cb), self);
  gtk_widget_add_controller (widget, GTK_EVENT_CONTROLLER (drag));
}

GtkWidget *
atl_gallery_tile_new (void)
{
  return g_object_new (ATL_TYPE_GALLERY_TILE, NULL);
}
