/* Flow matching: x = sigma * noise + (1 - sigma) * clean, the model predicts noise - clean.
 *
 *   Euler   x += (sigma' - sigma) output; stochastic: clean, then noised to sigma'
 *   LCM     always the latter
 *   Heun    the mean of the slopes at both ends
 *
 * Without given sigmas the table runs between ends that were shifted when the class was made, and
 * is shifted again. Source: diffusers 0.42.1 FlowMatchEulerDiscreteScheduler,
 * FlowMatchLCMScheduler, FlowMatchHeunDiscreteScheduler.
 */
#include <glib/gi18n.h>
#include <math.h>

#include "engine/schedules/schedule-private.h"

/* The sigmas of a run before the last one. */
static gboolean
plan_sigmas (AtlSchedule *self, const AtlScheduleRequest *request, double *sigmas, GError **error)
{
  const AtlScheduleConfig *c = &self->c;
  guint n = request->n_steps + request->n_timesteps + request->n_sigmas;
  double high = 1, low = 1 / (double) c->n_train;

  if (c->dynamic_shift && !request->has_mu)
    {
      g_set_error_literal (
          error, ATL_ERROR, ATL_ERROR_INVALID,
          _ ("This schedule shifts with the size of the picture, which was not given"));
      return FALSE;
    }
  if (!c->dynamic_shift)
    {
      high = (float) (c->shift * high / (1 + (c->shift - 1) * high));
      low = (float) (c->shift * low / (1 + (c->shift - 1) * low));
    }
  for (guint i = 0; i < n; i++)
    {
      if (request->n_sigmas > 0)
        sigmas[i] = (float) request->sigmas[i];
      else if (request->n_timesteps > 0)
        sigmas[i] = request->timesteps[i] / (double) c->n_train;
      else
        sigmas[i] = high + (low - high) * (n > 1 ? (double) i / (n - 1) : 0);
      sigmas[i] = atl_schedule_shift_sigma (c, c->shift, request->mu, sigmas[i]);
    }
  atl_schedule_stretch (c, sigmas, n);
  if (c->respace != ATL_RESPACE_NONE && c->respace != ATL_RESPACE_LU)
    atl_schedule_respace (c, sigmas[0], sigmas[n - 1], n, sigmas);
  return TRUE;
}

static void
euler_defaults (AtlScheduleConfig *c)
{
  c->prediction = ATL_PREDICT_FLOW;
}

static gboolean
euler_plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  guint n = request->n_steps + request->n_timesteps + request->n_sigmas;
  g_autofree double *sigmas = g_new (double, n);

  if (!plan_sigmas (self, request, sigmas, error))
    return FALSE;
  atl_schedule_set_calls (self, n, n);
  for (guint i = 0; i < n; i++)
    {
      if (self->c.invert)
        sigmas[i] = 1.0f - (float) sigmas[i];
      self->timesteps[i] = request->n_timesteps > 0 && !self->c.invert
                               ? request->timesteps[i]
                               : (double) ((float) sigmas[i] * (float) self->c.n_train);
    }
  atl_schedule_set_sigmas (self, sigmas, n, self->c.invert ? 1 : 0);
  return TRUE;
}

static void
mix (const AtlSchedule *self, guint call, double *clean, double *noise)
{
  *noise = self->sigmas[call];
  *clean = 1 - *noise;
}

static gboolean
stochastic_wants_noise (const AtlSchedule *self, guint call)
{
  return self->c.stochastic && self->sigmas[call + 1] > 0;
}

/* To the clean sample and back up with new noise. */
static void
renoise (AtlSchedule *self, const AtlStep *s)
{
  double sigma = self->sigmas[s->call], next = self->sigmas[s->call + 1];

  atl_schedule_combine (s->x, self->n, 3, (const float *[]){ s->x, s->output, s->noise },
                        (double[]){ 1 - next, -(1 - next) * sigma, next });
}

static void
euler_step (AtlSchedule *self, const AtlStep *s)
{
  double sigma = self->sigmas[s->call], next = self->sigmas[s->call + 1];

  if (self->c.stochastic)
    renoise (self, s);
  else
    atl_schedule_combine (s->x, self->n, 2, (const float *[]){ s->x, s->output },
                          (double[]){ 1, next - sigma });
}

static const AtlSolver euler = {
  .class_name = "FlowMatchEulerDiscreteScheduler",
  .defaults = euler_defaults,
  .plan = euler_plan,
  .mix = mix,
  .wants_noise = stochastic_wants_noise,
  .step = euler_step,
  .calls_per_step = 1,
};

static gboolean
lcm_wants_noise (const AtlSchedule *self, guint call)
{
  return self->sigmas[call + 1] > 0;
}

static const AtlSolver lcm = {
  .class_name = "FlowMatchLCMScheduler",
  .defaults = euler_defaults,
  .plan = euler_plan,
  .mix = mix,
  .wants_noise = lcm_wants_noise,
  .step = renoise,
  .calls_per_step = 1,
};

/* --- Heun --- */

static gboolean
heun_plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  guint n = request->n_steps + request->n_timesteps + request->n_sigmas;
  g_autofree double *sigmas = g_new (double, n), *doubled = g_new (double, 2 * n - 1);

  if (!plan_sigmas (self, request, sigmas, error))
    return FALSE;
  atl_schedule_set_calls (self, n, 2 * n - 1);
  for (guint i = 0; i < 2 * n - 1; i++)
    {
      doubled[i] = sigmas[(i + 1) / 2];
      self->timesteps[i] = (float) doubled[i] * (float) self->c.n_train;
    }
  atl_schedule_set_sigmas (self, doubled, 2 * n - 1, 0);
  return TRUE;
}

static gboolean
heun_wants_noise (const AtlSchedule *self, guint call)
{
  return atl_schedule_churn (self, self->sigmas[call % 2 == 1 ? call - 1 : call]) > 0;
}

static void
heun_step (AtlSchedule *self, const AtlStep *s)
{
  gboolean second = self->has_kept;
  double sigma = self->sigmas[second ? s->call - 1 : s->call];
  double next = self->sigmas[second ? s->call : s->call + 1];
  double gamma = atl_schedule_churn (self, sigma), hat = sigma * (1 + gamma), dt = next - hat;

  if (gamma > 0)
    atl_schedule_combine (
        s->x, self->n, 2, (const float *[]){ s->x, s->noise },
        (double[]){ 1, self->request.s_noise * sqrt (hat * hat - sigma * sigma) });
  if (!second)
    {
      float *slope = atl_schedule_push (self);

      /* (x - clean) / hat, clean = x - sigma * output. */
      atl_schedule_combine (slope, self->n, 1, &s->output, (double[]){ sigma / hat });
      atl_schedule_keep (self, s->x);
      atl_schedule_combine (s->x, self->n, 2, (const float *[]){ s->x, slope },
                            (double[]){ 1, dt });
      return;
    }
  atl_schedule_combine (s->x, self->n, 3, (const float *[]){ self->kept, self->past[0], s->output },
                        (double[]){ 1, dt / 2, dt / 2 });
  self->has_kept = FALSE;
}

static const AtlSolver heun = {
  .class_name = "FlowMatchHeunDiscreteScheduler",
  .defaults = euler_defaults,
  .plan = heun_plan,
  .mix = mix,
  .wants_noise = heun_wants_noise,
  .step = heun_step,
  .calls_per_step = 2,
};

const AtlSolver *const atl_solvers_flow[] = { &euler, &lcm, &heun, NULL };
