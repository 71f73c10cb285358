/* UniPC and DEIS.
 *
 *   UniPC (Zhao et al. 2023): a predictor of order p, and before the next step a corrector that
 *     redoes the last one with the output at its end. With r_k = (lambda_k - lambda_0) / h, the
 *     weights rho solve
 *       sum_k rho_k r_k^(i-1) = phi_(i+1)(h) i! / B(h),   B = h (bh1), e^h - 1 (bh2)
 *   DEIS (Zhang & Chen 2022) in log rho: polynomials of log rho through the last noises,
 *     integrated.
 *
 * Source: diffusers 0.42.1 UniPCMultistepScheduler, DEISMultistepScheduler.
 */
#include <math.h>

#include "engine/schedules/multistep.h"

/* --- UniPC --- */

/* Gauss with pivoting on n <= 3 rows; FALSE when singular. */
static gboolean
solve (guint n, double a[3][4])
{
  for (guint col = 0; col < n; col++)
    {
      guint best = col;

      for (guint row = col + 1; row < n; row++)
        if (fabs (a[row][col]) > fabs (a[best][col]))
          best = row;
      if (a[best][col] == 0)
        return FALSE;
      for (guint k = 0; k <= n; k++)
        {
          double held = a[col][k];
          a[col][k] = a[best][k];
          a[best][k] = held;
        }
      for (guint row = 0; row < n; row++)
        if (row != col)
          {
            double factor = a[row][col] / a[col][col];

            for (guint k = col; k <= n; k++)
              a[row][k] -= factor * a[col][k];
          }
    }
  for (guint row = 0; row < n; row++)
    a[row][n] /= a[row][row];
  return TRUE;
}

/* From sigma index `from` to `from + 1` by `order` outputs in the history, and one at the end of
 * the step for the corrector (`end` nullable). `x` is the sample at `from`. */
static void
unipc_move (
    AtlSchedule *self, float *dst, const float *x, guint from, guint order, const float *end)
{
  const AtlScheduleConfig *c = &self->c;
  AtlPoint t = atl_schedule_point (self, self->sigmas[from + 1]);
  AtlPoint s0 = atl_schedule_point (self, self->sigmas[from]);
  double h = t.lambda - s0.lambda, hh = c->predict_x0 ? -h : h;
  double phi_1 = expm1 (hh), phi = phi_1 / hh - 1, factorial = 1;
  double big = c->bh1 ? hh : phi_1;
  double outer = -(c->predict_x0 ? t.alpha : t.sigma);
  double r[3], b[3], system[3][4], coef[5] = { 0 }, rho[3] = { 0.5, 0.5, 0.5 };
  guint n = end != NULL ? order : order - 1;
  const float *src[5] = { x, self->past[0], self->past[1], self->past[2], end };

  for (guint i = 1; i < order; i++)
    r[i - 1] = (atl_schedule_point (self, self->sigmas[from - i]).lambda - s0.lambda) / h;
  r[order - 1] = 1;
  for (guint i = 1; i <= order; i++)
    {
      b[i - 1] = phi * factorial / big;
      factorial *= i + 1;
      phi = phi / hh - 1 / factorial;
    }
  /* The originals take a half for the predictor of order 2 and the corrector of order 1. */
  if (end != NULL ? order > 1 : order > 2)
    {
      for (guint i = 0; i < n; i++)
        {
          for (guint k = 0; k < n; k++)
            system[i][k] = pow (r[k], i);
          system[i][n] = b[i];
        }
      if (solve (n, system))
        for (guint i = 0; i < n; i++)
          rho[i] = system[i][n];
    }

  coef[0] = c->predict_x0 ? t.sigma / s0.sigma : t.alpha / s0.alpha;
  coef[1] = outer * phi_1;
  for (guint i = 1; i < order; i++)
    {
      double d = outer * big * rho[i - 1] / r[i - 1];

      coef[1 + i] += d;
      coef[1] -= d;
    }
  if (end != NULL)
    {
      coef[4] = outer * big * rho[order - 1];
      coef[1] -= coef[4];
    }
  atl_schedule_combine (dst, self->n, 5, src, coef);
}

static void
unipc_defaults (AtlScheduleConfig *c)
{
  c->lower_order_final = TRUE;
}

static gboolean
unipc_plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  return atl_multistep_plan (self, request, ATL_MULTISTEP_UNIPC, error);
}

static void
unipc_step (AtlSchedule *self, const AtlStep *s)
{
  const AtlScheduleConfig *c = &self->c;
  double x, output;
  guint order = c->order;
  gboolean correct = s->call > 0 && self->has_kept &&
                     (s->call - 1 >= 64 || (c->disable_corrector >> (s->call - 1) & 1) == 0);

  atl_multistep_convert (self, s->call, !c->predict_x0, &x, &output);
  atl_schedule_combine (self->work, self->n, 2, (const float *[]){ s->x, s->output },
                        (double[]){ x, output });
  if (correct)
    unipc_move (self, s->x, self->kept, s->call - 1, self->last_order, self->work);
  atl_schedule_combine (atl_schedule_push (self), self->n, 1, (const float *[]){ self->work },
                        (double[]){ 1 });

  if (c->lower_order_final)
    order = MIN (order, self->n_calls - s->call);
  order = MIN (order, self->n_past);
  self->last_order = order;
  atl_schedule_keep (self, s->x);
  unipc_move (self, s->x, self->kept, s->call, order, NULL);
}

static const AtlSolver unipc = {
  .class_name = "UniPCMultistepScheduler",
  .defaults = unipc_defaults,
  .plan = unipc_plan,
  .mix = atl_multistep_mix,
  .step = unipc_step,
  .calls_per_step = 1,
};

/* --- DEIS --- */

static gboolean
deis_plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  return atl_multistep_plan (self, request, ATL_MULTISTEP_DEIS, error);
}

/* Integral of the linear Lagrange polynomial through log b (1) and log c (0). */
static double
linear_part (double t, double b, double c)
{
  return t * (-log (c) + log (t) - 1) / (log (b) - log (c));
}

/* The same of the quadratic one through log b (1), log c and log d (0). */
static double
quadratic_part (double t, double b, double c, double d)
{
  double lt = log (t), lb = log (b), lc = log (c), ld = log (d);

  return t * (lc * (ld - lt + 1) - ld * lt + ld + lt * lt - 2 * lt + 2) / ((lb - lc) * (lb - ld));
}

static void
deis_step (AtlSchedule *self, const AtlStep *s)
{
  AtlPoint t = atl_schedule_point (self, self->sigmas[s->call + 1]);
  AtlPoint s0 = atl_schedule_point (self, self->sigmas[s->call]);
  double cx, co, coef[4] = { t.alpha / s0.alpha };
  double rt = t.sigma / t.alpha, r0 = s0.sigma / s0.alpha;
  float *m = atl_schedule_push (self);
  guint order = atl_multistep_order (self, s->call, FALSE);

  /* The noise that belongs to the clean sample. */
  atl_multistep_convert (self, s->call, FALSE, &cx, &co);
  atl_schedule_combine (m, self->n, 2, (const float *[]){ s->x, s->output },
                        (double[]){ (1 - s0.alpha * cx) / s0.sigma, -s0.alpha * co / s0.sigma });
  if (order == 1)
    coef[1] = -t.sigma * expm1 (t.lambda - s0.lambda);
  else
    {
      AtlPoint s1 = atl_schedule_point (self, self->sigmas[s->call - 1]);
      double r1 = s1.sigma / s1.alpha;

      if (order == 2)
        {
          coef[1] = linear_part (rt, r0, r1) - linear_part (r0, r0, r1);
          coef[2] = linear_part (rt, r1, r0) - linear_part (r0, r1, r0);
        }
      else
        {
          AtlPoint s2 = atl_schedule_point (self, self->sigmas[s->call - 2]);
          double r2 = s2.sigma / s2.alpha;

          coef[1] = quadratic_part (rt, r0, r1, r2) - quadratic_part (r0, r0, r1, r2);
          coef[2] = quadratic_part (rt, r1, r2, r0) - quadratic_part (r0, r1, r2, r0);
          coef[3] = quadratic_part (rt, r2, r0, r1) - quadratic_part (r0, r2, r0, r1);
        }
      for (guint i = 1; i < 4; i++)
        coef[i] *= t.alpha;
    }
  atl_schedule_combine (s->x, self->n, 4,
                        (const float *[]){ s->x, self->past[0], self->past[1], self->past[2] },
                        coef);
}

static const AtlSolver deis = {
  .class_name = "DEISMultistepScheduler",
  .defaults = unipc_defaults,
  .plan = deis_plan,
  .mix = atl_multistep_mix,
  .step = deis_step,
  .calls_per_step = 1,
};

const AtlSolver *const atl_solvers_multistep[] = { &unipc, &deis, NULL };
