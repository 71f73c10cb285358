/* Names for assistive technologies where GTK 4.8 gives none.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* A menu button or drop-down is announced by the toggle inside it, which does not take over the
 * name. Gives the inner toggles of all of them below `root` the text of their tooltips as a name.
 */
void atl_accessible_name_menu_buttons (GtkWidget *root);

/* Gives the lists below a combo row, in its pop-up, the name of the row. */
void atl_accessible_name_combo_row (GtkWidget *row);

/* Names the close button of an info bar. */
void atl_accessible_name_close_button (GtkWidget *root);

/* As above, for one menu button, with tooltip and name in one. */
void atl_accessible_set_menu_button (GtkMenuButton *button, const char *name);

/* Names the row that a list view puts round a child; after each bind. */
void atl_accessible_name_list_item (GtkListItem *item, const char *name);

G_END_DECLS
