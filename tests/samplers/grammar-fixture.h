/* For tests of grammars: a small vocabulary, and whether a whole text matches. */
#pragma once

#include <string.h>

#include "engine/samplers/grammar.h"

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

static inline const char *
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

static inline AtlGrammarVocab *
vocab_new (void)
{
  gint32 end = END_TOKEN;

  return atl_grammar_vocab_new (N_TOKENS, piece_cb, NULL, &end, 1);
}

static inline gboolean
matches_whole (AtlGrammar *grammar, const char *text)
{
  g_autoptr (AtlGrammarMatcher) matcher = atl_grammar_matcher_new (grammar, NULL);

  return atl_grammar_matcher_accept_text (matcher, text, strlen (text)) &&
         atl_grammar_matcher_is_complete (matcher);
}

/* Which texts a schema lets pass and which not. */
static inline void
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
