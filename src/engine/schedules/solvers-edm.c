/* Models in the form of Karras et al. 2022 (Playground 2.5): x = clean + sigma * noise, and
 *
 *   clean = sd^2 / (sigma^2 + sd^2) x +- sigma sd / sqrt (sigma^2 + sd^2) output
 *
 * (+ for epsilon, - for v). The model is told log sigma / 4 and sees x / sqrt (sigma^2 + sd^2).
 *
 * Source: diffusers 0.42.1 EDMEulerScheduler, EDMDPMSolverMultistepScheduler.
 */
#include <glib/gi18n.h>
#include <math.h>

#include "engine/schedules/multistep.h"

static void
defaults (AtlScheduleConfig *c)
{
  c->sigma_min = 0.002;
  c->sigma_max = 80;
  c->lower_order_final = TRUE;
}

static gboolean
plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  const AtlScheduleConfig *c = &self->c;
  guint n = request->n_steps;
  g_autofree double *sigmas = NULL;
  double a = pow (c->sigma_max, 1 / c->rho), b = pow (c->sigma_min, 1 / c->rho);

  if (n == 0 || c->sigma_min <= 0 || c->sigma_max <= c->sigma_min)
    {
      g_set_error_literal (error, ATL_ERROR, ATL_ERROR_INVALID,
                           _ ("This schedule takes a number of steps between two noise levels"));
      return FALSE;
    }
  sigmas = g_new (double, n);
  for (guint i = 0; i < n; i++)
    {
      double share = n > 1 ? (double) i / (n - 1) : 0;

      sigmas[i] = c->exponential
                      ? exp (log (c->sigma_max) + share * (log (c->sigma_min) - log (c->sigma_max)))
                      : pow (a + share * (b - a), c->rho);
    }
  atl_schedule_set_calls (self, n, n);
  atl_schedule_set_sigmas (self, sigmas, n, c->last_sigma_min ? sigmas[n - 1] : 0);
  for (guint i = 0; i < n; i++)
    self->timesteps[i] = (float) (0.25 * log (self->sigmas[i]));
  self->init_noise_sigma = sqrt (c->sigma_max * c->sigma_max + 1);
  return TRUE;
}

static double
input_scale (const AtlSchedule *self, guint call)
{
  double sigma = self->sigmas[call], sd = self->c.sigma_data;

  return 1 / sqrt (sigma * sigma + sd * sd);
}

static void
mix (const AtlSchedule *self, guint call, double *clean, double *noise)
{
  *clean = 1;
  *noise = self->sigmas[call];
}

static void
clean (const AtlScheduleConfig *c, double sigma, double *x, double *output)
{
  double sd = c->sigma_data, square = sigma * sigma + sd * sd;

  *x = sd * sd / square;
  *output = sigma * sd / sqrt (square) * (c->prediction == ATL_PREDICT_V ? -1 : 1);
}

static gboolean
euler_wants_noise (const AtlSchedule *self, guint call)
{
  return atl_schedule_churn (self, self->sigmas[call]) > 0;
}

static void
euler_step (AtlSchedule *self, const AtlStep *s)
{
  double sigma = self->sigmas[s->call], next = self->sigmas[s->call + 1];
  double gamma = atl_schedule_churn (self, sigma), hat = sigma * (1 + gamma), cx, co;
  double ratio = (next - hat) / hat;

  if (gamma > 0)
    atl_schedule_combine (
        s->x, self->n, 2, (const float *[]){ s->x, s->noise },
        (double[]){ 1, self->request.s_noise * sqrt (hat * hat - sigma * sigma) });
  clean (&self->c, hat, &cx, &co);
  atl_schedule_combine (s->x, self->n, 2, (const float *[]){ s->x, s->output },
                        (double[]){ 1 + ratio * (1 - cx), -ratio * co });
}

static const AtlSolver euler = {
  .class_name = "EDMEulerScheduler",
  .defaults = defaults,
  .plan = plan,
  .input_scale = input_scale,
  .mix = mix,
  .wants_noise = euler_wants_noise,
  .step = euler_step,
  .calls_per_step = 1,
};

static void
dpm_step (AtlSchedule *self, const AtlStep *s)
{
  double cx, co;
  float *m = atl_schedule_push (self);

  clean (&self->c, self->sigmas[s->call], &cx, &co);
  atl_schedule_combine (m, self->n, 2, (const float *[]){ s->x, s->output }, (double[]){ cx, co });
  atl_multistep_dpm_update (
      self, s,
      atl_multistep_order (self, s->call, self->c.euler_at_final || !self->c.last_sigma_min));
}

static const AtlSolver dpm = {
  .class_name = "EDMDPMSolverMultistepScheduler",
  .defaults = defaults,
  .plan = plan,
  .input_scale = input_scale,
  .mix = mix,
  .wants_noise = atl_multistep_dpm_wants_noise,
  .step = dpm_step,
  .calls_per_step = 1,
};

const AtlSolver *const atl_solvers_edm[] = { &euler, &dpm, NULL };
