/* Grammars beyond the conformance suites: details of schemas, tokens, sampling under a grammar,
 * limits, and damaged grammars and schemas. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "engine/samplers/grammar.h"
#include "engine/samplers/sampler.h"
#include "grammar-fixture.h"

/* --- Details --- */

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
  expect_schema ("{\"type\": \"string\", \"pattern\": \"^\\\\W$\"}", LIST ("\"\\u0001\""),
                 LIST ("\"\\u0000\""));
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

/* What stands beside a list of alternatives counts for each of them. */
/* Bounds of numbers with a point, reached or not. */
static void
test_number_ranges (void)
{
  expect_schema ("{\"type\": \"number\", \"minimum\": 0, \"maximum\": 1}",
                 LIST ("0", "1", "0.5", "1.0", "0.999"), LIST ("1.1", "-1", "2", "1.01", "00"));
  expect_schema ("{\"type\": \"number\", \"exclusiveMinimum\": 0, \"exclusiveMaximum\": 1}",
                 LIST ("0.01", "0.9"), LIST ("0", "1", "0.0", "1.0", "-0.1"));
  expect_schema (
      "{\"type\": \"number\", \"minimum\": 0, \"maximum\": 1, \"exclusiveMaximum\": true}",
      LIST ("0", "0.9"), LIST ("1", "1.0"));
  expect_schema ("{\"type\": \"number\", \"minimum\": -0.35, \"maximum\": 12.25}",
                 LIST ("-0.35", "-0.3", "0", "11.9", "12.25", "12.2", "12", "12.19"),
                 LIST ("-0.36", "-0.4", "-1", "12.26", "12.3", "13"));
  expect_schema ("{\"type\": \"number\", \"exclusiveMinimum\": 0.1, \"exclusiveMaximum\": 0.2}",
                 LIST ("0.11", "0.199"), LIST ("0.1", "0.10", "0.2", "0.3", "1", "0.20"));
  expect_schema ("{\"type\": \"number\", \"maximum\": -3.5}",
                 LIST ("-3.5", "-3.6", "-4", "-100.25"), LIST ("-3", "-3.4", "3.5", "0"));
}

/* Formats and patterns of strings. */
static void
test_schema_texts (void)
{
  expect_schema ("{\"type\": \"string\", \"format\": \"date\"}",
                 LIST ("\"2024-02-29\"", "\"2000-02-29\"", "\"2023-12-31\""),
                 LIST ("\"2023-02-29\"", "\"1900-02-29\"", "\"2024-04-31\"", "\"0000-01-01\""));
  expect_schema ("{\"type\": \"string\", \"format\": \"ipv4\"}", LIST ("\"10.0.255.1\""),
                 LIST ("\"10.0.256.1\"", "\"1.2.3\"", "\"01.2.3.4\""));
  expect_schema ("{\"type\": \"string\", \"format\": \"ipv6\"}",
                 LIST ("\"::1\"", "\"fe80::1\"", "\"1:2:3:4:5:6:7:8\"", "\"1:2::\""),
                 LIST ("\"1:2\"", "\"1::2::3\"", "\"12345::\""));
  expect_schema ("{\"type\": \"string\", \"format\": \"email\"}",
                 LIST ("\"a.b+c@mail.example.org\""), LIST ("\"a\"", "\"a@b\"", "\"@b.c\""));
  expect_schema ("{\"type\": \"string\", \"format\": \"uri\"}",
                 LIST ("\"https://example.org/a%20b?c=d#e\"", "\"mailto:a@b.c\""),
                 LIST ("\"example\"", "\"http:a b\"", "\"a:%zz\""));
  expect_schema ("{\"type\": \"string\", \"format\": \"duration\"}",
                 LIST ("\"P1D\"", "\"PT2H30M\"", "\"P3W\"", "\"P1Y2M3DT4S\""),
                 LIST ("\"P\"", "\"1D\"", "\"P1DT\""));
  /* No line ends for a dot; a bracket in front of a class is a character. */
  expect_schema ("{\"type\": \"string\", \"pattern\": \"^.+$\"}", LIST ("\"a\\tb\""),
                 LIST ("\"a\\nb\"", "\"a\\u000ab\"", "\"\""));
  expect_schema ("{\"type\": \"string\", \"pattern\": \"^[]a]{2}$\"}", LIST ("\"]a\""),
                 LIST ("\"bb\""));
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
  g_autoptr (AtlGrammarMatcher) other = NULL;
  float logits[N_TOKENS] = { 0 };

  g_assert_no_error (error);
  matcher = atl_grammar_matcher_new (grammar, vocab);
  g_assert_false (atl_grammar_matcher_accept (matcher, 'a'));
  g_assert_true (atl_grammar_matcher_accept (matcher, CONTROL_TOKEN));
  g_assert_true (atl_grammar_matcher_accept (matcher, 'a'));
  g_assert_true (atl_grammar_matcher_accept (matcher, '1'));
  g_assert_true (atl_grammar_matcher_is_complete (matcher));
  g_assert_false (atl_grammar_matcher_accept (matcher, 'a'));

  /* Matchers of one grammar and vocabulary know nothing of each other. */
  other = atl_grammar_matcher_new (grammar, vocab);
  g_assert_true (atl_grammar_matcher_accept (other, CONTROL_TOKEN));
  g_assert_true (atl_grammar_matcher_accept (other, 'b'));
  g_assert_true (atl_grammar_matcher_is_complete (other));
  g_assert_false (atl_grammar_matcher_allows (other, CONTROL_TOKEN));
  atl_grammar_matcher_mask (other, logits, N_TOKENS);
  g_assert_true (logits['c'] == 0 && logits['1'] == 0 && isinf (logits[CONTROL_TOKEN]));
}

static gboolean
allows_cb (gpointer matcher, gint32 id)
{
  return atl_grammar_matcher_allows (matcher, id);
}

static void
mask_cb (gpointer matcher, float *logits, gsize n_vocab)
{
  atl_grammar_matcher_mask (matcher, logits, n_vocab);
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
      AtlSamplerConstraint constraint = { matcher, allows_cb, mask_cb };
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
      clock_t start = clock ();
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
                          (gint64) (clock () - start) * 1000 / CLOCKS_PER_SEC);
        }
      else
        g_test_message ("%s: %s", grammars[i], error->message);
      g_assert_cmpint ((clock () - start) / CLOCKS_PER_SEC, <, 60);
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
expect_refused (const char *source, int code, const char *pattern)
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
  g_autoptr (JsonNode) cut =
      json_from_string ("{\"type\": \"string\", \"pattern\": \"(a)\\\\\"}", NULL);

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
  g_clear_error (&error);
  g_assert_null (atl_grammar_new_json_schema (cut, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "it ends with a backslash"));
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
  guint n = 0;
  guint n_valid = 0;

  for (; n < 20000; n++)
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
  g_test_add_func ("/grammar/empty-name", test_empty_name);
  g_test_add_func ("/grammar/schema-details", test_schema_details);
  g_test_add_func ("/grammar/number-ranges", test_number_ranges);
  g_test_add_func ("/grammar/schema-texts", test_schema_texts);
  g_test_add_func ("/grammar/integer-ranges", test_integer_ranges);
  g_test_add_func ("/grammar/tokens", test_tokens);
  g_test_add_func ("/grammar/with-sampler", test_with_sampler);
  g_test_add_func ("/grammar/hostile", test_hostile);
  g_test_add_func ("/grammar/deep-text", test_deep_text);
  g_test_add_func ("/grammar/refusals", test_refusals);
  g_test_add_func ("/grammar/mutations", test_mutations);
  return g_test_run ();
}
