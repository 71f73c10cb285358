/* What a template can do, found out by rendering conversations with marks in them, and the words by
 * which it is told to think. */
#define G_LOG_DOMAIN "atl-chat"

#include "engine/tokenizers/chat-template-private.h"

#include <string.h>

#include "engine/tokenizers/chat-template-known.h"

static JsonNode *
parse_json (const char *text)
{
  JsonNode *node = json_from_string (text, NULL);

  g_assert (node != NULL);
  return node;
}

/* --- The switch for thinking --- */

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

void
atl_chat_switch_thinking (const AtlChatTemplate *self, JsonObject *context)
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

  return atl_chat_render (self, json_node_get_array (conversation),
                          offered != NULL ? json_node_get_array (offered) : NULL,
                          more != NULL ? json_node_get_object (more) : NULL, TRUE, now, &limits,
                          NULL);
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

void
atl_chat_probe (AtlChatTemplate *self, const char *source)
{
  probe_content (self);
  probe_tools (self);
  probe_thinking (self, source);
}
