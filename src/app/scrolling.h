/* What GTK 4.8's lists leave to those who use them.
 *
 *   atl_scrolling_reset (self->scroller);   // the list in it shows other rows from now on
 *   g_list_store_splice (self->entries, 0, n_old, others, n_others);
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* Before all rows of the list in a GtkScrolledWindow are replaced: nothing to scroll until the new
 * ones are laid out. A list whose rows have no height yet cannot follow the scrollbar. */
void atl_scrolling_reset (GtkWidget *scroller);

G_END_DECLS
