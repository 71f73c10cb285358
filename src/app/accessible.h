/* Names for assistive technologies where GTK 4.8 gives none.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* Everything below `root` that GTK leaves without a name: menu buttons and drop-downs are named by
 * their tooltips, lists by the title of their group, scrolled windows by what is in them. Windows
 * of the application get this when they are shown; call it for what is made later.
 */
void atl_accessible_complete (GtkWidget *root);

/* A name that atl_accessible_complete() leaves as it is. */
void atl_accessible_set_name (GtkWidget *widget, const char *name);

/* Gives the lists below a combo row, in its pop-up, the name of the row. */
void atl_accessible_name_combo_row (GtkWidget *row);

/* Names the close button of an info bar. */
void atl_accessible_name_close_button (GtkWidget *root);

/* As above, for one menu button, with tooltip and name in one. */
void atl_accessible_set_menu_button (GtkMenuButton *button, const char *name);

/* Names the row that a list view puts round a child; after each bind. */
void atl_accessible_name_list_item (GtkListItem *item, const char *name);

G_END_DECLS
