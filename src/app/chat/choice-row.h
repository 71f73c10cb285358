/* A row of which one among several is chosen: a title behind a round mark.
 *
 *   GtkWidget *row = atl_choice_row_new ("None");
 *
 *   gtk_check_button_set_group (atl_choice_row_get_button (row), first);
 *   g_signal_connect (atl_choice_row_get_button (row), "toggled", …);
 *
 * It is an AdwActionRow; what a choice costs goes into its subtitle. A tap on the row chooses it.
 *
 * Threading: the thread of GTK only.
 */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

/* `title` is plain text and the name that screen readers say. */
GtkWidget *atl_choice_row_new (const char *title);
/* The mark, which the row owns. */
GtkCheckButton *atl_choice_row_get_button (GtkWidget *row);

G_END_DECLS
