/* What kern-amx-scores.c and kern-amx-values.c share: attention of few queries over a cache of
 * q8_0, in tiles of bytes.
 *
 * A query, or a row of weights times the scales of the values, is rounded to 15 bits of its largest
 * number and split into two signed bytes, x = scale (128 hi + lo), as activations are in
 * kern-quant.c; the codes of the cache are bytes already. Up to eight queries meet a tile at a
 * time.
 */
#pragma once

#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/cpu/kern-amx.h"
#include "engine/tensor/cpu/kern-private.h"

#define BLOCK_BYTES 34
#define LARGEST 16256.0f /* 127 * 128 */
#define MAX_QUERIES 8

typedef struct
{
  guint rows, row_bytes;
} TileShape;

/* Shapes of tiles 0 to 3, of 4 and 5, of 6 and 7. */
INLINE void
configure (TileShape sums, TileShape left, TileShape right)
{
  _Alignas(64) AtlTileConfig config = { .palette = 1 };

  for (guint i = 0; i < 8; i++)
    {
      const TileShape s = i < 4 ? sums : i < 6 ? left : right;

      config.row_bytes[i] = (guint16) s.row_bytes;
      config.rows[i] = (guint8) s.rows;
    }
  __asm__ volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig (&config);
}

/* What will be wanted soon, asked for a few lines at a time: more at once than the processor has
 * buffers for would make it wait. */
typedef struct
{
  const guint8 *at;
  gsize left, row_bytes, skip; /* bytes: to the end of the row, of a row, to the next */
  gint64 n_rows;               /* with this one */
  gsize n_lines;               /* of a step */
  gboolean is_far;             /* for the second-level cache */
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
      if (a->is_far)
        __builtin_prefetch (a->at, 0, 2);
      else
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

/* The scales of `n` <= 16 blocks, `stride` bytes apart; zeros for the others. */
INLINE vf
scales_of (const guint8 *first, gsize stride, gint64 n)
{
  const vi lane = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
  const __m512i places = (__m512i) (lane * (gint32) stride);
  __m512i both;

  if (n == 16)
    both = _mm512_i32gather_epi32 (places, first, 1);
  else
    both = _mm512_mask_i32gather_epi32 (_mm512_setzero_si512 (), (__mmask16) ((1u << n) - 1),
                                        places, first, 1);
  return (vf) _mm512_cvtph_ps (_mm512_cvtepi32_epi16 (both));
}

/* What is inverse to the rounding to 15 bits of numbers whose largest is `size`. */
INLINE float
inverse_of (float size)
{
  float inverse = size > 0.0f ? LARGEST / size : 0.0f;

  /* Values so small that the inverse overflows are nothing beside the others. */
  return isfinite (inverse) ? inverse : 0.0f;
}
