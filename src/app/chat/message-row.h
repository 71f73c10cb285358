/* The row of one message in the chat: bubble or Markdown, thinking, errors, actions, numbers.
 *
 * Actions of the row: message.copy, .regenerate, .continue, .edit, .delete, .previous-branch,
 * .next-branch. Deleting asks an ancestor's "chat.delete-message" (x), which offers the undo.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/chat/conversation.h"

G_BEGIN_DECLS

#define ATL_TYPE_MESSAGE_ROW (atl_message_row_get_type ())
G_DECLARE_FINAL_TYPE (AtlMessageRow, atl_message_row, ATL, MESSAGE_ROW, GtkWidget)

GtkWidget *atl_message_row_new (void);
/* Shows `item`, a message of `conversation`; NULL for both lets go of it. */
void
atl_message_row_set_item (AtlMessageRow *self, AtlConversation *conversation, AtlMessageItem *item);
AtlMessageItem *atl_message_row_get_item (AtlMessageRow *self); /* (nullable) borrowed */
/* Puts an editor in the place of the text. */
void atl_message_row_edit (AtlMessageRow *self);

G_END_DECLS
