/* Thinking and stop strings, cut at every place a stream can be cut. */
#include <string.h>

#include "engine/answers/text-splitter.h"

typedef struct
{
  const char *name;
  const char *input;
  gboolean is_open;
  const char *stop; /* (nullable) */
  const char *thinking, *answer;
  gboolean is_stopped;
} Case;

static const Case cases[] = {
  { "plain", "Hello world", FALSE, NULL, "", "Hello world", FALSE },
  { "section", "<think>\nhm\n</think>\n\nYes.", FALSE, NULL, "hm\n", "Yes.", FALSE },
  { "blank-first", " \n<think>a</think>b", FALSE, NULL, "a", "b", FALSE },
  { "already-open", "hm</think>\nYes", TRUE, NULL, "hm", "Yes", FALSE },
  { "never-closed", "<think>on and on", FALSE, NULL, "on and on", "", FALSE },
  { "later-mark", "The mark <think> is text", FALSE, NULL, "", "The mark <think> is text", FALSE },
  { "half-mark", "<thin air", FALSE, NULL, "", "<thin air", FALSE },
  { "half-close", "<think>a</thin b</think>c", FALSE, NULL, "a</thin b", "c", FALSE },
  { "ends-in-half", "Yes <", FALSE, "<end>", "", "Yes <", FALSE },
  { "stop", "one<end>two", FALSE, "<end>", "", "one", TRUE },
  { "stop-in-thinking", "<think>a<end>b</think>c<end>d", FALSE, "<end>", "a<end>b", "c", TRUE },
  { "stop-overlap", "aaab", FALSE, "aab", "", "a", TRUE },
  { "stop-first", "<end>", FALSE, "<end>", "", "", TRUE },
  { "utf8", "<think>ü😀</think>é<end>", FALSE, "<end>", "ü😀", "é", TRUE },
  { "blanks-only", "  \n", FALSE, NULL, "", "  \n", FALSE },
};

typedef struct
{
  GString *thinking, *answer;
} Output;

static void
emit_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  Output *output = user_data;

  g_assert_cmpstr (text, !=, "");
  g_string_append (is_thinking ? output->thinking : output->answer, text);
}

/* Pieces of `step` bytes, the first of `first`. */
static void
run (const Case *c, gsize first, gsize step)
{
  const char *stop[] = { c->stop, NULL };
  Output output = { g_string_new (NULL), g_string_new (NULL) };
  g_autoptr (AtlTextSplitter) splitter = atl_text_splitter_new (
      "<think>", "</think>", c->is_open, c->stop != NULL ? stop : NULL, emit_cb, &output);
  gboolean is_stopped = FALSE;

  for (gsize at = 0, n = first; at < strlen (c->input); at += n, n = step)
    {
      g_autofree char *piece = g_strndup (c->input + at, n);

      is_stopped = atl_text_splitter_push (splitter, piece);
    }
  atl_text_splitter_finish (splitter);
  g_assert_cmpstr (output.thinking->str, ==, c->thinking);
  g_assert_cmpstr (output.answer->str, ==, c->answer);
  g_assert_cmpint (is_stopped, ==, c->is_stopped);
  g_string_free (output.thinking, TRUE);
  g_string_free (output.answer, TRUE);
}

static void
test_case (gconstpointer data)
{
  for (gsize first = 1; first <= 12; first++)
    for (gsize step = 1; step <= 12; step++)
      run (data, first, step);
}

/* What cannot be a mark comes out at once. */
static void
test_prompt (void)
{
  Output output = { g_string_new (NULL), g_string_new (NULL) };
  const char *stop[] = { "END", NULL };
  g_autoptr (AtlTextSplitter) splitter =
      atl_text_splitter_new ("<think>", "</think>", FALSE, stop, emit_cb, &output);

  atl_text_splitter_push (splitter, "Hello");
  g_assert_cmpstr (output.answer->str, ==, "Hello");
  atl_text_splitter_push (splitter, " E");
  g_assert_cmpstr (output.answer->str, ==, "Hello ");
  atl_text_splitter_push (splitter, "x");
  g_assert_cmpstr (output.answer->str, ==, "Hello Ex");
  g_string_free (output.thinking, TRUE);
  g_string_free (output.answer, TRUE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strconcat ("/text-splitter/", cases[i].name, NULL);

      g_test_add_data_func (path, &cases[i], test_case);
    }
  g_test_add_func ("/text-splitter/prompt", test_prompt);
  return g_test_run ();
}
