/* The channels of gpt-oss, cut everywhere. */
#include <string.h>

#include "answers-fixture.h"

typedef struct
{
  const char *input;
  const char *expected;
} Case;

static const Case cases[] = {
  { "<|channel|>final<|message|>Hello<|return|>", "Hello" },
  { "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes",
    "thinking{Hm.}Yes" },
  { "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary "
    "to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Bern\"}<|call|>",
    "thinking{Hm.}call[get_weather {\"city\":\"Bern\"}]" },
  { " to=functions.get_weather<|channel|>commentary json<|message|>{\"city\": \"Bern\"}",
    "call[get_weather {\"city\":\"Bern\"}]" },
  { "<|channel|>commentary<|message|>First I look.<|end|><|start|>assistant to=functions.now"
    "<|channel|>commentary<|message|>{}<|call|>",
    "First I look.call[now {}]" },
  { "<|channel|>analysis to=functions.now<|message|>{}<|call|>", "call[now {}]" },
  { "<|channel|>commentary to=functions.rm<|message|>{\"a\": 1}<|call|>",
    "to=functions.rm: {\"a\": 1}" },
  { "<|channel|>commentary to=functions.now<|message|>{\"a\": <|call|>",
    "to=functions.now: {\"a\": " },
  { "Plain words, no channel", "Plain words, no channel" },
  { "<|channel|>final<|message|>a < b <| c", "a < b <| c" },
  { "<|channel|>analysis<|message|>On and on", "thinking{On and on}" },
  { "<|channel|>ana", "" },
};

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (AtlToolSet) tools = tools_new (TOOLS_JSON);
  AtlAnswerReaderOptions options = { .format = atl_tool_format_by_name ("harmony"),
                                     .tools = tools };

  for (gsize first = 1; first <= 20; first++)
    for (gsize step = 1; step <= 20; step++)
      {
        g_autofree char *line = read_answer (&options, c->input, first, step);

        g_assert_cmpstr (line, ==, c->expected);
      }
}

static void
test_inside (void)
{
  AtlAnswerReaderOptions options = { .format = atl_tool_format_by_name ("harmony"),
                                     .continues = TRUE };
  g_autofree char *line = read_answer (&options, " and so on<|return|>", 4, 4);

  g_assert_cmpstr (line, ==, " and so on");
}

/* The beginning of a call is told once, with what followed it. */
static void
test_opened (void)
{
  g_autoptr (AtlToolSet) tools = tools_new (TOOLS_JSON);
  Events events = { .line = g_string_new (NULL) };
  const AtlAnswerSink sink = { events_text_cb, events_call_cb, &events };
  AtlAnswerReaderOptions options = { .format = atl_tool_format_by_name ("harmony"),
                                     .tools = tools };
  g_autoptr (AtlAnswerReader) reader = atl_answer_reader_new (&options, &sink);

  atl_answer_reader_push (reader, "<|channel|>commentary to=func");
  g_assert_null (atl_answer_reader_take_opened (reader));
  atl_answer_reader_push (reader, "tions.no");
  g_assert_cmpstr (atl_answer_reader_take_opened (reader), ==, "no");
  g_assert_null (atl_answer_reader_take_opened (reader));
  atl_answer_reader_push (reader, "w<|message|>{}<|call|>");
  g_assert_null (atl_answer_reader_take_opened (reader));
  atl_answer_reader_finish (reader);
  g_assert_cmpstr (events.line->str, ==, "call[now {}]");
  g_string_free (events.line, TRUE);
}

/* About the longest header: where it is cut makes no difference. */
static void
test_long_header (void)
{
  AtlAnswerReaderOptions options = { .format = atl_tool_format_by_name ("harmony") };

  for (gsize n = 480; n < 520; n++)
    {
      g_autofree char *name = g_strnfill (n, 'x');
      g_autofree char *text = g_strconcat ("<|channel|>final ", name, "<|message|>Yes", NULL);
      g_autofree char *whole = read_answer (&options, text, strlen (text), 1);

      g_assert_cmpstr (whole, ==, n + strlen ("<|channel|>final ") <= 512 ? "Yes" : text);
      for (gsize step = 1; step <= 20; step++)
        {
          g_autofree char *cut = read_answer (&options, text, 1, step);

          g_assert_cmpstr (cut, ==, whole);
        }
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strdup_printf ("/harmony/%" G_GSIZE_FORMAT, i);

      g_test_add_data_func (path, &cases[i], test_case);
    }
  g_test_add_func ("/harmony/inside", test_inside);
  g_test_add_func ("/harmony/opened", test_opened);
  g_test_add_func ("/harmony/long-header", test_long_header);
  return g_test_run ();
}
