/* The messages and title of one chat. */
#define G_LOG_DOMAIN "atl-app"

#include "app/chat/conversation-private.h"

#include <glib/gi18n.h>

#include "base/json-bounded.h"
#include "app/words.h"
#include "store/trash.h"

G_DEFINE_FINAL_TYPE (AtlConversation, atl_conversation, G_TYPE_OBJECT)

enum
{
  PROP_TITLE = 1,
  PROP_IS_RUNNING,
  PROP_HAS_EARLIER,
  PROP_CONTEXT,
  N_PROPS
};

static GParamSpec *props[N_PROPS];
static guint answered_signal;
static guint replacing_signal;

static void
notify (AtlConversation *self, guint prop)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[prop]);
}

void
atl_conversation_notify_running (AtlConversation *self)
{
  atl_session_conversation_changed (self->session, self);
  notify (self, PROP_IS_RUNNING);
  atl_session_emit_chats_changed (self->session);
}

void
atl_conversation_notify_context (AtlConversation *self)
{
  notify (self, PROP_CONTEXT);
}

void
atl_conversation_notify_title (AtlConversation *self)
{
  notify (self, PROP_TITLE);
}

void
atl_conversation_emit_answered (AtlConversation *self, AtlMessageItem *answer)
{
  g_signal_emit (self, answered_signal, 0, answer);
  atl_session_emit_answered (self->session, self);
}

AtlMessageItem *
atl_conversation_find (AtlConversation *self, gint64 id)
{
  for (guint i = self->path->len; i-- > 0;)
    {
      AtlMessageItem *item = g_ptr_array_index (self->path, i);
      if (item->id == id)
        return item;
    }
  return NULL;
}

/* --- The list --- */

static guint
n_shown (AtlConversation *self)
{
  return g_list_model_get_n_items (G_LIST_MODEL (self->shown));
}

/* Shows the last `count` messages of the path, touching as few rows as possible: rows that stay
 * keep their place and their widgets. */
static void
show_tail (AtlConversation *self, guint count)
{
  guint n_path = self->path->len;
  guint first = n_path - MIN (count, n_path);
  GListModel *list = G_LIST_MODEL (self->shown);
  guint n_old = n_shown (self);
  guint keep = 0;
  gboolean had_earlier = n_old < n_path;

  while (keep < n_old && first + keep < n_path)
    {
      g_autoptr (AtlMessageItem) old = g_list_model_get_item (list, keep);
      if (old != g_ptr_array_index (self->path, first + keep))
        break;
      keep++;
    }
  if (keep == 0 && n_old > 0)
    g_signal_emit (self, replacing_signal, 0);
  g_list_store_splice (self->shown, keep, n_old - keep,
                       self->path->pdata ? self->path->pdata + first + keep : NULL,
                       n_path - first - keep);
  for (guint i = 0; i < n_path; i++)
    atl_message_item_set_is_last (g_ptr_array_index (self->path, i), i + 1 == n_path);
  if (had_earlier != (n_shown (self) < n_path) || first > 0)
    notify (self, PROP_HAS_EARLIER);
}

static void
append_item (AtlConversation *self, AtlMessageItem *item)
{
  if (self->path->len > 0)
    atl_message_item_set_is_last (g_ptr_array_index (self->path, self->path->len - 1), FALSE);
  item->is_last = TRUE;
  g_ptr_array_add (self->path, g_object_ref (item));
  g_list_store_append (self->shown, item);
}

void
atl_conversation_reload (AtlConversation *self)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) rows = NULL;
  g_autoptr (GPtrArray) old = g_ptr_array_ref (self->path);
  guint first_shown = self->path->len - n_shown (self);
  guint keep_first = self->path->len == 0 ? G_MAXUINT : first_shown;

  if (self->chat == NULL)
    return;
  rows = atl_store_message_list (atl_session_get_store (self->session), self->chat->id, &error);
  if (rows == NULL)
    {
      atl_session_emit_error (self->session, error);
      return;
    }
  GPtrArray *path = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < rows->len; i++)
    {
      const AtlMessage *row = g_ptr_array_index (rows, i);
      AtlMessageItem *item = i < old->len ? g_ptr_array_index (old, i) : NULL;
      if (item != NULL && item->id == row->id)
        {
          g_object_ref (item);
          if (item != self->answer)
            atl_message_item_update (item, row);
        }
      else
        item = self->answer != NULL && self->answer->id == row->id ? g_object_ref (self->answer)
                                                                   : atl_message_item_new (row);
      g_ptr_array_add (path, item);
    }
  g_ptr_array_unref (self->path);
  self->path = path;
  show_tail (self, keep_first == G_MAXUINT ? ATL_CONVERSATION_PAGE
                                           : MAX (path->len - MIN (keep_first, path->len),
                                                  (guint) ATL_CONVERSATION_PAGE));
  notify (self, PROP_CONTEXT);
}

gboolean
atl_conversation_get_has_earlier (AtlConversation *self)
{
  return n_shown (self) < self->path->len;
}

/* Puts older messages in front, so that the rows that are there stay. */
static void
prepend_earlier (AtlConversation *self, guint count)
{
  guint hidden = self->path->len - n_shown (self);

  count = MIN (count, hidden);
  if (count == 0)
    return;
  g_list_store_splice (self->shown, 0, 0, self->path->pdata + hidden - count, count);
  notify (self, PROP_HAS_EARLIER);
}

void
atl_conversation_show_earlier (AtlConversation *self)
{
  prepend_earlier (self, ATL_CONVERSATION_PAGE);
}

int
atl_conversation_show_message (AtlConversation *self, gint64 message_id)
{
  if (atl_conversation_find (self, message_id) == NULL)
    {
      if (!atl_store_branch_show (atl_session_get_store (self->session), message_id, NULL))
        return -1;
      atl_conversation_reload (self);
    }
  for (guint i = 0; i < self->path->len; i++)
    {
      AtlMessageItem *item = g_ptr_array_index (self->path, i);
      guint hidden = self->path->len - n_shown (self);
      if (item->id != message_id)
        continue;
      if (i < hidden)
        prepend_earlier (self, hidden - i + 4);
      return (int) (i - (self->path->len - n_shown (self)));
    }
  return -1;
}

/* --- Saving --- */

/* Where the disk is full after the row was made, the row stays for the next try. */
static gboolean
ensure_chat (AtlConversation *self, GError **error)
{
  AtlStore *store = atl_session_get_store (self->session);
  gint64 id;

  if (self->chat != NULL)
    return TRUE;
  id = atl_store_chat_add (store, self->folder_id, error);
  self->chat = id ? atl_store_chat_get (store, id, error) : NULL;
  if (self->chat == NULL)
    return FALSE;
  self->chat->system_prompt = g_strdup (*self->system_prompt ? self->system_prompt : NULL);
  self->chat->settings_json = atl_conversation_settings_to_json (self);
  self->chat->draft = atl_store_setting_get (store, ATL_NEW_CHAT_DRAFT, NULL);
  atl_session_hand_over_files (self->session, id);
  atl_session_conversation_changed (self->session, self);
  return atl_store_chat_update (store, self->chat,
                                ATL_CHAT_SYSTEM_PROMPT | ATL_CHAT_SETTINGS | ATL_CHAT_DRAFT,
                                error) &&
         atl_store_setting_set (store, ATL_NEW_CHAT_DRAFT, NULL, error);
}

gboolean
atl_conversation_begin_turn (AtlConversation *self,
                             gint64 parent_id,
                             const char *text,
                             const char *attachments_json,
                             const char *model_name,
                             GError **error)
{
  AtlStore *store = atl_session_get_store (self->session);
  gint64 asked = 0, answer = 0;
  gboolean at_end;

  if (self->answer != NULL)
    {
      g_set_error_literal (error, ATL_ERROR, ATL_ERROR_BUSY,
                           _ ("An answer is still being written. Stop it first."));
      return FALSE;
    }
  if (!ensure_chat (self, error) ||
      !atl_store_turn_begin (store, self->chat->id, parent_id, text, attachments_json, model_name,
                             &asked, &answer, error))
    return FALSE;
  atl_session_saved (self->session);
  at_end = self->path->len == 0
               ? parent_id == 0
               : ((AtlMessageItem *) g_ptr_array_index (self->path, self->path->len - 1))->id ==
                     parent_id;
  if (at_end)
    {
      g_autoptr (AtlMessage) a = atl_store_message_get (store, asked, NULL);
      g_autoptr (AtlMessage) b = atl_store_message_get (store, answer, NULL);
      if (a != NULL && b != NULL)
        {
          g_autoptr (AtlMessageItem) question = atl_message_item_new (a);
          g_autoptr (AtlMessageItem) reply = atl_message_item_new (b);
          append_item (self, question);
          append_item (self, reply);
        }
    }
  else
    atl_conversation_reload (self);
  self->answer = g_object_ref (atl_conversation_find (self, answer));
  atl_conversation_notify_running (self);
  return TRUE;
}

gboolean
atl_conversation_step_branch (AtlConversation *self,
                              AtlMessageItem *message,
                              int step,
                              GError **error)
{
  if (atl_store_branch_step (atl_session_get_store (self->session), message->id, step, error) == 0)
    return FALSE;
  atl_conversation_reload (self);
  return TRUE;
}

gboolean
atl_conversation_delete (AtlConversation *self, AtlMessageItem *message, GError **error)
{
  if (self->answer != NULL)
    atl_conversation_stop (self);
  if (!atl_store_trash (atl_session_get_store (self->session), ATL_TRASH_MESSAGE, message->id,
                        error))
    return FALSE;
  atl_conversation_reload (self);
  return TRUE;
}

gboolean
atl_conversation_restore (AtlConversation *self, gint64 message_id, GError **error)
{
  if (!atl_store_restore (atl_session_get_store (self->session), ATL_TRASH_MESSAGE, message_id,
                          error))
    return FALSE;
  atl_conversation_reload (self);
  return TRUE;
}

gboolean
atl_conversation_rename (AtlConversation *self, const char *title, GError **error)
{
  if (!ensure_chat (self, error))
    return FALSE;
  atl_set_string (&self->chat->title, title);
  self->chat->auto_title = FALSE;
  if (!atl_store_chat_update (atl_session_get_store (self->session), self->chat, ATL_CHAT_TITLE,
                              error))
    return FALSE;
  atl_set_string (&self->title, title);
  notify (self, PROP_TITLE);
  atl_session_emit_chats_changed (self->session);
  return TRUE;
}

/* --- GObject --- */

static void
atl_conversation_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AtlConversation *self = ATL_CONVERSATION (object);
  guint used, total;

  switch (id)
    {
    case PROP_TITLE:
      g_value_set_string (value, self->title);
      break;
    case PROP_IS_RUNNING:
      g_value_set_boolean (value, self->answer != NULL);
      break;
    case PROP_HAS_EARLIER:
      g_value_set_boolean (value, atl_conversation_get_has_earlier (self));
      break;
    case PROP_CONTEXT:
      atl_conversation_get_context (self, &used, &total);
      g_value_set_uint (value, used);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
atl_conversation_dispose (GObject *object)
{
  AtlConversation *self = ATL_CONVERSATION (object);

  g_clear_handle_id (&self->checkpoint_source, g_source_remove);
  if (self->session != NULL)
    atl_conversation_wait_end (self);
  if (self->job != NULL)
    g_signal_handlers_disconnect_by_data (self->job, self);
  g_clear_object (&self->job);
  g_clear_object (&self->answer);
  if (self->titling != NULL)
    g_cancellable_cancel (self->titling);
  g_clear_object (&self->titling);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_conversation_parent_class)->dispose (object);
}

static void
atl_conversation_finalize (GObject *object)
{
  AtlConversation *self = ATL_CONVERSATION (object);

  g_ptr_array_unref (self->path);
  g_object_unref (self->shown);
  g_clear_pointer (&self->chat, atl_chat_free);
  json_object_unref (self->settings);
  g_free (self->title);
  g_free (self->system_prompt);
  G_OBJECT_CLASS (atl_conversation_parent_class)->finalize (object);
}

static void
atl_conversation_class_init (AtlConversationClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = atl_conversation_get_property;
  object_class->dispose = atl_conversation_dispose;
  object_class->finalize = atl_conversation_finalize;
  props[PROP_TITLE] = g_param_spec_string ("title", NULL, NULL, NULL, flags);
  props[PROP_IS_RUNNING] = g_param_spec_boolean ("is-running", NULL, NULL, FALSE, flags);
  props[PROP_HAS_EARLIER] = g_param_spec_boolean ("has-earlier", NULL, NULL, FALSE, flags);
  props[PROP_CONTEXT] = g_param_spec_uint ("context", NULL, NULL, 0, G_MAXUINT, 0, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
  answered_signal = g_signal_new ("answered", ATL_TYPE_CONVERSATION, G_SIGNAL_RUN_LAST, 0, NULL,
                                  NULL, NULL, G_TYPE_NONE, 1, ATL_TYPE_MESSAGE_ITEM);
  replacing_signal = g_signal_new ("replacing", ATL_TYPE_CONVERSATION, G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 0);
}

static void
atl_conversation_init (AtlConversation *self)
{
  self->path = g_ptr_array_new_with_free_func (g_object_unref);
  self->shown = g_list_store_new (ATL_TYPE_MESSAGE_ITEM);
  self->settings = json_object_new ();
  self->title = g_strdup ("");
  self->system_prompt = g_strdup ("");
}

static void
read_chat (AtlConversation *self)
{
  g_autoptr (JsonNode) node = NULL;
  const char *json = self->chat->settings_json;

  atl_set_string (&self->title, self->chat->title);
  atl_set_string (&self->system_prompt, self->chat->system_prompt ? self->chat->system_prompt : "");
  node = json ? atl_json_parse (json, strlen (json), "settings", NULL) : NULL;
  if (node != NULL && JSON_NODE_HOLDS_OBJECT (node))
    {
      json_object_unref (self->settings);
      self->settings = json_node_dup_object (node);
    }
  self->folder_id = self->chat->folder_id;
}

/* What helps an answer that failed depends on the model. */
static void
model_cb (AtlConversation *self)
{
  for (guint i = 0; i < self->path->len; i++)
    {
      AtlMessageItem *item = g_ptr_array_index (self->path, i);

      if (item->is_too_long)
        atl_message_item_changed (item);
    }
}

AtlConversation *
atl_conversation_new (AtlSession *session, gint64 chat_id)
{
  AtlConversation *self = g_object_new (ATL_TYPE_CONVERSATION, NULL);

  self->session = g_object_ref (session);
  g_signal_connect_object (session, "notify::model", G_CALLBACK (model_cb), self,
                           G_CONNECT_SWAPPED);
  if (chat_id != 0)
    self->chat = atl_store_chat_get (atl_session_get_store (session), chat_id, NULL);
  if (self->chat != NULL)
    {
      read_chat (self);
      atl_conversation_reload (self);
    }
  return self;
}

gint64
atl_conversation_get_chat_id (AtlConversation *self)
{
  return self->chat ? self->chat->id : 0;
}

const char *
atl_conversation_get_title (AtlConversation *self)
{
  return self->title;
}

gboolean
atl_conversation_get_is_running (AtlConversation *self)
{
  return self->answer != NULL;
}

GListModel *
atl_conversation_get_messages (AtlConversation *self)
{
  return G_LIST_MODEL (self->shown);
}

guint
atl_conversation_get_n_messages (AtlConversation *self)
{
  return self->path->len;
}

void
atl_conversation_set_folder (AtlConversation *self, gint64 folder_id)
{
  self->folder_id = folder_id;
}
