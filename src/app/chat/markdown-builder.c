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

/* The bytes of at most `max` characters. */
static gsize
prefix_bytes (const char *text, gsize length, gsize max)
{
  const char *p = text, *end = text + length;
  for (gsize i = 0; i < max && p < end; i++)
    p = g_utf8_next_char (p);
  return MIN (p, end) - text;
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
          if (b->n_chars >= ATL_MD_SPLIT_CHARS)
            atl_md_split_block (b);
          n = prefix_bytes (text, length, ATL_MD_SPLIT_CHARS - b->n_chars);
        }
      g_autofree char *escaped = g_markup_escape_text (text, n);
      g_string_append (b->markup, escaped);
      b->n_chars += g_utf8_strlen (text, n);
      text += n;
      length -= n;
    }
}
