/* The filters on sets of candidates. */
#define G_LOG_DOMAIN "atl-samplers"

#include <math.h>
#include <string.h>

#include "engine/samplers/candidates.h"

/* What is left has other probabilities: they are computed again when needed. */
static void
keep_first (AtlCandidates *self, gsize n)
{
  if (n >= self->n)
    return;
  self->n = n;
  self->has_p = FALSE;
}

void
atl_candidates_top_k (AtlCandidates *self, gint64 k)
{
  if (k <= 0 || (guint64) k >= self->n)
    return;
  atl_candidates_sort (self);
  keep_first (self, (gsize) k);
}

/* Moves those that may be among the likeliest with the sum `p` to the front, the order kept, and
 * returns how many: what is less likely than an even share of the rest is not, since all such
 * together do not reach that rest. */
static gsize
sift (AtlCandidates *self, float p)
{
  const float least = (1.0f - p) / (float) self->n * 0.999f;
  gsize n = 0, n_rest = 0;

  for (gsize i = 0; i < self->n; i++)
    if (self->items[i].p >= least)
      self->items[n++] = self->items[i];
    else
      self->spare[n_rest++] = self->items[i];
  memcpy (self->items + n, self->spare, n_rest * sizeof *self->items);
  return n;
}

void
atl_candidates_top_p (AtlCandidates *self, float p, gsize min_keep)
{
  const gsize n_all = self->n;
  const AtlCandidate *items;
  double sum = 0;

  if (p >= 1.0f)
    return;
  atl_candidates_softmax (self);
  items = self->items;
  if (!self->sorted)
    {
      self->n = sift (self, p);
      atl_candidates_sort (self);
    }
  for (gsize i = 0; i < n_all; i++)
    {
      if (i == self->n)
        {
          /* Rounding, or more must be kept. Sorting may have exchanged the arrays. */
          if (self->items != items)
            memcpy (self->items + i, items + i, (n_all - i) * sizeof *items);
          self->n = n_all;
          self->sorted = FALSE;
          atl_candidates_sort (self);
        }
      sum += self->items[i].p;
      if (sum >= p && i + 1 >= min_keep)
        {
          self->n = n_all;
          keep_first (self, i + 1);
          return;
        }
    }
}

void
atl_candidates_min_p (AtlCandidates *self, float p, gsize min_keep)
{
  float largest = -INFINITY;
  float threshold;
  gsize kept = 0;

  if (p <= 0.0f || self->n == 0)
    return;
  for (gsize i = 0; i < self->n; i++)
    largest = MAX (largest, self->items[i].logit);
  threshold = (float) ((double) largest + atl_portable_log (p));
  for (gsize i = 0; i < self->n; i++)
    kept += self->items[i].logit >= threshold;
  if (self->sorted || kept < MAX (1, min_keep))
    {
      atl_candidates_sort (self);
      keep_first (self, MAX (kept, MAX (1, min_keep)));
      return;
    }
  if (kept == self->n)
    return;
  kept = 0;
  for (gsize i = 0; i < self->n; i++)
    if (self->items[i].logit >= threshold)
      self->items[kept++] = self->items[i];
  keep_first (self, kept);
}

/* The entropy of the set in nats. */
static double
entropy_of (AtlCandidates *self)
{
  double entropy = 0;

  atl_candidates_softmax (self);
  for (gsize i = 0; i < self->n; i++)
    if (self->items[i].p > 0)
      entropy -= self->items[i].p * atl_portable_log (self->items[i].p);
  return entropy;
}

void
atl_candidates_typical (AtlCandidates *self, float p, gsize min_keep)
{
  double entropy;

  if (p >= 1.0f || self->n == 0)
    return;
  atl_candidates_sort (self);
  entropy = entropy_of (self);
  /* Sorted by how far a candidate's surprise is from the expected one. The distance takes the place
   * of the logit while sorting; the logit waits in p's place, and p is computed again later. */
  for (gsize i = 0; i < self->n; i++)
    {
      float logit = self->items[i].logit;
      double surprise = self->items[i].p > 0 ? -atl_portable_log (self->items[i].p) : INFINITY;

      self->items[i].p = logit;
      self->items[i].logit = (float) -fabs (surprise - entropy);
    }
  self->sorted = FALSE;
  atl_candidates_sort (self);
  {
    float largest = -INFINITY;
    double total = 0;
    double seen = 0;
    gsize kept = self->n;

    for (gsize i = 0; i < self->n; i++)
      {
        self->items[i].logit = self->items[i].p;
        largest = MAX (largest, self->items[i].logit);
      }
    for (gsize i = 0; i < self->n; i++)
      total += atl_portable_exp ((double) self->items[i].logit - largest);
    for (gsize i = 0; i < self->n; i++)
      {
        seen += atl_portable_exp ((double) self->items[i].logit - largest) / total;
        if (seen > p && i + 1 >= min_keep)
          {
            kept = i + 1;
            break;
          }
      }
    self->n = kept;
  }
  self->sorted = FALSE;
  self->has_p = FALSE;
}

void
atl_candidates_top_n_sigma (AtlCandidates *self, float n)
{
  float largest = -INFINITY;
  double mean = 0;
  double variance = 0;
  gsize count = 0;
  gsize kept = 0;
  float threshold;

  if (n <= 0.0f || self->n <= 1)
    return;
  for (gsize i = 0; i < self->n; i++)
    if (!isinf (self->items[i].logit))
      {
        largest = MAX (largest, self->items[i].logit);
        mean += self->items[i].logit;
        count++;
      }
  if (count == 0)
    return;
  mean /= (double) count;
  for (gsize i = 0; i < self->n; i++)
    if (!isinf (self->items[i].logit))
      variance += (self->items[i].logit - mean) * (self->items[i].logit - mean);
  threshold = (float) (largest - n * sqrt (variance / (double) count));
  for (gsize i = 0; i < self->n; i++)
    if (self->items[i].logit >= threshold)
      self->items[kept++] = self->items[i];
  keep_first (self, kept);
}

void
atl_candidates_xtc (
    AtlCandidates *self, float probability, float threshold, gsize min_keep, AtlRandom *random)
{
  gsize last = 0;

  if (probability <= 0.0f || threshold > 0.5f || self->n < 2)
    return;
  if (atl_random_uniform (random) > probability)
    return;
  atl_candidates_sort (self);
  atl_candidates_softmax (self);
  while (last + 1 < self->n && self->items[last + 1].p >= threshold)
    last++;
  if (self->items[0].p < threshold || last == 0 || self->n - last < min_keep)
    return;
  self->n -= last;
  memmove (self->items, self->items + last, self->n * sizeof (AtlCandidate));
  self->has_p = FALSE;
}

void
atl_candidates_temperature (AtlCandidates *self, float temperature)
{
  if (temperature <= 0.0f)
    {
      gsize best = 0;

      for (gsize i = 1; i < self->n; i++)
        if (self->items[i].logit > self->items[best].logit ||
            (self->items[i].logit == self->items[best].logit &&
             self->items[i].id < self->items[best].id))
          best = i;
      if (self->n > 0)
        self->items[0] = self->items[best];
      keep_first (self, 1);
      return;
    }
  if (temperature == 1.0f)
    return;
  for (gsize i = 0; i < self->n; i++)
    self->items[i].logit /= temperature;
  self->has_p = FALSE;
}

void
atl_candidates_dynamic_temperature (AtlCandidates *self,
                                    float temperature,
                                    float range,
                                    float exponent)
{
  float lowest = MAX (0.0f, temperature - range);
  float highest = temperature + range;
  double entropy;

  if (range <= 0.0f)
    {
      atl_candidates_temperature (self, temperature);
      return;
    }
  if (self->n <= 1)
    return;
  entropy = entropy_of (self) / atl_portable_log ((double) self->n);
  atl_candidates_temperature (
      self,
      (float) (lowest + (highest - lowest) * atl_portable_pow (CLAMP (entropy, 0, 1), exponent)));
}

/* --- Mirostat --- */

static double
log2_of (double x)
{
  return atl_portable_log (x) * 1.44269504088896338700;
}

static gint32
draw_and_learn (AtlCandidates *self, float tau, float eta, float *mu, AtlRandom *random)
{
  double p = 0;
  gint32 id = atl_candidates_draw (self, random, &p);

  if (id >= 0)
    *mu -= eta * (float) (-log2_of (p) - tau);
  return id;
}

gint32
atl_candidates_mirostat (
    AtlCandidates *self, gsize n_vocab, float tau, float eta, float *mu, AtlRandom *random)
{
  /* The paper's m: how many of the likeliest tokens the slope of Zipf's law is estimated from. */
  const gsize m = 100;
  double products = 0;
  double squares = 0;
  double slope, excess, k;

  atl_candidates_sort (self);
  atl_candidates_softmax (self);
  for (gsize i = 0; i + 1 < MIN (m, self->n); i++)
    if (self->items[i + 1].p > 0)
      {
        double t = atl_portable_log ((double) (i + 2) / (double) (i + 1));

        products += t * atl_portable_log ((double) self->items[i].p / self->items[i + 1].p);
        squares += t * t;
      }
  slope = squares > 0 ? products / squares : 1;
  excess = slope - 1;
  k = (double) self->n;
  if (slope > 0 && excess != 0)
    k = atl_portable_pow (fabs (excess * atl_portable_pow (2, *mu) /
                                (1 - atl_portable_pow ((double) n_vocab, -excess))),
                          1 / slope);
  if (!(k < (double) self->n))
    k = (double) self->n;
  atl_candidates_top_k (self, MAX (1, (gint64) k));
  return draw_and_learn (self, tau, eta, mu, random);
}

gint32
atl_candidates_mirostat_v2 (AtlCandidates *self, float tau, float eta, float *mu, AtlRandom *random)
{
  gsize kept = 0;

  atl_candidates_sort (self);
  atl_candidates_softmax (self);
  while (kept < self->n && self->items[kept].p > 0 && -log2_of (self->items[kept].p) <= *mu)
    kept++;
  keep_first (self, MAX (1, kept));
  return draw_and_learn (self, tau, eta, mu, random);
}
