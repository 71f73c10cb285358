/* Opening a model where it belongs: one that chats on the Chats page, one that makes pictures on
 * the Images page.
 *
 *   atl_open_model (GTK_WIDGET (window), session, path);
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

/* Loads the model at `path` and shows its page in the window of `widget`. What it is, the engine is
 * asked when the list of models does not know. */
void atl_open_model (GtkWidget *widget, AtlSession *session, const char *path);
/* The same; `opened` is called once it is the one that is being loaded, at once or later. */
void atl_open_model_then (GtkWidget *widget,
                          AtlSession *session,
                          const char *path,
                          void (*opened) (gpointer data),
                          gpointer data);

G_END_DECLS
