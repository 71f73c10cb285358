/* A combo row whose chosen value stays readable beside a long description and under large letters.
 *
 * AdwComboRow gives its value three letters when room is short. This one gives it what a short
 * value needs, and lets the words beside it wrap.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

/* For a row whose model is a GtkStringList; after its template was built. */
void atl_combo_row_show_whole (AdwComboRow *row);

G_END_DECLS
