/* The strip at the foot of the sidebar: what is loaded, how much memory is used, what is running.
 * A click opens the ledger.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_ENGINE_STRIP (atl_engine_strip_get_type ())
G_DECLARE_FINAL_TYPE (AtlEngineStrip, atl_engine_strip, ATL, ENGINE_STRIP, GtkWidget)

/* Once, before it is shown; takes a reference. */
void atl_engine_strip_set_session (AtlEngineStrip *self, AtlSession *session);

/* Of several models it names the one for pictures, or else the one that chats. */
void atl_engine_strip_set_for_pictures (AtlEngineStrip *self, gboolean for_pictures);

/* How much of the memory models take: "3.1 GB of 16.8 GB"; of one that is larger than it, that it
 * is read from the disk. Bytes; the caller's. */
char *atl_engine_strip_memory_words (guint64 used, guint64 total);

G_END_DECLS
