/* Actions on pictures, and the menu of them. */
#define G_LOG_DOMAIN "atl-app"

#include "app/gallery/gallery-actions.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/gallery/gallery-tile.h"
#include "app/gallery/picture-copy.h"
#include "app/images/pictures-session.h"
#include "media/recipe.h"

/* Of what is put on the clipboard. */
#define MAX_COPY_SIDE 8192u

const char *const atl_gallery_page_actions[ATL_GALLERY_N_PAGE_ACTIONS] = {
  "images.use-settings", "images.use-as-start", "images.edit-part",
  "images.extend",       "images.variations",   "images.upscale",
};

typedef struct
{
  GtkWidget *widget; /* borrowed: the owner */
  AtlGallery *gallery;
} Context;

static void
context_free (gpointer data, GClosure *closure)
{
  g_free (data);
}

/* The item of the action's parameter; NULL when it is gone meanwhile. */
static AtlGalleryItem *
item_of (Context *context, GVariant *parameter)
{
  return atl_gallery_find (context->gallery, g_variant_get_int64 (parameter));
}

static void
notice (AtlGallery *gallery, const char *words)
{
  atl_session_emit_notice (atl_gallery_get_session (gallery), words);
}

/* --- Show in files --- */

static void
shown_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GtkWidget) widget = ((gpointer *) data)[0];
  g_autofree char *path = ((gpointer *) data)[1];
  g_autoptr (GVariant) reply =
      g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, NULL);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *uri = g_filename_to_uri (folder, NULL, NULL);

  g_free (data);
  /* A desktop without that service opens the folder. */
  if (reply == NULL && uri != NULL && gtk_widget_get_root (widget) != NULL)
    gtk_show_uri (GTK_WINDOW (gtk_widget_get_root (widget)), uri, GDK_CURRENT_TIME);
}

static void
show_action (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  Context *context = data;
  AtlGalleryItem *item = item_of (context, parameter);
  g_autofree char *path = item != NULL ? atl_gallery_dup_path (context->gallery, item) : NULL;
  g_autofree char *uri = path != NULL ? g_filename_to_uri (path, NULL, NULL) : NULL;
  const char *const uris[] = { uri, NULL };
  GDBusConnection *bus = g_application_get_dbus_connection (g_application_get_default ());
  gpointer *shown;

  if (uri == NULL)
    return;
  if (bus == NULL)
    {
      g_autofree char *folder = g_path_get_dirname (path);
      g_autofree char *folder_uri = g_filename_to_uri (folder, NULL, NULL);

      gtk_show_uri (GTK_WINDOW (gtk_widget_get_root (context->widget)), folder_uri,
                    GDK_CURRENT_TIME);
      return;
    }
  shown = g_new (gpointer, 2);
  shown[0] = g_object_ref (context->widget);
  shown[1] = g_strdup (path);
  g_dbus_connection_call (bus, "org.freedesktop.FileManager1", "/org/freedesktop/FileManager1",
                          "org.freedesktop.FileManager1", "ShowItems",
                          g_variant_new ("(^ass)", uris, ""), NULL, G_DBUS_CALL_FLAGS_NONE, -1,
                          NULL, shown_cb, shown);
}

/* --- Clipboard --- */

typedef struct
{
  AtlGallery *gallery;
  GdkClipboard *clipboard;
  char *path; /* (nullable) */
} Copy;

/* Of a picture to the clipboard; takes the path. */
static Copy *
copy_new (Context *context, char *path)
{
  Copy *copy = g_new0 (Copy, 1);

  copy->gallery = g_object_ref (context->gallery);
  copy->clipboard = g_object_ref (gtk_widget_get_clipboard (context->widget));
  copy->path = path;
  return copy;
}

static void
copy_free (Copy *copy)
{
  g_object_unref (copy->gallery);
  g_object_unref (copy->clipboard);
  g_free (copy->path);
  g_free (copy);
}

static void
copy_loaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Copy *copy = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GdkTexture) texture = atl_gallery_load_finish (result, &error);

  if (texture == NULL)
    notice (copy->gallery, error->message);
  else
    {
      g_autoptr (GPtrArray) paths = g_ptr_array_new ();
      GdkContentProvider *parts[2] = {
        gdk_content_provider_new_typed (GDK_TYPE_TEXTURE, texture),
      };
      g_autoptr (GdkContentProvider) both = NULL;

      g_ptr_array_add (paths, copy->path);
      parts[1] = atl_gallery_file_content (paths);
      both = gdk_content_provider_new_union (parts, G_N_ELEMENTS (parts));
      gdk_clipboard_set_content (copy->clipboard, both);
      notice (copy->gallery, _ ("Picture copied"));
    }
  copy_free (copy);
}

static void
copy_action (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  Context *context = data;
  AtlGalleryItem *item = item_of (context, parameter);
  char *path = item != NULL ? atl_gallery_dup_path (context->gallery, item) : NULL;

  if (path != NULL)
    atl_gallery_load_async (context->gallery, item, MAX_COPY_SIDE, NULL, copy_loaded_cb,
                            copy_new (context, path));
}

static void
save_action (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  Context *context = data;
  AtlGalleryItem *item = item_of (context, parameter);

  if (item != NULL)
    atl_picture_copy_ask (context->widget, context->gallery, item);
}

static void
recipe_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Copy *copy = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) recipe = atl_gallery_recipe_finish (result, &error);

  if (recipe == NULL)
    notice (copy->gallery, error->message);
  else
    {
      g_autofree char *text = atl_recipe_to_text (recipe);

      gdk_clipboard_set_text (copy->clipboard, text);
      notice (copy->gallery, _ ("Recipe copied: paste it where you want to share it"));
    }
  copy_free (copy);
}

static void
share_action (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  Context *context = data;
  AtlGalleryItem *item = item_of (context, parameter);
  g_autofree char *path = item != NULL ? atl_gallery_dup_path (context->gallery, item) : NULL;

  if (path != NULL)
    atl_gallery_recipe_async (atl_gallery_get_session (context->gallery), path, NULL, recipe_cb,
                              copy_new (context, NULL));
}

/* --- In the gallery --- */

static void
star_action (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  Context *context = data;
  AtlGalleryItem *item = item_of (context, parameter);

  if (item != NULL)
    {
      g_autoptr (GPtrArray) one = g_ptr_array_new ();

      g_ptr_array_add (one, item);
      atl_gallery_star (context->gallery, one, !atl_gallery_item_get_starred (item));
    }
}

static void
trash_action (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  Context *context = data;
  AtlGalleryItem *item = item_of (context, parameter);
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_object_unref);

  if (item == NULL)
    return;
  g_ptr_array_add (items, g_object_ref (item));
  atl_gallery_trash (context->gallery, context->widget, items);
}

static void
forget_action (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  Context *context = data;
  AtlGalleryItem *item = item_of (context, parameter);

  if (item != NULL)
    atl_gallery_forget (context->gallery, context->widget, item);
}

typedef struct
{
  AtlGallery *gallery;
  AtlGalleryItem *item;
} Locate;

static void
located_cb (GtkNativeDialog *chooser, int response, Locate *locate)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser));
      g_autofree char *path = file != NULL ? g_file_get_path (file) : NULL;
      g_autoptr (GError) error = NULL;

      if (path != NULL && !atl_gallery_move (locate->gallery, locate->item, path, &error))
        notice (locate->gallery, error->message);
    }
  g_object_unref (locate->gallery);
  g_object_unref (locate->item);
  g_free (locate);
  g_object_unref (chooser);
}

GtkFileChooserNative *
atl_gallery_choose_picture (GtkWidget *widget, const char *title)
{
  g_autoptr (GtkFileFilter) filter = gtk_file_filter_new ();
  GtkFileChooserNative *chooser = gtk_file_chooser_native_new (
      title, GTK_WINDOW (gtk_widget_get_root (widget)), GTK_FILE_CHOOSER_ACTION_OPEN, NULL, NULL);

  gtk_file_filter_add_mime_type (filter, "image/png");
  gtk_file_filter_add_mime_type (filter, "image/jpeg");
  gtk_file_filter_add_mime_type (filter, "image/webp");
  gtk_file_filter_set_name (filter, _ ("Pictures (PNG, JPEG, WebP)"));
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (chooser), filter);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  return chooser;
}

static void
locate_action (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  Context *context = data;
  AtlGalleryItem *item = item_of (context, parameter);
  GtkFileChooserNative *chooser;
  Locate *locate;

  if (item == NULL)
    return;
  locate = g_new0 (Locate, 1);
  locate->gallery = g_object_ref (context->gallery);
  locate->item = g_object_ref (item);
  chooser = atl_gallery_choose_picture (context->widget, _ ("Where is the picture?"));
  g_signal_connect (chooser, "response", G_CALLBACK (located_cb), locate);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}

void
atl_gallery_install_actions (GtkWidget *widget, GtkWidget *owner, AtlGallery *gallery)
{
  static const struct
  {
    const char *name;
    void (*activate) (GSimpleAction *action, GVariant *parameter, gpointer data);
  } actions[] = {
    { "show-in-files", show_action }, { "copy", copy_action },
    { "share-recipe", share_action }, { "star", star_action },
    { "trash", trash_action },        { "forget", forget_action },
    { "locate", locate_action },      { "save-copy", save_action },
  };
  g_autoptr (GSimpleActionGroup) group = g_simple_action_group_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (actions); i++)
    {
      g_autoptr (GSimpleAction) action =
          g_simple_action_new (actions[i].name, G_VARIANT_TYPE_INT64);
      Context *context = g_new0 (Context, 1);

      context->widget = owner;
      context->gallery = gallery;
      g_signal_connect_data (action, "activate", G_CALLBACK (actions[i].activate), context,
                             context_free, 0);
      g_action_map_add_action (G_ACTION_MAP (group), G_ACTION (action));
    }
  gtk_widget_insert_action_group (widget, "gallery", G_ACTION_GROUP (group));
}

/* --- The menu --- */

static void
append (GMenu *menu, const char *label, const char *action, GVariant *target)
{
  g_autoptr (GMenuItem) item = g_menu_item_new (label, NULL);

  g_menu_item_set_action_and_target_value (item, action, target);
  /* What the page around cannot do is not offered. */
  if (g_str_has_prefix (action, "images."))
    g_menu_item_set_attribute (item, "hidden-when", "s", "action-missing");
  g_menu_append_item (menu, item);
}

/* What the model in use can do with a picture; everything while none is chosen. */
static guint
abilities (AtlGallery *gallery)
{
  const AtlModelInfo *info =
      atl_pictures_session_get_info (atl_pictures_session_get (atl_gallery_get_session (gallery)));

  return info != NULL ? info->abilities : G_MAXUINT;
}

GMenuModel *
atl_gallery_menu (AtlGallery *gallery, AtlGalleryItem *item)
{
  g_autoptr (GMenu) menu = g_menu_new (), make = g_menu_new (), file = g_menu_new ();
  g_autoptr (GMenu) last = g_menu_new ();
  g_autoptr (AtlPictureRow) row = atl_gallery_get_row (gallery, item, NULL);
  gint64 id = atl_gallery_item_get_id (item);
  gboolean is_gone = atl_gallery_item_get_state (item) == ATL_GALLERY_GONE;
  guint can = abilities (gallery);

  if (row == NULL)
    return NULL;
  if (row->recipe != NULL)
    append (make, _ ("_Use settings"), "images.use-settings", g_variant_new_string (row->path));
  if (!is_gone && (can & (ATL_PICTURE_BEGINS | ATL_PICTURE_REFERENCE)) != 0)
    append (make, _ ("Use as _start"), "images.use-as-start", g_variant_new_string (row->path));
  if (!is_gone && (can & ATL_PICTURE_MASK) != 0)
    {
      append (make, _ ("_Edit part"), "images.edit-part", g_variant_new_string (row->path));
      append (make, _ ("E_xtend"), "images.extend", g_variant_new_string (row->path));
    }
  if (row->recipe != NULL)
    append (make, _ ("_Variations"), "images.variations", g_variant_new_string (row->path));
  if (!is_gone)
    {
      append (make, _ ("En_large…"), "images.upscale", g_variant_new_string (row->path));
      append (file, _ ("Show in _files"), "gallery.show-in-files", g_variant_new_int64 (id));
      append (file, _ ("S_ave a copy…"), "gallery.save-copy", g_variant_new_int64 (id));
      append (file, _ ("_Copy"), "gallery.copy", g_variant_new_int64 (id));
    }
  else
    append (file, _ ("F_ind the file…"), "gallery.locate", g_variant_new_int64 (id));
  if (row->recipe != NULL)
    append (file, _ ("Copy _recipe"), "gallery.share-recipe", g_variant_new_int64 (id));
  append (last, row->starred ? _ ("Remove s_tar") : _ ("Add s_tar"), "gallery.star",
          g_variant_new_int64 (id));
  if (is_gone)
    append (last, _ ("Take out of the _gallery"), "gallery.forget", g_variant_new_int64 (id));
  else
    append (last, _ ("_Delete"), "gallery.trash", g_variant_new_int64 (id));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (make));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (file));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (last));
  return G_MENU_MODEL (g_steal_pointer (&menu));
}

static gboolean
unparent_cb (gpointer popover)
{
  gtk_widget_unparent (popover);
  g_object_unref (popover);
  return G_SOURCE_REMOVE;
}

/* The action runs after the menu has closed and needs its place in the tree. */
static void
closed_cb (GtkPopover *popover)
{
  g_idle_add (unparent_cb, g_object_ref (popover));
}

void
atl_gallery_popup_model (GtkWidget *widget, GMenuModel *menu, double x, double y)
{
  GtkWidget *popover = gtk_popover_menu_new_from_model (menu);

  gtk_popover_set_has_arrow (GTK_POPOVER (popover), FALSE);
  gtk_widget_set_halign (popover, GTK_ALIGN_START);
  gtk_popover_set_pointing_to (GTK_POPOVER (popover), &(GdkRectangle){ (int) x, (int) y, 1, 1 });
  gtk_widget_set_parent (popover, widget);
  g_signal_connect (popover, "closed", G_CALLBACK (closed_cb), NULL);
  gtk_popover_popup (GTK_POPOVER (popover));
}

void
atl_gallery_popup_menu (
    GtkWidget *widget, AtlGallery *gallery, AtlGalleryItem *item, double x, double y)
{
  g_autoptr (GMenuModel) menu = atl_gallery_menu (gallery, item);

  if (menu != NULL)
    atl_gallery_popup_model (widget, menu, x, y);
}
