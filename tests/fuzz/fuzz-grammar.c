/* Any text as a grammar in GBNF and as a JSON schema: refused in words, or a matcher that goes on
 * without end, and whose shortest completion it accepts. */
#include <string.h>

#include "fuzz.h"
#include "samplers/grammar-fixture.h"

static const AtlFuzzBytes seeds[] = {
  /* A pattern that ends in the middle of an escape. */
  ATL_FUZZ_BYTES ("{\"type\":\"string\",\"pattern\":\"(a)[b]\\\\\"}"),
  /* What no text can hold. */
  ATL_FUZZ_BYTES ("root ::= [a-z]+ \"a\\x00\" | [\\x00-\\x05]{2}"),
  ATL_FUZZ_BYTES ("root ::= \"{\" ws pair (\",\" ws pair)* \"}\"\npair ::= [a-z]+ \":\" num\n"
                  "num ::= \"-\"? [0-9]{1,9}\nws ::= [ \\t\\n]*"),
  ATL_FUZZ_BYTES (
      "root ::= (a | b)+ # c\na ::= \"x\" [^\\]\\x41-\\u00e9] .?\nb ::= <[260]> !<[1]>"),
  ATL_FUZZ_BYTES ("root ::= a? a? a{2,3}\na ::= \"(\" a \")\" | \"\" "),
  ATL_FUZZ_BYTES ("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":-3,"
                  "\"maximum\":120},\"b\":{\"type\":\"string\",\"pattern\":\"^[a-z]{2,4}(x|y)?$\"},"
                  "\"c\":{\"enum\":[1,\"z\",null]}},\"required\":[\"b\"],"
                  "\"additionalProperties\":false}"),
  ATL_FUZZ_BYTES ("{\"type\":\"array\",\"items\":{\"anyOf\":[{\"$ref\":\"#/$defs/n\"},"
                  "{\"type\":\"null\"}]},\"minItems\":1,\"maxItems\":3,"
                  "\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"next\":"
                  "{\"$ref\":\"#/$defs/n\"}}}}}"),
  ATL_FUZZ_BYTES ("{\"allOf\":[{\"type\":\"object\",\"properties\":{\"d\":{\"type\":\"string\","
                  "\"format\":\"date-time\"}}},{\"properties\":{\"u\":{\"type\":\"string\","
                  "\"minLength\":2,\"maxLength\":5}},\"required\":[\"u\"]}]}"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("root ::= "),
  ATL_FUZZ_BYTES ("\n"),
  ATL_FUZZ_BYTES ("{0,99999}"),
  ATL_FUZZ_BYTES ("((((((((("),
  ATL_FUZZ_BYTES ("[^"),
  ATL_FUZZ_BYTES (" | "),
  ATL_FUZZ_BYTES ("\\x"),
  ATL_FUZZ_BYTES ("\\U0010ffff"),
  ATL_FUZZ_BYTES ("<[4294967296]>"),
  ATL_FUZZ_BYTES ("\"$ref\":\"#\","),
  ATL_FUZZ_BYTES ("\"minItems\":100000,"),
  ATL_FUZZ_BYTES ("\"maximum\":1e300,"),
  ATL_FUZZ_BYTES ("\"pattern\":\"^(a+)+$\","),
  ATL_FUZZ_BYTES ("\"pattern\":\"[\","),
  ATL_FUZZ_BYTES ("\"type\":[\"object\",\"string\"],"),
  ATL_FUZZ_BYTES ("\"oneOf\":[{},{}],"),
  ATL_FUZZ_BYTES ("\"required\":[\"q\"],"),
  { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "grammar", NULL, NULL, seeds, words };

/* Whole characters only: a completion begins before one that is cut. */
static gboolean
is_whole (gint32 id)
{
  gsize n = 0;
  const char *piece = piece_cb (NULL, id, &n);

  return piece != NULL && g_utf8_validate (piece, (gssize) n, NULL);
}

static void
use (AtlGrammar *grammar, AtlGrammarVocab *vocab, guint seed, gboolean names_tokens)
{
  g_autoptr (AtlGrammarMatcher) matcher = atl_grammar_matcher_new (grammar, vocab);
  g_autofree char *rest = NULL;
  float logits[N_TOKENS];
  gint32 id = 0;

  for (guint step = 0; step < 24 && !atl_grammar_matcher_failed (matcher); step++)
    {
      memset (logits, 0, sizeof logits);
      atl_grammar_matcher_mask (matcher, logits, N_TOKENS);
      for (gint32 k = 0; k < N_TOKENS; k++)
        {
          id = (gint32) ((seed + (guint) k * 37) % N_TOKENS);
          if (logits[id] == 0.0f && is_whole (id))
            break;
        }
      if (logits[id] != 0.0f || !is_whole (id))
        break;
      g_assert_true (atl_grammar_matcher_accept (matcher, id) ||
                     atl_grammar_matcher_failed (matcher));
      seed = seed * 1103515245 + 12345;
    }
  /* A token that goes by its number has no text. */
  if (atl_grammar_matcher_failed (matcher) || names_tokens)
    return;
  rest = atl_grammar_matcher_shortest (matcher, NULL, NULL);
  if (rest == NULL)
    return;
  if (!atl_grammar_matcher_accept_text (matcher, rest, strlen (rest)))
    g_assert_true (atl_grammar_matcher_failed (matcher));
  else
    g_assert_true (atl_grammar_matcher_is_complete (matcher));
}

static void
settle (AtlGrammar *made, AtlGrammarVocab *vocab, const char *text, GError **where)
{
  g_autoptr (AtlGrammar) grammar = made;
  g_autoptr (GError) error = g_steal_pointer (where);

  if (grammar != NULL)
    {
      use (grammar, vocab, (guint) strlen (text), strstr (text, "<[") != NULL);
      return;
    }
  g_assert_nonnull (error);
  g_assert_true (error->domain == ATL_ERROR);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static AtlGrammarVocab *vocab;
  g_autofree char *text = g_strndup (size > 0 ? (const char *) data : "", size);
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  GError *error = NULL;

  if (vocab == NULL)
    vocab = vocab_new ();
  settle (atl_grammar_new_gbnf (text, "root", &error), vocab, text, &error);
  if (!g_utf8_validate (text, -1, NULL) || !json_parser_load_from_data (parser, text, -1, NULL) ||
      json_parser_get_root (parser) == NULL)
    return 0;
  settle (atl_grammar_new_json_schema (json_parser_get_root (parser), &error), vocab, text, &error);
  return 0;
}
