/* The escapes in string literals of templates, which are Python's. */
#define G_LOG_DOMAIN "atl-jinja"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tokenizers/jinja-value.h"

static gunichar
hex_escape (JHeap *heap, const char *at, const char *end, guint n_digits)
{
  gunichar c = 0;

  if ((gsize) (end - at) < n_digits)
    j_throw (heap, _ ("truncated escape in a string"));
  for (guint i = 0; i < n_digits; i++)
    {
      int digit = g_ascii_xdigit_value (at[i]);

      if (digit < 0)
        j_throw (heap, _ ("an escape in a string is not hexadecimal"));
      c = c << 4 | (gunichar) digit;
    }
  if (c > 0x10ffff)
    j_throw (heap, _ ("an escape in a string is not a character"));
  return c;
}

/* Python's escapes. A pair of surrogates becomes the character it stands for. */
const JStr *
j_str_unescape (JHeap *heap, const char *at, const char *end)
{
  static const char simple[] = "n\nt\tr\rb\bf\fv\va\a\\\\''\"\"";
  JBuf buf = { 0 };

  if (memchr (at, '\\', (gsize) (end - at)) == NULL)
    return j_str_wrap (heap, at, (gsize) (end - at));
  while (at < end)
    {
      const char *s;
      gunichar c;

      if (*at != '\\')
        {
          const char *stop = memchr (at, '\\', (gsize) (end - at));

          stop = stop != NULL ? stop : end;
          j_buf_append (heap, &buf, at, (gsize) (stop - at));
          at = stop;
          continue;
        }
      at++;
      for (s = simple; *s != '\0' && *s != *at; s += 2)
        ;
      if (*s != '\0')
        {
          j_buf_append (heap, &buf, s + 1, 1);
          at++;
        }
      else if (*at == '\n')
        at++;
      else if (*at >= '0' && *at <= '7')
        {
          c = 0;
          for (guint i = 0; i < 3 && at < end && *at >= '0' && *at <= '7'; i++, at++)
            c = c << 3 | (gunichar) (*at - '0');
          j_buf_append_char (heap, &buf, c);
        }
      else if (*at == 'x' || *at == 'u' || *at == 'U')
        {
          guint n_digits = *at == 'x' ? 2 : *at == 'u' ? 4 : 8;

          c = hex_escape (heap, at + 1, end, n_digits);
          at += 1 + n_digits;
          if (c >= 0xd800 && c < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u')
            {
              gunichar low = hex_escape (heap, at + 2, end, 4);

              if (low >= 0xdc00 && low < 0xe000)
                {
                  c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                  at += 6;
                }
            }
          j_buf_append_char (heap, &buf, c);
        }
      else if (*at == 'N')
        j_throw (heap, _ ("escapes by character name are not supported"));
      else
        j_buf_append (heap, &buf, "\\", 1);
    }
  return j_buf_str (heap, &buf);
}
