/* Asks how large a picture is to become and by which network, and fetches that one when it is not
 * there yet: its size is told before.
 *
 *   AtlUpscaleDialog *dialog = atl_upscale_dialog_new (window, pictures, "/home/ada/fox.png");
 *   g_signal_connect (dialog, "chosen", G_CALLBACK (chosen_cb), self);
 *   gtk_window_present (GTK_WINDOW (dialog));
 *
 * Signal "chosen" (guint factor): the network is there and the session knows that it is to be used;
 * the dialog closes itself. Nothing is emitted when the person closes it.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

#define ATL_TYPE_UPSCALE_DIALOG (atl_upscale_dialog_get_type ())
G_DECLARE_FINAL_TYPE (AtlUpscaleDialog, atl_upscale_dialog, ATL, UPSCALE_DIALOG, AdwWindow)

/* `path` NULL: only the network is asked for, for pictures that are still to be drawn; "chosen" has
 * 0 then. */
AtlUpscaleDialog *
atl_upscale_dialog_new (GtkWindow *parent, AtlPicturesSession *pictures, const char *path);

G_END_DECLS
