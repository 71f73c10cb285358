/* Deciding which passes are computed, and what stands for those that are not. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/step-cache.h"

#include <math.h>
#include <string.h>

#include "engine/diffusion/arrays.h"
#include "engine/diffusion/step-pass.h"

struct _AtlStepCache
{
  AtlStepRule rule;
  const AtlStepCache *lead;
  guint step;                   /* the one that is asked for next */
  gboolean is_computed;         /* of the last one, as the next two */
  double indicator, sum;        /* below 0: none */
  double total;                 /* that is summed up to the threshold */
  double rate, ratio;           /* EASY: k; MAG: the product */
  guint n_skipped, n_computed;  /* since the last computed one; in all */
  AtlArray *probe;              /* (owned) TEA: of the step before; FIRST_BLOCK: r_c */
  AtlArray *residual;           /* (owned) what blocks added */
  AtlArray *before;             /* (owned) EASY: x of the step before */
  AtlArray *x, *v;              /* (owned) EASY: of the last computed step */
  AtlSeries series;             /* TAYLOR */
  AtlAttentionCache *attention; /* (owned) TAYLOR_ATTENTION, PYRAMID */
};

AtlStepCache *
atl_step_cache_new (const AtlStepRule *rule, guint first, const AtlStepCache *lead)
{
  AtlStepCache *self = g_new0 (AtlStepCache, 1);

  self->rule = *rule;
  self->step = first;
  self->lead = lead;
  self->attention = atl_attention_cache_new ();
  self->ratio = 1;
  return self;
}

void
atl_step_cache_free (AtlStepCache *self)
{
  if (self == NULL)
    return;
  atl_array_free (self->probe);
  atl_array_free (self->residual);
  atl_array_free (self->before);
  atl_array_free (self->x);
  atl_array_free (self->v);
  atl_series_clear (&self->series);
  atl_attention_cache_free (self->attention);
  g_free (self);
}

gboolean
atl_step_cache_computed (const AtlStepCache *self)
{
  return self->is_computed;
}

double
atl_step_cache_indicator (const AtlStepCache *self)
{
  return self->indicator;
}

double
atl_step_cache_sum (const AtlStepCache *self)
{
  return self->sum;
}

/* --- Arrays --- */

static double
mean_difference (const AtlArray *a, const AtlArray *b)
{
  gint64 n = atl_array_n_elems (a);
  double sum = 0.0;

  for (gint64 i = 0; i < n; i++)
    sum += fabs ((double) atl_array_f32 (a)[i] - (double) atl_array_f32 (b)[i]);
  return sum / (double) n;
}

static double
mean_size (const AtlArray *a)
{
  gint64 n = atl_array_n_elems (a);
  double sum = 0.0;

  for (gint64 i = 0; i < n; i++)
    sum += fabs ((double) atl_array_f32 (a)[i]);
  return sum / (double) n;
}

/* a + sign * b into a. */
static void
add_to (AtlArray *a, const AtlArray *b, float sign)
{
  gint64 n = atl_array_n_elems (a);

  for (gint64 i = 0; i < n; i++)
    atl_array_f32 (a)[i] += sign * atl_array_f32 (b)[i];
}

static void
replace (AtlArray **place, AtlArray *array)
{
  atl_array_free (*place);
  *place = array;
}

/* --- Methods --- */

/* MAG weighs a step before it looks at how many were skipped. */
static gboolean
must_compute (const AtlStepCache *self, guint step)
{
  return step < self->rule.n_first || step + self->rule.n_last >= self->rule.n_steps ||
         (self->rule.max_skips > 0 && self->n_skipped >= self->rule.max_skips &&
          self->rule.method != ATL_SKIP_MAG);
}

/* Computes all; what the blocks added to `base`, the tokens before them, is kept. */
static AtlArray *
compute_blocks (AtlStepCache *self, const AtlStepPass *pass, GError **error)
{
  g_autoptr (AtlArray) before = NULL;
  g_autoptr (AtlArray) hidden = NULL;
  AtlArray *last = NULL, *output;

  if (!atl_step_pass_first (pass, &before, &hidden, error))
    return NULL;
  output = atl_step_pass_rest (pass, &last, error);
  if (output != NULL && last != NULL)
    {
      add_to (last, before, -1.0f);
      replace (&self->residual, g_steal_pointer (&last));
    }
  atl_array_free (last);
  return output;
}

static AtlArray *
run_tea (AtlStepCache *self, const AtlStepPass *pass, guint step, GError **error)
{
  const char *const names[] = { self->rule.probe, "before" };
  AtlArray *arrays[2], *output;
  gboolean compute = self->residual == NULL || must_compute (self, step);

  if (!atl_step_pass_call (pass, "forward_probe", names, 2, arrays, error))
    return NULL;
  if (!compute)
    {
      double value = 0;

      self->indicator = mean_difference (arrays[0], self->probe) / mean_size (self->probe);
      for (guint i = 0; i < G_N_ELEMENTS (self->rule.polynomial); i++)
        value = value * self->indicator + self->rule.polynomial[i];
      self->sum = self->total += value;
      compute = !(self->total < self->rule.threshold); /* what is no number is computed */
    }
  if (compute)
    self->total = 0;
  replace (&self->probe, arrays[0]);
  self->is_computed = compute;
  if (compute)
    {
      atl_array_free (arrays[1]);
      return compute_blocks (self, pass, error);
    }
  add_to (arrays[1], self->residual, 1.0f);
  output = atl_step_pass_end (pass, arrays[1], error);
  return output;
}

static AtlArray *
run_first_block (AtlStepCache *self, const AtlStepPass *pass, guint step, GError **error)
{
  g_autoptr (AtlArray) added = NULL;
  g_autoptr (AtlArray) hidden = NULL;
  AtlArray *before, *last, *output;

  if (!atl_step_pass_first (pass, &before, &hidden, error))
    {
      atl_array_free (before);
      return NULL;
    }
  added = atl_array_copy (hidden, "added");
  add_to (added, before, -1.0f);
  atl_array_free (before);
  if (self->residual != NULL)
    self->indicator = mean_difference (added, self->probe) / mean_size (self->probe);
  self->is_computed = self->residual == NULL || must_compute (self, step) ||
                      !(self->indicator <= self->rule.threshold);
  if (!self->is_computed)
    {
      add_to (hidden, self->residual, 1.0f);
      return atl_step_pass_end (pass, g_steal_pointer (&hidden), error);
    }
  output = atl_step_pass_rest (pass, &last, error);
  if (output != NULL && last != NULL)
    {
      add_to (last, hidden, -1.0f);
      replace (&self->residual, g_steal_pointer (&last));
      replace (&self->probe, g_steal_pointer (&added));
    }
  atl_array_free (last);
  return output;
}

static AtlArray *
run_mag (AtlStepCache *self, const AtlStepPass *pass, guint step, GError **error)
{
  static const char *const names[] = { "before" };
  AtlArray *before;

  self->is_computed = TRUE;
  self->indicator = self->rule.ratios[MIN (step, self->rule.n_steps - 1)];
  if (!must_compute (self, step) && self->residual != NULL)
    {
      self->ratio *= self->indicator;
      self->sum = self->total += fabs (1 - self->ratio);
      self->is_computed =
          !(self->total < self->rule.threshold && self->n_skipped < self->rule.max_skips);
    }
  if (self->is_computed)
    {
      self->ratio = 1;
      self->total = 0;
      return compute_blocks (self, pass, error);
    }
  if (!atl_step_pass_call (pass, "forward_probe", names, 1, &before, error))
    return NULL;
  add_to (before, self->residual, 1.0f);
  return atl_step_pass_end (pass, before, error);
}

static void
learn_easy (AtlStepCache *self, const AtlArray *x, const AtlArray *v)
{
  if (self->v != NULL)
    self->rate = mean_difference (v, self->v) / mean_difference (x, self->x);
  self->n_computed++;
  self->total = 0;
  replace (&self->x, atl_array_copy (x, "x"));
  replace (&self->v, atl_array_copy (v, "v"));
}

static AtlArray *
run_easy (AtlStepCache *self, const AtlStepPass *pass, guint step, GError **error)
{
  const AtlArray *x = atl_request_find (pass->request, "latent");
  gboolean compute = must_compute (self, step) || self->n_computed < 2;
  AtlArray *v;

  if (self->lead != NULL)
    compute = self->lead->is_computed || self->n_computed == 0;
  else if (!compute)
    {
      self->indicator = self->rate * mean_difference (x, self->before) / mean_size (self->v);
      self->sum = self->total += self->indicator;
      compute = !(self->total < self->rule.threshold); /* what is no number is computed */
    }
  if (self->lead != NULL)
    {
      self->indicator = self->lead->indicator;
      self->sum = self->lead->sum;
    }
  replace (&self->before, atl_array_copy (x, "before"));
  self->is_computed = compute;
  if (compute)
    {
      v = atl_step_pass_whole (pass, error);
      if (v != NULL && atl_array_size (v) <= atl_array_size (x))
        learn_easy (self, x, v);
      return v;
    }
  /* The network may say less than it reads: the picture comes first in both. */
  v = atl_array_copy (self->v, "output");
  for (gint64 i = 0; i < atl_array_n_elems (v); i++)
    atl_array_f32 (v)[i] =
        atl_array_f32 (x)[i] + (atl_array_f32 (self->v)[i] - atl_array_f32 (self->x)[i]);
  return v;
}

/* Whether TaylorSeer computes a step. */
static gboolean
taylor_computes (const AtlStepCache *self, guint step)
{
  gint64 since = (gint64) step - self->rule.n_first - 1;

  return must_compute (self, step) || since % MAX (self->rule.interval, 1) == 0;
}

static AtlArray *
run_taylor (AtlStepCache *self, const AtlStepPass *pass, guint step, GError **error)
{
  AtlArray *v;

  self->is_computed = self->series.n == 0 || taylor_computes (self, step);
  if (!self->is_computed)
    return atl_series_foretell (&self->series, "output", step);
  v = atl_step_pass_whole (pass, error);
  if (v != NULL)
    atl_series_learn (&self->series, v, self->rule.order, step);
  return v;
}

static AtlArray *
run_taylor_attention (AtlStepCache *self, const AtlStepPass *pass, guint step, GError **error)
{
  self->is_computed =
      !atl_attention_cache_is_filled (self->attention) || taylor_computes (self, step);
  return atl_attention_cache_run (self->attention, pass->request, step, self->is_computed,
                                  self->is_computed, self->rule.order, pass->run, pass->user_data,
                                  error);
}

static AtlArray *
run_pyramid (AtlStepCache *self, const AtlStepPass *pass, guint step, GError **error)
{
  const AtlArray *timestep = atl_request_find (pass->request, "timestep");
  /* Of several, a given first frame's 0 comes first. */
  double t = timestep != NULL ? atl_array_f32 (timestep)[atl_array_n_elems (timestep) - 1] : NAN;
  gboolean all = !atl_attention_cache_is_filled (self->attention) ||
                 !(self->rule.timesteps[0] < t && t < self->rule.timesteps[1]);

  self->is_computed = all || step % MAX (self->rule.self_every, 1) == 0;
  return atl_attention_cache_run (self->attention, pass->request, step, self->is_computed,
                                  all || step % MAX (self->rule.cross_every, 1) == 0, 0, pass->run,
                                  pass->user_data, error);
}

static AtlArray *
run_method (AtlStepCache *self, const AtlStepPass *pass, guint step, GError **error)
{
  switch (self->rule.method)
    {
    case ATL_SKIP_EASY:
      return run_easy (self, pass, step, error);
    case ATL_SKIP_TEA:
      return run_tea (self, pass, step, error);
    case ATL_SKIP_FIRST_BLOCK:
      return run_first_block (self, pass, step, error);
    case ATL_SKIP_MAG:
      return run_mag (self, pass, step, error);
    case ATL_SKIP_TAYLOR:
      return run_taylor (self, pass, step, error);
    case ATL_SKIP_TAYLOR_ATTENTION:
      return run_taylor_attention (self, pass, step, error);
    case ATL_SKIP_PYRAMID:
      return run_pyramid (self, pass, step, error);
    }
  g_return_val_if_reached (NULL);
}

AtlArray *
atl_step_cache_run (
    AtlStepCache *self, AtlRequest *request, AtlPassFunc run, gpointer user_data, GError **error)
{
  const AtlStepPass pass = { request, run, user_data };
  AtlArray *output;

  self->indicator = self->sum = -1;
  output = run_method (self, &pass, self->step++, error);
  self->n_skipped = self->is_computed ? 0 : self->n_skipped + 1;
  return output;
}
