/* What came before, and what repeating it costs. */
#define G_LOG_DOMAIN "atl-samplers"

#include "engine/samplers/history.h"

#include <math.h>
#include <string.h>

void
atl_history_init (AtlHistory *self, gsize n_vocab, gsize cap, gsize window)
{
  memset (self, 0, sizeof *self);
  self->n_vocab = n_vocab;
  self->cap = MAX (cap, 1);
  self->window = MIN (window, self->cap);
  self->ring = g_new0 (gint32, self->cap);
  self->repeats = g_new0 (gint32, self->cap);
  self->counts = g_new0 (guint32, n_vocab);
  self->lengths = g_new0 (gint32, n_vocab);
}

void
atl_history_clear (AtlHistory *self)
{
  g_free (self->ring);
  g_free (self->repeats);
  g_free (self->counts);
  g_free (self->lengths);
  memset (self, 0, sizeof *self);
}

/* The i-th token back; 0 is the last. */
static gint32
back (const AtlHistory *self, gsize i)
{
  gsize at = self->next + self->cap - 1 - i;

  return self->ring[at >= self->cap ? at - self->cap : at];
}

static gboolean
known (const AtlHistory *self, gint32 id)
{
  return id >= 0 && (gsize) id < self->n_vocab;
}

void
atl_history_add (AtlHistory *self, gint32 id)
{
  if (self->window > 0)
    {
      if (self->n >= self->window && known (self, back (self, self->window - 1)))
        self->counts[back (self, self->window - 1)]--;
      if (known (self, id))
        self->counts[id]++;
    }
  self->ring[self->next] = id;
  self->next = self->next + 1 == self->cap ? 0 : self->next + 1;
  self->n = MIN (self->n + 1, self->cap);
}

/* --- Repetition, frequency, presence --- */

static float
penalized (float logit, guint32 count, float repeat, float frequency, float presence)
{
  /* The paper divides; a negative logit has to be multiplied to become less likely. */
  logit = logit <= 0 ? logit * repeat : logit / repeat;
  return logit - ((float) count * frequency + presence);
}

void
atl_history_penalize (
    AtlHistory *self, AtlLogitView *view, float repeat, float frequency, float presence)
{
  gsize n = MIN (self->n, self->window);

  if (n == 0 || (repeat == 1.0f && frequency == 0.0f && presence == 0.0f))
    return;
  if (view->logits == NULL)
    {
      for (gsize i = 0; i < view->candidates->n; i++)
        {
          AtlCandidate *item = &view->candidates->items[i];
          guint32 count = known (self, item->id) ? self->counts[item->id] : 0;

          if (count > 0)
            item->logit = penalized (item->logit, count, repeat, frequency, presence);
        }
      view->candidates->sorted = FALSE;
      view->candidates->has_p = FALSE;
      return;
    }
  /* Each distinct token once: the length scratch marks those that are done. */
  for (gsize i = 0; i < n; i++)
    {
      gint32 id = back (self, i);

      if (!known (self, id) || self->lengths[id] != 0)
        continue;
      self->lengths[id] = 1;
      view->logits[id] =
          penalized (view->logits[id], self->counts[id], repeat, frequency, presence);
    }
  for (gsize i = 0; i < n; i++)
    if (known (self, back (self, i)))
      self->lengths[back (self, i)] = 0;
}

/* --- DRY --- */

/* How far back the nearest breaker ends: a repetition cannot reach beyond it. */
static gsize
breaker_distance (const AtlHistory *self, const AtlDryParams *params, gsize last_n)
{
  for (gsize i = 0; i < last_n; i++)
    {
      gssize longest = -1;

      for (gsize start = 0; start < params->n_breakers;)
        {
          gsize length = 0;
          gboolean match;

          while (start + length < params->n_breakers && params->breakers[start + length] >= 0)
            length++;
          /* The sequence begins i tokens back and runs towards the end. */
          match = length > 0 && length - 1 <= i;
          for (gsize k = 0; match && k < length; k++)
            match = params->breakers[start + k] == back (self, i - k);
          if (match)
            longest = MAX (longest, (gssize) length - 1);
          start += length + 1;
        }
      if (longest >= 0)
        return i - (gsize) longest;
    }
  return last_n;
}

/* repeats[last_n - 1 - k]: how many tokens before position k (from the end) equal those at the end,
 * at most `limit`. This is the Z algorithm on the reversed history: linear time. */
static void
count_repeats (AtlHistory *self, gsize last_n, gsize limit)
{
  gsize last = last_n - 1;
  gsize left = 0;
  gsize right = 0;
  gint32 *repeats = self->repeats;

  memset (repeats, 0, last_n * sizeof (gint32));
  for (gsize k = 1; k < last_n; k++)
    {
      if (k > right)
        {
          gsize n = 0;

          while (n + k < last_n && back (self, n) == back (self, n + k))
            n++;
          repeats[last - k] = (gint32) MIN (n, limit);
          if (n > 0)
            {
              left = k;
              right = k + n - 1;
            }
        }
      else
        {
          gsize known_part = (gsize) repeats[last - (k - left)];
          gsize right_part = right - k + 1;

          if (known_part < right_part)
            repeats[last - k] = (gint32) MIN (known_part, limit);
          else
            {
              gsize i = right + 1;

              while (i < last_n && back (self, i) == back (self, i - k))
                i++;
              repeats[last - k] = (gint32) MIN (i - k, limit);
              left = k;
              right = i - 1;
            }
        }
    }
}

static gboolean
is_single_breaker (const AtlDryParams *params, gint32 id)
{
  for (gsize i = 0; i < params->n_breakers; i++)
    if (params->breakers[i] == id && (i == 0 || params->breakers[i - 1] < 0) &&
        (i + 1 == params->n_breakers || params->breakers[i + 1] < 0))
      return TRUE;
  return FALSE;
}

static float
dry_penalty (const AtlDryParams *params, gint32 length)
{
  double exponent = (double) length - (double) params->allowed_length;

  /* Beyond this the power would not fit a float. */
  if (params->base > 1.000001f)
    exponent = MIN (exponent, floor (88.7228391 / atl_portable_log (params->base)));
  return (float) (params->multiplier * atl_portable_pow (params->base, exponent));
}

void
atl_history_dry (AtlHistory *self, AtlLogitView *view, const AtlDryParams *params)
{
  gsize last_n = MIN (self->n, params->last_n);
  gsize limit;

  if (params->multiplier == 0.0f || params->base < 1.0f || last_n == 0 ||
      last_n <= params->allowed_length)
    return;
  limit = breaker_distance (self, params, last_n);
  if (limit < params->allowed_length)
    return;
  count_repeats (self, last_n, limit);

  /* The longest repetition that each token would continue. */
  for (gsize i = 0; i + 1 < last_n; i++)
    {
      gint32 id = back (self, last_n - 2 - i);

      if (self->repeats[i] >= (gint32) params->allowed_length && known (self, id))
        self->lengths[id] = MAX (self->lengths[id], self->repeats[i]);
    }
  if (view->logits == NULL)
    {
      for (gsize i = 0; i < view->candidates->n; i++)
        {
          AtlCandidate *item = &view->candidates->items[i];

          if (known (self, item->id) && self->lengths[item->id] > 0 &&
              !is_single_breaker (params, item->id))
            item->logit -= dry_penalty (params, self->lengths[item->id]);
        }
      view->candidates->sorted = FALSE;
      view->candidates->has_p = FALSE;
    }
  for (gsize i = 0; i + 1 < last_n; i++)
    {
      gint32 id = back (self, last_n - 2 - i);

      if (!known (self, id) || self->lengths[id] == 0)
        continue;
      if (view->logits != NULL && !is_single_breaker (params, id))
        view->logits[id] -= dry_penalty (params, self->lengths[id]);
      self->lengths[id] = 0;
    }
}
