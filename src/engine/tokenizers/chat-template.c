/* Chat templates: what one can do, a conversation in the form it wants, rendering. */
#define G_LOG_DOMAIN "atl-chat"

#include "engine/tokenizers/chat-template.h"

#include "base/json-bounded.h"
#include "engine/tokenizers/chat-template-known.h"
#include "engine/tokenizers/jinja.h"

#include <glib/gi18n.h>
#include <string.h>

struct _AtlChatTemplate
{
  AtlJinja *jinja;             /* (owned) */
  char *bos_token, *eos_token; /* (owned) */
  AtlChatCaps caps;
  gboolean accepts_parts;    /* content may be a list of parts */
  gboolean string_arguments; /* arguments of tool calls must be JSON text */
  gboolean null_content;     /* a message with tool calls is known by its content being None */
  gboolean tools_undefined;  /* without tools the variable must be absent, not None */
  int word; /* of switches[], the template's for enable_thinking; -1: it has none */
  /* (nullable) static */
  const char *think_open, *think_close, *answer_open, *answer_close;
};

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

static JsonNode *
parse_json (const char *text)
{
  JsonNode *node = json_from_string (text, NULL);

  g_assert (node != NULL);
  return node;
}

static JsonObject *
copy_object (JsonObject *object)
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
  JsonObject *function = copy_object (source);
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
      copy = copy_object (json_node_get_object (call));
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

/* The messages as this template wants them; the caller's are not touched. NULL with an error where
 * one is no message. */
static JsonArray *
adapt (const AtlChatTemplate *self, JsonArray *messages, GError **error)
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
      message = copy_object (json_node_get_object (node));
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

/* --- Rendering --- */

/* Templates' words for enable_thinking, and the variables that turn it on and off. */
static const struct
{
  const char *name;
  const char *on;
  const char *off;
} switches[] = {
  { "enable_thinking", "{\"enable_thinking\": true}", "{\"enable_thinking\": false}" },
  { "thinking", "{\"thinking\": true}", "{\"thinking\": false}" },
  { "thinking_mode", "{\"thinking_mode\": \"enabled\"}", "{\"thinking_mode\": \"disabled\"}" },
  { "thinking_budget", "{}", "{\"thinking_budget\": 0}" },
};

/* Puts enable_thinking under the template's own word for it. */
static void
translate_switch (const AtlChatTemplate *self, JsonObject *context)
{
  JsonNode *wanted = json_object_get_member (context, "enable_thinking");
  g_autoptr (JsonNode) values = NULL;
  JsonObjectIter iter;
  const char *name;
  JsonNode *member;

  if (wanted == NULL || self->word < 0 || !JSON_NODE_HOLDS_VALUE (wanted) ||
      json_object_has_member (context, switches[self->word].name))
    return;
  values = parse_json (json_node_get_boolean (wanted) ? switches[self->word].on
                                                      : switches[self->word].off);
  json_object_iter_init_ordered (&iter, json_node_get_object (values));
  while (json_object_iter_next_ordered (&iter, &name, &member))
    json_object_set_member (context, name, json_node_copy (member));
}

static char *
render (const AtlChatTemplate *self,
        JsonArray *messages,
        JsonArray *tools,
        JsonObject *extra,
        gboolean add_generation_prompt,
        GDateTime *now,
        const AtlJinjaLimits *limits,
        GError **error)
{
  g_autoptr (JsonObject) context = extra != NULL ? copy_object (extra) : json_object_new ();

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
  translate_switch (self, context);
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
  adapted = adapt (self, messages, error);
  if (adapted == NULL)
    return NULL;
  if (now == NULL)
    now = local = g_date_time_new_now_local ();
  return render (self, adapted, tools, extra, add_generation_prompt, now, NULL, error);
}

/* --- Probing --- */

#define MARK_SYSTEM "probe-system-7"
#define MARK_USER "probe-user-7"
#define MARK_TOOL "probe_tool_7"
#define MARK_KEY "probe_key_7"
#define MARK_VALUE "probe-value-7"
#define MARK_RESULT "probe-result-7"

/* The rendering of a conversation in JSON; NULL if the template refuses it. */
static char *
probe (const AtlChatTemplate *self, const char *messages, const char *tools, const char *extra)
{
  /* A dozen probes of a hostile template must not add up. */
  static const AtlJinjaLimits limits = { .max_steps = 1000000,
                                         .max_memory = 32 << 20,
                                         .max_output = 1 << 20 };
  g_autoptr (JsonNode) conversation = parse_json (messages);
  g_autoptr (JsonNode) offered = tools != NULL ? parse_json (tools) : NULL;
  g_autoptr (JsonNode) more = extra != NULL ? parse_json (extra) : NULL;
  g_autoptr (GDateTime) now = g_date_time_new_utc (2025, 1, 1, 12, 0, 0);

  return render (self, json_node_get_array (conversation),
                 offered != NULL ? json_node_get_array (offered) : NULL,
                 more != NULL ? json_node_get_object (more) : NULL, TRUE, now, &limits, NULL);
}

static gboolean
shows (const char *text, const char *mark)
{
  return text != NULL && strstr (text, mark) != NULL;
}

#define USER "{\"role\": \"user\", \"content\": \"" MARK_USER "\"}"
#define SYSTEM "{\"role\": \"system\", \"content\": \"" MARK_SYSTEM "\"}"
#define PARTS "[{\"type\": \"text\", \"text\": \"" MARK_USER "\"}]"
#define CALL(content, arguments)                                                                   \
  "[" USER ", {\"role\": \"assistant\", \"content\": " content                                     \
  ", \"tool_calls\": [{\"id\": \"call00001\", "                                                    \
  "\"type\": \"function\", \"function\": {\"name\": \"" MARK_TOOL "\", \"arguments\": " arguments  \
  "}}]}, {\"role\": \"tool\", \"tool_call_id\": \"call00001\", \"name\": \"" MARK_TOOL             \
  "\", \"content\": \"" MARK_RESULT "\"}]"
#define AS_OBJECT "{\"" MARK_KEY "\": \"" MARK_VALUE "\"}"
#define AS_STRING "\"{\\\"" MARK_KEY "\\\": \\\"" MARK_VALUE "\\\"}\""
#define TOOLS                                                                                      \
  "[{\"type\": \"function\", \"function\": {\"name\": \"" MARK_TOOL                                \
  "\", \"description\": \"d\", \"parameters\": {\"type\": \"object\", \"properties\": "            \
  "{\"" MARK_KEY "\": {\"type\": \"string\", \"description\": \"d\"}}, \"required\": [\"" MARK_KEY \
  "\"]}}}]"

static void
probe_content (AtlChatTemplate *self)
{
  g_autofree char *as_string = probe (self, "[" USER "]", NULL, NULL);
  g_autofree char *as_parts = NULL;
  g_autofree char *with_system = NULL;

  if (as_string == NULL)
    {
      self->tools_undefined = TRUE;
      as_string = probe (self, "[" USER "]", NULL, NULL);
      self->tools_undefined = as_string != NULL;
    }
  as_parts = probe (self, "[{\"role\": \"user\", \"content\": " PARTS "}]", NULL, NULL);
  /* A template that prints a list as Python would does not understand it. */
  self->accepts_parts =
      shows (as_parts, MARK_USER) && !shows (as_parts, "'type'") && !shows (as_parts, "\"type\"");
  self->caps.typed_content = self->accepts_parts && !shows (as_string, MARK_USER);
  if (self->caps.typed_content)
    with_system =
        probe (self,
               "[{\"role\": \"system\", \"content\": [{\"type\": \"text\", \"text\": \"" MARK_SYSTEM
               "\"}]}, {\"role\": \"user\", \"content\": " PARTS "}]",
               NULL, NULL);
  else
    with_system = probe (self, "[" SYSTEM ", " USER "]", NULL, NULL);
  /* One that cannot print a single user message (it needs more variables) tells nothing. */
  self->caps.system_role =
      shows (with_system, MARK_SYSTEM) || (as_string == NULL && as_parts == NULL);
}

/* TRUE if the arguments' key stands in the text and not as part of quoted JSON text. */
static gboolean
shows_arguments (const char *text)
{
  return shows (text, MARK_KEY) && !shows (text, "\\\"" MARK_KEY);
}

static void
probe_tools (AtlChatTemplate *self)
{
  g_autofree char *offered = probe (self, "[" USER "]", TOOLS, NULL);
  g_autofree char *object = NULL;
  g_autofree char *string = NULL;
  gboolean object_works, string_works;

  object = probe (self, CALL ("\"\"", AS_OBJECT), NULL, NULL);
  string = probe (self, CALL ("\"\"", AS_STRING), NULL, NULL);
  if (!shows (object, MARK_TOOL) && !shows (string, MARK_TOOL))
    {
      g_free (object);
      g_free (string);
      object = probe (self, CALL ("null", AS_OBJECT), NULL, NULL);
      string = probe (self, CALL ("null", AS_STRING), NULL, NULL);
      self->null_content = shows (object, MARK_TOOL) || shows (string, MARK_TOOL);
    }
  object_works = shows_arguments (object);
  string_works = shows_arguments (string);

  self->caps.tools = shows (offered, MARK_TOOL);
  self->caps.tool_calls = shows (object, MARK_TOOL) || shows (string, MARK_TOOL);
  self->caps.tool_responses = shows (object, MARK_RESULT) || shows (string, MARK_RESULT);
  self->caps.object_arguments = object_works && !string_works;
  /* An object printed as Python prints it is no JSON. */
  self->string_arguments = string_works && (!object_works || shows (object, "'" MARK_KEY "'"));
}

static void
probe_thinking (AtlChatTemplate *self, const char *source)
{
  g_autofree char *plain = probe (self, "[" USER "]", NULL, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (switches) && self->word < 0; i++)
    {
      g_autofree char *on = NULL;
      g_autofree char *off = NULL;

      if (!atl_jinja_mentions (self->jinja, switches[i].name))
        continue;
      on = probe (self, "[" USER "]", NULL, switches[i].on);
      off = probe (self, "[" USER "]", NULL, switches[i].off);
      if (on != NULL && off != NULL && strcmp (on, off) != 0)
        self->word = (int) i;
    }
  self->caps.thinking_toggle = self->word >= 0;
  if (!atl_chat_known_thinking (source, &self->think_open, &self->think_close) && plain != NULL)
    atl_chat_known_thinking (plain, &self->think_open, &self->think_close);
  atl_chat_known_answer (source, &self->answer_open, &self->answer_close);
  self->caps.thinking_open = plain != NULL && atl_chat_template_prompt_is_thinking (self, plain);
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
  probe_content (self);
  probe_tools (self);
  probe_thinking (self, source);
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
