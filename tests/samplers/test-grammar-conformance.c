/* Grammars against conformance/grammar: what they accept and refuse, character by character and
 * token by token, with the mask compared to every token's answer. */
#include <string.h>

#include "conformance-json.h"
#include "engine/samplers/grammar.h"
#include "grammar-fixture.h"

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

/* --- The suites --- */

static void
test_integration (void)
{
  JsonArray *cases = atl_test_conformance_cases ("grammar", "integration.json");
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
  JsonArray *cases = atl_test_conformance_cases ("grammar", "gbnf-samples.json");
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
  JsonArray *cases = atl_test_conformance_cases ("grammar", "parse.json");
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
  JsonArray *cases = atl_test_conformance_cases ("grammar", "json-schema.json");
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

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/grammar/conformance/integration", test_integration);
  g_test_add_func ("/grammar/conformance/samples", test_samples);
  g_test_add_func ("/grammar/conformance/parse", test_parse);
  g_test_add_func ("/grammar/conformance/json-schema", test_json_schema);
  return g_test_run ();
}
