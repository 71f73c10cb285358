/* Pictures in rows of a list view, which keeps widgets only for those that are seen. */
#include "app/gallery/gallery-view.h"

#include <glib/gi18n.h>

#include "app/gallery/gallery-actions.h"
#include "app/gallery/gallery-line.h"
#include "app/gallery/gallery-view-private.h"
#include "app/gallery/viewer-window.h"

#define CHANGES_MS 400

G_DEFINE_FINAL_TYPE (AtlGalleryView, atl_gallery_view, GTK_TYPE_WIDGET)

/* --- What is shown --- */

static gboolean
relayout_cb (gpointer data)
{
  AtlGalleryView *self = data;

  self->relayout_id = 0;
  atl_gallery_view_lay_out (self);
  return G_SOURCE_REMOVE;
}

static void
queue_relayout (AtlGalleryView *self)
{
  if (self->relayout_id == 0 && self->width > 0)
    self->relayout_id = g_idle_add_full (G_PRIORITY_HIGH_IDLE, relayout_cb, self, NULL);
}

void
atl_gallery_view_refresh (AtlGalleryView *self)
{
  const char *words = gtk_editable_get_text (GTK_EDITABLE (self->entry));
  gboolean only_starred = gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (self->stars));
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) items = NULL;
  gboolean focused = atl_gallery_view_has_focus (self);
  guint at;

  if (self->gallery == NULL)
    return;
  items = atl_gallery_search (self->gallery, words, only_starred, &error);
  self->is_stale = FALSE;
  if (items == NULL)
    {
      atl_session_emit_notice (atl_gallery_get_session (self->gallery), error->message);
      return;
    }
  if (focused && self->cursor < self->items->len &&
      g_ptr_array_find (items, self->items->pdata[self->cursor], &at))
    self->cursor = at;
  g_clear_pointer (&self->items, g_ptr_array_unref);
  self->items = g_steal_pointer (&items);
  g_list_store_splice (self->found, 0, g_list_model_get_n_items (G_LIST_MODEL (self->found)),
                       self->items->pdata, self->items->len);
  self->cursor = MIN (self->cursor, MAX (self->items->len, 1) - 1);
  atl_gallery_view_trim_choice (self);
  gtk_stack_set_visible_child_name (GTK_STACK (self->stack), self->items->len > 0 ? "list"
                                                             : *words != '\0'     ? "nothing"
                                                             : only_starred       ? "no-stars"
                                                                                  : "empty");
  if (self->width > 0)
    atl_gallery_view_lay_out (self);
  if (focused)
    atl_gallery_view_keep_focus (self);
}

static gboolean
changed_later_cb (gpointer data)
{
  AtlGalleryView *self = data;

  self->changed_id = 0;
  atl_gallery_view_refresh (self);
  return G_SOURCE_REMOVE;
}

/* A change is shown at once; what follows it closely, a little later together; what nobody sees,
 * when it is seen. */
static void
changed_cb (AtlGalleryView *self)
{
  gint64 now = g_get_monotonic_time ();

  self->is_stale = TRUE;
  if (self->changed_id != 0 || !gtk_widget_get_mapped (GTK_WIDGET (self)))
    return;
  if (now - self->changed_us > CHANGES_MS * 1000)
    {
      self->changed_us = now;
      atl_gallery_view_refresh (self);
      return;
    }
  self->changed_us = now;
  self->changed_id = g_timeout_add (CHANGES_MS, changed_later_cb, self);
}

/* --- Lines and tiles --- */

guint
atl_gallery_view_index_of (AtlGalleryView *self, AtlGalleryTile *tile)
{
  GtkWidget *line = gtk_widget_get_ancestor (GTK_WIDGET (tile), ATL_TYPE_GALLERY_LINE);
  AtlGalleryRow *row = line != NULL ? atl_gallery_line_get_row (ATL_GALLERY_LINE (line)) : NULL;

  for (guint i = 0; row != NULL && i < row->n; i++)
    if (atl_gallery_line_get_tile (ATL_GALLERY_LINE (line), row->first + i) == tile)
      return row->first + i;
  return G_MAXUINT;
}

void
atl_gallery_view_look (AtlGalleryView *self, guint index, gboolean full_size)
{
  if (index < self->items->len)
    atl_viewer_window_show (GTK_WIDGET (self), self->gallery, G_LIST_MODEL (self->found), index,
                            full_size);
}

static void
tile_activated_cb (AtlGalleryTile *tile, AtlGalleryView *self)
{
  guint index = atl_gallery_view_index_of (self, tile);

  if (index == G_MAXUINT)
    return;
  self->cursor = self->anchor = index;
  /* Once some are chosen, a click goes on choosing. */
  if (g_hash_table_size (self->chosen) > 0)
    atl_gallery_view_choose (self, index, GDK_CONTROL_MASK);
  else
    atl_gallery_view_look (self, index, FALSE);
}

static void
tile_chosen_cb (AtlGalleryTile *tile, guint modifiers, AtlGalleryView *self)
{
  atl_gallery_view_choose (self, atl_gallery_view_index_of (self, tile), modifiers);
}

static void
tile_menu_cb (AtlGalleryTile *tile, double x, double y, AtlGalleryView *self)
{
  AtlGalleryItem *item = atl_gallery_tile_get_item (tile);

  if (item == NULL)
    return;
  gtk_widget_translate_coordinates (GTK_WIDGET (tile), GTK_WIDGET (self), x, y, &x, &y);
  atl_gallery_popup_menu (GTK_WIDGET (self), self->gallery, item, x, y);
}

static void
tile_added_cb (AtlGalleryLine *line, AtlGalleryTile *tile, AtlGalleryView *self)
{
  g_signal_connect (tile, "activated", G_CALLBACK (tile_activated_cb), self);
  g_signal_connect (tile, "chosen", G_CALLBACK (tile_chosen_cb), self);
  g_signal_connect (tile, "menu", G_CALLBACK (tile_menu_cb), self);
  g_signal_connect (tile, "dragged", G_CALLBACK (atl_gallery_view_drag), self);
}

static void
tile_shown_cb (AtlGalleryLine *line, AtlGalleryTile *tile, AtlGalleryView *self)
{
  atl_gallery_tile_set_is_chosen (
      tile, g_hash_table_contains (self->chosen, atl_gallery_tile_get_item (tile)));
}

static void
line_gone_cb (gpointer data, GObject *line)
{
  GPtrArray *lines = data;

  g_ptr_array_remove_fast (lines, line);
  g_ptr_array_unref (lines);
}

static void
setup_cb (GtkSignalListItemFactory *factory, GtkListItem *list_item, AtlGalleryView *self)
{
  GtkWidget *line = atl_gallery_line_new ();

  g_signal_connect (line, "tile-added", G_CALLBACK (tile_added_cb), self);
  g_signal_connect (line, "tile-shown", G_CALLBACK (tile_shown_cb), self);
  g_ptr_array_add (self->lines, line);
  /* They may outlive this view. */
  g_object_weak_ref (G_OBJECT (line), line_gone_cb, g_ptr_array_ref (self->lines));
  gtk_list_item_set_child (list_item, line);
  gtk_list_item_set_activatable (list_item, FALSE);
  gtk_list_item_set_selectable (list_item, FALSE);
}

static void
bind_cb (GtkSignalListItemFactory *factory, GtkListItem *list_item, AtlGalleryView *self)
{
  atl_gallery_line_set (ATL_GALLERY_LINE (gtk_list_item_get_child (list_item)), self->gallery,
                        self->laid, gtk_list_item_get_item (list_item), ATL_GALLERY_GAP);
  atl_gallery_view_queue_near (self);
}

static void
unbind_cb (GtkSignalListItemFactory *factory, GtkListItem *list_item, AtlGalleryView *self)
{
  atl_gallery_line_set (ATL_GALLERY_LINE (gtk_list_item_get_child (list_item)), self->gallery, NULL,
                        NULL, ATL_GALLERY_GAP);
}

/* --- Search --- */

void
atl_gallery_view_search (AtlGalleryView *self, const char *words)
{
  if (words != NULL)
    gtk_editable_set_text (GTK_EDITABLE (self->entry), words);
  atl_gallery_view_stop_focusing (self);
  gtk_widget_grab_focus (self->entry);
}

static void
search_ended_cb (AtlGalleryView *self)
{
  gtk_editable_set_text (GTK_EDITABLE (self->entry), "");
  atl_gallery_view_focus (self, self->cursor);
}

static void
search_activated_cb (AtlGalleryView *self)
{
  atl_gallery_view_focus (self, 0);
}

/* The last picture was deleted, which left the keyboard here, and is wanted again. */
static gboolean
undo (AtlGalleryView *self)
{
  if (self->items->len > 0 || *gtk_editable_get_text (GTK_EDITABLE (self->entry)) != '\0')
    return GDK_EVENT_PROPAGATE;
  gtk_widget_activate_action (GTK_WIDGET (self), "win.undo", NULL);
  atl_gallery_view_refresh (self);
  if (self->items->len > 0)
    gtk_widget_grab_focus (GTK_WIDGET (self));
  return GDK_EVENT_STOP;
}

/* From the words to the first picture, and not to the nearest button. */
static gboolean
entry_key_cb (GtkEventControllerKey *keys,
              guint keyval,
              guint code,
              GdkModifierType state,
              AtlGalleryView *self)
{
  if (keyval == GDK_KEY_z && (state & GDK_CONTROL_MASK) != 0)
    return undo (self);
  if (keyval != GDK_KEY_Down || self->items->len == 0)
    return GDK_EVENT_PROPAGATE;
  atl_gallery_view_focus (self, 0);
  return GDK_EVENT_STOP;
}

/* --- Files --- */

void
atl_gallery_view_import (AtlGalleryView *self, GSList *files)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func (g_object_unref);

  for (GSList *l = files; l != NULL; l = l->next)
    g_ptr_array_add (list, g_object_ref (l->data));
  atl_gallery_import (self->gallery, list);
}

/* --- GObject --- */

static void
map (GtkWidget *widget)
{
  AtlGalleryView *self = ATL_GALLERY_VIEW (widget);

  GTK_WIDGET_CLASS (atl_gallery_view_parent_class)->map (widget);
  if (self->is_stale)
    atl_gallery_view_refresh (self);
  if (self->gallery != NULL)
    atl_gallery_look (self->gallery);
}

static void
size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  AtlGalleryView *self = ATL_GALLERY_VIEW (widget);

  gtk_widget_size_allocate (self->box, &(GtkAllocation){ 0, 0, width, height }, baseline);
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    if (GTK_IS_POPOVER (child))
      gtk_popover_present (GTK_POPOVER (child));
  if (width == self->width)
    return;
  self->width = width;
  queue_relayout (self);
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
  gtk_widget_measure (ATL_GALLERY_VIEW (widget)->box, orientation, for_size, minimum, natural, NULL,
                      NULL);
}

void
atl_gallery_view_set_session (AtlGalleryView *self, AtlSession *session)
{
  g_return_if_fail (self->gallery == NULL);

  self->gallery = atl_gallery_get (session);
  atl_gallery_install_actions (GTK_WIDGET (self), GTK_WIDGET (self), self->gallery);
  g_signal_connect_object (self->gallery, "changed", G_CALLBACK (changed_cb), self,
                           G_CONNECT_SWAPPED);
  atl_gallery_view_refresh (self);
}

static void
dispose (GObject *object)
{
  AtlGalleryView *self = ATL_GALLERY_VIEW (object);

  g_clear_handle_id (&self->relayout_id, g_source_remove);
  g_clear_handle_id (&self->changed_id, g_source_remove);
  atl_gallery_view_stop_focusing (self);
  if (self->near_id != 0)
    gtk_widget_remove_tick_callback (GTK_WIDGET (self), self->near_id);
  self->near_id = 0;
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_pointer (&self->lines, g_ptr_array_unref);
  g_clear_pointer (&self->items, g_ptr_array_unref);
  g_clear_pointer (&self->laid, g_ptr_array_unref);
  g_clear_pointer (&self->chosen, g_hash_table_unref);
  g_clear_object (&self->rows);
  g_clear_object (&self->found);
  G_OBJECT_CLASS (atl_gallery_view_parent_class)->dispose (object);
}

static void
atl_gallery_view_class_init (AtlGalleryViewClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = dispose;
  widget_class->map = map;
  widget_class->grab_focus = atl_gallery_view_grab_focus;
  widget_class->measure = measure;
  widget_class->size_allocate = size_allocate;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/gallery-view.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlGalleryView, name)
  BIND (box);
  BIND (entry);
  BIND (stars);
  BIND (stack);
  BIND (scroller);
  BIND (list);
  BIND (choice_bar);
  BIND (choice_label);
  BIND (compare_button);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, atl_gallery_view_refresh);
  gtk_widget_class_bind_template_callback (widget_class, search_ended_cb);
  gtk_widget_class_bind_template_callback (widget_class, search_activated_cb);
  gtk_widget_class_bind_template_callback (widget_class, entry_key_cb);
  atl_gallery_view_bind_choice_callbacks (widget_class);
}

static void
atl_gallery_view_init (AtlGalleryView *self)
{
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();
  GtkAdjustment *adjustment;

  self->items = g_ptr_array_new_with_free_func (g_object_unref);
  self->found = g_list_store_new (ATL_TYPE_GALLERY_ITEM);
  self->rows = g_list_store_new (ATL_TYPE_GALLERY_ROW);
  self->lines = g_ptr_array_new ();
  self->chosen = g_hash_table_new_full (NULL, NULL, g_object_unref, NULL);
  gtk_widget_init_template (GTK_WIDGET (self));
  g_signal_connect (factory, "setup", G_CALLBACK (setup_cb), self);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_cb), self);
  g_signal_connect (factory, "unbind", G_CALLBACK (unbind_cb), self);
  gtk_list_view_set_factory (GTK_LIST_VIEW (self->list), factory);
  g_object_unref (factory);
  {
    g_autoptr (GtkNoSelection) model =
        gtk_no_selection_new (G_LIST_MODEL (g_object_ref (self->rows)));

    gtk_list_view_set_model (GTK_LIST_VIEW (self->list), GTK_SELECTION_MODEL (model));
  }
  adjustment = gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (self->scroller));
  g_signal_connect_object (adjustment, "value-changed", G_CALLBACK (atl_gallery_view_queue_near),
                           self, G_CONNECT_SWAPPED);
  g_signal_connect_object (adjustment, "changed", G_CALLBACK (atl_gallery_view_queue_near), self,
                           G_CONNECT_SWAPPED);
  atl_gallery_view_install_keys (self);
}

GtkWidget *
atl_gallery_view_new (void)
{
  return g_object_new (ATL_TYPE_GALLERY_VIEW, NULL);
}
