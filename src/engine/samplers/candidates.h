/* The tokens that may come next, and the filters that thin them out.
 *
 *   AtlCandidates candidates;
 *   atl_candidates_init (&candidates, n_vocab);
 *   atl_candidates_gather (&candidates, logits, n_vocab);
 *   atl_candidates_top_k (&candidates, 40);
 *   atl_candidates_temperature (&candidates, 0.8f);
 *   gint32 id = atl_candidates_draw (&candidates, &random);
 *   atl_candidates_clear (&candidates);
 *
 * A filter removes candidates or changes logits; probabilities follow from the logits and are
 * computed when a filter needs them. Every filter keeps at least `min_keep` candidates (if there
 * are so many). Equal logits are ordered by id. The mathematics and the names are those of
 * llama.cpp's samplers (src/llama-sampling.cpp), which cite the papers.
 *
 * Threading: a set belongs to one thread at a time.
 */
#pragma once

#include "engine/samplers/portable-math.h"

G_BEGIN_DECLS

typedef struct
{
  gint32 id;
  float logit;
  float p; /* valid after atl_candidates_softmax() */
} AtlCandidate;

typedef struct
{
  AtlCandidate *items; /* (owned) [cap] */
  AtlCandidate *spare; /* (owned) [cap] for sorting */
  gsize n;
  gsize cap;
  gboolean sorted; /* by logit, largest first */
  gboolean has_p;  /* items[].p are the probabilities of items[].logit */
} AtlCandidates;

/* For `cap` tokens at the most. A zeroed one may be cleared. */
void atl_candidates_init (AtlCandidates *self, gsize cap);
void atl_candidates_clear (AtlCandidates *self);

/* Replaces the set. NaN counts as -infinity. At most `cap` logits. */
void atl_candidates_gather (AtlCandidates *self, const float *logits, gsize n);
/* Replaces the set by the logits that are at least `threshold`. */
void
atl_candidates_gather_above (AtlCandidates *self, const float *logits, gsize n, float threshold);
/* Replaces the set by the `k` largest logits, sorted; one pass, fast for small k. */
void atl_candidates_gather_top (AtlCandidates *self, const float *logits, gsize n, gsize k);

void atl_candidates_sort (AtlCandidates *self);
/* Computes the probabilities; the order does not change. */
void atl_candidates_softmax (AtlCandidates *self);

/* The k largest; k <= 0 changes nothing. */
void atl_candidates_top_k (AtlCandidates *self, gint64 k);
/* Nucleus sampling, https://arxiv.org/abs/1904.09751: the fewest candidates that together have
 * probability p; p >= 1 changes nothing. */
void atl_candidates_top_p (AtlCandidates *self, float p, gsize min_keep);
/* https://arxiv.org/abs/2407.01082: those with at least p times the probability of the likeliest;
 * p <= 0 changes nothing. */
void atl_candidates_min_p (AtlCandidates *self, float p, gsize min_keep);
/* Locally typical sampling, https://arxiv.org/abs/2202.00666; p >= 1 changes nothing. */
void atl_candidates_typical (AtlCandidates *self, float p, gsize min_keep);
/* https://arxiv.org/abs/2411.07641: those whose logit is less than n standard deviations below the
 * largest; n <= 0 changes nothing. */
void atl_candidates_top_n_sigma (AtlCandidates *self, float n);
/* Exclude top choices: of those with probability >= threshold all but the least likely are removed,
 * with the given probability. Draws one random number unless it is off (probability 0 or threshold
 * > 0.5). */
void atl_candidates_xtc (
    AtlCandidates *self, float probability, float threshold, gsize min_keep, AtlRandom *random);
/* Divides the logits; 0 or less leaves only the largest. */
void atl_candidates_temperature (AtlCandidates *self, float temperature);
/* https://arxiv.org/abs/2309.02772: a temperature between temperature - range and temperature +
 * range, by the entropy of the distribution. range <= 0: plain temperature. */
void atl_candidates_dynamic_temperature (AtlCandidates *self,
                                         float temperature,
                                         float range,
                                         float exponent);

/* One id by its probability; -1 if the set is empty or has no probability. `p` (nullable) gets it.
 */
gint32 atl_candidates_draw (AtlCandidates *self, AtlRandom *random, double *p);
/* Mirostat, https://arxiv.org/abs/2007.14966, version 1 (over a vocabulary of n_vocab) and 2: draws
 * so that the surprise stays near tau bits; *mu (at first 2 tau) is the state. */
gint32 atl_candidates_mirostat (
    AtlCandidates *self, gsize n_vocab, float tau, float eta, float *mu, AtlRandom *random);
gint32 atl_candidates_mirostat_v2 (
    AtlCandidates *self, float tau, float eta, float *mu, AtlRandom *random);

G_END_DECLS
