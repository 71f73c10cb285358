/* The keys of the window, to read and to search.
 *
 *   GtkWidget *window = atl_shortcuts_window_new ();
 *   gtk_window_set_transient_for (GTK_WINDOW (window), parent);
 *   gtk_window_present (GTK_WINDOW (window));
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* Still to be presented. */
GtkWidget *atl_shortcuts_window_new (void);

G_END_DECLS
