/* Tools in a conversation: which format the model writes, and messages in a form that its template
 * prints. */
#define G_LOG_DOMAIN "atl-pipelines"

#include <string.h>

#include "base/json-bounded.h"
#include "engine/pipelines/chat-model-private.h"

void
atl_chat_tools_detect (AtlChatModel *self)
{
  const char *source = atl_tokenizer_chat_template (self->tokenizer, "tool_use");
  const char *main_source = atl_tokenizer_chat_template (self->tokenizer, NULL);

  /* Some models carry a second template for conversations with tools. */
  if (source != NULL)
    self->tool_chat = atl_chat_template_new (source, atl_chat_special (self, ATL_SPECIAL_BOS),
                                             atl_chat_special (self, ATL_SPECIAL_EOS), NULL);
  if (self->tool_chat == NULL)
    source = main_source;
  self->tool_format = source != NULL ? atl_tool_format_detect (source) : NULL;
  if (self->tool_format == NULL || self->tool_chat != NULL)
    {
      /* The channels of gpt-oss hold without tools too. */
      const AtlToolFormat *plain =
          main_source != NULL ? atl_tool_format_detect (main_source) : NULL;

      if (plain != NULL && plain->style == ATL_CALL_HARMONY)
        self->tool_format = plain;
    }
  self->names_tools = self->tool_format != NULL &&
                      (atl_chat_template_caps (atl_chat_tools_template (self))->tools ||
                       strstr (source, "xml_tools") != NULL);
  if (self->tool_format == NULL)
    self->tool_format = atl_tool_format_generic ();
}

const AtlChatTemplate *
atl_chat_tools_template (const AtlChatModel *self)
{
  return self->tool_chat != NULL ? self->tool_chat : self->chat;
}

/* --- Messages --- */

static JsonObject *
copy_message (JsonObject *message)
{
  JsonObject *copy = json_object_new ();
  JsonObjectIter iter;
  const char *name;
  JsonNode *member;

  json_object_iter_init_ordered (&iter, message);
  while (json_object_iter_next_ordered (&iter, &name, &member))
    json_object_set_member (copy, name, json_node_copy (member));
  return copy;
}

/* A call as the generic format has it. */
static void
append_call (GString *text, JsonNode *node)
{
  JsonObject *call = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  JsonObject *inner = call != NULL ? atl_json_object (call, "function") : NULL;
  JsonObject *function = inner != NULL ? inner : call;
  g_autofree char *name = NULL;
  g_autofree char *arguments = NULL;
  JsonNode *value;

  if (function == NULL)
    return;
  name = atl_json_quote (atl_json_string (function, "name", ""));
  value = json_object_get_member (function, "arguments");
  if (value != NULL && JSON_NODE_HOLDS_VALUE (value) && json_node_get_string (value) != NULL)
    arguments = json_node_dup_string (value);
  else if (value != NULL)
    arguments = atl_json_write (value);
  g_string_append_printf (text, "%s<tool_call>\n{\"name\": %s, \"arguments\": %s}\n</tool_call>",
                          text->len > 0 ? "\n" : "", name, arguments != NULL ? arguments : "{}");
}

/* Calls that the template would leave out become part of the text. */
static void
fold_calls (JsonObject *message)
{
  JsonArray *calls = atl_json_array (message, "tool_calls");
  g_autoptr (GString) text = NULL;

  if (calls == NULL)
    return;
  text = g_string_new (atl_json_string (message, "content", ""));
  for (guint i = 0; i < json_array_get_length (calls); i++)
    append_call (text, json_array_get_element (calls, i));
  json_object_set_string_member (message, "content", text->str);
  json_object_remove_member (message, "tool_calls");
}

/* A tool's result becomes a message of the user, or a part of the one with the results before it
 * (`before`, nullable): templates refuse two in a row. The message that has it. */
static JsonObject *
fold_result (JsonObject *message, JsonObject *before)
{
  g_autoptr (GString) text = g_string_new (NULL);

  if (before != NULL)
    g_string_append_printf (text, "%s\n", atl_json_string (before, "content", ""));
  g_string_append_printf (text, "<tool_response>\n%s\n</tool_response>",
                          atl_json_string (message, "content", ""));
  if (before == NULL)
    before = message;
  json_object_set_string_member (before, "role", "user");
  json_object_set_string_member (before, "content", text->str);
  return before;
}

/* Puts `text` behind the system message, or makes one. */
static void
add_to_system (JsonArray *messages, const char *text)
{
  JsonObject *first =
      json_array_get_length (messages) > 0 ? json_array_get_object_element (messages, 0) : NULL;
  g_autofree char *whole = NULL;
  JsonObject *system;
  JsonArray *rest;

  if (first != NULL && g_str_equal (atl_json_string (first, "role", ""), "system"))
    {
      whole = g_strconcat (atl_json_string (first, "content", ""), "\n\n", text, NULL);
      json_object_set_string_member (first, "content", whole);
      return;
    }
  system = json_object_new ();
  json_object_set_string_member (system, "role", "system");
  json_object_set_string_member (system, "content", text);
  rest = json_array_new ();
  json_array_add_object_element (rest, system);
  while (json_array_get_length (messages) > 0)
    {
      json_array_add_element (rest, json_array_dup_element (messages, 0));
      json_array_remove_element (messages, 0);
    }
  for (guint i = 0; i < json_array_get_length (rest); i++)
    json_array_add_element (messages, json_array_dup_element (rest, i));
  json_array_unref (rest);
}

/* What templates ask for without looking whether it is there. */
static JsonNode *
plain_property (JsonNode *node)
{
  static const char *const types[] = {
    "string", "number", "integer", "boolean", "object", "array"
  };
  JsonObject *have = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  const char *type = have != NULL ? atl_json_string (have, "type", "string") : "string";
  JsonNode *plain = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();
  gboolean known = FALSE;

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    known |= g_str_equal (types[i], type);
  json_object_set_string_member (object, "type", known ? type : "string");
  /* What is in a list or an object is not looked at further. */
  if (g_str_equal (type, "array") || g_str_equal (type, "object"))
    {
      JsonObject *inner = json_object_new ();

      json_object_set_string_member (inner, "type", "string");
      json_object_set_object_member (
          object, g_str_equal (type, "array") ? "items" : "additionalProperties", inner);
    }
  json_object_set_string_member (object, "description",
                                 have != NULL ? atl_json_string (have, "description", "") : "");
  json_node_take_object (plain, object);
  return plain;
}

static JsonNode *
plain_tool (JsonNode *node)
{
  JsonNode *copy = json_node_copy (node);
  JsonObject *tool = copy_message (json_node_get_object (node));
  JsonObject *inner = atl_json_object (tool, "function");
  JsonObject *function = copy_message (inner != NULL ? inner : tool);
  JsonObject *asked = atl_json_object (function, "parameters");
  JsonObject *parameters = asked != NULL ? copy_message (asked) : json_object_new ();
  JsonObject *properties = asked != NULL ? atl_json_object (asked, "properties") : NULL;
  JsonObject *plain = json_object_new ();
  JsonObjectIter iter;
  const char *name;
  JsonNode *member;

  if (properties != NULL)
    {
      json_object_iter_init_ordered (&iter, properties);
      while (json_object_iter_next_ordered (&iter, &name, &member))
        json_object_set_member (plain, name, plain_property (member));
    }
  json_object_set_string_member (parameters, "type", "object");
  json_object_set_object_member (parameters, "properties", plain);
  if (atl_json_array (parameters, "required") == NULL)
    json_object_set_array_member (parameters, "required", json_array_new ());
  json_object_set_object_member (function, "parameters", parameters);
  json_object_set_string_member (function, "description",
                                 atl_json_string (function, "description", ""));
  if (inner != NULL)
    json_object_set_object_member (tool, "function", function);
  json_node_take_object (copy, inner != NULL ? tool : function);
  if (inner == NULL)
    json_object_unref (tool);
  return copy;
}

JsonArray *
atl_chat_tools_plain (JsonArray *tools)
{
  JsonArray *plain = json_array_new ();

  for (guint i = 0; i < json_array_get_length (tools); i++)
    json_array_add_element (plain, plain_tool (json_array_get_element (tools, i)));
  return plain;
}

JsonArray *
atl_chat_tools_adapt (const AtlChatModel *self, JsonArray *messages, AtlToolSet *tools)
{
  const AtlChatCaps *caps =
      atl_chat_template_caps (tools != NULL ? atl_chat_tools_template (self) : self->chat);
  JsonArray *adapted = json_array_new ();
  JsonObject *results = NULL; /* the user's message that the last one was folded into */

  for (guint i = 0; i < json_array_get_length (messages); i++)
    {
      JsonObject *copy = copy_message (json_array_get_object_element (messages, i));
      gboolean is_folded =
          !caps->tool_responses && g_str_equal (atl_json_string (copy, "role", ""), "tool");

      if (!caps->tool_calls)
        fold_calls (copy);
      results = is_folded ? fold_result (copy, results) : NULL;
      if (results == NULL || results == copy)
        json_array_add_object_element (adapted, copy);
      else
        json_object_unref (copy);
    }
  if (tools != NULL && !self->names_tools)
    {
      g_autoptr (JsonNode) node = json_node_new (JSON_NODE_ARRAY);
      g_autofree char *list = NULL;

      json_node_set_array (node, atl_tool_set_json (tools));
      list = atl_json_write (node);
      /* Phi-4-mini's template looks for them in the system message. */
      if (g_str_equal (self->tool_format->name, "phi-4-mini"))
        {
          add_to_system (adapted, "You are a helpful assistant with some tools.");
          json_object_set_string_member (json_array_get_object_element (adapted, 0), "tools", list);
        }
      else
        {
          g_autofree char *request = g_strconcat (atl_tool_format_generic_request (), list, NULL);

          add_to_system (adapted, request);
        }
    }
  return adapted;
}
