/* Attention of many queries in words, each with keys of its own (prompts): as kern-attend.c, but so
 * that a query's numbers depend on nothing but itself and the keys that it sees, wherever a prompt
 * is cut and whatever is computed beside it.
 *
 * So a value is rounded by itself, to 14 bits of the largest of its elements, and what that was
 * divided by goes into the weights of its key. These are rounded so that their sum is at most
 * 262000: with values of at most 8191 no sum of products leaves 32 bits.
 *
 * Layout of values: [ATL_ATTEND_KEYS] factors; [pairs of keys][v_dim] pairs of words
 */
#include <float.h>

#include "engine/tensor/cpu/kern-attend.h"

#if defined(__AVXVNNI__)
#define RANGE_NAME atl_cpu_attend_range_avx2_vnni
#else
#define RANGE_NAME ATL_SIMD_NAME (atl_cpu_attend_range)
#endif

#define LARGEST_VALUE 8191.0f
/* (262000 + ATL_ATTEND_KEYS / 2) 8191 < 2^31 */
#define WEIGHTS 262000.0f
/* Sizes below it are nothing beside others, and one divided by them may be no number. */
#define LEAST 1e-30f

/* What each lane sees of a block: keys [first, end). */
typedef struct
{
  vi first[2], end[2];
} Seen;

INLINE vi
is_seen (const Seen *seen, guint j, gint64 key)
{
  return (seen->first[j] <= (gint32) key) & (seen->end[j] > (gint32) key);
}

/* --- Values --- */

/* What a value is multiplied with to become words, and in `factor` what turns them back: no number
 * where an element is none or infinite. */
INLINE float
value_scale (const float *row, gint64 n, float *factor)
{
  vf most = vf_set1 (0.0f), check = most;
  float largest;

  for (gint64 i = 0; i < n; i += VW)
    {
      const vf v = load_row (row, i, n);

      most = vf_max (most, vf_abs (v));
      check += v * 0.0f;
    }
  largest = vf_largest (most);
  *factor = (largest > LEAST ? largest / LARGEST_VALUE : 0.0f) + vf_sum (check);
  return largest > LEAST ? LARGEST_VALUE / largest : 0.0f;
}

static void
range_values (const float *const *rows, gint64 n, gint64 dim, guint8 *out)
{
  float *factors = (float *) out;
  gint32 *pairs = (gint32 *) (factors + MAX_KEYS);

  for (gint64 r = 0; r < n; r += 2, pairs += dim)
    {
      const float scale = value_scale (rows[r], dim, &factors[r]);
      const gboolean is_pair = r + 1 < n;
      const float *next = is_pair ? rows[r + 1] : rows[r];
      const float next_scale = is_pair ? value_scale (next, dim, &factors[r + 1]) : 0.0f;

      for (gint64 at = 0; at < dim; at += VW)
        {
          const vi first = vi_round (load_row (rows[r], at, dim) * scale);
          const vi second = vi_round (load_row (next, at, dim) * next_scale);
          const vf both = (vf) join_words (first, second);

          if (at + VW <= dim)
            vf_store (pairs + at, both);
          else
            vf_store_some ((float *) (pairs + at), dim - at, both);
        }
    }
}

/* --- Weights --- */

INLINE void
largest_seen (gint64 n, const Seen *seen, const float *scores, vf most[2])
{
  most[0] = most[1] = vf_set1 (-FLT_MAX);
  for (gint64 i = 0; i < n; i++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      most[j] = vf_max (most[j], vf_select (is_seen (seen, j, i), vf_load (scores + i * L + j * VW),
                                            vf_set1 (-FLT_MAX)));
}

/* Scores become weights times the factors of values, pairs of words of two keys; `factor` is what
 * those stand for, and `keep` what earlier sums are multiplied with. `all`: every lane sees every
 * key. */
INLINE void
weights_seen (gboolean all,
              gint64 n,
              const Seen *seen,
              const float *factors,
              const float *value_factors,
              const vf most[2],
              float *state,
              float *scores,
              gint32 *pairs,
              vf factor[2],
              vf keep[2])
{
  const vf none = vf_set1 (0.0f), least = vf_set1 (LEAST);
  vf scale[2], base[2], total[2], sum[2], largest[2], inverse[2];

#pragma GCC unroll 2
  for (guint j = 0; j < 2; j++)
    {
      vi asked = vi_set1 (-1);

      if (!all)
        asked =
            (seen->first[j] < (gint32) n) & (seen->end[j] > 0) & (seen->first[j] < seen->end[j]);
      scale[j] = vf_load (factors + j * VW);
      base[j] = raise_base (most[j] * scale[j], asked, state + j * VW, &keep[j]);
      total[j] = sum[j] = largest[j] = none;
    }
  for (gint64 i = 0; i < n; i++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      {
        vf e = vf_power_of_two (vf_load (scores + i * L + j * VW) * scale[j] - base[j]);
        vf w;

        if (!all)
          e = vf_select (is_seen (seen, j, i), e, none);
        w = e * value_factors[i];
        if (!all)
          w = vf_select (is_seen (seen, j, i), w, none);
        total[j] += e;
        sum[j] += w;
        largest[j] = vf_max (largest[j], w);
        vf_store (scores + i * L + j * VW, w);
      }
  if (n % 2 != 0)
    vf_store (scores + n * L, none), vf_store (scores + n * L + VW, none);
#pragma GCC unroll 2
  for (guint j = 0; j < 2; j++)
    {
      float *sums = state + L + j * VW;

      vf_store (sums, vf_load (sums) * keep[j] + total[j]);
      /* What is no number is kept. */
      inverse[j] = vf_min (LARGEST / vf_max (largest[j], least), WEIGHTS / vf_max (least, sum[j]));
      factor[j] = 1.0f / inverse[j];
    }
  weights_to_words (n, scores, inverse, pairs);
}

static void
range_step (const guint8 *queries,
            const guint8 *keys,
            const guint8 *values,
            const gint32 *ranges,
            gint64 n,
            gint64 dim,
            gint64 v_dim,
            float *state,
            float *sums)
{
  const float *value_factors = (const float *) values;
  const gint32 *value_pairs = (const gint32 *) (value_factors + MAX_KEYS);
  float scores[(MAX_KEYS + 1) * L];
  gint32 weights[(MAX_KEYS + 1) / 2 * L];
  vf most[2], factor[2], keep[2];
  gboolean all = TRUE;
  Seen seen;

  for (guint i = 0; i < L; i++)
    all = all && ranges[i] <= 0 && ranges[L + i] >= n;
  for (guint j = 0; j < 2; j++)
    {
      seen.first[j] = (vi) vf_load (ranges + j * VW);
      seen.end[j] = (vi) vf_load (ranges + L + j * VW);
    }
  scores_of (n, dim, queries, keys, scores, most);
  if (all)
    weights_seen (TRUE, n, &seen, (const float *) queries, value_factors, most, state, scores,
                  weights, factor, keep);
  else
    {
      largest_seen (n, &seen, scores, most);
      weights_seen (FALSE, n, &seen, (const float *) queries, value_factors, most, state, scores,
                    weights, factor, keep);
    }
  sums_of (n, weights, value_pairs, v_dim, NULL, factor, keep, sums);
}

const AtlCpuAttendRange RANGE_NAME = {
  .values = range_values,
  .step = range_step,
};
