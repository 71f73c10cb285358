/* How an answer is asked for, streamed, saved once a second, ended and named. */
#define G_LOG_DOMAIN "atl-app"

#include "app/chat/conversation-private.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/chat/tool-card.h"
#include "app/words.h"
#include "client/chat-job.h"
#include "protocol/protocol.h"

#define CHECKPOINT_MS 700 /* at most a second is lost, with what writing takes */

static AtlStore *
get_store (AtlConversation *self)
{
  return atl_session_get_store (self->session);
}

/* --- The running answer --- */

static gboolean
checkpoint_cb (gpointer data)
{
  AtlConversation *self = data;
  AtlMessageItem *answer = self->answer;
  AtlSaver *saver = atl_session_get_saver (self->session);

  if (answer != NULL && self->dirty)
    atl_saver_put (saver, answer->id, answer->content->str,
                   answer->thinking->len ? answer->thinking->str : NULL);
  self->dirty = FALSE;
  return G_SOURCE_CONTINUE;
}

void
atl_conversation_answer_phase (AtlConversation *self, const char *phase, double fraction)
{
  if (self->answer != NULL)
    atl_message_item_set_phase (self->answer, phase, fraction);
}

static void
end_thinking (AtlMessageItem *answer)
{
  if (answer->thinking_since_us == 0)
    return;
  answer->stats.thinking_ms +=
      (double) (g_get_monotonic_time () - answer->thinking_since_us) / 1000;
  answer->thinking_since_us = 0;
}

void
atl_conversation_answer_text (AtlConversation *self, const char *delta, gboolean is_thinking)
{
  AtlMessageItem *answer = self->answer;

  if (answer == NULL)
    return;
  g_clear_pointer (&answer->phase, g_free);
  if (is_thinking)
    {
      if (answer->thinking_since_us == 0)
        answer->thinking_since_us = g_get_monotonic_time ();
      g_string_append (answer->thinking, delta);
    }
  else
    {
      end_thinking (answer);
      g_string_append (answer->content, delta);
    }
  self->dirty = TRUE;
  if (self->checkpoint_source == 0)
    self->checkpoint_source = g_timeout_add (CHECKPOINT_MS, checkpoint_cb, self);
  atl_message_item_changed (answer);
}

static void
end_answer (AtlConversation *self,
            AtlMessageState state,
            const GError *failure,
            const char *stats_json)
{
  g_autoptr (AtlMessageItem) answer = g_steal_pointer (&self->answer);
  g_autoptr (AtlMessage) row = NULL;
  g_autoptr (GError) error = NULL;

  end_thinking (answer);
  atl_conversation_wait_end (self);
  g_clear_handle_id (&self->checkpoint_source, g_source_remove);
  if (self->job != NULL)
    g_signal_handlers_disconnect_by_data (self->job, self);
  g_clear_object (&self->job);
  self->dirty = FALSE;
  if (!atl_store_answer_finish (get_store (self), answer->id, state, answer->content->str,
                                answer->thinking->len ? answer->thinking->str : NULL, failure,
                                stats_json, &error))
    {
      atl_session_emit_trouble (self->session, error->message);
      atl_saver_finish (atl_session_get_saver (self->session), answer->id, state,
                        answer->content->str, answer->thinking->len ? answer->thinking->str : NULL,
                        failure, stats_json);
    }
  else
    atl_session_saved (self->session);
  g_clear_pointer (&answer->phase, g_free);
  row = atl_store_message_get (get_store (self), answer->id, NULL);
  if (row != NULL && error == NULL)
    atl_message_item_update (answer, row);
  else
    atl_message_item_end (answer, state, failure, stats_json);
  atl_conversation_notify_context (self);
  atl_conversation_notify_running (self);
  atl_conversation_emit_answered (self, answer);
}

static void
title_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlConversation) self = data;
  g_autofree char *title = atl_client_title_finish (ATL_CLIENT (source), result, NULL);

  g_clear_object (&self->titling);
  if (title == NULL || self->chat == NULL || *g_strstrip (title) == '\0')
    return;
  if (!atl_store_chat_suggest_title (get_store (self), self->chat->id, title, NULL))
    return;
  g_autoptr (AtlChat) chat = atl_store_chat_get (get_store (self), self->chat->id, NULL);
  if (chat == NULL)
    return;
  atl_set_string (&self->title, chat->title);
  atl_set_string (&self->chat->title, chat->title);
  atl_conversation_notify_title (self);
  atl_session_emit_chats_changed (self->session);
}

/* By this name the engine remembers what it computed for the chat. */
static char *
conversation_key (AtlConversation *self)
{
  gint64 id = atl_conversation_get_chat_id (self);

  return id != 0 ? atl_session_chat_key (id) : NULL;
}

static gboolean
is_blank (const char *text)
{
  return text[strspn (text, " \t\r\n")] == '\0';
}

/* After the first exchange, and not after each other answer to it, the model in use names the chat,
 * when nothing else waits for it. The one that answered may have been replaced meanwhile, and is
 * not loaded again for this. An answer without a word says nothing that could name it. */
static void
ask_for_title (AtlConversation *self)
{
  AtlModel *model = atl_session_get_model (self->session);
  const AtlMessageItem *answer = self->path->len == 2 ? self->path->pdata[1] : NULL;

  if (model == NULL || !atl_model_get_is_loaded (model) || answer == NULL ||
      is_blank (answer->content->str) || answer->n_branches > 1 || !self->chat->auto_title ||
      self->titling != NULL || atl_model_get_info (model)->is_toy ||
      atl_session_get_running (self->session) != NULL)
    return;
  g_autofree char *messages = atl_conversation_to_messages (self, NULL);
  g_autofree char *key = conversation_key (self);
  self->titling = g_cancellable_new ();
  atl_client_title_async (atl_session_get_client (self->session), model, messages, key,
                          self->titling, title_cb, g_object_ref (self));
}

/* As it was seen here, without what the answer had before it was continued. */
static double
own_thinking_ms (AtlConversation *self)
{
  end_thinking (self->answer);
  return self->answer->stats.thinking_ms - self->before.thinking_ms;
}

/* What is known of an answer of which the engine told no numbers: what it had before it was
 * continued, the time it thought, and the context for which it was too long. The caller's, or NULL.
 */
static char *
known_stats (AtlConversation *self, const GError *error)
{
  AtlModel *model = atl_conversation_get_model (self);
  AtlChatStats stats = { .n_prompt = self->before.n_prompt,
                         .n_ctx_used = self->before.context_used,
                         .n_ctx = self->before.context_size };

  stats.thinking_ms = own_thinking_ms (self);
  if (model != NULL && g_error_matches (error, ATL_ERROR, ATL_ERROR_TOO_LONG))
    stats.n_ctx = atl_model_get_info (model)->n_ctx;
  if (stats.thinking_ms <= 0 && stats.n_ctx == 0 && !self->before.is_json)
    return NULL;
  return atl_answer_stats_to_json (&stats, &self->before);
}

void
atl_conversation_answer_finish (AtlConversation *self, const AtlChatStats *stats)
{
  g_autofree char *json = NULL;
  gboolean stopped;

  if (self->answer == NULL)
    return;
  if (stats != NULL)
    {
      const double thought_ms = own_thinking_ms (self);
      AtlChatStats told = *stats;

      /* The engine counts reading, too: the time that is on the screen stays. */
      if (thought_ms > 0)
        told.thinking_ms = thought_ms;
      json = atl_answer_stats_to_json (&told, &self->before);
    }
  else
    json = known_stats (self, NULL);
  stopped = stats == NULL || g_strcmp0 (stats->stop_reason, ATL_STOP_STOPPED) == 0;
  end_answer (self, stopped ? ATL_MESSAGE_INTERRUPTED : ATL_MESSAGE_COMPLETE, NULL, json);
  if (stats != NULL && stats->n_shifted > 0)
    atl_session_emit_notice (self->session,
                             _ ("This chat is longer than what the model can see at once: its "
                                "oldest part was left out of the answer."));
  if (!stopped)
    ask_for_title (self);
}

void
atl_conversation_answer_fail (AtlConversation *self, const GError *error)
{
  g_autofree char *stats = NULL;

  if (self->answer == NULL)
    return;
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      atl_conversation_answer_finish (self, NULL);
      return;
    }
  self->answer->engine_lost = g_error_matches (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE);
  stats = known_stats (self, error);
  end_answer (self, ATL_MESSAGE_ERROR, error, stats);
}

/* --- The engine's job --- */

static void
loading_cb (AtlChatJob *job, double fraction, const char *phase, gpointer data)
{
  g_autofree char *words = g_strdup (phase);

  atl_conversation_answer_phase (data, words, fraction);
}

/* In the middle of an answer that is because there was no room left. What is written first may be
 * a call that shows when it is whole. */
static void
progress_cb (AtlChatJob *job, guint n_done, guint n_total, gpointer data)
{
  AtlConversation *self = data;
  gboolean is_read = n_total > 0 && n_done >= n_total;
  gboolean is_again =
      *atl_chat_job_get_text (job) != '\0' || *atl_chat_job_get_thinking (job) != '\0';

  atl_conversation_answer_phase (
      self,
      is_read ? _ ("Writing…")
      : is_again
          ? _ ("The chat has become too long for the model: its oldest part is left out, and "
               "the rest is read again…")
          : _ ("Reading…"),
      n_total > 0 && !is_read ? (double) n_done / n_total : -1);
}

static void
text_cb (AtlChatJob *job, const char *delta, gboolean is_thinking, gpointer data)
{
  atl_conversation_answer_text (data, delta, is_thinking);
}

/* A call stands in the text, where it is saved, found and copied like the rest. */
static void
tool_call_cb (AtlChatJob *job, const AtlToolCall *call, gpointer data)
{
  AtlConversation *self = data;
  g_autofree char *listing = atl_tool_card_to_text (call->name, call->arguments);
  g_autofree char *text = NULL;

  if (self->answer == NULL)
    return;
  text = g_strconcat (self->answer->content->len > 0 ? "\n\n" : "", listing, NULL);
  atl_conversation_answer_text (self, text, FALSE);
}

static void
finished_cb (AtlChatJob *job, AtlChatStats *stats, gpointer data)
{
  g_autoptr (AtlConversation) self = g_object_ref (data);
  atl_conversation_answer_finish (self, stats);
}

static void
failed_cb (AtlChatJob *job, GError *error, gpointer data)
{
  g_autoptr (AtlConversation) self = g_object_ref (data);
  atl_conversation_answer_fail (self, error);
}

static void
ask (AtlConversation *self, AtlMessageItem *last, gboolean continues)
{
  self->before = continues ? self->answer->stats : (AtlAnswerStats){ 0 };
  self->before.ran_on = self->before.stop_reason = NULL;
  if (!continues)
    self->answer->stats.thinking_ms = 0;
  atl_session_prepare (self->session, atl_conversation_get_n_ctx (self));
  /* Whoever chose another model means that one. */
  if (atl_session_get_is_loading (self->session))
    atl_conversation_wait (self, last, continues);
  else
    atl_conversation_ask_now (self, last, continues);
}

void
atl_conversation_ask_now (AtlConversation *self, AtlMessageItem *last, gboolean continues)
{
  AtlModel *model = atl_session_get_model (self->session);
  g_autofree char *messages = NULL;
  g_auto (AtlChatParams) params;

  atl_chat_params_init (&params);
  messages = atl_conversation_to_messages (self, last);
  atl_conversation_get_params (self, &params);
  params.continue_last = continues;
  params.conversation = conversation_key (self);
  self->before.is_json = self->answer->stats.is_json = params.json_schema != NULL;
  if (self->titling != NULL)
    g_cancellable_cancel (self->titling);
  self->answer->engine_lost = self->answer->is_too_long = FALSE;
  self->dirty = FALSE;
  atl_conversation_answer_phase (self, _ ("Waiting for the model…"), -1);
  self->job = atl_client_chat (atl_session_get_client (self->session), model, messages, &params);
  g_signal_connect (self->job, "loading", G_CALLBACK (loading_cb), self);
  g_signal_connect (self->job, "progress", G_CALLBACK (progress_cb), self);
  g_signal_connect (self->job, "text", G_CALLBACK (text_cb), self);
  g_signal_connect (self->job, "tool-call", G_CALLBACK (tool_call_cb), self);
  g_signal_connect (self->job, "finished", G_CALLBACK (finished_cb), self);
  g_signal_connect (self->job, "failed", G_CALLBACK (failed_cb), self);
}

AtlModel *
atl_conversation_get_model (AtlConversation *self)
{
  return self->job ? atl_chat_job_get_model (self->job) : NULL;
}

static gboolean
can_ask (AtlConversation *self, GError **error)
{
  if (self->answer != NULL)
    g_set_error_literal (error, ATL_ERROR, ATL_ERROR_BUSY,
                         _ ("An answer is still being written. Stop it first."));
  else if (atl_session_get_model (self->session) == NULL &&
           !atl_session_get_is_loading (self->session))
    g_set_error_literal (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                         _ ("Choose a model first: nobody is there to answer."));
  else
    return TRUE;
  return FALSE;
}

static const char *
model_name (AtlConversation *self)
{
  return atl_session_get_is_loading (self->session) ? atl_session_get_load_name (self->session)
                                                    : atl_session_get_model_name (self->session);
}

static AtlMessageItem *
before_answer (AtlConversation *self)
{
  return atl_conversation_find (self, self->answer->parent_id);
}

/* The first words of the question name the chat until the model does. */
static void
title_from_words (AtlConversation *self, const char *text)
{
  g_autofree char *title = NULL;

  if (self->chat->title[0] != '\0' || !self->chat->auto_title)
    return;
  title = atl_chat_title_from_text (text);
  if (*title == '\0' ||
      !atl_store_chat_suggest_title (get_store (self), self->chat->id, title, NULL))
    return;
  atl_set_string (&self->title, title);
  atl_set_string (&self->chat->title, title);
  atl_conversation_notify_title (self);
  atl_session_emit_chats_changed (self->session);
}

gboolean
atl_conversation_send (AtlConversation *self,
                       const char *text,
                       const char *attachments_json,
                       GError **error)
{
  gint64 parent;

  if (!can_ask (self, error))
    return FALSE;
  parent = self->path->len > 0
               ? ((AtlMessageItem *) g_ptr_array_index (self->path, self->path->len - 1))->id
               : 0;
  if (!atl_conversation_begin_turn (self, parent, text, attachments_json, model_name (self), error))
    return FALSE;
  title_from_words (self, text);
  ask (self, before_answer (self), FALSE);
  return TRUE;
}

void
atl_conversation_stop (AtlConversation *self)
{
  if (self->job != NULL)
    atl_chat_job_stop (self->job);
  else if (self->answer != NULL)
    atl_conversation_answer_finish (self, NULL);
}

gboolean
atl_conversation_regenerate (AtlConversation *self, AtlMessageItem *old, GError **error)
{
  gint64 id;

  if (!can_ask (self, error))
    return FALSE;
  id = atl_store_answer_begin (get_store (self), self->chat->id, old->parent_id, model_name (self),
                               error);
  if (id == 0)
    return FALSE;
  atl_conversation_reload (self);
  self->answer = g_object_ref (atl_conversation_find (self, id));
  atl_conversation_notify_running (self);
  ask (self, before_answer (self), FALSE);
  return TRUE;
}

gboolean
atl_conversation_continue (AtlConversation *self, AtlMessageItem *answer, GError **error)
{
  const gboolean has_begun = answer->content->len > 0 || answer->thinking->len > 0;

  if (!can_ask (self, error) || !atl_store_answer_resume (get_store (self), answer->id, error))
    return FALSE;
  self->answer = g_object_ref (answer);
  answer->state = ATL_MESSAGE_STREAMING;
  g_clear_pointer (&answer->error_text, g_free);
  atl_conversation_notify_running (self);
  ask (self, has_begun ? answer : before_answer (self), has_begun);
  return TRUE;
}

gboolean
atl_conversation_edit (AtlConversation *self,
                       AtlMessageItem *message,
                       const char *text,
                       GError **error)
{
  if (message->role == ATL_ROLE_ASSISTANT)
    {
      if (!atl_store_message_set_content (get_store (self), message->id, text, error))
        return FALSE;
      g_string_assign (message->content, text);
      atl_message_item_changed (message);
      return TRUE;
    }
  if (!can_ask (self, error))
    return FALSE;
  g_autofree char *attachments = atl_attachments_to_json (message->attachments);
  if (!atl_conversation_begin_turn (self, message->parent_id, text, attachments, model_name (self),
                                    error))
    return FALSE;
  ask (self, before_answer (self), FALSE);
  return TRUE;
}
