/* What a person typed becomes a full-text expression that cannot be a syntax error, plus plain
 * substrings for what the index does not know as words. */
#define G_LOG_DOMAIN "atl-store"

#include "store/query.h"

#include <string.h>

#define MAX_WORDS 16

static gboolean
separates_no_words (gunichar c)
{
  switch (g_unichar_get_script (c))
    {
    case G_UNICODE_SCRIPT_HAN:
    case G_UNICODE_SCRIPT_HIRAGANA:
    case G_UNICODE_SCRIPT_KATAKANA:
    case G_UNICODE_SCRIPT_THAI:
    case G_UNICODE_SCRIPT_LAO:
    case G_UNICODE_SCRIPT_KHMER:
    case G_UNICODE_SCRIPT_MYANMAR:
      return TRUE;
    default:
      return FALSE;
    }
}

/* TRUE when the index knows `word` as the beginning of a word. Signs alone ("++") are no word to
 * it. */
static gboolean
is_indexed (const char *word)
{
  gboolean any = FALSE;

  for (const char *p = word; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (separates_no_words (c))
        return FALSE;
      any = any || g_unichar_isalnum (c);
    }
  return any;
}

void
atl_query_clear (AtlQuery *query)
{
  g_clear_pointer (&query->match, g_free);
  g_clear_pointer (&query->substrings, g_ptr_array_unref);
}

gboolean
atl_query_init (AtlQuery *query, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_autofree char *normal = g_utf8_normalize (valid, -1, G_NORMALIZE_NFC);
  g_auto (GStrv) words = g_strsplit_set (normal, " \t\r\n\v\f", -1);
  g_autoptr (GString) match = g_string_new (NULL);
  guint n = 0;

  query->substrings = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; words[i] != NULL && n < MAX_WORDS; i++)
    {
      if (words[i][0] == '\0')
        continue;
      n++;
      if (!is_indexed (words[i]))
        {
          g_ptr_array_add (query->substrings, g_strdup (words[i]));
          continue;
        }
      g_string_append (match, "\"");
      for (const char *p = words[i]; *p != '\0'; p++)
        g_string_append_len (match, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
      g_string_append (match, "\" * ");
    }
  query->match = match->len > 0 ? g_string_free (g_steal_pointer (&match), FALSE) : NULL;
  return n > 0;
}

gboolean
atl_query_admits (const AtlQuery *query, const char *text)
{
  for (guint i = 0; i < query->substrings->len; i++)
    if (strstr (text, query->substrings->pdata[i]) == NULL)
      return FALSE;
  return TRUE;
}
