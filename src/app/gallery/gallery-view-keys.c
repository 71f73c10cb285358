/* What is chosen in the gallery, its keys, and which picture they are for. */
#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/gallery/gallery-line.h"
#include "app/gallery/gallery-view-private.h"
#include "app/gallery/viewer-window.h"

#define PAGE_ROWS 4
/* Frames until a tile has come: two seconds where the computer has little else to do. */
#define FOCUS_TRIES 120

/* --- Focus --- */

static gboolean
focus_tile (AtlGalleryView *self)
{
  for (guint i = 0; i < self->lines->len; i++)
    {
      AtlGalleryTile *tile = atl_gallery_line_get_tile (self->lines->pdata[i], self->cursor);

      if (tile == NULL || !gtk_widget_get_mapped (GTK_WIDGET (tile)))
        continue;
      return gtk_widget_grab_focus (GTK_WIDGET (tile));
    }
  return FALSE;
}

/* NULL when nothing has it. Borrowed. */
static GtkWidget *
current_focus (AtlGalleryView *self)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));

  return root != NULL ? gtk_root_get_focus (root) : NULL;
}

/* Whether it has the focus, a part of it, or what GTK gives it to when the row that had it is used
 * for others: the list or what scrolls it. */
static gboolean
is_of_list (AtlGalleryView *self, GtkWidget *focus)
{
  return focus == self->scroller || focus == self->list ||
         gtk_widget_is_ancestor (focus, self->list);
}

/* The person went elsewhere since the tile was asked for. */
static gboolean
went_away (AtlGalleryView *self)
{
  GtkWidget *focus = current_focus (self);

  return focus != NULL && focus != self->focus_from && !is_of_list (self, focus);
}

static gboolean
focus_cb (GtkWidget *widget, GdkFrameClock *clock, gpointer data)
{
  AtlGalleryView *self = ATL_GALLERY_VIEW (widget);

  if (!went_away (self) && !focus_tile (self) && ++self->focus_tries < FOCUS_TRIES)
    return G_SOURCE_CONTINUE;
  self->focus_id = 0;
  return G_SOURCE_REMOVE;
}

void
atl_gallery_view_focus (AtlGalleryView *self, guint index)
{
  if (index >= self->items->len)
    return;
  self->cursor = index;
  gtk_widget_activate_action (self->list, "list.scroll-to-item", "u",
                              atl_gallery_view_row_of (self, index));
  /* Its tile may come into being only when it is scrolled to. What has the focus at once loses it
   * again where the list is laid out anew, but takes the next key. */
  focus_tile (self);
  self->focus_tries = 0;
  self->focus_from = current_focus (self);
  if (self->focus_id == 0)
    self->focus_id = gtk_widget_add_tick_callback (GTK_WIDGET (self), focus_cb, NULL, NULL);
}

gboolean
atl_gallery_view_has_focus (AtlGalleryView *self)
{
  GtkWidget *focus = current_focus (self);

  /* On the way counts: what comes in meanwhile must not make it another picture's. */
  return self->focus_id != 0 || (focus != NULL && is_of_list (self, focus));
}

gboolean
atl_gallery_view_grab_focus (GtkWidget *widget)
{
  AtlGalleryView *self = ATL_GALLERY_VIEW (widget);

  if (self->items->len == 0)
    return gtk_widget_grab_focus (self->entry);
  atl_gallery_view_focus (self, self->cursor);
  return TRUE;
}

void
atl_gallery_view_stop_focusing (AtlGalleryView *self)
{
  if (self->focus_id != 0)
    gtk_widget_remove_tick_callback (GTK_WIDGET (self), self->focus_id);
  self->focus_id = 0;
}

void
atl_gallery_view_keep_focus (AtlGalleryView *self)
{
  GtkWidget *focus = current_focus (self);
  GtkWidget *tile = focus != NULL ? gtk_widget_get_ancestor (focus, ATL_TYPE_GALLERY_TILE) : NULL;

  if (self->items->len == 0)
    gtk_widget_grab_focus (self->entry);
  else if (tile == NULL ||
           atl_gallery_view_index_of (self, ATL_GALLERY_TILE (tile)) != self->cursor)
    atl_gallery_view_focus (self, self->cursor);
}

/* --- Choosing --- */

static void
show_choice (AtlGalleryView *self)
{
  guint n = g_hash_table_size (self->chosen);
  g_autofree char *words = g_strdup_printf (
      g_dngettext (GETTEXT_PACKAGE, "%u picture chosen", "%u pictures chosen", n), n);

  gtk_label_set_text (GTK_LABEL (self->choice_label), words);
  gtk_action_bar_set_revealed (GTK_ACTION_BAR (self->choice_bar), n > 0);
  gtk_widget_set_sensitive (self->compare_button, n == 2);
  for (guint i = 0; i < self->lines->len; i++)
    {
      AtlGalleryRow *row = atl_gallery_line_get_row (self->lines->pdata[i]);

      for (guint j = 0; row != NULL && j < row->n; j++)
        {
          AtlGalleryTile *tile = atl_gallery_line_get_tile (self->lines->pdata[i], row->first + j);

          if (tile != NULL)
            atl_gallery_tile_set_is_chosen (
                tile, g_hash_table_contains (self->chosen, atl_gallery_tile_get_item (tile)));
        }
    }
}

void
atl_gallery_view_choose (AtlGalleryView *self, guint index, GdkModifierType modifiers)
{
  if (index >= self->items->len)
    return;
  self->cursor = index;
  if ((modifiers & GDK_SHIFT_MASK) != 0)
    {
      guint from = MIN (self->anchor, index), to = MAX (self->anchor, index);

      if ((modifiers & GDK_CONTROL_MASK) == 0)
        g_hash_table_remove_all (self->chosen);
      for (guint i = from; i <= to && i < self->items->len; i++)
        g_hash_table_add (self->chosen, g_object_ref (self->items->pdata[i]));
    }
  else
    {
      self->anchor = index;
      if (!g_hash_table_remove (self->chosen, self->items->pdata[index]))
        g_hash_table_add (self->chosen, g_object_ref (self->items->pdata[index]));
    }
  show_choice (self);
}

static void
clear_choice (AtlGalleryView *self)
{
  g_hash_table_remove_all (self->chosen);
  show_choice (self);
}

void
atl_gallery_view_trim_choice (AtlGalleryView *self)
{
  g_autoptr (GHashTable) shown = NULL;
  GHashTableIter iter;
  gpointer item;

  if (g_hash_table_size (self->chosen) == 0)
    return;
  shown = g_hash_table_new (NULL, NULL);
  for (guint i = 0; i < self->items->len; i++)
    g_hash_table_add (shown, self->items->pdata[i]);
  g_hash_table_iter_init (&iter, self->chosen);
  while (g_hash_table_iter_next (&iter, &item, NULL))
    if (!g_hash_table_contains (shown, item))
      g_hash_table_iter_remove (&iter);
  show_choice (self);
}

static void
choose_all (AtlGalleryView *self)
{
  for (guint i = 0; i < self->items->len; i++)
    g_hash_table_add (self->chosen, g_object_ref (self->items->pdata[i]));
  show_choice (self);
}

/* --- What is done with the chosen --- */

/* In the order of the gallery; the one with the focus when none is chosen. */
static GPtrArray *
chosen_items (AtlGalleryView *self)
{
  GPtrArray *items = g_ptr_array_new_with_free_func (g_object_unref);

  for (guint i = 0; i < self->items->len; i++)
    if (g_hash_table_contains (self->chosen, self->items->pdata[i]))
      g_ptr_array_add (items, g_object_ref (self->items->pdata[i]));
  if (items->len == 0 && self->cursor < self->items->len)
    g_ptr_array_add (items, g_object_ref (self->items->pdata[self->cursor]));
  return items;
}

void
atl_gallery_view_drag (AtlGalleryTile *tile, GPtrArray *paths, AtlGalleryView *self)
{
  AtlGalleryItem *item = atl_gallery_tile_get_item (tile);
  g_autoptr (GPtrArray) items = NULL;

  if (!g_hash_table_contains (self->chosen, item))
    return;
  items = chosen_items (self);
  for (guint i = 0; i < items->len; i++)
    {
      char *path =
          items->pdata[i] != item ? atl_gallery_dup_path (self->gallery, items->pdata[i]) : NULL;

      if (path != NULL && atl_gallery_item_get_state (items->pdata[i]) != ATL_GALLERY_GONE)
        g_ptr_array_add (paths, path);
      else
        g_free (path);
    }
}

static void
delete_cb (AtlGalleryView *self)
{
  g_autoptr (GPtrArray) items = chosen_items (self);
  guint cursor = self->cursor;

  g_hash_table_remove_all (self->chosen);
  show_choice (self);
  atl_gallery_trash (self->gallery, GTK_WIDGET (self), items);
  /* Not a moment later: the next key is for what is there now. */
  atl_gallery_view_refresh (self);
  if (self->items->len > 0)
    atl_gallery_view_focus (self, MIN (cursor, self->items->len - 1));
}

static void
compare_cb (AtlGalleryView *self)
{
  g_autoptr (GPtrArray) items = chosen_items (self);

  if (items->len == 2)
    atl_viewer_compare (GTK_WIDGET (self), self->gallery, items->pdata[0], items->pdata[1]);
}

/* All get one, unless all have one. */
static void
star_cb (AtlGalleryView *self)
{
  g_autoptr (GPtrArray) items = chosen_items (self);
  gboolean all = TRUE;

  for (guint i = 0; i < items->len; i++)
    all = all && atl_gallery_item_get_starred (items->pdata[i]);
  atl_gallery_star (self->gallery, items, !all);
}

static void
none_cb (AtlGalleryView *self)
{
  clear_choice (self);
}

void
atl_gallery_view_bind_choice_callbacks (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_callback (widget_class, delete_cb);
  gtk_widget_class_bind_template_callback (widget_class, compare_cb);
  gtk_widget_class_bind_template_callback (widget_class, star_cb);
  gtk_widget_class_bind_template_callback (widget_class, none_cb);
}

/* --- Keys --- */

/* The picture above or below the middle of the one at `index`, `n_rows` away. */
static guint
neighbor (AtlGalleryView *self, guint index, int n_rows)
{
  guint at = atl_gallery_view_row_of (self, index);
  int direction = n_rows < 0 ? -1 : 1, middle = 0, left = 0;
  g_autoptr (AtlGalleryRow) row = g_list_model_get_item (G_LIST_MODEL (self->rows), at);
  g_autoptr (AtlGalleryRow) best = NULL;
  guint found = index;

  if (row == NULL || row->n == 0)
    return index;
  for (guint i = 0; i < index - row->first; i++)
    middle += row->widths[i];
  middle += row->widths[index - row->first] / 2;
  for (gint64 i = (gint64) at + direction;
       n_rows != 0 && i >= 0 && i < g_list_model_get_n_items (G_LIST_MODEL (self->rows));
       i += direction)
    {
      AtlGalleryRow *other = g_list_model_get_item (G_LIST_MODEL (self->rows), (guint) i);

      if (other->n > 0)
        {
          g_clear_object (&best);
          best = g_object_ref (other);
          n_rows -= direction;
        }
      g_object_unref (other);
    }
  if (best == NULL)
    return index;
  found = best->first + best->n - 1;
  for (guint i = 0; i < best->n; i++)
    {
      left += best->widths[i];
      if (left >= middle)
        {
          found = best->first + i;
          break;
        }
    }
  return found;
}

/* Where a key leads from `index`; `index` itself when it leads nowhere, G_MAXUINT when it is no
 * such key. */
static guint
destination (AtlGalleryView *self, guint key, guint index)
{
  gboolean rtl = gtk_widget_get_direction (GTK_WIDGET (self)) == GTK_TEXT_DIR_RTL;
  guint last = self->items->len - 1;

  if (key == (rtl ? GDK_KEY_Right : GDK_KEY_Left))
    return index > 0 ? index - 1 : 0;
  if (key == (rtl ? GDK_KEY_Left : GDK_KEY_Right))
    return MIN (index + 1, last);
  switch (key)
    {
    case GDK_KEY_Up:
      return neighbor (self, index, -1);
    case GDK_KEY_Down:
      return neighbor (self, index, 1);
    case GDK_KEY_Page_Up:
      return neighbor (self, index, -PAGE_ROWS);
    case GDK_KEY_Page_Down:
      return neighbor (self, index, PAGE_ROWS);
    case GDK_KEY_Home:
      return 0;
    case GDK_KEY_End:
      return last;
    default:
      return G_MAXUINT;
    }
}

static gboolean
plain_key (AtlGalleryView *self, guint key)
{
  switch (key)
    {
    case GDK_KEY_space:
      atl_gallery_view_look (self, self->cursor, FALSE);
      return TRUE;
    case GDK_KEY_f:
    case GDK_KEY_F:
      atl_gallery_view_look (self, self->cursor, TRUE);
      return TRUE;
    case GDK_KEY_s:
    case GDK_KEY_S:
      star_cb (self);
      return TRUE;
    case GDK_KEY_c:
    case GDK_KEY_C:
      compare_cb (self);
      return TRUE;
    case GDK_KEY_Delete:
    case GDK_KEY_KP_Delete:
      delete_cb (self);
      return TRUE;
    case GDK_KEY_Escape:
      if (g_hash_table_size (self->chosen) == 0)
        return FALSE;
      clear_choice (self);
      return TRUE;
    default:
      return FALSE;
    }
}

static gboolean
key_cb (
    GtkEventControllerKey *keys, guint key, guint code, GdkModifierType mods, AtlGalleryView *self)
{
  GtkWidget *focus = current_focus (self);
  GtkWidget *tile = focus != NULL ? gtk_widget_get_ancestor (focus, ATL_TYPE_GALLERY_TILE) : NULL;
  guint to;

  if (self->items->len == 0)
    return GDK_EVENT_PROPAGATE;
  if (tile != NULL)
    self->cursor =
        MIN (atl_gallery_view_index_of (self, ATL_GALLERY_TILE (tile)), self->items->len - 1);
  mods &= gtk_accelerator_get_default_mod_mask ();
  if (mods == GDK_CONTROL_MASK && key == GDK_KEY_a)
    choose_all (self);
  else if (mods == GDK_CONTROL_MASK && key == GDK_KEY_space)
    atl_gallery_view_choose (self, self->cursor, GDK_CONTROL_MASK);
  else if ((mods & ~GDK_SHIFT_MASK) != 0)
    return GDK_EVENT_PROPAGATE;
  else if ((to = destination (self, key, self->cursor)) != G_MAXUINT)
    {
      if ((mods & GDK_SHIFT_MASK) != 0)
        atl_gallery_view_choose (self, to, GDK_SHIFT_MASK);
      else
        self->anchor = to;
      atl_gallery_view_focus (self, to);
    }
  else
    return plain_key (self, key);
  return GDK_EVENT_STOP;
}

/* Tab comes to what scrolls the list where no tile is there yet: then it is the first picture's, or
 * that of the one that had it last. */
static void
scroller_focused_cb (GtkEventControllerFocus *focus, GParamSpec *pspec, AtlGalleryView *self)
{
  if (gtk_event_controller_focus_is_focus (focus) && self->focus_id == 0)
    atl_gallery_view_focus (self, MIN (self->cursor, MAX (self->items->len, 1) - 1));
}

void
atl_gallery_view_install_keys (AtlGalleryView *self)
{
  GtkEventController *keys = gtk_event_controller_key_new ();
  GtkEventController *focus = gtk_event_controller_focus_new ();

  g_signal_connect (focus, "notify::is-focus", G_CALLBACK (scroller_focused_cb), self);
  gtk_widget_add_controller (self->scroller, focus);

  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (self->list, keys);
  atl_accessible_leave_by_tab (self->list);
}
