/* Chat templates against conformance/chat-templates: the templates of 68 models and the prompts
 * that the reference (Jinja2 3.1.6) and llama.cpp make of them; then what AtlChatTemplate finds out
 * and adapts. */
#include "engine/tokenizers/chat-template-known.h"
#include "engine/tokenizers/chat-template.h"

#include <string.h>

#include "conformance-json.h"
#include "engine/tokenizers/jinja.h"

static const AtlJinjaOptions options = { .trim_blocks = TRUE, .lstrip_blocks = TRUE };

/* --- Helpers --- */

static char *
load_template (const char *name)
{
  g_autofree char *relative = g_build_filename ("chat-templates", "templates", name, NULL);
  g_autofree char *path = atl_test_conformance_find (relative);
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

static GDateTime *
clock_of (JsonObject *item)
{
  const char *now = atl_json_string (item, "now", "2025-07-10T12:00:00");
  g_autoptr (GTimeZone) utc = g_time_zone_new_utc ();
  GDateTime *time = g_date_time_new_from_iso8601 (now, utc);

  g_assert_nonnull (time);
  return time;
}

static gboolean
accepted (JsonObject *item, const char *got)
{
  JsonArray *also = atl_json_array (item, "also_accept");
  const char *expected = atl_json_string (item, "expected_output", NULL);

  if (expected != NULL && strcmp (got, expected) == 0)
    return TRUE;
  for (guint i = 0; also != NULL && i < json_array_get_length (also); i++)
    if (strcmp (json_array_get_string_element (also, i), got) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
check_case (const char *name, JsonObject *item, const char *source, JsonObject *context)
{
  gboolean wants_error = atl_json_bool (item, "expect_error", FALSE);
  g_autoptr (GDateTime) now = clock_of (item);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlJinja) jinja = atl_jinja_parse (source, -1, &options, &error);
  g_autofree char *got =
      jinja != NULL ? atl_jinja_render (jinja, context, NULL, now, &error) : NULL;

  g_assert_true ((got == NULL) == (error != NULL));
  if (got == NULL ? wants_error || atl_json_bool (item, "lenient", FALSE) : accepted (item, got))
    return TRUE;
  g_test_message ("FAILED %s\n wanted: %s\n got: %s", name,
                  wants_error ? "(an error)"
                              : json_object_get_string_member (item, "expected_output"),
                  got != NULL ? got : error->message);
  return FALSE;
}

/* --- Conformance --- */

static void
test_huggingface (void)
{
  JsonObject *root = atl_test_conformance_json ("chat-templates", "cases-huggingface-js.json");
  JsonArray *cases;
  guint n_failed = 0;

  if (root == NULL)
    return;
  cases = json_object_get_array_member (root, "cases");
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *item = json_array_get_object_element (cases, i);

      n_failed += !check_case (json_object_get_string_member (item, "name"), item,
                               json_object_get_string_member (item, "template"),
                               json_object_get_object_member (item, "context"));
    }
  g_test_message ("%u cases, %u failed", json_array_get_length (cases), n_failed);
  g_assert_cmpuint (json_array_get_length (cases), >=, 53);
  if (n_failed > 0)
    g_test_fail ();
}

static void
test_golden (void)
{
  JsonObject *root = atl_test_conformance_json ("chat-templates", "cases-golden.json");
  JsonArray *cases;
  JsonObject *contexts;
  guint n_failed = 0;

  if (root == NULL)
    return;
  cases = json_object_get_array_member (root, "cases");
  contexts = json_object_get_object_member (root, "contexts");
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *item = json_array_get_object_element (cases, i);
      const char *file = json_object_get_string_member (item, "template");
      const char *context = json_object_get_string_member (item, "context");
      g_autofree char *source = load_template (file);
      g_autofree char *name = g_strdup_printf ("%s with %s", file, context);

      n_failed +=
          !check_case (name, item, source, json_object_get_object_member (contexts, context));
    }
  g_test_message ("%u cases, %u failed", json_array_get_length (cases), n_failed);
  g_assert_cmpuint (json_array_get_length (cases), >=, 884);
  if (n_failed > 0)
    g_test_fail ();
}

/* --- AtlChatTemplate --- */

static AtlChatTemplate *
chat_new (const char *source, const char *bos, const char *eos)
{
  g_autoptr (GError) error = NULL;
  AtlChatTemplate *chat = atl_chat_template_new (source, bos, eos, &error);

  g_assert_no_error (error);
  g_assert_nonnull (chat);
  return chat;
}

static char *
chat_render (AtlChatTemplate *chat, const char *messages, const char *extra)
{
  g_autoptr (JsonNode) node = json_from_string (messages, NULL);
  g_autoptr (JsonNode) more = extra != NULL ? json_from_string (extra, NULL) : NULL;
  g_autoptr (GDateTime) now = g_date_time_new_utc (2025, 7, 10, 12, 0, 0);
  g_autofree char *before = json_to_string (node, FALSE);
  g_autofree char *after = NULL;
  g_autoptr (GError) error = NULL;
  char *text = atl_chat_template_render (chat, json_node_get_array (node), NULL,
                                         more != NULL ? json_node_get_object (more) : NULL, TRUE,
                                         now, &error);

  g_assert_no_error (error);
  after = json_to_string (node, FALSE);
  g_assert_cmpstr (before, ==, after);
  return text;
}

/* Plain, folded, or with the tokens that only one of them needs: all as the engine would do it. */
static void
test_llama_cpp (void)
{
  JsonObject *root = atl_test_conformance_json ("chat-templates", "cases-llama-cpp.json");
  JsonArray *cases;
  guint n_failed = 0;

  if (root == NULL)
    return;
  cases = json_object_get_array_member (root, "cases");
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *item = json_array_get_object_element (cases, i);
      const char *rendering = json_object_get_string_member (item, "rendering");
      const char *expected = json_object_get_string_member (item, "expected_output");
      g_autoptr (AtlChatTemplate) chat =
          chat_new (json_object_get_string_member (item, "template"),
                    json_object_get_string_member (item, "bos_token"),
                    json_object_get_string_member (item, "eos_token"));
      g_autoptr (JsonNode) extra =
          json_from_string ("{\"bos_token\": \"<s>\", \"additional_special_tokens\": "
                            "[\"<|role_sep|>\", \"<|message_sep|>\", \"[\", \"]\"]}",
                            NULL);
      g_autoptr (GDateTime) now = clock_of (item);
      g_autoptr (GError) error = NULL;
      g_autofree char *got = atl_chat_template_render (
          chat, json_object_get_array_member (item, "messages"), NULL,
          strcmp (rendering, "needs-extra-context") == 0 ? json_node_get_object (extra) : NULL,
          json_object_get_boolean_member (item, "add_generation_prompt"), now, &error);

      if (g_strcmp0 (got, expected) != 0)
        {
          g_test_message ("FAILED %s (%s)\n wanted: %s\n got: %s",
                          json_object_get_string_member (item, "name"), rendering, expected,
                          got != NULL ? got : error->message);
          n_failed++;
        }
      if (atl_chat_template_caps (chat)->system_role == (strcmp (rendering, "system-folded") == 0))
        {
          g_test_message ("FAILED %s: system role misjudged",
                          json_object_get_string_member (item, "name"));
          n_failed++;
        }
    }
  g_test_message ("%u cases, %u failed", json_array_get_length (cases), n_failed);
  g_assert_cmpuint (json_array_get_length (cases), >=, 36);
  if (n_failed > 0)
    g_test_fail ();
}

/* Where nothing has to be adapted the prompt is the reference's; where it has, there is one. */
static void
test_adapted (void)
{
  JsonObject *root = atl_test_conformance_json ("chat-templates", "cases-golden.json");
  JsonArray *cases;
  JsonObject *contexts;
  guint n_failed = 0;
  guint n_same = 0;
  guint n_rescued = 0;

  if (root == NULL)
    return;
  cases = json_object_get_array_member (root, "cases");
  contexts = json_object_get_object_member (root, "contexts");
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *item = json_array_get_object_element (cases, i);
      const char *file = json_object_get_string_member (item, "template");
      const char *context_name = json_object_get_string_member (item, "context");
      JsonObject *context = json_object_get_object_member (contexts, context_name);
      gboolean wants_error = atl_json_bool (item, "expect_error", FALSE);
      gboolean typed = strcmp (context_name, "typed_content") == 0;
      g_autofree char *source = load_template (file);
      g_autoptr (AtlChatTemplate) chat =
          chat_new (source, json_object_get_string_member (context, "bos_token"),
                    json_object_get_string_member (context, "eos_token"));
      const AtlChatCaps *caps = atl_chat_template_caps (chat);
      g_autoptr (GDateTime) now = clock_of (item);
      g_autoptr (GError) error = NULL;
      g_autofree char *got =
          atl_chat_template_render (chat, json_object_get_array_member (context, "messages"), NULL,
                                    context, FALSE, now, &error);
      g_autofree char *adapted = NULL;
      g_autoptr (JsonObject) bare = json_object_new ();
      g_autoptr (GList) names = json_object_get_members (context);

      /* `context` carries its own messages, which are used as they are; without them they are
       * adapted. */
      for (GList *name = names; name != NULL; name = name->next)
        if (strcmp (name->data, "messages") != 0)
          json_object_set_member (bare, name->data, json_object_dup_member (context, name->data));
      g_clear_error (&error);
      adapted = atl_chat_template_render (chat, json_object_get_array_member (context, "messages"),
                                          NULL, bare, FALSE, now, &error);
      /* A switch by another name is translated; the reference was given only the usual one. */
      if (caps->thinking_toggle && strstr (source, "enable_thinking") == NULL &&
          json_object_has_member (context, "enable_thinking"))
        continue;
      if (!wants_error && (got == NULL || !accepted (item, got)))
        {
          g_test_message ("DIFFERS %s with %s", file, context_name);
          n_failed++;
        }
      if (typed &&
          (adapted == NULL || strstr (adapted, "there") == NULL ||
           strstr (adapted, "'type'") != NULL) &&
          strstr (file, "firefunction") == NULL)
        {
          g_test_message ("FAILED %s: typed content: %s", file,
                          adapted != NULL ? adapted : error->message);
          n_failed++;
        }
      if (strcmp (context_name, "system_two_turns") == 0 && strstr (file, "firefunction") == NULL &&
          (adapted == NULL || strstr (adapted, "Be brief.") == NULL))
        {
          g_test_message ("FAILED %s: system message lost: %s", file,
                          adapted != NULL ? adapted : error->message);
          n_failed++;
        }
      if (g_str_has_prefix (context_name, "tool_round") && caps->tool_calls &&
          (adapted == NULL ? !wants_error : strstr (adapted, "Bern\\") != NULL))
        {
          g_test_message ("FAILED %s with %s: %s", file, context_name,
                          adapted != NULL ? adapted : error->message);
          n_failed++;
        }
      n_same += g_strcmp0 (adapted, atl_json_string (item, "expected_output", "?")) == 0;
      n_rescued += wants_error && adapted != NULL;
    }
  g_test_message ("%u cases, %u failed; adapted: %u as the reference, %u that it refuses",
                  json_array_get_length (cases), n_failed, n_same, n_rescued);
  if (n_failed > 0)
    g_test_fail ();
}

static void
test_caps (void)
{
  static const struct
  {
    const char *file;
    gboolean system_role, tools, tool_calls, typed, object_arguments, toggle, open;
    const char *mark;
  } wanted[] = {
    { "Qwen-Qwen3-0.6B.jinja", 1, 1, 1, 0, 0, 1, 0, "<think>" },
    { "Qwen3.5-4B.jinja", 1, 1, 1, 0, 1, 1, 1, "<think>" },
    { "Qwen-Qwen2.5-7B-Instruct.jinja", 1, 1, 1, 0, 1, 0, 0, NULL },
    { "google-gemma-2-2b-it.jinja", 0, 0, 0, 0, 0, 0, 0, NULL },
    { "google-gemma-4-31B-it.jinja", 1, 1, 1, 0, 0, 1, 0, "<|channel>thought\n" },
    { "openai-gpt-oss-120b.jinja", 1, 1, 1, 0, 1, 0, 0, "<|channel|>analysis<|message|>" },
    { "mistralai-Ministral-3-14B-Reasoning-2512.jinja", 1, 1, 1, 0, 0, 0, 0, "[THINK]" },
    { "ByteDance-Seed-OSS.jinja", 1, 1, 1, 0, 1, 1, 0, "<seed:think>" },
    { "deepseek-ai-DeepSeek-V3.1.jinja", 1, 0, 1, 0, 1, 1, 0, "<think>" },
    { "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja", 1, 0, 1, 0, 0, 0, 1, "<think>" },
    { "meta-llama-Llama-3.2-3B-Instruct.jinja", 1, 1, 1, 0, 1, 0, 0, NULL },
    { "Cohere2MoE.jinja", 1, 1, 1, 0, 1, 0, 1, "<|START_THINKING|>" },
    { "MiniMax-M3.jinja", 1, 1, 1, 0, 1, 1, 0, "<mm:think>" },
  };
  g_autofree char *folder = atl_test_conformance ("chat-templates/templates");

  if (folder == NULL)
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (wanted); i++)
    {
      g_autofree char *source = load_template (wanted[i].file);
      g_autoptr (AtlChatTemplate) chat = chat_new (source, "<s>", "</s>");
      const AtlChatCaps *caps = atl_chat_template_caps (chat);
      const char *open, *close;
      gboolean marked = atl_chat_template_thinking_tags (chat, &open, &close);

      g_test_message ("%s: system %d tools %d calls %d typed %d objects %d toggle %d open %d %s",
                      wanted[i].file, caps->system_role, caps->tools, caps->tool_calls,
                      caps->typed_content, caps->object_arguments, caps->thinking_toggle,
                      caps->thinking_open, open != NULL ? open : "-");
      if (caps->system_role != wanted[i].system_role || caps->tools != wanted[i].tools ||
          caps->tool_calls != wanted[i].tool_calls || caps->typed_content != wanted[i].typed ||
          caps->object_arguments != wanted[i].object_arguments ||
          caps->thinking_toggle != wanted[i].toggle || caps->thinking_open != wanted[i].open ||
          g_strcmp0 (open, wanted[i].mark) != 0 || marked != (close != NULL))
        g_test_fail_printf ("%s is misjudged", wanted[i].file);
    }
}

/* Base models end texts otherwise than the turns that their vocabulary has marks for. */
static void
test_by_end (void)
{
  g_assert_cmpstr (atl_chat_known_by_end ("<end_of_turn>"), ==, atl_chat_known_by_name ("gemma"));
  g_assert_cmpstr (atl_chat_known_by_end ("<|eot_id|>"), ==, atl_chat_known_by_name ("llama3"));
  g_assert_null (atl_chat_known_by_end ("<eos>"));
  g_assert_null (atl_chat_known_by_end (NULL));
}

static void
test_known (void)
{
  static const char *const names[] = { "chatml",     "llama2",   "llama3",  "llama4", "mistral",
                                       "mistral-v7", "gemma",    "phi3",    "phi4",   "zephyr",
                                       "command-r",  "deepseek", "granite", "vicuna", "alpaca" };
  static const struct
  {
    const char *bos, *eos, *prompt;
  } by_tokens[] = {
    { NULL, NULL,
      "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n" },
    { "<|begin_of_text|>", "<|eot_id|>",
      "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
      "<|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>"
      "<|start_header_id|>assistant<|end_header_id|>\n\n" },
    { "<bos>", "<end_of_turn>",
      "<bos><start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\n" },
    { "<s>", "</s>", "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST]" },
  };
  const char *chat_text = "[{\"role\": \"system\", \"content\": \"S\"}, "
                          "{\"role\": \"user\", \"content\": \"U\"}]";

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (AtlChatTemplate) chat = chat_new (names[i], "<s>", "</s>");
      g_autofree char *text = chat_render (
          chat,
          "[{\"role\": \"system\", \"content\": \"Sys\"}, {\"role\": \"user\", \"content\": "
          "\"Ask\"}, {\"role\": \"assistant\", \"content\": \"Say\"}, "
          "{\"role\": \"user\", \"content\": \"More\"}]",
          NULL);

      g_test_message ("%s: %s", names[i], text);
      g_assert_true (atl_chat_template_caps (chat)->system_role);
      g_assert_nonnull (strstr (text, "Sys"));
      g_assert_true (strstr (text, "Ask") < strstr (text, "Say"));
      g_assert_true (strstr (text, "Say") < strstr (text, "More"));
    }
  for (gsize i = 0; i < G_N_ELEMENTS (by_tokens); i++)
    {
      g_autoptr (AtlChatTemplate) chat = chat_new (NULL, by_tokens[i].bos, by_tokens[i].eos);
      g_autofree char *text = chat_render (chat, chat_text, NULL);

      g_assert_cmpstr (text, ==, by_tokens[i].prompt);
    }
}

static void
test_thinking (void)
{
  g_autofree char *source = NULL;
  g_autofree char *folder = atl_test_conformance ("chat-templates/templates");
  const char *ask = "[{\"role\": \"user\", \"content\": \"Q\"}]";

  if (folder == NULL)
    return;
  source = load_template ("deepseek-ai-DeepSeek-V3.1.jinja");
  {
    g_autoptr (AtlChatTemplate) chat = chat_new (source, "", "");
    g_autofree char *on = chat_render (chat, ask, "{\"enable_thinking\": true}");
    g_autofree char *off = chat_render (chat, ask, "{\"enable_thinking\": false}");

    g_assert_true (atl_chat_template_prompt_is_thinking (chat, on));
    g_assert_false (atl_chat_template_prompt_is_thinking (chat, off));
  }
  g_free (source);
  source = load_template ("ByteDance-Seed-OSS.jinja");
  {
    g_autoptr (AtlChatTemplate) chat = chat_new (source, "", "");
    g_autofree char *on = chat_render (chat, ask, "{\"enable_thinking\": true}");
    g_autofree char *off = chat_render (chat, ask, "{\"enable_thinking\": false}");

    g_assert_cmpstr (on, !=, off);
  }
}

/* Content as a list or as text, arguments as an object or as text: whatever only works is made of
 * what there is. */
static void
test_forms (void)
{
  const char *chat_text =
      "[{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", "
      "\"content\": [{\"type\": \"text\", \"text\": \"A\"}, {\"type\": \"text\", "
      "\"text\": \"B\"}]}]";
#define CALLS(arguments)                                                                           \
  "[{\"role\": \"user\", \"content\": \"Q\"}, {\"role\": \"assistant\", \"content\": null, "       \
  "\"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": " arguments "}}]}]"
  const char *with_text = CALLS ("\"{\\\"a\\\": 1}\"");
  const char *with_object = CALLS ("{\"a\": 1}");
  static const struct
  {
    const char *source;
    gboolean typed;
    const char *prompt;
  } contents[] = {
    { "{% for m in messages %}[{% for p in m.content %}{{ p.text }}{% endfor %}]{% endfor %}", TRUE,
      "[S][AB]" },
    { "{% for m in messages %}[{{ m.content }}]{% endfor %}", FALSE, "[S][AB]" },
    { "{% for m in messages if m.role == 'user' %}[{{ m.content + '!' }}]{% endfor %}", FALSE,
      "[S\nAB!]" },
    { "{% for m in messages if m.role == 'user' %}[{% for p in m.content %}{{ p.text }}|{% endfor "
      "%}]"
      "{% endfor %}",
      TRUE, "[S\n|A|B|]" },
  };
  static const char *const arguments[] = {
    "{% for m in messages %}{% for c in m.tool_calls %}{{ c.function.name }}"
    "{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}",
    "{% for m in messages %}{% for c in m.tool_calls %}{{ c.function.name + c.function.arguments }}"
    "{% endfor %}{% endfor %}",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (contents); i++)
    {
      g_autoptr (AtlChatTemplate) chat = chat_new (contents[i].source, "", "");
      g_autofree char *text = chat_render (chat, chat_text, NULL);

      g_assert_cmpstr (text, ==, contents[i].prompt);
      g_assert_true (atl_chat_template_caps (chat)->typed_content == contents[i].typed);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (arguments); i++)
    {
      g_autoptr (AtlChatTemplate) chat = chat_new (arguments[i], "", "");
      g_autofree char *from_text = chat_render (chat, with_text, NULL);
      g_autofree char *from_object = chat_render (chat, with_object, NULL);

      g_assert_cmpstr (from_text, ==, "f{\"a\": 1}");
      g_assert_true (strcmp (from_object, "f{\"a\": 1}") == 0 ||
                     strcmp (from_object, "f{\"a\":1}") == 0);
    }
}

static void
test_refusals (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlChatTemplate) chat =
      chat_new ("{{ raise_exception('Roles must alternate!') }}", "", "");
  g_autoptr (JsonNode) node = json_from_string ("[{\"role\": \"user\", \"content\": \"x\"}]", NULL);
  g_autoptr (JsonNode) odd = json_from_string ("[1]", NULL);

  g_assert_null (
      atl_chat_template_render (chat, json_node_get_array (node), NULL, NULL, TRUE, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_cmpstr (error->message, ==, "Roles must alternate!");
  g_clear_error (&error);
  g_assert_null (
      atl_chat_template_render (chat, json_node_get_array (odd), NULL, NULL, TRUE, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_null (atl_chat_template_new ("{% if", "", "", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/chat-template/huggingface-js", test_huggingface);
  g_test_add_func ("/chat-template/golden", test_golden);
  g_test_add_func ("/chat-template/llama-cpp", test_llama_cpp);
  g_test_add_func ("/chat-template/adapted", test_adapted);
  g_test_add_func ("/chat-template/caps", test_caps);
  g_test_add_func ("/chat-template/by-end", test_by_end);
  g_test_add_func ("/chat-template/known", test_known);
  g_test_add_func ("/chat-template/thinking", test_thinking);
  g_test_add_func ("/chat-template/forms", test_forms);
  g_test_add_func ("/chat-template/refusals", test_refusals);
  return g_test_run ();
}
