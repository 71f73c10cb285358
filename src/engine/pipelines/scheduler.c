/* The decode loop of a model. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/scheduler.h"

#include <glib/gi18n.h>

#include "engine/pipelines/share.h"

/* Turns that are computed at the same time; others wait. */
#define MAX_ACTIVE 16u
/* Tokens of a prompt between two looks at the rest of the world: alone, and beside answers. */
#define CHUNK_ALONE 512u
#define CHUNK_IN_COMPANY 128u
/* Of more answers together each is quick enough, and every mix of lengths takes a plan. */
#define MAX_GUESSED 2u

struct _AtlScheduler
{
  AtlLlm *llm;                     /* borrowed */
  AtlPace pace;                    /* the thread's */
  gboolean is_pace_unknown;        /* and stays so */
  AtlConversations *conversations; /* borrowed */
  AtlTurnstile *turnstile;         /* borrowed */
  GThread *thread;
  GPtrArray *active; /* AtlChatTurn, the thread's: those with a conversation */
  guint last_prefill;

  GMutex mutex;
  GCond cond;
  GQueue waiting;   /* (mutex mutex) AtlChatTurn */
  guint n_turns;    /* (mutex mutex) waiting and active */
  gboolean is_over; /* (mutex mutex) */
};

static void
report_prefill (AtlChatTurn *turn)
{
  if (turn->sink.prefill != NULL)
    turn->sink.prefill (turn->conversation->ids->len, turn->ids->len, turn->sink.user_data);
}

/* --- Coming and going --- */

/* Calls done(), after which the turn may be gone. */
static void
dismiss (AtlScheduler *self, AtlChatTurn *turn)
{
  if (turn->conversation != NULL)
    {
      turn->stats.n_ctx_used = turn->has_begun ? turn->ids->len : turn->conversation->ids->len;
      atl_turnstile_enter (self->turnstile);
      /* A failed device leaves the cache in doubt: the next turn starts from nothing. */
      if (g_error_matches (turn->error, ATL_ERROR, ATL_ERROR_DEVICE))
        atl_conversations_rewind (turn->conversation, 0);
      atl_conversations_give_back (self->conversations, turn->conversation);
      atl_turnstile_leave (self->turnstile);
      turn->conversation = NULL;
    }
  atl_chat_turn_close (turn);
  g_mutex_lock (&self->mutex);
  self->n_turns--;
  g_mutex_unlock (&self->mutex);
  turn->done (turn, turn->done_data);
}

static void
dismiss_finished (AtlScheduler *self)
{
  for (guint i = 0; i < self->active->len;)
    {
      AtlChatTurn *turn = self->active->pdata[i];

      if (turn->phase == ATL_TURN_OVER)
        {
          g_ptr_array_remove_index (self->active, i);
          dismiss (self, turn);
        }
      else
        i++;
    }
}

static void
check_cancelled (AtlChatTurn *turn)
{
  GError *error = NULL;

  if (turn->phase != ATL_TURN_OVER &&
      g_cancellable_set_error_if_cancelled (turn->cancellable, &error))
    atl_chat_turn_end (turn, error);
}

static void
admit (AtlScheduler *self, AtlChatTurn *turn)
{
  GError *error = NULL;

  check_cancelled (turn);
  if (turn->phase == ATL_TURN_WAITING)
    {
      atl_turnstile_enter (self->turnstile);
      turn->conversation =
          atl_conversations_take (self->conversations, turn->key, turn->ids, &error);
      atl_turnstile_leave (self->turnstile);
      if (turn->conversation == NULL)
        atl_chat_turn_end (turn, error);
    }
  if (turn->phase == ATL_TURN_WAITING)
    {
      turn->phase = ATL_TURN_PREFILL;
      turn->stats.n_cached = turn->conversation->ids->len;
      turn->computing_since = g_get_monotonic_time ();
    }
  g_ptr_array_add (self->active, turn);
}

/* --- Computing --- */

/* How many of the `left` tokens of a prompt to compute next: as many as make the rows of every
 * piece `many`, unless all of the prompt is shorter; in company a last piece may take nearly twice
 * the usual for it. Where that would take long pieces, they are the same with and without company.
 */
static guint
chunk_size (guint left, guint many, gboolean in_company)
{
  guint limit = in_company ? CHUNK_IN_COMPANY : CHUNK_ALONE;

  if (many > CHUNK_IN_COMPANY)
    {
      limit = CHUNK_ALONE / 2;
      many = 0;
    }
  if (left <= limit)
    return left;
  if (left - limit >= many)
    return limit;
  return limit >= 2 * many ? limit - many : left;
}

/* The end of the stretch of prompt that token `done` is in. A model that can only go back to
 * checkpoints gets one before the last token, which is where the same question is answered again,
 * and one behind the last message. */
static guint
stretch_end (const AtlScheduler *self, const AtlChatTurn *turn, guint done)
{
  guint len = turn->ids->len;

  if (!atl_llm_info (self->llm)->is_recurrent || turn->has_begun)
    return len;
  return done < turn->boundary && turn->boundary < len ? turn->boundary
         : done + 1 < len                              ? len - 1
                                                       : len;
}

static void
prefill (AtlScheduler *self, AtlChatTurn *turn, gboolean in_company)
{
  AtlConversation *c = turn->conversation;
  guint done = c->ids->len;
  guint left = stretch_end (self, turn, done) - done;
  guint n = chunk_size (left, atl_llm_many_rows (self->llm), in_company);
  AtlLlmBatch batch = { c->cache, (const gint32 *) (gpointer) turn->ids->data + done, n, FALSE };
  GError *error = NULL;
  gboolean ok;

  report_prefill (turn);
  atl_turnstile_enter (self->turnstile);
  ok = atl_conversations_grow (self->conversations, c, turn->ids->len - done, &error) &&
       atl_llm_decode (self->llm, &batch, 1, turn->cancellable, &error);
  atl_turnstile_leave (self->turnstile);
  if (!ok)
    {
      g_array_set_size (c->ids, MIN (c->ids->len, atl_llm_cache_length (c->cache)));
      atl_chat_turn_end (turn, error);
      return;
    }
  g_array_append_vals (c->ids, batch.tokens, n);
  if (c->ids->len < turn->ids->len)
    {
      /* Here the same question is answered again. */
      if (!turn->has_begun && c->ids->len + 1 == turn->ids->len)
        atl_llm_cache_pin (c->cache);
      else
        atl_llm_cache_checkpoint (c->cache);
      return;
    }
  report_prefill (turn);
  if (!turn->has_begun)
    atl_chat_turn_begin_answer (turn);
  turn->phase = ATL_TURN_GENERATE;
  atl_chat_turn_take_logits (turn, atl_llm_logits (self->llm, 0));
}

/* The next in turn of those that have a prompt left; NULL if none has. */
static AtlChatTurn *
next_prefill (AtlScheduler *self)
{
  for (guint i = 0; i < self->active->len; i++)
    {
      guint at = (self->last_prefill + 1 + i) % self->active->len;
      AtlChatTurn *turn = self->active->pdata[at];

      if (turn->phase == ATL_TURN_PREFILL)
        {
          self->last_prefill = at;
          return turn;
        }
    }
  return NULL;
}

/* A step of every turn in turns[n], which needs `n_rows` rows, with at most `max` guesses each. */
static void
decode (AtlScheduler *self, AtlChatTurn *const *turns, guint n, guint n_rows, guint max)
{
  AtlLlmBatch batch[MAX_ACTIVE];
  AtlShare shares[MAX_ACTIVE];
  g_autoptr (GError) error = NULL;
  guint n_batch = 0, row = 0;
  gboolean ok = TRUE;
  gint64 start;

  atl_turnstile_enter (self->turnstile);
  for (guint i = 0; i < n; i++)
    {
      AtlShare *share = &shares[n_batch];
      GError *own = NULL;

      atl_share_begin (share, turns[i], &self->pace, max, n_rows, n);
      if (!atl_conversations_grow (self->conversations, turns[i]->conversation, share->n_tokens,
                                   &own))
        {
          atl_chat_turn_end (turns[i], own);
          continue;
        }
      batch[n_batch++] =
          (AtlLlmBatch){ turns[i]->conversation->cache, share->tokens, share->n_tokens, TRUE };
    }
  start = g_get_monotonic_time ();
  if (n_batch > 0)
    ok = atl_llm_decode (self->llm, batch, n_batch, NULL, &error);
  if (n_batch > 0 && ok && !self->is_pace_unknown)
    atl_pace_note (&self->pace, atl_llm_n_logits (self->llm),
                   (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC);
  atl_turnstile_leave (self->turnstile);

  for (guint i = 0; i < n_batch; i++)
    {
      if (ok)
        atl_share_finish (&shares[i], &self->pace, row);
      else
        atl_chat_turn_end (shares[i].turn, g_error_copy (error));
      row += shares[i].n_tokens;
    }
}

/* The turn has gone back too far for a step: its text is read again, as a prompt is. */
static void
read_again (AtlChatTurn *turn)
{
  g_array_append_val (turn->ids, turn->next);
  turn->phase = ATL_TURN_PREFILL;
}

/* A step of every answer, as many at a time as give the numbers that one alone would. */
static void
decode_all (AtlScheduler *self)
{
  AtlChatTurn *turns[MAX_ACTIVE];
  guint few = MIN (atl_llm_few_rows (self->llm), ATL_PACE_ROWS);
  guint n = 0, n_rows = 0;

  for (guint i = 0; i < self->active->len; i++)
    {
      AtlChatTurn *turn = self->active->pdata[i];

      if (turn->phase != ATL_TURN_GENERATE)
        continue;
      if (atl_share_need (turn) > few)
        {
          read_again (turn);
          continue;
        }
      if (n_rows + atl_share_need (turn) > few)
        {
          decode (self, turns, n, n_rows, n <= MAX_GUESSED ? (few - n_rows) / n : 0);
          n = n_rows = 0;
        }
      n_rows += atl_share_need (turn);
      turns[n++] = turn;
    }
  if (n > 0)
    decode (self, turns, n, n_rows, n <= MAX_GUESSED ? (few - n_rows) / n : 0);
}

static gboolean
has_answers (const AtlScheduler *self)
{
  for (guint i = 0; i < self->active->len; i++)
    if (((AtlChatTurn *) self->active->pdata[i])->phase == ATL_TURN_GENERATE)
      return TRUE;
  return FALSE;
}

static void
run_round (AtlScheduler *self)
{
  AtlChatTurn *turn;

  for (guint i = 0; i < self->active->len; i++)
    check_cancelled (self->active->pdata[i]);
  turn = next_prefill (self);
  if (turn != NULL)
    prefill (self, turn, has_answers (self));
  decode_all (self);
  dismiss_finished (self);
}

/* --- The thread --- */

/* Waits for something to do; FALSE when all is over. */
static gboolean
take_waiting (AtlScheduler *self)
{
  gboolean is_over;

  g_mutex_lock (&self->mutex);
  while (self->active->len == 0 && g_queue_is_empty (&self->waiting) && !self->is_over)
    g_cond_wait (&self->cond, &self->mutex);
  is_over = self->is_over;
  while (!g_queue_is_empty (&self->waiting) && (self->active->len < MAX_ACTIVE || is_over))
    {
      AtlChatTurn *turn = g_queue_pop_head (&self->waiting);

      g_mutex_unlock (&self->mutex);
      if (is_over)
        g_ptr_array_add (self->active, turn);
      else
        admit (self, turn);
      g_mutex_lock (&self->mutex);
    }
  g_mutex_unlock (&self->mutex);
  return !is_over;
}

static gpointer
thread_main (gpointer data)
{
  AtlScheduler *self = data;

  while (take_waiting (self))
    run_round (self);
  for (guint i = 0; i < self->active->len; i++)
    {
      AtlChatTurn *turn = self->active->pdata[i];

      if (turn->phase != ATL_TURN_OVER)
        atl_chat_turn_end (turn, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "Stopped"));
    }
  dismiss_finished (self);
  return NULL;
}

AtlScheduler *
atl_scheduler_new (AtlChatModel *model, GError **error)
{
  g_autoptr (GError) local = NULL;
  AtlScheduler *self = g_new0 (AtlScheduler, 1);

  self->llm = model->llm;
  self->conversations = model->conversations;
  self->turnstile = model->turnstile;
  self->active = g_ptr_array_new ();
  g_mutex_init (&self->mutex);
  g_cond_init (&self->cond);
  g_queue_init (&self->waiting);
  self->thread = g_thread_try_new ("model", thread_main, self, &local);
  if (self->thread == NULL)
    {
      atl_scheduler_free (self);
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
                   _ ("The computer cannot begin another thread for this model: %s"),
                   local->message);
      return NULL;
    }
  return self;
}

void
atl_scheduler_guess_always (AtlScheduler *self)
{
  self->is_pace_unknown = TRUE;
}

void
atl_scheduler_free (AtlScheduler *self)
{
  if (self == NULL)
    return;
  g_mutex_lock (&self->mutex);
  self->is_over = TRUE;
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->mutex);
  if (self->thread != NULL)
    g_thread_join (self->thread);
  g_ptr_array_unref (self->active);
  g_mutex_clear (&self->mutex);
  g_cond_clear (&self->cond);
  g_free (self);
}

void
atl_scheduler_submit (AtlScheduler *self, AtlChatTurn *turn)
{
  g_mutex_lock (&self->mutex);
  g_assert (!self->is_over);
  self->n_turns++;
  g_queue_push_tail (&self->waiting, turn);
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->mutex);
}

gboolean
atl_scheduler_is_idle (AtlScheduler *self)
{
  gboolean is_idle;

  g_mutex_lock (&self->mutex);
  is_idle = self->n_turns == 0;
  g_mutex_unlock (&self->mutex);
  return is_idle;
}
