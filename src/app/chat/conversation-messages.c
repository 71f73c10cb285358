/* A conversation as the engine takes it: roles, texts, calls of tools and what the tools said.
 *
 * Many templates refuse a conversation in which two questions follow each other, which they do here
 * when an answer was stopped before its first word: such questions go as one. */
#define G_LOG_DOMAIN "atl-app"

#include <string.h>

#include "app/chat/conversation-private.h"
#include "app/chat/tool-card.h"
#include "base/json-bounded.h"

static JsonObject *
add_message (JsonArray *messages, const char *role, const char *content)
{
  JsonObject *message = json_object_new ();

  json_object_set_string_member (message, "role", role);
  json_object_set_string_member (message, "content", content);
  json_array_add_object_element (messages, message);
  return message;
}

static char *
to_text (JsonArray *messages)
{
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_ARRAY);

  json_node_set_array (root, messages);
  return json_to_string (root, FALSE);
}

static JsonObject *
last_message (JsonArray *messages)
{
  const guint n = json_array_get_length (messages);

  return n > 0 ? json_array_get_object_element (messages, n - 1) : NULL;
}

char *
atl_conversation_text_for_model (const AtlMessageItem *item)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < item->attachments->len; i++)
    {
      const AtlAttachment *file = g_ptr_array_index (item->attachments, i);
      const char *fence = strstr (file->text, "```") ? "~~~~~~" : "```";
      g_string_append_printf (text, "File %s:\n%s\n%s\n%s\n\n", file->name, fence, file->text,
                              fence);
    }
  g_string_append (text, item->content->str);
  return g_strdup (text->str);
}

char *
atl_conversation_one_message (const char *content)
{
  g_autoptr (JsonArray) messages = json_array_new ();

  add_message (messages, "user", content);
  return to_text (messages);
}

/* A reply to several calls that is a JSON list of as many results; else NULL. */
static JsonNode *
results_of_each (JsonArray *calls, const char *content)
{
  const guint n = json_array_get_length (calls);
  g_autoptr (JsonNode) node =
      n > 1 && *content == '[' ? atl_json_parse (content, strlen (content), "results", NULL) : NULL;

  if (node == NULL || !JSON_NODE_HOLDS_ARRAY (node) ||
      json_array_get_length (json_node_get_array (node)) != n)
    return NULL;
  return g_steal_pointer (&node);
}

static char *
result_text (JsonNode *result)
{
  if (JSON_NODE_HOLDS_VALUE (result) && json_node_get_value_type (result) == G_TYPE_STRING)
    return g_strdup (json_node_get_string (result));
  return json_to_string (result, FALSE);
}

/* What a person replied to calls is what the tools said: all of it is the result of each, unless it
 * is a list of one for each. */
static void
add_results (JsonArray *messages, JsonArray *calls, const char *content)
{
  g_autoptr (JsonNode) each = results_of_each (calls, content);

  for (guint i = 0; i < json_array_get_length (calls); i++)
    {
      JsonObject *call = json_array_get_object_element (calls, i);
      g_autofree char *own =
          each != NULL ? result_text (json_array_get_element (json_node_get_array (each), i))
                       : NULL;
      JsonObject *result = add_message (messages, "tool", own != NULL ? own : content);

      json_object_set_string_member (result, "tool_call_id", atl_json_string (call, "id", ""));
      json_object_set_string_member (
          result, "name", atl_json_string (atl_json_object (call, "function"), "name", ""));
    }
}

static void
add_question (JsonArray *messages, const char *content)
{
  JsonObject *before = last_message (messages);
  const char *role = before != NULL ? atl_json_string (before, "role", "") : "";
  JsonArray *calls = before != NULL ? atl_json_array (before, "tool_calls") : NULL;

  if (calls != NULL)
    add_results (messages, calls, content);
  else if (g_str_equal (role, "user") || g_str_equal (role, "tool"))
    {
      g_autofree char *joined =
          g_strconcat (atl_json_string (before, "content", ""), "\n\n", content, NULL);

      json_object_set_string_member (before, "content", joined);
    }
  else
    add_message (messages, "user", content);
}

/* Calls are told as calls when there is a reply to them: many templates refuse others. */
static void
add_answer (JsonArray *messages, const char *content, gboolean has_reply)
{
  g_autofree char *rest = NULL;
  g_autoptr (JsonArray) calls = has_reply ? atl_tool_card_calls (content, &rest) : NULL;

  if (*content == '\0')
    return;
  if (calls != NULL)
    json_object_set_array_member (add_message (messages, "assistant", rest), "tool_calls",
                                  g_steal_pointer (&calls));
  else
    add_message (messages, "assistant", content);
}

/* The answer that goes on: its thoughts are a part of what the model wrote, and may be all of it.
 */
static void
add_beginning (JsonArray *messages, const AtlMessageItem *item)
{
  JsonObject *message = add_message (messages, "assistant", item->content->str);

  if (item->thinking->len > 0)
    json_object_set_string_member (message, "thinking", item->thinking->str);
}

char *
atl_conversation_to_messages (AtlConversation *self, AtlMessageItem *last)
{
  g_autoptr (JsonArray) messages = json_array_new ();

  if (self->system_prompt[0] != '\0')
    add_message (messages, "system", self->system_prompt);
  for (guint i = 0; i < self->path->len; i++)
    {
      AtlMessageItem *item = g_ptr_array_index (self->path, i);
      AtlMessageItem *next = i + 1 < self->path->len ? g_ptr_array_index (self->path, i + 1) : NULL;
      g_autofree char *content = atl_conversation_text_for_model (item);

      if (item->role == ATL_ROLE_ASSISTANT && item == last)
        add_beginning (messages, item);
      else if (item->role == ATL_ROLE_ASSISTANT)
        add_answer (messages, content, next != NULL && next->role == ATL_ROLE_USER);
      else if (item->role == ATL_ROLE_USER)
        add_question (messages, content);
      else
        add_message (messages, atl_role_name (item->role), content);
      if (item == last)
        break;
    }
  return to_text (messages);
}
