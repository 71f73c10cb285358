/* A picture on the terminal, in half blocks of 24-bit colour: two pixels a character.
 *
 * Threading: the main thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Draws [height, width, 3] on standard error, at most `columns` wide. Gives the number of lines,
 * which the next call is handed as `previous` to draw over them (0: below). */
guint
atl_cli_preview_draw (const guint8 *rgb, guint width, guint height, guint columns, guint previous);

G_END_DECLS
