/* Names for assistive technologies where GTK 4.8 gives none.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* From now on each widget is completed when it is shown: menu buttons and drop-downs are named by
 * their tooltips, lists by the title of their group, scrolled windows by what is in them; buttons
 * with a picture are no longer called by its type, toggles tell their state. Once a process, after
 * the display is open.
 */
void atl_accessible_watch (void);

/* A name that atl_accessible_watch() leaves as it is. */
void atl_accessible_set_name (GtkWidget *widget, const char *name);

/* Tells the person in the window of `widget` in words what happened elsewhere. GTK 4.8 has no
 * announcements; screen readers say what changes about the thing that has the focus. */
void atl_accessible_announce (GtkWidget *widget, const char *words);

/* The same to who is at `page`, but not at the part of it that tells by its name. */
void atl_accessible_announce_beside (GtkWidget *page, GtkWidget *part, const char *words);

/* A selectable label would be a stop of the Tab key, which makes a long answer a long way. This one
 * takes the focus only from a click, so that Ctrl+C still copies what was selected. */
void atl_accessible_focus_by_click (GtkWidget *label);

/* The Tab key comes to one picture, row or tile of this list and leaves it with the next press, as
 * one way through hundreds would be none; arrows walk in it. */
void atl_accessible_leave_by_tab (GtkWidget *list);

/* Gives the lists below a combo row, in its pop-up, the name of the row. */
void atl_accessible_name_combo_row (GtkWidget *row);

/* Names the close button of an info bar or a toast. */
void atl_accessible_name_close_button (GtkWidget *root);

/* As above, for one menu button, with tooltip and name in one. */
void atl_accessible_set_menu_button (GtkMenuButton *button, const char *name);

/* Names the row that a list view puts round a child; after each bind. */
void atl_accessible_name_list_item (GtkListItem *item, const char *name);

G_END_DECLS
