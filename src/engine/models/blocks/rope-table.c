/* Rotary frequencies and their tables, in double precision. */
#include "engine/models/blocks/rope-table.h"

#include <math.h>

#include "engine/tensor/array.h"

/* The component at which a full turn takes original_context / beta positions. */
static double
yarn_dim (const AtlRopeParams *p, double beta)
{
  return p->n_rot * log (p->original_context / (2.0 * G_PI * beta)) / (2.0 * log (p->base));
}

double
atl_rope_frequencies (const AtlRopeParams *p, const float *divisors, double *frequencies)
{
  guint half = p->n_rot / 2;

  for (guint i = 0; i < half; i++)
    frequencies[i] = pow (p->base, -2.0 * i / p->n_rot);

  switch (p->scaling)
    {
    case ATL_ROPE_PLAIN:
      break;
    case ATL_ROPE_LINEAR:
      for (guint i = 0; i < half; i++)
        frequencies[i] /= p->factor;
      break;
    case ATL_ROPE_DIVISORS:
      for (guint i = 0; i < half; i++)
        frequencies[i] /= divisors[i];
      break;
    case ATL_ROPE_YARN:
      {
        double low = yarn_dim (p, p->beta_fast);
        double high = yarn_dim (p, p->beta_slow);

        low = MAX (0.0, p->exact_ramp ? low : floor (low));
        high = MIN (p->n_rot - 1.0, p->exact_ramp ? high : ceil (high));

        for (guint i = 0; i < half; i++)
          {
            double ramp = 1.0 - CLAMP ((i - low) / MAX (0.001, high - low), 0.0, 1.0);
            frequencies[i] = frequencies[i] * ramp + frequencies[i] / p->factor * (1.0 - ramp);
          }
        break;
      }
    }
  return p->attn_factor;
}

void
atl_rope_table (const double *frequencies,
                guint n_rot,
                double multiplier,
                const gint32 *positions,
                guint n_tokens,
                float *table)
{
  guint half = n_rot / 2;

  for (guint t = 0; t < n_tokens; t++)
    for (guint i = 0; i < half; i++)
      {
        double angle = positions[t] * frequencies[i];
        table[(gsize) t * n_rot + i] = (float) (cos (angle) * multiplier);
        table[(gsize) t * n_rot + half + i] = (float) (sin (angle) * multiplier);
      }
}

void
atl_rope_axes (const gint64 *axis,
               guint n_axes,
               double base,
               const float *positions,
               gint64 n_tokens,
               float *table)
{
  gint64 d = 0, at = 0;

  for (guint a = 0; a < n_axes; a++)
    d += axis[a];
  if (atl_bytes_are_hollow ((gsize) (n_tokens * d) * sizeof *table))
    return;
  for (guint a = 0; a < n_axes; at += axis[a] / 2, a++)
    for (gint64 i = 0; i < axis[a] / 2; i++)
      {
        double frequency = pow (base, -2.0 * (double) i / (double) axis[a]);

        for (gint64 t = 0; t < n_tokens; t++)
          {
            double angle = positions[t * n_axes + a] * frequency;

            table[t * d + at + i] = (float) cos (angle);
            table[t * d + d / 2 + at + i] = (float) sin (angle);
          }
      }
}
