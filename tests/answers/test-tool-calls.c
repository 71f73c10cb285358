/* Calls in every format, cut at every place a stream can be cut; and what only looks like one. */
#include "answers-fixture.h"

typedef struct
{
  const char *format;
  const char *input;
  const char *expected;
} Case;

#define BERN "call[get_weather {\"city\":\"Bern\"}]"
#define BERN2 "call[get_weather {\"city\":\"Bern\",\"days\":2}]"
#define NOW "call[now {}]"
#define HERMES_BERN "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Bern\"}}"

static const Case cases[] = {
  { "hermes", "Hello <world>", "Hello <world>" },
  { "hermes", "<tool_call>\n" HERMES_BERN "\n</tool_call>", BERN },
  { "hermes", "Let me see.\n\n<tool_call>" HERMES_BERN "</tool_call>\n", "Let me see." BERN },
  { "hermes",
    "<tool_call>\n" HERMES_BERN "\n</tool_call>\n<tool_call>\n{\"name\": \"now\"}\n</tool_call>",
    BERN NOW },
  { "hermes", "<tool_call>" HERMES_BERN "</tool_call> And then", BERN " And then" },
  { "hermes", "<tool_call>" HERMES_BERN, BERN },
  { "hermes", "<think>maybe <tool_call></think>\n<tool_call>" HERMES_BERN "</tool_call>",
    "thinking{maybe <tool_call>}" BERN },
  /* Arguments as JSON in a string, as OpenAI has them; a number in quotes; a brace in a string. */
  { "hermes",
    "<tool_call>{\"name\": \"get_weather\", \"arguments\": \"{\\\"city\\\": \\\"Bern\\\"}\"}"
    "</tool_call>",
    BERN },
  { "hermes",
    "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Bern\", \"days\": "
    "\"2\"}}</tool_call>",
    BERN2 },
  { "hermes",
    "<tool_call>{\"arguments\": {\"city\": \"}</tool_call>\"}, \"name\": \"get_weather\"}"
    "</tool_call>",
    "call[get_weather {\"city\":\"}</tool_call>\"}]" },
  /* Qwen's coders put calls into listings. */
  { "hermes", "So:\n```json\n" HERMES_BERN "\n```\nDone", "So:" BERN "\nDone" },
  { "hermes", "```json\n{\"a\": 1}\n```\nDone", "```json\n{\"a\": 1}\n```\nDone" },
  /* Or leave the marks out. */
  { "hermes", HERMES_BERN, BERN },
  { "hermes", "{\"a\": 1}", "{\"a\": 1}" },
  { "hermes", "{{\"name\": \"now\"}}", "{{\"name\": \"now\"}}" },
  /* A raw line end in a string. */
  { "hermes",
    "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"a\nb\"}}</tool_call>",
    "call[get_weather {\"city\":\"a\\nb\"}]" },
  /* Not calls: broken, unknown, unfinished, no object, too deep a name. All stay as text. */
  { "hermes", "<tool_call>{\"name\": get}</tool_call>", "<tool_call>{\"name\": get}</tool_call>" },
  { "hermes", "<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>x",
    "<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>x" },
  { "hermes", "<tool_call>{\"name\": \"now\", \"argum", "<tool_call>{\"name\": \"now\", \"argum" },
  { "hermes", "<tool_call>", "<tool_call>" },
  { "hermes", "<tool_call>{\"name\": \"now\", \"arguments\": [1]}</tool_call>",
    "<tool_call>{\"name\": \"now\", \"arguments\": [1]}</tool_call>" },
  { "hermes", "<tool_call>hello</tool_call><tool_call>" HERMES_BERN "</tool_call>",
    "<tool_call>hello</tool_call>" BERN },
  { "hermes", "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": 1e999}}</tool_call>",
    "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": 1e999}}</tool_call>" },
  { "qwen3-coder",
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nBern\n</parameter>\n<parameter=days>\n2"
    "\n</parameter>\n</function>\n</tool_call>",
    BERN2 },
  { "qwen3-coder",
    "Yes.\n<function=get_weather>\n<parameter=city>\n12\n</parameter>\n<parameter=hourly>\nTrue\n"
    "</parameter>\n<parameter=more>\n[\"a\", \"b\"]\n</parameter>\n</function>\n</tool_call>",
    "Yes.call[get_weather {\"city\":\"12\",\"hourly\":true,\"more\":[\"a\",\"b\"]}]" },
  { "qwen3-coder",
    "<tool_call><function=get_weather><parameter=city>\n\n a\n\tb \n\n</parameter></function>"
    "</tool_call>",
    "call[get_weather {\"city\":\"\\n a\\n\\tb \\n\"}]" },
  { "qwen3-coder", "<tool_call>\n<function=now>\n</function>\n</tool_call>", NOW },
  { "qwen3-coder", "<tool_call>\n<function=get_weather>\n<parameter=city>\nBern",
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nBern" },
  { "seed",
    "<seed:tool_call>\n<function=get_weather>\n<parameter=city>Bern</parameter>\n<parameter=days>2"
    "</parameter>\n</function>\n</seed:tool_call>",
    BERN2 },
  { "glm-4",
    "\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n<arg_key>days"
    "</arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
    BERN2 },
  { "glm-4",
    "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Bern</arg_value></tool_call>"
    "<tool_call>now</tool_call>",
    BERN NOW },
  { "minimax-m2",
    "<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">Bern</parameter>"
    "\n</invoke>\n<invoke name=\"now\">\n</invoke>\n</minimax:tool_call>",
    BERN NOW },
  { "deepseek-v3.2",
    "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter "
    "name=\"city\" string=\"true\">Bern</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" "
    "string=\"false\">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    BERN2 },
  { "deepseek-v3.1",
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Bern\"}"
    "<｜tool▁call▁end｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
    "<｜tool▁calls▁end｜>",
    BERN NOW },
  { "deepseek-r1",
    "So:<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
    "{\"city\": \"Bern\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n"
    "```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "So:" BERN NOW },
  { "kimi-k2",
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
    "<|tool_call_argument_begin|>{\"city\": \"Bern\"}<|tool_call_end|><|tool_call_begin|>"
    "functions.now:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
    BERN NOW },
  { "solar",
    "<|tool_calls|><|tool_call:begin|>abc123<|tool_call:name|>get_weather<|tool_call:args|>"
    "{\"city\": \"Bern\"}<|tool_call:end|>",
    BERN },
  { "mistral", "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Bern\"}[TOOL_CALLS]now[ARGS]{}",
    BERN NOW },
  { "mistral", "[TOOL_CALLS]get_weather[CALL_ID]a1b2c3d4e[ARGS]{\"city\": \"Bern\"}", BERN },
  /* Half of a pair of escapes is no character. */
  { "mistral", "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"B\\u00e9\\ue83d\\ude00\"}",
    "call[get_weather {\"city\":\"B\u00e9\ue83d\ufffd\"}]" },
  { "mistral-list",
    "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Bern\"}, \"id\": "
    "\"123456789\"}, {\"name\": \"now\", \"arguments\": {}}]",
    BERN NOW },
  { "mistral-list", "[TOOL_CALLS] [{\"name\": \"now\"}, {\"name\": \"rm\"}]",
    "[TOOL_CALLS] [{\"name\": \"now\"}, {\"name\": \"rm\"}]" },
  { "llama-3", "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Bern\"}}", BERN },
  { "llama-3",
    "<|python_tag|>{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Bern\"}}; {\"name\": "
    "\"now\", \"parameters\": {}}",
    BERN NOW },
  { "llama-3", "{\"answer\": 42}", "{\"answer\": 42}" },
  { "llama-3", "{not json} {\"name\": \"now\"}", "{not json} {\"name\": \"now\"}" },
  { "functionary-3.1", "<function=get_weather>{\"city\": \"Bern\"}</function>", BERN },
  { "functionary-3.2", "all\nHello.", "Hello." },
  { "functionary-3.2", "get_weather\n{\"city\": \"Bern\"}>>>now\n{}", BERN NOW },
  { "functionary-3.2", "all\nI look.>>>get_weather\n{\"city\": \"Bern\"}", "I look." BERN },
  { "functionary-3.2", "nowhere to go", "nowhere to go" },
  { "command-r7b",
    "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\", "
    "\"parameters\": {\"city\": \"Bern\"}}\n]<|END_ACTION|>",
    BERN },
  { "command-r",
    "Action: ```json\n[\n    {\n        \"tool_name\": \"get_weather\",\n        \"parameters\": "
    "{\"city\": \"Bern\"}\n    }\n]```",
    BERN },
  { "apertus",
    "<|tools_prefix|>[{\"get_weather\": {\"city\": \"Bern\"}}, {\"now\": {}}]"
    "<|tools_suffix|>",
    BERN NOW },
  { "nemotron", "<TOOLCALL>[" HERMES_BERN "]</TOOLCALL>", BERN },
  { "apriel", "<tool_calls>[" HERMES_BERN ", {\"name\": \"now\"}]</tool_calls>", BERN NOW },
  { "minimax-m1", "<tool_calls>\n" HERMES_BERN "\n{\"name\": \"now\"}\n</tool_calls>", BERN NOW },
  { "granite-3", "<|tool_call|>[" HERMES_BERN "]", BERN },
  { "firefunction", " functools[" HERMES_BERN "]", BERN },
  { "phi-4-mini", "<|tool_call|>[" HERMES_BERN "]<|/tool_call|>", BERN },
  { "gigachat-3.1", "<|function_call|>" HERMES_BERN, BERN },
  { "lfm2", "<|tool_call_start|>[get_weather(city='Bern', days=2), now()]<|tool_call_end|>Wait.",
    BERN2 NOW "Wait." },
  { "lfm2",
    "<|tool_call_start|>[get_weather(city=\"It's \\\"B\\\"\\n\", more=['a', 'b'], hourly=False)]",
    "call[get_weather {\"city\":\"It's \\\"B\\\"\\n\",\"more\":[\"a\",\"b\"],\"hourly\":false}]" },
  { "lfm2", "<|tool_call_start|>[get_weather(city=]<|tool_call_end|>",
    "<|tool_call_start|>[get_weather(city=]<|tool_call_end|>" },
  { "gemma-4",
    "<|tool_call>call:get_weather{city:<|\"|>Be{rn<|\"|>,days:2,more:[<|\"|>a<|\"|>]}<tool_call|>",
    "call[get_weather {\"city\":\"Be{rn\",\"days\":2,\"more\":[\"a\"]}]" },
  { "gemma-4", "<|tool_call>call:now{}<tool_call|><|tool_call>call:now{}<tool_call|>", NOW NOW },
  { "minicpm-5",
    "<function name=\"get_weather\"><param name=\"city\">Bern</param><param name=\"days\">2</param>"
    "</function>",
    BERN2 },
  { "hunyuan-3",
    "<tool_calls:opensource>\n<tool_call:opensource>get_weather<tool_sep:opensource>\n"
    "<arg_key:opensource>city</arg_key:opensource>\n<arg_value:opensource>Bern"
    "</arg_value:opensource>\n</tool_call:opensource>\n</tool_calls:opensource>",
    BERN },
};

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (AtlToolSet) tools = tools_new (TOOLS_JSON);
  AtlAnswerReaderOptions options = { .think_open = "<think>",
                                     .think_close = "</think>",
                                     .format = atl_tool_format_by_name (c->format),
                                     .tools = tools };

  g_assert_nonnull (options.format);
  for (gsize first = 1; first <= 9; first++)
    for (gsize step = 1; step <= 40; step += step < 9 ? 1 : 31)
      {
        g_autofree char *line = read_answer (&options, c->input, first, step);

        g_assert_cmpstr (line, ==, c->expected);
      }
}

/* Stop strings end the answer, not a call. */
static void
test_stop (void)
{
  static const char *const stop[] = { "\n", NULL };
  g_autoptr (AtlToolSet) tools = tools_new (TOOLS_JSON);
  AtlAnswerReaderOptions options = { .format = atl_tool_format_by_name ("hermes"),
                                     .tools = tools,
                                     .stop = stop };
  g_autofree char *line = read_answer (
      &options, "<tool_call>\n" HERMES_BERN "\n</tool_call>A\nB<tool_call>" HERMES_BERN, 3, 3);

  g_assert_cmpstr (line, ==, BERN "A");
}

/* Without tools nothing is taken for a call. */
static void
test_no_tools (void)
{
  AtlAnswerReaderOptions options = { .format = atl_tool_format_by_name ("hermes") };
  g_autofree char *line = read_answer (&options, "<tool_call>" HERMES_BERN "</tool_call>", 5, 5);

  g_assert_cmpstr (line, ==, "<tool_call>" HERMES_BERN "</tool_call>");
}

/* Endless beginnings of calls end in text, and in time. */
static void
test_hostile (void)
{
  static const char *const pieces[] = { "<tool_call>",
                                        "<tool_call>{\"a\":\"",
                                        "<tool_call>\n<function=now>\n<parameter=a>\n",
                                        "<tool_call>{\"a\":[",
                                        "{",
                                        "[[[[",
                                        "<" };
  static const char *const formats[] = { "hermes", "qwen3-coder", "llama-3", "lfm2", "gemma-4" };
  g_autoptr (AtlToolSet) tools = tools_new (TOOLS_JSON);

  for (gsize f = 0; f < G_N_ELEMENTS (formats); f++)
    for (gsize p = 0; p < G_N_ELEMENTS (pieces); p++)
      {
        AtlAnswerReaderOptions options = { .format = atl_tool_format_by_name (formats[f]),
                                           .tools = tools };
        g_autoptr (GString) input = g_string_new (NULL);
        g_autofree char *line = NULL;

        while (input->len < 400000)
          g_string_append (input, pieces[p]);
        line = read_answer (&options, input->str, 100, 100);
        g_assert_cmpstr (line, ==, input->str);
      }
}

static void
expect_refused (const char *json, const char *words)
{
  g_autoptr (JsonNode) node = json_from_string (json, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (atl_tool_set_new (json_node_get_array (node), &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, words));
}

static void
test_tool_set (void)
{
  g_autoptr (AtlToolSet) tools = tools_new (TOOLS_JSON);
  g_autofree char *text = NULL;

  g_assert_cmpuint (atl_tool_set_n (tools), ==, 3);
  g_assert_cmpint (atl_tool_set_find (tools, "now", 3), ==, 1);
  g_assert_cmpint (atl_tool_set_find (tools, "nowhere", 7), ==, -1);
  g_assert_cmpuint (json_array_get_length (atl_tool_set_json (tools)), ==, 3);
  text = atl_tool_set_value (tools, 0, "days", " 3 ");
  g_assert_cmpstr (text, ==, "3");
  g_free (text);
  text = atl_tool_set_value (tools, 0, "days", "three");
  g_assert_cmpstr (text, ==, "\"three\"");
  g_free (text);
  text = atl_tool_set_value (tools, 0, "city", "3");
  g_assert_cmpstr (text, ==, "\"3\"");
  g_free (text);
  text = atl_tool_set_value (tools, 0, "units", "C");
  g_assert_cmpstr (text, ==, "\"C\"");
  g_free (text);
  text = atl_tool_set_value (tools, 2, "whatever", "{\"a\": 01}");
  g_assert_cmpstr (text, ==, "\"{\\\"a\\\": 01}\"");

  expect_refused ("[1]", "tool 1");
  expect_refused ("[{\"name\": \"a b\"}]", "a b");
  expect_refused ("[{\"name\": \"a\"}, {\"name\": \"a\"}]", "two tools");
  expect_refused ("[{\"name\": \"a\", \"parameters\": 3}]", "no JSON schema");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path =
          g_strdup_printf ("/tool-calls/%s/%" G_GSIZE_FORMAT, cases[i].format, i);

      g_test_add_data_func (path, &cases[i], test_case);
    }
  g_test_add_func ("/tool-calls/stop", test_stop);
  g_test_add_func ("/tool-calls/no-tools", test_no_tools);
  g_test_add_func ("/tool-calls/hostile", test_hostile);
  g_test_add_func ("/tool-calls/tool-set", test_tool_set);
  return g_test_run ();
}
