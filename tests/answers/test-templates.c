/* Calls as the models' own templates write them, read back: the row that a template's text leads to
 * is the right one. */
#include "answers-fixture.h"
#include "conformance.h"
#include "engine/tokenizers/chat-template.h"

#define USER "Weather in Bern, probe 7?"
#define RESULT "probe-result-7"
#define ARGUMENTS "{\"city\": \"Bern\", \"days\": 2}"

/* Templates that print no calls at all, or refuse this conversation, and what they are. */
static const char *const silent[] = {
  "CohereForAI-c4ai-command-r-plus-tool_use.jinja", /* refuses; tested by its documents */
  "HuggingFaceTB-SmolLM3-3B.jinja",                 /* calls stand in the content */
  "LFM2-8B-A1B.jinja",
  "LFM2.5-Instruct.jinja",
  "microsoft-Phi-3.5-mini-instruct.jinja",
  "ibm-granite-granite-3.3-2B-Instruct.jinja",
  "google-gemma-2-2b-it.jinja",
  "llama-cpp-rwkv-world.jinja",
  "fireworks-ai-llama-3-firefunction-v2.jinja",
  NULL,
};
/* Calls that no row describes. */
static const char *const unknown[] = { "GigaChat3-10B-A1.8B.jinja", "Kimi-K3.jinja",
                                       "MiniMax-M3.jinja", "muse-glimmer.jinja", NULL };

/* The first `n_messages` of the conversation, rendered. */
static char *
render (AtlChatTemplate *chat, guint n_messages)
{
  static const char text[] =
      "[{\"role\": \"user\", \"content\": \"" USER "\"}, {\"role\": \"assistant\", \"content\": "
      "\"\", \"tool_calls\": [{\"id\": \"call00001\", \"type\": \"function\", \"function\": "
      "{\"name\": \"get_weather\", \"arguments\": " ARGUMENTS "}}]}, {\"role\": \"tool\", "
      "\"tool_call_id\": \"call00001\", \"name\": \"get_weather\", \"content\": \"" RESULT "\"}]";
  g_autoptr (JsonNode) node = json_from_string (text, NULL);
  g_autoptr (AtlToolSet) tools = tools_new (TOOLS_JSON);
  JsonArray *messages = json_node_get_array (node);
  g_autoptr (GDateTime) now = g_date_time_new_utc (2025, 7, 10, 12, 0, 0);

  while (json_array_get_length (messages) > n_messages)
    json_array_remove_element (messages, n_messages);
  return atl_chat_template_render (chat, messages, atl_tool_set_json (tools), NULL, FALSE, now,
                                   NULL);
}

static void
test_template (gconstpointer data)
{
  const char *name = data;
  g_autofree char *relative = g_build_filename ("chat-templates", "templates", name, NULL);
  g_autofree char *path = atl_test_conformance (relative);
  g_autofree char *source = NULL;
  g_autofree char *text = NULL;
  g_autofree char *answer = NULL;
  g_autofree char *line = NULL;
  g_autoptr (AtlChatTemplate) chat = NULL;
  g_autoptr (AtlToolSet) tools = tools_new (TOOLS_JSON);
  AtlAnswerReaderOptions options = { .tools = tools };
  const char *start, *end;

  if (path == NULL)
    return;
  g_assert_true (g_file_get_contents (path, &source, NULL, NULL));
  chat = atl_chat_template_new (source, "", "", NULL);
  g_assert_nonnull (chat);
  options.format = atl_tool_format_detect (source);
  text = render (chat, 3);
  if (g_strv_contains (silent, name) || g_strv_contains (unknown, name))
    {
      g_test_message ("%s: %s", name, text);
      /* Should it print calls one day, the list is wrong. */
      if (g_strv_contains (silent, name))
        if (text != NULL && strstr (g_strrstr (text, USER), "get_weather") != NULL)
          g_test_fail_printf ("%s prints calls", name);
      return;
    }
  if (text == NULL)
    text = render (chat, 2);
  g_assert_nonnull (text);
  if (options.format == NULL)
    {
      g_test_fail_printf ("%s: no format", name);
      return;
    }
  /* What stands between the question and the result; the header that the prompt ends with is text
   * to the reader. */
  start = g_strrstr (text, USER);
  g_assert_nonnull (start);
  start += strlen (USER);
  end = strstr (start, RESULT);
  answer = end != NULL ? g_strndup (start, (gsize) (end - start)) : g_strdup (start);
  if (options.format->is_bare && options.format->style == ATL_CALL_NAMED)
    memmove (answer, strstr (answer, ">>>"), strlen (strstr (answer, ">>>")) + 1);
  else if (options.format->is_bare && strchr (answer, '{') != NULL)
    memmove (answer, strchr (answer, '{'), strlen (strchr (answer, '{')) + 1);
  else if (options.format->style == ATL_CALL_HARMONY)
    memmove (answer, strstr (answer, " to="), strlen (strstr (answer, " to=")) + 1);
  line = read_answer (&options, answer, 7, 7);
  g_test_message ("%s: %s", options.format->name, line);
  start = strstr (line, "call[get_weather {\"city\":\"Bern\",\"days\":2}]");
  if (start == NULL || strstr (start + 5, "call[") != NULL)
    g_test_fail_printf ("%s: not read back: %s", options.format->name, answer);
}

/* Rows for templates that leave the calls to whoever writes the content. */
static void
test_detected (void)
{
  static const char *const expected[][2] = {
    { "LFM2-8B-A1B.jinja", "lfm2" },
    { "LFM2.5-Instruct.jinja", "lfm2" },
    { "ibm-granite-granite-3.3-2B-Instruct.jinja", "granite-3" },
    { "HuggingFaceTB-SmolLM3-3B.jinja", NULL },
    { "fireworks-ai-llama-3-firefunction-v2.jinja", "firefunction" },
    { "CohereForAI-c4ai-command-r-plus-tool_use.jinja", "command-r" },
    { "meta-llama-Llama-3.1-8B-Instruct.jinja", "llama-3" },
    { "meetkai-functionary-medium-v3.2.jinja", "functionary-3.2" },
    { "openai-gpt-oss-120b.jinja", "harmony" },
    { "google-gemma-2-2b-it.jinja", NULL },
    { "microsoft-Phi-3.5-mini-instruct.jinja", NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (expected); i++)
    {
      g_autofree char *relative =
          g_build_filename ("chat-templates", "templates", expected[i][0], NULL);
      g_autofree char *path = atl_test_conformance (relative);
      g_autofree char *source = NULL;
      const AtlToolFormat *format;

      if (path == NULL)
        return;
      g_assert_true (g_file_get_contents (path, &source, NULL, NULL));
      format = atl_tool_format_detect (source);
      g_assert_cmpstr (format != NULL ? format->name : NULL, ==, expected[i][1]);
    }
}

int
main (int argc, char **argv)
{
  g_autofree char *folder = NULL;
  g_autoptr (GDir) dir = NULL;
  const char *name;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/templates/detected", test_detected);
  folder = atl_test_conformance_find ("chat-templates/templates");
  dir = folder != NULL ? g_dir_open (folder, 0, NULL) : NULL;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_strdup_printf ("/templates/%s", name);

      g_test_add_data_func_full (path, g_strdup (name), test_template, g_free);
    }
  return g_test_run ();
}
