/* Attention of many queries in words of 16 bits: what its two forms share, all queries seeing every
 * key (kern-attend.c, with the arithmetic and the layouts) and each a range of its own
 * (kern-attend-range.c).
 *
 * Threading: any; each call works on the memory that it is given.
 */
#pragma once

#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/cpu/kern-dot.h"
#include "engine/tensor/cpu/kern-private.h"

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

INLINE gint64
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

/* What powers of two are taken from, of lanes whose largest product is `top`: raised to that where
 * it is well above what `base` says and the lane is one of `asked`. `keep` is what earlier sums are
 * multiplied with. */
INLINE vf
raise_base (vf top, vi asked, float *base, vf *keep)
{
  const vf old = vf_load (base);
  const vi is_new = asked & ((top > old + SLACK) | (old == -INFINITY));
  const vf raised = vf_select (is_new, top, old);

  *keep = vf_select (is_new, vf_power_of_two (old - top), vf_set1 (1.0f));
  vf_store (base, raised);
  return raised;
}

/* Weights [n, to an even number][L], times `inverse`, as pairs of words of two keys. */
INLINE void
weights_to_words (gint64 n, const float *weights, const vf inverse[2], gint32 *pairs)
{
  for (gint64 i = 0; i < pairs_of (n); i++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      {
        const float *w = weights + 2 * i * L + j * VW;

        vf_store (pairs + i * L + j * VW,
                  (vf) join_words (vi_round (vf_load (w) * inverse[j]),
                                   vi_round (vf_load (w + L) * inverse[j])));
      }
}

/* --- Products --- */

/* Pairs of words of lanes, [n_pairs][L], with those of n rows, constant, which are the same for all
 * lanes: `between` pairs from row to row, `along` to the next of a row. */
INLINE void
dots_of (guint n,
         const gint32 *lanes,
         const gint32 *rows,
         gint64 between,
         gint64 along,
         gint64 n_pairs,
         vi dot[PART][2])
{
#pragma GCC unroll 6
  for (guint r = 0; r < n; r++)
    dot[r][0] = dot[r][1] = vi_set1 (0);
  for (gint64 i = 0; i < n_pairs; i++)
    {
      const vi first = (vi) vf_load (lanes + i * L), second = (vi) vf_load (lanes + i * L + VW);

#pragma GCC unroll 6
      for (guint r = 0; r < n; r++)
        {
          const vi both = vi_set1 (rows[r * between + i * along]);

          dot[r][0] = dot_words (dot[r][0], first, both);
          dot[r][1] = dot_words (dot[r][1], second, both);
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

  dots_of (n, queries, keys, stride, 1, n_pairs, dot);
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

/* --- Sums --- */

/* `factors` of components: nullable, constant. */
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

  dots_of (n, weights, values, 1, stride, n_pairs, dot);
#pragma GCC unroll 6
  for (guint c = 0; c < n; c++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      {
        float *sum = sums + c * L + j * VW;

        vf s = vf_from_vi (dot[c][j]) * factor[j];

        if (factors != NULL)
          s *= factors[c];
        vf_store (sum, vf_load (sum) * keep[j] + s);
      }
}

/* The weighted values of n keys, in pairs, added to sums[v_dim][L]. */
INLINE void
sums_of (gint64 n,
         const gint32 *weights,
         const gint32 *values,
         gint64 v_dim,
         const float *factors,
         const vf factor[2],
         const vf keep[2],
         float *sums)
{
  for (gint64 c = 0; c < v_dim; c += PART)
    switch (MIN (PART, v_dim - c))
      {
#define CASE(N)                                                                                    \
  case N:                                                                                          \
    sum_part (N, weights, values + c, v_dim, pairs_of (n), factors != NULL ? factors + c : NULL,   \
              factor, keep, sums + c * L);                                                         \
    break;
        EACH_COUNT (CASE)
#undef CASE
      default:
        g_assert_not_reached ();
      }
}
