/* Errors whose words are put together. */
#include "base/fail.h"

gboolean
atl_fail (GError **error, AtlError code, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, ATL_ERROR, code, what);
  return FALSE;
}
