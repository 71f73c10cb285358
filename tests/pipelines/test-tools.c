/* Calls and answers of a real model, over random prompts, tools, formats, schemas, stop strings and
 * ends: whatever must be a call or JSON is one. The tiny model's own words are noise, which is what
 * this needs. ATELIER_TEST_MODEL names another model, ATELIER_TEST_ROUNDS how many prompts,
 * ATELIER_TEST_SEED which. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answers/schema-check.h"
#include "answers/schema-fixture.h"
#include "conformance.h"
#include "engine/pipelines/chat-model-private.h"
#include "engine/pipelines/chat-turn.h"
#include "engine/tensor/cpu/cpu.h"

#define N_CTX 4096u
#define DEFAULT_ROUNDS 40u

typedef struct
{
  AtlBackend *cpu;
  AtlChatModel *model; /* (nullable) */
  guint n_rounds;
} Fixture;

typedef struct
{
  GString *text;
  AtlToolSet *tools; /* (nullable) */
  gboolean is_gemma;
  guint n_calls, n_tokens, n_top;
  GString *tokens;
} Output;

static void
set_up (Fixture *f, gconstpointer data)
{
  AtlCpuOptions cpu = { .best_level = TRUE, .n_threads = 2 };
  AtlChatModelOptions options = { .n_ctx = N_CTX,
                                  .kv_dtype = ATL_DTYPE_F16,
                                  .n_gpu_layers = G_MAXUINT };
  g_autofree char *path = g_strdup (g_getenv ("ATELIER_TEST_MODEL"));
  const char *rounds = g_getenv ("ATELIER_TEST_ROUNDS");
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (GError) error = NULL;
  const char *names[] = { "model.gguf", NULL };

  f->n_rounds = rounds != NULL ? (guint) g_ascii_strtoull (rounds, NULL, 10) : DEFAULT_ROUNDS;
  if (path == NULL)
    path = atl_test_conformance ("models/stories260K.gguf");
  if (path == NULL)
    return;
  f->cpu = atl_cpu_backend_new (&cpu, &error);
  g_assert_no_error (error);
  map = atl_file_map_new (path, &error);
  g_assert_no_error (error);
  f->model = atl_chat_model_open (&map, names, 1, &error);
  g_assert_no_error (error);
  atl_chat_model_load (f->model, &f->cpu, 1, &options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  atl_chat_model_free (f->model);
  atl_backend_free (f->cpu);
}

static void
text_cb (const char *text, gboolean is_thinking, gpointer data)
{
  Output *output = data;

  if (!is_thinking)
    g_string_append (output->text, text);
}

static void
call_cb (const char *id, const char *name, const char *arguments, gpointer data)
{
  Output *output = data;
  gint i = atl_tool_set_find (output->tools, name, strlen (name));
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = atl_json_parse (arguments, strlen (arguments), "arguments", &error);

  g_assert_no_error (error);
  g_assert_cmpint (i, >=, 0);
  if (!(output->is_gemma &&
        has_words_of_json (atl_tool_set_get (output->tools, (guint) i)->schema)) &&
      !conforms (node, json_node_get_object (atl_tool_set_get (output->tools, (guint) i)->schema)))
    {
      g_autofree char *schema =
          json_to_string (atl_tool_set_get (output->tools, (guint) i)->schema, FALSE);

      g_test_fail_printf ("%s is not what %s wants: %s", arguments, name, schema);
    }
  output->n_calls++;
}

static void
token_cb (const AtlTurnToken *token,
          const AtlTurnToken *top,
          guint n_top,
          gboolean is_thinking,
          gpointer data)
{
  Output *output = data;
  double sum = 0;

  g_assert_cmpfloat (token->logprob, <=, 1e-4);
  for (guint i = 0; i < n_top; i++)
    {
      sum += exp (top[i].logprob);
      if (i > 0)
        g_assert_cmpfloat (top[i].logprob, <=, top[i - 1].logprob);
    }
  g_assert_cmpfloat (sum, <=, 1.001);
  output->n_tokens++;
  output->n_top += n_top;
  if (!is_thinking)
    g_string_append (output->tokens, token->text);
}

/* Words, signs, marks of formats and letters of several scripts. */
static char *
random_prompt (GRand *rand)
{
  static const char *const words[] = { "weather", "Bern", "{\"name\":", "<tool_call>", "ü",
                                       "日本",    "42",   "\n",         "call",        "</think>",
                                       "\"",      "😀",    "add",        "print",       "[1, 2",
                                       "tool",    "not",  "JSON" };
  GString *text = g_string_new ("Say");
  guint n = (guint) g_rand_int_range (rand, 0, 20);

  for (guint i = 0; i < n; i++)
    g_string_append_printf (text, " %s", words[g_rand_int_range (rand, 0, G_N_ELEMENTS (words))]);
  return g_string_free (text, FALSE);
}

static JsonArray *
messages_of (const char *prompt)
{
  JsonArray *messages = json_array_new ();
  JsonObject *message = json_object_new ();

  json_object_set_string_member (message, "role", "user");
  json_object_set_string_member (message, "content", prompt);
  json_array_add_object_element (messages, message);
  return messages;
}

static void
run (Fixture *f, GRand *rand, AtlTurnOptions *options, Output *output)
{
  AtlTurnSink sink = { .text = text_cb, .call = call_cb, .token = token_cb, .user_data = output };
  /* What calls and JSON are full of, and what they end with. */
  static const char *const stops[] = { "\"", "}", "a", "\n", "<", ":" };
  const char *stop[] = { stops[g_rand_int_range (rand, 0, G_N_ELEMENTS (stops))], NULL };
  g_autofree char *prompt = random_prompt (rand);
  g_autoptr (JsonArray) messages = messages_of (prompt);
  g_autoptr (GError) error = NULL;
  AtlTurnStats stats;

  atl_sampling_params_init (&options->sampling);
  options->sampling.temperature = (float) g_rand_int_range (rand, 0, 3);
  options->sampling.seed = g_rand_int (rand);
  options->max_tokens = g_rand_int_range (rand, 1, 60);
  options->thinking = -1;
  options->stop = g_rand_boolean (rand) ? stop : NULL;
  output->text = g_string_new (NULL);
  output->tokens = g_string_new (NULL);
  atl_chat_turn_run (f->model, messages, NULL, options, &sink, NULL, &stats, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (stats.n_calls, ==, output->n_calls);
  if (options->n_probs > 0)
    {
      g_assert_cmpuint (output->n_tokens, ==, stats.n_generated);
      g_assert_cmpuint (output->n_top, ==, stats.n_generated * options->n_probs);
    }
}

static void
output_clear (Output *output)
{
  g_string_free (output->text, TRUE);
  g_string_free (output->tokens, TRUE);
}

static GRand *
random_of (guint32 n)
{
  const char *seed = g_getenv ("ATELIER_TEST_SEED");

  return g_rand_new_with_seed (n + (seed != NULL ? (guint32) atoi (seed) * 1000u : 0));
}

/* The model writes calls as another family does. */
static void
take_format (Fixture *f, guint i)
{
  const AtlToolFormat *formats = atl_tool_formats ();
  guint n = 0;

  while (formats[n].name != NULL)
    n++;
  f->model->tool_format = &formats[i % n];
}

static void
test_calls (Fixture *f, gconstpointer data)
{
  const char *choice = data;
  g_autoptr (GRand) rand = random_of (5);

  for (guint i = 0; i < f->n_rounds && f->model != NULL; i++)
    {
      g_autoptr (JsonArray) list = random_tools (rand);
      g_autoptr (AtlToolSet) tools = atl_tool_set_new (list, NULL);
      AtlTurnOptions options = { .tools = list, .tool_choice = choice };
      Output output = { .tools = tools };

      take_format (f, i);
      output.is_gemma = f->model->tool_format->style == ATL_CALL_GEMMA;
      run (f, rand, &options, &output);
      if (g_str_equal (choice, "auto"))
        ;
      else if (output.n_calls == 0 || output.text->len > 0)
        g_test_fail_printf ("%u calls and “%s”", output.n_calls, output.text->str);
      output_clear (&output);
    }
}

static void
test_schemas (Fixture *f, gconstpointer data)
{
  g_autoptr (GRand) rand = random_of (6);

  for (guint i = 0; i < f->n_rounds && f->model != NULL; i++)
    {
      g_autoptr (JsonNode) schema = json_node_new (JSON_NODE_OBJECT);
      g_autoptr (JsonNode) value = NULL;
      g_autoptr (GError) error = NULL;
      g_autofree char *text = NULL;
      AtlTurnOptions options = { .n_probs = i % 3 };
      Output output = { 0 };

      json_node_take_object (schema, random_schema (rand, 3));
      text = json_to_string (schema, FALSE);
      options.json_schema = text;
      take_format (f, i);
      run (f, rand, &options, &output);
      value = atl_json_parse (output.text->str, output.text->len, "answer", &error);
      if (value == NULL)
        g_test_message ("“%s”", output.text->str);
      g_assert_no_error (error);
      if (!conforms (value, json_node_get_object (schema)))
        g_test_fail_printf ("%s is not what %s wants", output.text->str, text);
      output_clear (&output);
    }
}

/* The tokens' texts behind the thinking, put together, are the answer. */
static void
test_probs (Fixture *f, gconstpointer data)
{
  g_autoptr (GRand) rand = random_of (7);
  AtlTurnOptions options = { .n_probs = 5 };
  Output output = { 0 };

  if (f->model == NULL)
    return;
  run (f, rand, &options, &output);
  /* The marks of channels are no text, nor is what ends at a stop string. */
  if (strstr (output.tokens->str, "<|") == NULL)
    g_assert_true (
        g_str_has_prefix (output.text->str, output.tokens->str) ||
        (options.stop != NULL && g_str_has_prefix (output.tokens->str, output.text->str)));
  output_clear (&output);
}

static void
test_refusals (Fixture *f, gconstpointer data)
{
  g_autoptr (JsonNode) node = json_from_string ("[{\"name\": \"a\"}]", NULL);
  g_autoptr (JsonArray) messages = messages_of ("Hi");
  AtlTurnOptions options = { .tools = json_node_get_array (node), .tool_choice = "b" };
  AtlTurnSink sink = { .text = text_cb };
  g_autoptr (GError) error = NULL;
  AtlTurnStats stats;

  if (f->model == NULL)
    return;
  atl_sampling_params_init (&options.sampling);
  g_assert_false (
      atl_chat_turn_run (f->model, messages, NULL, &options, &sink, NULL, &stats, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "“b”"));
  g_clear_error (&error);
  options = (AtlTurnOptions){ .json_schema = "{\"type\": 3}" };
  atl_sampling_params_init (&options.sampling);
  g_assert_false (
      atl_chat_turn_run (f->model, messages, NULL, &options, &sink, NULL, &stats, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
}

/* A template that knows no results gets those of several calls as one message: many refuse two of
 * the user in a row. */
static void
test_results (Fixture *f, gconstpointer data)
{
  g_autoptr (JsonNode) node = json_from_string (
      "[{\"role\": \"user\", \"content\": \"Both?\"},"
      " {\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": ["
      "  {\"id\": \"a\", \"function\": {\"name\": \"now\", \"arguments\": {}}},"
      "  {\"id\": \"b\", \"function\": {\"name\": \"here\", \"arguments\": {}}}]},"
      " {\"role\": \"tool\", \"tool_call_id\": \"a\", \"content\": \"noon\"},"
      " {\"role\": \"tool\", \"tool_call_id\": \"b\", \"content\": \"Bern\"},"
      " {\"role\": \"assistant\", \"content\": \"Noon in Bern.\"},"
      " {\"role\": \"tool\", \"tool_call_id\": \"c\", \"content\": \"late\"}]",
      NULL);
  g_autoptr (JsonArray) adapted = NULL;
  JsonObject *results;

  if (f->model == NULL)
    {
      g_test_skip ("stories260K.gguf was not found");
      return;
    }
  adapted = atl_chat_tools_adapt (f->model, json_node_get_array (node), NULL);
  g_assert_cmpuint (json_array_get_length (adapted), ==, 5);
  results = json_array_get_object_element (adapted, 2);
  g_assert_cmpstr (json_object_get_string_member (results, "role"), ==, "user");
  g_assert_cmpstr (json_object_get_string_member (results, "content"), ==,
                   "<tool_response>\nnoon\n</tool_response>\n"
                   "<tool_response>\nBern\n</tool_response>");
  results = json_array_get_object_element (adapted, 4);
  g_assert_cmpstr (json_object_get_string_member (results, "content"), ==,
                   "<tool_response>\nlate\n</tool_response>");
}

/* Who wants no thoughts gets none, also where the template opens them whatever it is told. */
static void
test_no_thoughts (Fixture *f, gconstpointer data)
{
  g_autoptr (JsonArray) messages = messages_of ("Hi");
  AtlChatTemplate *own;
  guint n_ids[2];

  if (f->model == NULL)
    {
      g_test_skip ("stories260K.gguf was not found");
      return;
    }
  own = f->model->chat;
  f->model->chat = atl_chat_template_new (
      "{% for m in messages %}{{ m.content }}{% endfor %}<think>\n", "", "", NULL);
  g_assert_nonnull (f->model->chat);
  for (gint thinking = 0; thinking < 2; thinking++)
    {
      AtlPromptOptions options = { .messages = messages, .thinking = thinking };
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
      gboolean is_thinking = FALSE;
      g_autoptr (GError) error = NULL;

      atl_chat_prompt_encode (f->model, &options, ids, &is_thinking, &error);
      g_assert_no_error (error);
      g_assert_cmpint (is_thinking, ==, thinking);
      n_ids[thinking] = ids->len;
    }
  /* The mark that closes the section. */
  g_assert_cmpuint (n_ids[0], >, n_ids[1]);
  atl_chat_template_free (f->model->chat);
  f->model->chat = own;
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(path, data, func) g_test_add (path, Fixture, data, set_up, func, tear_down)
  ADD ("/tools/required", "required", test_calls);
  ADD ("/tools/named", "tool_0", test_calls);
  ADD ("/tools/auto", "auto", test_calls);
  ADD ("/tools/schemas", NULL, test_schemas);
  ADD ("/tools/probabilities", NULL, test_probs);
  ADD ("/tools/refusals", NULL, test_refusals);
  ADD ("/tools/results", NULL, test_results);
  ADD ("/tools/no-thoughts", NULL, test_no_thoughts);
  return g_test_run ();
}
