/* Text operations that filters and the methods of strings share: case, stripping, replacing,
 * escaping. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <string.h>

/* Case never depends on the user's locale, so GLib's g_utf8_strup() will not do. */
static void
append_upper (JHeap *heap, JBuf *buf, gunichar c)
{
  if (c == 0xdf)
    j_buf_append (heap, buf, "SS", 2);
  else
    j_buf_append_char (heap, buf, g_unichar_toupper (c));
}

const JStr *
j_text_upper (JHeap *heap, const JStr *str)
{
  JBuf buf = { 0 };

  j_work (heap, str->n_bytes / 16);
  for (gsize at = 0; at < str->n_bytes; at += g_utf8_skip[(guint8) str->bytes[at]])
    append_upper (heap, &buf, g_utf8_get_char (str->bytes + at));
  return j_str_marked (heap, j_buf_str (heap, &buf), str->safe);
}

static void
append_lower (JHeap *heap, JBuf *buf, const JStr *str, gsize at)
{
  gunichar c = g_utf8_get_char (str->bytes + at);

  if (c == 0x130)
    j_buf_append_literal (heap, buf, "i\xcc\x87");
  else if (c == 0x3a3)
    {
      /* A capital sigma at the end of a word has a form of its own. */
      gsize next = at + 2;
      gboolean before =
          at > 0 && g_unichar_isalpha (g_utf8_get_char (g_utf8_prev_char (str->bytes + at)));
      gboolean after =
          next < str->n_bytes && g_unichar_isalpha (g_utf8_get_char (str->bytes + next));

      j_buf_append_char (heap, buf, before && !after ? 0x3c2 : 0x3c3);
    }
  else
    j_buf_append_char (heap, buf, g_unichar_tolower (c));
}

const JStr *
j_text_lower (JHeap *heap, const JStr *str)
{
  JBuf buf = { 0 };

  j_work (heap, str->n_bytes / 16);
  for (gsize at = 0; at < str->n_bytes; at += g_utf8_skip[(guint8) str->bytes[at]])
    append_lower (heap, &buf, str, at);
  return j_str_marked (heap, j_buf_str (heap, &buf), str->safe);
}

const JStr *
j_text_capitalize (JHeap *heap, const JStr *str)
{
  JBuf buf = { 0 };

  j_work (heap, str->n_bytes / 16);
  for (gsize at = 0; at < str->n_bytes; at += g_utf8_skip[(guint8) str->bytes[at]])
    if (at == 0)
      j_buf_append_char (heap, &buf, g_unichar_totitle (g_utf8_get_char (str->bytes)));
    else
      append_lower (heap, &buf, str, at);
  return j_str_marked (heap, j_buf_str (heap, &buf), str->safe);
}

const JStr *
j_text_escape (JHeap *heap, const JStr *str)
{
  JBuf buf = { 0 };

  if (str->safe)
    return str;
  j_work (heap, str->n_bytes / 16);
  for (gsize i = 0; i < str->n_bytes; i++)
    switch (str->bytes[i])
      {
      case '&':
        j_buf_append_literal (heap, &buf, "&amp;");
        break;
      case '<':
        j_buf_append_literal (heap, &buf, "&lt;");
        break;
      case '>':
        j_buf_append_literal (heap, &buf, "&gt;");
        break;
      case '\'':
        j_buf_append_literal (heap, &buf, "&#39;");
        break;
      case '"':
        j_buf_append_literal (heap, &buf, "&#34;");
        break;
      default:
        j_buf_append (heap, &buf, str->bytes + i, 1);
      }
  return j_str_marked (heap, j_buf_str (heap, &buf), TRUE);
}

static gboolean
strippable (const JStr *chars, gunichar c)
{
  if (chars == NULL)
    return j_char_is_space (c);
  for (gsize at = 0; at < chars->n_bytes; at += g_utf8_skip[(guint8) chars->bytes[at]])
    if (g_utf8_get_char (chars->bytes + at) == c)
      return TRUE;
  return FALSE;
}

const JStr *
j_text_strip (JHeap *heap, const JStr *str, const JStr *chars, gboolean left, gboolean right)
{
  const char *start = str->bytes;
  const char *end = str->bytes + str->n_bytes;
  guint64 per_char = 1 + (chars != NULL ? chars->n_bytes / 16 : 0);

  while (left && start < end && strippable (chars, g_utf8_get_char (start)))
    {
      j_work (heap, per_char);
      start = g_utf8_next_char (start);
    }
  while (right && end > start && strippable (chars, g_utf8_get_char (g_utf8_prev_char (end))))
    {
      j_work (heap, per_char);
      end = g_utf8_prev_char (end);
    }
  if (start == str->bytes && end == str->bytes + str->n_bytes)
    return str;
  j_work (heap, (guint64) (end - start) / 64);
  return j_str_marked (heap, j_str_wrap (heap, start, (gsize) (end - start)), str->safe);
}

const JStr *
j_text_replace (JHeap *heap, const JStr *str, const JStr *old, const JStr *by, gint64 count)
{
  JBuf buf = { 0 };
  gsize at = 0;

  j_work (heap, str->n_bytes / 16);
  if (count < 0)
    count = G_MAXINT64;
  if (old->n_bytes == 0)
    {
      /* An empty pattern is found before every character and at the end. */
      while (count > 0 && at < str->n_bytes)
        {
          gsize n = g_utf8_skip[(guint8) str->bytes[at]];

          j_work (heap, 1);
          j_buf_append_str (heap, &buf, by);
          j_buf_append (heap, &buf, str->bytes + at, n);
          at += n;
          count--;
        }
      if (count > 0)
        j_buf_append_str (heap, &buf, by);
    }
  else
    while (count > 0)
      {
        gssize found = j_str_find (str, old, at);

        if (found < 0)
          break;
        j_work (heap, 1);
        j_buf_append (heap, &buf, str->bytes + at, (gsize) found - at);
        j_buf_append_str (heap, &buf, by);
        at = (gsize) found + old->n_bytes;
        count--;
      }
  if (at == 0 && buf.n == 0)
    return str;
  j_buf_append (heap, &buf, str->bytes + at, str->n_bytes - at);
  return j_buf_str (heap, &buf);
}

/* The bytes of the line end at `at`, 0 if there is none there. */
static gsize
line_end (const JStr *str, gsize at)
{
  gunichar c = g_utf8_get_char (str->bytes + at);

  if (c == '\r' && at + 1 < str->n_bytes && str->bytes[at + 1] == '\n')
    return 2;
  if ((c >= '\n' && c <= '\r') || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
      c == 0x2029)
    return g_utf8_skip[(guint8) str->bytes[at]];
  return 0;
}

JList *
j_text_lines (JHeap *heap, const JStr *str, gboolean keep_ends)
{
  JList *lines = j_list_new (heap, 0);
  gsize start = 0;
  gsize at = 0;

  j_work (heap, str->n_bytes / 16);
  while (at < str->n_bytes)
    {
      gsize n = line_end (str, at);

      if (n == 0)
        {
          at += g_utf8_skip[(guint8) str->bytes[at]];
          continue;
        }
      j_list_append (
          heap, lines,
          j_str (j_str_wrap (heap, str->bytes + start, at - start + (keep_ends ? n : 0))));
      at += n;
      start = at;
    }
  if (start < at)
    j_list_append (heap, lines, j_str (j_str_wrap (heap, str->bytes + start, at - start)));
  return lines;
}
