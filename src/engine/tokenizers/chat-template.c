/* Chat templates: rendering, and what is known of one. */
#define G_LOG_DOMAIN "atl-chat"

#include "engine/tokenizers/chat-template-private.h"

#include <string.h>

#include "engine/tokenizers/chat-template-known.h"

/* --- Rendering --- */

char *
atl_chat_render (const AtlChatTemplate *self,
                 JsonArray *messages,
                 JsonArray *tools,
                 JsonObject *extra,
                 gboolean add_generation_prompt,
                 GDateTime *now,
                 const AtlJinjaLimits *limits,
                 GError **error)
{
  g_autoptr (JsonObject) context =
      extra != NULL ? atl_chat_copy_object (extra) : json_object_new ();

  if (!json_object_has_member (context, "messages"))
    json_object_set_array_member (context, "messages", json_array_ref (messages));
  if (!json_object_has_member (context, "tools"))
    {
      if (tools != NULL && json_array_get_length (tools) > 0)
        json_object_set_array_member (context, "tools", json_array_ref (tools));
      else if (!self->tools_undefined)
        json_object_set_null_member (context, "tools");
    }
  if (!json_object_has_member (context, "add_generation_prompt"))
    json_object_set_boolean_member (context, "add_generation_prompt", add_generation_prompt);
  if (!json_object_has_member (context, "bos_token"))
    json_object_set_string_member (context, "bos_token", self->bos_token);
  if (!json_object_has_member (context, "eos_token"))
    json_object_set_string_member (context, "eos_token", self->eos_token);
  atl_chat_switch_thinking (self, context);
  return atl_jinja_render (self->jinja, context, limits, now, error);
}

char *
atl_chat_template_render (const AtlChatTemplate *self,
                          JsonArray *messages,
                          JsonArray *tools,
                          JsonObject *extra,
                          gboolean add_generation_prompt,
                          GDateTime *now,
                          GError **error)
{
  g_autoptr (JsonArray) adapted = NULL;
  g_autoptr (GDateTime) local = NULL;

  g_return_val_if_fail (self != NULL && messages != NULL, NULL);
  adapted = atl_chat_adapt (self, messages, error);
  if (adapted == NULL)
    return NULL;
  if (now == NULL)
    now = local = g_date_time_new_now_local ();
  return atl_chat_render (self, adapted, tools, extra, add_generation_prompt, now, NULL, error);
}

/* --- Life --- */

AtlChatTemplate *
atl_chat_template_new (const char *source,
                       const char *bos_token,
                       const char *eos_token,
                       GError **error)
{
  static const AtlJinjaOptions options = { .trim_blocks = TRUE, .lstrip_blocks = TRUE };
  AtlChatTemplate *self;
  AtlJinja *jinja;

  if (source == NULL)
    source = atl_chat_known_by_tokens (bos_token, eos_token);
  else if (atl_chat_known_by_name (source) != NULL)
    source = atl_chat_known_by_name (source);
  jinja = atl_jinja_parse (source, -1, &options, error);
  if (jinja == NULL)
    return NULL;

  self = g_new0 (AtlChatTemplate, 1);
  self->jinja = jinja;
  self->word = -1;
  self->bos_token = g_strdup (bos_token != NULL ? bos_token : "");
  self->eos_token = g_strdup (eos_token != NULL ? eos_token : "");
  atl_chat_probe (self, source);
  return self;
}

void
atl_chat_template_free (AtlChatTemplate *self)
{
  if (self == NULL)
    return;
  atl_jinja_free (self->jinja);
  g_free (self->bos_token);
  g_free (self->eos_token);
  g_free (self);
}

const AtlChatCaps *
atl_chat_template_caps (const AtlChatTemplate *self)
{
  g_return_val_if_fail (self != NULL, NULL);
  return &self->caps;
}

gboolean
atl_chat_template_thinking_tags (const AtlChatTemplate *self, const char **open, const char **close)
{
  g_return_val_if_fail (self != NULL, FALSE);
  *open = self->think_open;
  *close = self->think_close;
  return *open != NULL;
}

gboolean
atl_chat_template_answer_tags (const AtlChatTemplate *self, const char **open, const char **close)
{
  *open = self->answer_open;
  *close = self->answer_close;
  return *open != NULL;
}

gboolean
atl_chat_template_prompt_is_thinking (const AtlChatTemplate *self, const char *prompt)
{
  g_autofree char *open = NULL;
  gsize end, n;

  g_return_val_if_fail (self != NULL && prompt != NULL, FALSE);
  if (self->think_open == NULL)
    return FALSE;
  open = g_strchomp (g_strdup (self->think_open));
  n = strlen (open);
  end = strlen (prompt);
  while (end > 0 && g_ascii_isspace (prompt[end - 1]))
    end--;
  return end >= n && memcmp (prompt + end - n, open, n) == 0;
}
