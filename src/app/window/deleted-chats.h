/* The chats that were deleted and are not destroyed yet (store/trash.h), to bring them back.
 *
 *   atl_deleted_chats_present (GTK_WINDOW (window), session);
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

/* A window over `parent`. */
void atl_deleted_chats_present (GtkWindow *parent, AtlSession *session);

G_END_DECLS
