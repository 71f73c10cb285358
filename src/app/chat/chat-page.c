/* Brings conversation, list, composer and settings together. */
#include "app/chat/chat-page.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/chat/chat-view.h"
#include "app/chat/composer.h"
#include "app/chat/context-notice.h"
#include "app/chat/markdown.h"
#include "app/chat/message-details.h"
#include "app/chat/settings-pane.h"
#include "app/chat/welcome.h"
#include "app/window/undo.h"

/* Of an answer, read by a screen reader without a pause. */
#define MAX_TOLD_BYTES 4000

struct _AtlChatPage
{
  GtkWidget parent_instance;

  AtlSession *session;           /* (nullable) */
  AtlConversation *conversation; /* (nullable) */
  GSignalGroup *signals;         /* of the conversation */
  GSignalGroup *list_signals;    /* of its messages */

  GtkWidget *flap;
  GtkWidget *toasts;
  GtkWidget *stack;
  GtkWidget *view;
  GtkWidget *welcome;
  GtkWidget *toy_label;
  GtkWidget *context_notice;
  GtkWidget *composer;
  GtkWidget *settings;
};

G_DEFINE_FINAL_TYPE (AtlChatPage, atl_chat_page, GTK_TYPE_WIDGET)

enum
{
  PROP_SHOWS_SETTINGS = 1,
  N_PROPS
};

static GParamSpec *props[N_PROPS];

static void
refresh_stack (AtlChatPage *self)
{
  gboolean empty = atl_conversation_get_n_messages (self->conversation) == 0;
  gtk_stack_set_visible_child_name (GTK_STACK (self->stack), empty ? "welcome" : "messages");
}

static void
refresh_context (AtlChatPage *self)
{
  guint used, total;

  atl_conversation_get_context (self->conversation, &used, &total);
  atl_composer_set_context (ATL_COMPOSER (self->composer), used, total);
  atl_context_notice_refresh (ATL_CONTEXT_NOTICE (self->context_notice));
}

/* An answer that the context cut off can go on in a longer one. */
static void
refresh_last_message (AtlChatPage *self)
{
  GListModel *messages = atl_conversation_get_messages (self->conversation);
  guint n = g_list_model_get_n_items (messages);
  g_autoptr (AtlMessageItem) last = n > 0 ? g_list_model_get_item (messages, n - 1) : NULL;

  if (last != NULL)
    atl_message_item_changed (last);
}

static void
refresh_model (AtlChatPage *self)
{
  AtlModel *model = atl_session_get_model (self->session);

  gtk_widget_set_visible (self->toy_label, model != NULL && atl_model_get_info (model)->is_toy);
  if (self->conversation == NULL)
    return;
  atl_settings_pane_set_conversation (ATL_SETTINGS_PANE (self->settings), self->session,
                                      self->conversation);
  refresh_context (self);
  refresh_last_message (self);
}

static void
refresh_running (AtlChatPage *self)
{
  atl_composer_set_running (ATL_COMPOSER (self->composer),
                            atl_conversation_get_is_running (self->conversation));
}

/* An answer that ended is read out by a screen reader, wherever the person waits for it; before it,
 * if it did not end by itself, what the note below it says. */
static char *
end_words (AtlChatPage *self)
{
  GListModel *messages = atl_conversation_get_messages (self->conversation);
  guint n = g_list_model_get_n_items (messages);
  g_autoptr (AtlMessageItem) last = n > 0 ? g_list_model_get_item (messages, n - 1) : NULL;
  g_autoptr (GPtrArray) blocks = NULL;
  g_autofree char *words = NULL, *note = NULL;

  if (last == NULL)
    return g_strdup (_ ("The answer is ready."));
  if (last->state == ATL_MESSAGE_ERROR && last->error_text != NULL)
    return g_strdup (last->error_text);
  blocks =
      atl_markdown_parse (last->content->str, (gssize) MIN (last->content->len, MAX_TOLD_BYTES));
  words = atl_markdown_to_words (blocks, MAX_TOLD_BYTES);
  note = atl_message_details_note (last);
  return g_strdup_printf ("%s\n%s", note != NULL ? note : _ ("The answer is ready."), words);
}

/* Began or ended while it is shown. */
static void
running_cb (AtlChatPage *self)
{
  gboolean running = atl_conversation_get_is_running (self->conversation);
  g_autofree char *words = running ? g_strdup (_ ("Answering")) : end_words (self);

  refresh_running (self);
  atl_accessible_announce (GTK_WIDGET (self), words);
}

static void
say_error (AtlChatPage *self, const GError *error)
{
  atl_session_emit_error (self->session, error);
}

/* --- Composer --- */

static gboolean
send_cb (AtlComposer *composer, const char *text, const char *attachments, AtlChatPage *self)
{
  g_autoptr (GError) error = NULL;

  if (!atl_conversation_send (self->conversation, text, attachments, &error))
    {
      if (g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND))
        gtk_widget_activate_action (GTK_WIDGET (self), "win.choose-model", NULL);
      say_error (self, error);
      return FALSE;
    }
  atl_chat_view_jump_to_end (ATL_CHAT_VIEW (self->view));
  return TRUE;
}

static void
stop_cb (AtlChatPage *self)
{
  atl_conversation_stop (self->conversation);
}

gboolean
atl_chat_page_stop (AtlChatPage *self)
{
  if (self->conversation == NULL || !atl_conversation_get_is_running (self->conversation))
    return FALSE;
  atl_conversation_stop (self->conversation);
  return TRUE;
}

gboolean
atl_chat_page_shows_lost_answer (AtlChatPage *self)
{
  GListModel *messages = atl_conversation_get_messages (self->conversation);
  guint n = g_list_model_get_n_items (messages);
  g_autoptr (AtlMessageItem) last = n > 0 ? g_list_model_get_item (messages, n - 1) : NULL;

  return last != NULL && last->engine_lost && gtk_widget_get_mapped (self->view);
}

static void
edit_last_cb (AtlChatPage *self)
{
  atl_chat_view_edit_last (ATL_CHAT_VIEW (self->view));
}

static void
draft_cb (AtlComposer *composer, const char *text, AtlChatPage *self)
{
  if (self->conversation != NULL)
    atl_conversation_set_draft (self->conversation, text);
}

static void
notice_cb (GtkWidget *widget, const char *sentence, AtlChatPage *self)
{
  atl_session_emit_notice (self->session, sentence);
}

static void
reload_cb (AtlChatPage *self)
{
  AtlModel *model = atl_session_get_model (self->session);

  if (model != NULL)
    atl_session_load_model (self->session, atl_model_get_paths (model), TRUE);
}

/* --- Actions --- */

static void
say_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  atl_session_emit_notice (ATL_CHAT_PAGE (widget)->session, g_variant_get_string (parameter, NULL));
}

static void
focus_composer_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  gtk_widget_grab_focus (ATL_CHAT_PAGE (widget)->composer);
}

typedef struct
{
  AtlConversation *conversation;
  gint64 message_id;
} DeletedMessage;

static void
free_deleted (gpointer data)
{
  DeletedMessage *deleted = data;
  g_object_unref (deleted->conversation);
  g_free (deleted);
}

static gboolean
restore (gpointer data, GError **error)
{
  DeletedMessage *deleted = data;
  return atl_conversation_restore (deleted->conversation, deleted->message_id, error);
}

static AtlMessageItem *
find_message (AtlChatPage *self, gint64 id)
{
  GListModel *messages = atl_conversation_get_messages (self->conversation);

  for (guint i = 0; i < g_list_model_get_n_items (messages); i++)
    {
      g_autoptr (AtlMessageItem) item = g_list_model_get_item (messages, i);
      if (item->id == id)
        return g_steal_pointer (&item);
    }
  return NULL;
}

static void
delete_message_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlChatPage *self = ATL_CHAT_PAGE (widget);
  g_autoptr (AtlMessageItem) item = find_message (self, g_variant_get_int64 (parameter));
  g_autoptr (GError) error = NULL;
  DeletedMessage *deleted;

  if (item == NULL)
    return;
  if (!atl_conversation_delete (self->conversation, item, &error))
    {
      say_error (self, error);
      return;
    }
  deleted = g_new0 (DeletedMessage, 1);
  deleted->conversation = g_object_ref (self->conversation);
  deleted->message_id = item->id;
  atl_undo_offer (widget, _ ("Message deleted"), restore, deleted, free_deleted);
}

static void
use_prompt_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlChatPage *self = ATL_CHAT_PAGE (widget);

  atl_composer_set_text (ATL_COMPOSER (self->composer), g_variant_get_string (parameter, NULL));
  atl_composer_send (ATL_COMPOSER (self->composer));
  gtk_widget_grab_focus (self->composer);
}

/* In a narrow window the settings lie over the chat: what is below them is not reached then. */
static gboolean
is_covered (AtlChatPage *self)
{
  return adw_flap_get_folded (ADW_FLAP (self->flap)) &&
         adw_flap_get_reveal_flap (ADW_FLAP (self->flap));
}

gboolean
atl_chat_page_take_letter (AtlChatPage *self, GtkEventControllerKey *keys)
{
  return is_covered (self) ? GDK_EVENT_PROPAGATE
                           : atl_composer_take_key (ATL_COMPOSER (self->composer), keys);
}

GtkWidget *
atl_chat_page_get_toasts (AtlChatPage *self)
{
  return is_covered (self) ? NULL : self->toasts;
}

/* --- Opening --- */

static void
set_conversation (AtlChatPage *self, AtlConversation *conversation)
{
  g_autofree char *draft = atl_conversation_get_draft (conversation);

  /* Flushes the old draft while the old conversation still takes it. */
  atl_composer_set_text (ATL_COMPOSER (self->composer), draft);
  atl_composer_set_files (
      ATL_COMPOSER (self->composer),
      atl_session_get_attached_files (self->session, atl_conversation_get_chat_id (conversation)));
  g_set_object (&self->conversation, conversation);
  g_signal_group_set_target (self->signals, conversation);
  g_signal_group_set_target (self->list_signals, atl_conversation_get_messages (conversation));
  atl_chat_view_set_conversation (ATL_CHAT_VIEW (self->view), self->session, conversation);
  atl_context_notice_set_conversation (ATL_CONTEXT_NOTICE (self->context_notice), self->session,
                                       conversation);
  refresh_stack (self);
  refresh_running (self);
  refresh_model (self);
}

void
atl_chat_page_open (AtlChatPage *self, gint64 chat_id, gint64 folder_id)
{
  g_autoptr (AtlConversation) conversation = atl_session_open_conversation (self->session, chat_id);

  if (chat_id == 0)
    atl_conversation_set_folder (conversation, folder_id);
  set_conversation (self, conversation);
}

void
atl_chat_page_show_message (AtlChatPage *self, gint64 message_id)
{
  atl_chat_view_show_message (ATL_CHAT_VIEW (self->view), message_id);
}

AtlConversation *
atl_chat_page_get_conversation (AtlChatPage *self)
{
  return self->conversation;
}

void
atl_chat_page_focus (AtlChatPage *self)
{
  if (is_covered (self))
    adw_flap_set_reveal_flap (ADW_FLAP (self->flap), FALSE);
  gtk_widget_grab_focus (self->composer);
}

void
atl_chat_page_find (AtlChatPage *self)
{
  if (atl_conversation_get_n_messages (self->conversation) > 0)
    atl_chat_view_find (ATL_CHAT_VIEW (self->view));
}

void
atl_chat_page_attach (AtlChatPage *self, GSList *files)
{
  atl_composer_attach_files (ATL_COMPOSER (self->composer), files);
}

void
atl_chat_page_flush (AtlChatPage *self)
{
  g_autofree char *text = atl_composer_get_text (ATL_COMPOSER (self->composer));

  if (self->conversation != NULL)
    atl_conversation_set_draft (self->conversation, text);
}

void
atl_chat_page_set_session (AtlChatPage *self, AtlSession *session)
{
  g_return_if_fail (self->session == NULL);

  self->session = g_object_ref (session);
  atl_welcome_set_session (ATL_WELCOME (self->welcome), session);
  g_signal_connect_object (session, "notify::model", G_CALLBACK (refresh_model), self,
                           G_CONNECT_SWAPPED);
}

/* --- GObject --- */

static void
refresh_cover (AtlChatPage *self)
{
  GtkWidget *content = adw_flap_get_content (ADW_FLAP (self->flap));
  GtkRoot *root = gtk_widget_get_root (content);
  GtkWidget *focus = root != NULL ? gtk_root_get_focus (root) : NULL;
  gboolean had_focus = focus != NULL && gtk_widget_is_ancestor (focus, content);

  gtk_widget_set_can_focus (content, !is_covered (self));
  if (had_focus && is_covered (self))
    gtk_widget_child_focus (self->settings, GTK_DIR_TAB_FORWARD);
}

/* Keys go on where there is something to see. */
static void
refresh_focus (AtlChatPage *self)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  GtkWidget *focus = root != NULL ? gtk_root_get_focus (root) : NULL;

  if (!adw_flap_get_reveal_flap (ADW_FLAP (self->flap)) && focus != NULL &&
      gtk_widget_is_ancestor (focus, self->settings))
    gtk_widget_grab_focus (self->composer);
}

static void
reveal_cb (AtlChatPage *self)
{
  refresh_cover (self);
  refresh_focus (self);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_SHOWS_SETTINGS]);
}

/* What lies over the chat goes by Escape. */
static gboolean
settings_key_cb (
    GtkEventControllerKey *keys, guint keyval, guint code, GdkModifierType state, AtlChatPage *self)
{
  if (keyval != GDK_KEY_Escape || !is_covered (self))
    return GDK_EVENT_PROPAGATE;
  atl_chat_page_focus (self);
  return GDK_EVENT_STOP;
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AtlChatPage *self = ATL_CHAT_PAGE (object);

  if (id == PROP_SHOWS_SETTINGS)
    g_value_set_boolean (value, adw_flap_get_reveal_flap (ADW_FLAP (self->flap)));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  if (id == PROP_SHOWS_SETTINGS)
    adw_flap_set_reveal_flap (ADW_FLAP (ATL_CHAT_PAGE (object)->flap), g_value_get_boolean (value));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
atl_chat_page_dispose (GObject *object)
{
  AtlChatPage *self = ATL_CHAT_PAGE (object);

  g_clear_object (&self->signals);
  g_clear_object (&self->list_signals);
  g_clear_pointer (&self->flap, gtk_widget_unparent);
  g_clear_object (&self->conversation);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_chat_page_parent_class)->dispose (object);
}

static void
atl_chat_page_class_init (AtlChatPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = atl_chat_page_dispose;
  object_class->get_property = get_property;
  object_class->set_property = set_property;
  props[PROP_SHOWS_SETTINGS] = g_param_spec_boolean ("shows-settings", NULL, NULL, FALSE,
                                                     G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);

  g_type_ensure (ATL_TYPE_CHAT_VIEW);
  g_type_ensure (ATL_TYPE_COMPOSER);
  g_type_ensure (ATL_TYPE_CONTEXT_NOTICE);
  g_type_ensure (ATL_TYPE_SETTINGS_PANE);
  g_type_ensure (ATL_TYPE_WELCOME);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/chat-page.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlChatPage, name)
  BIND (flap);
  BIND (toasts);
  BIND (stack);
  BIND (view);
  BIND (welcome);
  BIND (toy_label);
  BIND (context_notice);
  BIND (composer);
  BIND (settings);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, refresh_cover);
  gtk_widget_class_bind_template_callback (widget_class, reveal_cb);
  gtk_widget_class_bind_template_callback (widget_class, settings_key_cb);
  gtk_widget_class_install_action (widget_class, "chat.say", "s", say_action);
  gtk_widget_class_install_action (widget_class, "chat.focus-composer", NULL,
                                   focus_composer_action);
  gtk_widget_class_install_action (widget_class, "chat.delete-message", "x", delete_message_action);
  gtk_widget_class_install_action (widget_class, "chat.use-prompt", "s", use_prompt_action);
}

static void
atl_chat_page_init (AtlChatPage *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  g_signal_connect (self->composer, "send", G_CALLBACK (send_cb), self);
  g_signal_connect_swapped (self->composer, "stop", G_CALLBACK (stop_cb), self);
  g_signal_connect_swapped (self->composer, "edit-last", G_CALLBACK (edit_last_cb), self);
  g_signal_connect (self->composer, "draft", G_CALLBACK (draft_cb), self);
  g_signal_connect (self->settings, "notice", G_CALLBACK (notice_cb), self);
  g_signal_connect_swapped (self->settings, "reload", G_CALLBACK (reload_cb), self);
  self->signals = g_signal_group_new (ATL_TYPE_CONVERSATION);
  g_signal_group_connect_swapped (self->signals, "notify::is-running", G_CALLBACK (running_cb),
                                  self);
  g_signal_group_connect_swapped (self->signals, "notify::context", G_CALLBACK (refresh_context),
                                  self);
  self->list_signals = g_signal_group_new (G_TYPE_LIST_MODEL);
  g_signal_group_connect_swapped (self->list_signals, "items-changed", G_CALLBACK (refresh_stack),
                                  self);
}
