/* A selection that follows the program alone: the open chat stays marked in the list, wherever the
 * pointer and the keyboard go. (GTK's own selections follow the pointer in a list that opens its
 * rows with one click.)
 *
 *   AtlOpenSelection *selection = atl_open_selection_new (G_LIST_MODEL (entries));
 *   atl_open_selection_set_position (selection, 3);
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ATL_TYPE_OPEN_SELECTION (atl_open_selection_get_type ())
G_DECLARE_FINAL_TYPE (AtlOpenSelection, atl_open_selection, ATL, OPEN_SELECTION, GObject)

AtlOpenSelection *atl_open_selection_new (GListModel *model);
/* GTK_INVALID_LIST_POSITION: none. The model's changes do not move it: set it again after them. */
void atl_open_selection_set_position (AtlOpenSelection *self, guint position);

G_END_DECLS
