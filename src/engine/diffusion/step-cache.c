/* Foretelling the denoiser's output from its input. */
#include "engine/diffusion/step-cache.h"

#include <math.h>
#include <string.h>

struct _AtlStepCache
{
  double threshold;
  guint n_steps, n_first;
  guint step; /* the one that is asked for next */
  gsize n;
  float *before;             /* x of the step before */
  float *x, *v;              /* of the last computed step */
  guint n_learnt;            /* computed steps */
  double rate, size, change; /* k; mean |v|; what has been foretold since */
};

double
atl_step_cache_threshold (double strength)
{
  static const double thresholds[] = { 0.0, 0.025, 0.05, 0.1 };

  return strength == 1.0 || strength == 2.0 || strength == 3.0 ? thresholds[(guint) strength] : 0.0;
}

guint
atl_step_cache_first (guint n_steps)
{
  return MAX (3, n_steps / 5);
}

AtlStepCache *
atl_step_cache_new (double threshold, guint n_steps, guint n_first, gsize n)
{
  AtlStepCache *self;

  if (!(threshold > 0.0) || n_steps < ATL_STEP_CACHE_LEAST || n == 0)
    return NULL;
  self = g_new0 (AtlStepCache, 1);
  self->threshold = threshold;
  self->n_steps = n_steps;
  self->n_first = MAX (n_first, 2);
  self->n = n;
  self->before = g_new (float, n);
  self->x = g_new (float, n);
  self->v = g_new (float, n);
  return self;
}

void
atl_step_cache_free (AtlStepCache *self)
{
  if (self == NULL)
    return;
  g_free (self->before);
  g_free (self->x);
  g_free (self->v);
  g_free (self);
}

static double
mean_difference (const float *a, const float *b, gsize n)
{
  double sum = 0.0;

  for (gsize i = 0; i < n; i++)
    sum += fabs ((double) a[i] - (double) b[i]);
  return sum / (double) n;
}

static double
mean_size (const float *a, gsize n)
{
  double sum = 0.0;

  for (gsize i = 0; i < n; i++)
    sum += fabs ((double) a[i]);
  return sum / (double) n;
}

gboolean
atl_step_cache_guess (AtlStepCache *self, const float *x, float *v)
{
  const guint step = self->step++;
  gboolean is_foretold = FALSE;

  if (step >= self->n_first && step + 1 < self->n_steps && self->n_learnt >= 2)
    {
      self->change += self->rate * mean_difference (x, self->before, self->n) / self->size;
      is_foretold = self->change < self->threshold; /* what is no number is computed */
    }
  if (is_foretold)
    for (gsize i = 0; i < self->n; i++)
      v[i] = x[i] + (self->v[i] - self->x[i]);
  memcpy (self->before, x, self->n * sizeof *x);
  return is_foretold;
}

void
atl_step_cache_learn (AtlStepCache *self, const float *x, const float *v)
{
  if (self->n_learnt > 0)
    self->rate = mean_difference (v, self->v, self->n) / mean_difference (x, self->x, self->n);
  self->size = mean_size (v, self->n);
  self->change = 0.0;
  memcpy (self->x, x, self->n * sizeof *x);
  memcpy (self->v, v, self->n * sizeof *v);
  self->n_learnt++;
}
