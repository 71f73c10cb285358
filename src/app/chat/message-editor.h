/* An editor in the place of a message: text, Cancel, and Send or Save.
 *
 * Enter and the button end it with the text, Escape and Cancel with NULL. Shift+Enter breaks the
 * line.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* `text` is NULL when the person changed their mind. May destroy the editor. */
typedef void (*AtlEditedFunc) (const char *text, gpointer data);

/* With `text` in it, and a button `accept_label` that takes it (translated). `edited` is called
 * once for each press of a button, with `data`; the editor does not go by itself. */
GtkWidget *atl_message_editor_new (const char *text,
                                   const char *accept_label,
                                   AtlEditedFunc edited,
                                   gpointer data);

G_END_DECLS
