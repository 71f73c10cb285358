/* The methods of strings. Offsets are in characters. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <string.h>

#define METHOD(name)                                                                               \
  static JValue str_##name (JRun *run, JValue self, const JValue *arg, const JArgs *args)

#define HEAP (&run->heap)

/* --- Case and kind --- */

METHOD (upper)
{
  return j_str (j_text_upper (HEAP, self.str));
}

METHOD (lower)
{
  return j_str (j_text_lower (HEAP, self.str));
}

METHOD (capitalize)
{
  return j_str (j_text_capitalize (HEAP, self.str));
}

METHOD (swapcase)
{
  JBuf buf = { 0 };

  j_work (HEAP, self.str->n_bytes / 16);
  for (gsize at = 0; at < self.str->n_bytes; at += g_utf8_skip[(guint8) self.str->bytes[at]])
    {
      gunichar c = g_utf8_get_char (self.str->bytes + at);

      j_buf_append_char (HEAP, &buf,
                         g_unichar_isupper (c) ? g_unichar_tolower (c) : g_unichar_toupper (c));
    }
  return j_str (j_buf_str (HEAP, &buf));
}

METHOD (title)
{
  const JStr *text = j_text_lower (HEAP, self.str);
  JBuf buf = { 0 };
  gboolean inside = FALSE;

  for (gsize at = 0; at < text->n_bytes; at += g_utf8_skip[(guint8) text->bytes[at]])
    {
      gunichar c = g_utf8_get_char (text->bytes + at);

      j_buf_append_char (HEAP, &buf, inside ? c : g_unichar_totitle (c));
      inside = g_unichar_isupper (c) || g_unichar_islower (c) || g_unichar_istitle (c);
    }
  return j_str (j_buf_str (HEAP, &buf));
}

typedef gboolean (*CharTest) (gunichar c);

static gboolean
all_chars (JRun *run, const JStr *str, CharTest test)
{
  j_work (HEAP, str->n_bytes / 16);
  for (gsize at = 0; at < str->n_bytes; at += g_utf8_skip[(guint8) str->bytes[at]])
    if (!test (g_utf8_get_char (str->bytes + at)))
      return FALSE;
  return str->n_bytes > 0;
}

static gboolean
is_numeric (gunichar c)
{
  GUnicodeType type = g_unichar_type (c);

  return type == G_UNICODE_DECIMAL_NUMBER || type == G_UNICODE_LETTER_NUMBER ||
         type == G_UNICODE_OTHER_NUMBER;
}

static gboolean
is_alnum (gunichar c)
{
  return g_unichar_isalpha (c) || is_numeric (c);
}

METHOD (isalpha)
{
  return j_bool (all_chars (run, self.str, g_unichar_isalpha));
}

METHOD (isalnum)
{
  return j_bool (all_chars (run, self.str, is_alnum));
}

METHOD (isdigit)
{
  return j_bool (all_chars (run, self.str, g_unichar_isdigit));
}

METHOD (isnumeric)
{
  return j_bool (all_chars (run, self.str, is_numeric));
}

METHOD (isspace)
{
  return j_bool (all_chars (run, self.str, j_char_is_space));
}

METHOD (isascii)
{
  return j_bool (self.str->n_chars == self.str->n_bytes);
}

/* TRUE if there are letters with case, all of the wanted one. */
static gboolean
all_case (JRun *run, const JStr *str, CharTest wanted, CharTest other)
{
  gboolean cased = FALSE;

  j_work (HEAP, str->n_bytes / 16);
  for (gsize at = 0; at < str->n_bytes; at += g_utf8_skip[(guint8) str->bytes[at]])
    {
      gunichar c = g_utf8_get_char (str->bytes + at);

      if (other (c))
        return FALSE;
      cased |= wanted (c);
    }
  return cased;
}

METHOD (isupper)
{
  return j_bool (all_case (run, self.str, g_unichar_isupper, g_unichar_islower));
}

METHOD (islower)
{
  return j_bool (all_case (run, self.str, g_unichar_islower, g_unichar_isupper));
}

METHOD (istitle)
{
  gboolean inside = FALSE;
  gboolean cased = FALSE;

  for (gsize at = 0; at < self.str->n_bytes; at += g_utf8_skip[(guint8) self.str->bytes[at]])
    {
      gunichar c = g_utf8_get_char (self.str->bytes + at);
      gboolean upper = g_unichar_isupper (c) || g_unichar_istitle (c);
      gboolean lower = g_unichar_islower (c);

      if ((upper && inside) || (lower && !inside))
        return j_bool (FALSE);
      inside = upper || lower;
      cased |= inside;
    }
  return j_bool (cased);
}

/* --- Stripping and padding --- */

METHOD (strip)
{
  return j_str (j_text_strip (HEAP, self.str, j_arg_str (run, arg[0], N_ ("chars")), TRUE, TRUE));
}

METHOD (lstrip)
{
  return j_str (j_text_strip (HEAP, self.str, j_arg_str (run, arg[0], N_ ("chars")), TRUE, FALSE));
}

METHOD (rstrip)
{
  return j_str (j_text_strip (HEAP, self.str, j_arg_str (run, arg[0], N_ ("chars")), FALSE, TRUE));
}

static JValue
pad (JRun *run, const JStr *str, const JValue *arg, int side)
{
  gint64 width = j_arg_int (run, arg[0], N_ ("width"), 0);
  const JStr *fill = j_arg_str (run, arg[1], N_ ("fillchar"));
  gint64 room = width - (gint64) str->n_chars;
  gint64 left;
  JBuf buf = { 0 };

  if (fill == NULL)
    fill = j_str_literal (HEAP, " ");
  if (fill->n_chars != 1)
    j_throw (HEAP, _ ("the fill character must be exactly one character"));
  if (room <= 0)
    return j_str (str);
  left = side < 0 ? 0 : side > 0 ? room : room / 2 + (room & width & 1);
  j_work (HEAP, (guint64) room / 4);
  for (gint64 i = 0; i < left; i++)
    j_buf_append_str (HEAP, &buf, fill);
  j_buf_append_str (HEAP, &buf, str);
  for (gint64 i = left; i < room; i++)
    j_buf_append_str (HEAP, &buf, fill);
  return j_str (j_buf_str (HEAP, &buf));
}

METHOD (center)
{
  return pad (run, self.str, arg, 0);
}

METHOD (ljust)
{
  return pad (run, self.str, arg, -1);
}

METHOD (rjust)
{
  return pad (run, self.str, arg, 1);
}

METHOD (zfill)
{
  gint64 width = j_arg_int (run, arg[0], N_ ("width"), 0);
  gint64 room = width - (gint64) self.str->n_chars;
  gsize sign = self.str->n_bytes > 0 && strchr ("+-", self.str->bytes[0]) != NULL &&
               self.str->bytes[0] != '\0';
  JBuf buf = { 0 };

  if (room <= 0)
    return self;
  j_buf_append (HEAP, &buf, self.str->bytes, sign);
  j_buf_append_n (HEAP, &buf, '0', (gsize) room);
  j_buf_append (HEAP, &buf, self.str->bytes + sign, self.str->n_bytes - sign);
  return j_str (j_buf_str (HEAP, &buf));
}

/* --- Searching --- */

/* The part that optional start and end arguments pick; `start` gets its offset in characters. FALSE
 * if they pick nothing, not even an empty string. */
static gboolean
window (JRun *run, const JStr *str, const JValue *arg, const JStr **part, gint64 *start)
{
  gint64 n = (gint64) str->n_chars;
  gint64 from = j_is (arg[0], J_NONE) ? 0 : j_arg_int (run, arg[0], N_ ("start"), 0);
  gint64 to = j_is (arg[1], J_NONE) ? n : j_arg_int (run, arg[1], N_ ("end"), n);

  from = from < 0 ? MAX (0, from < -n ? 0 : from + n) : from;
  to = to < 0 ? (to < -n ? 0 : to + n) : MIN (to, n);
  *start = from;
  if (from > n || from > to)
    return FALSE;
  *part = j_str_sub (HEAP, str, (gsize) from, (gsize) (to - from));
  return TRUE;
}

static gint64
search (JRun *run, JValue self, const JValue *arg, gboolean last)
{
  const JStr *needle = j_need_str (run, arg[0], N_ ("the text searched for"));
  const JStr *part;
  gint64 start;
  gssize at;

  if (!window (run, self.str, arg + 1, &part, &start))
    return -1;
  j_work (HEAP, part->n_bytes / 4);
  at = last ? j_str_rfind (part, needle) : j_str_find (part, needle, 0);
  return at < 0 ? -1 : start + (gint64) g_utf8_strlen (part->bytes, at);
}

METHOD (find)
{
  return j_int (search (run, self, arg, FALSE));
}

METHOD (rfind)
{
  return j_int (search (run, self, arg, TRUE));
}

METHOD (index)
{
  gint64 at = search (run, self, arg, FALSE);

  if (at < 0)
    j_throw (HEAP, _ ("substring not found"));
  return j_int (at);
}

METHOD (rindex)
{
  gint64 at = search (run, self, arg, TRUE);

  if (at < 0)
    j_throw (HEAP, _ ("substring not found"));
  return j_int (at);
}

METHOD (count)
{
  const JStr *needle = j_need_str (run, arg[0], N_ ("the text counted"));
  const JStr *part;
  gint64 start;
  gint64 n = 0;
  gssize at = 0;

  if (!window (run, self.str, arg + 1, &part, &start))
    return j_int (0);
  if (needle->n_bytes == 0)
    return j_int ((gint64) part->n_chars + 1);
  j_work (HEAP, part->n_bytes / 16);
  while ((at = j_str_find (part, needle, (gsize) at)) >= 0)
    {
      j_work (HEAP, 1);
      at += (gssize) needle->n_bytes;
      n++;
    }
  return j_int (n);
}

static gboolean
has_affix (const JStr *str, const JStr *affix, gboolean at_end)
{
  return str->n_bytes >= affix->n_bytes &&
         memcmp (str->bytes + (at_end ? str->n_bytes - affix->n_bytes : 0), affix->bytes,
                 affix->n_bytes) == 0;
}

static JValue
any_affix (JRun *run, JValue self, const JValue *arg, gboolean at_end)
{
  const JStr *part;
  gint64 start;

  if (!window (run, self.str, arg + 1, &part, &start))
    return j_bool (FALSE);
  if (j_is (arg[0], J_TUPLE))
    {
      for (gsize i = 0; i < arg[0].list->n; i++)
        if (has_affix (part, j_need_str (run, arg[0].list->items[i], N_ ("a prefix or suffix")),
                       at_end))
          return j_bool (TRUE);
      return j_bool (FALSE);
    }
  return j_bool (has_affix (part, j_need_str (run, arg[0], N_ ("the prefix or suffix")), at_end));
}

METHOD (startswith)
{
  return any_affix (run, self, arg, FALSE);
}

METHOD (endswith)
{
  return any_affix (run, self, arg, TRUE);
}

METHOD (removeprefix)
{
  const JStr *affix = j_need_str (run, arg[0], N_ ("the prefix"));

  if (!has_affix (self.str, affix, FALSE))
    return self;
  return j_str (
      j_str_wrap (HEAP, self.str->bytes + affix->n_bytes, self.str->n_bytes - affix->n_bytes));
}

METHOD (removesuffix)
{
  const JStr *affix = j_need_str (run, arg[0], N_ ("the suffix"));

  if (!has_affix (self.str, affix, TRUE))
    return self;
  return j_str (j_str_wrap (HEAP, self.str->bytes, self.str->n_bytes - affix->n_bytes));
}

METHOD (replace)
{
  gint64 count = j_arg_int (run, arg[2], N_ ("count"), -1);

  return j_str (j_text_replace (HEAP, self.str, j_need_str (run, arg[0], N_ ("the text replaced")),
                                j_need_str (run, arg[1], N_ ("the replacement")), count));
}

METHOD (expandtabs)
{
  gint64 size = CLAMP (j_arg_int (run, arg[0], N_ ("tabsize"), 8), 0, 1000);
  gint64 column = 0;
  JBuf buf = { 0 };

  for (gsize at = 0; at < self.str->n_bytes;)
    {
      char c = self.str->bytes[at];
      gsize n = g_utf8_skip[(guint8) c];

      if (c == '\t')
        {
          gint64 room = size > 0 ? size - column % size : 0;

          j_buf_append_n (HEAP, &buf, ' ', (gsize) room);
          column += room;
        }
      else
        {
          j_buf_append (HEAP, &buf, self.str->bytes + at, n);
          column = c == '\n' || c == '\r' ? 0 : column + 1;
        }
      at += n;
    }
  j_work (HEAP, buf.n / 16);
  return j_str (j_buf_str (HEAP, &buf));
}

METHOD (format)
{
  return j_str (j_format_braces (run, self.str, args));
}

const JBuiltin j_methods_str[] = {
  { "capitalize", "", str_capitalize },
  { "casefold", "", str_lower },
  { "center", "width ? fillchar", str_center },
  { "count", "sub ? start end", str_count },
  { "endswith", "suffix ? start end", str_endswith },
  { "expandtabs", "? tabsize", str_expandtabs },
  { "find", "sub ? start end", str_find },
  { "format", "*", str_format },
  { "index", "sub ? start end", str_index },
  { "isalnum", "", str_isalnum },
  { "isalpha", "", str_isalpha },
  { "isascii", "", str_isascii },
  { "isdecimal", "", str_isdigit },
  { "isdigit", "", str_isdigit },
  { "islower", "", str_islower },
  { "isnumeric", "", str_isnumeric },
  { "isspace", "", str_isspace },
  { "istitle", "", str_istitle },
  { "isupper", "", str_isupper },
  { "ljust", "width ? fillchar", str_ljust },
  { "lower", "", str_lower },
  { "lstrip", "? chars", str_lstrip },
  { "removeprefix", "prefix", str_removeprefix },
  { "removesuffix", "suffix", str_removesuffix },
  { "replace", "old new ? count", str_replace },
  { "rfind", "sub ? start end", str_rfind },
  { "rindex", "sub ? start end", str_rindex },
  { "rjust", "width ? fillchar", str_rjust },
  { "rstrip", "? chars", str_rstrip },
  { "startswith", "prefix ? start end", str_startswith },
  { "strip", "? chars", str_strip },
  { "swapcase", "", str_swapcase },
  { "title", "", str_title },
  { "upper", "", str_upper },
  { "zfill", "width", str_zfill },
  { NULL },
};
