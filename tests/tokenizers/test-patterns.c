/* Words and characters: the scanners of pre-tokenisers against the expressions they stand for,
 * normal forms against GLib's, and the small tables beside them. */
#include <glib.h>
#include <string.h>

#include "engine/tokenizers/bpe.h"
#include "engine/tokenizers/codepoints.h"
#include "engine/tokenizers/pre-tokenizer.h"
#include "engine/tokenizers/trie.h"
#include "engine/tokenizers/vocabulary.h"

/* Characters on which word patterns differ: every class, case, contraction and kind of space. */
static const char *const alphabet[] = { "a",
                                        "b",
                                        "S",
                                        "s",
                                        "T",
                                        "d",
                                        "l",
                                        "'",
                                        "'ll",
                                        "'RE",
                                        "1",
                                        "2",
                                        "9",
                                        " ",
                                        "  ",
                                        "\n",
                                        "\r\n",
                                        "\t",
                                        "/",
                                        "!",
                                        "$",
                                        "+",
                                        "_",
                                        "(",
                                        "\xc3\xa9",
                                        "\xc3\x89",
                                        "\xc7\x85",
                                        "\xcc\x81",
                                        "\xe2\x85\xa7",
                                        "\xc2\xbd",
                                        "\xd9\xa3",
                                        "\xe3\x82\xa2",
                                        "\xe4\xb8\x80",
                                        "\xed\x95\x9c",
                                        "\xe0\xa4\xbf",
                                        "\xf0\x9f\x98\x80",
                                        "\xe3\x80\x80",
                                        "\xc2\xa0",
                                        "\xe2\x80\x94",
                                        "\xe2\x82\xac",
                                        "\xe2\x80\x8d",
                                        "\xc2\xad",
                                        "\xca\xb0",
                                        "\x01" };

static GString *
random_text (GRand *rand, guint n)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < n; i++)
    g_string_append (text, alphabet[g_rand_int_range (rand, 0, G_N_ELEMENTS (alphabet))]);
  return text;
}

/* --- Word patterns --- */

#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define APOSTROPHE "(?i:'s|'t|'re|'ve|'m|'ll|'d)"

static const char *const patterns[] = {
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  APOSTROPHE "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES,
  APOSTROPHE "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES,
  APOSTROPHE
  "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES,
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| "
  "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|"
  "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
  "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER
  "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES,
  "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" APOSTROPHE "?|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER
  "*" APOSTROPHE "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES,
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"
  "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES,
  "\\p{N}{1,3}",
  "[0-9][0-9][0-9]",
  "\\s?\\p{L}+",
  "\\s?\\p{P}+",
  "\\s+",
};

static char *
cut_to_string (const char *pattern, const char *text)
{
  g_autoptr (AtlPreTokenizer) pre = atl_pre_tokenizer_new ();
  g_autoptr (GError) error = NULL;
  AtlPreWork work = { 0 };
  GString *out = g_string_new (NULL);

  atl_pre_tokenizer_add_regex (pre, pattern, ATL_SPLIT_ISOLATED, &error);
  g_assert_no_error (error);
  atl_pre_tokenizer_run (pre, &work, text, strlen (text), TRUE, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < work.spans->len; i++)
    {
      AtlPreSpan s = g_array_index (work.spans, AtlPreSpan, i);

      g_string_append_printf (out, "[%.*s]",
                              (int) (work.text.offset[s.end] - work.text.offset[s.start]),
                              work.text.text + work.text.offset[s.start]);
    }
  atl_pre_work_clear (&work);
  return g_string_free (out, FALSE);
}

static void
test_pattern (gconstpointer data)
{
  const char *pattern = data;
  /* In brackets the expression is no well-known text any more and goes to PCRE. */
  g_autofree char *unknown = g_strconcat ("(?:", pattern, ")", NULL);
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);

  for (guint i = 0; i < 400; i++)
    {
      g_autoptr (GString) text = random_text (rand, (guint) g_rand_int_range (rand, 1, 30));
      g_autofree char *scanned = cut_to_string (pattern, text->str);
      g_autofree char *matched = cut_to_string (unknown, text->str);

      g_assert_cmpstr (scanned, ==, matched);
    }
}

/* --- Unicode --- */

static void
test_normal_forms (void)
{
  static const GNormalizeMode modes[] = { G_NORMALIZE_NFC, G_NORMALIZE_NFD, G_NORMALIZE_NFKC,
                                          G_NORMALIZE_NFKD };
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);

  for (guint i = 0; i < 3000; i++)
    {
      g_autoptr (GString) text = g_string_new (NULL);

      for (int n = g_rand_int_range (rand, 1, 40); n > 0; n--)
        {
          static const gunichar starts[] = { 0x41,   0xc0,   0x300, 0x1100, 0xac00,
                                             0x1e00, 0xfb00, 0x900, 0x2460, 0xf900 };
          gunichar c = starts[g_rand_int_range (rand, 0, G_N_ELEMENTS (starts))] +
                       (gunichar) g_rand_int_range (rand, 0, 60);

          g_string_append_unichar (text, c);
        }
      for (guint form = 0; form < 4; form++)
        {
          g_autofree char *expected = g_utf8_normalize (text->str, -1, modes[form]);
          g_autoptr (GString) got = g_string_new (NULL);

          atl_utf8_normalize (text->str, text->len, (AtlNormalForm) form, got);
          g_assert_cmpstr (got->str, ==, expected);
        }
    }
}

static void
test_utf8_repair (void)
{
  static const struct
  {
    const char *bytes, *expected;
  } cases[] = {
    { "a\xff"
      "b",
      "a\xef\xbf\xbd"
      "b" },
    { "\xc3", "\xef\xbf\xbd" },
    { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* a surrogate */
    { "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* an overlong form */
  };
  gsize len;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *got = atl_utf8_repair (cases[i].bytes, strlen (cases[i].bytes), &len);

      g_assert_cmpstr (got, ==, cases[i].expected);
      g_assert_cmpuint (len, ==, strlen (cases[i].expected));
    }
  g_assert_null (atl_utf8_repair ("gr\xc3\xbc\xc3\x9f\0e", 8, &len));
}

static void
test_byte_letters (void)
{
  gboolean seen[0x200] = { FALSE };

  for (guint b = 0; b < 256; b++)
    {
      gunichar letter = atl_bpe_byte_letter ((guint8) b);

      g_assert_cmpuint (letter, <, 0x200);
      g_assert_false (seen[letter]);
      seen[letter] = TRUE;
      g_assert_cmpint (atl_bpe_letter_byte (letter), ==, b);
    }
  g_assert_cmpuint (atl_bpe_byte_letter (' '), ==, 0x120);
  g_assert_cmpuint (atl_bpe_byte_letter ('\n'), ==, 0x10a);
  for (gunichar c = 0; c < 0x200; c++)
    if (!seen[c])
      g_assert_cmpint (atl_bpe_letter_byte (c), ==, -1);
}

static void
test_byte_value (void)
{
  g_assert_cmpint (atl_vocabulary_byte_value ("<0x0A>"), ==, 10);
  g_assert_cmpint (atl_vocabulary_byte_value ("<0xff>"), ==, 255);
  g_assert_cmpint (atl_vocabulary_byte_value ("<0x-1>"), ==, -1);
  g_assert_cmpint (atl_vocabulary_byte_value ("<0x100>"), ==, -1);
  g_assert_cmpint (atl_vocabulary_byte_value ("<0x"), ==, -1);
  g_assert_cmpint (atl_vocabulary_byte_value (""), ==, -1);
}

static void
test_trie (void)
{
  AtlTrieEntry entries[] = {
    { "ab", 2, 1 }, { "a", 1, 0 }, { "abcd", 4, 2 }, { "b", 1, 3 }, { "ab", 2, 7 }
  };
  g_autoptr (AtlTrie) trie = atl_trie_new (entries, G_N_ELEMENTS (entries));
  const char *text = "abcx";
  AtlTextBudget budget = atl_text_budget (4);
  gint32 value = -1;

  g_assert_cmpuint (atl_trie_longest (trie, text, text + 4, &budget, &value), ==, 2);
  g_assert_cmpint (value, ==, 7);
  g_assert_cmpuint (atl_trie_longest (trie, text, text + 1, &budget, &value), ==, 1);
  g_assert_cmpint (value, ==, 0);
  g_assert_cmpuint (atl_trie_longest (trie, text + 2, text + 4, &budget, &value), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (patterns); i++)
    {
      g_autofree char *path = g_strdup_printf ("/tokenizers/pattern/%u", i);

      g_test_add_data_func (path, patterns[i], test_pattern);
    }
  g_test_add_func ("/tokenizers/normal-forms", test_normal_forms);
  g_test_add_func ("/tokenizers/utf8-repair", test_utf8_repair);
  g_test_add_func ("/tokenizers/byte-letters", test_byte_letters);
  g_test_add_func ("/tokenizers/byte-value", test_byte_value);
  g_test_add_func ("/tokenizers/trie", test_trie);
  return g_test_run ();
}
