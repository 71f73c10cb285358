/* What attention of few queries over a quantised cache shares, in all forms that compute in
 * integers (kern-cache-*.c, kern-amx-scores.c, kern-amx-values.c).
 *
 * A query, or a row of weights times the scales of the values, is rounded to 15 or 16 bits of its
 * largest number; the codes of the cache are bytes or nibbles already. Up to eight queries meet
 * what was laid out.
 *
 * Threading: any; each call works on the memory that it is given.
 */
#pragma once

#include <immintrin.h>

#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/cpu/kern-private.h"

#define MAX_QUERIES 8
#define BYTES_LARGEST 16256.0f /* 127 * 128 */
#define WORDS_LARGEST 32767.0f

INLINE gsize
block_bytes (AtlDType t)
{
  return t == ATL_DTYPE_Q8_0 ? 34 : 18;
}

/* What is inverse to rounding numbers whose largest is `size` to `most`. */
INLINE float
inverse_of (float size, float most)
{
  float inverse = size > 0.0f ? most / size : 0.0f;

  /* Values so small that the inverse overflows are nothing beside the others. */
  return isfinite (inverse) ? inverse : 0.0f;
}

/* The weights `p` of n <= 64 values, times the scales of the values; what is behind them is zero.
 * Returns what one step stands for where they are multiplied with `inverse` and rounded, which
 * leaves at most `most`; NAN when one of them is no number. */
INLINE float
scaled_weights (const float *p, gint64 n, const vf scales[4], float most, vf w[4], float *inverse)
{
  vu largest = { 0 };
  union
  {
    guint32 bits;
    float value;
  } size;

#pragma GCC unroll 4
  for (guint i = 0; i < 4; i++)
    {
      const gint64 some = CLAMP (n - 16 * i, 0, 16);

      w[i] = some == 16 ? vf_load (p + 16 * i)
                        : (vf) _mm512_maskz_loadu_ps ((__mmask16) ((1u << some) - 1), p + 16 * i);
      w[i] *= scales[i];
      largest = (vu) _mm512_max_epu32 ((__m512i) largest, (__m512i) vf_abs (w[i]));
    }
  /* As integers, what is no number is larger than all that are. */
  size.bits = _mm512_reduce_max_epu32 ((__m512i) largest);
  *inverse = inverse_of (size.value, most);
  return !isfinite (size.value) ? NAN : *inverse > 0.0f ? size.value / most : 0.0f;
}

/* What will be wanted soon, asked for a few lines at a time, as it lies: more at once than the
 * processor has buffers for would make it wait. */
typedef struct
{
  const guint8 *at;
  gsize left, row_bytes, skip; /* bytes: to the end of the row, of a row, to the next */
  gint64 n_rows;               /* with this one */
  gsize n_lines;               /* of a step */
  gsize far;                   /* bytes: what is asked for the second-level cache; 0: nothing */
  gboolean is_far;             /* all for that one */
} Ahead;

/* For `n_steps` steps. */
INLINE Ahead
ahead_of (const AtlCacheRows *rows, gint64 n_steps)
{
  const gboolean is_one = rows->ahead_stride == rows->ahead_bytes;
  Ahead a = { .at = rows->ahead,
              .row_bytes = is_one ? (gsize) rows->n * rows->ahead_bytes : rows->ahead_bytes,
              .skip = rows->ahead_stride - rows->ahead_bytes,
              .n_rows = rows->ahead_bytes == 0 ? 0
                        : is_one               ? 1
                                               : rows->n };
  const gsize n_lines = (gsize) a.n_rows * ((a.row_bytes + 63) / 64);

  a.left = a.row_bytes;
  a.n_lines = (n_lines + (gsize) n_steps - 1) / (gsize) n_steps;
  return a;
}

INLINE void
ask (Ahead *a)
{
  for (gsize i = 0; i < a->n_lines && a->n_rows > 0; i++)
    {
      if (a->far > 0 || a->is_far)
        __builtin_prefetch (a->at + a->far, 0, 2);
      if (!a->is_far)
        __builtin_prefetch (a->at);
      if (a->left > 64)
        {
          a->at += 64;
          a->left -= 64;
        }
      else
        {
          a->at += a->left + a->skip;
          a->left = a->row_bytes;
          a->n_rows--;
        }
    }
}
