/* Solvers of first order that work on x = clean + sigma * noise, and the linear multistep one.
 *
 *   Euler             x += (sigma' - sigma) d,  d = (x - clean) / sigma;  churn adds noise before
 *   Euler ancestral   down to sqrt (sigma'^2 - up^2), then up * noise
 *   LMS               x += sum c_k d_k, c_k the integral of the Lagrange polynomial over the step
 *
 * Source: diffusers 0.42.1 EulerDiscreteScheduler, EulerAncestralDiscreteScheduler,
 * LMSDiscreteScheduler (after Karras et al. 2022, Elucidating the Design Space, and k-diffusion).
 */
#include <glib/gi18n.h>
#include <math.h>

#include "engine/schedules/schedule-private.h"

/* Sigmas at the spaced timesteps, re-spaced if asked, and the timesteps that belong to them. */
static gboolean
plan (AtlSchedule *self, const AtlScheduleRequest *request, gboolean floor_terminal, GError **error)
{
  AtlScheduleConfig *c = &self->c;
  guint n = request->n_steps + request->n_timesteps;
  g_autofree float *table = NULL, *logs = NULL;
  g_autofree double *sigmas = NULL;
  double last = 0;

  if (self->abar == NULL)
    self->abar = atl_schedule_make_abar (c, floor_terminal);
  table = atl_schedule_sigma_table (self, &logs);
  if (request->n_sigmas > 0)
    {
      /* The last one given is the end. */
      n = request->n_sigmas - 1;
      if (n == 0)
        {
          g_set_error_literal (error, ATL_ERROR, ATL_ERROR_INVALID,
                               _ ("A schedule of given noise levels needs two at least"));
          return FALSE;
        }
      sigmas = g_new (double, n);
      atl_schedule_set_calls (self, n, n);
      for (guint i = 0; i < n; i++)
        {
          sigmas[i] = (float) request->sigmas[i];
          self->timesteps[i] = atl_schedule_sigma_to_t (sigmas[i], logs, c->n_train);
        }
      last = request->sigmas[n];
    }
  else
    {
      guint n_sigmas = c->log_linear ? n + 1 : n;

      sigmas = g_new (double, n_sigmas);
      atl_schedule_set_calls (self, n, n);
      if (request->n_timesteps > 0)
        for (guint i = 0; i < n; i++)
          self->timesteps[i] = (float) request->timesteps[i];
      else
        atl_schedule_space (c, n, FALSE, self->timesteps);
      for (guint i = 0; i < n_sigmas; i++)
        {
          double high = log (table[c->n_train - 1]), low = log (table[0]);

          sigmas[i] = c->log_linear
                          ? exp (high + (low - high) * i / n)
                          : atl_schedule_interpolate (table, c->n_train, self->timesteps[i]);
        }
      if (c->respace != ATL_RESPACE_NONE && c->respace != ATL_RESPACE_LU)
        {
          atl_schedule_respace (c, sigmas[0], sigmas[n_sigmas - 1], n, sigmas);
          n_sigmas = n;
          for (guint i = 0; i < n; i++)
            self->timesteps[i] = atl_schedule_sigma_to_t (sigmas[i], logs, c->n_train);
        }
      if (c->last_sigma_min)
        last = table[0];
      n = n_sigmas;
    }
  atl_schedule_set_sigmas (self, sigmas, n, last);
  if (c->continuous && c->prediction == ATL_PREDICT_V)
    for (guint i = 0; i < self->n_calls; i++)
      self->timesteps[i] = 0.25 * log (self->sigmas[i]);
  for (guint i = 0; i < self->n_calls; i++)
    self->timesteps[i] = (float) self->timesteps[i];
  self->init_noise_sigma = 0;
  for (guint i = 0; i < self->n_sigmas; i++)
    self->init_noise_sigma = MAX (self->init_noise_sigma, self->sigmas[i]);
  if (c->spacing == ATL_SPACING_LEADING)
    self->init_noise_sigma = sqrt (self->init_noise_sigma * self->init_noise_sigma + 1);
  return TRUE;
}

static gboolean
plan_floored (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  return plan (self, request, TRUE, error);
}

static double
input_scale (const AtlSchedule *self, guint call)
{
  double sigma = self->sigmas[call];

  return 1 / sqrt (sigma * sigma + 1);
}

static void
mix (const AtlSchedule *self, guint call, double *clean, double *noise)
{
  *clean = 1;
  *noise = self->sigmas[call];
}

/* --- Euler --- */

static gboolean
euler_wants_noise (const AtlSchedule *self, guint call)
{
  return atl_schedule_churn (self, self->sigmas[call]) > 0;
}

static void
euler_step (AtlSchedule *self, const AtlStep *s)
{
  double sigma = self->sigmas[s->call], next = self->sigmas[s->call + 1];
  double gamma = atl_schedule_churn (self, sigma), hat = sigma * (gamma + 1);
  double cx, co, ratio = (next - hat) / hat;

  if (gamma > 0)
    atl_schedule_combine (
        s->x, self->n, 2, (const float *[]){ s->x, s->noise },
        (double[]){ 1, self->request.s_noise * sqrt (hat * hat - sigma * sigma) });
  atl_schedule_clean_sigma (&self->c, self->c.prediction == ATL_PREDICT_V ? sigma : hat, &cx, &co);
  atl_schedule_combine (s->x, self->n, 2, (const float *[]){ s->x, s->output },
                        (double[]){ 1 + ratio * (1 - cx), -ratio * co });
}

static const AtlSolver euler = {
  .class_name = "EulerDiscreteScheduler",
  .plan = plan_floored,
  .input_scale = input_scale,
  .mix = mix,
  .wants_noise = euler_wants_noise,
  .step = euler_step,
  .calls_per_step = 1,
};

/* --- Euler ancestral --- */

static gboolean
ancestral_wants_noise (const AtlSchedule *self, guint call)
{
  return self->sigmas[call + 1] > 0;
}

static void
ancestral_step (AtlSchedule *self, const AtlStep *s)
{
  double from = self->sigmas[s->call], to = self->sigmas[s->call + 1];
  double up = sqrt (to * to * (from * from - to * to) / (from * from));
  double down = sqrt (MAX (to * to - up * up, 0));
  double cx, co, ratio = (down - from) / from;

  atl_schedule_clean_sigma (&self->c, from, &cx, &co);
  atl_schedule_combine (s->x, self->n, s->noise != NULL ? 3 : 2,
                        (const float *[]){ s->x, s->output, s->noise },
                        (double[]){ 1 + ratio * (1 - cx), -ratio * co, up });
}

static const AtlSolver ancestral = {
  .class_name = "EulerAncestralDiscreteScheduler",
  .plan = plan_floored,
  .input_scale = input_scale,
  .mix = mix,
  .wants_noise = ancestral_wants_noise,
  .step = ancestral_step,
  .calls_per_step = 1,
};

/* --- LMS --- */

/* Four-point Gauss-Legendre is exact for the cubic polynomials there are. */
static double
lagrange_integral (const float *sigmas, guint call, guint order, guint current)
{
  static const double node[4] = { -0.8611363115940526, -0.3399810435848563, 0.3399810435848563,
                                  0.8611363115940526 };
  static const double weight[4] = { 0.3478548451374538, 0.6521451548625461, 0.6521451548625461,
                                    0.3478548451374538 };
  double a = sigmas[call], b = sigmas[call + 1], sum = 0;

  for (guint i = 0; i < 4; i++)
    {
      double tau = (a + b) / 2 + (b - a) / 2 * node[i], product = 1;

      for (guint k = 0; k < order; k++)
        if (k != current)
          product *=
              (tau - sigmas[call - k]) / ((double) sigmas[call - current] - sigmas[call - k]);
      sum += weight[i] * product;
    }
  return sum * (b - a) / 2;
}

static void
lms_step (AtlSchedule *self, const AtlStep *s)
{
  double sigma = self->sigmas[s->call], cx, co, coef[5] = { 1 };
  const float *src[5] = { s->x };
  float *slope = atl_schedule_push (self);
  guint order = MIN (s->call + 1, 4);

  atl_schedule_clean_sigma (&self->c, sigma, &cx, &co);
  atl_schedule_combine (slope, self->n, 2, (const float *[]){ s->x, s->output },
                        (double[]){ (1 - cx) / sigma, -co / sigma });
  /* After a start in the middle there are fewer slopes than the order counts. */
  for (guint k = 0; k < MIN (order, self->n_past); k++)
    {
      coef[k + 1] = lagrange_integral (self->sigmas, s->call, order, k);
      src[k + 1] = self->past[k];
    }
  atl_schedule_combine (s->x, self->n, MIN (order, self->n_past) + 1, src, coef);
}

static const AtlSolver lms = {
  .class_name = "LMSDiscreteScheduler",
  .plan = plan_floored,
  .input_scale = input_scale,
  .mix = mix,
  .step = lms_step,
  .calls_per_step = 1,
};

const AtlSolver *const atl_solvers_sigma[] = { &euler, &ancestral, &lms, NULL };
