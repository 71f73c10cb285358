/* Solvers on the whole table of signal shares abar (t), x = sqrt (abar) clean + sqrt (1 - abar)
 * noise, that step from timestep to timestep.
 *
 *   DDIM        x' = sqrt (abar') clean + sqrt (1 - abar' - std^2) noise_found + std * noise
 *   DDPM        the posterior mean of x', and its variance
 *   PNDM        DDIM's form with Adams-Bashforth of order up to 4 over the last outputs; without
 *               skip_prk_steps the first four steps are Runge-Kutta
 *   CogVideoX   DDIM on a table with a shifted signal-to-noise ratio, and a second-order SDE
 *
 * Source: diffusers 0.42.1 DDIMScheduler, DDPMScheduler, PNDMScheduler, CogVideoXDDIMScheduler,
 * CogVideoXDPMScheduler.
 */
#include <glib/gi18n.h>
#include <inttypes.h>
#include <math.h>

#include "engine/schedules/schedule-private.h"

static gboolean
check_steps (const AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  if (request->n_sigmas == 0 && request->n_steps + request->n_timesteps <= self->c.n_train)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("This schedule takes 1 to %" PRId64 " steps"), self->c.n_train);
  return FALSE;
}

static void
plan_timesteps (AtlSchedule *self, const AtlScheduleRequest *request)
{
  guint n = request->n_steps + request->n_timesteps;

  atl_schedule_set_calls (self, n, n);
  if (request->n_timesteps > 0)
    for (guint i = 0; i < n; i++)
      self->timesteps[i] = trunc (request->timesteps[i]);
  else
    atl_schedule_space (&self->c, n, TRUE, self->timesteps);
}

/* Signal share at a timestep; before the first one the configured end. */
static double
abar_at (const AtlSchedule *self, double t)
{
  if (t >= 0)
    return self->abar[MIN ((gint64) t, self->c.n_train - 1)];
  return self->c.alpha_to_one ? 1 : self->abar[0];
}

static double
stride (const AtlSchedule *self)
{
  return (double) (self->c.n_train / self->n_steps);
}

static void
mix (const AtlSchedule *self, guint call, double *clean, double *noise)
{
  double a = abar_at (self, self->timesteps[call]);

  *clean = sqrt (a);
  *noise = sqrt (1 - a);
}

/* The clean sample, clipped if asked, in the work buffer. */
static void
find_clean (AtlSchedule *self, const AtlStep *s, double a)
{
  double cx, co;

  atl_schedule_clean_vp (&self->c, sqrt (a), sqrt (1 - a), &cx, &co);
  atl_schedule_combine (self->work, self->n, 2, (const float *[]){ s->x, s->output },
                        (double[]){ cx, co });
  if (self->c.clip_sample)
    {
      float range = (float) self->c.clip_range;

      for (gsize i = 0; i < self->n; i++)
        self->work[i] = CLAMP (self->work[i], -range, range);
    }
}

static void
leading_defaults (AtlScheduleConfig *c)
{
  c->spacing = ATL_SPACING_LEADING;
  c->clip_sample = TRUE;
  c->alpha_to_one = TRUE;
}

static gboolean
plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  if (!check_steps (self, request, error))
    return FALSE;
  if (self->abar == NULL)
    self->abar = atl_schedule_make_abar (&self->c, FALSE);
  plan_timesteps (self, request);
  return TRUE;
}

/* --- DDIM --- */

static gboolean
ddim_wants_noise (const AtlSchedule *self, guint call)
{
  return self->request.eta > 0;
}

static void
ddim_step (AtlSchedule *self, const AtlStep *s)
{
  double t = self->timesteps[s->call];
  double a = abar_at (self, t), next = abar_at (self, t - stride (self));
  double variance = (1 - next) / (1 - a) * (1 - a / next);
  double std = self->request.eta * sqrt (MAX (variance, 0));
  double direction = sqrt (MAX (1 - next - std * std, 0));
  double root = sqrt (a), noise = sqrt (1 - a), ex = 0, eo = 0, ec = 0;

  find_clean (self, s, a);
  /* The noise found in x, as a mix of x, the output and the clean sample. */
  switch (self->c.prediction)
    {
    case ATL_PREDICT_V:
      ex = noise;
      eo = root;
      break;
    case ATL_PREDICT_SAMPLE:
      ex = 1 / noise;
      eo = -root / noise;
      break;
    default:
      eo = 1;
      break;
    }
  ec = sqrt (next);
  atl_schedule_combine (s->x, self->n, 4,
                        (const float *[]){ self->work, s->x, s->output, s->noise },
                        (double[]){ ec, direction * ex, direction * eo, std });
}

static const AtlSolver ddim = {
  .class_name = "DDIMScheduler",
  .defaults = leading_defaults,
  .plan = plan,
  .mix = mix,
  .wants_noise = ddim_wants_noise,
  .step = ddim_step,
  .calls_per_step = 1,
};

/* --- DDPM --- */

static gboolean
ddpm_wants_noise (const AtlSchedule *self, guint call)
{
  return self->timesteps[call] > 0;
}

static void
ddpm_step (AtlSchedule *self, const AtlStep *s)
{
  double t = self->timesteps[s->call];
  double a = abar_at (self, t);
  double next = s->call + 1 < self->n_calls ? abar_at (self, self->timesteps[s->call + 1]) : 1;
  double alpha = a / next, beta = 1 - alpha;
  double variance = MAX ((1 - next) / (1 - a) * beta, 1e-20);

  if (self->c.fixed_large)
    variance = beta;
  find_clean (self, s, a);
  atl_schedule_combine (s->x, self->n, 3, (const float *[]){ self->work, s->x, s->noise },
                        (double[]){ sqrt (next) * beta / (1 - a),
                                    sqrt (alpha) * (1 - next) / (1 - a),
                                    s->noise != NULL && t > 0 ? sqrt (variance) : 0 });
}

static const AtlSolver ddpm = {
  .class_name = "DDPMScheduler",
  .defaults = leading_defaults,
  .plan = plan,
  .mix = mix,
  .wants_noise = ddpm_wants_noise,
  .step = ddpm_step,
  .calls_per_step = 1,
};

/* --- PNDM --- */

#define PRK_STEPS 4

static void
pndm_defaults (AtlScheduleConfig *c)
{
  c->spacing = ATL_SPACING_LEADING;
}

static guint
n_prk_calls (const AtlSchedule *self)
{
  return self->c.skip_prk ? 0 : MIN (PRK_STEPS, self->n_steps) * 4 - 4;
}

static gboolean
pndm_plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  guint n = request->n_steps, k = 0;
  g_autofree double *t = NULL;

  if (!check_steps (self, request, error))
    return FALSE;
  if (n < 1 || (!self->c.skip_prk && n < PRK_STEPS))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("This schedule takes a number of steps, %d at least"),
                   self->c.skip_prk ? 1 : PRK_STEPS);
      return FALSE;
    }
  if (self->abar == NULL)
    self->abar = atl_schedule_make_abar (&self->c, FALSE);
  t = g_new (double, n);
  atl_schedule_space (&self->c, n, TRUE, t);
  if (self->c.skip_prk)
    {
      /* The second timestep is walked twice. */
      atl_schedule_set_calls (self, n, n > 1 ? n + 1 : n);
      for (guint i = 0; i < n; i++)
        {
          self->timesteps[k++] = t[i];
          if (i == 1)
            self->timesteps[k++] = t[i];
        }
      return TRUE;
    }
  /* Four steps of Runge-Kutta: each timestep and the one half a stride above, twice, without the
   * ends of that list. */
  atl_schedule_set_calls (self, n, 12 + n - 3);
  for (guint i = 0; i < PRK_STEPS; i++)
    for (guint twice = 0; twice < 4; twice++)
      {
        double half = (double) (self->c.n_train / n / 2);
        gint at = (gint) (i * 4 + twice);
        /* Descending: t + half, t + half, t, t; the first t + half pair is not walked, nor the
         * doubling of the outermost. */
        double value = twice < 2 ? t[i] + half : t[i];
        if (at >= 3 && at < 15)
          self->timesteps[k++] = value;
      }
  for (guint i = 3; i < n; i++)
    self->timesteps[k++] = t[i];
  g_assert (k == self->n_calls);
  return TRUE;
}

/* One move of PNDM's form from t to `to` with the averaged output. */
static void
pndm_move (AtlSchedule *self, float *dst, const float *x, double t, double to, const float *e)
{
  double a = abar_at (self, t), next = abar_at (self, to), ex = 0, eo = 1, factor;

  if (self->c.prediction == ATL_PREDICT_V)
    {
      ex = sqrt (1 - a);
      eo = sqrt (a);
    }
  factor = (next - a) / (a * sqrt (1 - next) + sqrt (a * (1 - a) * next));
  atl_schedule_combine (dst, self->n, 2, (const float *[]){ x, e },
                        (double[]){ sqrt (next / a) - factor * ex, -factor * eo });
}

/* A call of Runge-Kutta; the running average is past[3]'s place in `work`. */
static void
prk_step (AtlSchedule *self, const AtlStep *s)
{
  static const double share[4] = { 1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6 };
  guint quarter = s->call % 4;
  double half = (double) (self->c.n_train / self->n_steps / 2);
  double t = self->timesteps[s->call];
  double to = s->call % 2 == 1 ? t : t - half;
  const float *e = s->output;

  if (quarter == 0)
    {
      atl_schedule_combine (atl_schedule_push (self), self->n, 1, &e, (double[]){ 1 });
      atl_schedule_keep (self, s->x);
      atl_schedule_combine (self->work, self->n, 1, &e, share);
    }
  else
    atl_schedule_combine (self->work, self->n, 2, (const float *[]){ self->work, e },
                          (double[]){ 1, share[quarter] });
  if (quarter == 3)
    e = self->work;
  pndm_move (self, s->x, self->kept, self->timesteps[s->call / 4 * 4], to, e);
}

static void
pndm_step (AtlSchedule *self, const AtlStep *s)
{
  double t = self->timesteps[s->call], to = t - stride (self);
  static const double weight[4][4] = { { 1 },
                                       { 3.0 / 2, -1.0 / 2 },
                                       { 23.0 / 12, -16.0 / 12, 5.0 / 12 },
                                       { 55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24 } };
  const float *x = s->x;
  guint n_prk = n_prk_calls (self);

  if (s->call < n_prk)
    {
      prk_step (self, s);
      return;
    }
  if (self->c.skip_prk && self->n_done == 1)
    {
      /* The first step again, with the mean of both outputs. */
      atl_schedule_combine (self->work, self->n, 2, (const float *[]){ s->output, self->past[0] },
                            (double[]){ 0.5, 0.5 });
      pndm_move (self, s->x, self->kept, t + stride (self), t, self->work);
      return;
    }
  if (self->n_done == 0)
    atl_schedule_keep (self, x);
  atl_schedule_combine (atl_schedule_push (self), self->n, 1, &s->output, (double[]){ 1 });
  atl_schedule_combine (
      self->work, self->n, self->n_past,
      (const float *[]){ self->past[0], self->past[1], self->past[2], self->past[3] },
      weight[self->n_past - 1]);
  pndm_move (self, s->x, x, t, to, self->work);
}

static guint
pndm_first_call (const AtlSchedule *self, guint skipped)
{
  guint in_prk = self->c.skip_prk ? 0 : MIN (skipped, PRK_STEPS - 1);

  return in_prk * 4 + (skipped - in_prk);
}

static const AtlSolver pndm = {
  .class_name = "PNDMScheduler",
  .defaults = pndm_defaults,
  .plan = pndm_plan,
  .mix = mix,
  .step = pndm_step,
  .calls_per_step = 1,
  .first_call = pndm_first_call,
};

/* --- CogVideoX --- */

static void
cog_defaults (AtlScheduleConfig *c)
{
  c->spacing = ATL_SPACING_LEADING;
  c->betas = ATL_BETAS_SCALED_LINEAR;
  c->beta_start = 0.00085;
  c->beta_end = 0.012;
  c->alpha_to_one = TRUE;
}

static gboolean
cog_plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  if (!check_steps (self, request, error))
    return FALSE;
  /* The originals read clip_sample and do not clip. */
  self->c.clip_sample = FALSE;
  if (self->abar == NULL)
    self->abar = atl_schedule_make_abar_cog (&self->c);
  plan_timesteps (self, request);
  return TRUE;
}

static void
cog_ddim_step (AtlSchedule *self, const AtlStep *s)
{
  double t = self->timesteps[s->call];
  double a = abar_at (self, t), next = abar_at (self, t - stride (self));
  double share = sqrt ((1 - next) / (1 - a));

  find_clean (self, s, a);
  atl_schedule_combine (s->x, self->n, 2, (const float *[]){ s->x, self->work },
                        (double[]){ share, sqrt (next) - sqrt (a) * share });
}

static const AtlSolver cog_ddim = {
  .class_name = "CogVideoXDDIMScheduler",
  .defaults = cog_defaults,
  .plan = cog_plan,
  .mix = mix,
  .step = cog_ddim_step,
  .calls_per_step = 1,
};

static double
lambda_of (double a)
{
  return log (sqrt (a / (1 - a)));
}

static gboolean
always (const AtlSchedule *self, guint call)
{
  return TRUE;
}

static void
cog_dpm_step (AtlSchedule *self, const AtlStep *s)
{
  double t = self->timesteps[s->call], to = t - stride (self);
  double a = abar_at (self, t), next = abar_at (self, to);
  double h = lambda_of (next) - lambda_of (a);
  double keep = sqrt ((1 - next) / (1 - a)) * exp (-h);
  double move = -expm1 (-2 * h) * sqrt (next), old = 0;
  float *clean;

  find_clean (self, s, a);
  clean = atl_schedule_push (self);
  atl_schedule_combine (clean, self->n, 1, (const float *[]){ self->work }, (double[]){ 1 });
  if (self->n_past > 1 && to >= 0)
    {
      double back = abar_at (self, self->timesteps[s->call - 1]);
      double r = (lambda_of (a) - lambda_of (back)) / h;

      old = 1 / (2 * r);
    }
  atl_schedule_combine (
      s->x, self->n, 4, (const float *[]){ s->x, clean, self->past[1], s->noise },
      (double[]){ keep, move * (1 + old), -move * old, sqrt (1 - next) * sqrt (-expm1 (-2 * h)) });
}

static const AtlSolver cog_dpm = {
  .class_name = "CogVideoXDPMScheduler",
  .defaults = cog_defaults,
  .plan = cog_plan,
  .mix = mix,
  .wants_noise = always,
  .step = cog_dpm_step,
  .calls_per_step = 1,
};

const AtlSolver *const atl_solvers_vp[] = { &ddim, &ddpm, &pndm, &cog_ddim, &cog_dpm, NULL };
