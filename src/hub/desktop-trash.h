/* Single files to the desktop's trash and back.
 *
 *   atl_desktop_trash ("/home/me/Pictures/Atelier/fox.png", &error);
 *   atl_desktop_untrash ("/home/me/Pictures/Atelier/fox.png", &error);
 *
 * Threading: any thread; quick unless the file lies on another disk than the home folder, when it
 * is copied.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

/* ATL_ERROR_INVALID, ATL_ERROR_FULL in words; the file is where it was then. */
gboolean atl_desktop_trash (const char *path, GError **error);

/* Brings back what was trashed last from that path. Never over a file that is there
 * (ATL_ERROR_BUSY); ATL_ERROR_NOT_FOUND when the trash was emptied. */
gboolean atl_desktop_untrash (const char *path, GError **error);

G_END_DECLS
