/* Solvers that call the denoiser twice a step, on x = clean + sigma * noise.
 *
 *   Heun     Euler to sigma', then the mean of both slopes from the beginning of the step
 *   DPM2     Euler to the geometric mean of both sigmas, its slope from the beginning;
 *            ancestral: to the down part of sigma', then up * noise
 *   DPM++    SDE: an ancestral step to the geometric mean, then one from the beginning with the
 *            clean sample found there
 *
 * The last step is a single one. Source: diffusers 0.42.1 HeunDiscreteScheduler,
 * KDPM2DiscreteScheduler, KDPM2AncestralDiscreteScheduler, DPMSolverSDEScheduler.
 */
#include <glib/gi18n.h>
#include <math.h>

#include "engine/schedules/schedule-private.h"

/* Whether this call ends a step; a start in the middle begins a step. */
static gboolean
is_second (const AtlSchedule *self)
{
  return self->has_kept;
}

/* Spaced and re-spaced sigmas with a zero after them, doubled as the calls walk them: s0, s1, s1,
 * s2, s2 … 0. `n_ends` zeros at the end. Returns the single table [n + 1]; `t` its timesteps. */
static float *
plan (AtlSchedule *self,
      const AtlScheduleRequest *request,
      gboolean round_karras,
      guint n_ends,
      double **t,
      float **logs)
{
  AtlScheduleConfig *c = &self->c;
  guint n = request->n_steps + request->n_timesteps;
  g_autofree float *table = NULL;
  g_autofree double *sigmas = g_new (double, n);
  float *single = g_new (float, n + 1);
  guint at = 0;

  if (self->abar == NULL)
    self->abar = atl_schedule_make_abar (c, FALSE);
  table = atl_schedule_sigma_table (self, logs);
  *t = g_new (double, n);
  if (request->n_timesteps > 0)
    for (guint i = 0; i < n; i++)
      (*t)[i] = request->timesteps[i];
  else
    atl_schedule_space (c, n, FALSE, *t);
  for (guint i = 0; i < n; i++)
    sigmas[i] = atl_schedule_interpolate (table, c->n_train, (*t)[i]);
  if (c->respace != ATL_RESPACE_NONE && c->respace != ATL_RESPACE_LU)
    {
      atl_schedule_respace (c, sigmas[0], sigmas[n - 1], n, sigmas);
      for (guint i = 0; i < n; i++)
        {
          (*t)[i] = atl_schedule_sigma_to_t (sigmas[i], *logs, c->n_train);
          if (round_karras && c->respace == ATL_RESPACE_KARRAS)
            (*t)[i] = rint ((*t)[i]);
        }
    }
  for (guint i = 0; i < n; i++)
    single[i] = (float) sigmas[i];
  single[n] = 0;

  self->n_sigmas = 2 * n - 1 + n_ends;
  self->sigmas = g_new0 (float, self->n_sigmas);
  self->sigmas[at++] = single[0];
  for (guint i = 1; i < n; i++)
    {
      self->sigmas[at++] = single[i];
      self->sigmas[at++] = single[i];
    }
  atl_schedule_set_calls (self, n, 2 * n - 1);
  self->init_noise_sigma = single[0];
  for (guint i = 1; i < n; i++)
    self->init_noise_sigma = MAX (self->init_noise_sigma, single[i]);
  if (c->spacing == ATL_SPACING_LEADING)
    self->init_noise_sigma = sqrt (self->init_noise_sigma * self->init_noise_sigma + 1);
  return single;
}

static gboolean
needs_steps (const AtlScheduleRequest *request, GError **error)
{
  if (request->n_sigmas == 0)
    return TRUE;
  g_set_error_literal (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("This schedule takes a number of steps, not noise levels"));
  return FALSE;
}

static void
mix (const AtlSchedule *self, guint call, double *clean, double *noise)
{
  *clean = 1;
  *noise = self->sigmas[call];
}

static double
scale_of (double sigma)
{
  return 1 / sqrt (sigma * sigma + 1);
}

/* --- Heun --- */

static gboolean
heun_plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  g_autofree double *t = NULL;
  g_autofree float *logs = NULL, *single = NULL;

  if (!needs_steps (request, error))
    return FALSE;
  single = plan (self, request, FALSE, 1, &t, &logs);
  for (guint i = 0; i < self->n_calls; i++)
    self->timesteps[i] = (float) t[(i + 1) / 2];
  return TRUE;
}

static double
heun_input_scale (const AtlSchedule *self, guint call)
{
  return scale_of (self->sigmas[call]);
}

static void
heun_step (AtlSchedule *self, const AtlStep *s)
{
  gboolean second = is_second (self);
  double sigma = self->sigmas[second ? s->call - 1 : s->call];
  double next = self->sigmas[second ? s->call : s->call + 1];
  double at = second ? next : sigma, cx, co;
  const float *clean = s->output;

  atl_schedule_clean_sigma (&self->c, at, &cx, &co);
  if (self->c.clip_sample)
    {
      float range = (float) self->c.clip_range;

      atl_schedule_combine (self->work, self->n, 2, (const float *[]){ s->x, s->output },
                            (double[]){ cx, co });
      for (gsize i = 0; i < self->n; i++)
        self->work[i] = CLAMP (self->work[i], -range, range);
      clean = self->work;
      cx = 0;
      co = 1;
    }
  if (!second)
    {
      float *slope = atl_schedule_push (self);

      atl_schedule_combine (slope, self->n, 2, (const float *[]){ s->x, clean },
                            (double[]){ (1 - cx) / at, -co / at });
      atl_schedule_keep (self, s->x);
      atl_schedule_combine (s->x, self->n, 2, (const float *[]){ s->x, slope },
                            (double[]){ 1, next - sigma });
      return;
    }
  atl_schedule_combine (s->x, self->n, 4,
                        (const float *[]){ self->kept, self->past[0], s->x, clean },
                        (double[]){ 1, (next - sigma) / 2, (next - sigma) / 2 * (1 - cx) / at,
                                    -(next - sigma) / 2 * co / at });
  self->has_kept = FALSE;
}

static void
second_defaults (AtlScheduleConfig *c)
{
  c->beta_start = 0.00085;
  c->beta_end = 0.012;
}

static const AtlSolver heun = {
  .class_name = "HeunDiscreteScheduler",
  .defaults = second_defaults,
  .plan = heun_plan,
  .input_scale = heun_input_scale,
  .mix = mix,
  .step = heun_step,
  .calls_per_step = 2,
};

/* --- DPM2 --- */

/* Doubles a single table [n + 1] as plan() doubles the sigmas. */
static float *
doubled (const AtlSchedule *self, const float *single)
{
  float *table = g_new0 (float, self->n_sigmas);

  for (guint i = 0; i < self->n_sigmas; i++)
    table[i] = single[MIN ((i + 1) / 2, self->n_steps)];
  return table;
}

static float
geometric_mean (float a, float b)
{
  return a > 0 && b > 0 ? expf ((logf (a) + logf (b)) / 2) : 0;
}

static gboolean
dpm2_plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  g_autofree double *t = NULL;
  g_autofree float *logs = NULL, *single = NULL, *between = NULL;

  if (!needs_steps (request, error))
    return FALSE;
  single = plan (self, request, TRUE, 3, &t, &logs);
  between = g_new0 (float, self->n_steps + 1);
  for (guint i = 1; i < self->n_steps; i++)
    between[i] = geometric_mean (single[i], single[i - 1]);
  self->inner = doubled (self, between);
  for (guint i = 0; i < self->n_steps; i++)
    {
      self->timesteps[2 * i] = t[i];
      if (i > 0)
        self->timesteps[2 * i - 1] = atl_schedule_sigma_to_t (between[i], logs, self->c.n_train);
    }
  return TRUE;
}

static double
dpm2_input_scale (const AtlSchedule *self, guint call)
{
  /* An odd call from the start is always the second of its step: steps begin at even calls. */
  return scale_of (call % 2 == 0 ? self->sigmas[call] : self->inner[call]);
}

/* One call: `sigma` of the step's beginning, `inner` where its second call looks, `to` its end. */
static void
dpm2_move (AtlSchedule *self, const AtlStep *s, double sigma, double inner, double to, double up)
{
  gboolean second = is_second (self);
  double at = second ? inner : sigma, cx, co, dt = (second ? to : inner) - sigma;

  atl_schedule_clean_sigma (&self->c, at, &cx, &co);
  if (!second)
    {
      atl_schedule_keep (self, s->x);
      atl_schedule_combine (s->x, self->n, 2, (const float *[]){ s->x, s->output },
                            (double[]){ 1 + dt * (1 - cx) / at, -dt * co / at });
      return;
    }
  atl_schedule_combine (s->x, self->n, s->noise != NULL ? 4 : 3,
                        (const float *[]){ self->kept, s->x, s->output, s->noise },
                        (double[]){ 1, dt * (1 - cx) / at, -dt * co / at, up });
  self->has_kept = FALSE;
}

static void
dpm2_step (AtlSchedule *self, const AtlStep *s)
{
  guint i = is_second (self) ? s->call - 1 : s->call;

  dpm2_move (self, s, self->sigmas[i], self->inner[i + 1], self->sigmas[i + 1], 0);
}

static const AtlSolver dpm2 = {
  .class_name = "KDPM2DiscreteScheduler",
  .defaults = second_defaults,
  .plan = dpm2_plan,
  .input_scale = dpm2_input_scale,
  .mix = mix,
  .step = dpm2_step,
  .calls_per_step = 2,
};

/* --- DPM2 ancestral --- */

static gboolean
dpm2a_plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  g_autofree double *t = NULL;
  g_autofree float *logs = NULL, *single = NULL, *between = NULL, *up = NULL, *down = NULL;
  guint n;

  if (!needs_steps (request, error))
    return FALSE;
  single = plan (self, request, TRUE, 3, &t, &logs);
  n = self->n_steps;
  between = g_new0 (float, n + 1);
  up = g_new0 (float, n + 1);
  down = g_new0 (float, n + 1);
  for (guint i = 0; i < n; i++)
    {
      float from = single[i], to = single[i + 1];

      up[i] = sqrtf (to * to * (from * from - to * to) / (from * from));
      down[i] = sqrtf (MAX (to * to - up[i] * up[i], 0));
      if (i + 1 < n)
        between[i] = geometric_mean (from, down[i]);
    }
  self->inner = doubled (self, between);
  self->up = doubled (self, up);
  self->down = doubled (self, down);
  for (guint i = 0; i < n; i++)
    {
      self->timesteps[2 * i] = t[i];
      if (i > 0)
        self->timesteps[2 * i - 1] =
            atl_schedule_sigma_to_t (between[i - 1], logs, self->c.n_train);
    }
  return TRUE;
}

static double
dpm2a_input_scale (const AtlSchedule *self, guint call)
{
  return scale_of (call % 2 == 0 ? self->sigmas[call] : self->inner[call - 1]);
}

static gboolean
second_wants_noise (const AtlSchedule *self, guint call)
{
  return call % 2 == 1;
}

static void
dpm2a_step (AtlSchedule *self, const AtlStep *s)
{
  guint i = is_second (self) ? s->call - 1 : s->call;

  dpm2_move (self, s, self->sigmas[i], self->inner[i], self->down[i], self->up[i]);
}

static const AtlSolver dpm2a = {
  .class_name = "KDPM2AncestralDiscreteScheduler",
  .defaults = second_defaults,
  .plan = dpm2a_plan,
  .input_scale = dpm2a_input_scale,
  .mix = mix,
  .wants_noise = second_wants_noise,
  .step = dpm2a_step,
  .calls_per_step = 2,
};

/* --- DPM++ SDE --- */

static gboolean
sde_plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  g_autofree double *t = NULL;
  g_autofree float *logs = NULL, *single = NULL;

  if (!needs_steps (request, error))
    return FALSE;
  single = plan (self, request, FALSE, 1, &t, &logs);
  for (guint i = 0; i < self->n_steps; i++)
    {
      self->timesteps[2 * i] = t[i];
      if (i > 0)
        self->timesteps[2 * i - 1] = atl_schedule_sigma_to_t (
            sqrt ((double) single[i - 1] * single[i]), logs, self->c.n_train);
    }
  return TRUE;
}

static double
sde_inner (const AtlSchedule *self, guint call)
{
  return sqrt ((double) self->sigmas[call - 1] * self->sigmas[call]);
}

static double
sde_input_scale (const AtlSchedule *self, guint call)
{
  return scale_of (call % 2 == 0 ? self->sigmas[call] : sde_inner (self, call));
}

static gboolean
sde_wants_noise (const AtlSchedule *self, guint call)
{
  return call + 1 < self->n_calls;
}

static void
sde_step (AtlSchedule *self, const AtlStep *s)
{
  gboolean second = is_second (self);
  double sigma = self->sigmas[second ? s->call - 1 : s->call];
  double next = self->sigmas[second ? s->call : s->call + 1];
  double middle = sqrt (sigma * next), at = second ? middle : sigma, cx, co;
  double to = second ? next : middle, up, down, ratio;
  const float *from = second ? self->kept : s->x;

  atl_schedule_clean_sigma (&self->c, at, &cx, &co);
  if (next == 0)
    {
      atl_schedule_combine (s->x, self->n, 2, (const float *[]){ s->x, s->output },
                            (double[]){ cx, co });
      return;
    }
  up = MIN (to, sqrt (to * to * (sigma * sigma - to * to) / (sigma * sigma)));
  down = sqrt (to * to - up * up);
  /* exp (-t) is sigma, so the share of the old sample is down / sigma and the rest is clean. */
  ratio = down / sigma;
  if (!second)
    atl_schedule_keep (self, s->x);
  from = second ? self->kept : s->x;
  atl_schedule_combine (
      s->x, self->n, 4, (const float *[]){ from, s->x, s->output, s->noise },
      (double[]){ ratio, (1 - ratio) * cx, (1 - ratio) * co, up * self->request.s_noise });
  if (second)
    self->has_kept = FALSE;
}

static const AtlSolver sde = {
  .class_name = "DPMSolverSDEScheduler",
  .defaults = second_defaults,
  .plan = sde_plan,
  .input_scale = sde_input_scale,
  .mix = mix,
  .wants_noise = sde_wants_noise,
  .step = sde_step,
  .calls_per_step = 2,
};

const AtlSolver *const atl_solvers_second[] = { &heun, &dpm2, &dpm2a, &sde, NULL };
