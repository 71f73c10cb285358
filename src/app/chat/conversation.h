/* One chat as the window sees it: its messages, its settings, and the answer being made.
 *
 *   g_autoptr (AtlConversation) chat = atl_session_open_conversation (session, id);
 *   gtk_..._set_model (list, atl_conversation_get_messages (chat));
 *   if (!atl_conversation_send (chat, "Hello", NULL, &error)) ... say error->message
 *
 * Everything is on disk before it is on the screen: the message before the answer starts, the
 * answer once a second. An answer goes on while another chat is shown.
 *
 * Properties (notify): "title" (char *), "is-running" (gboolean), "has-earlier" (gboolean: the
 * beginning of a long chat is not in the list yet), "context" (guint used; see get_context).
 * Signals: "answered" when an answer ended by itself, with its AtlMessageItem; "replacing" before
 * all messages in the list give way to others.
 *
 * Threading: the main thread.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "app/chat/message-item.h"
#include "app/session/session.h"
#include "protocol/chat-params.h"

G_BEGIN_DECLS

/* Messages in the list when a chat is opened; more come when they are scrolled to. A row costs
 * milliseconds to build, and nobody waits for what is out of sight. */
#define ATL_CONVERSATION_PAGE 10

#define ATL_TYPE_CONVERSATION (atl_conversation_get_type ())
G_DECLARE_FINAL_TYPE (AtlConversation, atl_conversation, ATL, CONVERSATION, GObject)

/* Through atl_session_open_conversation() only. */
AtlConversation *atl_conversation_new (AtlSession *session, gint64 chat_id);

gint64 atl_conversation_get_chat_id (AtlConversation *self);    /* 0: not in the store yet */
const char *atl_conversation_get_title (AtlConversation *self); /* borrowed, may be "" */
gboolean atl_conversation_get_is_running (AtlConversation *self);
AtlModel *atl_conversation_get_model (AtlConversation *self); /* (nullable) that is answering */

/* AtlMessageItem, oldest first; the end of the shown path. Borrowed. */
GListModel *atl_conversation_get_messages (AtlConversation *self);
/* Of the whole path, also what is not in the list. */
guint atl_conversation_get_n_messages (AtlConversation *self);
gboolean atl_conversation_get_has_earlier (AtlConversation *self);
void atl_conversation_show_earlier (AtlConversation *self);
/* Makes the path through the message the shown one and brings it into the list. Its position there,
 * or -1 when it is gone. */
int atl_conversation_show_message (AtlConversation *self, gint64 message_id);
/* Reads everything again from the store. */
void atl_conversation_reload (AtlConversation *self);

/* --- A chat that is not in the store yet --- */

/* The folder a new chat is put into when it is saved. */
void atl_conversation_set_folder (AtlConversation *self, gint64 folder_id);

/* --- What a person does. FALSE with words; nothing happened then --- */

/* `attachments_json` as in AtlMessage, nullable. ATL_ERROR_NOT_FOUND when no model is chosen,
 * ATL_ERROR_BUSY while an answer is being made. */
gboolean atl_conversation_send (AtlConversation *self,
                                const char *text,
                                const char *attachments_json,
                                GError **error);
void atl_conversation_stop (AtlConversation *self);
/* Another answer beside the old one. */
gboolean
atl_conversation_regenerate (AtlConversation *self, AtlMessageItem *answer, GError **error);
/* Goes on with an answer that was stopped or cut off. */
gboolean atl_conversation_continue (AtlConversation *self, AtlMessageItem *answer, GError **error);
/* A question becomes a new branch that is answered; an answer is corrected in place. */
gboolean atl_conversation_edit (AtlConversation *self,
                                AtlMessageItem *message,
                                const char *text,
                                GError **error);
/* Shows the branch `step` (-1, +1) places further. */
gboolean atl_conversation_step_branch (AtlConversation *self,
                                       AtlMessageItem *message,
                                       int step,
                                       GError **error);
/* To the trash, with everything below it; atl_conversation_restore() is the undo. */
gboolean atl_conversation_delete (AtlConversation *self, AtlMessageItem *message, GError **error);
gboolean atl_conversation_restore (AtlConversation *self, gint64 message_id, GError **error);
gboolean atl_conversation_rename (AtlConversation *self, const char *title, GError **error);

/* --- Draft and settings --- */

/* The caller's, "" when there is none. */
char *atl_conversation_get_draft (AtlConversation *self);
void atl_conversation_set_draft (AtlConversation *self, const char *text);
/* What the person changed, keys of chat-params.h and "n-ctx"; borrowed, never NULL. */
JsonObject *atl_conversation_get_settings (AtlConversation *self);
/* Saves the object after a change. */
void atl_conversation_save_settings (AtlConversation *self);
/* The context length in tokens that the person chose for this chat, 0: none. */
guint atl_conversation_get_n_ctx (AtlConversation *self);
/* The next longer context in tokens that the model in use can have, 0: none. */
guint atl_conversation_get_longer_context (AtlConversation *self);
/* Keeps that length in the settings and loads the model anew with it. */
void atl_conversation_use_longer_context (AtlConversation *self);
/* A JSON object that takes the place of all settings. */
void atl_conversation_replace_settings (AtlConversation *self, JsonObject *settings);
const char *atl_conversation_get_system_prompt (AtlConversation *self); /* borrowed, may be "" */
void atl_conversation_set_system_prompt (AtlConversation *self, const char *text);
/* Defaults, then the model's recommendation, then the person's changes. `params` is initialised. */
void atl_conversation_get_params (AtlConversation *self, AtlChatParams *params);
/* Tokens in use after the last answer and the room there is; 0 when not known. */
void atl_conversation_get_context (AtlConversation *self, guint *n_used, guint *n_total);
/* Whether the answer was refused because the chat is too long, and would be again: the context is
 * no longer than the one it was refused with. */
gboolean atl_conversation_is_refused (AtlConversation *self, const AtlMessageItem *answer);

/* --- The answer being made. The engine's job drives these; each is a no-op without an answer ---
 */

/* Saves a person's message and an empty answer, and shows both. */
gboolean atl_conversation_begin_turn (AtlConversation *self,
                                      gint64 parent_id,
                                      const char *text,
                                      const char *attachments_json,
                                      const char *model_name,
                                      GError **error);
void atl_conversation_answer_text (AtlConversation *self, const char *delta, gboolean is_thinking);
/* `fraction` below 0: unknown. */
void atl_conversation_answer_phase (AtlConversation *self, const char *phase, double fraction);
void atl_conversation_answer_finish (AtlConversation *self, const AtlChatStats *stats);
void atl_conversation_answer_fail (AtlConversation *self, const GError *error);

/* The conversation up to and with `last` as the engine takes it; the caller's. */
char *atl_conversation_to_messages (AtlConversation *self, AtlMessageItem *last);

G_END_DECLS
