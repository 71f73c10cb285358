/* md4c's events -> a flat list of blocks with Pango markup. */
#include "app/chat/markdown.h"

#include <md4c.h>
#include <string.h>

#include "app/chat/latex.h"

/* Spans nested deeper are read as plain text. */
#define MAX_SPANS 16
#define MAX_CELLS 4096
#define MAX_MATH_SPAN 2048

typedef struct
{
  gboolean ordered;
  guint number;
} List;

typedef struct
{
  GPtrArray *blocks; /* (element-type AtlMdBlock) */
  AtlMdBlock *block; /* (nullable) the one being written */
  GString *markup;
  gsize n_chars; /* of the text in `markup`, without tags */
  GArray *lists; /* (element-type List) */
  guint quote;
  char *marker; /* (nullable) of the list item that has no block yet */
  AtlMdTask task;
  const char *open[MAX_SPANS];  /* opening tags, static or owned by `links` */
  const char *close[MAX_SPANS]; /* closing tags, static */
  MD_SPANTYPE kind[MAX_SPANS];
  guint n_spans;
  guint n_ignored_spans;
  guint n_code_spans; /* open code spans, at most 1 */
  gboolean is_math;
  GPtrArray *links; /* opening tags of links */
  GPtrArray *cells; /* (nullable) of the table being read */
  guint8 *align;
  guint n_columns;
} Builder;

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

static AtlMdBlock *
begin_block (Builder *b, AtlMdKind kind)
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
static void
close_spans (Builder *b)
{
  while (b->n_spans > 0)
    g_string_append (b->markup, b->close[--b->n_spans]);
  b->n_ignored_spans = 0;
  b->n_code_spans = 0;
}

static void
end_block (Builder *b)
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
static void
split_block (Builder *b)
{
  AtlMdKind kind = b->block->kind;
  guint level = b->block->level;

  for (guint i = b->n_spans; i-- > 0;)
    g_string_append (b->markup, b->close[i]);
  end_block (b);
  begin_block (b, kind);
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

static void
append_text (Builder *b, const char *text, gsize length)
{
  while (length > 0)
    {
      gsize n = length;
      if (b->cells == NULL)
        {
          if (b->block == NULL)
            begin_block (b, ATL_MD_PARAGRAPH);
          if (b->n_chars >= ATL_MD_SPLIT_CHARS)
            split_block (b);
          n = prefix_bytes (text, length, ATL_MD_SPLIT_CHARS - b->n_chars);
        }
      g_autofree char *escaped = g_markup_escape_text (text, n);
      g_string_append (b->markup, escaped);
      b->n_chars += g_utf8_strlen (text, n);
      text += n;
      length -= n;
    }
}

/* HTML's line break is common in tables of models; all other HTML stays text. */
static void
append_normal (Builder *b, const char *text, gsize length)
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
          append_text (b, text, length);
          return;
        }
      append_text (b, text, tag - text);
      append_text (b, "\n", 1);
      length -= tag + n_tag - text;
      text = tag + n_tag;
    }
}

static void
append_entity (Builder *b, const char *text, gsize length)
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
        append_text (b, known[i].text, strlen (known[i].text));
        return;
      }
  if (entity[1] == '#')
    {
      gboolean hex = entity[2] == 'x' || entity[2] == 'X';
      guint64 c = g_ascii_strtoull (entity + (hex ? 3 : 2), NULL, hex ? 16 : 10);
      char utf8[8];
      if (c >= 0x20 && c <= 0x10FFFF && g_unichar_validate ((gunichar) c))
        {
          append_text (b, utf8, g_unichar_to_utf8 ((gunichar) c, utf8));
          return;
        }
    }
  append_text (b, text, length);
}

static int
text_cb (MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE size, void *data)
{
  Builder *b = data;

  if (b->block != NULL && b->block->kind == ATL_MD_CODE)
    {
      g_string_append_len (b->markup, text, size);
      return 0;
    }
  switch (type)
    {
    case MD_TEXT_NULLCHAR:
      append_text (b, "\xEF\xBF\xBD", 3);
      break;
    case MD_TEXT_BR:
    case MD_TEXT_SOFTBR:
      /* Models break lines where they mean it. */
      append_text (b, b->n_code_spans > 0 ? " " : "\n", 1);
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
            split_block (b);
          g_autofree char *markup =
              size <= MAX_MATH_SPAN ? atl_latex_to_markup (tex) : g_markup_escape_text (tex, -1);
          g_string_append (b->markup, markup);
          b->n_chars += size;
        }
      else
        append_text (b, text, size);
      break;
    default:
      append_normal (b, text, size);
      break;
    }
  return 0;
}

static void
push_span (Builder *b, MD_SPANTYPE kind, const char *open, const char *close)
{
  if (b->block == NULL && b->cells == NULL)
    begin_block (b, ATL_MD_PARAGRAPH);
  if (b->n_spans == MAX_SPANS)
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
link_tag (Builder *b, const MD_ATTRIBUTE *href)
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

/* Half transparent grey, so that it suits light and dark. */
static const char code_open[] = "<span font_family=\"monospace\" background=\"#808080\" "
                                "background_alpha=\"16%\" size=\"95%\">";

static int
enter_span_cb (MD_SPANTYPE type, void *detail, void *data)
{
  Builder *b = data;
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
  Builder *b = data;

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
  Builder *b = data;

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
enter_item (Builder *b, const MD_BLOCK_LI_DETAIL *detail)
{
  List *list = b->lists->len ? &g_array_index (b->lists, List, b->lists->len - 1) : NULL;

  end_block (b);
  g_free (b->marker);
  b->marker = list && list->ordered ? g_strdup_printf ("%u.", list->number++) : g_strdup ("•");
  if (detail->is_task)
    b->task = detail->task_mark == ' ' ? ATL_MD_TASK_OPEN : ATL_MD_TASK_DONE;
}

static int
enter_block_cb (MD_BLOCKTYPE type, void *detail, void *data)
{
  Builder *b = data;
  List list = { 0 };

  switch (type)
    {
    case MD_BLOCK_QUOTE:
      end_block (b);
      b->quote++;
      break;
    case MD_BLOCK_UL:
      end_block (b);
      g_array_append_val (b->lists, list);
      break;
    case MD_BLOCK_OL:
      end_block (b);
      list.ordered = TRUE;
      list.number = ((MD_BLOCK_OL_DETAIL *) detail)->start;
      g_array_append_val (b->lists, list);
      break;
    case MD_BLOCK_LI:
      enter_item (b, detail);
      break;
    case MD_BLOCK_HR:
      end_block (b);
      begin_block (b, ATL_MD_RULE);
      end_block (b);
      break;
    case MD_BLOCK_H:
      end_block (b);
      begin_block (b, ATL_MD_HEADING)->level = ((MD_BLOCK_H_DETAIL *) detail)->level;
      break;
    case MD_BLOCK_P:
      end_block (b);
      begin_block (b, ATL_MD_PARAGRAPH);
      break;
    case MD_BLOCK_CODE:
      {
        const MD_ATTRIBUTE *lang = &((MD_BLOCK_CODE_DETAIL *) detail)->lang;
        end_block (b);
        begin_block (b, ATL_MD_CODE);
        if (lang->size > 0 && lang->size < 40)
          b->block->language = g_strndup (lang->text, lang->size);
      }
      break;
    case MD_BLOCK_TABLE:
      end_block (b);
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
end_table (Builder *b)
{
  AtlMdBlock *block;

  g_string_truncate (b->markup, 0);
  block = begin_block (b, ATL_MD_TABLE);
  block->n_columns = b->n_columns;
  block->cells = g_steal_pointer (&b->cells);
  block->align = g_steal_pointer (&b->align);
  while (block->n_columns > 0 && block->cells->len % block->n_columns != 0)
    g_ptr_array_add (block->cells, g_strdup (""));
  end_block (b);
}

static int
leave_block_cb (MD_BLOCKTYPE type, void *detail, void *data)
{
  Builder *b = data;

  switch (type)
    {
    case MD_BLOCK_QUOTE:
      end_block (b);
      b->quote--;
      break;
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
      end_block (b);
      if (b->lists->len > 0)
        g_array_set_size (b->lists, b->lists->len - 1);
      break;
    case MD_BLOCK_LI:
      close_spans (b);
      if (b->block == NULL && b->marker != NULL)
        begin_block (b, ATL_MD_PARAGRAPH);
      end_block (b);
      break;
    case MD_BLOCK_H:
    case MD_BLOCK_P:
    case MD_BLOCK_CODE:
      close_spans (b);
      end_block (b);
      break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
      close_spans (b);
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
append_plain (Builder *b, const char *text)
{
  begin_block (b, ATL_MD_PARAGRAPH);
  append_text (b, text, strlen (text));
  end_block (b);
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
  Builder b = { .blocks = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_md_block_free),
                .markup = g_string_new (NULL),
                .lists = g_array_new (FALSE, FALSE, sizeof (List)),
                .links = g_ptr_array_new_with_free_func (g_free) };

  if (strlen (valid) > ATL_MD_MAX_BYTES)
    append_plain (&b, valid);
  else
    {
      g_autofree char *protected = atl_markdown_protect_math (valid);
      md_parse (protected, (MD_SIZE) strlen (protected), &parser, &b);
      end_block (&b);
    }
  g_clear_pointer (&b.cells, g_ptr_array_unref);
  g_free (b.align);
  g_free (b.marker);
  g_ptr_array_unref (b.links);
  g_array_unref (b.lists);
  g_string_free (b.markup, TRUE);
  return b.blocks;
}
