/* The page of one chat: messages, composer, settings; or what to do when there are none yet.
 *
 * Actions for its children: "chat.say" (s), "chat.delete-message" (x), "chat.use-prompt" (s),
 * "chat.focus-composer". Property: "shows-settings" (boolean).
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/chat/conversation.h"

G_BEGIN_DECLS

#define ATL_TYPE_CHAT_PAGE (atl_chat_page_get_type ())
G_DECLARE_FINAL_TYPE (AtlChatPage, atl_chat_page, ATL, CHAT_PAGE, GtkWidget)

void atl_chat_page_set_session (AtlChatPage *self, AtlSession *session);
/* Shows a chat; 0 a new one, which is put into `folder_id` when it is saved. */
void atl_chat_page_open (AtlChatPage *self, gint64 chat_id, gint64 folder_id);
/* Shows a message of the open chat. */
void atl_chat_page_show_message (AtlChatPage *self, gint64 message_id);
AtlConversation *atl_chat_page_get_conversation (AtlChatPage *self); /* borrowed */
void atl_chat_page_focus (AtlChatPage *self);
/* A letter that nobody in the window wanted is the beginning of a message. TRUE: it was taken. */
gboolean atl_chat_page_take_letter (AtlChatPage *self, GtkEventControllerKey *keys);
/* Stops the answer being made; FALSE when there is none. */
gboolean atl_chat_page_stop (AtlChatPage *self);
/* Whether the last answer broke off because the engine ended. */
gboolean atl_chat_page_shows_lost_answer (AtlChatPage *self);
void atl_chat_page_find (AtlChatPage *self);
/* Attaches text files to the message being written. */
void atl_chat_page_attach (AtlChatPage *self, GSList *files);
/* Where sentences are shown above the composer, which they would cover elsewhere; NULL while
 * something lies over the messages. Borrowed. */
GtkWidget *atl_chat_page_get_toasts (AtlChatPage *self);
/* Saves what is half written. */
void atl_chat_page_flush (AtlChatPage *self);

G_END_DECLS
