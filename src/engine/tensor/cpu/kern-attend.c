/* Attention of many queries that see every key, in words of 16 bits: twice as many products an
 * instruction as in floats, and none for what would fill a vector of a head's elements.
 *
 * Queries lie in the lanes of two vectors, a tile; elements of keys and values are spread to all
 * lanes. So nothing of a block of keys is turned, largest scores and sums need no shuffles, and the
 * weights of two keys that follow each other are the two words of a lane.
 *
 * Numbers that are summed, an element of a head or a key each, are rounded so that their Euclidean
 * length is at most 46000: by the inequality of Cauchy and Schwarz no sum of products, nor a part
 * of it, then leaves 32 bits. Lengths keep more bits than the largest sizes would: together the
 * roundings cost about 1e-4 of a result's size.
 *
 * Layouts, with L = 2 VW lanes:
 *   queries: [L] factors of scores; [pairs of elements][L] pairs of words
 *   keys:    [ATL_ATTEND_KEYS] factors; [keys][pairs of elements] pairs of words
 *   values:  [v_dim] factors; [pairs of keys][v_dim] pairs of words
 *   state:   [L] what weights are relative to, as a power of two; [L] sums of weights
 *   sums:    [v_dim][L]
 */
#include "engine/tensor/cpu/kern-attend.h"
#include "engine/tensor/cpu/kern-turn.h"

#if defined(__AVXVNNI__)
#define ATTEND_NAME atl_cpu_attend_avx2_vnni
#else
#define ATTEND_NAME ATL_SIMD_NAME (atl_cpu_attend)
#endif

/* --- Queries --- */

static void
attend_queries (const float *const *rows, gint64 n, gint64 dim, float factor, guint8 *out)
{
  const gint64 n_pairs = pairs_of (dim);
  float *factors = (float *) out;
  gint32 *pairs = (gint32 *) (factors + L);
  float scales[L] = { 0.0f };

  for (gint64 r = 0; r < L; r++)
    {
      factors[r] = 0.0f;
      if (r < n)
        scales[r] = row_scale (rows[r], dim, &factors[r]);
      factors[r] *= factor;
    }
  for (gint64 at = 0; at < n_pairs; at += VW)
    for (gint64 first = 0; first < L; first += VW)
      {
        vf square[VW];

        for (gint64 r = 0; r < VW; r++)
          {
            gint16 words[2 * VW] = { 0 };

            if (first + r < n)
              store_words (rows[first + r] + 2 * at, MIN (2 * VW, dim - 2 * at), scales[first + r],
                           words);
            square[r] = vf_load (words);
          }
        turn_square (square);
        for (gint64 i = 0; i < MIN (VW, n_pairs - at); i++)
          vf_store (pairs + (at + i) * L + first, square[i]);
      }
}

/* --- Keys and values --- */

static void
attend_keys (const float *const *rows, gint64 n, gint64 dim, guint8 *out)
{
  float *factors = (float *) out;
  gint16 *words = (gint16 *) (factors + MAX_KEYS);

  for (gint64 r = 0; r < n; r++, words += 2 * pairs_of (dim))
    store_words (rows[r], dim, row_scale (rows[r], dim, &factors[r]), words);
}

static void
attend_values (const float *const *rows, gint64 n, gint64 dim, guint8 *out)
{
  const vf none = vf_set1 (0.0f);
  float *factors = (float *) out;
  gint32 *pairs = (gint32 *) (factors + dim);

  for (gint64 at = 0; at < dim; at += VW)
    {
      const gint64 n_elems = MIN (VW, dim - at);
      vf most = none, check = none, squares = none, size, scale;
      vi is_any;

      for (gint64 r = 0; r < n; r++)
        {
          const vf v = load_row (rows[r], at, dim);

          most = vf_max (most, vf_abs (v));
          check += v * 0.0f;
          squares += v * v;
        }
      size = vf_max (most * (1.0f / LARGEST), vf_sqrt (squares) * (1.0f / LENGTH));
      is_any = size > 1e-30f;
      scale = vf_select (is_any, 1.0f / size, none);
      vf_store_some (factors + at, n_elems, vf_select (is_any, size, none) + check);
      for (gint64 r = 0; r < n; r += 2)
        {
          const vi first = vi_round (load_row (rows[r], at, dim) * scale);
          const vi second =
              r + 1 < n ? vi_round (load_row (rows[r + 1], at, dim) * scale) : vi_set1 (0);

          vf_store_some ((float *) (pairs + r / 2 * dim + at), n_elems,
                         (vf) join_words (first, second));
        }
    }
}

/* --- Weights --- */

/* Scores become weights, pairs of words of two keys; `factor` is what those stand for, and `keep`
 * what earlier sums are multiplied with. */
INLINE void
weights_of (gint64 n,
            const float *factors,
            const vf most[2],
            float *state,
            float *scores,
            gint32 *pairs,
            vf factor[2],
            vf keep[2])
{
  vf scale[2], base[2], total[2], largest[2], inverse[2];

#pragma GCC unroll 2
  for (guint j = 0; j < 2; j++)
    {
      vf top;

      scale[j] = vf_load (factors + j * VW);
      top = most[j] * scale[j];
      base[j] = raise_base (top, vi_set1 (-1), state + j * VW, &keep[j]);
      largest[j] = vf_max (vf_power_of_two (top - base[j]), vf_set1 (1e-30f));
      total[j] = vf_set1 (0.0f);
    }
  for (gint64 i = 0; i < n; i++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      {
        const vf e = vf_power_of_two (vf_load (scores + i * L + j * VW) * scale[j] - base[j]);

        total[j] += e;
        vf_store (scores + i * L + j * VW, e);
      }
  if (n % 2 != 0)
    vf_store (scores + n * L, vf_set1 (0.0f)), vf_store (scores + n * L + VW, vf_set1 (0.0f));
#pragma GCC unroll 2
  for (guint j = 0; j < 2; j++)
    {
      float *sum = state + L + j * VW;

      vf_store (sum, vf_load (sum) * keep[j] + total[j]);
      /* No weight is beyond the largest, so that bounds the squares. What is no number is kept. */
      inverse[j] = vf_min (LARGEST / largest[j], LENGTH / vf_sqrt (largest[j] * total[j]));
      factor[j] = 1.0f / inverse[j];
    }
  weights_to_words (n, scores, inverse, pairs);
}

static void
attend_step (const guint8 *queries,
             const guint8 *keys,
             const guint8 *values,
             gint64 n,
             gint64 dim,
             gint64 v_dim,
             float *state,
             float *sums)
{
  const float *factors = (const float *) values;
  const gint32 *value_pairs = (const gint32 *) (factors + v_dim);
  float scores[(MAX_KEYS + 1) * L];
  gint32 weights[(MAX_KEYS + 1) / 2 * L];
  vf most[2], factor[2], keep[2];

  scores_of (n, dim, queries, keys, scores, most);
  weights_of (n, (const float *) queries, most, state, scores, weights, factor, keep);
  sums_of (n, weights, value_pairs, v_dim, factors, factor, keep, sums);
}

/* --- Results --- */

static void
attend_finish (const float *state, const float *sums, gint64 v_dim, gint64 n, float *const *out)
{
  for (gint64 first = 0; first < n; first += VW)
    {
      const vf total = vf_load (state + L + first);
      /* Of a query that sees no key nothing is left. */
      const vf factor = vf_select (total == 0.0f, vf_set1 (0.0f), 1.0f / total);

      for (gint64 at = 0; at < v_dim; at += VW)
        {
          const gint64 n_elems = MIN (VW, v_dim - at);
          vf square[VW];

          for (gint64 i = 0; i < VW; i++)
            square[i] =
                i < n_elems ? vf_load (sums + (at + i) * L + first) * factor : vf_set1 (0.0f);
          turn_square (square);
          for (gint64 r = 0; r < MIN (VW, n - first); r++)
            if (n_elems == VW)
              vf_store (out[first + r] + at, square[r]);
            else
              vf_store_some (out[first + r] + at, n_elems, square[r]);
        }
    }
}

const AtlCpuAttend ATTEND_NAME = {
  .n_lanes = L,
  .queries = attend_queries,
  .keys = attend_keys,
  .values = attend_values,
  .step = attend_step,
  .finish = attend_finish,
};
