/* The chain: penalties on the dense logits, filters on the candidates that are left, a draw.
 *
 * The logits stay a plain array as long as possible. The first filter that thins them out (usually
 * top-k) makes the set of candidates in one pass, so that a vocabulary of 150,000 tokens costs
 * about as much as reading it once. */
#define G_LOG_DOMAIN "atl-samplers"

#include "engine/samplers/sampler.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/samplers/history.h"

#define MAX_VOCAB ((gsize) 1 << 24)

struct _AtlSampler
{
  AtlSamplingParams params;
  AtlLogitBias *logit_bias; /* (owned) */
  gint32 *dry_breakers;     /* (owned) */
  gsize n_vocab;
  AtlHistory history;
  AtlRandom random;
  float mu; /* mirostat's state */
  AtlCandidates candidates;
  float *unmasked; /* (owned) (nullable) [n_vocab] the logits before a constrained choice */
  AtlSamplerConstraint constraint;
};

/* --- The chain --- */

/* The place of the largest logit, the first of equal ones; 0 if all are -infinity or NaN. */
static gsize
best_of (const float *logits, gsize n)
{
  float largest = -INFINITY;
  gsize best = 0;

  for (gsize i = 0; i < n; i++)
    if (logits[i] > largest)
      {
        largest = logits[i];
        best = i;
      }
  return best;
}

static gboolean
is_greedy (const AtlSampler *self)
{
  const AtlSamplingParams *p = &self->params;

  /* XTC and typical sampling are the two filters that may remove the likeliest token. */
  return p->temperature <= 0.0f && p->dynatemp_range <= 0.0f && p->mirostat == 0 &&
         p->xtc_probability <= 0.0f && p->typical_p >= 1.0f;
}

static void
apply_dry (AtlSampler *self, AtlLogitView *view)
{
  const AtlSamplingParams *p = &self->params;
  AtlDryParams dry = {
    .multiplier = p->dry_multiplier,
    .base = p->dry_base,
    .allowed_length = (gsize) p->dry_allowed_length,
    .last_n = p->dry_penalty_last_n < 0 ? G_MAXSIZE : (gsize) p->dry_penalty_last_n,
    .breakers = self->dry_breakers,
    .n_breakers = p->n_dry_breakers,
  };

  atl_history_dry (&self->history, view, &dry);
}

/* Penalties work on the dense logits as well as on a set; TRUE if `stage` was one. */
static gboolean
run_penalty (AtlSampler *self, AtlSamplerStage stage, AtlLogitView *view)
{
  const AtlSamplingParams *p = &self->params;

  if (stage == ATL_STAGE_PENALTIES)
    atl_history_penalize (&self->history, view, p->repeat_penalty, p->frequency_penalty,
                          p->presence_penalty);
  else if (stage == ATL_STAGE_DRY)
    apply_dry (self, view);
  else
    return FALSE;
  return TRUE;
}

static gboolean
is_off (const AtlSamplingParams *p, AtlSamplerStage stage)
{
  switch (stage)
    {
    case ATL_STAGE_TOP_N_SIGMA:
      return p->top_n_sigma <= 0.0f;
    case ATL_STAGE_TOP_K:
      return p->top_k <= 0;
    case ATL_STAGE_TYPICAL:
      return p->typical_p >= 1.0f;
    case ATL_STAGE_TOP_P:
      return p->top_p >= 1.0f;
    case ATL_STAGE_MIN_P:
      return p->min_p <= 0.0f;
    case ATL_STAGE_XTC:
      return p->xtc_probability <= 0.0f || p->xtc_threshold > 0.5f;
    case ATL_STAGE_TEMPERATURE:
      return p->temperature == 1.0f && p->dynatemp_range <= 0.0f;
    default:
      return FALSE;
    }
}

/* Makes the set of candidates for its first filter, `stage`, from the logits. What the filter will
 * surely remove need not be in it. */
static void
gather (AtlSampler *self, AtlSamplerStage stage, const float *logits, gsize n)
{
  const AtlSamplingParams *p = &self->params;

  if (stage == ATL_STAGE_TOP_K)
    atl_candidates_gather_top (&self->candidates, logits, n, (gsize) p->top_k);
  else if (stage == ATL_STAGE_MIN_P && p->min_keep <= 1)
    {
      float largest = logits[best_of (logits, n)];

      /* A little below the filter's own threshold, which decides. */
      atl_candidates_gather_above (&self->candidates, logits, n,
                                   (float) (largest + atl_portable_log (p->min_p) - 0.001));
    }
  else
    atl_candidates_gather (&self->candidates, logits, n);
}

static void
run_filter (AtlSampler *self, AtlSamplerStage stage)
{
  const AtlSamplingParams *p = &self->params;
  AtlCandidates *set = &self->candidates;

  switch (stage)
    {
    case ATL_STAGE_TOP_N_SIGMA:
      atl_candidates_top_n_sigma (set, p->top_n_sigma);
      return;
    case ATL_STAGE_TOP_K:
      atl_candidates_top_k (set, p->top_k);
      return;
    case ATL_STAGE_TYPICAL:
      atl_candidates_typical (set, p->typical_p, p->min_keep);
      return;
    case ATL_STAGE_TOP_P:
      atl_candidates_top_p (set, p->top_p, p->min_keep);
      return;
    case ATL_STAGE_MIN_P:
      atl_candidates_min_p (set, p->min_p, p->min_keep);
      return;
    case ATL_STAGE_XTC:
      atl_candidates_xtc (set, p->xtc_probability, p->xtc_threshold, p->min_keep, &self->random);
      return;
    case ATL_STAGE_TEMPERATURE:
      atl_candidates_dynamic_temperature (set, p->temperature, p->dynatemp_range,
                                          p->dynatemp_exponent);
      return;
    default:
      return;
    }
}

static gint32
run_mirostat (AtlSampler *self, float *logits, gsize n)
{
  const AtlSamplingParams *p = &self->params;
  AtlCandidates *set = &self->candidates;

  atl_candidates_gather (set, logits, n);
  atl_candidates_temperature (set, p->temperature);
  if (p->mirostat == 1)
    return atl_candidates_mirostat (set, n, p->mirostat_tau, p->mirostat_eta, &self->mu,
                                    &self->random);
  return atl_candidates_mirostat_v2 (set, p->mirostat_tau, p->mirostat_eta, &self->mu,
                                     &self->random);
}

static gint32
run_chain (AtlSampler *self, float *logits, gsize n)
{
  const AtlSamplingParams *p = &self->params;
  AtlLogitView view = { .logits = logits, .candidates = &self->candidates };
  gboolean simple = is_greedy (self) || p->mirostat != 0;

  for (guint i = 0; i < p->n_logit_bias; i++)
    if ((gsize) self->logit_bias[i].id < n)
      logits[self->logit_bias[i].id] += self->logit_bias[i].bias;
  for (guint i = 0; p->stages[i] != ATL_STAGE_END; i++)
    {
      if (run_penalty (self, p->stages[i], &view) || simple || is_off (p, p->stages[i]))
        continue;
      if (view.logits != NULL)
        {
          gather (self, p->stages[i], logits, n);
          view.logits = NULL;
        }
      run_filter (self, p->stages[i]);
    }
  if (p->mirostat != 0)
    return run_mirostat (self, logits, n);
  if (simple)
    {
      gsize best = best_of (logits, n);

      return logits[best] > -INFINITY ? (gint32) best : ATL_TOKEN_NONE;
    }
  if (view.logits != NULL)
    atl_candidates_gather (&self->candidates, logits, n);
  return atl_candidates_draw (&self->candidates, &self->random, NULL);
}

gint32
atl_sampler_sample (AtlSampler *self, float *logits, gsize n_vocab)
{
  gint32 id;

  g_return_val_if_fail (self != NULL && logits != NULL, ATL_TOKEN_NONE);
  g_return_val_if_fail (n_vocab > 0 && n_vocab <= self->n_vocab, ATL_TOKEN_NONE);
  if (self->constraint.allows == NULL)
    return run_chain (self, logits, n_vocab);

  if (self->unmasked == NULL)
    self->unmasked = g_new (float, self->n_vocab);
  memcpy (self->unmasked, logits, n_vocab * sizeof (float));
  id = run_chain (self, logits, n_vocab);
  if (id != ATL_TOKEN_NONE && self->constraint.allows (self->constraint.data, id))
    return id;
  /* Asking about one token is cheap, about all of them is not: only a refusal is worth it. */
  memcpy (logits, self->unmasked, n_vocab * sizeof (float));
  self->constraint.mask (self->constraint.data, logits, n_vocab);
  return run_chain (self, logits, n_vocab);
}

/* --- Life --- */

static gsize
look_back (const AtlSamplingParams *p)
{
  gsize dry = p->dry_multiplier <= 0.0f   ? 0
              : p->dry_penalty_last_n < 0 ? 65536
                                          : (gsize) p->dry_penalty_last_n;

  return MAX ((gsize) p->repeat_last_n, dry);
}

AtlSampler *
atl_sampler_new (const AtlSamplingParams *params, gsize n_vocab, GError **error)
{
  AtlSampler *self;

  g_return_val_if_fail (params != NULL, NULL);
  if (!atl_sampling_params_check (params, error))
    return NULL;
  if (n_vocab == 0 || n_vocab > MAX_VOCAB)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("the vocabulary has %zu tokens, it must have 1 to %zu"), n_vocab, MAX_VOCAB);
      return NULL;
    }
  self = g_new0 (AtlSampler, 1);
  self->params = *params;
  self->n_vocab = n_vocab;
  self->logit_bias = g_memdup2 (params->logit_bias, params->n_logit_bias * sizeof (AtlLogitBias));
  self->dry_breakers = g_memdup2 (params->dry_breakers, params->n_dry_breakers * sizeof (gint32));
  self->params.logit_bias = self->logit_bias;
  self->params.dry_breakers = self->dry_breakers;
  if (self->logit_bias == NULL)
    self->params.n_logit_bias = 0;
  if (self->dry_breakers == NULL)
    self->params.n_dry_breakers = 0;
  atl_candidates_init (&self->candidates, n_vocab);
  atl_history_init (&self->history, n_vocab, look_back (params), (gsize) params->repeat_last_n);
  atl_random_init (&self->random, params->seed);
  self->mu = 2 * params->mirostat_tau;
  return self;
}

void
atl_sampler_free (AtlSampler *self)
{
  if (self == NULL)
    return;
  atl_history_clear (&self->history);
  atl_candidates_clear (&self->candidates);
  g_free (self->logit_bias);
  g_free (self->dry_breakers);
  g_free (self->unmasked);
  g_free (self);
}

void
atl_sampler_set_constraint (AtlSampler *self, const AtlSamplerConstraint *constraint)
{
  g_return_if_fail (self != NULL);
  if (constraint != NULL)
    {
      g_return_if_fail (constraint->allows != NULL && constraint->mask != NULL);
      self->constraint = *constraint;
    }
  else
    memset (&self->constraint, 0, sizeof self->constraint);
}

void
atl_sampler_accept (AtlSampler *self, gint32 id)
{
  g_return_if_fail (self != NULL);
  atl_history_add (&self->history, id);
}
