/* Vocabularies that make texts cost more than they should: each text is read within bounds or
 * refused in words. */
#include <string.h>

#include "engine/tokenizers/tokenizer.h"

/* Pieces of thousands of letters that a text spells again and again without an end: at each of its
 * letters every tree of them would be gone down that far. */
static void
test_long_pieces (void)
{
  static const char *const formats[] = {
    "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",-1],[\"%sb\",-1]]}}",
    "{\"added_tokens\":[{\"id\":1,\"content\":\"%sb\"}],"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
    "{\"added_tokens\":[{\"id\":1,\"content\":\"%sb\",\"normalized\":true}],"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
    "{\"model\":{\"type\":\"WordPiece\",\"max_input_chars_per_word\":100000,"
    "\"vocab\":{\"a\":0,\"##a\":1,\"##%sb\":2}}}",
  };
  g_autofree char *piece = g_strnfill (8100, 'a'), *text = g_strnfill (96 * 1024, 'a');

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    for (guint is_long = 0; is_long < 2; is_long++)
      {
        g_autoptr (GString) json = g_string_new (formats[i]);
        g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
        g_autoptr (GError) error = NULL;
        g_autoptr (AtlTokenizer) tokenizer = NULL;
        gboolean ok;

        g_string_replace (json, "%s", is_long ? piece : "aaaaaaaaaaaaaaaa", 1);
        tokenizer = atl_tokenizer_new_from_json (json->str, json->len, NULL, 0, &error);
        g_assert_no_error (error);
        ok = atl_tokenizer_encode (tokenizer, text, -1, ATL_TOKENIZE_NONE, ids, &error);
        g_assert_cmpint (ok, ==, !is_long);
        if (is_long)
          g_assert_error (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX);
        g_assert_cmpuint (ids->len, ==, is_long ? 0 : strlen (text));
      }
}

/* An expression that at each letter stops a little below what one place may cost. */
static void
test_slow_regex (void)
{
  static const char json[] = "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":"
                             "\"(?:a|a){14}[cd]\"},\"behavior\":\"Isolated\"},"
                             "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}";
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlTokenizer) tokenizer =
      atl_tokenizer_new_from_json (json, sizeof json - 1, NULL, 0, &error);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autofree char *text = g_strnfill (64 * 1024, 'a');

  g_assert_no_error (error);
  g_assert_true (atl_tokenizer_encode (tokenizer, text, 100, ATL_TOKENIZE_NONE, ids, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (ids->len, ==, 100);
  g_assert_false (atl_tokenizer_encode (tokenizer, text, -1, ATL_TOKENIZE_NONE, ids, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX);
}

/* An expression that backtracks for ever gives up in words. */
static void
test_runaway_regex (void)
{
  const char *json = "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":"
                     "\"(a+)+$\"},\"behavior\":\"Isolated\"},"
                     "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}";
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlTokenizer) tokenizer =
      atl_tokenizer_new_from_json (json, strlen (json), NULL, 0, &error);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  g_assert_no_error (error);
  for (guint i = 0; i < 200; i++)
    g_string_append_c (text, 'a');
  g_string_append_c (text, 'b');
  g_assert_false (atl_tokenizer_encode (tokenizer, text->str, (gssize) text->len, ATL_TOKENIZE_NONE,
                                        ids, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX);
  g_assert_cmpuint (ids->len, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tokenizers/costs/long-pieces", test_long_pieces);
  g_test_add_func ("/tokenizers/costs/slow-regex", test_slow_regex);
  g_test_add_func ("/tokenizers/costs/runaway-regex", test_runaway_regex);
  return g_test_run ();
}
