/* The softmax of attention with many queries, for tiles of float32 vectors: scores of a block of
 * keys become weights where the next tile reads them. */
#include "engine/tensor/cpu/kern-private.h"

#define MAX_KEYS 128
/* Weights are relative to the largest score so far, or to one that was: up to e^4 is let grow
 * before earlier sums are corrected. */
#define SLACK 4.0f

/* n < VW scores and nothing more. */
INLINE vf
last_scores (const float *s, gint64 n)
{
  float v[VW];

  for (gint64 i = 0; i < VW; i++)
    v[i] = i < n ? s[i] : -INFINITY;
  return vf_load (v);
}

/* Weights of a row, up to the next whole vector; returns what earlier sums are multiplied with. */
INLINE float
softmax_row (const float *s, gint64 n, float scale, float *state, float *weights)
{
  const gint64 whole = n / VW * VW;
  const float factor = scale * 1.44269504f;
  const vf last = last_scores (s + whole, n - whole);
  const float before = state[0];
  float correction = 1.0f;
  vf most[2] = { last, last }, total[2] = { { 0 }, { 0 } };
  float now;
  vf shift;
  gint64 i;

  for (i = 0; i + 2 * VW <= whole; i += 2 * VW)
    for (guint j = 0; j < 2; j++)
      most[j] = vf_max (most[j], vf_load (s + i + j * VW));
  if (i < whole)
    most[0] = vf_max (most[0], vf_load (s + i));
  now = vf_largest (vf_max (most[0], most[1])) * scale;
  if (now > before + SLACK || before == -INFINITY)
    correction = expf (before - now);
  else
    now = before;

  shift = vf_set1 (now * 1.44269504f);
  for (i = 0; i + 2 * VW <= whole; i += 2 * VW)
    for (guint j = 0; j < 2; j++)
      {
        const vf e = vf_power_of_two (vf_load (s + i + j * VW) * factor - shift);

        total[j] += e;
        vf_store (weights + i + j * VW, e);
      }
  if (i < whole)
    {
      const vf e = vf_power_of_two (vf_load (s + i) * factor - shift);

      total[0] += e;
      vf_store (weights + i, e);
    }
  if (whole < n)
    {
      const vf e = vf_power_of_two (last * factor - shift);

      total[1] += e;
      vf_store (weights + whole, e);
    }
  state[0] = now;
  state[1] = state[1] * correction + vf_sum (total[0] + total[1]);
  return correction;
}

void
ATL_SIMD_NAME (atl_softmax_tile) (const float *scores,
                                  gint64 ld,
                                  gint64 n,
                                  gint64 n_rows,
                                  float scale,
                                  float *state,
                                  float *correction,
                                  guint8 *out)
{
  float weights[TILE_ROWS][MAX_KEYS];
  const float *rows[TILE_ROWS];

  for (gint64 r = 0; r < n_rows; r++)
    {
      correction[r] = softmax_row (scores + r * ld, n, scale, state + 2 * r, weights[r]);
      rows[r] = weights[r];
    }
  ATL_SIMD_NAME (atl_prepare_rows) (rows, n_rows, n, out);
}
