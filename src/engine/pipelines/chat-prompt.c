/* From messages to the ids of a prompt. */
#define G_LOG_DOMAIN "atl-pipelines"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/pipelines/chat-model-private.h"

static gboolean
has_role (JsonArray *messages, guint i, const char *role)
{
  return g_str_equal (atl_json_string (json_array_get_object_element (messages, i), "role", ""),
                      role);
}

/* Every member is an object with a role: templates assume so much. */
static gboolean
check_messages (JsonArray *messages, GError **error)
{
  guint n = json_array_get_length (messages);

  for (guint i = 0; i < n; i++)
    {
      JsonNode *node = json_array_get_element (messages, i);

      if (!JSON_NODE_HOLDS_OBJECT (node) ||
          *atl_json_string (json_node_get_object (node), "role", "") == '\0')
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("messages: member %u is no object with a \"role\""), i);
          return FALSE;
        }
    }
  if (n == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("messages: there is none"));
      return FALSE;
    }
  return TRUE;
}

static JsonArray *
copy_range (JsonArray *messages, guint first, guint end, JsonArray *into)
{
  for (guint i = first; i < end; i++)
    json_array_add_element (into, json_array_dup_element (messages, i));
  return into;
}

/* Behind the system messages that a conversation begins with. */
static guint
first_turn (JsonArray *messages)
{
  guint n = json_array_get_length (messages), start = 0;

  while (start < n &&
         (has_role (messages, start, "system") || has_role (messages, start, "developer")))
    start++;
  return start;
}

guint
atl_chat_prompt_n_older (JsonArray *messages)
{
  guint n = 0;

  for (guint i = first_turn (messages) + 1; i < json_array_get_length (messages); i++)
    n += has_role (messages, i, "user");
  return n;
}

JsonArray *
atl_chat_prompt_drop_oldest (JsonArray *messages, guint n_turns)
{
  guint n = json_array_get_length (messages), start = first_turn (messages), end = start;
  JsonArray *rest;

  /* The turn that goes ends where the next user message begins. */
  for (guint i = 0; i < n_turns; i++)
    do
      end++;
    while (end < n && !has_role (messages, end, "user"));
  g_assert (end < n);
  rest = json_array_sized_new (n);
  copy_range (messages, 0, start, rest);
  return copy_range (messages, end, n, rest);
}

/* What the template is told besides the messages. Each word is one that some template knows. */
static JsonObject *
make_extra (gint thinking)
{
  JsonObject *extra = json_object_new ();

  if (thinking >= 0)
    {
      json_object_set_boolean_member (extra, "enable_thinking", thinking != 0);
      json_object_set_boolean_member (extra, "thinking", thinking != 0);
    }
  return extra;
}

/* The text of the answer that is to go on, behind the prompt that begins it. */
static void
append_beginning (const AtlChatModel *self, GString *prompt, JsonObject *message)
{
  const char *open, *close;
  const char *thought = atl_json_string (message, "thinking", NULL);
  const char *content = atl_json_string (message, "content", "");
  gboolean in_section = FALSE;

  /* In channels a prompt ends before the message's header. */
  if (self->tool_format->style == ATL_CALL_HARMONY)
    {
      if (*content != '\0')
        g_string_append_printf (prompt, "<|channel|>final<|message|>%s", content);
      else
        g_string_append_printf (prompt, "<|channel|>analysis<|message|>%s",
                                atl_json_string (message, "thinking", ""));
      return;
    }
  if (thought == NULL)
    thought = atl_json_string (message, "reasoning_content", "");
  if (atl_chat_template_thinking_tags (self->chat, &open, &close))
    {
      g_autofree char *tail = g_strchomp (g_strdup (prompt->str));

      in_section = g_str_has_suffix (tail, open);
      if (*thought != '\0' && !in_section)
        {
          g_string_append_printf (prompt, "%s\n", open);
          in_section = TRUE;
        }
      g_string_append (prompt, thought);
      if (in_section && *content != '\0')
        g_string_append_printf (prompt, "%s%s\n\n", g_str_has_suffix (thought, "\n") ? "" : "\n",
                                close);
    }
  g_string_append (prompt, content);
}

/* Whether the last opening mark of `prompt` has no closing mark after it. */
static gboolean
ends_thinking (const AtlChatModel *self, const char *prompt)
{
  const char *open, *close, *last;

  if (!atl_chat_template_thinking_tags (self->chat, &open, &close))
    return FALSE;
  last = g_strrstr (prompt, open);
  /* Only at the end, or in an answer that goes on: a person may have typed the mark. */
  return last != NULL && strstr (last, close) == NULL;
}

/* A template that always opens the section (QwQ's, DeepSeek R1's) knows no other way to have none.
 */
static void
end_thinking (const AtlChatModel *self, GString *prompt)
{
  const char *open, *close;

  if (atl_chat_template_thinking_tags (self->chat, &open, &close))
    g_string_append_printf (prompt, "%s%s\n\n", g_str_has_suffix (prompt->str, "\n") ? "" : "\n",
                            close);
}

/* What templates of a few models call the tools and the time. */
static void
add_rare_words (JsonObject *extra, JsonArray *tools, GDateTime *now)
{
  g_autofree char *functions = NULL;
  g_autofree char *datetime = g_date_time_format (now, "%b %d %Y %H:%M:%S");

  if (tools != NULL)
    {
      g_autoptr (JsonNode) node = json_node_new (JSON_NODE_ARRAY);

      json_node_set_array (node, tools);
      functions = atl_json_write (node);
    }
  json_object_set_string_member (extra, "functions", functions != NULL ? functions : "");
  json_object_set_string_member (extra, "datetime", datetime);
}

/* The prompt without the beginning of an answer. */
static char *
render_messages (const AtlChatModel *self,
                 const AtlPromptOptions *options,
                 JsonArray *messages,
                 GError **error)
{
  g_autoptr (JsonObject) extra = make_extra (options->thinking);
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autoptr (AtlToolSet) tools = NULL;
  g_autoptr (JsonArray) adapted = NULL;
  g_autoptr (JsonArray) plain = NULL;
  const AtlChatTemplate *template;
  GError *mistake = NULL;
  JsonArray *list = NULL;
  char *text;

  if (options->tools != NULL && json_array_get_length (options->tools) > 0)
    {
      tools = atl_tool_set_new (options->tools, error);
      if (tools == NULL)
        return NULL;
    }
  template = tools != NULL ? atl_chat_tools_template (self) : self->chat;
  adapted = atl_chat_tools_adapt (self, messages, tools);
  if (tools != NULL && self->names_tools)
    {
      list = atl_tool_set_json (tools);
      /* SmolLM3's word for them. */
      json_object_set_array_member (extra, "xml_tools", json_array_ref (list));
    }
  text = atl_chat_template_render (template, adapted, list, extra, TRUE, now, &mistake);
  if (text != NULL)
    return text;
  /* Some look at what is not there, or not as simple: the constraint still knows. */
  plain = list != NULL ? atl_chat_tools_plain (list) : NULL;
  if (plain != NULL)
    json_object_set_array_member (extra, "xml_tools", json_array_ref (plain));
  add_rare_words (extra, plain, now);
  text = atl_chat_template_render (template, adapted, plain, extra, TRUE, now, NULL);
  if (text == NULL)
    g_propagate_error (error, mistake);
  else
    g_error_free (mistake);
  return text;
}

static char *
render (const AtlChatModel *self,
        const AtlPromptOptions *options,
        gboolean *is_thinking,
        GError **error)
{
  g_autoptr (JsonArray) before = NULL;
  g_autofree char *text = NULL;
  JsonArray *messages = options->messages;
  guint n = json_array_get_length (messages);
  gboolean goes_on = options->continue_last && n > 1 && has_role (messages, n - 1, "assistant");
  GString *prompt;

  if (goes_on)
    messages = before = copy_range (messages, 0, n - 1, json_array_sized_new (n));
  text = render_messages (self, options, messages, error);
  if (text == NULL)
    return NULL;
  *is_thinking = atl_chat_template_caps (self->chat)->thinking_open && ends_thinking (self, text);
  if (!goes_on && !(*is_thinking && options->thinking == 0))
    return g_steal_pointer (&text);
  prompt = g_string_new (text);
  if (!goes_on)
    {
      end_thinking (self, prompt);
      *is_thinking = FALSE;
      return g_string_free (prompt, FALSE);
    }
  append_beginning (self, prompt, json_array_get_object_element (options->messages, n - 1));
  *is_thinking = ends_thinking (self, prompt->str + strlen (text)) ||
                 (*is_thinking && ends_thinking (self, prompt->str));
  return g_string_free (prompt, FALSE);
}

gboolean
atl_chat_prompt_encode (const AtlChatModel *self,
                        const AtlPromptOptions *options,
                        GArray *ids,
                        gboolean *is_thinking,
                        GError **error)
{
  g_autofree char *prompt = NULL;
  const char *bos;
  AtlTokenizeFlags flags = ATL_TOKENIZE_PARSE_SPECIAL;

  *is_thinking = FALSE;
  if (options->messages == NULL)
    return atl_tokenizer_encode (self->tokenizer, options->text, -1,
                                 ATL_TOKENIZE_ADD_SPECIAL | ATL_TOKENIZE_PARSE_SPECIAL, ids, error);
  if (!check_messages (options->messages, error))
    return FALSE;
  prompt = render (self, options, is_thinking, error);
  if (prompt == NULL)
    return FALSE;
  /* Many templates print the begin token themselves: it must not come twice. */
  bos = atl_tokenizer_token_text (self->tokenizer,
                                  atl_tokenizer_special (self->tokenizer, ATL_SPECIAL_BOS));
  if (atl_tokenizer_add_bos (self->tokenizer) && (bos == NULL || !g_str_has_prefix (prompt, bos)))
    {
      gint32 id = atl_tokenizer_special (self->tokenizer, ATL_SPECIAL_BOS);

      if (id >= 0)
        g_array_append_val (ids, id);
    }
  return atl_tokenizer_encode (self->tokenizer, prompt, -1, flags, ids, error);
}
