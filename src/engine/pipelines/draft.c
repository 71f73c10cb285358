/* Prompt lookup. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/draft.h"

/* Tokens that must have stood before: the longest match counts. */
#define MAX_MATCH 4u
#define MIN_MATCH 2u
/* How far back it is looked for. */
#define MAX_LOOK_BACK 16384u
/* A token more in a step costs about a fifth of a step: guesses that are right less often than this
 * share do not pay. */
#define LEAST_PERCENT 25u
#define RECENT 24u
#define PAUSE 64u

static gint32
token_at (const GArray *ids, gint32 next, guint i)
{
  return i < ids->len ? g_array_index (ids, gint32, i) : next;
}

/* How many tokens before `end` equal those at the end of the text. */
static guint
match_length (const GArray *ids, gint32 next, guint end)
{
  guint n = 0;

  while (n < MAX_MATCH && n < end &&
         token_at (ids, next, end - 1 - n) == token_at (ids, next, ids->len - n))
    n++;
  return n;
}

guint
atl_draft_guess (AtlDraft *self, const GArray *ids, gint32 next, gint32 *tokens, guint max)
{
  guint first = ids->len > MAX_LOOK_BACK ? ids->len - MAX_LOOK_BACK : 0;
  guint best = MIN_MATCH - 1, at = 0, n = 0;

  if (self->n_pause > 0)
    {
      self->n_pause--;
      return 0;
    }
  if (self->length == 0)
    self->length = 2;
  /* The text is ids and next; what ends at `end` is followed by token `end`. Of equally long
   * matches the latest counts. */
  for (guint end = ids->len; end > first && best < MAX_MATCH; end--)
    if (g_array_index (ids, gint32, end - 1) == next)
      {
        guint length = match_length (ids, next, end);

        if (length > best)
          {
            best = length;
            at = end;
          }
      }
  if (at == 0)
    return 0;
  for (max = MIN (max, self->length); n < max && at + n <= ids->len; n++)
    tokens[n] = token_at (ids, next, at + n);
  return n;
}

void
atl_draft_note (AtlDraft *self, guint n, guint n_accepted)
{
  if (n == 0)
    return;
  self->length = n_accepted == n ? MIN (2 * self->length, ATL_DRAFT_MAX) : MAX (n_accepted, 1);
  self->n_recent += n;
  self->n_right += n_accepted;
  if (self->n_recent < RECENT)
    return;
  if (100 * self->n_right < LEAST_PERCENT * self->n_recent)
    {
      self->n_pause = PAUSE;
      self->length = 1;
    }
  self->n_recent /= 2;
  self->n_right /= 2;
}
