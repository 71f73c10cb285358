/* Tables that schedules are made of: signal shares, spaced timesteps, re-spaced sigmas. */
#include <math.h>
#include <string.h>

#include "engine/schedules/schedule-private.h"

/* --- Signal shares --- */

static double
cosine_bar (double t)
{
  double c = cos ((t + 0.008) / 1.008 * G_PI / 2);

  return c * c;
}

/* beta_i in float32, as all but CogVideoX have them. */
static float
beta (const AtlScheduleConfig *c, gint64 i)
{
  double share = c->n_train > 1 ? (double) i / (double) (c->n_train - 1) : 0;
  double a = sqrt (c->beta_start), b = sqrt (c->beta_end);
  float root;

  switch (c->betas)
    {
    case ATL_BETAS_LINEAR:
      return (float) (c->beta_start + share * (c->beta_end - c->beta_start));
    case ATL_BETAS_SCALED_LINEAR:
      root = (float) (a + share * (b - a));
      return root * root;
    case ATL_BETAS_COSINE:
      return (float) MIN (1 - cosine_bar ((double) (i + 1) / (double) c->n_train) /
                                  cosine_bar ((double) i / (double) c->n_train),
                          0.999);
    }
  return 0;
}

/* Products in double, each rounded to float32. */
static void
cumulate (float *alphas, gint64 n)
{
  double product = 1;

  for (gint64 i = 0; i < n; i++)
    {
      product *= alphas[i];
      alphas[i] = (float) product;
    }
}

double *
atl_schedule_make_abar (const AtlScheduleConfig *c, gboolean floor_terminal)
{
  gint64 n = c->n_train;
  g_autofree float *a = g_new (float, n);
  double *abar = g_new (double, n);

  for (gint64 i = 0; i < n; i++)
    a[i] = 1.0f - beta (c, i);
  cumulate (a, n);
  if (c->zero_snr)
    {
      float first = sqrtf (a[0]), last = sqrtf (a[n - 1]);
      g_autofree float *bar = g_new (float, n);

      for (gint64 i = 0; i < n; i++)
        {
          float s = (sqrtf (a[i]) - last) * (first / (first - last));
          bar[i] = s * s;
        }
      /* Through betas and back, with the rounding that costs. */
      for (gint64 i = 0; i < n; i++)
        {
          float ratio = i == 0 ? bar[0] : bar[i] / bar[i - 1];
          float b = 1.0f - ratio;
          a[i] = 1.0f - b;
        }
      cumulate (a, n);
      if (floor_terminal)
        a[n - 1] = 0x1p-24f;
    }
  for (gint64 i = 0; i < n; i++)
    abar[i] = a[i];
  return abar;
}

double *
atl_schedule_make_abar_cog (const AtlScheduleConfig *c)
{
  gint64 n = c->n_train;
  double *abar = g_new (double, n);
  double a = sqrt (c->beta_start), b = sqrt (c->beta_end), product = 1;

  for (gint64 i = 0; i < n; i++)
    {
      double root = a + (n > 1 ? (double) i / (double) (n - 1) : 0) * (b - a);

      product *= 1 - (c->betas == ATL_BETAS_SCALED_LINEAR ? root * root : beta (c, i));
      abar[i] = product / (c->snr_shift_scale + (1 - c->snr_shift_scale) * product);
    }
  if (c->zero_snr)
    {
      double first = sqrt (abar[0]), last = sqrt (abar[n - 1]);

      for (gint64 i = 0; i < n; i++)
        {
          double s = (sqrt (abar[i]) - last) * (first / (first - last));
          abar[i] = s * s;
        }
    }
  return abar;
}

float *
atl_schedule_sigma_table (const AtlSchedule *self, float **logs)
{
  gint64 n = self->c.n_train;
  float *sigmas = g_new (float, n);

  *logs = g_new (float, n);
  for (gint64 i = 0; i < n; i++)
    {
      float a = (float) self->abar[i];

      sigmas[i] = sqrtf ((1.0f - a) / a);
      (*logs)[i] = (float) log (sigmas[i]);
    }
  return sigmas;
}

/* --- Timesteps --- */

void
atl_schedule_space (const AtlScheduleConfig *c, guint n, gboolean rounded, double *t)
{
  double ratio = (double) c->n_train / n;

  for (guint i = 0; i < n; i++)
    switch (c->spacing)
      {
      case ATL_SPACING_LINSPACE:
        t[i] = n > 1 ? (double) (c->n_train - 1) * (n - 1 - i) / (n - 1) : 0;
        t[i] = rounded ? rint (t[i]) : (double) (float) t[i];
        break;
      case ATL_SPACING_LEADING:
        t[i] = (double) ((gint64) (n - 1 - i) * (c->n_train / n) + c->steps_offset);
        break;
      case ATL_SPACING_TRAILING:
        t[i] = rint ((double) c->n_train - i * ratio) - 1;
        break;
      }
}

guint
atl_schedule_space_multistep (const AtlScheduleConfig *c, guint n, gint64 last, double *t)
{
  double ratio = (double) c->n_train / n;
  guint count = n;

  if (c->spacing == ATL_SPACING_TRAILING)
    count = (guint) CLAMP (ceil ((double) last / ratio - 1e-9), 1, n);
  for (guint i = 0; i < count; i++)
    switch (c->spacing)
      {
      case ATL_SPACING_LINSPACE:
        t[i] = rint ((double) (last - 1) * (n - i) / n);
        break;
      case ATL_SPACING_LEADING:
        t[i] = (double) ((gint64) (n - i) * (last / (n + 1)) + c->steps_offset);
        break;
      case ATL_SPACING_TRAILING:
        t[i] = rint ((double) last - i * ratio) - 1;
        break;
      }
  return count;
}

/* --- Sigmas --- */

double
atl_schedule_interpolate (const float *table, gint64 n, double t)
{
  gint64 i;

  if (t <= 0)
    return table[0];
  if (t >= (double) (n - 1))
    return table[n - 1];
  i = (gint64) t;
  return table[i] + ((double) table[i + 1] - table[i]) * (t - (double) i);
}

double
atl_schedule_sigma_to_t (double sigma, const float *logs, gint64 n)
{
  double l = log (MAX (sigma, 1e-10)), w;
  gint64 low = 0, high = n;

  /* The last entry that is not above. */
  while (high - low > 1)
    {
      gint64 middle = (low + high) / 2;

      if (l - logs[middle] >= 0)
        low = middle;
      else
        high = middle;
    }
  low = MAX (MIN (low, n - 2), 0);
  if (n < 2)
    return 0;
  w = (logs[low] - l) / ((double) logs[low] - logs[low + 1]);
  w = CLAMP (w, 0, 1);
  return (1 - w) * (double) low + w * (double) (low + 1);
}

/* Regularised incomplete beta function for a = b = 0.6, by its continued fraction (Lentz). */
static double
beta_cumulative (double x)
{
  const double a = 0.6, b = 0.6, tiny = 1e-300;
  double front, c = 1, d, f;

  if (x <= 0)
    return 0;
  if (x >= 1)
    return 1;
  if (x > 0.5)
    return 1 - beta_cumulative (1 - x);
  front = exp (a * log (x) + b * log1p (-x) + lgamma (a + b) - lgamma (a) - lgamma (b)) / a;
  d = 1 - (a + b) * x / (a + 1);
  d = 1 / (fabs (d) < tiny ? tiny : d);
  f = d;
  for (int m = 1; m < 300; m++)
    {
      for (int half = 0; half < 2; half++)
        {
          double k = half == 0 ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                               : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));

          d = 1 + k * d;
          d = 1 / (fabs (d) < tiny ? tiny : d);
          c = 1 + k / c;
          c = fabs (c) < tiny ? tiny : c;
          f *= c * d;
        }
      if (fabs (c * d - 1) < 1e-15)
        break;
    }
  return front * f;
}

/* Quantile function of the Beta (0.6, 0.6) distribution. */
static double
beta_quantile (double p)
{
  double low = 0, high = 1;

  if (p <= 0 || p >= 1)
    return p <= 0 ? 0 : 1;
  for (int i = 0; i < 200 && high - low > 0; i++)
    {
      double middle = (low + high) / 2;

      if (middle == low || middle == high)
        break;
      if (beta_cumulative (middle) < p)
        low = middle;
      else
        high = middle;
    }
  return (low + high) / 2;
}

/* --- Flow --- */

double
atl_schedule_shift_sigma (const AtlScheduleConfig *c, double shift, double mu, double s)
{
  if (!c->dynamic_shift)
    return shift * s / (1 + (shift - 1) * s);
  if (s <= 0)
    return 0;
  if (c->linear_shift)
    return mu / (mu + (1 / s - 1));
  return exp (mu) / (exp (mu) + (1 / s - 1));
}

void
atl_schedule_stretch (const AtlScheduleConfig *c, double *sigmas, guint n)
{
  double factor;

  if (c->shift_terminal == 0 || n == 0)
    return;
  factor = (1 - sigmas[n - 1]) / (1 - c->shift_terminal);
  if (factor == 0)
    return;
  for (guint i = 0; i < n; i++)
    sigmas[i] = 1 - (1 - sigmas[i]) / factor;
}

void
atl_schedule_respace (const AtlScheduleConfig *c, double high, double low, guint n, double *sigmas)
{
  const double rho = 7;

  if (c->sigma_min > 0)
    low = c->sigma_min;
  if (c->sigma_max > 0)
    high = c->sigma_max;
  for (guint i = 0; i < n; i++)
    {
      double share = n > 1 ? (double) i / (n - 1) : 0;

      switch (c->respace)
        {
        case ATL_RESPACE_KARRAS:
          {
            double a = pow (high, 1 / rho), b = pow (low, 1 / rho);
            sigmas[i] = pow (a + share * (b - a), rho);
            break;
          }
        case ATL_RESPACE_EXPONENTIAL:
          sigmas[i] =
              exp (i + 1 == n && n > 1 ? log (low) : log (high) + share * (log (low) - log (high)));
          break;
        case ATL_RESPACE_BETA:
          sigmas[i] = low + beta_quantile (1 - share) * (high - low);
          break;
        default:
          g_assert_not_reached ();
        }
    }
}
