/* The settings of a chat beside it: a simple face, the numbers behind it, presets.
 *
 * What the person did not touch follows the model's recommendation. Signals: "notice" (sentence),
 * "reload" when the model should be loaded again with the new context length.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/chat/conversation.h"

G_BEGIN_DECLS

#define ATL_TYPE_SETTINGS_PANE (atl_settings_pane_get_type ())
G_DECLARE_FINAL_TYPE (AtlSettingsPane, atl_settings_pane, ATL, SETTINGS_PANE, GtkWidget)

/* Shows the settings of `conversation`; call again when the model changed. */
void atl_settings_pane_set_conversation (AtlSettingsPane *self,
                                         AtlSession *session,
                                         AtlConversation *conversation);

G_END_DECLS
