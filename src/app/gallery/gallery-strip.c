/* The strip: GTK's own lists with tiles in them. */
#include "app/gallery/gallery-strip.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/gallery/gallery-actions.h"
#include "app/gallery/gallery-tile.h"
#include "app/gallery/viewer-window.h"
#include "app/words.h"

#define ROW_HEIGHT 84
#define GRID_SIDE 76
#define GRID_COLUMNS 3
#define MARGIN 6

struct _AtlGalleryStrip
{
  GtkWidget parent_instance;

  GtkOrientation orientation;
  AtlGallery *gallery; /* (nullable) borrowed */
  GtkSingleSelection *selection;
  char *selected; /* (nullable) */

  GtkWidget *scroller;
  GtkWidget *list;
  GtkWidget *hint; /* shown while there are none */
};

G_DEFINE_FINAL_TYPE (AtlGalleryStrip, atl_gallery_strip, GTK_TYPE_WIDGET)

enum
{
  PROP_ORIENTATION = 1,
  PROP_SELECTED,
  N_PROPS
};

static GParamSpec *properties[N_PROPS];
static guint activated_signal;

static AtlGalleryItem *
selected_item (AtlGalleryStrip *self)
{
  return gtk_single_selection_get_selected_item (self->selection);
}

static void
selection_cb (AtlGalleryStrip *self)
{
  AtlGalleryItem *item = selected_item (self);
  g_autofree char *path = item != NULL ? atl_gallery_dup_path (self->gallery, item) : NULL;

  if (g_strcmp0 (path, self->selected) == 0)
    return;
  atl_set_string (&self->selected, path);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_SELECTED]);
}

const char *
atl_gallery_strip_get_selected (AtlGalleryStrip *self)
{
  return self->selected;
}

static guint
position_of (AtlGalleryStrip *self, AtlGalleryItem *item)
{
  guint at;

  return item != NULL && g_list_store_find (G_LIST_STORE (atl_gallery_get_pictures (self->gallery)),
                                            item, &at)
             ? at
             : GTK_INVALID_LIST_POSITION;
}

void
atl_gallery_strip_set_selected (AtlGalleryStrip *self, const char *path)
{
  AtlGalleryItem *item = path != NULL ? atl_gallery_find_path (self->gallery, path) : NULL;
  guint at = position_of (self, item);

  gtk_single_selection_set_selected (self->selection, at);
  if (at != GTK_INVALID_LIST_POSITION)
    gtk_widget_activate_action (self->list, "list.scroll-to-item", "u", at);
}

static void
activate_cb (GtkWidget *list, guint position, AtlGalleryStrip *self)
{
  g_autoptr (AtlGalleryItem) item =
      g_list_model_get_item (G_LIST_MODEL (self->selection), position);
  g_autofree char *path = item != NULL ? atl_gallery_dup_path (self->gallery, item) : NULL;

  if (path != NULL)
    g_signal_emit (self, activated_signal, 0, path);
}

/* --- Tiles --- */

static void
tile_activated_cb (AtlGalleryTile *tile, AtlGalleryStrip *self)
{
  guint at = position_of (self, atl_gallery_tile_get_item (tile));

  gtk_single_selection_set_selected (self->selection, at);
  activate_cb (self->list, at, self);
}

static void
tile_menu_cb (AtlGalleryTile *tile, double x, double y, AtlGalleryStrip *self)
{
  AtlGalleryItem *item = atl_gallery_tile_get_item (tile);

  if (item == NULL)
    return;
  gtk_single_selection_set_selected (self->selection, position_of (self, item));
  gtk_widget_translate_coordinates (GTK_WIDGET (tile), GTK_WIDGET (self), x, y, &x, &y);
  atl_gallery_popup_menu (GTK_WIDGET (self), self->gallery, item, x, y);
}

static void
setup_cb (GtkSignalListItemFactory *factory, GtkListItem *list_item, AtlGalleryStrip *self)
{
  GtkWidget *tile = atl_gallery_tile_new ();

  /* The list's own rows have the focus. */
  gtk_widget_set_focusable (tile, FALSE);
  gtk_widget_set_halign (tile, GTK_ALIGN_CENTER);
  gtk_widget_set_valign (tile, GTK_ALIGN_CENTER);
  g_signal_connect (tile, "activated", G_CALLBACK (tile_activated_cb), self);
  g_signal_connect (tile, "menu", G_CALLBACK (tile_menu_cb), self);
  gtk_list_item_set_child (list_item, tile);
}

static void
bind_cb (GtkSignalListItemFactory *factory, GtkListItem *list_item, AtlGalleryStrip *self)
{
  AtlGalleryTile *tile = ATL_GALLERY_TILE (gtk_list_item_get_child (list_item));
  AtlGalleryItem *item = gtk_list_item_get_item (list_item);
  g_autofree char *words = atl_gallery_describe (self->gallery, item);

  if (self->orientation == GTK_ORIENTATION_HORIZONTAL)
    atl_gallery_tile_set_size (tile, (int) (ROW_HEIGHT * atl_gallery_item_get_aspect (item)),
                               ROW_HEIGHT);
  else
    atl_gallery_tile_set_size (tile, GRID_SIDE, GRID_SIDE);
  atl_gallery_tile_set_item (tile, self->gallery, item);
  atl_accessible_name_list_item (list_item, words);
}

static void
unbind_cb (GtkSignalListItemFactory *factory, GtkListItem *list_item, AtlGalleryStrip *self)
{
  atl_gallery_tile_set_item (ATL_GALLERY_TILE (gtk_list_item_get_child (list_item)), self->gallery,
                             NULL);
}

/* --- Keys --- */

/* The picture whose row has the focus, which the Tab key moves and what is chosen does not follow:
 * keys are about it. (nullable) borrowed */
static AtlGalleryItem *
focused_item (AtlGalleryStrip *self)
{
  GtkWidget *row = gtk_root_get_focus (gtk_widget_get_root (GTK_WIDGET (self)));
  GtkWidget *tile = row != NULL && gtk_widget_is_ancestor (row, self->list)
                        ? gtk_widget_get_first_child (row)
                        : NULL;
  AtlGalleryItem *item =
      ATL_IS_GALLERY_TILE (tile) ? atl_gallery_tile_get_item (ATL_GALLERY_TILE (tile)) : NULL;

  return item != NULL ? item : selected_item (self);
}

static gboolean
key_cb (
    GtkEventControllerKey *keys, guint key, guint code, GdkModifierType mods, AtlGalleryStrip *self)
{
  AtlGalleryItem *item = focused_item (self);
  gint64 id = item != NULL ? atl_gallery_item_get_id (item) : 0;
  guint at = position_of (self, item);

  if (item == NULL || (mods & gtk_accelerator_get_default_mod_mask () & ~GDK_SHIFT_MASK) != 0)
    return GDK_EVENT_PROPAGATE;
  switch (key)
    {
    case GDK_KEY_space:
      atl_viewer_window_show (GTK_WIDGET (self), self->gallery, G_LIST_MODEL (self->selection), at,
                              FALSE);
      return GDK_EVENT_STOP;
    case GDK_KEY_f:
    case GDK_KEY_F:
      atl_viewer_window_show (GTK_WIDGET (self), self->gallery, G_LIST_MODEL (self->selection), at,
                              TRUE);
      return GDK_EVENT_STOP;
    case GDK_KEY_s:
    case GDK_KEY_S:
      gtk_widget_activate_action (GTK_WIDGET (self), "gallery.star", "x", id);
      return GDK_EVENT_STOP;
    case GDK_KEY_Delete:
    case GDK_KEY_KP_Delete:
      gtk_widget_activate_action (GTK_WIDGET (self), "gallery.trash", "x", id);
      return GDK_EVENT_STOP;
    case GDK_KEY_Menu:
    case GDK_KEY_F10:
      if (key == GDK_KEY_F10 && (mods & GDK_SHIFT_MASK) == 0)
        return GDK_EVENT_PROPAGATE;
      atl_gallery_popup_menu (GTK_WIDGET (self), self->gallery, item,
                              gtk_widget_get_width (GTK_WIDGET (self)) / 2.0, 0);
      return GDK_EVENT_STOP;
    default:
      return GDK_EVENT_PROPAGATE;
    }
}

/* --- GObject --- */

static void
refresh_hint (AtlGalleryStrip *self)
{
  gtk_widget_set_visible (self->hint,
                          g_list_model_get_n_items (G_LIST_MODEL (self->selection)) == 0);
}

static gboolean
is_at_beginning (AtlGalleryStrip *self)
{
  GtkScrolledWindow *scroller = GTK_SCROLLED_WINDOW (self->scroller);
  gboolean is_row = self->orientation == GTK_ORIENTATION_HORIZONTAL;
  GtkAdjustment *adjustment = is_row ? gtk_scrolled_window_get_hadjustment (scroller)
                                     : gtk_scrolled_window_get_vadjustment (scroller);
  double value = gtk_adjustment_get_value (adjustment);

  if (is_row && gtk_widget_get_direction (self->list) == GTK_TEXT_DIR_RTL)
    return value >=
           gtk_adjustment_get_upper (adjustment) - gtk_adjustment_get_page_size (adjustment);
  return value <= gtk_adjustment_get_lower (adjustment);
}

/* New pictures come to the beginning: who is there sees them, and the list does not hold on to what
 * was the first before. */
static void
items_cb (GListModel *pictures, guint position, guint removed, guint added, AtlGalleryStrip *self)
{
  if (position == 0 && added > 0 && is_at_beginning (self))
    gtk_widget_activate_action (self->list, "list.scroll-to-item", "u", 0u);
  refresh_hint (self);
}

void
atl_gallery_strip_set_session (AtlGalleryStrip *self, AtlSession *session)
{
  g_return_if_fail (self->gallery == NULL);

  self->gallery = atl_gallery_get (session);
  atl_gallery_install_actions (GTK_WIDGET (self), GTK_WIDGET (self), self->gallery);
  gtk_single_selection_set_model (self->selection, atl_gallery_get_pictures (self->gallery));
  g_signal_connect_object (atl_gallery_get_pictures (self->gallery), "items-changed",
                           G_CALLBACK (items_cb), self, G_CONNECT_AFTER);
  refresh_hint (self);
}

static void
constructed (GObject *object)
{
  AtlGalleryStrip *self = ATL_GALLERY_STRIP (object);
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();
  GtkEventController *keys = gtk_event_controller_key_new ();
  gboolean is_row = self->orientation == GTK_ORIENTATION_HORIZONTAL;

  G_OBJECT_CLASS (atl_gallery_strip_parent_class)->constructed (object);
  g_signal_connect (factory, "setup", G_CALLBACK (setup_cb), self);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_cb), self);
  g_signal_connect (factory, "unbind", G_CALLBACK (unbind_cb), self);
  if (is_row)
    {
      self->list =
          gtk_list_view_new (GTK_SELECTION_MODEL (g_object_ref (self->selection)), factory);
      gtk_orientable_set_orientation (GTK_ORIENTABLE (self->list), GTK_ORIENTATION_HORIZONTAL);
    }
  else
    {
      self->list =
          gtk_grid_view_new (GTK_SELECTION_MODEL (g_object_ref (self->selection)), factory);
      gtk_grid_view_set_min_columns (GTK_GRID_VIEW (self->list), GRID_COLUMNS);
      gtk_grid_view_set_max_columns (GTK_GRID_VIEW (self->list), GRID_COLUMNS);
    }
  gtk_widget_add_css_class (self->list, "gallery-strip");
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->list), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Recent pictures"), -1);
  g_signal_connect (self->list, "activate", G_CALLBACK (activate_cb), self);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  gtk_widget_add_controller (self->list, keys);
  atl_accessible_leave_by_tab (self->list);

  self->scroller = gtk_scrolled_window_new ();
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (self->scroller),
                                  is_row ? GTK_POLICY_AUTOMATIC : GTK_POLICY_NEVER,
                                  is_row ? GTK_POLICY_NEVER : GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (self->scroller), self->list);
  if (!is_row)
    gtk_widget_set_vexpand (self->scroller, TRUE);
  gtk_widget_set_margin_top (self->scroller, MARGIN);
  gtk_widget_set_margin_bottom (self->scroller, MARGIN);
  gtk_widget_set_margin_start (self->scroller, MARGIN);
  gtk_widget_set_parent (self->scroller, GTK_WIDGET (self));
  self->hint = gtk_label_new (_ ("Your pictures will be listed here"));
  gtk_label_set_wrap (GTK_LABEL (self->hint), TRUE);
  gtk_label_set_justify (GTK_LABEL (self->hint), GTK_JUSTIFY_CENTER);
  gtk_widget_add_css_class (self->hint, "dim-label");
  gtk_widget_set_visible (self->hint, FALSE);
  gtk_widget_set_parent (self->hint, GTK_WIDGET (self));
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AtlGalleryStrip *self = ATL_GALLERY_STRIP (object);

  switch (id)
    {
    case PROP_ORIENTATION:
      g_value_set_enum (value, self->orientation);
      break;
    case PROP_SELECTED:
      g_value_set_string (value, self->selected);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  AtlGalleryStrip *self = ATL_GALLERY_STRIP (object);

  switch (id)
    {
    case PROP_ORIENTATION:
      self->orientation = g_value_get_enum (value);
      break;
    case PROP_SELECTED:
      atl_gallery_strip_set_selected (self, g_value_get_string (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
dispose (GObject *object)
{
  AtlGalleryStrip *self = ATL_GALLERY_STRIP (object);

  g_clear_pointer (&self->scroller, gtk_widget_unparent);
  g_clear_pointer (&self->hint, gtk_widget_unparent);
  g_clear_object (&self->selection);
  g_clear_pointer (&self->selected, g_free);
  G_OBJECT_CLASS (atl_gallery_strip_parent_class)->dispose (object);
}

static void
atl_gallery_strip_class_init (AtlGalleryStripClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  object_class->constructed = constructed;
  object_class->get_property = get_property;
  object_class->set_property = set_property;
  object_class->dispose = dispose;
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  properties[PROP_ORIENTATION] = g_param_spec_enum (
      "orientation", NULL, NULL, GTK_TYPE_ORIENTATION, GTK_ORIENTATION_HORIZONTAL,
      G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
  properties[PROP_SELECTED] =
      g_param_spec_string ("selected", NULL, NULL, NULL,
                           G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, properties);
  activated_signal = g_signal_new ("activated", ATL_TYPE_GALLERY_STRIP, G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
atl_gallery_strip_init (AtlGalleryStrip *self)
{
  self->selection = gtk_single_selection_new (NULL);
  gtk_single_selection_set_autoselect (self->selection, FALSE);
  gtk_single_selection_set_can_unselect (self->selection, TRUE);
  g_signal_connect_swapped (self->selection, "notify::selected-item", G_CALLBACK (selection_cb),
                            self);
}

GtkWidget *
atl_gallery_strip_new (GtkOrientation orientation)
{
  return g_object_new (ATL_TYPE_GALLERY_STRIP, "orientation", orientation, NULL);
}
