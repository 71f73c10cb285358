/* A conversation in the form that a template wants: contents as text or parts, calls, the system
 * message where there is no such role. */
#define G_LOG_DOMAIN "atl-chat"

#include "engine/tokenizers/chat-template-private.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"

/* --- Building messages --- */

static JsonObject *
new_message (const char *role, const char *content)
{
  JsonObject *message = json_object_new ();

  json_object_set_string_member (message, "role", role);
  json_object_set_string_member (message, "content", content);
  return message;
}

static JsonArray *
parts_of (const char *text)
{
  JsonArray *parts = json_array_new ();
  JsonObject *part = json_object_new ();

  json_object_set_string_member (part, "type", "text");
  json_object_set_string_member (part, "text", text);
  json_array_add_object_element (parts, part);
  return parts;
}

JsonObject *
atl_chat_copy_object (JsonObject *object)
{
  JsonObject *copy = json_object_new ();
  JsonObjectIter iter;
  const char *name;
  JsonNode *member;

  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &name, &member))
    json_object_set_member (copy, name, json_node_copy (member));
  return copy;
}

/* --- Adapting a conversation --- */

/* The text of a content: a string, or the text parts of a list joined. */
static char *
content_text (JsonNode *content)
{
  GString *text;
  JsonArray *parts;

  if (content != NULL && JSON_NODE_HOLDS_VALUE (content))
    return g_strdup (json_node_get_string (content) != NULL ? json_node_get_string (content) : "");
  text = g_string_new (NULL);
  parts = content != NULL && JSON_NODE_HOLDS_ARRAY (content) ? json_node_get_array (content) : NULL;
  for (guint i = 0; parts != NULL && i < json_array_get_length (parts); i++)
    {
      JsonNode *part = json_array_get_element (parts, i);
      JsonObject *object = JSON_NODE_HOLDS_OBJECT (part) ? json_node_get_object (part) : NULL;

      if (object != NULL && json_object_has_member (object, "text"))
        {
          const char *piece = json_object_get_string_member_with_default (object, "text", "");

          g_string_append (text, piece != NULL ? piece : "");
        }
    }
  return g_string_free (text, FALSE);
}

static void
adapt_content (const AtlChatTemplate *self, JsonObject *message)
{
  JsonNode *content = json_object_get_member (message, "content");
  gboolean is_list = content != NULL && JSON_NODE_HOLDS_ARRAY (content);

  if (self->null_content && json_object_has_member (message, "tool_calls"))
    {
      g_autofree char *text = content_text (content);

      if (*text == '\0')
        {
          json_object_set_null_member (message, "content");
          return;
        }
    }
  if (is_list && self->accepts_parts)
    return;
  if (is_list || content == NULL || JSON_NODE_HOLDS_NULL (content))
    {
      g_autofree char *text = content_text (content);

      json_object_set_string_member (message, "content", text);
      content = json_object_get_member (message, "content");
    }
  if (self->caps.typed_content && JSON_NODE_HOLDS_VALUE (content))
    {
      g_autofree char *text = content_text (content);

      json_object_set_array_member (message, "content", parts_of (text));
    }
}

static JsonObject *
adapt_function (const AtlChatTemplate *self, JsonObject *source)
{
  JsonObject *function = atl_chat_copy_object (source);
  JsonNode *arguments = json_object_get_member (function, "arguments");

  if (arguments == NULL)
    return function;
  if (self->caps.object_arguments && JSON_NODE_HOLDS_VALUE (arguments) &&
      json_node_get_string (arguments) != NULL)
    {
      const char *text = json_node_get_string (arguments);
      /* Text that is no object of JSON stays as the model wrote it. */
      JsonNode *object = atl_json_parse (text, strlen (text), "arguments", NULL);

      if (object != NULL && JSON_NODE_HOLDS_OBJECT (object))
        json_object_set_member (function, "arguments", object);
      else
        g_clear_pointer (&object, json_node_unref);
    }
  else if (self->string_arguments && JSON_NODE_HOLDS_OBJECT (arguments))
    {
      g_autofree char *text = json_to_string (arguments, FALSE);

      json_object_set_string_member (function, "arguments", text);
    }
  return function;
}

static void
adapt_tool_calls (const AtlChatTemplate *self, JsonObject *message)
{
  JsonNode *node = json_object_get_member (message, "tool_calls");
  JsonArray *calls, *adapted;

  if (node == NULL || !JSON_NODE_HOLDS_ARRAY (node))
    return;
  calls = json_node_get_array (node);
  adapted = json_array_new ();
  for (guint i = 0; i < json_array_get_length (calls); i++)
    {
      JsonNode *call = json_array_get_element (calls, i);
      JsonNode *function;
      JsonObject *copy;

      if (!JSON_NODE_HOLDS_OBJECT (call))
        {
          json_array_add_element (adapted, json_node_copy (call));
          continue;
        }
      /* Copies of nodes share what is inside: each level that changes is copied by hand. */
      copy = atl_chat_copy_object (json_node_get_object (call));
      function = json_object_get_member (copy, "function");
      if (function != NULL && JSON_NODE_HOLDS_OBJECT (function))
        json_object_set_object_member (copy, "function",
                                       adapt_function (self, json_node_get_object (function)));
      json_array_add_object_element (adapted, copy);
    }
  json_object_set_array_member (message, "tool_calls", adapted);
}

/* Puts `text` and a newline in front of the content of a user's message. */
static void
prepend (JsonObject *message, const char *text)
{
  JsonNode *content = json_object_get_member (message, "content");
  g_autofree char *old = content_text (content);
  g_autofree char *joined = g_strconcat (text, "\n", old, NULL);

  if (content != NULL && JSON_NODE_HOLDS_ARRAY (content))
    {
      JsonArray *parts = json_node_dup_array (content);
      g_autofree char *line = g_strconcat (text, "\n", NULL);
      JsonArray *wider = parts_of (line);

      for (guint i = 0; i < json_array_get_length (parts); i++)
        json_array_add_element (wider, json_node_copy (json_array_get_element (parts, i)));
      json_array_unref (parts);
      json_object_set_array_member (message, "content", wider);
    }
  else
    json_object_set_string_member (message, "content", joined);
}

/* Without a system role its text goes in front of the next user message; after the last one it
 * becomes a message of the user. */
static JsonArray *
fold_system (JsonArray *messages)
{
  JsonArray *folded = json_array_new ();
  g_autoptr (GString) waiting = g_string_new (NULL);

  for (guint i = 0; i < json_array_get_length (messages); i++)
    {
      JsonObject *message = json_array_get_object_element (messages, i);
      const char *role = json_object_get_string_member_with_default (message, "role", "");

      if (g_strcmp0 (role, "system") == 0)
        {
          g_autofree char *text = content_text (json_object_get_member (message, "content"));

          if (waiting->len > 0)
            g_string_append_c (waiting, '\n');
          g_string_append (waiting, text);
          continue;
        }
      if (waiting->len > 0 && g_strcmp0 (role, "user") == 0)
        {
          prepend (message, waiting->str);
          g_string_truncate (waiting, 0);
        }
      json_array_add_object_element (folded, json_object_ref (message));
    }
  if (waiting->len > 0)
    json_array_add_object_element (folded, new_message ("user", waiting->str));
  return folded;
}

JsonArray *
atl_chat_adapt (const AtlChatTemplate *self, JsonArray *messages, GError **error)
{
  g_autoptr (JsonArray) adapted = json_array_new ();

  for (guint i = 0; i < json_array_get_length (messages); i++)
    {
      JsonNode *node = json_array_get_element (messages, i);
      JsonObject *message;

      if (!JSON_NODE_HOLDS_OBJECT (node))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("message %u of the chat is no object"), i + 1);
          return NULL;
        }
      message = atl_chat_copy_object (json_node_get_object (node));
      json_array_add_object_element (adapted, message);
      if (g_strcmp0 (json_object_get_string_member_with_default (message, "role", ""),
                     "developer") == 0 &&
          !atl_jinja_mentions (self->jinja, "developer"))
        json_object_set_string_member (message, "role", "system");
      adapt_tool_calls (self, message);
    }
  if (!self->caps.system_role)
    {
      JsonArray *folded = fold_system (adapted);

      json_array_unref (adapted);
      adapted = folded;
    }
  for (guint i = 0; i < json_array_get_length (adapted); i++)
    adapt_content (self, json_array_get_object_element (adapted, i));
  return g_steal_pointer (&adapted);
}
