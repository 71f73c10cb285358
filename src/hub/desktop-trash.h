/* Single files to the desktop's trash and back.
 *
 *   g_autofree char *trashed = NULL;
 *   atl_desktop_trash ("/home/me/Pictures/Atelier/fox.png", &trashed, &error);
 *   atl_desktop_untrash ("/home/me/Pictures/Atelier/fox.png", trashed, &error);
 *
 * Threading: any thread; quick unless the file lies on another disk than the home folder, when it
 * is copied.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

/* `trashed` (nullable) is its name in the trash, the caller's. ATL_ERROR_INVALID, ATL_ERROR_FULL in
 * words; the file is where it was then. */
gboolean atl_desktop_trash (const char *path, char **trashed, GError **error);

/* Brings back what is called `trashed` in the trash; NULL: what was trashed last from that path,
 * for which all that is there is looked through. Never over a file that is there (ATL_ERROR_BUSY);
 * ATL_ERROR_NOT_FOUND when the trash was emptied. */
gboolean atl_desktop_untrash (const char *path, const char *trashed, GError **error);

G_END_DECLS
