/* The preferences: few, each with a sentence.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_PREFERENCES_WINDOW (atl_preferences_window_get_type ())
G_DECLARE_FINAL_TYPE (
    AtlPreferencesWindow, atl_preferences_window, ATL, PREFERENCES_WINDOW, AdwPreferencesWindow)

/* Still to be presented. What is changed in it counts at once. Takes a reference of the session. */
GtkWidget *atl_preferences_window_new (AtlSession *session);

G_END_DECLS
