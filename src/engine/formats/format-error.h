/* What the readers share for reporting: errors in one call, and file contents made fit to be shown.
 *
 * Threading: any thread.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

/* Sets an error of ATL_ERROR and returns FALSE, so that a check reads `return atl_format_fail (…)`.
 */
gboolean atl_format_fail (GError **error, AtlError code, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

/* At most the first 60 characters of `length` untrusted bytes as valid UTF-8 without control
 * characters. Free with g_free(). */
char *atl_format_excerpt (const char *bytes, gsize length);

G_END_DECLS
