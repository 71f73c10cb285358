/* Free text that the model continues at the cursor, without roles or a template.
 *
 *   gtk_window_present (GTK_WINDOW (atl_notebook_window_new (app, session)));
 *
 * What the model wrote is marked until the notebook is closed; the text itself is kept in the store
 * and is there again. Ctrl+Enter goes on, Escape stops, Ctrl+Z takes a continuation back.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_NOTEBOOK_WINDOW (atl_notebook_window_get_type ())
G_DECLARE_FINAL_TYPE (AtlNotebookWindow, atl_notebook_window, ATL, NOTEBOOK_WINDOW, AdwWindow)

/* With the text that was there last; still to be presented. Takes a reference of the session. */
GtkWidget *atl_notebook_window_new (GtkApplication *app, AtlSession *session);

gboolean atl_notebook_window_get_is_running (AtlNotebookWindow *self);
char *atl_notebook_window_get_text (AtlNotebookWindow *self); /* the caller's */
/* Replaces everything; the cursor is at the end. */
void atl_notebook_window_set_text (AtlNotebookWindow *self, const char *text);

G_END_DECLS
