/* The fields that the parts of a conversation share: conversation.c keeps the messages,
 * conversation-settings.c draft and settings, conversation-answer.c makes answers,
 * conversation-messages.c writes what the engine is told, conversation-wait.c waits with answers
 * for a model. */
#pragma once

#include "app/chat/conversation.h"
#include "app/session/model-wait.h"
#include "store/chats.h"

struct _AtlConversation
{
  GObject parent_instance;

  AtlSession *session;
  AtlChat *chat;       /* (nullable) NULL until it is in the store */
  gint64 folder_id;    /* for the first save */
  char *title;         /* never NULL */
  char *system_prompt; /* never NULL */
  JsonObject *settings;
  GPtrArray *path;   /* (element-type AtlMessageItem) root to leaf */
  GListStore *shown; /* the end of `path` */

  AtlMessageItem *answer; /* (nullable) being made */
  AtlChatJob *job;        /* (nullable) */
  AtlMessageItem *asking; /* (nullable) of an answer that waits for the model being loaded: the last
                             message that is sent */
  gboolean continues;     /* then: whether the answer is gone on with */
  AtlModelWait *wait;     /* (nullable) then, for that model */
  AtlAnswerStats before;  /* of the answer that is continued, without its texts; else zero */
  guint checkpoint_source;
  gboolean dirty; /* text arrived since the last checkpoint */
  GCancellable *titling;
};

/* notify::is-running and the session's list of running conversations. */
void atl_conversation_notify_running (AtlConversation *self);
void atl_conversation_notify_context (AtlConversation *self);
void atl_conversation_notify_title (AtlConversation *self);
void atl_conversation_emit_answered (AtlConversation *self, AtlMessageItem *answer);
/* Asks the session's model, as it is loaded, for the answer that was begun.
 * conversation-answer.c */
void atl_conversation_ask_now (AtlConversation *self, AtlMessageItem *last, gboolean continues);
/* Asks when the model that is being loaded is there, or lets the answer fail with the loading; and
 * waits no longer. */
void atl_conversation_wait (AtlConversation *self, AtlMessageItem *last, gboolean continues);
void atl_conversation_wait_end (AtlConversation *self);
/* The item of the path with this id; (nullable) borrowed. */
AtlMessageItem *atl_conversation_find (AtlConversation *self, gint64 id);
/* A message as the model reads it: attached files in front, each fenced and named. The caller's. */
char *atl_conversation_text_for_model (const AtlMessageItem *item);
/* The JSON list of messages for a question of its own, outside any chat; the caller's. */
char *atl_conversation_one_message (const char *content);
/* The key under which the store keeps the draft of a chat that has no row yet. */
#define ATL_NEW_CHAT_DRAFT "draft-of-a-new-chat"
/* The settings as the store keeps them; the caller's. */
char *atl_conversation_settings_to_json (AtlConversation *self);
