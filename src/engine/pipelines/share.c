/* Guesses into a step, and what the step makes of them. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/share.h"

#include <string.h>

/* With a draft model a text must repeat so many tokens to be looked up rather than guessed. */
#define SURE_MATCH 3u
/* Tokens of an answer between two checkpoints: its text may be read again as other tokens. */
#define CHECKPOINT_TOKENS 256u

static guint
count_again (const AtlChatTurn *turn)
{
  return turn->ids->len - turn->conversation->ids->len;
}

guint
atl_share_need (const AtlChatTurn *turn)
{
  return count_again (turn) + 1;
}

static guint
count_left (const AtlChatTurn *turn)
{
  gint max = turn->options.max_tokens;

  return max < 0 ? G_MAXUINT : (guint) max - MIN ((guint) max, turn->stats.n_generated);
}

/* Asks the draft model, which may be gone by now. */
static void
ask_draft (AtlShare *self, const AtlPace *pace, guint max)
{
  AtlChatTurn *turn = self->turn;
  char key[32];
  AtlDraftContext context = { .place = self->place,
                              .key = key,
                              .n_left = count_left (turn),
                              .is_first = turn->stats.n_generated <= 1,
                              .cancellable = turn->cancellable };

  /* The answer's conversation is nobody else's meanwhile. */
  g_snprintf (key, sizeof key, "%p", (gpointer) turn->conversation);
  atl_draft_model_guess (turn->model->guesser, pace, &context, max, &self->guess);
  memcpy (self->tokens + self->n_tokens, self->guess.tokens,
          self->guess.n * sizeof *self->guess.tokens);
  self->n_tokens += self->guess.n;
}

static void
guess (AtlShare *self, const AtlPace *pace, guint max)
{
  AtlChatTurn *turn = self->turn;
  gboolean has_draft = turn->model->guesser != NULL;
  guint n;

  /* The chosen token is a part of the text for as long as it is looked at. */
  g_array_append_val (turn->ids, turn->next);
  self->place.ids = turn->ids;
  self->place.min_match = has_draft ? SURE_MATCH : 0;
  n = atl_draft_guess (&turn->draft, pace, &self->place, self->tokens + self->n_tokens, max);
  self->is_looked_up = n > 0;
  self->n_tokens += n;
  if (n == 0 && has_draft)
    ask_draft (self, pace, max);
  g_array_set_size (turn->ids, turn->ids->len - 1);
}

void
atl_share_begin (
    AtlShare *self, AtlChatTurn *turn, const AtlPace *pace, guint max, guint n_rows, guint n_turns)
{
  guint room = atl_llm_cache_n_ctx (turn->conversation->cache) - turn->conversation->ids->len;

  *self = (AtlShare){ .turn = turn, .n_again = count_again (turn) };
  g_assert (self->n_again < ATL_PACE_ROWS && self->n_again < room);
  self->place.n_rows = n_rows;
  self->place.n_turns = n_turns;
  self->place.recomputes = atl_llm_info (turn->model->llm)->is_recurrent;
  if (self->n_again > 0)
    memcpy (self->tokens, &g_array_index (turn->ids, gint32, turn->conversation->ids->len),
            self->n_again * sizeof *self->tokens);
  self->tokens[self->n_again] = turn->next;
  self->n_tokens = self->n_again + 1;
  max = MIN (max, MIN (room, ATL_PACE_ROWS) - self->n_tokens);
  if (turn->options.speculate && max > 0)
    guess (self, pace, MIN (max, count_left (turn)));
}

void
atl_share_finish (AtlShare *self, const AtlPace *pace, guint row)
{
  AtlChatTurn *turn = self->turn;
  AtlConversation *c = turn->conversation;
  guint at = self->n_again, n_guesses = self->n_tokens - self->n_again - 1, n_accepted;
  guint n_before = c->ids->len;

  g_array_append_vals (c->ids, self->tokens, self->n_again);
  do
    {
      g_array_append_val (c->ids, self->tokens[at]);
      g_array_append_val (turn->ids, self->tokens[at]);
      atl_chat_turn_take_logits (turn, atl_llm_logits (turn->model->llm, row + at));
      at++;
    }
  while (at < self->n_tokens && turn->phase == ATL_TURN_GENERATE && turn->next == self->tokens[at]);
  if (atl_llm_cache_length (c->cache) > c->ids->len)
    g_array_set_size (c->ids, atl_llm_cache_truncate (c->cache, c->ids->len));
  if (c->ids->len / CHECKPOINT_TOKENS > n_before / CHECKPOINT_TOKENS)
    atl_llm_cache_checkpoint (c->cache);
  n_accepted = at - self->n_again - 1;
  turn->stats.n_drafted += n_guesses;
  turn->stats.n_accepted += n_accepted;
  if (!self->is_looked_up)
    {
      turn->stats.n_model_drafted += n_guesses;
      turn->stats.n_model_accepted += n_accepted;
    }
  if (self->is_looked_up)
    atl_draft_note (&turn->draft, n_guesses, n_accepted);
  else if (turn->model->guesser != NULL)
    atl_draft_model_note (turn->model->guesser, pace, &self->place, &self->guess, n_accepted);
}
