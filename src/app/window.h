/* The main window: sidebar, header, pages, toasts, what goes wrong with the engine.
 *
 *   AtlWindow *window = atl_window_new (ATL_APPLICATION (app), session);
 *   atl_window_open_file (window, file);
 *
 * Actions ("win."): new (of the page in sight), new-chat, new-chat-in (x), open-chat (x),
 * rename-chat (x, 0: the open one), pin-chat (x), move-chat (x), delete-chat (x), export-chat (xs),
 * import-chat, new-folder, rename-folder (x), delete-folder (x), open-model, choose-model,
 * unload-model, show-page (s), search, find, undo, toggle-sidebar, show-settings, zoom-in,
 * zoom-out, zoom-reset.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_WINDOW (atl_window_get_type ())
G_DECLARE_FINAL_TYPE (AtlWindow, atl_window, ATL, WINDOW, AdwApplicationWindow)

AtlWindow *atl_window_new (GtkApplication *app, AtlSession *session);

/* A file or folder that a person dropped or opened: a model is added, a chat (.json) imported, a
 * text file attached. */
void atl_window_open_file (AtlWindow *self, GFile *file);
void atl_window_toast (AtlWindow *self, const char *sentence);

G_END_DECLS
