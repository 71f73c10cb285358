/* Any text as an answer in one of the formats (its length says which), cut in two places: what
 * comes out is valid UTF-8, its calls are JSON objects of known tools, and of text that is no call
 * nothing is lost. */
#include <string.h>

#include "answers/answers-fixture.h"
#include "fuzz.h"

static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES (
      "<think>hm</think>\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": "
      "\"Bern\", \"days\": \"2\"}}\n</tool_call>"),
  ATL_FUZZ_BYTES ("<tool_call>\n<function=get_weather>\n<parameter=city>\nBern\n</parameter>\n"
                  "<parameter=hourly>\nTrue\n</parameter>\n</function>\n</tool_call>"),
  ATL_FUZZ_BYTES ("<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n"
                  "</tool_call>"),
  ATL_FUZZ_BYTES ("<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>commentary "
                  "to=functions.now <|constrain|>json<|message|>{}<|call|>"),
  ATL_FUZZ_BYTES ("<|tool_call_start|>[get_weather(city='Be\\'rn', days=2, more=[\"a\", (1, 2)]), "
                  "now()]<|tool_call_end|>"),
  ATL_FUZZ_BYTES (
      "<|tool_call>call:get_weather{city:<|\"|>Bern<|\"|>,more:[1e5,{a:null}]}<tool_call|>"),
  ATL_FUZZ_BYTES (
      "[TOOL_CALLS]get_weather[CALL_ID]a1b2c3d4e[ARGS]{\"city\": \"B\\u00e9\\ud83d\\ude00\"}"),
  ATL_FUZZ_BYTES (
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n"
      "```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
  ATL_FUZZ_BYTES ("<|tool_calls_section_begin|><|tool_call_begin|>functions.now:0"
                  "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("<tool_call>"),
  ATL_FUZZ_BYTES ("</tool_call>"),
  ATL_FUZZ_BYTES ("<function="),
  ATL_FUZZ_BYTES ("<parameter="),
  ATL_FUZZ_BYTES ("</parameter>"),
  ATL_FUZZ_BYTES ("<think>"),
  ATL_FUZZ_BYTES ("</think>"),
  ATL_FUZZ_BYTES ("<|message|>"),
  ATL_FUZZ_BYTES ("to=functions."),
  ATL_FUZZ_BYTES ("<|tool_call_start|>["),
  ATL_FUZZ_BYTES ("[TOOL_CALLS]"),
  ATL_FUZZ_BYTES ("[ARGS]"),
  ATL_FUZZ_BYTES ("get_weather"),
  ATL_FUZZ_BYTES ("{\"name\": \"now\"}"),
  ATL_FUZZ_BYTES ("[[[["),
  ATL_FUZZ_BYTES ("\\u"),
  ATL_FUZZ_BYTES ("<|\"|>"),
  ATL_FUZZ_BYTES ("1e999"),
  ATL_FUZZ_BYTES (">>>"),
  ATL_FUZZ_BYTES ("```json"),
  { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "answers", NULL, NULL, seeds, words };

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static AtlToolSet *tools;
  static const AtlToolFormat *formats;
  static gsize n_formats;
  g_autofree char *bytes = g_strndup (size > 0 ? (const char *) data : "", size);
  g_autofree char *text = g_utf8_make_valid (bytes, -1);
  g_autofree char *whole = NULL, *cut = NULL;
  gsize length = strlen (text);
  AtlAnswerReaderOptions options;

  if (tools == NULL)
    {
      tools = tools_new (TOOLS_JSON);
      for (formats = atl_tool_formats (); formats[n_formats].name != NULL;)
        n_formats++;
    }
  if (length == 0)
    return 0;
  options = (AtlAnswerReaderOptions){ .think_open = "<think>",
                                      .think_close = "</think>",
                                      .is_thinking = size / n_formats % 5 == 0,
                                      .format = &formats[size % n_formats],
                                      .tools = tools };
  whole = read_answer (&options, text, length, length);
  cut = read_answer (&options, text, 1 + size % 13, 1 + size % 7);
  /* Where the text is cut makes no difference. */
  g_assert_cmpstr (whole, ==, cut);
  return 0;
}
