/* Grammars against conformance/grammar: what they accept and refuse, character by character and
 * token by token; then their limits, the masks, and damaged grammars and schemas. */
#include "engine/samplers/grammar.h"

#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "conformance.h"

/* --- Helpers --- */

static JsonArray *
load_cases (const char *file)
{
  g_autofree char *relative = g_build_filename ("grammar", file, NULL);
  g_autofree char *path = atl_test_conformance (relative);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;
  JsonNode *node;

  if (path == NULL)
    return NULL;
  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  node = atl_json_parse (text, size, file, &error); /* lives as long as the test */
  g_assert_no_error (error);
  return json_object_get_array_member (json_node_get_object (node), "cases");
}

/* A vocabulary of all bytes and some longer pieces, of which one cuts a character. */
static const char *const long_pieces[] = { "{\"",      "\":",      "\", \"", "abc",
                                           "hello",    "12",       "345",    "  ",
                                           "\n",       "true",     "null",   "\xe6\x97\xa5\xe6",
                                           "\x9c\xac", "\xf0\x9f", "root",   "Bern",
                                           "\"}",      "[[",       "]]" };

#define N_BYTES 256
#define N_TOKENS (N_BYTES + (gint32) G_N_ELEMENTS (long_pieces) + 2)
#define CONTROL_TOKEN (N_TOKENS - 2)
#define END_TOKEN (N_TOKENS - 1)

static const char *
piece_cb (gpointer data, gint32 id, gsize *n)
{
  static char bytes[N_BYTES];

  if (id < N_BYTES)
    {
      bytes[id] = (char) id;
      *n = 1;
      return &bytes[id];
    }
  if (id >= CONTROL_TOKEN)
    return NULL;
  *n = strlen (long_pieces[id - N_BYTES]);
  return long_pieces[id - N_BYTES];
}

static AtlGrammarVocab *
vocab_new (void)
{
  gint32 end = END_TOKEN;

  return atl_grammar_vocab_new (N_TOKENS, piece_cb, NULL, &end, 1);
}

static gboolean
matches_whole (AtlGrammar *grammar, const char *text)
{
  g_autoptr (AtlGrammarMatcher) matcher = atl_grammar_matcher_new (grammar, NULL);

  return atl_grammar_matcher_accept_text (matcher, text, strlen (text)) &&
         atl_grammar_matcher_is_complete (matcher);
}

/* Byte by byte, by tokens where a long one fits; the mask must agree with what is accepted. */
static gboolean
matches_tokens (AtlGrammar *grammar, AtlGrammarVocab *vocab, const char *text)
{
  g_autoptr (AtlGrammarMatcher) matcher = atl_grammar_matcher_new (grammar, vocab);
  float logits[N_TOKENS];
  guint step = 0;

  while (*text != '\0')
    {
      gint32 id = (guint8) *text;
      gsize n = 1;

      for (gsize i = 0; i < G_N_ELEMENTS (long_pieces); i++)
        if (step % 2 == 0 && strlen (long_pieces[i]) > n && g_str_has_prefix (text, long_pieces[i]))
          {
            id = N_BYTES + (gint32) i;
            n = strlen (long_pieces[i]);
          }
      if (step % 5 == 0)
        {
          memset (logits, 0, sizeof logits);
          atl_grammar_matcher_mask (matcher, logits, N_TOKENS);
          for (gint32 other = 0; other < N_TOKENS; other++)
            g_assert_true ((logits[other] == 0) == atl_grammar_matcher_allows (matcher, other));
        }
      if (!atl_grammar_matcher_allows (matcher, id))
        {
          g_assert_false (atl_grammar_matcher_accept (matcher, id));
          return FALSE;
        }
      g_assert_true (atl_grammar_matcher_accept (matcher, id));
      text += n;
      step++;
    }
  if (!atl_grammar_matcher_is_complete (matcher))
    return FALSE;
  g_assert_true (atl_grammar_matcher_allows (matcher, END_TOKEN));
  g_assert_true (atl_grammar_matcher_accept (matcher, END_TOKEN));
  g_assert_false (atl_grammar_matcher_allows (matcher, 'a'));
  return TRUE;
}

/* A string, or a list of texts and tokens. */
static gboolean
matches (AtlGrammar *grammar, AtlGrammarVocab *vocab, JsonNode *node)
{
  if (JSON_NODE_HOLDS_ARRAY (node))
    {
      JsonArray *parts = json_node_get_array (node);
      g_autoptr (AtlGrammarMatcher) matcher = atl_grammar_matcher_new (grammar, NULL);

      for (guint i = 0; i < json_array_get_length (parts); i++)
        {
          JsonNode *part = json_array_get_element (parts, i);
          gboolean ok;

          /* Text is one token with a number that the grammars do not name. */
          if (JSON_NODE_HOLDS_OBJECT (part))
            ok = atl_grammar_matcher_accept (matcher, (gint32) json_object_get_int_member (
                                                          json_node_get_object (part), "token"));
          else
            ok = atl_grammar_matcher_accept (matcher, 999);
          if (!ok)
            return FALSE;
        }
      return atl_grammar_matcher_is_complete (matcher);
    }
  else
    {
      gboolean whole = matches_whole (grammar, json_node_get_string (node));
      gboolean by_tokens = matches_tokens (grammar, vocab, json_node_get_string (node));

      g_assert_true (whole == by_tokens);
      return whole;
    }
}

static guint
check_strings (const char *name, AtlGrammar *grammar, JsonObject *item, guint *n_strings)
{
  g_autoptr (AtlGrammarVocab) vocab = vocab_new ();
  guint n_failed = 0;

  for (guint pass = 0; pass < 2; pass++)
    {
      JsonArray *strings = atl_json_array (item, pass ? "pass" : "fail");

      for (guint i = 0; strings != NULL && i < json_array_get_length (strings); i++)
        {
          JsonNode *node = json_array_get_element (strings, i);
          g_autofree char *text = NULL;

          (*n_strings)++;
          if (matches (grammar, vocab, node) == (pass == 1))
            continue;
          text = json_to_string (node, FALSE);
          g_test_message ("FAILED %s: %s %s", name, pass ? "must accept" : "must refuse", text);
          n_failed++;
        }
    }
  return n_failed;
}

/* --- Conformance --- */

static void
test_integration (void)
{
  JsonArray *cases = load_cases ("integration.json");
  guint n_failed = 0;
  guint n_strings = 0;

  if (cases == NULL)
    return;
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *item = json_array_get_object_element (cases, i);
      const char *name = json_object_get_string_member (item, "name");
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlGrammar) grammar = NULL;

      if (json_object_has_member (item, "schema"))
        grammar = atl_grammar_new_json_schema (json_object_get_member (item, "schema"), &error);
      else
        grammar =
            atl_grammar_new_gbnf (json_object_get_string_member (item, "grammar"), "root", &error);
      if (grammar == NULL)
        {
          g_test_message ("FAILED %s: %s", name, error->message);
          n_failed++;
          continue;
        }
      n_failed += check_strings (name, grammar, item, &n_strings);
    }
  g_test_message ("%u cases, %u strings, %u failed", json_array_get_length (cases), n_strings,
                  n_failed);
  g_assert_cmpuint (json_array_get_length (cases), >=, 47);
  g_assert_cmpuint (n_failed, ==, 0);
}

static void
test_samples (void)
{
  JsonArray *cases = load_cases ("gbnf-samples.json");
  guint n_failed = 0;
  guint n_strings = 0;

  if (cases == NULL)
    return;
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *item = json_array_get_object_element (cases, i);
      const char *file = json_object_get_string_member (item, "grammar_file");
      g_autofree char *relative = g_build_filename ("grammar", file, NULL);
      g_autofree char *path = atl_test_conformance_find (relative);
      g_autofree char *source = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlGrammar) grammar = NULL;

      g_file_get_contents (path, &source, NULL, &error);
      g_assert_no_error (error);
      grammar = atl_grammar_new_gbnf (source, "root", &error);
      g_assert_no_error (error);
      n_failed += check_strings (file, grammar, item, &n_strings);
    }
  g_test_message ("%u grammars, %u strings, %u failed", json_array_get_length (cases), n_strings,
                  n_failed);
  g_assert_cmpuint (json_array_get_length (cases), >=, 8);
  g_assert_cmpuint (n_failed, ==, 0);
}

static void
test_parse (void)
{
  JsonArray *cases = load_cases ("parse.json");
  guint n_failed = 0;
  guint n_errors = 0;

  if (cases == NULL)
    return;
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *item = json_array_get_object_element (cases, i);
      gboolean wants_error = json_object_get_boolean_member (item, "error");
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlGrammar) grammar =
          atl_grammar_new_gbnf (json_object_get_string_member (item, "grammar"),
                                json_object_get_string_member (item, "root"), &error);

      g_assert_true ((grammar == NULL) == (error != NULL));
      n_errors += wants_error;
      if ((error != NULL) != wants_error)
        {
          g_test_message ("FAILED %s: %s", json_object_get_string_member (item, "name"),
                          error != NULL ? error->message : "accepted");
          n_failed++;
        }
    }
  g_test_message ("%u cases, %u of them errors, %u failed", json_array_get_length (cases), n_errors,
                  n_failed);
  g_assert_cmpuint (json_array_get_length (cases), >=, 47);
  g_assert_cmpuint (n_failed, ==, 0);
}

static void
test_json_schema (void)
{
  JsonArray *cases = load_cases ("json-schema.json");
  guint n_failed = 0;
  guint n_strings = 0;

  if (cases == NULL)
    return;
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *item = json_array_get_object_element (cases, i);
      const char *name = json_object_get_string_member (item, "name");
      gboolean wants_error = json_object_get_boolean_member (item, "expected_failure");
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlGrammar) grammar =
          atl_grammar_new_json_schema (json_object_get_member (item, "schema"), &error);

      if ((error != NULL) != wants_error)
        {
          g_autofree char *gbnf =
              atl_grammar_schema_to_gbnf (json_object_get_member (item, "schema"), NULL);

          g_test_message ("FAILED %s: %s\n%s", name, error != NULL ? error->message : "accepted",
                          gbnf);
          n_failed++;
        }
      /* The reference names the rule of the property "" like the root and so loses the object: what
       * it accepts are plain integers. Ours is judged by test_empty_name. */
      if (grammar != NULL && strcmp (name, "optional props with empty name") != 0)
        n_failed += check_strings (name, grammar, item, &n_strings);
    }
  g_test_message ("%u schemas, %u strings, %u failed", json_array_get_length (cases), n_strings,
                  n_failed);
  g_assert_cmpuint (json_array_get_length (cases), >=, 81);
  g_assert_cmpuint (n_failed, ==, 0);
}

/* --- Details --- */

static void
expect_schema (const char *schema, const char *const *pass, const char *const *refused)
{
  g_autoptr (JsonNode) node = json_from_string (schema, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlGrammar) grammar = atl_grammar_new_json_schema (node, &error);

  g_assert_no_error (error);
  for (; *pass != NULL; pass++)
    if (!matches_whole (grammar, *pass))
      g_test_fail_printf ("%s refuses %s", schema, *pass);
  for (; *refused != NULL; refused++)
    if (matches_whole (grammar, *refused))
      g_test_fail_printf ("%s accepts %s", schema, *refused);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void
test_empty_name (void)
{
  expect_schema (
      "{\"properties\": {\"\": {\"type\": \"integer\"}, \"a\": {\"type\": \"integer\"}}, "
      "\"additionalProperties\": {\"type\": \"integer\"}}",
      LIST ("{}", "{\"\": 1}", "{\"a\": 1}", "{\"\": 1, \"a\": 2, \"b\": 3}", "{\"aa\": 1}"),
      LIST ("1", "{\"a\": 1, \"a\": 2}", "{\"\": \"x\"}", "{\"x\": null}"));
}

static void
test_schema_details (void)
{
  expect_schema ("{\"type\": \"string\", \"pattern\": \"^[\\\\w.]+@\\\\d{2,3}$\"}",
                 LIST ("\"a.b@12\"", "\"_@999\""), LIST ("\"a b@12\"", "\"a@1\"", "\"@12\""));
  expect_schema ("{\"type\": \"string\", \"pattern\": \"^a\\\"b\\\\\\\\$\"}",
                 LIST ("\"a\\\"b\\\\\""), LIST ("\"ab\"", "\"a\"b\\\""));
  expect_schema ("{\"type\": \"string\", \"pattern\": \"^[^a-z]$\"}",
                 LIST ("\"A\"", "\"é\"", "\"\\n\"", "\"\\\"\""), LIST ("\"a\"", "\"\"", "\"\n\""));
  expect_schema ("{\"type\": \"string\", \"pattern\": \"b+\"}", LIST ("\"b\"", "\"abba\""),
                 LIST ("\"a\"", "\"\""));
  expect_schema ("{\"type\": \"integer\", \"minimum\": 98, \"maximum\": 1002}",
                 LIST ("98", "99", "100", "555", "999", "1000", "1002"),
                 LIST ("97", "1003", "9", "10000", "098", "-98"));
  expect_schema ("{\"type\": \"integer\", \"minimum\": -305, \"maximum\": -17}",
                 LIST ("-305", "-300", "-17", "-18", "-20", "-99", "-100"),
                 LIST ("-306", "-16", "-310", "-1", "17", "0", "-400"));
  expect_schema ("{\"$ref\": \"#/$defs/node\", \"$defs\": {\"node\": {\"type\": \"object\", "
                 "\"properties\": {\"next\": {\"anyOf\": [{\"$ref\": \"#/$defs/node\"}, "
                 "{\"type\": \"null\"}]}}, \"required\": [\"next\"]}}}",
                 LIST ("{\"next\": null}", "{\"next\": {\"next\": null}}"),
                 LIST ("{}", "{\"next\": 1}", "{\"next\": {}}"));
  expect_schema ("{\"type\": \"array\", \"items\": {\"type\": \"integer\"}, \"minItems\": 2}",
                 LIST ("[1, 2]", "[1,2,3]"), LIST ("[]", "[1]", "[1,]"));
  expect_schema ("true", LIST ("1", "{\"a\": []}"), LIST ("", "x"));
}

/* Every range of integers near the edges, against counting. */
static void
test_integer_ranges (void)
{
  static const int bounds[] = { -1001, -100, -99, -10, -9, -1,  0,   1,
                                9,     10,   11,  19,  99, 100, 101, 999 };

  for (gsize i = 0; i < G_N_ELEMENTS (bounds); i++)
    for (gsize k = i; k < G_N_ELEMENTS (bounds); k++)
      {
        g_autofree char *schema = g_strdup_printf (
            "{\"type\": \"integer\", \"minimum\": %d, \"maximum\": %d}", bounds[i], bounds[k]);
        g_autoptr (JsonNode) node = json_from_string (schema, NULL);
        g_autoptr (GError) error = NULL;
        g_autoptr (AtlGrammar) grammar = atl_grammar_new_json_schema (node, &error);

        g_assert_no_error (error);
        for (int value = -1100; value <= 1100; value += value % 97 == 0 ? 1 : 3)
          {
            char text[16];

            g_snprintf (text, sizeof text, "%d", value);
            g_assert_true (matches_whole (grammar, text) ==
                           (value >= bounds[i] && value <= bounds[k]));
          }
      }
}

static void
test_tokens (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *source =
      g_strdup_printf ("root ::= <[%d]> [a-z]* !<[%d]>", CONTROL_TOKEN, CONTROL_TOKEN);
  g_autoptr (AtlGrammar) grammar = atl_grammar_new_gbnf (source, "root", &error);
  g_autoptr (AtlGrammarVocab) vocab = vocab_new ();
  g_autoptr (AtlGrammarMatcher) matcher = NULL;
  g_autoptr (AtlGrammarMatcher) copy = NULL;
  float logits[N_TOKENS] = { 0 };

  g_assert_no_error (error);
  matcher = atl_grammar_matcher_new (grammar, vocab);
  g_assert_false (atl_grammar_matcher_accept (matcher, 'a'));
  g_assert_true (atl_grammar_matcher_accept (matcher, CONTROL_TOKEN));
  g_assert_true (atl_grammar_matcher_accept (matcher, 'a'));
  copy = atl_grammar_matcher_clone (matcher);
  g_assert_true (atl_grammar_matcher_accept (matcher, '1'));
  g_assert_true (atl_grammar_matcher_is_complete (matcher));
  g_assert_false (atl_grammar_matcher_accept (matcher, 'a'));
  g_assert_true (atl_grammar_matcher_accept (copy, 'b'));
  g_assert_true (atl_grammar_matcher_is_complete (copy));
  g_assert_false (atl_grammar_matcher_allows (copy, CONTROL_TOKEN));
  atl_grammar_matcher_mask (copy, logits, N_TOKENS);
  g_assert_true (logits['c'] == 0 && logits['1'] == 0 && isinf (logits[CONTROL_TOKEN]));
  atl_grammar_matcher_reset (matcher);
  g_assert_true (atl_grammar_matcher_accept (matcher, CONTROL_TOKEN));
}

/* A sampler under a grammar writes what the grammar allows, whatever the logits say. */
static void
test_with_sampler (void)
{
  g_autoptr (JsonNode) schema = json_from_string (
      "{\"type\": \"object\", \"properties\": {\"n\": {\"type\": \"integer\", \"maximum\": 99, "
      "\"minimum\": 0}, \"ok\": {\"type\": \"boolean\"}}, \"required\": [\"n\", \"ok\"], "
      "\"additionalProperties\": false}",
      NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlGrammar) grammar = atl_grammar_new_json_schema (schema, &error);
  g_autoptr (AtlGrammarVocab) vocab = vocab_new ();

  g_assert_no_error (error);
  for (guint seed = 0; seed < 20; seed++)
    {
      g_autoptr (AtlGrammarMatcher) matcher = atl_grammar_matcher_new (grammar, vocab);
      AtlSamplerConstraint constraint = atl_grammar_matcher_constraint (matcher);
      g_autoptr (GString) text = g_string_new (NULL);
      g_autoptr (AtlSampler) sampler = NULL;
      g_autoptr (JsonNode) parsed = NULL;
      AtlSamplingParams params;
      gint32 id = 0;

      atl_sampling_params_init (&params);
      params.seed = seed;
      params.temperature = 2;
      sampler = atl_sampler_new (&params, N_TOKENS, &error);
      g_assert_no_error (error);
      atl_sampler_set_constraint (sampler, &constraint);
      for (guint step = 0; step < 400 && id != END_TOKEN; step++)
        {
          float logits[N_TOKENS];

          for (gint32 i = 0; i < N_TOKENS; i++)
            logits[i] = (float) ((i * 7919u + step * 104729u + seed) % 97) / 20 -
                        (i == ' ' || i == '\n' || i == '\t' ? 3 : 0);
          id = atl_sampler_sample (sampler, logits, N_TOKENS);
          g_assert_cmpint (id, !=, ATL_TOKEN_NONE);
          g_assert_true (atl_grammar_matcher_accept (matcher, id));
          atl_sampler_accept (sampler, id);
          if (id != END_TOKEN)
            {
              gsize n = 0;
              const char *bytes = piece_cb (NULL, id, &n);

              g_string_append_len (text, bytes, (gssize) n);
            }
        }
      g_assert_cmpint (id, ==, END_TOKEN);
      parsed = json_from_string (text->str, &error);
      g_assert_no_error (error);
      g_assert_cmpint (json_object_get_int_member (json_node_get_object (parsed), "n"), <, 100);
    }
}

/* --- Limits --- */

static char *
repeated (const char *before, const char *unit, guint n, const char *after)
{
  GString *text = g_string_new (before);

  for (guint i = 0; i < n; i++)
    g_string_append (text, unit);
  g_string_append (text, after);
  return g_string_free (text, FALSE);
}

/* Ambiguity, emptiness and depth: each is answered or refused in a moment. */
static void
test_hostile (void)
{
  static const char *const grammars[] = {
    "root ::= (\"a\"* \"a\"*)* \"b\"",
    "root ::= ((\"a\"?){50}){50}",
    "root ::= (((\"a\"?)*)*)*",
    "root ::= (\"\")* \"a\"",
    "root ::= ((\"\"){2000}){2000} \"a\"",
    "root ::= a a a a a a a a\na ::= b b b b b b b b\nb ::= c c c c c c c c\nc ::= d*\nd ::= "
    "\"a\"?",
    "root ::= x\nx ::= \"a\" x x | \"a\" | ",
    "root ::= (\"a\" | \"a\" | \"a\" | [a] | .)* \"c\"",
    "root ::= s\ns ::= \"a\" s \"a\" | \"a\" s | \"a\"",
    "root ::= [] | [^]",
    "root ::= \"a\"{0,100000}",
    "root ::= (\"a\"{0,1000} \"b\"?){0,1000}",
  };
  g_autoptr (AtlGrammarVocab) vocab = vocab_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (grammars); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlGrammar) grammar = atl_grammar_new_gbnf (grammars[i], "root", &error);
      gint64 start = g_get_monotonic_time ();
      float logits[N_TOKENS];
      guint n = 0;

      if (grammar != NULL)
        {
          g_autoptr (AtlGrammarMatcher) matcher = atl_grammar_matcher_new (grammar, vocab);

          while (n < 300 && atl_grammar_matcher_accept (matcher, 'a'))
            {
              if (n++ % 50 == 0)
                atl_grammar_matcher_mask (matcher, logits, N_TOKENS);
            }
          g_test_message ("%s: %u characters%s, %" G_GINT64_FORMAT " ms", grammars[i], n,
                          atl_grammar_matcher_failed (matcher) ? ", then too ambiguous" : "",
                          (g_get_monotonic_time () - start) / 1000);
        }
      else
        g_test_message ("%s: %s", grammars[i], error->message);
      g_assert_cmpint (g_get_monotonic_time () - start, <, 20 * G_TIME_SPAN_SECOND);
    }
}

/* Nesting of the text, not of the grammar, has no limit but memory; a long text is forgotten again.
 */
static void
test_deep_text (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlGrammar) grammar =
      atl_grammar_new_gbnf ("root ::= v\nv ::= \"[\" v \"]\" | \"1\"", "root", &error);
  g_autofree char *deep = repeated ("", "[", 20000, "1");
  g_autofree char *text = repeated (deep, "]", 20000, "");
  g_autofree char *odd = repeated (deep, "]", 20001, "");
  g_autoptr (AtlGrammar) list = atl_grammar_new_gbnf (
      "root ::= item*\nitem ::= [a-z]+ \" \" [0-9]{1,3} \"\\n\"", "root", &error);
  g_autofree char *lines = repeated ("", "abc 123\n", 50000, "");

  g_assert_no_error (error);
  g_assert_true (matches_whole (grammar, text));
  g_assert_false (matches_whole (grammar, odd));
  g_assert_true (matches_whole (list, lines));
}

static void
expect_refused (const char *source, AtlError code, const char *pattern)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlGrammar) grammar = atl_grammar_new_gbnf (source, "root", &error);

  g_assert_null (grammar);
  g_assert_error (error, ATL_ERROR, code);
  if (!g_pattern_match_simple (pattern, error->message))
    g_error ("\"%s\" does not match \"%s\"", error->message, pattern);
}

static void
test_refusals (void)
{
  g_autofree char *chain = NULL;
  GString *rules = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) remote = json_from_string ("{\"$ref\": \"https://example.org/x\"}", NULL);
  g_autoptr (JsonNode) loop = json_from_string ("{\"$ref\": \"#\"}", NULL);

  expect_refused ("root ::= \"a\"\n\nx ::= y", ATL_ERROR_INVALID, "*“y” is used and not defined*");
  expect_refused ("root ::= \"a\n", ATL_ERROR_INVALID, "*line 2*");
  expect_refused ("root ::= x\nx ::= (\"\" | \"a\") x", ATL_ERROR_INVALID, "*left recursion*");
  expect_refused ("root ::= (\"a\"? root)*", ATL_ERROR_INVALID, "*left recursion*");
  expect_refused ("root ::= \"a\"{9999}", ATL_ERROR_TOO_COMPLEX, "*too often*");
  expect_refused ("root ::= \"\xff\"", ATL_ERROR_INVALID, "*UTF-8*");

  /* A long chain of rules is walked without recursion. */
  g_string_append (rules, "root ::= r0\n");
  for (guint i = 0; i < 30000; i++)
    g_string_append_printf (rules, "r%u ::= r%u\n", i, i + 1);
  g_string_append (rules, "r30000 ::= \"a\"\n");
  chain = g_string_free (rules, FALSE);
  {
    g_autoptr (AtlGrammar) grammar = atl_grammar_new_gbnf (chain, "root", &error);

    g_assert_no_error (error);
    g_assert_true (matches_whole (grammar, "a"));
  }

  g_assert_null (atl_grammar_new_json_schema (remote, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  g_clear_error (&error);
  g_assert_null (atl_grammar_new_json_schema (loop, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
}

/* --- Damage --- */

static char *
damaged (GRand *random, const char *seed, const char *pool)
{
  GString *text = g_string_new (seed);
  int n_edits = g_rand_int_range (random, 1, 5);

  for (int i = 0; i < n_edits && text->len > 1; i++)
    {
      gsize at = (gsize) g_rand_int_range (random, 0, (gint32) text->len);
      gsize from = (gsize) g_rand_int_range (random, 0, (gint32) text->len);

      switch (g_rand_int_range (random, 0, 3))
        {
        case 0:
          g_string_erase (text, (gssize) at, 1);
          break;
        case 1:
          g_string_insert_c (text, (gssize) at,
                             pool[g_rand_int_range (random, 0, (gint32) strlen (pool))]);
          break;
        default:
          {
            g_autofree char *piece = g_strndup (text->str + from, MIN (12, text->len - from));

            g_string_insert (text, (gssize) at, piece);
          }
        }
    }
  return g_string_free (text, FALSE);
}

static void
test_mutations (void)
{
  static const char *const gbnf[] = {
    "root ::= (a | \"x\"{1,3} [^a-c\\n]*)+ # c\na ::= \"\\u00e9\" | . root? | <[3]> !<[4]>\n",
    "root ::= expr (\"=\" expr)*\nexpr ::= term ([-+*/] term)*\nterm ::= [0-9]+ | \"(\" expr "
    "\")\"\n",
    "root ::= ((\"a\"? \"b\"*){2,5} | \"\" c)*\nc ::= \"c\" | \"d\" c\n",
  };
  static const char *const schemas[] = {
    "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\", \"minimum\": -5}, "
    "\"ab\": "
    "{\"enum\": [1, \"x\", null]}}, \"required\": [\"a\"], \"additionalProperties\": true}",
    "{\"anyOf\": [{\"$ref\": \"#/$defs/x\"}, {\"type\": [\"array\", \"null\"], \"items\": {}}], "
    "\"$defs\": {\"x\": {\"type\": \"string\", \"pattern\": \"^(a|[^b-d]{2,3})+\\\\\\\\w?$\"}}}",
  };
  g_autoptr (GRand) random = g_rand_new_with_seed (77);
  g_autoptr (AtlGrammarVocab) vocab = vocab_new ();
  gint64 end = g_get_monotonic_time () + 10 * G_TIME_SPAN_SECOND;
  guint n = 0;
  guint n_valid = 0;

  for (; g_get_monotonic_time () < end && n < 20000; n++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlGrammar) grammar = NULL;

      if (n % 2 == 0)
        {
          g_autofree char *text =
              damaged (random, gbnf[g_rand_int_range (random, 0, G_N_ELEMENTS (gbnf))],
                       "\"\\()[]{}|*+?.:=<>!-^ \nabcroot0199,");

          grammar = atl_grammar_new_gbnf (text, "root", &error);
        }
      else
        {
          g_autofree char *text =
              damaged (random, schemas[g_rand_int_range (random, 0, G_N_ELEMENTS (schemas))],
                       "\"\\()[]{}|*+?.:^$ ab019,-");
          g_autoptr (JsonNode) node = json_from_string (text, NULL);

          if (node == NULL)
            continue;
          grammar = atl_grammar_new_json_schema (node, &error);
        }
      g_assert_true ((grammar == NULL) == (error != NULL));
      if (grammar != NULL)
        {
          g_autoptr (AtlGrammarMatcher) matcher = atl_grammar_matcher_new (grammar, vocab);

          n_valid++;
          for (guint step = 0; step < 12; step++)
            {
              gint32 id = g_rand_int_range (random, 0, N_TOKENS);
              float logits[N_TOKENS] = { 0 };

              if (step % 4 == 0)
                {
                  atl_grammar_matcher_mask (matcher, logits, N_TOKENS);
                  for (gint32 i = 0; i < N_TOKENS; i++)
                    if (logits[(id + i) % N_TOKENS] == 0)
                      {
                        id = (id + i) % N_TOKENS;
                        break;
                      }
                }
              g_assert_true (atl_grammar_matcher_allows (matcher, id) ==
                             atl_grammar_matcher_accept (matcher, id));
            }
        }
    }
  g_test_message ("%u damaged grammars and schemas, %u of them still valid", n, n_valid);
  g_assert_cmpuint (n_valid, >, 100);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/grammar/conformance/integration", test_integration);
  g_test_add_func ("/grammar/conformance/samples", test_samples);
  g_test_add_func ("/grammar/conformance/parse", test_parse);
  g_test_add_func ("/grammar/conformance/json-schema", test_json_schema);
  g_test_add_func ("/grammar/empty-name", test_empty_name);
  g_test_add_func ("/grammar/schema-details", test_schema_details);
  g_test_add_func ("/grammar/integer-ranges", test_integer_ranges);
  g_test_add_func ("/grammar/tokens", test_tokens);
  g_test_add_func ("/grammar/with-sampler", test_with_sampler);
  g_test_add_func ("/grammar/hostile", test_hostile);
  g_test_add_func ("/grammar/deep-text", test_deep_text);
  g_test_add_func ("/grammar/refusals", test_refusals);
  g_test_add_func ("/grammar/mutations", test_mutations);
  return g_test_run ();
}
