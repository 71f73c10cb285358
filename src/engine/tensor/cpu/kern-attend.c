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
#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/cpu/kern-dot.h"
#include "engine/tensor/cpu/kern-private.h"
#include "engine/tensor/cpu/kern-turn.h"

#if defined(__AVXVNNI__)
#define ATTEND_NAME atl_cpu_attend_avx2_vnni
#else
#define ATTEND_NAME ATL_SIMD_NAME (atl_cpu_attend)
#endif

#define L (2 * VW)
#define MAX_KEYS ATL_ATTEND_KEYS
#define LARGEST 32767.0f
/* (46000 + sqrt (128) / 2)^2 < 2^31 */
#define LENGTH 46000.0f
/* Elements whose products are summed in integers: more would leave each fewer bits. */
#define PIECE_PAIRS 64
/* Keys or components at a time: their sums stay in registers. */
#define PART 6
#define EACH_COUNT(F) F (1) F (2) F (3) F (4) F (5) F (6)
/* Weights are relative to the largest score so far, or to one that was: up to 2^6 is let grow
 * before earlier sums are corrected. */
#define SLACK 6.0f

static gint64
pairs_of (gint64 n)
{
  return (n + 1) / 2;
}

/* The first n elements of a row from `at` on, zeros after them. */
INLINE vf
load_row (const float *row, gint64 at, gint64 n)
{
  return at + VW <= n ? vf_load (row + at) : vf_load_some (row + at, n - at);
}

/* Words of a row, an even number of them. */
INLINE void
store_words (const float *row, gint64 n, float scale, gint16 *out)
{
  gint64 i = 0;

  for (; i + VW <= n; i += VW)
    {
      const vi v = vi_round (vf_load (row + i) * scale);

      for (guint j = 0; j < VW; j++)
        out[i + j] = (gint16) v[j];
    }
  for (; i < n; i++)
    out[i] = (gint16) lrintf (row[i] * scale);
  if (n % 2 != 0)
    out[n] = 0;
}

/* What a row is multiplied with to become words, and in `factor` what turns them back: no number
 * where an element is none or infinite. */
INLINE float
row_scale (const float *row, gint64 dim, float *factor)
{
  vf most = vf_set1 (0.0f), check = most;
  float longest = 0.0f, scale;

  for (gint64 at = 0; at < dim; at += 2 * PIECE_PAIRS)
    {
      const gint64 n = MIN (2 * PIECE_PAIRS, dim - at);
      vf squares = vf_set1 (0.0f);

      for (gint64 i = 0; i < n; i += VW)
        {
          const vf v = load_row (row + at, i, n);

          most = vf_max (most, vf_abs (v));
          check += v * 0.0f;
          squares += v * v;
        }
      longest = MAX (longest, vf_sum (squares));
    }
  scale = MIN (LARGEST / vf_largest (most), LENGTH / sqrtf (longest));
  /* Rows so small, or so large, that this is beyond floats are nothing. */
  if (!isfinite (scale) || !(scale > 0.0f))
    scale = 0.0f;
  *factor = scale > 0.0f ? 1.0f / scale : 0.0f;
  *factor += vf_sum (check);
  return scale;
}

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

/* --- Scores --- */

/* Scores (for the factors of queries) of n keys, constant, and the largest of them and `most`. */
INLINE void
score_part (guint n,
            gboolean add,
            const gint32 *queries,
            const gint32 *keys,
            gint64 stride,
            gint64 n_pairs,
            const float *factors,
            float *scores,
            vf most[2])
{
  vi dot[PART][2];

#pragma GCC unroll 6
  for (guint r = 0; r < n; r++)
    dot[r][0] = dot[r][1] = vi_set1 (0);
  for (gint64 i = 0; i < n_pairs; i++)
    {
      const vi q0 = (vi) vf_load (queries + i * L), q1 = (vi) vf_load (queries + i * L + VW);

#pragma GCC unroll 6
      for (guint r = 0; r < n; r++)
        {
          const vi key = vi_set1 (keys[r * stride + i]);

          dot[r][0] = dot_words (dot[r][0], q0, key);
          dot[r][1] = dot_words (dot[r][1], q1, key);
        }
    }
#pragma GCC unroll 6
  for (guint r = 0; r < n; r++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      {
        vf s = vf_from_vi (dot[r][j]) * factors[r];

        if (add)
          s += vf_load (scores + r * L + j * VW);
        vf_store (scores + r * L + j * VW, s);
        most[j] = vf_max (most[j], s);
      }
}

INLINE void
scores_of (
    gint64 n, gint64 dim, const guint8 *queries, const guint8 *keys, float *scores, vf most[2])
{
  const gint32 *query_pairs = (const gint32 *) (queries + L * sizeof (float));
  const float *factors = (const float *) keys;
  const gint32 *key_pairs = (const gint32 *) (factors + MAX_KEYS);
  const gint64 all = pairs_of (dim);

  most[0] = most[1] = vf_set1 (-INFINITY);
  for (gint64 at = 0; at < all; at += PIECE_PAIRS)
    {
      const gint64 n_pairs = MIN (PIECE_PAIRS, all - at);

      most[0] = most[1] = vf_set1 (-INFINITY);
      for (gint64 r = 0; r < n; r += PART)
        switch (MIN (PART, n - r))
          {
#define CASE(N)                                                                                    \
  case N:                                                                                          \
    score_part (N, at > 0, query_pairs + at * L, key_pairs + r * all + at, all, n_pairs,           \
                factors + r, scores + r * L, most);                                                \
    break;
            EACH_COUNT (CASE)
#undef CASE
          default:
            g_assert_not_reached ();
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
      vi is_new;

      scale[j] = vf_load (factors + j * VW);
      base[j] = vf_load (state + j * VW);
      top = most[j] * scale[j];
      is_new = (top > base[j] + SLACK) | (base[j] == -INFINITY);
      keep[j] = vf_select (is_new, vf_power_of_two (base[j] - top), vf_set1 (1.0f));
      base[j] = vf_select (is_new, top, base[j]);
      vf_store (state + j * VW, base[j]);
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
  for (gint64 i = 0; i < pairs_of (n); i++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      {
        const float *e = scores + 2 * i * L + j * VW;

        vf_store (pairs + i * L + j * VW,
                  (vf) join_words (vi_round (vf_load (e) * inverse[j]),
                                   vi_round (vf_load (e + L) * inverse[j])));
      }
}

/* --- Sums --- */

INLINE void
sum_part (guint n,
          const gint32 *weights,
          const gint32 *values,
          gint64 stride,
          gint64 n_pairs,
          const float *factors,
          const vf factor[2],
          const vf keep[2],
          float *sums)
{
  vi dot[PART][2];

#pragma GCC unroll 6
  for (guint c = 0; c < n; c++)
    dot[c][0] = dot[c][1] = vi_set1 (0);
  for (gint64 i = 0; i < n_pairs; i++)
    {
      const vi w0 = (vi) vf_load (weights + i * L), w1 = (vi) vf_load (weights + i * L + VW);

#pragma GCC unroll 6
      for (guint c = 0; c < n; c++)
        {
          const vi value = vi_set1 (values[i * stride + c]);

          dot[c][0] = dot_words (dot[c][0], w0, value);
          dot[c][1] = dot_words (dot[c][1], w1, value);
        }
    }
#pragma GCC unroll 6
  for (guint c = 0; c < n; c++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      {
        float *sum = sums + c * L + j * VW;

        vf_store (sum, vf_load (sum) * keep[j] + vf_from_vi (dot[c][j]) * factor[j] * factors[c]);
      }
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
  for (gint64 c = 0; c < v_dim; c += PART)
    switch (MIN (PART, v_dim - c))
      {
#define CASE(N)                                                                                    \
  case N:                                                                                          \
    sum_part (N, weights, value_pairs + c, v_dim, pairs_of (n), factors + c, factor, keep,         \
              sums + c * L);                                                                       \
    break;
        EACH_COUNT (CASE)
#undef CASE
      default:
        g_assert_not_reached ();
      }
}

/* --- Results --- */

static void
attend_finish (const float *state, const float *sums, gint64 v_dim, gint64 n, float *const *out)
{
  for (gint64 first = 0; first < n; first += VW)
    {
      const vf factor = 1.0f / vf_load (state + L + first);

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
