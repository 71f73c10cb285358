/* Text for terminals; what it promises is in terminal-text.h. */
#include "base/terminal-text.h"

#include <unistd.h>

#define REPLACEMENT 0xfffd

char *
atl_terminal_text (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *out = g_string_new (NULL);

  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (c == '\r' && (p[1] == '\n' || p[1] == '\0'))
        continue;
      if (g_unichar_iscntrl (c) && c != '\n' && c != '\t')
        c = REPLACEMENT;
      g_string_append_unichar (out, c);
    }
  return g_string_free (out, FALSE);
}

void
atl_terminal_text_put (FILE *out, const char *text)
{
  if (isatty (fileno (out)))
    {
      g_autofree char *harmless = atl_terminal_text (text);

      fputs (harmless, out);
    }
  else
    {
      fputs (text, out);
    }
}
