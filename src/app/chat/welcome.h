/* What an empty chat shows: how to get a model, or, with one, prompts to begin with.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_WELCOME (atl_welcome_get_type ())
G_DECLARE_FINAL_TYPE (AtlWelcome, atl_welcome, ATL, WELCOME, GtkWidget)

/* Once, before it is shown; takes a reference. */
void atl_welcome_set_session (AtlWelcome *self, AtlSession *session);

G_END_DECLS
