/* md4c's events -> a flat list of blocks with Pango markup. */
#include "app/chat/markdown.h"

#include <string.h>

#include "app/chat/latex.h"
#include "app/chat/markdown-builder.h"

#define MAX_CELLS 4096
#define MAX_MATH_SPAN 2048

/* HTML's line break is common in tables of models; all other HTML stays text. */
static void
append_normal (AtlMdBuilder *b, const char *text, gsize length)
{
  while (length > 0)
    {
      const char *tag = g_strstr_len (text, length, "<br");
      gsize n_tag = 0;
      if (tag != NULL)
        {
          const char *p = tag + 3, *end = text + length;
          while (p < end && (*p == ' ' || *p == '/'))
            p++;
          if (p < end && *p == '>')
            n_tag = p + 1 - tag;
        }
      if (n_tag == 0)
        {
          atl_md_append_text (b, text, length);
          return;
        }
      atl_md_append_text (b, text, tag - text);
      atl_md_append_text (b, "\n", 1);
      length -= tag + n_tag - text;
      text = tag + n_tag;
    }
}

static void
append_entity (AtlMdBuilder *b, const char *text, gsize length)
{
  static const struct
  {
    const char *entity, *text;
  } known[] = { { "&amp;", "&" },   { "&lt;", "<" },     { "&gt;", ">" },    { "&quot;", "\"" },
                { "&apos;", "'" },  { "&nbsp;", " " },   { "&copy;", "©" },  { "&mdash;", "—" },
                { "&ndash;", "–" }, { "&hellip;", "…" }, { "&times;", "×" }, { "&deg;", "°" } };
  g_autofree char *entity = g_strndup (text, length);

  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    if (strcmp (entity, known[i].entity) == 0)
      {
        atl_md_append_text (b, known[i].text, strlen (known[i].text));
        return;
      }
  if (entity[1] == '#')
    {
      gboolean hex = entity[2] == 'x' || entity[2] == 'X';
      guint64 c = g_ascii_strtoull (entity + (hex ? 3 : 2), NULL, hex ? 16 : 10);
      char utf8[8];
      if (c >= 0x20 && c <= 0x10FFFF && g_unichar_validate ((gunichar) c))
        {
          atl_md_append_text (b, utf8, g_unichar_to_utf8 ((gunichar) c, utf8));
          return;
        }
    }
  atl_md_append_text (b, text, length);
}

static int
text_cb (MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE size, void *data)
{
  AtlMdBuilder *b = data;

  if (b->block != NULL && b->block->kind == ATL_MD_CODE)
    {
      g_string_append_len (b->markup, text, size);
      return 0;
    }
  switch (type)
    {
    case MD_TEXT_NULLCHAR:
      atl_md_append_text (b, "\xEF\xBF\xBD", 3);
      break;
    case MD_TEXT_BR:
    case MD_TEXT_SOFTBR:
      /* Models break lines where they mean it. */
      atl_md_append_text (b, b->n_code_spans > 0 ? " " : "\n", 1);
      break;
    case MD_TEXT_ENTITY:
      append_entity (b, text, size);
      break;
    case MD_TEXT_CODE:
      if (b->is_math)
        {
          gsize skip = MIN (strlen (ATL_MD_MATH_MARK), (gsize) size);
          if (strncmp (text, ATL_MD_MATH_MARK, skip) != 0)
            skip = 0;
          g_autofree char *tex = g_strndup (text + skip, size - skip);
          if (b->n_chars >= ATL_MD_SPLIT_CHARS && b->block != NULL)
            atl_md_split_block (b);
          g_autofree char *markup =
              size <= MAX_MATH_SPAN ? atl_latex_to_markup (tex) : g_markup_escape_text (tex, -1);
          g_string_append (b->markup, markup);
          b->n_chars += size;
        }
      else
        atl_md_append_text (b, text, size);
      break;
    default:
      append_normal (b, text, size);
      break;
    }
  return 0;
}

static void
push_span (AtlMdBuilder *b, MD_SPANTYPE kind, const char *open, const char *close)
{
  if (b->block == NULL && b->cells == NULL)
    atl_md_begin_block (b, ATL_MD_PARAGRAPH);
  if (b->n_spans == ATL_MD_MAX_SPANS)
    {
      b->n_ignored_spans++;
      return;
    }
  b->kind[b->n_spans] = kind;
  b->open[b->n_spans] = open;
  b->close[b->n_spans++] = close;
  g_string_append (b->markup, open);
}

static const char *
link_tag (AtlMdBuilder *b, const MD_ATTRIBUTE *href)
{
  g_autofree char *address = g_strndup (href->text, href->size);
  g_autofree char *scheme = address ? g_uri_parse_scheme (address) : NULL;

  if (scheme == NULL || (strcmp (scheme, "http") != 0 && strcmp (scheme, "https") != 0 &&
                         strcmp (scheme, "mailto") != 0))
    return NULL;
  char *tag = g_markup_printf_escaped ("<a href=\"%s\">", address);
  g_ptr_array_add (b->links, tag);
  return tag;
}

static const char code_open[] = ATL_MD_CODE_OPEN;

static int
enter_span_cb (MD_SPANTYPE type, void *detail, void *data)
{
  AtlMdBuilder *b = data;
  const char *tag;

  switch (type)
    {
    case MD_SPAN_EM:
      push_span (b, type, "<i>", "</i>");
      break;
    case MD_SPAN_STRONG:
      push_span (b, type, "<b>", "</b>");
      break;
    case MD_SPAN_DEL:
      push_span (b, type, "<s>", "</s>");
      break;
    case MD_SPAN_CODE:
      b->n_code_spans++;
      push_span (b, type, code_open, "</span>");
      break;
    case MD_SPAN_A:
      tag = link_tag (b, &((MD_SPAN_A_DETAIL *) detail)->href);
      push_span (b, type, tag ? tag : "<span>", tag ? "</a>" : "</span>");
      break;
    case MD_SPAN_IMG:
      push_span (b, type, "<i>🖼 ", "</i>");
      break;
    default:
      push_span (b, type, "<span>", "</span>");
      break;
    }
  return 0;
}

static int
leave_span_cb (MD_SPANTYPE type, void *detail, void *data)
{
  AtlMdBuilder *b = data;

  guint match = b->n_spans;

  if (type == MD_SPAN_CODE && b->n_code_spans > 0)
    b->n_code_spans--;
  if (b->n_ignored_spans > 0)
    {
      b->n_ignored_spans--;
      return 0;
    }
  while (match > 0 && b->kind[match - 1] != type)
    match--;
  while (match > 0 && b->n_spans >= match)
    g_string_append (b->markup, b->close[--b->n_spans]);
  return 0;
}

/* Code spans that begin with the mark are formulas: they get no monospaced look. */
static int
text_or_math_cb (MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE size, void *data)
{
  AtlMdBuilder *b = data;

  b->is_math = FALSE;
  if (type == MD_TEXT_CODE && b->n_code_spans > 0 && size > strlen (ATL_MD_MATH_MARK) &&
      strncmp (text, ATL_MD_MATH_MARK, strlen (ATL_MD_MATH_MARK)) == 0)
    {
      b->is_math = TRUE;
      if (b->n_spans > 0 && b->open[b->n_spans - 1] == code_open &&
          g_str_has_suffix (b->markup->str, code_open))
        {
          g_string_truncate (b->markup, b->markup->len - strlen (code_open));
          g_string_append (b->markup, "<span>");
          b->open[b->n_spans - 1] = "<span>";
        }
    }
  return text_cb (type, text, size, data);
}

static void
enter_item (AtlMdBuilder *b, const MD_BLOCK_LI_DETAIL *detail)
{
  AtlMdList *list = b->lists->len ? &g_array_index (b->lists, AtlMdList, b->lists->len - 1) : NULL;

  atl_md_end_block (b);
  g_free (b->marker);
  b->marker = list && list->ordered ? g_strdup_printf ("%u.", list->number++) : g_strdup ("•");
  if (detail->is_task)
    b->task = detail->task_mark == ' ' ? ATL_MD_TASK_OPEN : ATL_MD_TASK_DONE;
}

static int
enter_block_cb (MD_BLOCKTYPE type, void *detail, void *data)
{
  AtlMdBuilder *b = data;
  AtlMdList list = { 0 };

  switch (type)
    {
    case MD_BLOCK_QUOTE:
      atl_md_end_block (b);
      b->quote++;
      break;
    case MD_BLOCK_UL:
      atl_md_end_block (b);
      g_array_append_val (b->lists, list);
      break;
    case MD_BLOCK_OL:
      atl_md_end_block (b);
      list.ordered = TRUE;
      list.number = ((MD_BLOCK_OL_DETAIL *) detail)->start;
      g_array_append_val (b->lists, list);
      break;
    case MD_BLOCK_LI:
      enter_item (b, detail);
      break;
    case MD_BLOCK_HR:
      atl_md_end_block (b);
      atl_md_begin_block (b, ATL_MD_RULE);
      atl_md_end_block (b);
      break;
    case MD_BLOCK_H:
      atl_md_end_block (b);
      atl_md_begin_block (b, ATL_MD_HEADING)->level = ((MD_BLOCK_H_DETAIL *) detail)->level;
      break;
    case MD_BLOCK_P:
      atl_md_end_block (b);
      atl_md_begin_block (b, ATL_MD_PARAGRAPH);
      break;
    case MD_BLOCK_CODE:
      {
        const MD_ATTRIBUTE *lang = &((MD_BLOCK_CODE_DETAIL *) detail)->lang;
        atl_md_end_block (b);
        atl_md_begin_block (b, ATL_MD_CODE);
        if (lang->size > 0 && lang->size < 40)
          b->block->language = g_strndup (lang->text, lang->size);
      }
      break;
    case MD_BLOCK_TABLE:
      atl_md_end_block (b);
      b->n_columns = MIN (((MD_BLOCK_TABLE_DETAIL *) detail)->col_count, 64);
      b->align = g_new0 (guint8, MAX (b->n_columns, 1));
      b->cells = g_ptr_array_new_with_free_func (g_free);
      break;
    case MD_BLOCK_TH:
      {
        guint column = b->cells->len;
        MD_ALIGN align = ((MD_BLOCK_TD_DETAIL *) detail)->align;
        if (column < b->n_columns)
          b->align[column] = align == MD_ALIGN_CENTER ? 1 : align == MD_ALIGN_RIGHT ? 2 : 0;
      }
      /* fall through */
    case MD_BLOCK_TD:
      g_string_truncate (b->markup, 0);
      break;
    default:
      break;
    }
  return 0;
}

static void
end_table (AtlMdBuilder *b)
{
  AtlMdBlock *block;

  g_string_truncate (b->markup, 0);
  block = atl_md_begin_block (b, ATL_MD_TABLE);
  block->n_columns = b->n_columns;
  block->cells = g_steal_pointer (&b->cells);
  block->align = g_steal_pointer (&b->align);
  while (block->n_columns > 0 && block->cells->len % block->n_columns != 0)
    g_ptr_array_add (block->cells, g_strdup (""));
  atl_md_end_block (b);
}

static int
leave_block_cb (MD_BLOCKTYPE type, void *detail, void *data)
{
  AtlMdBuilder *b = data;

  switch (type)
    {
    case MD_BLOCK_QUOTE:
      atl_md_end_block (b);
      b->quote--;
      break;
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
      atl_md_end_block (b);
      if (b->lists->len > 0)
        g_array_set_size (b->lists, b->lists->len - 1);
      break;
    case MD_BLOCK_LI:
      atl_md_close_spans (b);
      if (b->block == NULL && b->marker != NULL)
        atl_md_begin_block (b, ATL_MD_PARAGRAPH);
      atl_md_end_block (b);
      break;
    case MD_BLOCK_H:
    case MD_BLOCK_P:
    case MD_BLOCK_CODE:
      atl_md_close_spans (b);
      atl_md_end_block (b);
      break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
      atl_md_close_spans (b);
      if (b->cells->len < MAX_CELLS)
        g_ptr_array_add (b->cells, g_strdup (b->markup->str));
      break;
    case MD_BLOCK_TABLE:
      end_table (b);
      break;
    default:
      break;
    }
  return 0;
}

/* The whole text as plain paragraphs, line by line: for texts too long to parse. */
static void
append_plain (AtlMdBuilder *b, const char *text)
{
  atl_md_begin_block (b, ATL_MD_PARAGRAPH);
  atl_md_append_text (b, text, strlen (text));
  atl_md_end_block (b);
}

GPtrArray *
atl_markdown_parse (const char *text, gssize length)
{
  static const MD_PARSER parser = {
    .abi_version = 0,
    .flags = MD_DIALECT_GITHUB | MD_FLAG_NOHTML,
    .enter_block = enter_block_cb,
    .leave_block = leave_block_cb,
    .enter_span = enter_span_cb,
    .leave_span = leave_span_cb,
    .text = text_or_math_cb,
  };
  g_autofree char *valid = g_utf8_make_valid (text, length);
  AtlMdBuilder b = { .blocks = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_md_block_free),
                     .markup = g_string_new (NULL),
                     .lists = g_array_new (FALSE, FALSE, sizeof (AtlMdList)),
                     .links = g_ptr_array_new_with_free_func (g_free) };

  if (strlen (valid) > ATL_MD_MAX_BYTES)
    append_plain (&b, valid);
  else
    {
      g_autofree char *protected = atl_markdown_protect_math (valid);
      md_parse (protected, (MD_SIZE) strlen (protected), &parser, &b);
      atl_md_end_block (&b);
    }
  g_clear_pointer (&b.cells, g_ptr_array_unref);
  g_free (b.align);
  g_free (b.marker);
  g_ptr_array_unref (b.links);
  g_array_unref (b.lists);
  g_string_free (b.markup, TRUE);
  return b.blocks;
}
