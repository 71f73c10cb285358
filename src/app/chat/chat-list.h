/* The list of chats in the sidebar, with the search over all of them.
 *
 * Signal "open" (gint64 chat, gint64 message): a person chose one; message 0 unless it was found by
 * a search. What can be done with a chat are actions of the window ("win.rename-chat" and so on),
 * with the chat's id.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/chat/chat-entries.h"
#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_CHAT_LIST (atl_chat_list_get_type ())
G_DECLARE_FINAL_TYPE (AtlChatList, atl_chat_list, ATL, CHAT_LIST, GtkWidget)

void atl_chat_list_set_session (AtlChatList *self, AtlSession *session);
/* Marks the chat that is open; 0: none. */
void atl_chat_list_select (AtlChatList *self, gint64 chat_id);
/* Opens the search over all chats. */
void atl_chat_list_search (AtlChatList *self, const char *query);
/* The line that has the focus; (nullable) borrowed. */
AtlChatEntry *atl_chat_list_get_focused (AtlChatList *self);
/* Moves the focus to the chat's row; FALSE where it is not in sight. */
gboolean atl_chat_list_focus_chat (AtlChatList *self, gint64 chat_id);
/* The chat below (or else above) `chat_id`, to show when it is deleted; 0 when there is none. */
gint64 atl_chat_list_neighbor (AtlChatList *self, gint64 chat_id);

G_END_DECLS
