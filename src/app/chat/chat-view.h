/* The messages of a conversation: a list that stays at its end while an answer streams, a button
 * that jumps there, and a bar that finds words.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/chat/conversation.h"

G_BEGIN_DECLS

#define ATL_TYPE_CHAT_VIEW (atl_chat_view_get_type ())
G_DECLARE_FINAL_TYPE (AtlChatView, atl_chat_view, ATL, CHAT_VIEW, GtkWidget)

void atl_chat_view_set_conversation (AtlChatView *self,
                                     AtlSession *session,
                                     AtlConversation *conversation);
void atl_chat_view_jump_to_end (AtlChatView *self);
gboolean atl_chat_view_get_is_at_end (AtlChatView *self);
/* Brings the message into view and marks it. */
void atl_chat_view_show_message (AtlChatView *self, gint64 message_id);
/* Opens the find bar. */
void atl_chat_view_find (AtlChatView *self);
/* Opens the editor in the last message of the person; FALSE when there is none in sight. */
gboolean atl_chat_view_edit_last (AtlChatView *self);

G_END_DECLS
