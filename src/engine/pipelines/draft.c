/* Prompt lookup. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/draft.h"

/* Tokens that must have stood before: the longest match counts. */
#define MAX_MATCH 4u
#define MIN_MATCH 2u
/* How far back it is looked for. */
#define MAX_LOOK_BACK 16384u
/* Guesses that count, and what is supposed before there are any. */
#define RECENT 24u
#define SUPPOSED_TRIED 4.0
#define SUPPOSED_RIGHT 2.0
#define PAUSE 64u

/* How many tokens before `end` equal those at the end of the text. */
static guint
match_length (const GArray *ids, guint end)
{
  guint n = 0;

  while (n < MAX_MATCH && n < end &&
         g_array_index (ids, gint32, end - 1 - n) == g_array_index (ids, gint32, ids->len - 1 - n))
    n++;
  return n;
}

/* Where the longest match ends, of equally long ones the latest; 0: there is none. */
static guint
find_match (const GArray *ids, guint least)
{
  guint last = ids->len - 1;
  guint first = last > MAX_LOOK_BACK ? last - MAX_LOOK_BACK : 0;
  guint best = least - 1, at = 0;

  for (guint end = last; end > first && best < MAX_MATCH; end--)
    if (g_array_index (ids, gint32, end - 1) == g_array_index (ids, gint32, last))
      {
        guint length = match_length (ids, end);

        if (length > best)
          {
            best = length;
            at = end;
          }
      }
  return at;
}

/* How many guesses, each right with probability `p` where those before it were, bring most; at most
 * `max`, 0 when none pays. */
static guint
best_length (const AtlPace *pace, const AtlDraftPlace *place, double p, guint max)
{
  double worth = atl_pace_worth (pace, place->n_turns);
  double reached = 1, expected = 0, most = 0;
  guint best = 0;

  if (worth == 0)
    return max;
  for (guint n = 1; n <= max; n++)
    {
      double gain;

      reached *= p;
      expected += reached;
      gain = expected * worth - atl_pace_extra (pace, place->n_rows, n);
      if (place->recomputes)
        gain -= (1 - reached) * (expected + 1) * atl_pace_extra (pace, place->n_rows, n) / n;
      if (gain > most)
        {
          most = gain;
          best = n;
        }
    }
  return best;
}

guint
atl_draft_guess (
    AtlDraft *self, const AtlPace *pace, const AtlDraftPlace *place, gint32 *tokens, guint max)
{
  double p = (self->n_right + SUPPOSED_RIGHT) / (self->n_tried + SUPPOSED_TRIED);
  guint at, n = 0;

  if (self->n_pause > 0)
    {
      self->n_pause--;
      return 0;
    }
  if (self->length == 0)
    self->length = 2;
  at = find_match (place->ids, CLAMP (place->min_match, MIN_MATCH, MAX_MATCH));
  if (at == 0)
    return 0;
  max = best_length (pace, place, p, MIN (max, self->length));
  if (max == 0)
    *self = (AtlDraft){ .length = 1, .n_pause = PAUSE };
  for (; n < max && at + n < place->ids->len; n++)
    tokens[n] = g_array_index (place->ids, gint32, at + n);
  return n;
}

void
atl_draft_note (AtlDraft *self, guint n, guint n_accepted)
{
  if (n == 0)
    return;
  self->length = n_accepted == n ? MIN (2 * self->length, ATL_DRAFT_MAX) : MAX (n_accepted, 1);
  self->n_tried += MIN (n_accepted + 1, n);
  self->n_right += n_accepted;
  if (self->n_tried < RECENT)
    return;
  self->n_tried /= 2;
  self->n_right /= 2;
}
