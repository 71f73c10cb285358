/* atelier-cli as a person or a script runs it, with the engine process behind it. */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "cli-fixture.h"

static char *
model_path (void)
{
  const char *conformance = g_getenv ("ATELIER_CONFORMANCE");
  g_autofree char *beside =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "..", "shared", "conformance", NULL);
  g_autofree char *path = g_build_filename (conformance != NULL ? conformance : beside, "models",
                                            "stories260K.gguf", NULL);

  if (g_file_test (path, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&path);
  g_test_skip ("stories260K.gguf not found: this case did not run");
  return NULL;
}

static void
test_usage (void)
{
  static const char *const commands[] = { "chat", "run", "devices" };

  {
    g_auto (CliResult) result = { 0 };

    cli_run (&result, NULL, NULL);
    g_assert_cmpint (result.status, ==, 2);
    g_assert_nonnull (strstr (result.err, "fetch-starter"));
  }
  {
    g_auto (CliResult) result = { 0 };

    cli_run (&result, NULL, "dance", NULL);
    g_assert_cmpint (result.status, ==, 2);
    g_assert_nonnull (strstr (result.err, "dance"));
  }
  {
    g_auto (CliResult) result = { 0 };

    cli_run (&result, NULL, "run", "--temperature", "hot", "Hi", NULL);
    g_assert_cmpint (result.status, ==, 2);
    g_assert_nonnull (strstr (result.err, "temperature"));
  }
  {
    g_auto (CliResult) result = { 0 };

    cli_run (&result, NULL, "run", "--temperature", "99", "Hi", NULL);
    g_assert_cmpint (result.status, ==, 2);
    g_assert_nonnull (strstr (result.err, "from 0 to 5"));
  }
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      g_auto (CliResult) result = { 0 };

      cli_run (&result, NULL, commands[i], "--nonsense", NULL);
      g_assert_cmpint (result.status, ==, 2);
    }
}

/* Numbers that cannot be meant, and rules that say nothing, are no answer's: each is named. */
static void
test_refusals (void)
{
  static const struct
  {
    const char *option, *value, *words;
  } cases[] = {
    { "--threads", "-1", "--threads: -1" },
    { "-t", "100000", "-t: 100000" },
    { "--ctx", "-1", "--ctx: -1" },
    { "--ctx", "many", "“many”" },
    { "--gpu-layers", "-2", "--gpu-layers: -2" },
    { "--cpu-experts", "99999999", "--cpu-experts: 99999999" },
    { "--top-logprobs", "-1", "--top-logprobs: -1" },
    { "--top-logprobs", "101", "--top-logprobs: 101" },
    { "--json-schema", "/dev/null", "--json-schema" },
    { "--grammar", " \n", "--grammar" },
    { "--tools", "/dev/null", "--tools" },
    { "--tool-choice", "", "--tool-choice" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (CliResult) result = { 0 };

      cli_run (&result, NULL, "run", cases[i].option, cases[i].value, "Hi", NULL);
      g_test_message ("%s %s: %s", cases[i].option, cases[i].value, result.err);
      g_assert_cmpint (result.status, ==, 2);
      g_assert_nonnull (strstr (result.err, cases[i].words));
      g_assert_cmpstr (result.out, ==, "");
    }
}

/* Bytes that are no text are read as signs for that, and it is said: a page of text is not refused
 * for one of them. */
static void
test_odd_bytes (void)
{
  g_auto (CliResult) typed = { 0 }, piped = { 0 };

  cli_run (&typed, NULL, "run", "-m", "/nonexistent/model.gguf", "a \xff", NULL);
  g_assert_nonnull (strstr (typed.err, "UTF-8"));
  cli_run (&piped, "a \xff", "run", "-m", "/nonexistent/model.gguf", NULL);
  g_assert_nonnull (strstr (piped.err, "UTF-8"));
}

/* What is measured is what was named. */
static void
test_bench_backend (void)
{
  static const char *const names[] = { "", "nope", "cpu-avx9", "opencl:x", "opencl-1" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_auto (CliResult) result = { 0 };

      cli_run (&result, NULL, "bench", "--backend", names[i], "/nonexistent.gguf", NULL);
      g_test_message ("%s: %s", names[i], result.err);
      g_assert_cmpint (result.status, ==, 1);
      g_assert_null (strstr (result.err, "nonexistent"));
    }
}

/* Its options are called like those of other commands. */
static void
test_bench_kv_type (void)
{
  static const char *const commands[] = { "bench", "greedy" };

  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      g_auto (CliResult) result = { 0 };

      cli_run (&result, NULL, commands[i], "--kv-type", "q8_0", "/nonexistent.gguf", "/runs.json",
               NULL);
      g_assert_cmpint (result.status, ==, 1);
      g_assert_null (strstr (result.err, "kv-type"));
    }
}

static void
test_no_model (void)
{
  g_auto (CliResult) result = { 0 };

  cli_run (&result, NULL, "run", "-m", "/nonexistent/model.gguf", "Hi", NULL);
  g_assert_cmpint (result.status, ==, 1);
  g_assert_nonnull (strstr (result.err, "/nonexistent/model.gguf"));
  g_assert_cmpstr (result.out, ==, "");
}

static void
test_run (void)
{
  g_autofree char *path = model_path ();
  g_auto (CliResult) first = { 0 };
  g_auto (CliResult) second = { 0 };
  g_auto (CliResult) piped = { 0 };

  if (path == NULL)
    return;
  cli_run (&first, NULL, "run", "-m", path, "--raw", "--temperature", "0", "--max-tokens", "20",
           "Once", "upon", "a", "time", NULL);
  g_assert_cmpint (first.status, ==, 0);
  g_assert_cmpuint (strlen (first.out), >, 20);
  g_assert_true (g_str_has_suffix (first.out, "\n"));
  cli_run (&second, NULL, "run", "-m", path, "--raw", "--temperature", "0", "--max-tokens", "20",
           "Once upon a time", NULL);
  g_assert_cmpstr (first.out, ==, second.out);
  {
    g_auto (CliResult) one_thread = { 0 };

    cli_run (&one_thread, NULL, "run", "--json", "-t", "1", "-m", path, "--raw", "--max-tokens",
             "2", "Once", NULL);
    g_assert_nonnull (strstr (one_thread.out, "1 thread,"));
  }
  cli_run (&piped, "Once upon a time", "run", "-m", path, "--raw", "--temperature", "0",
           "--max-tokens", "20", NULL);
  g_assert_cmpstr (first.out, ==, piped.out);
}

static void
test_json (void)
{
  g_autofree char *path = model_path ();
  g_auto (CliResult) result = { 0 };
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *object;

  if (path == NULL)
    return;
  cli_run (&result, NULL, "run", "--json", "-m", path, "-s", "Be kind.", "--seed", "7",
           "--max-tokens", "9", "Hello", NULL);
  g_assert_cmpint (result.status, ==, 0);
  g_assert_true (json_parser_load_from_data (parser, result.out, -1, NULL));
  object = json_node_get_object (json_parser_get_root (parser));
  g_assert_cmpint (json_object_get_int_member (object, "seed"), ==, 7);
  g_assert_cmpint (json_object_get_int_member (object, "n_generated"), <=, 9);
  g_assert_cmpint (json_object_get_int_member (object, "n_prompt"), >, 3);
  g_assert_nonnull (strstr (json_object_get_string_member (object, "ran_on"), "CPU"));
  g_assert_true (json_object_has_member (object, "text"));
}

static void
test_stop_string (void)
{
  g_autofree char *path = model_path ();
  g_auto (CliResult) result = { 0 };

  if (path == NULL)
    return;
  cli_run (&result, NULL, "run", "-m", path, "--raw", "--temperature", "0", "--max-tokens", "100",
           "--stop", "Lily", "Once upon a time", NULL);
  g_assert_cmpint (result.status, ==, 0);
  g_assert_null (strstr (result.out, "Lily"));
}

/* Whatever the model would like to say, only this comes out. */
static void
test_grammar (void)
{
  g_autofree char *path = model_path ();
  g_auto (CliResult) gbnf = { 0 };
  g_auto (CliResult) schema = { 0 };
  g_auto (CliResult) broken = { 0 };
  g_autoptr (JsonParser) parser = json_parser_new ();

  if (path == NULL)
    return;
  cli_run (&gbnf, NULL, "run", "-m", path, "--raw", "--seed", "1", "--grammar",
           "root ::= \"yes\" | \"no\"", "Once upon a time", NULL);
  g_assert_cmpint (gbnf.status, ==, 0);
  g_assert_true (g_str_equal (gbnf.out, "yes\n") || g_str_equal (gbnf.out, "no\n"));
  cli_run (&schema, NULL, "run", "-m", path, "--raw", "--seed", "1", "--max-tokens", "200",
           "--schema",
           "{\"type\":\"object\",\"properties\":{\"age\":{\"type\":\"integer\",\"minimum\":1,"
           "\"maximum\":99}},\"required\":[\"age\"],\"additionalProperties\":false}",
           "Once upon a time", NULL);
  g_assert_cmpint (schema.status, ==, 0);
  g_assert_true (json_parser_load_from_data (parser, schema.out, -1, NULL));
  g_assert_true (
      json_object_has_member (json_node_get_object (json_parser_get_root (parser)), "age"));
  cli_run (&broken, NULL, "run", "-m", path, "--grammar", "root ::= (((", "Hi", NULL);
  g_assert_cmpint (broken.status, ==, 1);
  g_test_message ("%s", broken.err);
}

static void
test_chat (void)
{
  g_autofree char *path = model_path ();
  g_autofree char *folder = g_dir_make_tmp ("atelier-cli-XXXXXX", NULL);
  g_autofree char *saved = g_build_filename (folder, "chat.json", NULL);
  g_autofree char *input =
      g_strdup_printf ("/help\nHello\n/again\n/history\n/set temperature 0.2\n/set temperature 77\n"
                       "/nonsense\n/save %s\n/undo\n/history\n/quit\nnever read\n",
                       saved);
  g_auto (CliResult) result = { 0 };
  g_autofree char *json = NULL;

  if (path != NULL)
    {
      cli_run (&result, input, "chat", "-m", path, "--seed", "1", "--max-tokens", "12", "--system",
               "Be kind.", NULL);
      g_assert_cmpint (result.status, ==, 0);
      g_assert_nonnull (strstr (result.out, "/again"));
      g_assert_nonnull (strstr (result.out, "user: Hello"));
      g_assert_nonnull (strstr (result.out, "assistant: "));
      g_assert_nonnull (strstr (result.out, "from 0 to 5"));
      g_assert_nonnull (strstr (result.out, "/nonsense"));
      g_assert_null (strstr (result.out, "never read"));
      g_assert_true (g_file_get_contents (saved, &json, NULL, NULL));
      g_assert_nonnull (strstr (json, "\"content\":\"Be kind.\""));
      g_assert_nonnull (strstr (json, "\"content\":\"Hello\""));
    }
  g_remove (saved);
  g_rmdir (folder);
}

/* Ctrl-C in the middle of an endless answer: what is there is printed, the status says so. */
static void
test_interrupt (void)
{
  g_autofree char *path = model_path ();
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  GInputStream *out;
  char buffer[64];

  if (path == NULL)
    return;
  process = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, g_getenv ("ATELIER_CLI"),
                              "run", "-m", path, "--raw", "--temperature", "5", "--top-k", "0",
                              "--seed", "1", "--shift-context", "on", "Once upon a time", NULL);
  g_assert_no_error (error);
  out = g_subprocess_get_stdout_pipe (process);
  g_assert_cmpint (g_input_stream_read (out, buffer, sizeof buffer, NULL, NULL), >, 0);
  g_subprocess_send_signal (process, SIGINT);
  while (g_input_stream_read (out, buffer, sizeof buffer, NULL, NULL) > 0)
    ;
  g_assert_true (g_subprocess_wait (process, NULL, NULL));
  g_assert_true (g_subprocess_get_if_exited (process));
  /* 0 when the model came to an end of its own just before. */
  g_assert_true (g_subprocess_get_exit_status (process) == 130 ||
                 g_subprocess_get_exit_status (process) == 0);
}

static void
test_tools (void)
{
  g_autofree char *path = model_path ();
  g_auto (CliResult) devices = { 0 };
  g_auto (CliResult) inspect = { 0 };

  cli_run (&devices, NULL, "devices", NULL);
  g_assert_cmpint (devices.status, ==, 0);
  g_assert_nonnull (strstr (devices.out, "Processor"));
  if (path == NULL)
    return;
  cli_run (&inspect, NULL, "inspect", path, NULL);
  g_assert_cmpint (inspect.status, ==, 0);
  g_assert_nonnull (strstr (inspect.out, "llama"));
}

/* Random weights of a real shape can be written for other engines. */
static void
test_saved_shape (void)
{
  g_autofree char *folder = g_dir_make_tmp ("atelier-bench-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "shape.gguf", NULL);
  g_auto (CliResult) save = { 0 };
  g_auto (CliResult) inspect = { 0 };
  g_auto (CliResult) again = { 0 };

  cli_run (&save, NULL, "bench", "--synthetic", "smollm2-135m:q4_0", "--save", path, NULL);
  g_assert_cmpint (save.status, ==, 0);
  cli_run (&inspect, NULL, "inspect", path, NULL);
  g_assert_cmpint (inspect.status, ==, 0);
  g_assert_nonnull (strstr (inspect.out, "blk.29.ffn_down.weight"));
  cli_run (&again, NULL, "bench", "--synthetic", "smollm2-135m:q4_0", "--save", path, NULL);
  g_assert_cmpint (again.status, ==, 1); /* nothing is written over */
  g_unlink (path);
  g_rmdir (folder);
}

/* A file beyond the limit of a login's files is told about, and nothing of it stays. */
static void
test_size_limit (void)
{
  g_autofree char *folder = g_dir_make_tmp ("atelier-bench-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "shape.gguf", NULL);
  g_auto (CliResult) save = { 0 };
  struct rlimit before, less;

  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &before), ==, 0);
  less = before;
  less.rlim_cur = 1 << 20;
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &less), ==, 0);
  cli_run (&save, NULL, "bench", "--synthetic", "smollm2-135m:q4_0", "--save", path, NULL);
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &before), ==, 0);
  g_assert_cmpint (save.status, ==, 1);
  g_assert_cmpstr (save.err, !=, "");
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

/* The one object that --json prints. */
static JsonNode *
parse_output (const CliResult *result)
{
  g_autoptr (GError) error = NULL;
  JsonNode *node = json_from_string (result->out, &error);

  g_assert_no_error (error);
  g_assert_cmpint (result->status, ==, 0);
  return node;
}

/* Calls, a schema read from a file, and probabilities. */
static void
test_calls (void)
{
  static const char tools[] = "[{\"name\": \"now\", \"parameters\": {\"type\": \"object\", "
                              "\"properties\": {\"zone\": {\"type\": \"string\"}}}}]";
  g_autofree char *path = model_path ();
  g_autofree char *schema = NULL;
  g_autoptr (JsonNode) called = NULL;
  g_autoptr (JsonNode) answered = NULL;
  g_autoptr (JsonNode) text = NULL;
  g_auto (CliResult) call = { 0 };
  g_auto (CliResult) answer = { 0 };
  g_auto (CliResult) wrong = { 0 };
  JsonObject *first;
  JsonArray *list;
  int fd;

  if (path == NULL)
    return;
  cli_run (&call, NULL, "run", "-m", path, "--json", "--seed", "1", "--max-tokens", "30", "--tools",
           tools, "--tool-choice", "now", "What time is it?", NULL);
  called = parse_output (&call);
  list = json_object_get_array_member (json_node_get_object (called), "tool_calls");
  g_assert_cmpuint (json_array_get_length (list), ==, 1);
  first = json_object_get_object_member (json_array_get_object_element (list, 0), "function");
  g_assert_cmpstr (json_object_get_string_member (first, "name"), ==, "now");

  fd = g_file_open_tmp ("atelier-XXXXXX.json", &schema, NULL);
  g_assert_cmpint (fd, >=, 0);
  g_close (fd, NULL);
  g_file_set_contents (schema, "{\"type\": \"array\", \"items\": {\"type\": \"integer\"}}", -1,
                       NULL);
  cli_run (&answer, NULL, "run", "-m", path, "--json", "--seed", "1", "--max-tokens", "30",
           "--json-schema", schema, "--top-logprobs", "2", "Count", NULL);
  g_unlink (schema);
  answered = parse_output (&answer);
  text = json_from_string (json_object_get_string_member (json_node_get_object (answered), "text"),
                           NULL);
  g_assert_nonnull (text);
  g_assert_true (JSON_NODE_HOLDS_ARRAY (text));
  list = json_object_get_array_member (json_node_get_object (answered), "logprobs");
  g_assert_cmpuint (json_array_get_length (list), >, 0);
  first = json_array_get_object_element (list, 0);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (first, "top_logprobs")),
                    ==, 2);

  cli_run (&wrong, NULL, "run", "-m", path, "--tool-choice", "required", "Hi", NULL);
  g_assert_cmpint (wrong.status, !=, 0);
  g_assert_nonnull (strstr (wrong.err, "no tools"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cli/usage", test_usage);
  g_test_add_func ("/cli/refusals", test_refusals);
  g_test_add_func ("/cli/odd-bytes", test_odd_bytes);
  g_test_add_func ("/cli/bench-backend", test_bench_backend);
  g_test_add_func ("/cli/bench-kv-type", test_bench_kv_type);
  g_test_add_func ("/cli/no-model", test_no_model);
  g_test_add_func ("/cli/run", test_run);
  g_test_add_func ("/cli/json", test_json);
  g_test_add_func ("/cli/stop-string", test_stop_string);
  g_test_add_func ("/cli/grammar", test_grammar);
  g_test_add_func ("/cli/chat", test_chat);
  g_test_add_func ("/cli/interrupt", test_interrupt);
  g_test_add_func ("/cli/calls", test_calls);
  g_test_add_func ("/cli/tools", test_tools);
  g_test_add_func ("/cli/saved-shape", test_saved_shape);
  g_test_add_func ("/cli/size-limit", test_size_limit);
  return g_test_run ();
}
