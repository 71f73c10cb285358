/* A line of the list of chats: heading, folder, chat or found place.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/chat/chat-entries.h"

G_BEGIN_DECLS

#define ATL_TYPE_CHAT_LIST_ROW (atl_chat_list_row_get_type ())
G_DECLARE_FINAL_TYPE (AtlChatListRow, atl_chat_list_row, ATL, CHAT_LIST_ROW, GtkWidget)

GtkWidget *atl_chat_list_row_new (void);
/* Opens its menu; FALSE where it has none. */
gboolean atl_chat_list_row_popup (AtlChatListRow *self);
/* (nullable) borrowed */
AtlChatEntry *atl_chat_list_row_get_entry (AtlChatListRow *self);
void atl_chat_list_row_set_entry (AtlChatListRow *self, AtlChatEntry *entry);

G_END_DECLS
