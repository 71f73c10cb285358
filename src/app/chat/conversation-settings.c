/* The draft, the settings and the instructions of a chat, and what follows from them for an answer.
 */
#define G_LOG_DOMAIN "atl-app"

#include "app/chat/conversation-private.h"

#include "app/chat/load-params.h"
#include "app/recommended.h"
#include "app/words.h"
#include "base/json-bounded.h"

static void
save_or_say (AtlConversation *self, AtlChatFields fields)
{
  g_autoptr (GError) error = NULL;

  if (self->chat == NULL)
    return;
  if (atl_store_chat_update (atl_session_get_store (self->session), self->chat, fields, &error))
    atl_session_saved (self->session);
  else
    atl_session_emit_error (self->session, error);
}

char *
atl_conversation_settings_to_json (AtlConversation *self)
{
  g_autoptr (JsonNode) node = json_node_alloc ();
  json_node_init_object (node, self->settings);
  return json_to_string (node, FALSE);
}

char *
atl_conversation_get_draft (AtlConversation *self)
{
  char *draft = NULL;

  if (self->chat == NULL)
    draft = atl_store_setting_get (atl_session_get_store (self->session), ATL_NEW_CHAT_DRAFT, NULL);
  else
    draft = g_strdup (self->chat->draft);
  return draft ? draft : g_strdup ("");
}

void
atl_conversation_set_draft (AtlConversation *self, const char *text)
{
  const char *value = text && *text ? text : NULL;

  if (self->chat == NULL)
    {
      g_autoptr (GError) error = NULL;

      if (!atl_store_setting_set (atl_session_get_store (self->session), ATL_NEW_CHAT_DRAFT, value,
                                  &error))
        atl_session_emit_error (self->session, error);
      return;
    }
  if (g_strcmp0 (self->chat->draft, value) == 0)
    return;
  g_free (self->chat->draft);
  self->chat->draft = g_strdup (value);
  save_or_say (self, ATL_CHAT_DRAFT);
}

JsonObject *
atl_conversation_get_settings (AtlConversation *self)
{
  return self->settings;
}

void
atl_conversation_save_settings (AtlConversation *self)
{
  /* Whether a full context matters is one of them. */
  atl_conversation_notify_context (self);
  if (self->chat == NULL)
    return;
  g_free (self->chat->settings_json);
  self->chat->settings_json = atl_conversation_settings_to_json (self);
  save_or_say (self, ATL_CHAT_SETTINGS);
}

void
atl_conversation_replace_settings (AtlConversation *self, JsonObject *settings)
{
  JsonObject *old = self->settings;

  self->settings = json_object_ref (settings);
  json_object_unref (old);
  atl_conversation_save_settings (self);
}

const char *
atl_conversation_get_system_prompt (AtlConversation *self)
{
  return self->system_prompt;
}

void
atl_conversation_set_system_prompt (AtlConversation *self, const char *text)
{
  if (g_strcmp0 (self->system_prompt, text) == 0)
    return;
  g_free (self->system_prompt);
  self->system_prompt = g_strdup (text ? text : "");
  if (self->chat == NULL)
    return;
  g_free (self->chat->system_prompt);
  self->chat->system_prompt = g_strdup (*self->system_prompt ? self->system_prompt : NULL);
  save_or_say (self, ATL_CHAT_SYSTEM_PROMPT);
}

void
atl_conversation_get_params (AtlConversation *self, AtlChatParams *params)
{
  AtlModel *model = atl_session_get_model (self->session);
  g_autofree char *json = atl_conversation_settings_to_json (self);
  g_autoptr (GError) error = NULL;

  if (model != NULL)
    atl_chat_params_apply (params, atl_recommended (model), NULL);
  /* A value out of range comes from a damaged row or a foreign preset: the rest still counts. */
  if (!atl_chat_params_apply_json (params, json, &error))
    g_debug ("settings of the chat: %s", error->message);
}

void
atl_conversation_get_context (AtlConversation *self, guint *n_used, guint *n_total)
{
  AtlModel *model = atl_session_get_model (self->session);

  *n_used = 0;
  *n_total = model ? atl_model_get_info (model)->n_ctx : 0;
  for (guint i = self->path->len; i-- > 0 && *n_used == 0;)
    {
      const AtlMessageItem *item = g_ptr_array_index (self->path, i);

      if (*n_total == 0)
        *n_total = item->stats.context_size;
      *n_used = item->stats.context_used;
    }
}

gboolean
atl_conversation_is_refused (AtlConversation *self, const AtlMessageItem *answer)
{
  guint used, total;

  if (!answer->is_too_long || answer->state != ATL_MESSAGE_ERROR)
    return FALSE;
  atl_conversation_get_context (self, &used, &total);
  return answer->stats.context_size == 0 || total <= answer->stats.context_size;
}

guint
atl_conversation_get_n_ctx (AtlConversation *self)
{
  return (guint) CLAMP (atl_json_int (self->settings, ATL_LOAD_PARAM_N_CTX, 0), 0,
                        ATL_LOAD_MAX_N_CTX);
}

/* Each step is a long one, since every step loads the model once. */
#define CONTEXT_STEP 4

guint
atl_conversation_get_longer_context (AtlConversation *self)
{
  AtlModel *model = atl_session_get_model (self->session);
  const AtlModelInfo *info = model != NULL ? atl_model_get_info (model) : NULL;

  if (info == NULL || info->n_ctx >= info->n_ctx_train)
    return 0;
  return info->n_ctx > info->n_ctx_train / CONTEXT_STEP ? info->n_ctx_train
                                                        : info->n_ctx * CONTEXT_STEP;
}

void
atl_conversation_use_longer_context (AtlConversation *self)
{
  guint n_ctx = atl_conversation_get_longer_context (self);

  if (n_ctx == 0)
    return;
  json_object_set_int_member (self->settings, ATL_LOAD_PARAM_N_CTX, n_ctx);
  atl_conversation_save_settings (self);
  atl_session_set_n_ctx (self->session, n_ctx);
  atl_session_load_model (self->session,
                          atl_model_get_paths (atl_session_get_model (self->session)), TRUE);
}
