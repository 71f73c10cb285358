/* The window: lays out sidebar and pages, folds when narrow, shows what the engine is up to. */
#define G_LOG_DOMAIN "atl-app"

#include "app/window/window.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/chat/conversation.h"
#include "app/dialogs.h"
#include "app/gallery/gallery-strip.h"
#include "app/images/images-page.h"
#include "app/models/models-page.h"
#include "app/notify.h"
#include "app/window/engine-strip.h"
#include "app/window/model-switcher.h"
#include "app/window/window-private.h"

G_DEFINE_FINAL_TYPE (AtlWindow, atl_window, ADW_TYPE_APPLICATION_WINDOW)

AtlStore *
atl_window_get_store (AtlWindow *self)
{
  return atl_session_get_store (self->session);
}

/* --- Layout --- */

static gboolean
is_folded (AtlWindow *self)
{
  return adw_leaflet_get_folded (ADW_LEAFLET (self->leaflet));
}

static void
show_content (AtlWindow *self)
{
  adw_leaflet_set_visible_child (ADW_LEAFLET (self->leaflet), self->content);
}

gboolean
atl_window_shows_page (AtlWindow *self, const char *name)
{
  return g_strcmp0 (adw_view_stack_get_visible_child_name (ADW_VIEW_STACK (self->pages)), name) ==
         0;
}

GtkWidget *
atl_window_get_toasts (AtlWindow *self)
{
  GtkWidget *toasts = NULL;

  if (atl_window_shows_page (self, "chats") &&
      (!is_folded (self) ||
       adw_leaflet_get_visible_child (ADW_LEAFLET (self->leaflet)) == self->content))
    toasts = atl_chat_page_get_toasts (ATL_CHAT_PAGE (self->chat_page));
  return toasts != NULL ? toasts : self->toasts;
}

void
atl_window_toast (AtlWindow *self, const char *sentence)
{
  atl_toast_show (atl_window_get_toasts (self), sentence);
}

static void
name_button (GtkWidget *button, const char *icon, const char *name, const char *key)
{
  g_autofree char *tip = g_strdup_printf ("%s (%s)", name, key);

  gtk_button_set_icon_name (GTK_BUTTON (button), icon);
  gtk_widget_set_tooltip_text (button, tip);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
}

/* The buttons above the list do what the page in sight does by these keys. */
static void
name_list_buttons (AtlWindow *self)
{
  gboolean pictures = atl_window_shows_page (self, "images");

  name_button (self->list_new_button,
               pictures ? "document-new-symbolic" : "chat-message-new-symbolic",
               pictures ? _ ("New picture") : _ ("New chat"), _ ("Ctrl+N"));
  name_button (self->search_button, "edit-find-symbolic",
               pictures ? _ ("Search pictures") : _ ("Search all chats"), _ ("Ctrl+K"));
}

static void
refresh_layout (AtlWindow *self)
{
  gboolean folded = is_folded (self);
  gboolean wanted =
      self->session == NULL ||
      g_settings_get_boolean (atl_session_get_settings (self->session), "sidebar-visible");
  gboolean chats = atl_window_shows_page (self, "chats");

  gtk_widget_set_visible (self->sidebar, folded || wanted);
  gtk_widget_set_visible (self->back_button, folded);
  gtk_widget_set_visible (self->sidebar_button, !folded);
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (self->sidebar_button), wanted);
  gtk_widget_set_visible (self->new_button, chats && !folded && !wanted);
  name_list_buttons (self);
  gtk_widget_set_visible (self->settings_button, chats);
  gtk_widget_set_visible (self->chat_menu_button, chats);
  /* Above the button that creates, which a notice would cover. */
  if (atl_window_shows_page (self, "images"))
    gtk_widget_add_css_class (self->toasts, "above-button");
  else
    gtk_widget_remove_css_class (self->toasts, "above-button");
  gtk_stack_set_visible_child (GTK_STACK (self->lists), atl_window_shows_page (self, "images")
                                                            ? self->picture_list
                                                            : self->chat_list);
  atl_engine_strip_set_for_pictures (ATL_ENGINE_STRIP (self->strip),
                                     atl_window_shows_page (self, "images"));
  gtk_stack_set_visible_child_name (
      GTK_STACK (self->title_stack),
      adw_view_stack_get_visible_child_name (ADW_VIEW_STACK (self->pages)));
}

void
atl_window_show_page (AtlWindow *self, const char *name)
{
  adw_view_stack_set_visible_child_name (ADW_VIEW_STACK (self->pages), name);
  show_content (self);
}

static void
picture_chosen_cb (AtlWindow *self, const char *path)
{
  gtk_widget_activate_action (self->images_page, "images.show", "s", path);
  show_content (self);
}

static void
page_cb (AtlWindow *self)
{
  refresh_layout (self);
  if (self->session != NULL)
    g_settings_set_string (atl_session_get_settings (self->session), "last-page",
                           adw_view_stack_get_visible_child_name (ADW_VIEW_STACK (self->pages)));
  if (is_folded (self))
    show_content (self);
}

static void
refresh_title (AtlWindow *self)
{
  AtlConversation *conversation = atl_chat_page_get_conversation (ATL_CHAT_PAGE (self->chat_page));
  const char *title = conversation ? atl_conversation_get_title (conversation) : "";

  gtk_window_set_title (GTK_WINDOW (self), *title ? title : _ ("Atelier"));
}

static void
remember_open_chat (AtlWindow *self, AtlConversation *conversation)
{
  gint64 id = atl_conversation_get_chat_id (conversation);

  if (g_settings_get_int64 (atl_session_get_settings (self->session), "last-chat") != id)
    g_settings_set_int64 (atl_session_get_settings (self->session), "last-chat", id);
  atl_chat_list_select (ATL_CHAT_LIST (self->chat_list), id);
}

static void
opened (AtlWindow *self)
{
  AtlConversation *conversation = atl_chat_page_get_conversation (ATL_CHAT_PAGE (self->chat_page));

  remember_open_chat (self, conversation);
  g_signal_connect_object (conversation, "notify::title", G_CALLBACK (refresh_title), self,
                           G_CONNECT_SWAPPED);
  refresh_title (self);
  atl_window_show_page (self, "chats");
  atl_chat_page_focus (ATL_CHAT_PAGE (self->chat_page));
}

void
atl_window_open_chat (AtlWindow *self, gint64 chat_id, gint64 message_id)
{
  atl_chat_page_open (ATL_CHAT_PAGE (self->chat_page), chat_id, 0);
  opened (self);
  if (message_id != 0)
    atl_chat_page_show_message (ATL_CHAT_PAGE (self->chat_page), message_id);
}

void
atl_window_new_chat (AtlWindow *self, gint64 folder_id)
{
  atl_chat_page_open (ATL_CHAT_PAGE (self->chat_page), 0, folder_id);
  opened (self);
}

/* A chat that was just saved for the first time has an id only now. */
static void
chats_changed_cb (AtlWindow *self)
{
  AtlConversation *conversation = atl_chat_page_get_conversation (ATL_CHAT_PAGE (self->chat_page));

  if (conversation != NULL)
    remember_open_chat (self, conversation);
}

/* For a person who looks elsewhere, or listens: the answer is there. */
static void
answered_cb (AtlSession *session, const char *title, gint64 chat_id, AtlWindow *self)
{
  g_autoptr (GNotification) notification = NULL;
  GApplication *app = G_APPLICATION (gtk_window_get_application (GTK_WINDOW (self)));

  if (gtk_window_is_active (GTK_WINDOW (self)) || app == NULL)
    return;
  notification = g_notification_new (*title ? title : _ ("New chat"));
  g_notification_set_body (notification, _ ("The answer is ready."));
  g_notification_set_default_action_and_target (notification, "app.open-chat", "x", chat_id);
  atl_notify (app, "answer", notification);
}

static void
chosen_cb (AtlChatList *list, gint64 chat_id, gint64 message_id, AtlWindow *self)
{
  atl_window_open_chat (self, chat_id, message_id);
}

/* Letters that nobody wanted belong to what the page in sight is asked. Menus keep theirs. */
static gboolean
letter_cb (
    GtkEventControllerKey *keys, guint keyval, guint code, GdkModifierType state, AtlWindow *self)
{
  gunichar letter = gdk_keyval_to_unicode (keyval);
  GtkWidget *focus = gtk_window_get_focus (GTK_WINDOW (self));

  if ((state & (GDK_CONTROL_MASK | GDK_ALT_MASK | GDK_SUPER_MASK)) != 0 || letter == 0 ||
      letter == ' ' || g_unichar_iscntrl (letter) ||
      (focus != NULL && gtk_widget_get_native (focus) != GTK_NATIVE (self)))
    return GDK_EVENT_PROPAGATE;
  if (atl_window_shows_page (self, "chats"))
    return atl_chat_page_take_letter (ATL_CHAT_PAGE (self->chat_page), keys);
  if (atl_window_shows_page (self, "images"))
    return atl_images_page_take_letter (ATL_IMAGES_PAGE (self->images_page), keys);
  return GDK_EVENT_PROPAGATE;
}

/* --- GObject --- */

static void
store_geometry (AtlWindow *self)
{
  GSettings *settings = atl_session_get_settings (self->session);
  int width, height;

  gtk_window_get_default_size (GTK_WINDOW (self), &width, &height);
  g_settings_set_int (settings, "window-width", width);
  g_settings_set_int (settings, "window-height", height);
  g_settings_set_boolean (settings, "window-maximized",
                          gtk_window_is_maximized (GTK_WINDOW (self)));
}

static void
size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  atl_window_fold (ATL_WINDOW (widget), width);
  GTK_WIDGET_CLASS (atl_window_parent_class)->size_allocate (widget, width, height, baseline);
}

static gboolean
close_request (GtkWindow *window)
{
  AtlWindow *self = ATL_WINDOW (window);

  atl_chat_page_flush (ATL_CHAT_PAGE (self->chat_page));
  atl_images_page_flush (ATL_IMAGES_PAGE (self->images_page));
  store_geometry (self);
  return GTK_WINDOW_CLASS (atl_window_parent_class)->close_request (window);
}

static void
atl_window_dispose (GObject *object)
{
  AtlWindow *self = ATL_WINDOW (object);

  atl_window_clear_undo (self);
  g_clear_object (&self->chooser);
  g_clear_object (&self->session);
  g_clear_weak_pointer (&self->trouble);
  G_OBJECT_CLASS (atl_window_parent_class)->dispose (object);
}

static void
atl_window_class_init (AtlWindowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_window_dispose;
  GTK_WINDOW_CLASS (klass)->close_request = close_request;
  widget_class->size_allocate = size_allocate;
  g_type_ensure (ATL_TYPE_CHAT_LIST);
  g_type_ensure (ATL_TYPE_CHAT_PAGE);
  g_type_ensure (ATL_TYPE_ENGINE_STRIP);
  g_type_ensure (ATL_TYPE_MODEL_SWITCHER);
  g_type_ensure (ATL_TYPE_GALLERY_STRIP);
  g_type_ensure (ATL_TYPE_IMAGES_PAGE);
  g_type_ensure (ATL_TYPE_MODELS_PAGE);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/window.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlWindow, name)
  BIND (toasts);
  BIND (leaflet);
  BIND (main_menu_button);
  BIND (sidebar);
  BIND (content);
  BIND (chat_list);
  BIND (strip);
  BIND (pages);
  BIND (title_stack);
  BIND (model_switcher);
  BIND (picture_switcher);
  BIND (back_button);
  BIND (sidebar_button);
  BIND (list_new_button);
  BIND (search_button);
  BIND (new_button);
  BIND (settings_button);
  BIND (chat_menu_button);
  BIND (notice_bar);
  BIND (notice_title);
  BIND (notice_label);
  BIND (notice_button);
  BIND (load_revealer);
  BIND (load_label);
  BIND (load_bar);
  BIND (copy_revealer);
  BIND (copy_label);
  BIND (copy_bar);
  BIND (chat_page);
  BIND (images_page);
  BIND (lists);
  BIND (picture_list);
  BIND (models_page);
  BIND (drop_revealer);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, refresh_layout);
  gtk_widget_class_bind_template_callback (widget_class, page_cb);
  gtk_widget_class_bind_template_callback (widget_class, picture_chosen_cb);
  gtk_widget_class_bind_template_callback (widget_class, chosen_cb);
  atl_window_bind_notice_callbacks (widget_class);
  atl_window_install_actions (widget_class);
}

static void
atl_window_init (AtlWindow *self)
{
  GtkEventController *keys = gtk_event_controller_key_new ();

  g_queue_init (&self->undo);
  gtk_widget_init_template (GTK_WIDGET (self));
  g_signal_connect (keys, "key-pressed", G_CALLBACK (letter_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), keys);
  atl_window_connect_chat_menu (self);
  atl_accessible_name_close_button (self->notice_bar);
  atl_window_install_drop (self);
}

static void
connect_session (AtlWindow *self)
{
  AtlSession *session = self->session;

  atl_window_connect_notices (self);
  g_signal_connect_object (session, "answered", G_CALLBACK (answered_cb), self, 0);
  g_signal_connect_object (session, "chats-changed", G_CALLBACK (chats_changed_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_session_get_settings (session), "changed::sidebar-visible",
                           G_CALLBACK (refresh_layout), self, G_CONNECT_SWAPPED);
}

AtlWindow *
atl_window_new (GtkApplication *app, AtlSession *session)
{
  AtlWindow *self = g_object_new (ATL_TYPE_WINDOW, "application", app, NULL);
  GSettings *settings = atl_session_get_settings (session);
  const GError *store_error = atl_session_get_store_error (session);
  g_auto (GStrv) reports = NULL;

  self->session = g_object_ref (session);
  gtk_window_set_default_size (GTK_WINDOW (self), g_settings_get_int (settings, "window-width"),
                               g_settings_get_int (settings, "window-height"));
  if (g_settings_get_boolean (settings, "window-maximized"))
    gtk_window_maximize (GTK_WINDOW (self));
  atl_chat_list_set_session (ATL_CHAT_LIST (self->chat_list), session);
  atl_chat_page_set_session (ATL_CHAT_PAGE (self->chat_page), session);
  atl_images_page_set_session (ATL_IMAGES_PAGE (self->images_page), session);
  atl_gallery_strip_set_session (ATL_GALLERY_STRIP (self->picture_list), session);
  g_object_bind_property (self->images_page, "shown", self->picture_list, "selected",
                          G_BINDING_SYNC_CREATE);
  atl_models_page_set_session (ATL_MODELS_PAGE (self->models_page), session);
  atl_engine_strip_set_session (ATL_ENGINE_STRIP (self->strip), session);
  atl_model_switcher_set_session (ATL_MODEL_SWITCHER (self->model_switcher), session, FALSE);
  atl_model_switcher_set_session (ATL_MODEL_SWITCHER (self->picture_switcher), session, TRUE);
  g_settings_bind (settings, "settings-visible", self->settings_button, "active",
                   G_SETTINGS_BIND_DEFAULT);
  g_object_bind_property (self->settings_button, "active", self->chat_page, "shows-settings",
                          G_BINDING_BIDIRECTIONAL | G_BINDING_SYNC_CREATE);
  connect_session (self);
  refresh_layout (self);
  if (store_error != NULL)
    atl_window_show_notice (self, GTK_MESSAGE_ERROR,
                            _ ("Your chats could not be opened; what you write now is not kept"),
                            store_error->message, NULL, NULL);
  reports = atl_store_take_reports (atl_session_get_store (session));
  for (guint i = 0; reports[i] != NULL; i++)
    atl_window_toast (self, reports[i]);
  return self;
}

void
atl_window_open_last (AtlWindow *self)
{
  GSettings *settings = atl_session_get_settings (self->session);
  /* Opening a chat shows its page. */
  g_autofree char *page = g_settings_get_string (settings, "last-page");

  gtk_widget_activate_action (GTK_WIDGET (self), "win.open-chat", "x",
                              g_settings_get_int64 (settings, "last-chat"));
  if (g_str_equal (page, "chats") ||
      adw_view_stack_get_child_by_name (ADW_VIEW_STACK (self->pages), page) == NULL)
    return;
  /* GTK would move the focus on from the page that goes out of sight, once the window is mapped,
   * wherever it is by then. */
  gtk_window_set_focus (GTK_WINDOW (self), NULL);
  gtk_widget_activate_action (GTK_WIDGET (self), "win.show-page", "s", page);
}
