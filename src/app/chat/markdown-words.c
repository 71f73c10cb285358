/* Markdown for the ear, what a screen reader says for an answer; and code among words that run
 * from the right. */
#include "app/chat/markdown.h"

#include <string.h>

static const struct
{
  const char *entity;
  char letter;
} entities[] = { { "&lt;", '<' },   { "&gt;", '>' },    { "&amp;", '&' },
                 { "&quot;", '"' }, { "&apos;", '\'' }, { "&#39;", '\'' } };

/* The markup was made here: tags are well formed, and these are all its entities. */
static void
append_markup (GString *words, const char *markup)
{
  for (const char *c = markup; *c != '\0'; c++)
    {
      if (*c == '<')
        {
          const char *end = strchr (c, '>');
          if (end == NULL)
            return;
          c = end;
          continue;
        }
      g_string_append_c (words, *c);
      for (guint i = 0; *c == '&' && i < G_N_ELEMENTS (entities); i++)
        if (g_str_has_prefix (c, entities[i].entity))
          {
            words->str[words->len - 1] = entities[i].letter;
            c += strlen (entities[i].entity) - 1;
            break;
          }
    }
}

static void
append_table (GString *words, const AtlMdBlock *block)
{
  for (guint i = 0; block->cells != NULL && i < block->cells->len; i++)
    {
      if (i > 0)
        g_string_append (words, block->n_columns > 0 && i % block->n_columns == 0 ? "\n" : ", ");
      append_markup (words, g_ptr_array_index (block->cells, i));
    }
}

char *
atl_markdown_to_words (GPtrArray *blocks, gsize max_bytes)
{
  GString *words = g_string_new (NULL);

  for (guint i = 0; i < blocks->len && words->len <= max_bytes; i++)
    {
      const AtlMdBlock *block = g_ptr_array_index (blocks, i);

      if (words->len > 0)
        g_string_append_c (words, '\n');
      if (block->marker != NULL)
        g_string_append_printf (words, "%s ", block->marker);
      if (block->kind == ATL_MD_TABLE)
        append_table (words, block);
      else if (block->markup != NULL)
        append_markup (words, block->markup);
      else if (block->text != NULL)
        g_string_append (words, block->text);
    }
  if (words->len > max_bytes)
    {
      while (max_bytes > 0 && (words->str[max_bytes] & 0xC0) == 0x80)
        max_bytes--;
      g_string_truncate (words, max_bytes);
      g_string_append (words, "…");
    }
  return g_string_free (words, FALSE);
}

/* U+2066 and U+2069: what stands between them runs from the left, and its neighbours do not count
 * for the signs at its ends. */
#define LTR_ISOLATE "\xE2\x81\xA6"
#define END_ISOLATE "\xE2\x81\xA9"

char *
atl_markdown_isolate_code (const char *markup)
{
  static const char close[] = "</span>";
  GString *out = g_string_new (NULL);
  const char *from = markup, *open;

  while ((open = strstr (from, ATL_MD_CODE_OPEN)) != NULL)
    {
      const char *end = strstr (open, close);

      if (end == NULL)
        break;
      end += strlen (close);
      g_string_append_len (out, from, open - from);
      g_string_append (out, LTR_ISOLATE);
      g_string_append_len (out, open, end - open);
      g_string_append (out, END_ISOLATE);
      from = end;
    }
  g_string_append (out, from);
  return g_string_free (out, FALSE);
}

char *
atl_markdown_without_isolates (const char *text)
{
  GString *out = g_string_new (text);

  g_string_replace (out, LTR_ISOLATE, "", 0);
  g_string_replace (out, END_ISOLATE, "", 0);
  return g_string_free (out, FALSE);
}
