/* One answer: its prompt, and what each row of logits becomes. scheduler.c computes. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/chat-turn-private.h"

#include <glib/gi18n.h>

#include "engine/pipelines/chat-constraint.h"
#include "engine/pipelines/scheduler.h"

static double
seconds_since (gint64 start)
{
  return (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
}

guint
atl_chat_common_prefix (const GArray *a, const GArray *b)
{
  guint n = MIN (a->len, b->len), i = 0;

  while (i < n && g_array_index (a, gint32, i) == g_array_index (b, gint32, i))
    i++;
  return i;
}

/* --- The prompt --- */

/* The prompt without the `n_gone` oldest turns, in `ids`. */
static gboolean
encode_rest (AtlChatTurn *turn,
             JsonArray *messages,
             const char *text,
             guint n_gone,
             GArray *ids,
             gboolean *is_thinking,
             GError **error)
{
  g_autoptr (JsonArray) rest = n_gone > 0 ? atl_chat_prompt_drop_oldest (messages, n_gone) : NULL;
  AtlPromptOptions prompt = { .messages = rest != NULL ? rest : messages,
                              .text = text,
                              .tools = turn->options.tools,
                              .continue_last = turn->options.continue_last,
                              .thinking = turn->options.thinking };

  g_array_set_size (ids, 0);
  return atl_chat_prompt_encode (turn->model, &prompt, ids, is_thinking, error);
}

/* Encodes the prompt; with shift_context the oldest turns go until it leaves room for an answer.
 * How many is found by halves: one after the other, a long chat would be written and encoded a
 * thousand times over. */
static GArray *
make_prompt (
    AtlChatTurn *turn, JsonArray *messages, const char *text, gboolean *is_thinking, GError **error)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  guint n_ctx = atl_chat_model_n_ctx (turn->model), limit = n_ctx - n_ctx / 8, n_first;
  guint tried = 0, least = 1, most = 0;

  if (!encode_rest (turn, messages, text, 0, ids, is_thinking, error))
    return NULL;
  n_first = ids->len;
  if (ids->len >= limit && turn->options.shift_context && messages != NULL)
    most = atl_chat_prompt_n_older (messages);
  while (least < most)
    {
      tried = least + (most - least) / 2;
      if (!encode_rest (turn, messages, text, tried, ids, is_thinking, error))
        return NULL;
      if (ids->len < limit)
        most = tried;
      else
        least = tried + 1;
    }
  if (most > 0 && tried != most &&
      !encode_rest (turn, messages, text, most, ids, is_thinking, error))
    return NULL;
  turn->stats.n_shifted = n_first - ids->len;
  turn->stats.n_prompt = ids->len;
  if (ids->len == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("There is nothing to answer"));
      return NULL;
    }
  if (ids->len >= n_ctx)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_TOO_LONG,
                   n_ctx < atl_chat_model_facts (turn->model)->n_ctx_train
                       ? _ ("This conversation takes %u tokens; the context holds %u. Start a new "
                            "chat, or load the model with a longer context.")
                       : _ ("This conversation takes %u tokens; the context holds %u, and this "
                            "model has no longer one. Start a new chat."),
                   ids->len, n_ctx);
      return NULL;
    }
  return g_steal_pointer (&ids);
}

/* How much of the beginning is the system message: a shift must not drop it. */
static guint
count_system (AtlChatTurn *turn, JsonArray *messages, const GArray *ids)
{
  g_autoptr (GArray) other = NULL;
  g_autoptr (JsonArray) probe = NULL;
  gboolean is_thinking;
  JsonObject *message;

  if (messages == NULL || json_array_get_length (messages) < 2)
    return 1;
  /* The same system message before another question: what both prompts share is the system's. */
  probe = json_array_new ();
  json_array_add_element (probe, json_array_dup_element (messages, 0));
  message = json_object_new ();
  json_object_set_string_member (message, "role", "user");
  json_object_set_string_member (message, "content", "\t");
  json_array_add_object_element (probe, message);
  other = g_array_new (FALSE, FALSE, sizeof (gint32));
  if (!atl_chat_prompt_encode (turn->model,
                               &(AtlPromptOptions){ .messages = probe, .thinking = -1 }, other,
                               &is_thinking, NULL))
    return 1;
  return MAX (1, atl_chat_common_prefix (ids, other));
}

/* Behind the last token that ends a message: what follows invites the answer, and may be another
 * text when the answer has become part of the chat. */
static guint
find_boundary (const AtlChatTurn *turn)
{
  guint at = turn->ids->len;

  if (!atl_llm_info (turn->model->llm)->is_recurrent)
    return 0;
  while (at > 0 &&
         !atl_tokenizer_is_eog (turn->model->tokenizer, g_array_index (turn->ids, gint32, at - 1)))
    at--;
  return at;
}

gboolean
atl_chat_turn_check (const AtlTurnOptions *options, GError **error)
{
  g_autoptr (AtlToolSet) tools = NULL;

  if (options->tools != NULL && json_array_get_length (options->tools) > 0)
    {
      tools = atl_tool_set_new (options->tools, error);
      if (tools == NULL)
        return FALSE;
    }
  return atl_chat_constraint_check (options, tools, error);
}

AtlChatTurn *
atl_chat_turn_new (AtlChatModel *model,
                   JsonArray *messages,
                   const char *text,
                   const AtlTurnOptions *options,
                   const AtlTurnSink *sink,
                   GCancellable *cancellable,
                   GError **error)
{
  g_autoptr (AtlChatTurn) self = g_new0 (AtlChatTurn, 1);
  gboolean continues = messages == NULL || options->continue_last;
  gboolean is_thinking = FALSE;

  g_return_val_if_fail ((messages == NULL) != (text == NULL), NULL);
  g_return_val_if_fail (model->llm != NULL, NULL);
  self->model = model;
  self->options = *options;
  self->sink = *sink;
  self->key = g_strdup (options->conversation);
  self->n_keep = 1;
  self->started = g_get_monotonic_time ();
  if (cancellable != NULL)
    self->cancellable = g_object_ref (cancellable);
  self->ids = make_prompt (self, messages, text, &is_thinking, error);
  if (self->ids == NULL)
    return NULL;
  self->answer = atl_chat_answer_new (model, &self->options, &self->sink, self->ids, is_thinking,
                                      continues, error);
  if (self->answer == NULL)
    return NULL;
  self->boundary = find_boundary (self);
  if (options->shift_context)
    self->n_keep = count_system (self, messages, self->ids);
  return g_steal_pointer (&self);
}

void
atl_chat_turn_free (AtlChatTurn *self)
{
  if (self == NULL)
    return;
  g_assert (self->conversation == NULL);
  atl_chat_answer_free (self->answer);
  g_clear_pointer (&self->ids, g_array_unref);
  g_clear_object (&self->cancellable);
  g_clear_error (&self->error);
  g_free (self->key);
  g_free (self);
}

const AtlTurnStats *
atl_chat_turn_stats (const AtlChatTurn *self)
{
  return &self->stats;
}

const GError *
atl_chat_turn_error (const AtlChatTurn *self)
{
  return self->error;
}

/* --- The answer --- */

static void
stop (AtlChatTurn *self, AtlTurnStop why)
{
  self->stats.stop = why;
  self->phase = ATL_TURN_OVER;
}

void
atl_chat_turn_end (AtlChatTurn *self, GError *error)
{
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_clear_error (&error);
  self->error = error;
  stop (self, ATL_TURN_STOPPED);
}

void
atl_chat_turn_begin_answer (AtlChatTurn *self)
{
  self->has_begun = TRUE;
  self->stats.prefill_s = seconds_since (self->computing_since);
  self->computing_since = g_get_monotonic_time ();
}

void
atl_chat_turn_close (AtlChatTurn *self)
{
  if (self->has_begun)
    self->stats.generate_s = seconds_since (self->computing_since);
  if (self->stats.stop == ATL_TURN_LENGTH || self->stats.stop == ATL_TURN_CONTEXT_FULL)
    atl_chat_answer_complete (self->answer);
  atl_chat_answer_finish (self->answer);
  self->stats.thinking_s = atl_chat_answer_thinking_s (self->answer);
  self->stats.n_calls = atl_chat_answer_n_calls (self->answer);
}

/* Makes room by dropping the older half of what follows the kept beginning. Positions are rotated
 * into keys, so what remains is computed again: exact, and once per half a context. */
static void
shift (AtlChatTurn *self)
{
  guint n_keep = MIN (self->n_keep, self->ids->len / 2);
  guint n_drop = (self->ids->len - n_keep) / 2;

  g_array_remove_range (self->ids, n_keep, n_drop);
  g_array_append_val (self->ids, self->next);
  atl_conversations_rewind (self->conversation, n_keep);
  self->stats.n_shifted += n_drop;
  self->phase = ATL_TURN_PREFILL;
}

/* Numbers that are none, when the first ones came out of a file: whoever wrote that, the model is
 * not to blame. All of the prompt is computed. */
static gboolean
begin_anew (AtlChatTurn *self, const GError *error)
{
  if (!self->conversation->is_restored || self->stats.n_generated > 0 ||
      !g_error_matches (error, ATL_ERROR, ATL_ERROR_DEVICE))
    return FALSE;
  self->conversation->is_restored = FALSE;
  atl_conversations_rewind (self->conversation, 0);
  self->stats.n_cached = 0;
  self->phase = ATL_TURN_PREFILL;
  return TRUE;
}

static gboolean
is_long_enough (const AtlChatTurn *self)
{
  return self->options.max_tokens >= 0 &&
         self->stats.n_generated >= (guint) self->options.max_tokens;
}

void
atl_chat_turn_take_logits (AtlChatTurn *self, const float *logits)
{
  GError *error = NULL;

  if (is_long_enough (self))
    {
      stop (self, ATL_TURN_LENGTH);
      return;
    }
  if (!atl_chat_answer_sample (self->answer, logits, &self->next, &error))
    {
      if (begin_anew (self, error))
        {
          g_error_free (error);
          return;
        }
      atl_chat_turn_end (self, error);
      return;
    }
  if (self->stats.first_token_s == 0)
    self->stats.first_token_s = seconds_since (self->started);
  if (atl_tokenizer_is_eog (self->model->tokenizer, self->next))
    {
      stop (self, ATL_TURN_EOS);
      return;
    }
  self->stats.n_generated++;
  if (atl_chat_answer_push (self->answer, self->next))
    stop (self, ATL_TURN_STOP_STRING);
  else if (is_long_enough (self))
    stop (self, ATL_TURN_LENGTH);
  else if (self->ids->len < atl_chat_model_n_ctx (self->model))
    return;
  else if (self->options.shift_context)
    shift (self);
  else
    stop (self, ATL_TURN_CONTEXT_FULL);
}

/* --- Running --- */

void
atl_chat_turn_start (AtlChatTurn *self,
                     void (*done) (AtlChatTurn *turn, gpointer user_data),
                     gpointer user_data)
{
  self->done = done;
  self->done_data = user_data;
  atl_scheduler_submit (self->model->scheduler, self);
}

typedef struct
{
  GMutex mutex;
  GCond cond;
  gboolean is_done;
} Waiting;

static void
wake_cb (AtlChatTurn *turn, gpointer user_data)
{
  Waiting *waiting = user_data;

  g_mutex_lock (&waiting->mutex);
  waiting->is_done = TRUE;
  g_cond_signal (&waiting->cond);
  g_mutex_unlock (&waiting->mutex);
}

gboolean
atl_chat_turn_run (AtlChatModel *model,
                   JsonArray *messages,
                   const char *text,
                   const AtlTurnOptions *options,
                   const AtlTurnSink *sink,
                   GCancellable *cancellable,
                   AtlTurnStats *stats,
                   GError **error)
{
  g_autoptr (AtlChatTurn) turn =
      atl_chat_turn_new (model, messages, text, options, sink, cancellable, error);
  Waiting waiting = { 0 };

  *stats = (AtlTurnStats){ 0 };
  if (turn == NULL)
    return FALSE;
  g_mutex_init (&waiting.mutex);
  g_cond_init (&waiting.cond);
  atl_chat_turn_start (turn, wake_cb, &waiting);
  g_mutex_lock (&waiting.mutex);
  while (!waiting.is_done)
    g_cond_wait (&waiting.cond, &waiting.mutex);
  g_mutex_unlock (&waiting.mutex);
  g_mutex_clear (&waiting.mutex);
  g_cond_clear (&waiting.cond);
  *stats = turn->stats;
  if (turn->error != NULL)
    g_propagate_error (error, g_steal_pointer (&turn->error));
  else
    return TRUE;
  return FALSE;
}
