/* Presets of a chat's settings and instructions: taken, saved, renamed and removed, with undo.
 *
 * The undo is offered in the window of `pane`; `changed` or `renamed` is called with it when it is
 * used while the pane is there. What went wrong is a notice of the session.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/chat/conversation.h"
#include "store/presets.h"

G_BEGIN_DECLS

typedef void (*AtlPresetChanged) (GtkWidget *pane);

/* The chat has its settings and instructions from now on. FALSE when its text says none. */
gboolean atl_chat_preset_take (GtkWidget *pane,
                               AtlConversation *conversation,
                               const AtlPreset *preset,
                               AtlPresetChanged changed);
/* Keeps those of the chat. `presets` (nullable, element-type AtlPreset): those that there were.
 * Returns the preset's number; 0: it went wrong. */
gint64 atl_chat_preset_save (GtkWidget *pane,
                             AtlSession *session,
                             AtlConversation *conversation,
                             GPtrArray *presets,
                             const char *name,
                             AtlPresetChanged changed);
/* Asks for another name; `renamed` is called when the preset has got it. */
void atl_chat_preset_ask_rename (GtkWidget *pane,
                                 AtlSession *session,
                                 const AtlPreset *preset,
                                 AtlPresetChanged renamed);
void atl_chat_preset_remove (GtkWidget *pane,
                             AtlSession *session,
                             const AtlPreset *preset,
                             AtlPresetChanged changed);

G_END_DECLS
