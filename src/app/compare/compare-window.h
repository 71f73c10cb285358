/* One question, two to four answers side by side: of other models, or with other settings.
 *
 *   gtk_window_present (GTK_WINDOW (atl_compare_window_new (app, session)));
 *
 * Models are loaded one after the other, then all are asked at once; the engine answers as many at
 * the same time as it can. What was loaded only for a comparison leaves the memory with the window.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_COMPARE_WINDOW (atl_compare_window_get_type ())
G_DECLARE_FINAL_TYPE (AtlCompareWindow, atl_compare_window, ATL, COMPARE_WINDOW, AdwWindow)

/* With two columns: the session's model, and the next one that can answer; still to be presented.
 * Takes a reference of the session. */
GtkWidget *atl_compare_window_new (GtkApplication *app, AtlSession *session);

/* 2 to 4. */
guint atl_compare_window_get_n_columns (AtlCompareWindow *self);
/* Asks all columns; FALSE when an answer is still being made or there is no model. */
gboolean
atl_compare_window_ask (AtlCompareWindow *self, const char *text, const char *attachments_json);
gboolean atl_compare_window_get_is_running (AtlCompareWindow *self);

G_END_DECLS
