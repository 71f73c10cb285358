/* Choosing a solver, making its tables, and what the solvers share. */
#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/schedules/schedule-private.h"

#define MAX_STEPS 10000

static const AtlSolver *const *const families[] = {
  atl_solvers_sigma, atl_solvers_second, atl_solvers_dpm,  atl_solvers_multistep,
  atl_solvers_vp,    atl_solvers_few,    atl_solvers_flow, atl_solvers_edm,
};

const char *const *
atl_schedule_class_names (void)
{
  static const char *names[64];
  static gsize made;

  if (g_once_init_enter (&made))
    {
      guint n = 0;

      for (gsize f = 0; f < G_N_ELEMENTS (families); f++)
        for (const AtlSolver *const *s = families[f]; *s != NULL; s++)
          {
            g_assert (n + 1 < G_N_ELEMENTS (names));
            names[n++] = (*s)->class_name;
          }
      g_once_init_leave (&made, 1);
    }
  return names;
}

static const AtlSolver *
find_solver (const char *class_name)
{
  for (gsize f = 0; f < G_N_ELEMENTS (families); f++)
    for (const AtlSolver *const *s = families[f]; *s != NULL; s++)
      if (g_strcmp0 ((*s)->class_name, class_name) == 0)
        return *s;
  return NULL;
}

AtlSchedule *
atl_schedule_new (const char *class_name, JsonObject *config, GError **error)
{
  const AtlSolver *solver = find_solver (class_name);
  g_autoptr (AtlSchedule) self = NULL;

  if (solver == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("The schedule “%s” is not known here"), class_name);
      return NULL;
    }
  self = g_new0 (AtlSchedule, 1);
  self->solver = solver;
  self->c = (AtlScheduleConfig){
    .n_train = 1000,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .clip_range = 1,
    .shift = 1,
    .base_shift = 0.5,
    .max_shift = 1.15,
    .base_len = 256,
    .max_len = 4096,
    .order = 2,
    .algorithm = ATL_ALGORITHM_DPM_PP,
    .predict_x0 = TRUE,
    .lambda_min_clipped = -1e30,
    .original_steps = 50,
    .timestep_scaling = 10,
    .snr_shift_scale = 3,
    .sigma_data = 0.5,
    .rho = 7,
  };
  if (solver->defaults != NULL)
    solver->defaults (&self->c);
  if (!atl_schedule_read_config (&self->c, config, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
atl_schedule_forget (AtlSchedule *self)
{
  for (guint i = 0; i < ATL_SCHEDULE_HISTORY; i++)
    g_clear_pointer (&self->past[i], g_free);
  g_clear_pointer (&self->kept, g_free);
  g_clear_pointer (&self->work, g_free);
  self->n = 0;
  self->next_call = 0;
  self->n_done = 0;
  self->n_past = 0;
  self->has_kept = FALSE;
}

guint
atl_schedule_most_kept (const AtlSchedule *self)
{
  return ATL_SCHEDULE_HISTORY + 2;
}

static void
clear_run (AtlSchedule *self)
{
  g_clear_pointer (&self->timesteps, g_free);
  g_clear_pointer (&self->sigmas, g_free);
  g_clear_pointer (&self->inner, g_free);
  g_clear_pointer (&self->up, g_free);
  g_clear_pointer (&self->down, g_free);
  g_clear_pointer (&self->orders, g_free);
  self->n_calls = self->n_sigmas = self->n_steps = 0;
  atl_schedule_forget (self);
}

void
atl_schedule_free (AtlSchedule *self)
{
  if (self == NULL)
    return;
  clear_run (self);
  g_free (self->abar);
  g_free (self);
}

gboolean
atl_schedule_set_steps (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  guint n = request->n_steps + request->n_sigmas + request->n_timesteps;

  if ((request->n_steps > 0) + (request->n_sigmas > 0) + (request->n_timesteps > 0) != 1 ||
      n > MAX_STEPS)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A picture takes between 1 and %d steps; %u were asked for"), MAX_STEPS, n);
      return FALSE;
    }
  clear_run (self);
  self->request = *request;
  self->request.sigmas = self->request.timesteps = NULL;
  if (request->s_tmax <= 0)
    self->request.s_tmax = INFINITY;
  if (request->s_noise <= 0)
    self->request.s_noise = 1;
  self->init_noise_sigma = 1;
  if (!self->solver->plan (self, request, error))
    return FALSE;
  for (guint i = 0; i < self->n_calls; i++)
    if (!isfinite (self->timesteps[i]) ||
        (self->abar != NULL && self->sigmas == NULL &&
         (self->timesteps[i] < 0 || self->timesteps[i] >= (double) self->c.n_train)))
      {
        g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                     _ ("%u steps are not possible with this schedule"), n);
        return FALSE;
      }
  return TRUE;
}

guint
atl_schedule_n_calls (const AtlSchedule *self)
{
  return self->n_calls;
}

guint
atl_schedule_calls_per_step (const AtlSchedule *self)
{
  return self->solver->calls_per_step;
}

double
atl_schedule_timestep (const AtlSchedule *self, guint call)
{
  g_return_val_if_fail (call < self->n_calls, 0);
  return self->timesteps[call];
}

const float *
atl_schedule_sigmas (const AtlSchedule *self, guint *n)
{
  *n = self->n_sigmas;
  return self->sigmas;
}

double
atl_schedule_init_noise_sigma (const AtlSchedule *self)
{
  return self->init_noise_sigma;
}

guint
atl_schedule_first_call (const AtlSchedule *self, double strength)
{
  guint walked = (guint) ((double) self->n_steps * CLAMP (strength, 0, 1));
  guint skipped = self->n_steps - MIN (walked, self->n_steps);

  return MIN (self->solver->first_call != NULL ? self->solver->first_call (self, skipped)
                                               : skipped * self->solver->calls_per_step,
              self->n_calls);
}

void
atl_schedule_add_noise (const AtlSchedule *self,
                        guint first,
                        const float *clean,
                        const float *noise,
                        float *noised,
                        gsize n)
{
  double coef[2];

  g_return_if_fail (first < self->n_calls);
  self->solver->mix (self, first, &coef[0], &coef[1]);
  atl_schedule_combine (noised, n, 2, (const float *[]){ clean, noise }, coef);
}

gboolean
atl_schedule_estimate (
    const AtlSchedule *self, guint call, const float *output, const float *x, float *clean, gsize n)
{
  double alpha, sigma, coef[2];

  g_return_val_if_fail (call < self->n_calls, FALSE);
  for (guint i = 0; atl_solvers_edm[i] != NULL; i++)
    if (atl_solvers_edm[i] == self->solver)
      return FALSE; /* its outputs are scaled in a way of their own */
  self->solver->mix (self, call, &alpha, &sigma);
  if (alpha < 1e-3 && self->c.prediction == ATL_PREDICT_EPSILON)
    return FALSE;
  if (alpha == 1)
    atl_schedule_clean_sigma (&self->c, sigma, &coef[0], &coef[1]);
  else
    atl_schedule_clean_vp (&self->c, alpha, sigma, &coef[0], &coef[1]);
  atl_schedule_combine (clean, n, 2, (const float *[]){ x, output }, coef);
  return TRUE;
}

void
atl_schedule_scale_input (
    const AtlSchedule *self, guint call, const float *x, float *scaled, gsize n)
{
  double scale = self->solver->input_scale != NULL ? self->solver->input_scale (self, call) : 1;

  atl_schedule_combine (scaled, n, 1, &x, &scale);
}

gboolean
atl_schedule_wants_noise (const AtlSchedule *self, guint call)
{
  g_return_val_if_fail (call < self->n_calls, FALSE);
  return self->solver->wants_noise != NULL && self->solver->wants_noise (self, call);
}

void
atl_schedule_step (
    AtlSchedule *self, guint call, const float *output, float *x, const float *noise, gsize n)
{
  g_return_if_fail (call < self->n_calls);
  g_return_if_fail (noise != NULL || !atl_schedule_wants_noise (self, call));

  if (n != self->n)
    {
      atl_schedule_forget (self);
      self->kept = g_new (float, n);
      self->work = g_new (float, n);
      self->n = n;
      self->n_done = 0;
    }
  if (call != self->next_call || self->n_done == 0)
    {
      self->n_done = 0;
      self->n_past = 0;
      self->has_kept = FALSE;
      self->last_order = 0;
    }
  self->solver->step (self, &(AtlStep){ call, output, x, noise });
  self->next_call = call + 1;
  self->n_done++;
}

double
atl_schedule_mu (const AtlSchedule *self, double n_tokens)
{
  const AtlScheduleConfig *c = &self->c;
  double slope =
      c->max_len > c->base_len ? (c->max_shift - c->base_shift) / (c->max_len - c->base_len) : 0;

  return c->base_shift + slope * (n_tokens - c->base_len);
}

/* --- For the solvers --- */

void
atl_schedule_combine (float *dst, gsize n, guint k, const float *const *src, const double *coef)
{
  const float *s[6];
  double c[6];
  guint m = 0;

  g_assert (k <= G_N_ELEMENTS (s));
  for (guint i = 0; i < k; i++)
    if (coef[i] != 0)
      {
        s[m] = src[i];
        c[m++] = coef[i];
      }
  if (m == 1 && c[0] == 1)
    {
      if (s[0] != dst)
        memmove (dst, s[0], n * sizeof *dst);
      return;
    }
  for (gsize i = 0; i < n; i++)
    {
      double sum = 0;

      for (guint j = 0; j < m; j++)
        sum += c[j] * s[j][i];
      dst[i] = (float) sum;
    }
}

float *
atl_schedule_push (AtlSchedule *self)
{
  float *oldest = self->past[ATL_SCHEDULE_HISTORY - 1];

  for (guint i = ATL_SCHEDULE_HISTORY - 1; i > 0; i--)
    self->past[i] = self->past[i - 1];
  self->past[0] = oldest != NULL ? oldest : g_new (float, self->n);
  self->n_past = MIN (self->n_past + 1, ATL_SCHEDULE_HISTORY);
  return self->past[0];
}

void
atl_schedule_keep (AtlSchedule *self, const float *x)
{
  memcpy (self->kept, x, self->n * sizeof *x);
  self->has_kept = TRUE;
}

void
atl_schedule_set_calls (AtlSchedule *self, guint n_steps, guint n_calls)
{
  self->n_steps = n_steps;
  self->n_calls = n_calls;
  g_free (self->timesteps);
  self->timesteps = g_new0 (double, n_calls);
}

void
atl_schedule_set_sigmas (AtlSchedule *self, const double *sigmas, guint n, double last)
{
  self->n_sigmas = n + 1;
  g_free (self->sigmas);
  self->sigmas = g_new (float, n + 1);
  for (guint i = 0; i < n; i++)
    self->sigmas[i] = (float) sigmas[i];
  self->sigmas[n] = (float) last;
}

void
atl_schedule_clean_sigma (const AtlScheduleConfig *c, double sigma, double *x, double *output)
{
  double square = sigma * sigma + 1;

  *x = *output = 0;
  switch (c->prediction)
    {
    case ATL_PREDICT_EPSILON:
    case ATL_PREDICT_FLOW:
      *x = 1;
      *output = -sigma;
      break;
    case ATL_PREDICT_V:
      *x = 1 / square;
      *output = -sigma / sqrt (square);
      break;
    case ATL_PREDICT_SAMPLE:
      *output = 1;
      break;
    }
}

void
atl_schedule_clean_vp (
    const AtlScheduleConfig *c, double alpha, double s, double *x, double *output)
{
  *x = *output = 0;
  switch (c->prediction)
    {
    case ATL_PREDICT_EPSILON:
      *x = 1 / alpha;
      *output = -s / alpha;
      break;
    case ATL_PREDICT_V:
      *x = alpha;
      *output = -s;
      break;
    case ATL_PREDICT_FLOW:
      *x = 1;
      *output = -s;
      break;
    case ATL_PREDICT_SAMPLE:
      *output = 1;
      break;
    }
}

double
atl_schedule_churn (const AtlSchedule *self, double sigma)
{
  const AtlScheduleRequest *r = &self->request;

  if (r->s_churn <= 0 || sigma < r->s_tmin || sigma > r->s_tmax)
    return 0;
  return MIN (r->s_churn / (self->n_sigmas - 1), G_SQRT2 - 1);
}

AtlPoint
atl_schedule_point (const AtlSchedule *self, float sigma)
{
  AtlPoint p = { 1, sigma, 0 };

  if (self->c.flow_sigmas)
    p.alpha = 1 - (double) sigma;
  else if (self->abar != NULL)
    {
      p.alpha = 1 / sqrt ((double) sigma * sigma + 1);
      p.sigma = sigma * p.alpha;
    }
  p.lambda = log (p.alpha) - log (p.sigma);
  return p;
}
