/* Tokenizers of every kind and source on small inputs: flags, special tokens, detokenising byte by
 * byte, long words, prompts. */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/tokenizers/bpe.h"
#include "engine/tokenizers/detokenizer.h"
#include "engine/tokenizers/prompt-clean.h"
#include "engine/tokenizers/vocabulary.h"
#include "tiny-tokenizers.h"

/* --- Tokenizers --- */

static AtlTokenizer *
new_tiny (TinyKind kind)
{
  g_autoptr (AtlCheckpoint) cp = tiny_checkpoint (kind, NULL, NULL);
  g_autoptr (GError) error = NULL;
  AtlTokenizer *tokenizer = atl_tokenizer_new_from_checkpoint (cp, &error);

  g_assert_no_error (error);
  return tokenizer;
}

static AtlTokenizer *
new_tiny_json (guint i)
{
  g_autoptr (GError) error = NULL;
  AtlTokenizer *tokenizer = atl_tokenizer_new_from_json (tiny_json[i], strlen (tiny_json[i]),
                                                         tiny_config, strlen (tiny_config), &error);

  g_assert_no_error (error);
  return tokenizer;
}

static void
assert_ids (AtlTokenizer *tokenizer, const char *text, AtlTokenizeFlags flags, const char *expected)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GString) got = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  atl_tokenizer_encode (tokenizer, text, -1, flags, ids, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (got, "%s%d", i > 0 ? " " : "", g_array_index (ids, gint32, i));
  g_assert_cmpstr (got->str, ==, expected);
}

static void
test_kinds (void)
{
  const AtlTokenizeFlags none = ATL_TOKENIZE_NONE;
  const AtlTokenizeFlags both = ATL_TOKENIZE_ADD_SPECIAL | ATL_TOKENIZE_PARSE_SPECIAL;

  g_autoptr (AtlTokenizer) gpt2 = new_tiny (TINY_GPT2);
  g_autoptr (AtlTokenizer) llama = new_tiny (TINY_LLAMA);
  g_autoptr (AtlTokenizer) t5 = new_tiny (TINY_T5);
  g_autoptr (AtlTokenizer) bert = new_tiny (TINY_BERT);
  g_autoptr (AtlTokenizer) gemma = new_tiny (TINY_GEMMA4);

  assert_ids (gpt2, "ab abc", none, "4 3 4 2");
  assert_ids (gpt2, "a<|im_end|> ab", both, "7 0 6 3 4");
  assert_ids (gpt2, "<|im_end|>", none, ""); /* no letter of it is a piece */
  assert_ids (llama, "ab\n", none, "3 6 7");
  assert_ids (llama, "ab", both, "1 3 6");
  assert_ids (llama, "x", none, "3 0");
  assert_ids (t5, "a<user>ab", none, "4 7 4 6");
  assert_ids (bert, "Ab a. q", both, "1 6 4 7 0");
  assert_ids (gemma, "a a\n\nb", none, "4 5 7 6");

  g_assert_true (atl_tokenizer_is_eog (gpt2, 6));
  g_assert_false (atl_tokenizer_is_eog (gpt2, 7));
  g_assert_true (atl_tokenizer_add_bos (gpt2));
  g_assert_cmpint (atl_tokenizer_special (gpt2, ATL_SPECIAL_EOT), ==, 6);
  g_assert_cmpint (atl_tokenizer_special (llama, ATL_SPECIAL_UNK), ==, 0);
  g_assert_cmpstr (atl_tokenizer_chat_template (gpt2, NULL), ==, "{{ messages }}");
  g_assert_cmpstr (atl_tokenizer_chat_template (gpt2, "tool_use"), ==, "{{ tools }}");
  g_assert_null (atl_tokenizer_chat_template (gpt2, "other"));
  g_assert_cmpstr (atl_tokenizer_chat_template_names (gpt2)[0], ==, "tool_use");
  g_assert_null (atl_tokenizer_chat_template_names (gpt2)[1]);
  g_assert_null (atl_tokenizer_warning (gpt2));
  g_assert_null (atl_tokenizer_token_text (gpt2, -1));
  g_assert_null (atl_tokenizer_token_text (gpt2, 8));
  g_assert_cmpint (atl_tokenizer_find (llama, "ab"), ==, 6);
  g_assert_cmpint (atl_tokenizer_find (llama, "abc"), ==, -1);
}

static void
test_json (void)
{
  g_autoptr (AtlTokenizer) bytes = new_tiny_json (0);
  g_autoptr (AtlTokenizer) chars = new_tiny_json (1);
  g_autoptr (AtlTokenizer) unigram = new_tiny_json (2);
  g_autoptr (AtlTokenizer) wordpiece = new_tiny_json (3);
  const AtlTokenizeFlags both = ATL_TOKENIZE_ADD_SPECIAL | ATL_TOKENIZE_PARSE_SPECIAL;

  assert_ids (bytes, "abc e\xcc\x81", ATL_TOKENIZE_NONE, "6 3 10");
  assert_ids (bytes, "a<|im_end|> \nb zz azz", both, "11 0 11 1 12 3 0");
  assert_ids (chars, "ab x", ATL_TOKENIZE_ADD_SPECIAL, "1 5 4 2 0");
  assert_ids (unigram, "ab  b", ATL_TOKENIZE_ADD_SPECIAL, "1 5 3 6 1");
  assert_ids (wordpiece, "Ab. abc q", ATL_TOKENIZE_NONE, "3 6 3 5 1");
  g_assert_cmpstr (atl_tokenizer_chat_template (bytes, NULL), ==, "{{ 1 }}");
  g_assert_cmpstr (atl_tokenizer_chat_template (bytes, "tool_use"), ==, "{{ 2 }}");
  g_assert_cmpint (atl_tokenizer_special (bytes, ATL_SPECIAL_EOS), ==, 11);
  g_assert_cmpint (atl_tokenizer_special (chars, ATL_SPECIAL_BOS), ==, 1);
}

/* The large members are read by a reader of their own. */
static void
test_json_escapes (void)
{
  const char *json =
      " { \"model\" : { \"merges\" : [ ] , \"vocab\" : { \"\\ud83d\\ude00\" : 0 , "
      "\"\\\"\\\\\\/\\n\\u00e9}\":1,\"a\\u0000b\":2, \"\":3 } , \"type\":\"BPE\"} } ";
  static const char *const broken[] = {
    "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"\\ud83d\":0}}}",
    "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"\\ude00\\ud83d\":0}}}",
    "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"\\x\":0}}}",
    "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":0,}}}",
    "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":0 \"b\":1}}}",
    "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":0]}}}",
    "{\"model\":{\"type\":\"BPE\",\"merges\":[\"a a\",],\"vocab\":{\"a\":0,\"aa\":1}}}",
    "{\"model\":{\"type\":\"BPE\",\"merges\":[[\"a\",\"a\",\"a\"]],\"vocab\":{\"a\":0,\"aa\":1}}}",
    "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":0}",
    "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\\",
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlTokenizer) tokenizer =
      atl_tokenizer_new_from_json (json, strlen (json), NULL, 0, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (atl_tokenizer_n_vocab (tokenizer), ==, 4);
  g_assert_cmpstr (atl_tokenizer_token_text (tokenizer, 0), ==, "\xf0\x9f\x98\x80");
  g_assert_cmpstr (atl_tokenizer_token_text (tokenizer, 1), ==, "\"\\/\n\xc3\xa9}");
  g_assert_null (atl_tokenizer_token_text (tokenizer, 2));
  g_assert_null (atl_tokenizer_token_text (tokenizer, 3));
  for (guint i = 0; i < G_N_ELEMENTS (broken); i++)
    {
      g_autoptr (GError) refused = NULL;

      g_assert_null (
          atl_tokenizer_new_from_json (broken[i], strlen (broken[i]), NULL, 0, &refused));
      g_assert_error (refused, ATL_ERROR, ATL_ERROR_BAD_FILE);
    }
}

static void
test_json_unknown (void)
{
  static const struct
  {
    const char *part, *word;
  } cases[] = {
    { "\"normalizer\":{\"type\":\"Rot13\"}", "Rot13" },
    { "\"pre_tokenizer\":{\"type\":\"Moon\"}", "Moon" },
    { "\"post_processor\":{\"type\":\"Sun\"}", "Sun" },
    { "\"decoder\":{\"type\":\"Mars\"}", "Mars" },
    { "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a-z&&[^b]]\"}}", "&&" },
    { "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a\"}}", "(a" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *json = g_strdup_printf (
          "{%s,\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", cases[i].part);
      g_autoptr (GError) error = NULL;

      g_assert_null (atl_tokenizer_new_from_json (json, strlen (json), NULL, 0, &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
      g_assert_nonnull (strstr (error->message, cases[i].word));
    }
}

static void
test_clip_and_sentencepiece (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlTokenizer) clip =
      atl_tokenizer_new_clip (tiny_clip_vocab, strlen (tiny_clip_vocab), tiny_clip_merges,
                              strlen (tiny_clip_merges), &error);
  g_autoptr (AtlTokenizer) openai =
      atl_tokenizer_new_clip (NULL, 0, tiny_clip_merges, strlen (tiny_clip_merges), &error);
  g_autoptr (GByteArray) bytes1 = tiny_sentencepiece (1);
  g_autoptr (GByteArray) bytes2 = tiny_sentencepiece (2);
  g_autoptr (AtlTokenizer) unigram =
      atl_tokenizer_new_sentencepiece (bytes1->data, bytes1->len, &error);
  g_autoptr (AtlTokenizer) bpe =
      atl_tokenizer_new_sentencepiece (bytes2->data, bytes2->len, &error);

  g_assert_no_error (error);
  assert_ids (clip, " AB  b\ta ", ATL_TOKENIZE_ADD_SPECIAL, "5 4 3 2 6");
  assert_ids (openai, "AB", ATL_TOKENIZE_ADD_SPECIAL, "513 512 514");
  g_assert_cmpuint (atl_tokenizer_n_vocab (openai), ==, 515);
  assert_ids (unigram, " ab  a<user>x", ATL_TOKENIZE_ADD_SPECIAL, "6 3 4 9 3 0 2");
  assert_ids (bpe, "ab ab", ATL_TOKENIZE_ADD_SPECIAL, "1 6 6");
}

/* --- Detokenising --- */

static void
test_detokenizer (void)
{
  g_autoptr (AtlTokenizer) bytes = new_tiny_json (0);
  g_autoptr (AtlTokenizer) chars = new_tiny_json (1);
  g_autoptr (AtlDetokenizer) d = atl_detokenizer_new (bytes, FALSE, FALSE);
  g_autoptr (GString) out = g_string_new (NULL);
  const gint32 with_prefix[] = { 1, 5, 4, 7 };

  atl_detokenizer_push (d, 8, out); /* 0xC3: half of é */
  g_assert_cmpstr (out->str, ==, "");
  atl_detokenizer_push (d, 9, out); /* 0xA9 */
  g_assert_cmpstr (out->str, ==, "\xc3\xa9");
  atl_detokenizer_push (d, 9, out); /* no character begins so */
  g_assert_cmpstr (out->str, ==, "\xc3\xa9\xef\xbf\xbd");
  g_string_truncate (out, 0);
  atl_detokenizer_push (d, 8, out);
  atl_detokenizer_push (d, 0, out);
  g_assert_cmpstr (out->str, ==,
                   "\xef\xbf\xbd"
                   "a");
  g_string_truncate (out, 0);
  atl_detokenizer_push (d, 8, out);
  atl_detokenizer_push (d, 11, out); /* a control token shows nothing and ends nothing */
  atl_detokenizer_push (d, 9999, out);
  atl_detokenizer_push (d, -1, out);
  g_assert_cmpstr (out->str, ==, "");
  atl_detokenizer_finish (d, out);
  g_assert_cmpstr (out->str, ==, "\xef\xbf\xbd");

  {
    g_autofree char *plain = atl_tokenizer_decode (chars, with_prefix, 4, FALSE, TRUE);
    g_autofree char *all = atl_tokenizer_decode (chars, with_prefix, 4, TRUE, FALSE);

    g_assert_cmpstr (plain, ==, "ab\n");
    g_assert_cmpstr (all, ==, "<s> ab\n");
  }
}

/* Every split of a text with four-byte characters into single bytes, valid or cut short, comes out
 * as valid UTF-8 and, valid, unchanged. */
static void
test_detokenizer_bytes (void)
{
  static const gunichar starts[] = { 'a', ' ', '\n', 0xe9, 0x7ff, 0x800, 0x4e00, 0xffff, 0x1f600 };
  g_autoptr (GRand) rand = g_rand_new_with_seed (11);
  g_autoptr (GString) json =
      g_string_new ("{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{");
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlTokenizer) tokenizer = NULL;

  for (guint b = 0; b < 256; b++)
    {
      g_string_append (json, b > 0 ? ",\"" : "\"");
      if (b == '"' || b == '\\')
        g_string_append_c (json, '\\');
      g_string_append_unichar (json, atl_bpe_byte_letter ((guint8) b));
      g_string_append_printf (json, "\":%u", b);
    }
  g_string_append (json,
                   "}},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}}");
  tokenizer = atl_tokenizer_new_from_json (json->str, json->len, NULL, 0, &error);
  g_assert_no_error (error);

  for (guint i = 0; i < 500; i++)
    {
      g_autoptr (GString) text = g_string_new (NULL);
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
      g_autofree char *same = NULL;
      g_autofree char *damaged = NULL;

      for (guint k = 0; k < 20; k++)
        g_string_append_unichar (text, starts[g_rand_int_range (rand, 0, G_N_ELEMENTS (starts))]);
      atl_tokenizer_encode (tokenizer, text->str, -1, ATL_TOKENIZE_NONE, ids, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (ids->len, ==, text->len);
      same =
          atl_tokenizer_decode (tokenizer, (gint32 *) (gpointer) ids->data, ids->len, FALSE, FALSE);
      g_assert_cmpstr (same, ==, text->str);

      for (guint k = 0; k < 5; k++)
        g_array_index (ids, gint32, g_rand_int_range (rand, 0, (gint32) ids->len)) =
            g_rand_int_range (rand, 1, 256);
      damaged =
          atl_tokenizer_decode (tokenizer, (gint32 *) (gpointer) ids->data, ids->len, FALSE, FALSE);
      g_assert_true (g_utf8_validate (damaged, -1, NULL));
    }
}

/* --- Size and speed --- */

/* A word of a million equal letters: a quadratic merge would not end within the test's time. */
static void
test_long_words (void)
{
  static const char *const units[] = { "a", " ", "ab", "1", "\n", "\xcc\x81" };

  for (guint u = 0; u < G_N_ELEMENTS (units); u++)
    {
      g_autoptr (GString) text = g_string_new (NULL);

      while (text->len < 1000000)
        g_string_append (text, units[u]);
      for (guint kind = 0; kind < N_TINY + 4; kind++)
        {
          g_autoptr (AtlTokenizer) tokenizer =
              kind < N_TINY ? new_tiny ((TinyKind) kind) : new_tiny_json (kind - N_TINY);
          g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
          g_autoptr (GError) error = NULL;

          atl_tokenizer_encode (tokenizer, text->str, (gssize) text->len, ATL_TOKENIZE_NONE, ids,
                                &error);
          g_assert_no_error (error);
        }
    }
}

static void
test_too_long (void)
{
  g_autoptr (AtlTokenizer) tokenizer = new_tiny (TINY_GPT2);
  g_autofree char *text = g_malloc0 (ATL_TOKENIZER_MAX_TEXT + 1);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;

  g_assert_false (atl_tokenizer_encode (tokenizer, text, ATL_TOKENIZER_MAX_TEXT + 1,
                                        ATL_TOKENIZE_ADD_SPECIAL, ids, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_cmpuint (ids->len, ==, 0);
}

/* --- Prompts --- */

static void
test_prompt_clean (void)
{
  static const struct
  {
    const char *text, *expected;
  } cases[] = {
    { "  A red\tfox  walks &amp; jumps\n", "A red fox walks & jumps" },
    { "&amp;lt;b&amp;gt;", "<b>" },
    { "&#65;&#x42;&eacute;&nbsp;&hearts;", "AB\xc3\xa9 \xe2\x99\xa5" },
    { "a & b &; &bogus; &#; &#xd800;", "a & b &; &bogus; &#; \xef\xbf\xbd" },
    { "", "" },
    { " \xe3\x80\x80 ", "" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *got = atl_prompt_clean (cases[i].text, -1);

      g_assert_cmpstr (got, ==, cases[i].expected);
    }
}

/* A language model's folder is told the files that it can be read by, and no others. */
static void
test_missing_vocabulary (void)
{
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  int fd = g_file_open_tmp ("atelier-XXXXXX.json", &path, &error);
  const char *const language[] = { "vocab.json" }, *const part[] = { "merges.txt" };
  AtlFileMap *map;

  g_assert_no_error (error);
  g_assert_cmpint (write (fd, "{}", 2), ==, 2);
  close (fd);
  map = atl_file_map_new (path, &error);
  g_assert_no_error (error);
  g_assert_null (atl_tokenizer_new_from_maps (&map, language, 1, &error));
  g_assert_nonnull (strstr (error->message, "tokenizer.json"));
  g_assert_null (strstr (error->message, "vocab.json"));
  g_clear_error (&error);
  g_assert_null (atl_tokenizer_new_from_part (&map, part, 1, &error));
  g_assert_nonnull (strstr (error->message, "vocab.json"));
  atl_file_map_unref (map);
  g_assert_cmpint (g_unlink (path), ==, 0);
}

/* A text of two ids leads to the last of them, whatever is guessed. */
static void
test_twins (void)
{
  const char *const texts[][3] = { { "a", "b", "c" }, { "a", "b", "a" } };

  for (guint twins = 0; twins < 2; twins++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlVocabulary) v = atl_vocabulary_new (3, &error);

      for (guint i = 0; i < 3; i++)
        atl_vocabulary_set (v, i, texts[twins][i], 1, ATL_TOKEN_NORMAL, 0.0, &error);
      g_assert_true (atl_vocabulary_index (v, &error));
      g_assert_no_error (error);
      for (gint32 guess = -1; guess < 4; guess++)
        {
          g_assert_cmpint (atl_vocabulary_find_near (v, guess, "a", 1), ==, twins ? 2 : 0);
          g_assert_cmpint (atl_vocabulary_find_near (v, guess, "b", 1), ==, 1);
          g_assert_cmpint (atl_vocabulary_find_near (v, guess, "d", 1), ==, -1);
          g_assert_cmpint (atl_vocabulary_find_near (v, guess, "", 0), ==, -1);
        }
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tokenizers/kinds", test_kinds);
  g_test_add_func ("/tokenizers/json", test_json);
  g_test_add_func ("/tokenizers/json-escapes", test_json_escapes);
  g_test_add_func ("/tokenizers/json-unknown", test_json_unknown);
  g_test_add_func ("/tokenizers/clip-and-sentencepiece", test_clip_and_sentencepiece);
  g_test_add_func ("/tokenizers/detokenizer", test_detokenizer);
  g_test_add_func ("/tokenizers/detokenizer-bytes", test_detokenizer_bytes);
  g_test_add_func ("/tokenizers/long-words", test_long_words);
  g_test_add_func ("/tokenizers/too-long", test_too_long);
  g_test_add_func ("/tokenizers/prompt-clean", test_prompt_clean);
  g_test_add_func ("/tokenizers/twins", test_twins);
  g_test_add_func ("/tokenizers/missing-vocabulary", test_missing_vocabulary);
  return g_test_run ();
}
