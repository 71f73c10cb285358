/* The pictures that are there already: the strip below the canvas, all of them in its place. */
#include <glib/gi18n.h>

#include "app/gallery/gallery-actions.h"
#include "app/gallery/gallery-strip.h"
#include "app/gallery/gallery-view.h"
#include "app/images/images-page-private.h"
#include "app/images/picture-canvas.h"
#include "app/images/split-box.h"

/* Of a picture on the canvas. */
#define MAX_SIDE 4096u

static AtlGallery *
gallery_of (AtlImagesPage *self)
{
  return atl_gallery_get (atl_pictures_session_get_session (self->pictures));
}

/* --- One on the canvas --- */

typedef struct
{
  AtlImagesPage *page;
  AtlGalleryItem *item;
  char *path;
} Show;

static void
shown_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Show *show = data;
  AtlImagesPage *self = show->page;
  g_autoptr (GError) error = NULL;
  g_autoptr (GdkTexture) texture = atl_gallery_load_finish (result, &error);
  g_autofree char *words = atl_gallery_describe (ATL_GALLERY (source), show->item);

  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      g_clear_object (&self->showing);
      if (texture != NULL)
        atl_images_page_show_result (self, show->path, texture, words);
      else
        atl_session_emit_notice (atl_gallery_get_session (ATL_GALLERY (source)), error->message);
    }
  g_object_unref (show->page);
  g_object_unref (show->item);
  g_free (show->path);
  g_free (show);
}

static void
show_path (AtlImagesPage *self, const char *path)
{
  AtlGalleryItem *item = atl_gallery_find_path (gallery_of (self), path);
  Show *show;

  atl_images_page_finish_editing (self);
  gtk_stack_set_visible_child_name (GTK_STACK (self->work_stack), "canvas");
  atl_images_page_show_side (self);
  if (item == NULL || g_strcmp0 (path, self->result_path) == 0)
    return;
  atl_images_page_stop_showing (self);
  self->showing = g_cancellable_new ();
  show = g_new0 (Show, 1);
  show->page = g_object_ref (self);
  show->item = g_object_ref (item);
  show->path = g_strdup (path);
  atl_gallery_load_async (gallery_of (self), item, MAX_SIDE, self->showing, shown_cb, show);
}

void
atl_images_page_stop_showing (AtlImagesPage *self)
{
  if (self->showing != NULL)
    g_cancellable_cancel (self->showing);
  g_clear_object (&self->showing);
}

static void
show_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  show_path (ATL_IMAGES_PAGE (widget), g_variant_get_string (parameter, NULL));
}

static void
strip_selected_cb (AtlImagesPage *self)
{
  const char *path = atl_gallery_strip_get_selected (ATL_GALLERY_STRIP (self->strip));

  if (path != NULL && g_strcmp0 (path, self->result_path) != 0)
    show_path (self, path);
}

void
atl_images_page_offer_menu (AtlImagesPage *self, gboolean shows_result)
{
  AtlGalleryItem *item = shows_result && self->result_path != NULL
                             ? atl_gallery_find_path (gallery_of (self), self->result_path)
                             : NULL;
  g_autoptr (GMenuModel) menu = item != NULL ? atl_gallery_menu (gallery_of (self), item) : NULL;

  if (menu != NULL)
    {
      g_autoptr (GMenu) other = g_menu_new ();

      g_menu_append (other, _ ("Enlarge a picture of yours…"), "images.upscale-file");
      g_menu_append_section (G_MENU (menu), NULL, G_MENU_MODEL (other));
    }
  atl_picture_canvas_set_menu (ATL_PICTURE_CANVAS (self->canvas), menu);
}

/* Stars come and go; what was deleted is not shown any longer. */
static void
gallery_changed_cb (AtlImagesPage *self)
{
  if (self->result_path != NULL && !g_file_test (self->result_path, G_FILE_TEST_EXISTS))
    atl_images_page_forget_result (self);
  else if (self->result_path != NULL)
    atl_images_page_refresh_canvas (self);
}

/* --- All of them --- */

static void
all_toggled_cb (AtlImagesPage *self)
{
  gboolean all = gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (self->all_button));
  const char *shown = gtk_stack_get_visible_child_name (GTK_STACK (self->work_stack));

  if (all == (g_strcmp0 (shown, "gallery") == 0))
    return;
  if (all)
    atl_images_page_finish_editing (self);
  gtk_stack_set_visible_child_name (GTK_STACK (self->work_stack), all ? "gallery" : "canvas");
  atl_images_page_show_side (self);
  if (all)
    gtk_widget_grab_focus (self->gallery);
}

void
atl_images_page_find (AtlImagesPage *self)
{
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (self->all_button), TRUE);
  atl_gallery_view_search (ATL_GALLERY_VIEW (self->gallery), NULL);
}

/* What was asked of a picture in the gallery hides it, and its menu gives the focus back to it. */
static gboolean
refocus_cb (gpointer data)
{
  AtlImagesPage *self = data;
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  GtkWidget *focus = root != NULL ? gtk_root_get_focus (root) : NULL;

  if (root != NULL && gtk_widget_get_mapped (GTK_WIDGET (self)) &&
      (focus == NULL || !gtk_widget_get_mapped (focus)))
    atl_images_page_focus (self);
  return G_SOURCE_REMOVE;
}

/* What is painted on is not left by accident. */
static void
work_cb (AtlImagesPage *self)
{
  const char *shown = gtk_stack_get_visible_child_name (GTK_STACK (self->work_stack));
  gboolean all = g_strcmp0 (shown, "gallery") == 0;

  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (self->all_button), all);
  gtk_widget_set_sensitive (self->strip_row, all || g_strcmp0 (shown, "canvas") == 0);
  if (g_strcmp0 (shown, "canvas") == 0)
    g_idle_add_full (G_PRIORITY_LOW, refocus_cb, g_object_ref (self), g_object_unref);
}

static void
pictures_cb (AtlImagesPage *self)
{
  GListModel *pictures = atl_gallery_get_pictures (gallery_of (self));
  gboolean shown = g_list_model_get_n_items (pictures) > 0 &&
                   !atl_split_box_get_is_folded (ATL_SPLIT_BOX (self->split));

  gtk_widget_set_visible (self->strip, shown);
  /* Alone in its row, the button stays at the end of it. */
  gtk_widget_set_hexpand (self->all_button, !shown);
}

void
atl_images_page_install_gallery (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_callback (widget_class, all_toggled_cb);
  gtk_widget_class_install_action (widget_class, "images.show", "s", show_action);
}

void
atl_images_page_connect_gallery (AtlImagesPage *self)
{
  AtlSession *session = atl_pictures_session_get_session (self->pictures);

  atl_gallery_install_actions (GTK_WIDGET (self), GTK_WIDGET (self), gallery_of (self));
  g_signal_connect_object (gallery_of (self), "changed", G_CALLBACK (gallery_changed_cb), self,
                           G_CONNECT_SWAPPED);
  atl_gallery_strip_set_session (ATL_GALLERY_STRIP (self->strip), session);
  atl_gallery_view_set_session (ATL_GALLERY_VIEW (self->gallery), session);
  g_signal_connect_object (self->strip, "notify::selected", G_CALLBACK (strip_selected_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->strip, "activated", G_CALLBACK (show_path), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->work_stack, "notify::visible-child-name", G_CALLBACK (work_cb),
                           self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->split, "notify::is-folded", G_CALLBACK (pictures_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_gallery_get_pictures (gallery_of (self)), "items-changed",
                           G_CALLBACK (pictures_cb), self, G_CONNECT_SWAPPED);
  pictures_cb (self);
}
