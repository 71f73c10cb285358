/* Finds formulas in Markdown before the parser sees it, because emphasis, escapes and lists would
 * tear them apart. */
#include "app/chat/markdown.h"

#include <string.h>

#include "app/chat/latex.h"

/* Length of a fence ("```", "~~~") that starts at `p`, else 0. */
static gsize
fence_length (const char *p)
{
  gsize n = strspn (p, "`");
  if (n < 3)
    n = strspn (p, "~");
  return n >= 3 ? n : 0;
}

static gboolean
append_span (GString *out, const char *tex, gsize length)
{
  g_autofree char *inside = g_strndup (tex, length);
  g_strstrip (inside);
  if (*inside == '\0' || strchr (inside, '`') != NULL || length > ATL_LATEX_MAX_BYTES)
    return FALSE;
  g_string_append_printf (out, "`" ATL_MD_MATH_MARK "%s`", inside);
  return TRUE;
}

/* The end of "$…$" that starts at `p` (on the dollar), inside `end`; NULL when it is money. */
static const char *
dollar_end (const char *p, const char *end)
{
  if (p + 1 >= end || g_ascii_isspace (p[1]) || p[1] == '$')
    return NULL;
  end = MIN (end, p + ATL_LATEX_MAX_BYTES);
  for (const char *q = p + 1; q < end; q++)
    {
      if (*q == '\\' && q + 1 < end)
        q++;
      else if (*q == '$')
        return g_ascii_isspace (q[-1]) || g_ascii_isdigit (q[1]) ? NULL : q;
    }
  return NULL;
}

/* Looks no further than the longest formula, so that hostile text costs linear time. */
static const char *
find_in (const char *p, const char *end, const char *needle)
{
  return g_strstr_len (p, MIN (end - p, ATL_LATEX_MAX_BYTES), needle);
}

/* One line outside fences: copies it, turning formulas into code spans. */
static void
protect_line (GString *out, const char *p, const char *end)
{
  while (p < end)
    {
      const char *close;
      if (*p == '`')
        {
          gsize n = strspn (p, "`");
          g_autofree char *run = g_strndup (p, n);
          close = find_in (p + n, end, run);
          const char *stop = close ? close + n : p + n;
          g_string_append_len (out, p, MIN (stop, end) - p);
          p = MIN (stop, end);
        }
      else if (*p == '\\' && p + 1 < end && p[1] == '(' &&
               (close = find_in (p + 2, end, "\\)")) != NULL &&
               append_span (out, p + 2, close - p - 2))
        p = close + 2;
      else if (*p == '\\' && p + 1 < end && p[1] == '[' &&
               (close = find_in (p + 2, end, "\\]")) != NULL &&
               append_span (out, p + 2, close - p - 2))
        p = close + 2;
      else if (*p == '$' && p + 1 < end && p[1] == '$' &&
               (close = find_in (p + 2, end, "$$")) != NULL &&
               append_span (out, p + 2, close - p - 2))
        p = close + 2;
      else if (*p == '$' && (close = dollar_end (p, end)) != NULL &&
               append_span (out, p + 1, close - p - 1))
        p = close + 1;
      else if (*p == '\\' && p + 1 < end)
        {
          g_string_append_len (out, p, 2);
          p += 2;
        }
      else
        g_string_append_c (out, *p++);
    }
}

/* "|-|:-|": md4c wants three dashes below the heads of a table, models write fewer. Copies the line
 * with three. FALSE when the line is something else. */
static gboolean
widen_table_rule (GString *out, const char *p, const char *end)
{
  if (memchr (p, '|', end - p) == NULL || memchr (p, '-', end - p) == NULL)
    return FALSE;
  for (const char *q = p; q < end; q++)
    if (strchr ("|:- \t>\r", *q) == NULL)
      return FALSE;
  while (p < end)
    {
      gsize n = strspn (p, "-");
      if (n > 0 && n < 3)
        g_string_append (out, "---");
      else
        g_string_append_len (out, p, MAX (n, 1));
      p += MAX (n, 1);
    }
  return TRUE;
}

/* Cells of a line of a table: its bars, but for those at its ends and those that are escaped. */
static guint
count_cells (const char *p, const char *end)
{
  guint n = 1;

  while (p < end && strchr (" \t>", *p) != NULL)
    p++;
  while (end > p && strchr (" \t\r", end[-1]) != NULL)
    end--;
  if (p < end && *p == '|')
    p++;
  if (end > p && end[-1] == '|')
    end--;
  for (; p < end; p++)
    n += *p == '|' && p[-1] != '\\';
  return n;
}

/* A table begins a block of its own even where its heads follow a line of text, which md4c takes
 * for one paragraph: they get an empty line before them. `out` ends with the line of the heads,
 * which begins at `heads`; the line before it at `before`. */
static void
part_table (GString *out, gsize before, gsize heads, const char *rule, const char *rule_end)
{
  const char *line = out->str + heads;
  gsize n_prefix = strspn (line, " \t>");
  gsize n_above = strspn (out->str + before, " \t>\r");
  g_autofree char *empty = NULL;

  if (heads == before || out->str[before + n_above] == '\n' ||
      memchr (line, '|', out->len - heads) == NULL ||
      count_cells (line, out->str + out->len - 1) != count_cells (rule, rule_end))
    return;
  empty = g_strdup_printf ("%.*s\n", (int) n_prefix, line);
  g_string_insert (out, (gssize) heads, empty);
}

/* A paragraph "$$ … $$" or "\[ … \]" that starts on the line at `p` and is alone on its lines:
 * writes a fence and returns where to go on; NULL when it is none. An unfinished one, while it is
 * streamed, runs to the end of the text. */
static const char *
protect_display (GString *out, const char *p, const char *text_end)
{
  gsize n_indent = strspn (p, " \t");
  const char *start = p + n_indent;
  const char *closer;
  if (g_str_has_prefix (start, "$$"))
    closer = "$$";
  else if (g_str_has_prefix (start, "\\["))
    closer = "\\]";
  else
    return NULL;

  const char *inside = start + 2;
  const char *close = find_in (inside, text_end, closer);
  const char *blank = find_in (inside, text_end, "\n\n");
  if (close == NULL && (blank != NULL || text_end - inside > ATL_LATEX_MAX_BYTES))
    return NULL;
  const char *after = close ? close + 2 : text_end;
  gsize n_rest = close ? strcspn (after, "\n") : 0;
  if (close != NULL && strspn (after, " \t.,;") < n_rest)
    return NULL;
  g_autofree char *tex = g_strndup (inside, (close ? close : text_end) - inside);
  if (strstr (tex, "```") != NULL || strlen (tex) > ATL_LATEX_MAX_BYTES)
    return NULL;
  g_autofree char *indent = g_strndup (p, n_indent);
  g_auto (GStrv) lines = g_strsplit (g_strstrip (tex), "\n", -1);
  if (out->len > 0 && out->str[out->len - 1] != '\n')
    g_string_append_c (out, '\n');
  g_string_append_printf (out, "%s```math\n", indent);
  for (guint i = 0; lines[i] != NULL; i++)
    g_string_append_printf (out, "%s%s\n", indent, g_strstrip (lines[i]));
  g_string_append_printf (out, "%s```\n", indent);
  after += n_rest;
  return *after == '\n' ? after + 1 : after;
}

char *
atl_markdown_protect_math (const char *text)
{
  GString *out = g_string_sized_new (strlen (text) + 64);
  const char *text_end = text + strlen (text);
  char fence_char = 0;
  gsize fence = 0;
  gsize last = 0, before = 0; /* where in `out` the last line begins, and the one before it */
  gboolean in_table = FALSE;

  for (const char *p = text; *p != '\0';)
    {
      const char *line_end = p + strcspn (p, "\n");
      const char *next = *line_end == '\n' ? line_end + 1 : line_end;
      const char *start = p + strspn (p, " \t>");
      gsize n = fence_length (start);

      if (n > 0 && fence == 0)
        {
          fence = n;
          fence_char = *start;
        }
      else if (n >= fence && fence > 0 && *start == fence_char &&
               start + n + strspn (start + n, " \t\r") >= line_end)
        fence = 0;
      else if (fence == 0)
        {
          const char *after = protect_display (out, p, text_end);
          if (after != NULL)
            {
              before = last = out->len;
              p = after;
              continue;
            }
          gsize begin = out->len;
          if (widen_table_rule (out, p, line_end))
            {
              if (!in_table)
                {
                  g_autofree char *rule = g_strdup (out->str + begin);
                  g_string_truncate (out, begin);
                  part_table (out, before, last, p, line_end);
                  begin = out->len;
                  g_string_append (out, rule);
                }
              in_table = TRUE;
            }
          else
            {
              protect_line (out, p, line_end);
              in_table = in_table && memchr (p, '|', line_end - p) != NULL;
            }
          g_string_append_len (out, line_end, next - line_end);
          before = last;
          last = begin;
          p = next;
          continue;
        }
      /* A fence or what is in it: no heads of a table. */
      g_string_append_len (out, p, next - p);
      before = last = out->len;
      p = next;
    }
  return g_string_free (out, FALSE);
}
