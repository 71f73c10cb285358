/* Errors of the readers. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/format-error.h"

#include <string.h>

#define EXCERPT_CHARS 60

gboolean
atl_format_fail (GError **error, AtlError code, const char *format, ...)
{
  va_list args;

  if (error == NULL)
    return FALSE;
  va_start (args, format);
  *error = g_error_new_valist (ATL_ERROR, code, format, args);
  va_end (args);
  return FALSE;
}

char *
atl_format_excerpt (const char *bytes, gsize length)
{
  gsize cut = MIN (length, 4 * EXCERPT_CHARS);
  g_autofree char *valid = g_utf8_make_valid (bytes, (gssize) cut);
  GString *out = g_string_new (NULL);
  guint n = 0;
  const char *p;

  for (p = valid; *p != '\0' && n < EXCERPT_CHARS; p = g_utf8_next_char (p), n++)
    {
      gunichar c = g_utf8_get_char (p);

      g_string_append_unichar (out, g_unichar_iscntrl (c) ? 0xfffd : c);
    }
  if (*p != '\0' || cut < length)
    g_string_append (out, "…");
  return g_string_free (out, FALSE);
}
