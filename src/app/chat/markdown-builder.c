/* Blocks while they are written: begun, filled with markup, split where they get long, ended. */
#include "app/chat/markdown-builder.h"

#include <string.h>

#include "app/chat/latex.h"

void
atl_md_block_free (AtlMdBlock *block)
{
  if (block == NULL)
    return;
  g_free (block->marker);
  g_free (block->markup);
  g_free (block->text);
  g_free (block->language);
  g_clear_pointer (&block->cells, g_ptr_array_unref);
  g_free (block->align);
  g_free (block);
}

gboolean
atl_md_block_equal (const AtlMdBlock *a, const AtlMdBlock *b)
{
  if (a->kind != b->kind || a->level != b->level || a->quote != b->quote ||
      a->indent != b->indent || a->task != b->task || a->continued != b->continued ||
      a->n_columns != b->n_columns || g_strcmp0 (a->marker, b->marker) != 0 ||
      g_strcmp0 (a->markup, b->markup) != 0 || g_strcmp0 (a->text, b->text) != 0 ||
      g_strcmp0 (a->language, b->language) != 0)
    return FALSE;
  if (a->cells == NULL)
    return b->cells == NULL;
  if (b->cells == NULL || a->cells->len != b->cells->len ||
      memcmp (a->align, b->align, a->n_columns) != 0)
    return FALSE;
  for (guint i = 0; i < a->cells->len; i++)
    if (strcmp (g_ptr_array_index (a->cells, i), g_ptr_array_index (b->cells, i)) != 0)
      return FALSE;
  return TRUE;
}

AtlMdBlock *
atl_md_begin_block (AtlMdBuilder *b, AtlMdKind kind)
{
  AtlMdBlock *block = g_new0 (AtlMdBlock, 1);
  block->kind = kind;
  block->quote = MIN (b->quote, ATL_MD_MAX_DEPTH);
  block->indent = MIN (b->lists->len, ATL_MD_MAX_DEPTH);
  block->marker = g_steal_pointer (&b->marker);
  block->task = b->task;
  b->task = ATL_MD_TASK_NONE;
  b->block = block;
  g_string_truncate (b->markup, 0);
  b->n_chars = 0;
  b->last = '\0';
  return block;
}

/* md4c 0.4.8 leaves some spans open where strikethroughs overlap; a block must not end so. */
void
atl_md_close_spans (AtlMdBuilder *b)
{
  while (b->n_spans > 0)
    g_string_append (b->markup, b->close[--b->n_spans]);
  b->n_ignored_spans = 0;
  b->n_code_spans = 0;
}

void
atl_md_end_block (AtlMdBuilder *b)
{
  AtlMdBlock *block = g_steal_pointer (&b->block);

  if (block == NULL)
    return;
  if (block->kind == ATL_MD_CODE)
    {
      block->text = g_strdup (b->markup->str);
      gsize n = strlen (block->text);
      if (n > 0 && block->text[n - 1] == '\n')
        block->text[n - 1] = '\0';
      if (g_strcmp0 (block->language, "math") == 0)
        {
          block->kind = ATL_MD_MATH;
          block->markup = atl_latex_to_markup (block->text);
          g_clear_pointer (&block->language, g_free);
        }
    }
  else if (block->kind == ATL_MD_PARAGRAPH || block->kind == ATL_MD_HEADING)
    {
      block->markup = g_strdup (b->markup->str);
      if (*block->markup == '\0' && block->marker == NULL)
        {
          atl_md_block_free (block);
          return;
        }
    }
  g_ptr_array_add (b->blocks, block);
}

/* Splits a long paragraph: closes the open spans and opens them again in the next block. */
void
atl_md_split_block (AtlMdBuilder *b)
{
  AtlMdKind kind = b->block->kind;
  guint level = b->block->level;

  for (guint i = b->n_spans; i-- > 0;)
    g_string_append (b->markup, b->close[i]);
  atl_md_end_block (b);
  atl_md_begin_block (b, kind);
  b->block->level = level;
  b->block->continued = TRUE;
  for (guint i = 0; i < b->n_spans; i++)
    g_string_append (b->markup, b->open[i]);
}

/* Where a paragraph of so many characters may be split: at the end of a line if one comes soon,
 * else behind a word, at last anywhere. What is streamed later moves no split. */
static gboolean
may_split (gsize n_chars, char last)
{
  return (last == '\n' && n_chars >= ATL_MD_SPLIT_CHARS) ||
         (last == ' ' && n_chars >= ATL_MD_SPLIT_CHARS + ATL_MD_SPLIT_SLACK) ||
         n_chars >= ATL_MD_SPLIT_CHARS + 2 * ATL_MD_SPLIT_SLACK;
}

/* The bytes to the next place where the block, which has `n_chars`, may be split, or all. */
static gsize
bytes_to_split (const char *text, gsize length, gsize n_chars)
{
  const char *p = text, *end = text + length;

  while (p < end)
    {
      char last = *p;

      p = g_utf8_next_char (p);
      if (may_split (++n_chars, last))
        break;
    }
  return MIN (p, end) - text;
}

/* The line ends with the block. */
static void
split_behind (AtlMdBuilder *b)
{
  GString *markup = b->markup;

  if (markup->len > 0 && markup->str[markup->len - 1] == b->last &&
      (b->last == '\n' || b->last == ' '))
    g_string_truncate (markup, markup->len - 1);
  atl_md_split_block (b);
}

void
atl_md_append_text (AtlMdBuilder *b, const char *text, gsize length)
{
  while (length > 0)
    {
      gsize n = length;
      if (b->cells == NULL)
        {
          if (b->block == NULL)
            atl_md_begin_block (b, ATL_MD_PARAGRAPH);
          if (may_split (b->n_chars, b->last))
            split_behind (b);
          n = bytes_to_split (text, length, b->n_chars);
        }
      g_autofree char *escaped = g_markup_escape_text (text, n);
      g_string_append (b->markup, escaped);
      b->n_chars += g_utf8_strlen (text, n);
      b->last = text[n - 1];
      text += n;
      length -= n;
    }
}
