/* A tooltip does not lie over the menu that its button has opened.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* While the menu of `button` is open `widget`, which may be the button, shows no tooltip. Calling
 * it again does nothing. */
void atl_menu_tooltip_rests (GtkMenuButton *button, GtkWidget *widget);

G_END_DECLS
