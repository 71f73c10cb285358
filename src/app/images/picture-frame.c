/* Loads a picture of the gallery into a zoom view. */
#include "app/images/picture-frame.h"

#include <glib/gi18n.h>

/* More than screens have, and at most 200 MB of pixels. */
#define MAX_SIDE 8192u

struct _AtlPictureFrame
{
  AdwBin parent_instance;

  AtlGallery *gallery;   /* borrowed */
  AtlGalleryItem *item;  /* (nullable) */
  GCancellable *loading; /* (nullable) */

  GtkWidget *stack;
  GtkWidget *view;
  GtkWidget *status;
  GtkWidget *find_button;
  GtkWidget *forget_button;
};

G_DEFINE_FINAL_TYPE (AtlPictureFrame, atl_picture_frame, ADW_TYPE_BIN)

AtlGalleryItem *
atl_picture_frame_get_item (AtlPictureFrame *self)
{
  return self->item;
}

AtlZoomView *
atl_picture_frame_get_view (AtlPictureFrame *self)
{
  return ATL_ZOOM_VIEW (self->view);
}

static void
show_problem (AtlPictureFrame *self, const GError *error)
{
  gboolean is_gone = atl_gallery_item_get_state (self->item) == ATL_GALLERY_GONE;
  g_autofree char *path = atl_gallery_dup_path (self->gallery, self->item);
  gint64 id = atl_gallery_item_get_id (self->item);
  g_autofree char *words = NULL;

  if (is_gone && path != NULL)
    words = g_markup_printf_escaped (_ ("It was moved, renamed or deleted by another program: %s"),
                                     path);
  else
    words = g_markup_escape_text (error->message, -1);
  adw_status_page_set_icon_name (ADW_STATUS_PAGE (self->status),
                                 is_gone ? "edit-find-symbolic" : "image-missing-symbolic");
  adw_status_page_set_title (ADW_STATUS_PAGE (self->status),
                             is_gone ? _ ("The file is not where it was")
                                     : _ ("This picture cannot be shown"));
  adw_status_page_set_description (ADW_STATUS_PAGE (self->status), words);
  gtk_actionable_set_action_target (GTK_ACTIONABLE (self->find_button), "x", id);
  gtk_actionable_set_action_target (GTK_ACTIONABLE (self->forget_button), "x", id);
  gtk_widget_set_visible (self->find_button, is_gone);
  gtk_stack_set_visible_child (GTK_STACK (self->stack), self->status);
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlPictureFrame) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GdkTexture) texture = atl_gallery_load_finish (result, &error);
  g_autofree char *words = NULL;

  /* Another picture was asked for meanwhile. */
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || self->item == NULL)
    return;
  g_clear_object (&self->loading);
  if (texture == NULL)
    {
      show_problem (self, error);
      return;
    }
  words = atl_gallery_describe (self->gallery, self->item);
  atl_zoom_view_set_texture (ATL_ZOOM_VIEW (self->view), texture, words);
  gtk_stack_set_visible_child (GTK_STACK (self->stack), self->view);
}

static void
load (AtlPictureFrame *self)
{
  g_cancellable_cancel (self->loading);
  g_clear_object (&self->loading);
  self->loading = g_cancellable_new ();
  atl_gallery_load_async (self->gallery, self->item, MAX_SIDE, self->loading, loaded_cb,
                          g_object_ref (self));
}

/* Found again. */
static void
state_cb (AtlGalleryItem *item, GParamSpec *pspec, AtlPictureFrame *self)
{
  if (item == self->item && self->loading == NULL &&
      atl_gallery_item_get_state (item) == ATL_GALLERY_FRESH &&
      gtk_stack_get_visible_child (GTK_STACK (self->stack)) == self->status)
    load (self);
}

void
atl_picture_frame_show (AtlPictureFrame *self, AtlGalleryItem *item)
{
  g_autofree char *words = NULL;

  if (self->item != NULL)
    {
      g_signal_handlers_disconnect_by_data (self->item, self);
      atl_gallery_hide (self->gallery, self->item);
      g_clear_object (&self->item);
    }
  if (item == NULL)
    return;
  self->item = g_object_ref (item);
  atl_gallery_show (self->gallery, item);
  g_signal_connect_object (item, "notify::state", G_CALLBACK (state_cb), self, 0);
  words = atl_gallery_describe (self->gallery, item);
  atl_zoom_view_set_texture (ATL_ZOOM_VIEW (self->view), atl_gallery_item_get_texture (item),
                             words);
  gtk_stack_set_visible_child (GTK_STACK (self->stack), self->view);
  load (self);
}

static void
atl_picture_frame_dispose (GObject *object)
{
  AtlPictureFrame *self = ATL_PICTURE_FRAME (object);

  atl_picture_frame_show (self, NULL);
  g_cancellable_cancel (self->loading);
  g_clear_object (&self->loading);
  G_OBJECT_CLASS (atl_picture_frame_parent_class)->dispose (object);
}

static void
atl_picture_frame_class_init (AtlPictureFrameClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_picture_frame_dispose;
}

static GtkWidget *
add_button (GtkWidget *box, const char *label, const char *action, const char *css_class)
{
  GtkWidget *button = gtk_button_new_with_mnemonic (label);

  gtk_actionable_set_action_target (GTK_ACTIONABLE (button), "x", (gint64) 0);
  gtk_actionable_set_action_name (GTK_ACTIONABLE (button), action);
  gtk_widget_add_css_class (button, "pill");
  if (css_class != NULL)
    gtk_widget_add_css_class (button, css_class);
  gtk_widget_set_halign (button, GTK_ALIGN_CENTER);
  gtk_box_append (GTK_BOX (box), button);
  return button;
}

static void
atl_picture_frame_init (AtlPictureFrame *self)
{
  GtkWidget *buttons = gtk_box_new (GTK_ORIENTATION_VERTICAL, 12);

  self->find_button =
      add_button (buttons, _ ("F_ind the file…"), "gallery.locate", "suggested-action");
  self->forget_button =
      add_button (buttons, _ ("Take out of the _gallery"), "gallery.forget", NULL);
  self->status = adw_status_page_new ();
  adw_status_page_set_child (ADW_STATUS_PAGE (self->status), buttons);
  self->stack = gtk_stack_new ();
  gtk_stack_add_child (GTK_STACK (self->stack), self->status);
  adw_bin_set_child (ADW_BIN (self), self->stack);
}

GtkWidget *
atl_picture_frame_new (AtlGallery *gallery, AtlZoom *zoom)
{
  AtlPictureFrame *self = g_object_new (ATL_TYPE_PICTURE_FRAME, NULL);

  self->gallery = gallery;
  self->view = atl_zoom_view_new (zoom);
  gtk_stack_add_child (GTK_STACK (self->stack), self->view);
  gtk_stack_set_visible_child (GTK_STACK (self->stack), self->view);
  return GTK_WIDGET (self);
}
