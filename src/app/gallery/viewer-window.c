/* The window that looks closer. */
#include "app/gallery/viewer-window-private.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/accessible.h"
#include "app/gallery/gallery-actions.h"
#include "app/words.h"
#include "media/recipe.h"

#define NARROW 600

G_DEFINE_FINAL_TYPE (AtlViewerWindow, atl_viewer_window, ADW_TYPE_WINDOW)

AtlGalleryItem *
atl_viewer_window_item (AtlViewerWindow *self)
{
  return atl_picture_frame_get_item (ATL_PICTURE_FRAME (self->frames[0]));
}

/* --- What is told about the picture --- */

static void
refresh_recipe (AtlViewerWindow *self)
{
  g_autoptr (AtlPictureRow) row =
      atl_gallery_get_row (self->gallery, atl_viewer_window_item (self), NULL);
  g_autoptr (GVariant) recipe =
      row != NULL && row->recipe != NULL ? atl_recipe_from_json (row->recipe) : NULL;
  g_autofree char *text = recipe != NULL ? atl_recipe_to_text (recipe) : NULL;

  gtk_label_set_text (GTK_LABEL (self->recipe_label),
                      text != NULL ? text : _ ("Nothing is known of how it was made."));
}

static void
refresh_star (AtlViewerWindow *self)
{
  gboolean starred = atl_gallery_item_get_starred (atl_viewer_window_item (self));

  gtk_button_set_icon_name (GTK_BUTTON (self->star),
                            starred ? "starred-symbolic" : "non-starred-symbolic");
  gtk_widget_set_tooltip_text (self->star,
                               starred ? _ ("Remove the star (S)") : _ ("Give it a star (S)"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->star), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  starred ? _ ("Remove the star") : _ ("Give it a star"), -1);
}

static void
refresh (AtlViewerWindow *self)
{
  AtlGalleryItem *item = atl_viewer_window_item (self);
  g_autoptr (AtlPictureRow) row = atl_gallery_get_row (self->gallery, item, NULL);
  g_autoptr (GMenuModel) menu = atl_gallery_menu (self->gallery, item);
  g_autofree char *name = row != NULL ? g_path_get_basename (row->path) : g_strdup ("");
  g_autofree char *when = row != NULL ? atl_format_time (row->created_us) : g_strdup ("");
  g_autofree char *about = NULL;

  if (row != NULL && row->width > 0)
    about = g_strdup_printf ("%u × %u, %s", row->width, row->height, when);
  adw_window_title_set_title (ADW_WINDOW_TITLE (self->title), name);
  adw_window_title_set_subtitle (ADW_WINDOW_TITLE (self->title), about != NULL ? about : when);
  gtk_window_set_title (GTK_WINDOW (self), name);
  gtk_menu_button_set_menu_model (GTK_MENU_BUTTON (self->menu), menu);
  gtk_widget_set_sensitive (self->previous, self->position > 0);
  gtk_widget_set_sensitive (self->next,
                            self->position + 1 < g_list_model_get_n_items (self->pictures));
  refresh_star (self);
  refresh_recipe (self);
}

void
atl_viewer_window_show_at (AtlViewerWindow *self, guint position)
{
  g_autoptr (AtlGalleryItem) item = g_list_model_get_item (self->pictures, position);

  if (item == NULL)
    return;
  self->position = position;
  if (item != atl_viewer_window_item (self))
    {
      atl_zoom_reset (self->zoom);
      if (atl_viewer_window_item (self) != NULL)
        g_signal_handlers_disconnect_by_func (atl_viewer_window_item (self), refresh, self);
      atl_picture_frame_show (ATL_PICTURE_FRAME (self->frames[0]), item);
      g_signal_connect_object (item, "notify", G_CALLBACK (refresh), self, G_CONNECT_SWAPPED);
    }
  refresh (self);
}

void
atl_viewer_window_step (AtlViewerWindow *self, int by)
{
  gint64 position = (gint64) self->position + by;

  if (self->pictures != NULL && position >= 0 &&
      position < g_list_model_get_n_items (self->pictures))
    atl_viewer_window_show_at (self, (guint) position);
}

/* The picture that is shown may have moved, or gone to the trash: then its neighbour is shown. */
static void
items_changed_cb (AtlViewerWindow *self)
{
  guint n = g_list_model_get_n_items (self->pictures);

  for (guint i = 0; i < n; i++)
    {
      g_autoptr (AtlGalleryItem) item = g_list_model_get_item (self->pictures, i);

      if (item == atl_viewer_window_item (self))
        {
          self->position = i;
          refresh (self);
          return;
        }
    }
  if (n == 0)
    gtk_window_close (GTK_WINDOW (self));
  else
    atl_viewer_window_show_at (self, MIN (self->position, n - 1));
}

static void
previous_cb (AtlViewerWindow *self)
{
  atl_viewer_window_step (self, -1);
}

static void
next_cb (AtlViewerWindow *self)
{
  atl_viewer_window_step (self, 1);
}

/* What the page that draws does is asked from the main window, and this one is out of the way. */
static void
forward_cb (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  AtlViewerWindow *self = data;
  GtkWindow *parent = gtk_window_get_transient_for (GTK_WINDOW (self));
  g_autofree char *name = g_strconcat ("images.", g_action_get_name (G_ACTION (action)), NULL);

  if (parent != NULL)
    gtk_widget_activate_action_variant (GTK_WIDGET (parent), name, parameter);
  gtk_window_close (GTK_WINDOW (self));
}

static void
install_forwards (AtlViewerWindow *self)
{
  g_autoptr (GSimpleActionGroup) group = g_simple_action_group_new ();

  for (gsize i = 0; i < ATL_GALLERY_N_PAGE_ACTIONS; i++)
    {
      g_autoptr (GSimpleAction) action = g_simple_action_new (
          atl_gallery_page_actions[i] + strlen ("images."), G_VARIANT_TYPE_STRING);

      g_signal_connect (action, "activate", G_CALLBACK (forward_cb), self);
      g_action_map_add_action (G_ACTION_MAP (group), G_ACTION (action));
    }
  gtk_widget_insert_action_group (GTK_WIDGET (self), "images", G_ACTION_GROUP (group));
}

/* --- The window --- */

static GtkWidget *
new_button (AtlViewerWindow *self,
            const char *icon,
            const char *tooltip,
            const char *name,
            GCallback callback)
{
  GtkWidget *button = gtk_button_new_from_icon_name (icon);

  gtk_widget_set_tooltip_text (button, tooltip);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
  g_signal_connect_swapped (button, "clicked", callback, self);
  return button;
}

static GtkWidget *
new_menu (const char *name)
{
  GtkWidget *button = gtk_menu_button_new ();

  gtk_menu_button_set_icon_name (GTK_MENU_BUTTON (button), "view-more-symbolic");
  atl_accessible_set_menu_button (GTK_MENU_BUTTON (button), name);
  return button;
}

static GtkWidget *
new_recipe (AtlViewerWindow *self)
{
  GtkWidget *scroller = gtk_scrolled_window_new ();

  self->recipe_label = gtk_label_new (NULL);
  gtk_label_set_wrap (GTK_LABEL (self->recipe_label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (self->recipe_label), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_selectable (GTK_LABEL (self->recipe_label), TRUE);
  gtk_label_set_xalign (GTK_LABEL (self->recipe_label), 0);
  gtk_widget_add_css_class (self->recipe_label, "viewer-recipe");
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), self->recipe_label);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scroller), 200);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  self->recipe_revealer = gtk_revealer_new ();
  gtk_revealer_set_child (GTK_REVEALER (self->recipe_revealer), scroller);
  gtk_revealer_set_transition_type (GTK_REVEALER (self->recipe_revealer),
                                    GTK_REVEALER_TRANSITION_TYPE_SLIDE_UP);
  g_object_bind_property (self->recipe_button, "active", self->recipe_revealer, "reveal-child",
                          G_BINDING_SYNC_CREATE);
  return self->recipe_revealer;
}

static void
fill_header (AtlViewerWindow *self)
{
  AdwHeaderBar *header = ADW_HEADER_BAR (self->header);

  self->previous = new_button (self, "go-previous-symbolic", _ ("Newer picture (Left)"),
                               _ ("Newer picture"), G_CALLBACK (previous_cb));
  self->next = new_button (self, "go-next-symbolic", _ ("Older picture (Right)"),
                           _ ("Older picture"), G_CALLBACK (next_cb));
  self->star =
      new_button (self, "non-starred-symbolic", NULL, "", G_CALLBACK (atl_viewer_window_star));
  self->recipe_button = gtk_toggle_button_new ();
  gtk_button_set_icon_name (GTK_BUTTON (self->recipe_button), "dialog-information-symbolic");
  gtk_widget_set_tooltip_text (self->recipe_button, _ ("How it was made (I)"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->recipe_button),
                                  GTK_ACCESSIBLE_PROPERTY_LABEL, _ ("How it was made"), -1);
  self->menu = new_menu (_ ("What to do with this picture"));
  adw_header_bar_pack_start (header, self->previous);
  adw_header_bar_pack_start (header, self->next);
  adw_header_bar_pack_end (header, self->menu);
  adw_header_bar_pack_end (header, self->recipe_button);
  adw_header_bar_pack_end (header, self->star);
}

/* As large as the window it comes from, a little smaller. */
static AtlViewerWindow *
new_window (GtkWidget *owner, AtlGallery *gallery)
{
  GtkWindow *parent = GTK_WINDOW (gtk_widget_get_root (owner));
  AtlViewerWindow *self = g_object_new (
      ATL_TYPE_VIEWER_WINDOW, "transient-for", parent, "destroy-with-parent", TRUE, "default-width",
      MAX (gtk_widget_get_width (GTK_WIDGET (parent)) * 9 / 10, 360), "default-height",
      MAX (gtk_widget_get_height (GTK_WIDGET (parent)) * 9 / 10, 360), NULL);

  g_set_weak_pointer (&self->owner, owner);
  self->gallery = gallery;
  atl_gallery_install_actions (GTK_WIDGET (self), owner, gallery);
  install_forwards (self);
  self->frames[0] = atl_picture_frame_new (gallery, self->zoom);
  return self;
}

static void
set_content (AtlViewerWindow *self, GtkWidget *content, GtkWidget *below)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);

  gtk_widget_set_vexpand (content, TRUE);
  gtk_box_append (GTK_BOX (box), self->header);
  adw_toast_overlay_set_child (ADW_TOAST_OVERLAY (self->toasts), content);
  gtk_box_append (GTK_BOX (box), self->toasts);
  if (below != NULL)
    gtk_box_append (GTK_BOX (box), below);
  adw_window_set_content (ADW_WINDOW (self), box);
}

void
atl_viewer_window_show (
    GtkWidget *owner, AtlGallery *gallery, GListModel *pictures, guint position, gboolean full_size)
{
  AtlViewerWindow *self;

  if (position >= g_list_model_get_n_items (pictures))
    return;
  self = new_window (owner, gallery);
  self->pictures = g_object_ref (pictures);
  g_signal_connect_object (pictures, "items-changed", G_CALLBACK (items_changed_cb), self,
                           G_CONNECT_SWAPPED);
  fill_header (self);
  set_content (self, self->frames[0], new_recipe (self));
  atl_viewer_window_show_at (self, position);
  gtk_window_present (GTK_WINDOW (self));
  gtk_widget_grab_focus (
      GTK_WIDGET (atl_picture_frame_get_view (ATL_PICTURE_FRAME (self->frames[0]))));
  if (full_size)
    gtk_window_maximize (GTK_WINDOW (self));
}

static void
pair_size_cb (AtlViewerWindow *self)
{
  int width = gtk_widget_get_width (GTK_WIDGET (self));

  if (self->pair != NULL)
    gtk_orientable_set_orientation (GTK_ORIENTABLE (self->pair), width > 0 && width < NARROW
                                                                     ? GTK_ORIENTATION_VERTICAL
                                                                     : GTK_ORIENTATION_HORIZONTAL);
}

static gboolean
pair_idle_cb (gpointer data)
{
  pair_size_cb (data);
  return G_SOURCE_REMOVE;
}

static void
size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  GTK_WIDGET_CLASS (atl_viewer_window_parent_class)
      ->size_allocate (widget, width, height, baseline);
  if (ATL_VIEWER_WINDOW (widget)->pair != NULL)
    g_idle_add_full (G_PRIORITY_HIGH_IDLE, pair_idle_cb, g_object_ref (widget), g_object_unref);
}

/* Above each of the two the menu of it, renewed while either changes. */
static void
refresh_menus (AtlViewerWindow *self)
{
  for (guint i = 0; i < 2; i++)
    {
      AtlGalleryItem *item = atl_picture_frame_get_item (ATL_PICTURE_FRAME (self->frames[i]));
      g_autoptr (GMenuModel) menu = atl_gallery_menu (self->gallery, item);

      gtk_menu_button_set_menu_model (GTK_MENU_BUTTON (self->menus[i]), menu);
    }
}

static void
add_menus (AtlViewerWindow *self)
{
  self->menus[0] = new_menu (_ ("What to do with the first picture"));
  self->menus[1] = new_menu (_ ("What to do with the second picture"));
  adw_header_bar_pack_start (ADW_HEADER_BAR (self->header), self->menus[0]);
  adw_header_bar_pack_end (ADW_HEADER_BAR (self->header), self->menus[1]);
  g_signal_connect_object (self->gallery, "changed", G_CALLBACK (refresh_menus), self,
                           G_CONNECT_SWAPPED);
  refresh_menus (self);
}

void
atl_viewer_compare (GtkWidget *owner,
                    AtlGallery *gallery,
                    AtlGalleryItem *first,
                    AtlGalleryItem *second)
{
  AtlViewerWindow *self = new_window (owner, gallery);

  self->frames[1] = atl_picture_frame_new (gallery, self->zoom);
  self->pair = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  gtk_box_set_homogeneous (GTK_BOX (self->pair), TRUE);
  for (guint i = 0; i < 2; i++)
    gtk_box_append (GTK_BOX (self->pair), self->frames[i]);
  adw_window_title_set_title (ADW_WINDOW_TITLE (self->title), _ ("Compare"));
  adw_window_title_set_subtitle (ADW_WINDOW_TITLE (self->title), _ ("Zoomed and moved together"));
  gtk_window_set_title (GTK_WINDOW (self), _ ("Compare"));
  set_content (self, self->pair, NULL);
  atl_picture_frame_show (ATL_PICTURE_FRAME (self->frames[0]), first);
  atl_picture_frame_show (ATL_PICTURE_FRAME (self->frames[1]), second);
  add_menus (self);
  gtk_window_present (GTK_WINDOW (self));
  gtk_widget_grab_focus (
      GTK_WIDGET (atl_picture_frame_get_view (ATL_PICTURE_FRAME (self->frames[0]))));
}

static void
dispose (GObject *object)
{
  AtlViewerWindow *self = ATL_VIEWER_WINDOW (object);

  g_clear_weak_pointer (&self->owner);
  g_clear_weak_pointer (&self->deleted);
  g_clear_object (&self->pictures);
  g_clear_object (&self->zoom);
  self->pair = NULL;
  G_OBJECT_CLASS (atl_viewer_window_parent_class)->dispose (object);
}

static void
atl_viewer_window_class_init (AtlViewerWindowClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = dispose;
  GTK_WIDGET_CLASS (klass)->size_allocate = size_allocate;
}

static void
atl_viewer_window_init (AtlViewerWindow *self)
{
  self->zoom = atl_zoom_new ();
  self->title = adw_window_title_new ("", NULL);
  self->header = adw_header_bar_new ();
  adw_header_bar_set_title_widget (ADW_HEADER_BAR (self->header), self->title);
  self->toasts = adw_toast_overlay_new ();
  atl_viewer_window_install_keys (self);
}
