/* What kern-amx-scores.c and kern-amx-values.c share: attention of few queries over a cache of
 * q8_0, in tiles of bytes.
 *
 * A query, or a row of weights times the scales of the values, is rounded to 15 bits of its largest
 * number and split into two signed bytes, x = scale (128 hi + lo), as activations are in
 * kern-quant.c; the codes of the cache are bytes already. Up to eight queries meet a tile at a
 * time.
 *
 * Threading: any; each call works on the memory that it is given.
 */
#pragma once

#include "engine/tensor/cpu/kern-amx.h"
#include "engine/tensor/cpu/kern-cache.h"

#define BLOCK_BYTES 34

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
