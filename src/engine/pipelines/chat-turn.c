/* The loop of one answer. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/chat-turn.h"

#include "engine/pipelines/chat-answer.h"
#include "engine/pipelines/chat-model-private.h"

/* Tokens between two looks at the cancellable and two reports of progress. */
#define PREFILL_CHUNK 512u

typedef struct
{
  AtlChatModel *model;
  const AtlTurnOptions *options;
  const AtlTurnSink *sink;
  GCancellable *cancellable;
  AtlTurnStats *stats;
  AtlChatAnswer *answer; /* (nullable) before the prompt stands */
  gint64 started, first_token;
  guint n_keep; /* tokens at the beginning that a shift leaves alone */
} Turn;

static double
seconds_since (gint64 start)
{
  return (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
}

static gint32
id_at (const GArray *ids, guint i)
{
  return g_array_index (ids, gint32, i);
}

static gboolean
is_cancelled (const GError *error)
{
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* --- The cache and the list of what it holds move together --- */

/* Back to `length` tokens, or fewer where the model cannot stop there. */
static void
rewind_cache (AtlChatModel *model, guint length)
{
  g_array_set_size (model->cached, atl_llm_cache_truncate (model->cache, length));
}

static gboolean
decode (Turn *turn, const gint32 *ids, guint n, GError **error)
{
  AtlChatModel *model = turn->model;
  AtlLlmBatch batch = { .cache = model->cache, .tokens = ids, .n_tokens = n };

  if (!atl_llm_decode (model->llm, &batch, 1, turn->cancellable, error))
    return FALSE;
  g_array_append_vals (model->cached, ids, n);
  return TRUE;
}

/* Decodes `ids` from `first` on, in chunks. */
static gboolean
prefill (Turn *turn, const GArray *ids, guint first, gboolean report, GError **error)
{
  for (guint done = first; done < ids->len;)
    {
      guint n = MIN (PREFILL_CHUNK, ids->len - done);

      if (report && turn->sink->prefill != NULL)
        turn->sink->prefill (done, ids->len, turn->sink->user_data);
      if (g_cancellable_set_error_if_cancelled (turn->cancellable, error))
        return FALSE;
      if (!decode (turn, (const gint32 *) (gpointer) ids->data + done, n, error))
        return FALSE;
      done += n;
    }
  if (report && turn->sink->prefill != NULL)
    turn->sink->prefill (ids->len, ids->len, turn->sink->user_data);
  return TRUE;
}

static guint
common_prefix (const GArray *a, const GArray *b)
{
  guint n = MIN (a->len, b->len), i = 0;

  while (i < n && id_at (a, i) == id_at (b, i))
    i++;
  return i;
}

/* --- The prompt --- */

/* Encodes the prompt; with shift_context the oldest turns go until it leaves room for an answer. */
static GArray *
make_prompt (
    Turn *turn, JsonArray *messages, const char *text, gboolean *is_thinking, GError **error)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (JsonArray) rest = messages != NULL ? json_array_ref (messages) : NULL;
  guint n_ctx = atl_llm_cache_n_ctx (turn->model->cache), n_first = 0;

  for (;;)
    {
      AtlPromptOptions prompt = { .messages = rest,
                                  .text = text,
                                  .tools = turn->options->tools,
                                  .continue_last = turn->options->continue_last,
                                  .thinking = turn->options->thinking };
      JsonArray *shorter;

      g_array_set_size (ids, 0);
      if (!atl_chat_prompt_encode (turn->model, &prompt, ids, is_thinking, error))
        return NULL;
      n_first = MAX (n_first, ids->len);
      if (ids->len < n_ctx - n_ctx / 8 || !turn->options->shift_context || rest == NULL)
        break;
      shorter = atl_chat_prompt_drop_oldest (rest);
      if (shorter == NULL)
        break;
      json_array_unref (rest);
      rest = shorter;
    }
  turn->stats->n_shifted = n_first - ids->len;
  turn->stats->n_prompt = ids->len;
  if (ids->len == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "There is nothing to answer");
      return NULL;
    }
  if (ids->len >= n_ctx)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_FULL,
                   "This conversation takes %u tokens; the context holds %u. Start a new chat, or "
                   "load the model with a longer context",
                   ids->len, n_ctx);
      return NULL;
    }
  return g_steal_pointer (&ids);
}

/* How much of the beginning is the system message: a shift must not drop it. */
static guint
count_system (Turn *turn, JsonArray *messages, const GArray *ids)
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
  return MAX (1, common_prefix (ids, other));
}

/* --- The answer --- */

/* Makes room by dropping the older half of what follows the kept beginning. Positions are rotated
 * into keys, so what remains is computed again: exact, and once per half a context. */
static gboolean
shift (Turn *turn, GError **error)
{
  AtlChatModel *model = turn->model;
  guint n_keep = MIN (turn->n_keep, model->cached->len / 2);
  guint n_drop = (model->cached->len - n_keep) / 2;
  g_autoptr (GArray) rest = g_array_new (FALSE, FALSE, sizeof (gint32));

  g_array_append_vals (rest, model->cached->data, n_keep);
  g_array_append_vals (rest, (gint32 *) (gpointer) model->cached->data + n_keep + n_drop,
                       model->cached->len - n_keep - n_drop);
  rewind_cache (model, n_keep);
  turn->stats->n_shifted += n_drop;
  return prefill (turn, rest, model->cached->len, FALSE, error);
}

/* Sets stats->stop, or returns FALSE with an error. */
static gboolean
generate (Turn *turn, GError **error)
{
  AtlChatModel *model = turn->model;
  guint n_ctx = atl_llm_cache_n_ctx (model->cache);
  gint32 id;

  for (;;)
    {
      if (turn->options->max_tokens >= 0 &&
          turn->stats->n_generated >= (guint) turn->options->max_tokens)
        {
          turn->stats->stop = ATL_TURN_LENGTH;
          return TRUE;
        }
      if (g_cancellable_set_error_if_cancelled (turn->cancellable, error) ||
          !atl_chat_answer_sample (turn->answer, atl_llm_logits (model->llm, 0), &id, error))
        return FALSE;
      if (turn->first_token == 0)
        {
          turn->first_token = g_get_monotonic_time ();
          turn->stats->first_token_s = seconds_since (turn->started);
        }
      if (atl_tokenizer_is_eog (model->tokenizer, id))
        {
          turn->stats->stop = ATL_TURN_EOS;
          return TRUE;
        }
      turn->stats->n_generated++;
      if (atl_chat_answer_push (turn->answer, id))
        {
          turn->stats->stop = ATL_TURN_STOP_STRING;
          return TRUE;
        }
      if (model->cached->len >= n_ctx)
        {
          if (!turn->options->shift_context)
            {
              turn->stats->stop = ATL_TURN_CONTEXT_FULL;
              return TRUE;
            }
          if (!shift (turn, error))
            return FALSE;
        }
      if (!decode (turn, &id, 1, error))
        return FALSE;
    }
}

static gboolean
run (Turn *turn, JsonArray *messages, const char *text, GError **error)
{
  AtlChatModel *model = turn->model;
  g_autoptr (GArray) ids = NULL;
  gboolean is_thinking = FALSE;
  gboolean continues = messages == NULL || turn->options->continue_last;
  gint64 started;
  gboolean ok;

  ids = make_prompt (turn, messages, text, &is_thinking, error);
  if (ids == NULL)
    return FALSE;
  turn->answer =
      atl_chat_answer_new (model, turn->options, turn->sink, ids, is_thinking, continues, error);
  if (turn->answer == NULL)
    return FALSE;
  if (turn->options->shift_context)
    turn->n_keep = count_system (turn, messages, ids);

  /* The last token is always computed: its logits begin the answer. */
  rewind_cache (model, MIN (common_prefix (model->cached, ids), ids->len - 1));
  turn->stats->n_cached = model->cached->len;
  started = g_get_monotonic_time ();
  ok = prefill (turn, ids, model->cached->len, TRUE, error);
  turn->stats->prefill_s = seconds_since (started);
  if (!ok)
    return FALSE;
  started = g_get_monotonic_time ();
  ok = generate (turn, error);
  turn->stats->generate_s = seconds_since (started);
  return ok;
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
  Turn turn = { .model = model,
                .options = options,
                .sink = sink,
                .cancellable = cancellable,
                .stats = stats,
                .n_keep = 1 };
  GError *local = NULL;
  gboolean ok;

  g_return_val_if_fail ((messages == NULL) != (text == NULL), FALSE);
  g_return_val_if_fail (model->llm != NULL, FALSE);
  *stats = (AtlTurnStats){ 0 };
  turn.started = g_get_monotonic_time ();
  ok = run (&turn, messages, text, &local);
  if (turn.answer != NULL)
    {
      atl_chat_answer_finish (turn.answer);
      stats->thinking_s = atl_chat_answer_thinking_s (turn.answer);
    }
  stats->n_ctx_used = model->cached->len;
  if (!ok && is_cancelled (local))
    {
      g_clear_error (&local);
      stats->stop = ATL_TURN_STOPPED;
      ok = TRUE;
    }
  if (!ok)
    {
      /* A failed device leaves the cache in doubt: the next turn starts from nothing. */
      if (g_error_matches (local, ATL_ERROR, ATL_ERROR_DEVICE))
        rewind_cache (model, 0);
      g_propagate_error (error, local);
    }
  atl_chat_answer_free (turn.answer);
  return ok;
}
