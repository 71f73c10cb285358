/* What one answer computes in a step: the token that was chosen, guesses of those behind it, and
 * what a wrong guess has made necessary to compute again.
 *
 *   atl_share_begin (&share, turn, pace, 3, n_rows, n_turns);
 *   ... logits of all share.n_tokens tokens, behind those of the conversation ...
 *   atl_share_finish (&share, pace, logits_row);
 *
 * Each row of logits chooses a token. As long as it is the one that was guessed, the next row is
 * what would have been computed for it: the text is the same with and without guesses, at any
 * temperature, under any grammar.
 *
 * A model with recurrent states cannot forget single tokens: after a wrong guess it goes back to
 * where the step began, and what was right is computed again at the head of the next step, which
 * costs little there.
 *
 * Threading: the scheduler's thread, atl_share_begin() inside the turnstile.
 */
#pragma once

#include "engine/pipelines/chat-turn-private.h"
#include "engine/pipelines/draft-model.h"

G_BEGIN_DECLS

typedef struct
{
  AtlChatTurn *turn;
  gint32 tokens[ATL_PACE_ROWS];
  guint n_again;  /* of the tokens, those that are computed once more */
  guint n_tokens; /* with the chosen one and the guesses */
  gboolean is_looked_up;
  AtlDraftPlace place;
  AtlDraftGuess guess; /* of the draft model */
} AtlShare;

/* Rows that the turn needs without guesses; more than ATL_PACE_ROWS: it is no longer a step. */
guint atl_share_need (const AtlChatTurn *turn);

/* At most `max` guesses, in a step that has `n_rows` rows of `n_turns` answers without them. */
void atl_share_begin (
    AtlShare *self, AtlChatTurn *turn, const AtlPace *pace, guint max, guint n_rows, guint n_turns);
/* The model's logits hold the share's rows from `row` on. */
void atl_share_finish (AtlShare *self, const AtlPace *pace, guint row);

G_END_DECLS
