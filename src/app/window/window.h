/* The main window: sidebar, header, pages, toasts, what goes wrong with the engine.
 *
 *   AtlWindow *window = atl_window_new (ATL_APPLICATION (app), session);
 *   atl_window_open_files (window, NULL, files, n_files);
 *
 * Actions ("win."): new (of the page in sight), new-chat, new-chat-in (x), open-chat (x),
 * rename-chat (x, 0: the open one), pin-chat (x), move-chat (x), move-chat-to (xx: chat, folder),
 * delete-chat (x), export-chat (xs), import-chat, new-folder, rename-folder (x), delete-folder (x),
 * open-model, choose-model, unload-model, show-page (s), search, find, undo, toggle-sidebar,
 * show-settings, zoom-in, zoom-out, zoom-reset.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_WINDOW (atl_window_get_type ())
G_DECLARE_FINAL_TYPE (AtlWindow, atl_window, ATL, WINDOW, AdwApplicationWindow)

/* As large as the last one was; still to be presented. Tells what the store had to repair. Takes a
 * reference of the session; GTK's, as any window, until it is closed. */
AtlWindow *atl_window_new (GtkApplication *app, AtlSession *session);

/* The chat that was open last, on the page that was in sight last. */
void atl_window_open_last (AtlWindow *self);

/* Files and folders that a person dropped or opened: models are brought in together, with one
 * question; a text is attached; what the Images page shows goes to it. `at` (nullable) is the
 * widget they fell on. */
void atl_window_open_files (AtlWindow *self, GtkWidget *at, GFile *const *files, guint n_files);
void atl_window_toast (AtlWindow *self, const char *sentence);

G_END_DECLS
