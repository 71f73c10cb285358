/* The filters that make text. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <string.h>

#define FILTER(name)                                                                               \
  static JValue filter_##name (JRun *run, JValue self, const JValue *arg, const JArgs *args)

FILTER (upper)
{
  return j_str (j_text_upper (&run->heap, j_to_str (run, self)));
}

FILTER (lower)
{
  return j_str (j_text_lower (&run->heap, j_to_str (run, self)));
}

FILTER (capitalize)
{
  return j_str (j_text_capitalize (&run->heap, j_to_str (run, self)));
}

FILTER (string)
{
  return j_str (j_to_str (run, self));
}

FILTER (safe)
{
  return j_str (j_str_marked (&run->heap, j_to_str (run, self), TRUE));
}

FILTER (escape)
{
  return j_str (j_text_escape (&run->heap, j_to_str (run, self)));
}

FILTER (forceescape)
{
  const JStr *text = j_str_marked (&run->heap, j_to_str (run, self), FALSE);

  return j_str (j_text_escape (&run->heap, text));
}

FILTER (trim)
{
  const JStr *chars = j_arg_str (run, arg[0], N_ ("the characters to trim"));

  return j_str (j_text_strip (&run->heap, j_to_str (run, self), chars, TRUE, TRUE));
}

FILTER (replace)
{
  gint64 count =
      j_is (arg[2], J_NONE) ? -1 : j_arg_int (run, arg[2], N_ ("the count of replace"), -1);

  return j_str (j_text_replace (&run->heap, j_to_str (run, self), j_to_str (run, arg[0]),
                                j_to_str (run, arg[1]), count));
}

/* Every word's first letter is a capital; words begin after spaces, hyphens and opening brackets.
 */
FILTER (title)
{
  const JStr *text = j_to_str (run, self);
  const JStr *lower = j_text_lower (&run->heap, text);
  JBuf buf = { 0 };
  gboolean first = TRUE;

  for (gsize at = 0; at < lower->n_bytes; at += g_utf8_skip[(guint8) lower->bytes[at]])
    {
      gunichar c = g_utf8_get_char (lower->bytes + at);
      gboolean breaks =
          c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || j_char_is_space (c);

      j_buf_append_char (&run->heap, &buf, first && !breaks ? g_unichar_toupper (c) : c);
      first = breaks;
    }
  return j_str (j_buf_str (&run->heap, &buf));
}

FILTER (center)
{
  JHeap *heap = &run->heap;
  const JStr *text = j_to_str (run, self);
  gint64 width = j_arg_int (run, arg[0], N_ ("the width of center"), 80);
  gint64 room = width - (gint64) text->n_chars;
  gint64 left;
  JBuf buf = { 0 };

  if (room <= 0)
    return j_str (text);
  left = room / 2 + (room & width & 1);
  j_buf_append_n (heap, &buf, ' ', (gsize) left);
  j_buf_append_str (heap, &buf, text);
  j_buf_append_n (heap, &buf, ' ', (gsize) (room - left));
  return j_str (j_buf_str (heap, &buf));
}

FILTER (format)
{
  JList *list;

  if (args->n_kw > 0 && args->n_pos > 0)
    j_throw (&run->heap, _ ("format takes either positional or named arguments"));
  if (args->n_kw > 0)
    {
      JDict *dict = j_dict_new (&run->heap);

      for (gsize i = 0; i < args->n_kw; i++)
        j_dict_set (&run->heap, dict, j_str (args->names[i]), args->kw[i]);
      return j_str (
          j_format_percent (run, j_to_str (run, self), (JValue){ .kind = J_DICT, .dict = dict }));
    }
  list = j_list_new (&run->heap, 0);
  list->items = args->pos;
  list->n = list->cap = args->n_pos;
  return j_str (
      j_format_percent (run, j_to_str (run, self), (JValue){ .kind = J_TUPLE, .list = list }));
}

/* For the filters that, in the reference, are methods of strings and fail on anything else. */
static const JStr *
need_text (JRun *run, JValue self, const char *filter)
{
  if (j_is (self, J_UNDEFINED))
    j_throw_undefined (run, self);
  if (!j_is (self, J_STR))
    j_throw (&run->heap, _ ("%s needs a string, not %s"), filter, j_type_name (self));
  return self.str;
}

FILTER (indent)
{
  JHeap *heap = &run->heap;
  const JStr *text;
  const JStr *prefix;
  JList *lines;
  JBuf buf = { 0 };
  JBuf with_newline = { 0 };
  gboolean first = j_arg_bool (arg[1], FALSE);
  gboolean blank = j_arg_bool (arg[2], FALSE);

  need_text (run, self, "indent");
  if (j_is (arg[0], J_STR))
    prefix = arg[0].str;
  else
    {
      JBuf spaces = { 0 };
      gint64 width = j_arg_int (run, arg[0], N_ ("the width of indent"), 4);

      j_buf_append_n (heap, &spaces, ' ', (gsize) MAX (width, 0));
      prefix = j_buf_str (heap, &spaces);
    }
  j_buf_append_str (heap, &with_newline, self.str);
  j_buf_append (heap, &with_newline, "\n", 1);
  text = j_buf_str (heap, &with_newline);
  lines = j_text_lines (heap, text, FALSE);
  for (gsize i = 0; i < lines->n; i++)
    {
      const JStr *line = lines->items[i].str;

      if (i > 0)
        j_buf_append (heap, &buf, "\n", 1);
      if (i == 0 ? first : blank || line->n_bytes > 0)
        j_buf_append_str (heap, &buf, prefix);
      j_buf_append_str (heap, &buf, line);
    }
  return j_str (j_str_marked (heap, j_buf_str (heap, &buf), self.str->safe));
}

FILTER (truncate)
{
  JHeap *heap = &run->heap;
  const JStr *text;
  gsize n;
  const JStr *end = j_arg_str (run, arg[2], N_ ("the end of truncate"));
  gint64 length = j_arg_int (run, arg[0], N_ ("the length of truncate"), 255);
  gint64 leeway =
      j_is (arg[3], J_NONE) ? 5 : j_arg_int (run, arg[3], N_ ("the leeway of truncate"), 5);
  const JStr *kept;
  JBuf buf = { 0 };

  if (end == NULL)
    end = j_str_literal (heap, "...");
  if (length < (gint64) end->n_chars || leeway < 0)
    j_throw (heap, _ ("truncate: the length is shorter than the text at its end"));
  /* What is short enough passes as it is, whatever it is. */
  if (j_length (self, &n) && (leeway > G_MAXINT64 - length || (gint64) n <= length + leeway))
    return self;
  text = need_text (run, self, "truncate");
  kept = j_str_sub (heap, text, 0, (gsize) (length - (gint64) end->n_chars));
  if (!j_arg_bool (arg[1], FALSE))
    {
      gssize space = j_str_rfind (kept, j_str_literal (heap, " "));

      if (space >= 0)
        kept = j_str_wrap (heap, kept->bytes, (gsize) space);
    }
  j_buf_append_str (heap, &buf, kept);
  j_buf_append_str (heap, &buf, end);
  return j_str (j_buf_str (heap, &buf));
}

FILTER (wordcount)
{
  const JStr *text = j_to_str (run, self);
  gboolean inside = FALSE;
  gint64 count = 0;

  j_work (&run->heap, text->n_bytes / 16);
  for (gsize at = 0; at < text->n_bytes; at += g_utf8_skip[(guint8) text->bytes[at]])
    {
      gunichar c = g_utf8_get_char (text->bytes + at);
      gboolean word = c == '_' || g_unichar_isalnum (c) || g_unichar_ismark (c);

      count += word && !inside;
      inside = word;
    }
  return j_int (count);
}

/* --- Word wrapping, as Python's textwrap --- */

typedef struct
{
  const JStr *text;
  gboolean blank;
} Chunk;

/* Splits a line where it may break: around white space and, if asked, after hyphens in words. */
static Chunk *
split_chunks (JHeap *heap, const JStr *line, gboolean hyphens, gsize *n_chunks)
{
  Chunk *chunks = j_new (heap, Chunk, line->n_chars + 1);
  gsize start = 0;
  gsize n = 0;
  gboolean blank = FALSE;

  for (gsize at = 0; at < line->n_bytes;)
    {
      gunichar c = g_utf8_get_char (line->bytes + at);
      gsize next = at + g_utf8_skip[(guint8) line->bytes[at]];
      gboolean space = j_char_is_space (c);
      gboolean after_hyphen =
          hyphens && at >= 2 && !blank && line->bytes[at - 1] == '-' && g_unichar_isalpha (c) &&
          g_unichar_isalpha (g_utf8_get_char (g_utf8_prev_char (line->bytes + at - 1)));

      if (at > start && (space != blank || after_hyphen))
        {
          chunks[n++] = (Chunk){ j_str_wrap (heap, line->bytes + start, at - start), blank };
          start = at;
        }
      blank = space;
      at = next;
    }
  if (start < line->n_bytes)
    chunks[n++] = (Chunk){ j_str_wrap (heap, line->bytes + start, line->n_bytes - start), blank };
  *n_chunks = n;
  return chunks;
}

/* How many characters of a word that is too long stay on the line. */
static gsize
break_at (const JStr *word, gsize room, gboolean hyphens)
{
  if (hyphens)
    for (gsize i = MIN (room, word->n_chars); i > 1; i--)
      if (word->bytes[j_str_offset (word, i - 1)] == '-')
        return i;
  return room;
}

static void
wrap_line (
    JHeap *heap, JList *out, const JStr *line, gsize width, gboolean long_words, gboolean hyphens)
{
  gsize n;
  Chunk *chunks = split_chunks (heap, line, hyphens, &n);
  gsize first_line = out->n;

  for (gsize i = 0; i < n;)
    {
      JBuf buf = { 0 };
      gsize length = 0;
      gsize blank_from = G_MAXSIZE;

      if (chunks[i].blank && out->n > first_line)
        {
          i++;
          continue;
        }
      for (; i < n && length + chunks[i].text->n_chars <= width; i++)
        {
          blank_from = chunks[i].blank ? buf.n : G_MAXSIZE;
          j_buf_append_str (heap, &buf, chunks[i].text);
          length += chunks[i].text->n_chars;
        }
      if (i < n && chunks[i].text->n_chars > width)
        {
          if (long_words)
            {
              gsize keep = break_at (chunks[i].text, MAX (1, width - length), hyphens);

              j_buf_append_str (heap, &buf, j_str_sub (heap, chunks[i].text, 0, keep));
              chunks[i].text = j_str_sub (heap, chunks[i].text, keep, G_MAXSIZE / 2);
              blank_from = G_MAXSIZE;
            }
          else if (length == 0)
            {
              j_buf_append_str (heap, &buf, chunks[i++].text);
              blank_from = G_MAXSIZE;
            }
        }
      j_work (heap, 1);
      if (blank_from != G_MAXSIZE)
        buf.n = blank_from;
      if (buf.n > 0)
        j_list_append (heap, out, j_str (j_buf_str (heap, &buf)));
    }
}

FILTER (wordwrap)
{
  JHeap *heap = &run->heap;
  JList *lines = j_text_lines (heap, need_text (run, self, "wordwrap"), FALSE);
  gint64 width = j_arg_int (run, arg[0], N_ ("the width of wordwrap"), 79);
  const JStr *separator = j_arg_str (run, arg[2], N_ ("the wrapstring of wordwrap"));
  JBuf buf = { 0 };

  if (width <= 0)
    j_throw (heap, _ ("the width of wordwrap must be positive"));
  if (separator == NULL)
    separator = j_str_literal (heap, "\n");
  for (gsize i = 0; i < lines->n; i++)
    {
      JList *wrapped = j_list_new (heap, 0);

      wrap_line (heap, wrapped, lines->items[i].str, (gsize) width, j_arg_bool (arg[1], TRUE),
                 j_arg_bool (arg[3], TRUE));
      if (i > 0)
        j_buf_append_str (heap, &buf, separator);
      for (gsize k = 0; k < wrapped->n; k++)
        {
          if (k > 0)
            j_buf_append_str (heap, &buf, separator);
          j_buf_append_str (heap, &buf, wrapped->items[k].str);
        }
    }
  return j_str (j_buf_str (heap, &buf));
}

/* --- Markup --- */

static const struct
{
  const char *name;
  gunichar c;
} entities[] = {
  { "lt;", '<' },   { "gt;", '>' },    { "amp;", '&' },
  { "quot;", '"' }, { "apos;", '\'' }, { "nbsp;", 0xa0 },
};

/* The character of the entity after an "&" at `at` and the byte after it; 0 if there is none. */
static gunichar
read_entity (const JStr *text, gsize at, gsize *end)
{
  gsize rest = text->n_bytes - at;

  if (rest > 1 && text->bytes[at] == '#')
    {
      gboolean hex = text->bytes[at + 1] == 'x' || text->bytes[at + 1] == 'X';
      gunichar c = 0;
      gsize i = at + 1 + hex;
      gsize start = i;

      for (; i < text->n_bytes && i < start + 7; i++)
        {
          int digit =
              hex ? g_ascii_xdigit_value (text->bytes[i]) : g_ascii_digit_value (text->bytes[i]);

          if (digit < 0)
            break;
          c = c * (hex ? 16 : 10) + (gunichar) digit;
        }
      if (i > start && i < text->n_bytes && text->bytes[i] == ';')
        {
          *end = i + 1;
          return c > 0 ? c : 0xfffd;
        }
      return 0;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (entities); i++)
    {
      gsize n = strlen (entities[i].name);

      if (rest >= n && memcmp (text->bytes + at, entities[i].name, n) == 0)
        {
          *end = at + n;
          return entities[i].c;
        }
    }
  return 0;
}

FILTER (striptags)
{
  JHeap *heap = &run->heap;
  const JStr *text = j_to_str (run, self);
  JBuf bare = { 0 };
  JBuf buf = { 0 };
  const JStr *joined;
  gboolean space = FALSE;

  j_work (heap, text->n_bytes / 16);
  for (gsize at = 0; at < text->n_bytes;)
    {
      gboolean comment = text->n_bytes - at >= 4 && memcmp (text->bytes + at, "<!--", 4) == 0;
      const char *close = NULL;

      if (text->bytes[at] == '<')
        close = memmem (text->bytes + at + 1, text->n_bytes - at - 1, comment ? "-->" : ">",
                        comment ? 3 : 1);
      if (close != NULL)
        at = (gsize) (close - text->bytes) + (comment ? 3 : 1);
      else
        {
          gunichar c = g_utf8_get_char (text->bytes + at);

          /* Runs of white space become one blank. */
          if (!j_char_is_space (c))
            {
              if (space && bare.n > 0)
                j_buf_append (heap, &bare, " ", 1);
              j_buf_append_char (heap, &bare, c);
            }
          /* An opening mark that is never closed is searched for only once. */
          if (c == '<')
            j_work (heap, (text->n_bytes - at) / 16);
          space = j_char_is_space (c);
          at += g_utf8_skip[(guint8) text->bytes[at]];
        }
    }
  joined = j_buf_str (heap, &bare);
  for (gsize at = 0; at < joined->n_bytes;)
    {
      gsize end = at + 1;
      gunichar c = joined->bytes[at] == '&' ? read_entity (joined, at + 1, &end) : 0;

      if (c != 0)
        j_buf_append_char (heap, &buf, c);
      else
        j_buf_append (heap, &buf, joined->bytes + at, 1);
      at = end;
    }
  return j_str (j_buf_str (heap, &buf));
}

FILTER (xmlattr)
{
  JHeap *heap = &run->heap;
  JBuf buf = { 0 };

  if (!j_is (self, J_DICT))
    j_throw (heap, _ ("xmlattr needs a mapping, not %s"), j_type_name (self));
  for (gsize i = 0; i < self.dict->n; i++)
    {
      const JEntry *entry = &self.dict->entries[i];
      const JStr *key = j_to_str (run, entry->key);

      if (j_is (entry->value, J_NONE) || j_is (entry->value, J_UNDEFINED))
        continue;
      for (gsize k = 0; k < key->n_bytes; k++)
        if (strchr (" \t\n\r\f\v/>=", key->bytes[k]) != NULL)
          j_throw (heap, _ ("xmlattr: the name of an attribute has a character it must not have"));
      if (buf.n > 0 || j_arg_bool (arg[0], TRUE))
        j_buf_append (heap, &buf, " ", 1);
      j_buf_append_str (heap, &buf, j_text_escape (heap, key));
      j_buf_append_literal (heap, &buf, "=\"");
      j_buf_append_str (heap, &buf, j_text_escape (heap, j_to_str (run, entry->value)));
      j_buf_append (heap, &buf, "\"", 1);
    }
  return j_str (j_buf_str (heap, &buf));
}

static void
append_quoted (JHeap *heap, JBuf *buf, const JStr *text, gboolean query)
{
  for (gsize i = 0; i < text->n_bytes; i++)
    {
      char c = text->bytes[i];

      if (g_ascii_isalnum (c) || (c != '\0' && strchr ("_.-~", c) != NULL) || (c == '/' && !query))
        j_buf_append (heap, buf, &c, 1);
      else if (c == ' ' && query)
        j_buf_append (heap, buf, "+", 1);
      else
        j_buf_printf (heap, buf, "%%%02X", (guint8) c);
    }
}

FILTER (urlencode)
{
  JHeap *heap = &run->heap;
  JBuf buf = { 0 };
  JValue pairs = self;
  JValue *items;
  gsize n;

  if (j_is (self, J_STR) || !j_iterable (self))
    {
      append_quoted (heap, &buf, j_to_str (run, self), FALSE);
      return j_str (j_buf_str (heap, &buf));
    }
  if (j_is (self, J_DICT))
    {
      JView *view = j_new (heap, JView, 1);

      view->dict = self.dict;
      view->what = J_VIEW_ITEMS;
      pairs = (JValue){ .kind = J_VIEW, .view = view };
    }
  items = j_elements (run, pairs, &n);
  for (gsize i = 0; i < n; i++)
    {
      gsize n_parts;
      JValue *parts = j_elements (run, items[i], &n_parts);

      if (n_parts != 2)
        j_throw (heap, _ ("urlencode needs pairs"));
      if (i > 0)
        j_buf_append (heap, &buf, "&", 1);
      append_quoted (heap, &buf, j_to_str (run, parts[0]), TRUE);
      j_buf_append (heap, &buf, "=", 1);
      append_quoted (heap, &buf, j_to_str (run, parts[1]), TRUE);
    }
  return j_str (j_buf_str (heap, &buf));
}

FILTER (pprint)
{
  JBuf buf = { 0 };

  j_print_sorted (run, &buf, self);
  return j_str (j_buf_str (&run->heap, &buf));
}

const JBuiltin j_filters_text[] = {
  { "capitalize", "", filter_capitalize },
  { "center", "? width", filter_center },
  { "e", "", filter_escape },
  { "escape", "", filter_escape },
  { "forceescape", "", filter_forceescape },
  { "format", "*", filter_format },
  { "indent", "? width first blank", filter_indent },
  { "lower", "", filter_lower },
  { "pprint", "", filter_pprint },
  { "replace", "old new ? count", filter_replace },
  { "safe", "", filter_safe },
  { "string", "", filter_string },
  { "striptags", "", filter_striptags },
  { "title", "", filter_title },
  { "tojson", "? ensure_ascii indent separators sort_keys", j_filter_tojson },
  { "trim", "? chars", filter_trim },
  { "truncate", "? length killwords end leeway", filter_truncate },
  { "upper", "", filter_upper },
  { "urlencode", "", filter_urlencode },
  { "wordcount", "", filter_wordcount },
  { "wordwrap", "? width break_long_words wrapstring break_on_hyphens", filter_wordwrap },
  { "xmlattr", "? autospace", filter_xmlattr },
  { NULL },
};
