/* What keys and menus do: the actions of the window, passed on to the page in sight. */
#define G_LOG_DOMAIN "atl-app"

#include "app/gallery/gallery-actions.h"
#include "app/images/images-page.h"
#include "app/models/add-model.h"
#include "app/window/model-switcher.h"
#include "app/window/window-private.h"

/* What is done with a picture, chosen in the sidebar or in the viewer. */
static void
picture_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);

  atl_window_show_page (self, "images");
  gtk_widget_activate_action_variant (self->images_page, name, parameter);
}

static void
new_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);

  if (atl_window_shows_page (self, "images"))
    atl_images_page_new (ATL_IMAGES_PAGE (self->images_page));
  else
    atl_window_new_chat (self, 0);
}

static void
new_chat_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  atl_window_new_chat (ATL_WINDOW (widget), parameter ? g_variant_get_int64 (parameter) : 0);
}

static void
open_chat_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  atl_window_open_chat (ATL_WINDOW (widget), g_variant_get_int64 (parameter), 0);
}

static void
import_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  atl_window_import (ATL_WINDOW (widget));
}

static void
open_model_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  atl_add_model_choose (GTK_WINDOW (widget), ATL_WINDOW (widget)->session);
}

static void
open_parts_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  atl_window_choose_parts (ATL_WINDOW (widget));
}

static void
load_from_disk_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);

  atl_window_hide_notice (self);
  atl_session_load_from_disk (self->session);
}

static void
choose_model_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);

  gboolean pictures = atl_window_shows_page (self, "images");

  atl_window_hide_notice (self);
  atl_window_show_page (self, pictures ? "images" : "chats");
  atl_model_switcher_popup (
      ATL_MODEL_SWITCHER (pictures ? self->picture_switcher : self->model_switcher));
}

static void
unload_model_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  atl_session_unload_model (ATL_WINDOW (widget)->session);
}

static void
show_page_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);
  GtkWidget *page, *focus;

  atl_window_show_page (self, g_variant_get_string (parameter, NULL));
  /* What a person types next belongs to the page. */
  page = adw_view_stack_get_visible_child (ADW_VIEW_STACK (self->pages));
  focus = gtk_window_get_focus (GTK_WINDOW (self));
  if (page == self->chat_page)
    atl_chat_page_focus (ATL_CHAT_PAGE (self->chat_page));
  else if (focus != NULL && gtk_widget_is_ancestor (focus, page))
    return;
  /* It takes the focus before it is mapped, too, as in a window that opens with this page. */
  else if (page == self->images_page)
    atl_images_page_focus (ATL_IMAGES_PAGE (page));
  else
    gtk_widget_child_focus (page, GTK_DIR_TAB_FORWARD);
}

static void
search_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);

  if (atl_window_shows_page (self, "images"))
    {
      atl_images_page_find (ATL_IMAGES_PAGE (self->images_page));
      return;
    }
  atl_window_show_sidebar (self);
  gtk_stack_set_visible_child (GTK_STACK (self->lists), self->chat_list);
  atl_chat_list_search (ATL_CHAT_LIST (self->chat_list), NULL);
}

static void
find_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);

  if (atl_window_shows_page (self, "images"))
    {
      atl_images_page_find (ATL_IMAGES_PAGE (self->images_page));
      return;
    }
  atl_window_show_page (self, "chats");
  atl_chat_page_find (ATL_CHAT_PAGE (self->chat_page));
}

static void
focus_prompt_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);

  if (atl_window_shows_page (self, "chats"))
    atl_chat_page_focus (ATL_CHAT_PAGE (self->chat_page));
  else if (atl_window_shows_page (self, "images"))
    atl_images_page_focus (ATL_IMAGES_PAGE (self->images_page));
}

static void
undo_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  atl_window_undo_last (ATL_WINDOW (widget));
}

static void
toggle_settings_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);
  GtkToggleButton *button = GTK_TOGGLE_BUTTON (self->settings_button);

  /* Those of pictures are in sight: nobody is led away from them. */
  if (atl_window_shows_page (self, "images"))
    return;
  atl_window_show_page (self, "chats");
  gtk_toggle_button_set_active (button, !gtk_toggle_button_get_active (button));
}

static void
zoom_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  GSettings *settings = atl_session_get_settings (ATL_WINDOW (widget)->session);
  double zoom = g_settings_get_double (settings, "zoom");

  zoom = g_str_equal (name, "win.zoom-in")    ? zoom * 1.1
         : g_str_equal (name, "win.zoom-out") ? zoom / 1.1
                                              : 1;
  g_settings_set_double (settings, "zoom", CLAMP (zoom, 0.5, 3));
}

/* From wherever the focus is. */
static gboolean
create_cb (GtkWidget *widget, GVariant *arguments, gpointer data)
{
  AtlWindow *self = ATL_WINDOW (widget);

  return atl_window_shows_page (self, "images") &&
         gtk_widget_activate_action (self->images_page, "images.create", NULL);
}

/* Whoever did not need the key for itself leaves it here: it stops the answer that is shown. */
static gboolean
escape_cb (GtkWidget *widget, GVariant *arguments, gpointer data)
{
  AtlWindow *self = ATL_WINDOW (widget);

  if (atl_window_shows_page (self, "images"))
    return atl_images_page_escape (ATL_IMAGES_PAGE (self->images_page));
  return atl_chat_page_stop (ATL_CHAT_PAGE (self->chat_page));
}

void
atl_window_install_actions (GtkWidgetClass *c)
{
  gtk_widget_class_install_action (c, "win.new", NULL, new_action);
  gtk_widget_class_install_action (c, "win.new-chat", NULL, new_chat_action);
  gtk_widget_class_install_action (c, "win.new-chat-in", "x", new_chat_action);
  gtk_widget_class_install_action (c, "win.open-chat", "x", open_chat_action);
  gtk_widget_class_install_action (c, "win.import-chat", NULL, import_action);
  gtk_widget_class_install_action (c, "win.open-model", NULL, open_model_action);
  gtk_widget_class_install_action (c, "win.open-parts", NULL, open_parts_action);
  gtk_widget_class_install_action (c, "win.choose-model", NULL, choose_model_action);
  gtk_widget_class_install_action (c, "win.load-from-disk", NULL, load_from_disk_action);
  gtk_widget_class_install_action (c, "win.unload-model", NULL, unload_model_action);
  gtk_widget_class_install_action (c, "win.show-page", "s", show_page_action);
  gtk_widget_class_install_action (c, "win.search", NULL, search_action);
  gtk_widget_class_install_action (c, "win.find", NULL, find_action);
  gtk_widget_class_install_action (c, "win.focus-prompt", NULL, focus_prompt_action);
  gtk_widget_class_install_action (c, "win.undo", NULL, undo_action);
  atl_window_install_sidebar_actions (c);
  gtk_widget_class_install_action (c, "win.toggle-settings", NULL, toggle_settings_action);
  gtk_widget_class_install_action (c, "win.zoom-in", NULL, zoom_action);
  gtk_widget_class_install_action (c, "win.zoom-out", NULL, zoom_action);
  gtk_widget_class_install_action (c, "win.zoom-reset", NULL, zoom_action);
  atl_window_install_chat_actions (c);
  for (gsize i = 0; i < ATL_GALLERY_N_PAGE_ACTIONS; i++)
    gtk_widget_class_install_action (c, atl_gallery_page_actions[i], "s", picture_action);
  /* No accelerator of the application: a text that is being edited undoes its own changes first. */
  gtk_widget_class_add_binding_action (c, GDK_KEY_z, GDK_CONTROL_MASK, "win.undo", NULL);
  gtk_widget_class_add_binding (c, GDK_KEY_Escape, 0, escape_cb, NULL);
  gtk_widget_class_add_binding (c, GDK_KEY_Return, GDK_CONTROL_MASK, create_cb, NULL);
  gtk_widget_class_add_binding (c, GDK_KEY_KP_Enter, GDK_CONTROL_MASK, create_cb, NULL);
}
