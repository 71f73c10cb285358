/* Strings of the template language: code points over UTF-8 bytes, and text under construction. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-value.h"

#include <glib/gi18n.h>
#include <stdarg.h>
#include <string.h>

static gsize
count_chars (const char *bytes, gsize n)
{
  gsize count = 0;

  for (gsize i = 0; i < n; i++)
    count += ((guint8) bytes[i] & 0xc0) != 0x80;
  return count;
}

const JStr *
j_str_wrap (JHeap *heap, const char *bytes, gsize n_bytes)
{
  JStr *str = j_new (heap, JStr, 1);

  str->bytes = n_bytes > 0 ? bytes : "";
  str->n_bytes = n_bytes;
  str->n_chars = count_chars (bytes, n_bytes);
  return str;
}

const JStr *
j_str_literal (JHeap *heap, const char *literal)
{
  return j_str_wrap (heap, literal, strlen (literal));
}

const JStr *
j_str_marked (JHeap *heap, const JStr *str, gboolean safe)
{
  JStr *copy;

  if (str->safe == safe)
    return str;
  copy = j_new (heap, JStr, 1);
  *copy = *str;
  copy->safe = safe;
  return copy;
}

gsize
j_str_offset (const JStr *str, gsize index)
{
  gsize at = 0;

  if (index >= str->n_chars)
    return str->n_bytes;
  if (str->n_chars == str->n_bytes)
    return index;
  while (index-- > 0)
    at += g_utf8_skip[(guint8) str->bytes[at]];
  return at;
}

const JStr *
j_str_sub (JHeap *heap, const JStr *str, gsize start, gsize n)
{
  gsize from, to;

  start = MIN (start, str->n_chars);
  n = MIN (n, str->n_chars - start);
  if (n == str->n_chars)
    return str;
  from = j_str_offset (str, start);
  to = j_str_offset (str, start + n);
  return j_str_marked (heap, j_str_wrap (heap, str->bytes + from, to - from), str->safe);
}

gboolean
j_str_equal (const JStr *a, const JStr *b)
{
  return a == b || (a->n_bytes == b->n_bytes && memcmp (a->bytes, b->bytes, a->n_bytes) == 0);
}

gboolean
j_str_is (const JStr *a, const char *literal)
{
  return a->n_bytes == strlen (literal) && memcmp (a->bytes, literal, a->n_bytes) == 0;
}

int
j_str_compare (const JStr *a, const JStr *b)
{
  /* The order of UTF-8 bytes is the order of code points. */
  int order = memcmp (a->bytes, b->bytes, MIN (a->n_bytes, b->n_bytes));

  if (order != 0)
    return order;
  return a->n_bytes < b->n_bytes ? -1 : a->n_bytes > b->n_bytes;
}

gssize
j_str_find (const JStr *haystack, const JStr *needle, gsize from)
{
  const char *found;

  if (from > haystack->n_bytes)
    return -1;
  found = memmem (haystack->bytes + from, haystack->n_bytes - from, needle->bytes, needle->n_bytes);
  return found != NULL ? found - haystack->bytes : -1;
}

gssize
j_str_rfind (const JStr *haystack, const JStr *needle)
{
  if (needle->n_bytes > haystack->n_bytes)
    return -1;
  for (gssize at = (gssize) (haystack->n_bytes - needle->n_bytes); at >= 0; at--)
    if (memcmp (haystack->bytes + at, needle->bytes, needle->n_bytes) == 0)
      return at;
  return -1;
}

gboolean
j_char_is_space (gunichar c)
{
  if (c < 0x80)
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f);
  return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static char *
reserve (JHeap *heap, JBuf *buf, gsize n)
{
  gsize need;

  if (__builtin_add_overflow (buf->n, n, &need))
    j_throw_limit (heap, _ ("the template builds a text that is too long"));
  if (need > buf->cap)
    {
      gsize cap = MAX (need, MAX (buf->cap * 2, 64));

      buf->bytes = j_grow (heap, buf->bytes, buf->cap, cap, 1);
      buf->cap = cap;
    }
  buf->n = need;
  return buf->bytes + need - n;
}

void
j_buf_append (JHeap *heap, JBuf *buf, const char *bytes, gsize n)
{
  if (n > 0)
    memcpy (reserve (heap, buf, n), bytes, n);
}

void
j_buf_append_literal (JHeap *heap, JBuf *buf, const char *literal)
{
  j_buf_append (heap, buf, literal, strlen (literal));
}

void
j_buf_append_char (JHeap *heap, JBuf *buf, gunichar c)
{
  char bytes[6];

  /* A lone surrogate has no UTF-8. */
  if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
    c = 0xfffd;
  j_buf_append (heap, buf, bytes, (gsize) g_unichar_to_utf8 (c, bytes));
}

void
j_buf_append_str (JHeap *heap, JBuf *buf, const JStr *str)
{
  j_buf_append (heap, buf, str->bytes, str->n_bytes);
}

void
j_buf_append_n (JHeap *heap, JBuf *buf, char c, gsize n)
{
  if (n > 0)
    memset (reserve (heap, buf, n), c, n);
}

void
j_buf_printf (JHeap *heap, JBuf *buf, const char *format, ...)
{
  char text[512];
  va_list args;
  int n;

  va_start (args, format);
  n = g_vsnprintf (text, sizeof text, format, args);
  va_end (args);
  j_buf_append (heap, buf, text, (gsize) CLAMP (n, 0, (int) sizeof text - 1));
}

const JStr *
j_buf_str (JHeap *heap, const JBuf *buf)
{
  return j_str_wrap (heap, buf->bytes, buf->n);
}
