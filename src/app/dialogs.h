/* Small dialogs that several pages use. Only for decisions: news are toasts.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

/* `text` is what the person entered, never empty. Not called when they cancelled. */
typedef void (*AtlTextFunc) (const char *text, gpointer data);

/* Asks for one line of text. `accepted` is not called after `owner` is gone; `free_data` (nullable)
 * is called for `data` when the dialog is closed, however. */
void atl_dialog_ask_text (GtkWidget *owner,
                          const char *heading,
                          const char *body,
                          const char *label,
                          const char *text,
                          const char *accept_label,
                          AtlTextFunc accepted,
                          gpointer data,
                          GDestroyNotify free_data);

/* The files that were chosen. The caller's. (element-type GFile) */
GPtrArray *atl_chosen_files (GtkFileChooser *chooser);

/* A sentence of any length for a window as wide as `overlay`: long ones wrap and stay longer. With
 * a button (nullable). Floating, as adw_toast_new(). */
AdwToast *atl_toast_new (GtkWidget *overlay, const char *sentence, const char *button);

/* As adw_toast_overlay_add_toast(), with a name for the button that closes it. */
void atl_toast_add (GtkWidget *overlay, AdwToast *toast);

/* Shows it on the overlay at once, before those that wait or stand there, and tells it to a screen
 * reader. What was said last there is not said twice while it is to be read. The toast is borrowed:
 * watch it with a weak pointer. */
AdwToast *atl_toast_show (GtkWidget *overlay, const char *sentence);

G_END_DECLS
