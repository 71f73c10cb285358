/* Tables and updates of the multistep solvers.
 *
 * With lambda = log (alpha / sigma), h = lambda_t - lambda_s and D_k the divided differences of the
 * clean samples, DPM-Solver++ of order 3 is
 *   x_t = sigma_t / sigma_s x - alpha_t (e^-h - 1) D0 + alpha_t ((e^-h - 1) / h + 1) D1
 *         - alpha_t ((e^-h - 1 + h) / h^2 - 1/2) D2
 * and the other algorithms have the same shape (Lu et al. 2022, DPM-Solver and DPM-Solver++;
 * diffusers 0.42.1 DPMSolverMultistepScheduler, DPMSolverSinglestepScheduler).
 */
#include <glib/gi18n.h>
#include <math.h>

#include "engine/schedules/multistep.h"

/* --- Tables --- */

/* Timesteps that a smallest lambda leaves. */
static gint64
last_timestep (const AtlSchedule *self)
{
  gint64 clipped = 0;

  for (gint64 i = 0; i < self->c.n_train; i++)
    if (log (sqrt (self->abar[i])) - log (sqrt (1 - self->abar[i])) < self->c.lambda_min_clipped)
      clipped++;
  return self->c.n_train - clipped;
}

/* The table of a flow-matching model. */
static void
plan_flow (AtlSchedule *self,
           const AtlScheduleRequest *request,
           AtlMultistepTable kind,
           guint n,
           double *sigmas)
{
  const AtlScheduleConfig *c = &self->c;
  double shift = c->dynamic_shift && request->has_mu ? exp (request->mu) : c->shift;
  double step = (1 - 1 / (double) c->n_train) / n;

  for (guint i = 0; i < n; i++)
    {
      double s = kind == ATL_MULTISTEP_UNIPC ? 1 - i * step : (n - i) * step;

      if (request->n_sigmas > 0)
        s = request->sigmas[i];
      if (kind == ATL_MULTISTEP_UNIPC)
        s = atl_schedule_shift_sigma (c, c->shift, request->mu, s);
      else
        s = shift * s / (1 + (shift - 1) * s);
      sigmas[i] = s;
    }
  if (kind == ATL_MULTISTEP_UNIPC)
    {
      atl_schedule_stretch (c, sigmas, n);
      /* A signal of nothing has no logarithm. */
      if (fabs (sigmas[0] - 1) < 1e-6)
        sigmas[0] -= 1e-6;
    }
}

gboolean
atl_multistep_plan (AtlSchedule *self,
                    const AtlScheduleRequest *request,
                    AtlMultistepTable kind,
                    GError **error)
{
  AtlScheduleConfig *c = &self->c;
  guint n = request->n_steps + request->n_timesteps + request->n_sigmas;
  g_autofree float *table = NULL, *logs = NULL;
  g_autofree double *sigmas = g_new (double, n), *t = g_new (double, n);
  double last = 0;
  gboolean respaced = c->respace != ATL_RESPACE_NONE;

  if (request->n_sigmas > 0 && (!c->flow_sigmas || respaced))
    {
      g_set_error_literal (error, ATL_ERROR, ATL_ERROR_INVALID,
                           _ ("This schedule takes a number of steps, not noise levels"));
      return FALSE;
    }
  if (c->dynamic_shift && !request->has_mu)
    {
      g_set_error_literal (
          error, ATL_ERROR, ATL_ERROR_INVALID,
          _ ("This schedule shifts with the size of the picture, which was not given"));
      return FALSE;
    }
  if (self->abar == NULL)
    self->abar = atl_schedule_make_abar (c, TRUE);
  table = atl_schedule_sigma_table (self, &logs);

  if (c->respace == ATL_RESPACE_LU)
    {
      double high = logs[c->n_train - 1], low = logs[0];

      for (guint i = 0; i < n; i++)
        sigmas[i] = exp (high + (n > 1 ? (double) i / (n - 1) : 0) * (low - high));
    }
  else if (respaced)
    atl_schedule_respace (c, table[c->n_train - 1], table[0], n, sigmas);

  if (respaced)
    {
      gboolean round = c->respace == ATL_RESPACE_KARRAS || c->respace == ATL_RESPACE_LU;

      for (guint i = 0; i < n; i++)
        {
          t[i] = atl_schedule_sigma_to_t (sigmas[i], logs, c->n_train);
          if (round && (kind != ATL_MULTISTEP_DPM || c->betas != ATL_BETAS_COSINE))
            t[i] = rint (t[i]);
          if (kind == ATL_MULTISTEP_UNIPC && c->respace == ATL_RESPACE_KARRAS && c->flow_sigmas)
            {
              sigmas[i] /= sigmas[i] + 1;
              t[i] = sigmas[i] * (double) c->n_train;
            }
        }
    }
  else if (c->flow_sigmas)
    {
      plan_flow (self, request, kind, n, sigmas);
      for (guint i = 0; i < n; i++)
        t[i] = sigmas[i] * (double) c->n_train;
    }
  else
    {
      if (request->n_timesteps > 0)
        for (guint i = 0; i < n; i++)
          t[i] = trunc (request->timesteps[i]);
      else
        n = atl_schedule_space_multistep (
            c, n, kind == ATL_MULTISTEP_DPM ? last_timestep (self) : c->n_train, t);
      for (guint i = 0; i < n; i++)
        sigmas[i] = atl_schedule_interpolate (table, c->n_train, t[i]);
    }

  if (kind == ATL_MULTISTEP_DEIS || c->last_sigma_min)
    last = kind == ATL_MULTISTEP_DPM || !(respaced || c->flow_sigmas) ? table[0] : sigmas[n - 1];
  atl_schedule_set_calls (self, n, n);
  atl_schedule_set_sigmas (self, sigmas, n, last);
  for (guint i = 0; i < n; i++)
    self->timesteps[i] = trunc (t[i]);
  return TRUE;
}

void
atl_multistep_mix (const AtlSchedule *self, guint call, double *clean, double *noise)
{
  AtlPoint p = atl_schedule_point (self, self->sigmas[call]);

  *clean = p.alpha;
  *noise = p.sigma;
}

void
atl_multistep_convert (
    const AtlSchedule *self, guint call, gboolean noise, double *x, double *output)
{
  const AtlScheduleConfig *c = &self->c;
  AtlPoint p = atl_schedule_point (self, self->sigmas[call]);

  if (!noise)
    {
      double s = c->prediction == ATL_PREDICT_FLOW ? self->sigmas[call] : p.sigma;

      atl_schedule_clean_vp (c, p.alpha, s, x, output);
      return;
    }
  *x = 0;
  *output = 1;
  if (c->prediction == ATL_PREDICT_SAMPLE)
    {
      *x = 1 / p.sigma;
      *output = -p.alpha / p.sigma;
    }
  else if (c->prediction == ATL_PREDICT_V)
    {
      *x = p.sigma;
      *output = p.alpha;
    }
}

guint
atl_multistep_order (const AtlSchedule *self, guint call, gboolean last_is_first_order)
{
  const AtlScheduleConfig *c = &self->c;
  gboolean few = c->lower_order_final && self->n_calls < 15;
  guint order = MIN (c->order, self->n_past);

  if (call + 1 == self->n_calls && (few || last_is_first_order))
    return 1;
  if (call + 2 == self->n_calls && few)
    order = MIN (order, 2);
  return MAX (order, 1);
}

/* --- DPM-Solver --- */

/* Factors of x, D0, D1, D2 and the noise on the way from s to t. */
typedef struct
{
  double x, d[3], noise;
} Factors;

static Factors
dpm_factors (const AtlScheduleConfig *c, AtlPoint t, AtlPoint s, gboolean midpoint)
{
  double h = t.lambda - s.lambda, e;
  Factors f = { 0 };

  switch (c->algorithm)
    {
    case ATL_ALGORITHM_DPM_PP:
      e = expm1 (-h);
      f.x = t.sigma / s.sigma;
      f.d[0] = -t.alpha * e;
      f.d[1] = midpoint ? -0.5 * t.alpha * e : t.alpha * (e / h + 1);
      f.d[2] = -t.alpha * ((e + h) / (h * h) - 0.5);
      break;
    case ATL_ALGORITHM_DPM:
      e = expm1 (h);
      f.x = t.alpha / s.alpha;
      f.d[0] = -t.sigma * e;
      f.d[1] = midpoint ? -0.5 * t.sigma * e : -t.sigma * (e / h - 1);
      f.d[2] = -t.sigma * ((e - h) / (h * h) - 0.5);
      break;
    case ATL_ALGORITHM_SDE_PP:
      e = -expm1 (-2 * h);
      f.x = t.sigma / s.sigma * exp (-h);
      f.d[0] = t.alpha * e;
      f.d[1] = midpoint ? 0.5 * t.alpha * e : t.alpha * (e / (-2 * h) + 1);
      f.d[2] = t.alpha * ((e - 2 * h) / (4 * h * h) - 0.5);
      f.noise = t.sigma * sqrt (e);
      break;
    case ATL_ALGORITHM_SDE_DPM:
      e = expm1 (h);
      f.x = t.alpha / s.alpha;
      f.d[0] = -2 * t.sigma * e;
      f.d[1] = midpoint ? -t.sigma * e : -2 * t.sigma * (e / h - 1);
      f.noise = t.sigma * sqrt (expm1 (2 * h));
      break;
    }
  return f;
}

gboolean
atl_multistep_dpm_wants_noise (const AtlSchedule *self, guint call)
{
  return (self->c.algorithm == ATL_ALGORITHM_SDE_PP ||
          self->c.algorithm == ATL_ALGORITHM_SDE_DPM) &&
         self->sigmas[call + 1] > 0;
}

static void
apply (AtlSchedule *self, const AtlStep *s, const float *x, const Factors *f, const double m[3])
{
  const float *src[5] = { x, self->past[0], self->past[1], self->past[2], s->noise };
  double coef[5] = { f->x, m[0], m[1], m[2], s->noise != NULL ? f->noise : 0 };

  atl_schedule_combine (s->x, self->n, 5, src, coef);
}

void
atl_multistep_dpm_update (AtlSchedule *self, const AtlStep *s, guint order)
{
  AtlPoint t = atl_schedule_point (self, self->sigmas[s->call + 1]);
  AtlPoint s0 = atl_schedule_point (self, self->sigmas[s->call]);
  Factors f = dpm_factors (&self->c, t, s0, order == 2 && !self->c.heun);
  double h = t.lambda - s0.lambda, m[3] = { f.d[0] };

  if (order >= 2)
    {
      AtlPoint s1 = atl_schedule_point (self, self->sigmas[s->call - 1]);
      double r0 = (s0.lambda - s1.lambda) / h;

      if (order == 2)
        {
          /* D1 = (m0 - m1) / r0 */
          m[0] += f.d[1] / r0;
          m[1] = -f.d[1] / r0;
        }
      else
        {
          AtlPoint s2 = atl_schedule_point (self, self->sigmas[s->call - 2]);
          double r1 = (s1.lambda - s2.lambda) / h;
          /* a = (m0 - m1) / r0, b = (m1 - m2) / r1;
           * D1 = a + r0 / (r0 + r1) (a - b), D2 = (a - b) / (r0 + r1) */
          double a = f.d[1] * (1 + r0 / (r0 + r1)) + f.d[2] / (r0 + r1);
          double b = -f.d[1] * r0 / (r0 + r1) - f.d[2] / (r0 + r1);

          m[0] += a / r0;
          m[1] = -a / r0 + b / r1;
          m[2] = -b / r1;
        }
    }
  apply (self, s, s->x, &f, m);
}

void
atl_multistep_dpm_single (AtlSchedule *self, const AtlStep *s, guint order)
{
  AtlPoint t = atl_schedule_point (self, self->sigmas[s->call + 1]);
  AtlPoint base = atl_schedule_point (self, self->sigmas[s->call + 1 - order]);
  AtlPoint s0 = atl_schedule_point (self, self->sigmas[s->call]);
  Factors f = dpm_factors (&self->c, t, base, order == 2 && !self->c.heun);
  double h = t.lambda - base.lambda, r0 = (s0.lambda - base.lambda) / h;
  double m[3] = { 0 };

  m[order - 1] = f.d[0];
  if (order == 2)
    {
      m[0] += f.d[1] / r0;
      m[1] -= f.d[1] / r0;
    }
  else if (order == 3)
    {
      AtlPoint s1 = atl_schedule_point (self, self->sigmas[s->call - 1]);
      double r1 = (s1.lambda - base.lambda) / h;
      /* a = (m1 - m2) / r1, b = (m0 - m2) / r0; midpoint takes b for D1 and nothing more. */
      double a = 0, b = f.d[1];

      if (self->c.heun)
        {
          a = f.d[1] * r0 / (r0 - r1) - f.d[2] * 2 / (r0 - r1);
          b = -f.d[1] * r1 / (r0 - r1) + f.d[2] * 2 / (r0 - r1);
        }
      m[0] += b / r0;
      m[1] += a / r1;
      m[2] -= a / r1 + b / r0;
    }
  apply (self, s, self->kept, &f, m);
}
