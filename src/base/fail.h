/* An error and its FALSE in one, for checks that have many reasons to fail.
 *
 *   if (rank == 0)
 *     return atl_fail (error, ATL_ERROR_INVALID, "%s has a rank of 0", name);
 *
 * Threading: any thread.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

/* Sets an error of the domain ATL_ERROR with these words and returns FALSE. `error` may be NULL. */
gboolean atl_fail (GError **error, AtlError code, const char *format, ...) G_GNUC_PRINTF (3, 4);

G_END_DECLS
