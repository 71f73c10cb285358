/* Numbers that stand in a list which scrolls must not change under a turning wheel, and a box of
 * text in it must not stop it.
 *
 *   atl_wheel_ignore (GTK_WIDGET (self));   // after its template was built
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* Every spin button and slider in `root` leaves the wheel to the list around it; a scrolled window
 * does where it has nothing more to scroll. */
void atl_wheel_ignore (GtkWidget *root);

G_END_DECLS
