/* Deleting with undo: a toast with a button, and Ctrl+Z for the last one.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* Brings back what was deleted. FALSE with words when that is not possible. */
typedef gboolean (*AtlUndoFunc) (gpointer data, GError **error);

/* Offers the undo in the window of `widget`. `free_data` is called when it can no longer be used.
 */
void atl_undo_offer (GtkWidget *widget,
                     const char *sentence,
                     AtlUndoFunc undo,
                     gpointer data,
                     GDestroyNotify free_data);

G_END_DECLS
