/* Whatever a model makes of its logits, calls and answers under the grammar are read back whole:
 * random tools and schemas, random choices among what the grammar allows, ends at random places,
 * read in random pieces. ATELIER_TEST_ROUNDS says how many times as many, ATELIER_TEST_SEED which.
 */
#include <stdlib.h>

#include "answers-fixture.h"
#include "conformance.h"
#include "engine/answers/answer-grammar.h"
#include "engine/samplers/grammar.h"
#include "schema-check.h"
#include "schema-fixture.h"

static guint
rounds (guint n)
{
  const char *times = g_getenv ("ATELIER_TEST_ROUNDS");

  return times != NULL ? n * (guint) atoi (times) : n;
}

static GRand *
random_of (guint32 n)
{
  const char *seed = g_getenv ("ATELIER_TEST_SEED");

  return g_rand_new_with_seed (n + (seed != NULL ? (guint32) atoi (seed) * 1000u : 0));
}

/* --- A vocabulary of bytes and some words, the marks of a format among them as control tokens ---
 */

#define N_BYTES 256
static char bytes[N_BYTES];
static GPtrArray *control; /* spelling of the tokens behind the bytes */

static const char *
piece_cb (gpointer data, gint32 id, gsize *n)
{
  if (id >= N_BYTES)
    return NULL;
  bytes[id] = (char) id;
  *n = 1;
  return &bytes[id];
}

static const char *
name_cb (gpointer data, gint32 id, gsize *n)
{
  const char *name = control->pdata[id - N_BYTES];

  *n = strlen (name);
  return name;
}

static gint32
find_cb (const char *text, gsize n, gpointer data)
{
  for (guint i = 0; i + 1 < control->len; i++)
    if (strlen (control->pdata[i]) == n && memcmp (control->pdata[i], text, n) == 0)
      return (gint32) (N_BYTES + i);
  return -1;
}

/* Every second format's marks are tokens. */
static void
mark_cb (const char *mark, gpointer data)
{
  g_autofree char *word = g_strstrip (g_strdup (mark));

  if (*word == '<' && word[strlen (word) - 1] == '>' && strchr (word, '\f') == NULL &&
      find_cb (word, strlen (word), NULL) < 0)
    g_ptr_array_insert (control, 0, g_strdup (word));
}

/* What a model with random logits writes under `root`, cut after `n_max` tokens and then completed
 * as briefly as can be. */
static char *
random_text (GRand *rand, const char *gbnf, const char *root, guint n_max)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlGrammar) grammar = atl_grammar_new_gbnf (gbnf, root, &error);
  gsize n_tokens = N_BYTES + control->len;
  gint32 end = (gint32) n_tokens - 1;
  g_autoptr (AtlGrammarVocab) vocab = atl_grammar_vocab_new (n_tokens, piece_cb, NULL, &end, 1);
  g_autoptr (AtlGrammarMatcher) matcher = NULL;
  g_autofree float *logits = g_new (float, n_tokens);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *rest = NULL;

  if (error != NULL)
    g_test_message ("%s", gbnf);
  g_assert_no_error (error);
  matcher = atl_grammar_matcher_new (grammar, vocab);
  for (guint i = 0; i < n_max; i++)
    {
      gint32 best = -1;
      gsize n;

      for (gsize id = 0; id < n_tokens; id++)
        {
          logits[id] = (float) g_rand_double (rand);
          /* Letters as models like them, else strings are noise. */
          if (id < N_BYTES && !g_ascii_isprint ((char) id))
            logits[id] -= 0.9f;
          if (id == '"' || id == '}' || id == '<' || id == ',')
            logits[id] += 0.2f;
        }
      atl_grammar_matcher_mask (matcher, logits, n_tokens);
      for (gsize id = 0; id < n_tokens; id++)
        if (logits[id] > -1e30f && (best < 0 || logits[id] > logits[best]))
          best = (gint32) id;
      g_assert_cmpint (best, >=, 0);
      if (best == end)
        {
          g_assert_true (atl_grammar_matcher_is_complete (matcher));
          return g_strdup (text->str);
        }
      g_assert_true (atl_grammar_matcher_accept (matcher, best));
      if (best < N_BYTES)
        g_string_append_c (text, (char) best);
      else
        g_string_append (text, name_cb (NULL, best, &n));
    }
  /* A character that was begun is given up. */
  while (!g_utf8_validate (text->str, -1, NULL))
    g_string_truncate (text, text->len - 1);
  rest = atl_grammar_matcher_shortest (matcher, name_cb, NULL);
  g_assert_nonnull (rest);
  g_string_append (text, rest);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* --- Tests --- */

typedef struct
{
  AtlToolSet *tools;
  gboolean is_gemma;
  GString *text;
  guint n_calls;
} Read;

static void
text_cb (const char *text, gboolean is_thinking, gpointer data)
{
  g_string_append (((Read *) data)->text, text);
}

static void
call_cb (const AtlToolCall *call, gpointer data)
{
  Read *read = data;
  gint i = atl_tool_set_find (read->tools, call->name, strlen (call->name));
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node =
      atl_json_parse (call->arguments, strlen (call->arguments), "arguments", &error);

  g_assert_no_error (error);
  g_assert_cmpint (i, >=, 0);
  if (!(read->is_gemma && has_words_of_json (atl_tool_set_get (read->tools, (guint) i)->schema)) &&
      !conforms (node, json_node_get_object (atl_tool_set_get (read->tools, (guint) i)->schema)))
    {
      g_autofree char *schema =
          json_to_string (atl_tool_set_get (read->tools, (guint) i)->schema, FALSE);

      g_test_fail_printf ("%s is not what %s wants: %s", call->arguments, call->name, schema);
    }
  read->n_calls++;
}

/* In pieces of whole characters, as a detokeniser gives them. */
static void
push_pieces (AtlAnswerReader *reader, const char *text, GRand *rand)
{
  while (*text != '\0')
    {
      glong n = g_rand_int_range (rand, 1, 12);
      const char *end = text;
      g_autofree char *piece = NULL;

      for (; n > 0 && *end != '\0'; n--)
        end = g_utf8_next_char (end);
      piece = g_strndup (text, (gsize) (end - text));
      atl_answer_reader_push (reader, piece);
      text = end;
    }
}

static void
check_calls (const AtlToolFormat *format, AtlToolSet *tools, const char *text, GRand *rand)
{
  Read read = { .tools = tools,
                .is_gemma = format->style == ATL_CALL_GEMMA,
                .text = g_string_new (NULL) };
  const AtlAnswerSink sink = { text_cb, call_cb, &read };
  AtlAnswerReaderOptions options = { .format = format, .tools = tools };
  g_autoptr (AtlAnswerReader) reader = atl_answer_reader_new (&options, &sink);

  push_pieces (reader, text, rand);
  atl_answer_reader_finish (reader);
  if (read.n_calls == 0 || *g_strstrip (read.text->str) != '\0')
    g_test_fail_printf ("%s: %u calls and “%s” in: %s", format->name, read.n_calls, read.text->str,
                        text);
  g_string_free (read.text, TRUE);
}

static void
test_format (gconstpointer data)
{
  const AtlToolFormat *format = data;
  g_autoptr (GRand) rand = random_of (7);

  for (guint round = 0; round < rounds (60); round++)
    {
      g_autoptr (JsonArray) list = random_tools (rand);
      g_autoptr (AtlToolSet) tools = atl_tool_set_new (list, NULL);
      AtlAnswerGrammar g = { .format = format,
                             .tools = tools,
                             .only_tool = round % 3 == 0 ? 0 : -1,
                             .max_calls = 1 + round % 3,
                             .calls_only = TRUE,
                             .find_token = find_cb };
      g_autoptr (GError) error = NULL;
      g_autofree char *gbnf = NULL;
      g_autofree char *text = NULL;
      g_autofree char *lazy = NULL;
      g_autofree char *whole = NULL;
      guint n_max = (guint) g_rand_int_range (rand, 0, 400);

      g_ptr_array_set_size (control, 0);
      g_ptr_array_add (control, g_strdup ("<end>"));
      if (round % 2 == 0)
        atl_tool_format_visit_marks (format, mark_cb, NULL);
      gbnf = atl_answer_grammar_write (&g, &error);
      g_assert_no_error (error);
      text = random_text (rand, gbnf, ATL_ANSWER_ROOT, n_max);
      check_calls (format, tools, text, rand);
      lazy = random_text (rand, gbnf, ATL_ANSWER_LAZY, n_max);
      whole = g_strconcat (format->style == ATL_CALL_HARMONY ? " to=functions." : format->open,
                           lazy, NULL);
      check_calls (format, tools, whole, rand);
    }
}

static void
test_schemas (void)
{
  g_autoptr (GRand) rand = random_of (3);

  g_ptr_array_set_size (control, 0);
  g_ptr_array_add (control, g_strdup ("<end>"));
  for (guint round = 0; round < rounds (400); round++)
    {
      g_autoptr (JsonNode) schema = json_node_new (JSON_NODE_OBJECT);
      AtlAnswerGrammar g = { .only_tool = -1, .max_calls = 1, .schema = schema };
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonNode) value = NULL;
      g_autofree char *gbnf = NULL;
      g_autofree char *text = NULL;

      json_node_take_object (schema, random_schema (rand, 4));
      gbnf = atl_answer_grammar_write (&g, &error);
      g_assert_no_error (error);
      text = random_text (rand, gbnf, ATL_ANSWER_AFTER, (guint) g_rand_int_range (rand, 0, 300));
      value = atl_json_parse (text, strlen (text), "answer", &error);
      g_assert_no_error (error);
      if (!conforms (value, json_node_get_object (schema)))
        {
          g_autofree char *words = json_to_string (schema, FALSE);

          g_test_fail_printf ("%s is not what %s wants", text, words);
        }
    }
}

/* Other people's schemas: the answer is JSON, and what the schema allows by the grammar itself. */
static void
test_published (void)
{
  g_autoptr (GRand) rand = random_of (4);
  g_autofree char *path = atl_test_conformance ("grammar/json-schema.json");
  g_autofree char *text = NULL;
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GError) error = NULL;
  JsonArray *cases;
  gsize size;

  if (path == NULL)
    return;
  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  root = atl_json_parse (text, size, path, &error);
  g_assert_no_error (error);
  cases = atl_json_array (json_node_get_object (root), "cases");
  g_ptr_array_set_size (control, 0);
  g_ptr_array_add (control, g_strdup ("<end>"));
  for (guint round = 0; round < rounds (1); round++)
    for (guint i = 0; i < json_array_get_length (cases); i++)
      {
        JsonObject *one = json_array_get_object_element (cases, i);
        AtlAnswerGrammar g = { .only_tool = -1, .max_calls = 1 };
        g_autoptr (GError) mistake = NULL;
        g_autoptr (JsonNode) value = NULL;
        g_autofree char *gbnf = NULL;
        g_autofree char *answer = NULL;

        g.schema = json_object_get_member (one, "schema");
        gbnf = atl_answer_grammar_write (&g, &mistake);
        if (gbnf == NULL)
          continue;
        answer =
            random_text (rand, gbnf, ATL_ANSWER_AFTER, (guint) g_rand_int_range (rand, 0, 300));
        value = atl_json_parse (answer, strlen (answer), "answer", &mistake);
        if (value == NULL)
          g_test_fail_printf ("%s: %s", atl_json_string (one, "name", ""), answer);
      }
}

static void
test_refusals (void)
{
  g_autoptr (AtlToolSet) tools =
      tools_new ("[{\"name\": \"one\", \"parameters\": {\"type\": \"string\"}}]");
  g_autoptr (AtlToolSet) other = tools_new (
      "[{\"name\": \"two\", \"parameters\": {\"type\": \"object\", \"properties\": {\"a\": "
      "{\"$ref\": \"http://x\"}}}}]");
  AtlAnswerGrammar g = {
    .format = atl_tool_format_by_name ("hermes"), .tools = tools, .only_tool = -1, .max_calls = 1
  };
  g_autoptr (GError) error = NULL;

  g_assert_null (atl_answer_grammar_write (&g, &error));
  g_assert_nonnull (strstr (error->message, "one"));
  g_clear_error (&error);
  g.tools = other;
  g_assert_null (atl_answer_grammar_write (&g, &error));
  g_assert_nonnull (strstr (error->message, "two"));
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  control = g_ptr_array_new_with_free_func (g_free);
  for (const AtlToolFormat *row = atl_tool_formats (); row->name != NULL; row++)
    {
      g_autofree char *path = g_strdup_printf ("/answer-grammar/%s", row->name);

      g_test_add_data_func (path, row, test_format);
    }
  g_test_add_func ("/answer-grammar/schemas", test_schemas);
  g_test_add_func ("/answer-grammar/published", test_published);
  g_test_add_func ("/answer-grammar/refusals", test_refusals);
  result = g_test_run ();
  g_ptr_array_unref (control);
  return result;
}
