/* Solvers of models distilled to a few steps, on every k-th timestep of the training table.
 *
 *   LCM   consistency: clean sample blended with x by c_skip, c_out of the timestep, then noised
 *         again
 *   TCD   to a timestep below the next one, then noised up to it; eta mixes
 *
 * Source: diffusers 0.42.1 LCMScheduler (Luo et al. 2023), TCDScheduler (Zheng et al. 2024).
 */
#include <glib/gi18n.h>
#include <inttypes.h>
#include <math.h>

#include "engine/schedules/schedule-private.h"

static void
defaults (AtlScheduleConfig *c)
{
  c->betas = ATL_BETAS_SCALED_LINEAR;
  c->beta_start = 0.00085;
  c->beta_end = 0.012;
  c->alpha_to_one = TRUE;
}

static gboolean
plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  const AtlScheduleConfig *c = &self->c;
  guint n = request->n_steps + request->n_timesteps;

  if (request->n_sigmas > 0 || c->original_steps > c->n_train ||
      (request->n_steps > 0 && n > c->original_steps))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("This schedule takes 1 to %" PRId64 " steps"), c->original_steps);
      return FALSE;
    }
  if (self->abar == NULL)
    self->abar = atl_schedule_make_abar (c, FALSE);
  atl_schedule_set_calls (self, n, n);
  for (guint i = 0; i < n; i++)
    {
      /* The training's own timesteps, from the last down, evenly picked. */
      gint64 picked = (gint64) floor (i * ((double) c->original_steps / n));

      self->timesteps[i] =
          request->n_timesteps > 0
              ? trunc (request->timesteps[i])
              : (double) ((c->original_steps - picked) * (c->n_train / c->original_steps) - 1);
    }
  return TRUE;
}

static double
abar_at (const AtlSchedule *self, double t)
{
  return self->abar[CLAMP ((gint64) t, 0, self->c.n_train - 1)];
}

static void
mix (const AtlSchedule *self, guint call, double *clean, double *noise)
{
  double a = abar_at (self, self->timesteps[call]);

  *clean = sqrt (a);
  *noise = sqrt (1 - a);
}

/* --- LCM --- */

static gboolean
lcm_wants_noise (const AtlSchedule *self, guint call)
{
  return call + 1 < self->n_calls;
}

static void
lcm_step (AtlSchedule *self, const AtlStep *s)
{
  double t = self->timesteps[s->call], a = abar_at (self, t), cx, co;
  double scaled = t * self->c.timestep_scaling;
  double skip = 0.25 / (scaled * scaled + 0.25), out = scaled / sqrt (scaled * scaled + 0.25);
  gboolean last = s->call + 1 == self->n_calls;
  double next = last ? 1 : abar_at (self, self->timesteps[s->call + 1]);

  atl_schedule_clean_vp (&self->c, sqrt (a), sqrt (1 - a), &cx, &co);
  atl_schedule_combine (self->work, self->n, 2, (const float *[]){ s->x, s->output },
                        (double[]){ cx, co });
  if (self->c.clip_sample)
    {
      float range = (float) self->c.clip_range;

      for (gsize i = 0; i < self->n; i++)
        self->work[i] = CLAMP (self->work[i], -range, range);
    }
  atl_schedule_combine (
      s->x, self->n, 3, (const float *[]){ self->work, s->x, s->noise },
      (double[]){ sqrt (next) * out, sqrt (next) * skip, last ? 0 : sqrt (1 - next) });
}

static const AtlSolver lcm = {
  .class_name = "LCMScheduler",
  .defaults = defaults,
  .plan = plan,
  .mix = mix,
  .wants_noise = lcm_wants_noise,
  .step = lcm_step,
  .calls_per_step = 1,
};

/* --- TCD --- */

static double
eta (const AtlSchedule *self)
{
  return self->request.has_eta ? CLAMP (self->request.eta, 0, 1) : 0.3;
}

static gboolean
tcd_wants_noise (const AtlSchedule *self, guint call)
{
  return eta (self) > 0 && call + 1 < self->n_calls;
}

static void
tcd_step (AtlSchedule *self, const AtlStep *s)
{
  gboolean last = s->call + 1 == self->n_calls;
  double a = abar_at (self, self->timesteps[s->call]);
  double to = last ? 0 : self->timesteps[s->call + 1];
  double below = abar_at (self, floor ((1 - eta (self)) * to)), next = abar_at (self, to);
  double root = sqrt (a), noise = sqrt (1 - a), cx, co, ex = 0, eo = 1, up, kept = 1;

  atl_schedule_clean_vp (&self->c, root, noise, &cx, &co);
  if (self->c.prediction == ATL_PREDICT_SAMPLE)
    {
      ex = 1 / noise;
      eo = -root / noise;
    }
  else if (self->c.prediction == ATL_PREDICT_V)
    {
      ex = noise;
      eo = root;
    }
  up = 0;
  if (tcd_wants_noise (self, s->call))
    {
      kept = sqrt (next / below);
      up = sqrt (MAX (1 - next / below, 0));
    }
  atl_schedule_combine (s->x, self->n, 3, (const float *[]){ s->x, s->output, s->noise },
                        (double[]){ kept * (sqrt (below) * cx + sqrt (1 - below) * ex),
                                    kept * (sqrt (below) * co + sqrt (1 - below) * eo), up });
}

static const AtlSolver tcd = {
  .class_name = "TCDScheduler",
  .defaults = defaults,
  .plan = plan,
  .mix = mix,
  .wants_noise = tcd_wants_noise,
  .step = tcd_step,
  .calls_per_step = 1,
};

const AtlSolver *const atl_solvers_few[] = { &lcm, &tcd, NULL };
