/* Guessing what an answer will say next, so that several tokens can be checked in one step.
 *
 *   AtlDraft draft = { 0 };
 *   n = atl_draft_guess (&draft, ids, next, tokens, ATL_DRAFT_MAX);   the model checks tokens[n]
 *   atl_draft_note (&draft, n, n_accepted);
 *
 * Prompt lookup: where the last few tokens stood before in the text, what followed them is likely
 * to follow again (Saxena, "Prompt Lookup Decoding"). Texts that quote, summarise or edit gain
 * much, others nothing: what was accepted so far decides how many tokens are guessed, and whether
 * any.
 *
 * Threading: plain data.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define ATL_DRAFT_MAX 7u

typedef struct
{
  guint length;            /* tokens to guess; 0: not known yet */
  guint n_recent, n_right; /* guessed of late, and of these accepted */
  guint n_pause;           /* tokens during which nothing is guessed */
} AtlDraft;

/* Up to `max` tokens that may follow `ids` (gint32) and `next`; 0 when there is nothing to go by.
 */
guint atl_draft_guess (AtlDraft *self, const GArray *ids, gint32 next, gint32 *tokens, guint max);
/* Of `n` tokens that were guessed and checked `n_accepted` were right. */
void atl_draft_note (AtlDraft *self, guint n, guint n_accepted);

G_END_DECLS
