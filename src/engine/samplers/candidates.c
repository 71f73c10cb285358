/* Sets of candidates: gathering from the logits, sorting, probabilities. */
#define G_LOG_DOMAIN "atl-samplers"

#include "engine/samplers/candidates.h"

#include <math.h>
#include <string.h>

/* Sets up to this size are sorted by insertion. */
#define SMALL 48
/* Candidates collected before the threshold of gather_top is raised. */
#define BATCH 2048

void
atl_candidates_init (AtlCandidates *self, gsize cap)
{
  memset (self, 0, sizeof *self);
  self->items = g_new (AtlCandidate, cap);
  self->spare = g_new (AtlCandidate, cap);
  self->cap = cap;
}

void
atl_candidates_clear (AtlCandidates *self)
{
  g_clear_pointer (&self->items, g_free);
  g_clear_pointer (&self->spare, g_free);
  memset (self, 0, sizeof *self);
}

static void
reset (AtlCandidates *self)
{
  self->n = 0;
  self->sorted = FALSE;
  self->has_p = FALSE;
}

void
atl_candidates_gather (AtlCandidates *self, const float *logits, gsize n)
{
  g_return_if_fail (n <= self->cap);
  reset (self);
  for (gsize i = 0; i < n; i++)
    {
      self->items[i].id = (gint32) i;
      self->items[i].logit = isnan (logits[i]) ? -INFINITY : logits[i];
    }
  self->n = n;
}

void
atl_candidates_gather_above (AtlCandidates *self, const float *logits, gsize n, float threshold)
{
  g_return_if_fail (n <= self->cap);
  reset (self);
  for (gsize i = 0; i < n; i++)
    if (logits[i] >= threshold)
      self->items[self->n++] = (AtlCandidate){ .id = (gint32) i, .logit = logits[i] };
}

/* An unsigned number that is smaller the larger the float is. */
static guint32
descending_key (float logit)
{
  guint32 bits;

  /* Minus zero and zero are one value. */
  logit += 0.0f;
  memcpy (&bits, &logit, sizeof bits);
  return (bits & 0x80000000u) != 0 ? bits : ~(bits | 0x80000000u);
}

/* Least significant digit first, in three rounds of 11, 11 and 10 bits: linear for every input, and
 * what is equal keeps its order. */
static void
radix_sort (AtlCandidates *self)
{
  AtlCandidate *from = self->items;
  AtlCandidate *to = self->spare;

  for (guint shift = 0; shift < 32; shift += 11)
    {
      guint32 start[2048] = { 0 };
      guint32 at = 0;

      for (gsize i = 0; i < self->n; i++)
        start[descending_key (from[i].logit) >> shift & 2047]++;
      for (guint digit = 0; digit < 2048; digit++)
        {
          guint32 count = start[digit];

          start[digit] = at;
          at += count;
        }
      for (gsize i = 0; i < self->n; i++)
        to[start[descending_key (from[i].logit) >> shift & 2047]++] = from[i];
      from = from == self->items ? self->spare : self->items;
      to = to == self->items ? self->spare : self->items;
    }
  self->items = from;
  self->spare = to;
}

void
atl_candidates_sort (AtlCandidates *self)
{
  if (self->sorted)
    return;
  self->sorted = TRUE;
  if (self->n > SMALL)
    {
      radix_sort (self);
      return;
    }
  for (gsize i = 1; i < self->n; i++)
    {
      AtlCandidate item = self->items[i];
      gsize at = i;

      for (; at > 0 && self->items[at - 1].logit < item.logit; at--)
        self->items[at] = self->items[at - 1];
      self->items[at] = item;
    }
}

void
atl_candidates_gather_top (AtlCandidates *self, const float *logits, gsize n, gsize k)
{
  gsize room = MAX (BATCH, 2 * k);
  float threshold = -INFINITY;
  gboolean full = FALSE;

  g_return_if_fail (n <= self->cap);
  if (k >= n || room >= n)
    {
      atl_candidates_gather (self, logits, n);
      atl_candidates_top_k (self, (gint64) MIN (k, n));
      atl_candidates_sort (self);
      return;
    }
  reset (self);
  for (gsize i = 0; i < n; i++)
    {
      /* Once k are known only a larger one counts: of equal ones the first stays. */
      if (!(logits[i] > threshold) && (full || isnan (logits[i])))
        continue;
      self->items[self->n++] = (AtlCandidate){ .id = (gint32) i, .logit = logits[i] };
      if (self->n == room)
        {
          self->sorted = FALSE;
          atl_candidates_sort (self);
          self->n = k;
          threshold = self->items[k - 1].logit;
          full = TRUE;
        }
    }
  self->sorted = FALSE;
  atl_candidates_sort (self);
  self->n = MIN (self->n, k);
}

void
atl_candidates_softmax (AtlCandidates *self)
{
  float largest = -INFINITY;
  double sum = 0;

  if (self->has_p)
    return;
  for (gsize i = 0; i < self->n; i++)
    largest = MAX (largest, self->items[i].logit);
  for (gsize i = 0; i < self->n; i++)
    {
      double p = isinf (largest) ? self->items[i].logit == largest && largest > 0
                                 : atl_portable_exp ((double) self->items[i].logit - largest);

      self->items[i].p = (float) p;
      sum += p;
    }
  for (gsize i = 0; i < self->n; i++)
    self->items[i].p = sum > 0 ? (float) (self->items[i].p / sum) : 0;
  self->has_p = TRUE;
}

gint32
atl_candidates_draw (AtlCandidates *self, AtlRandom *random, double *p)
{
  double sum = 0;
  double target;
  double before = 0;
  gint32 last = -1;

  atl_candidates_softmax (self);
  for (gsize i = 0; i < self->n; i++)
    sum += self->items[i].p;
  if (!(sum > 0))
    return -1;
  target = atl_random_uniform (random) * sum;
  for (gsize i = 0; i < self->n; i++)
    {
      if (self->items[i].p > 0)
        {
          last = self->items[i].id;
          if (p != NULL)
            *p = self->items[i].p / sum;
          before += self->items[i].p;
          if (before > target)
            return last;
        }
    }
  /* Rounding left the target at the very end. */
  return last;
}
