/* Guessing what an answer will say next, so that several tokens can be checked in one step.
 *
 *   AtlDraft draft = { 0 };
 *   n = atl_draft_guess (&draft, &pace, &place, tokens, ATL_DRAFT_MAX);   the model checks them
 *   atl_draft_note (&draft, n, n_accepted);
 *
 * Prompt lookup: where the last few tokens stood before in the text, what followed them is likely
 * to follow again (Saxena, "Prompt Lookup Decoding"). Texts that quote, summarise or edit gain
 * much, others nothing: what was accepted so far, and what a token more was measured to cost,
 * decide how many tokens are guessed, and whether any.
 *
 * Threading: plain data.
 */
#pragma once

#include "engine/pipelines/pace.h"

G_BEGIN_DECLS

#define ATL_DRAFT_MAX (ATL_PACE_ROWS - 1)

typedef struct
{
  guint length;           /* tokens to guess; 0: not known yet */
  guint n_tried, n_right; /* guesses of late that were reached, and of these accepted */
  guint n_pause;          /* tokens during which nothing is guessed */
} AtlDraft;

/* Where guesses are wanted. */
typedef struct
{
  const GArray *ids;   /* gint32: the text so far, the token that comes next included */
  guint n_rows;        /* tokens that the step has without guesses */
  guint n_turns;       /* answers in it */
  gboolean recomputes; /* what was right before a wrong guess is computed once more */
  guint min_match;     /* tokens that must have stood before; 0: as few as make sense */
} AtlDraftPlace;

/* Up to `max` tokens that may follow; 0 when there is nothing to go by, or it does not pay. */
guint atl_draft_guess (
    AtlDraft *self, const AtlPace *pace, const AtlDraftPlace *place, gint32 *tokens, guint max);
/* Of `n` tokens that were guessed and checked the first `n_accepted` were right. */
void atl_draft_note (AtlDraft *self, guint n, guint n_accepted);

G_END_DECLS
