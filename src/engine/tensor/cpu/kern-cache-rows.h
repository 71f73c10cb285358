/* How a quantised cache is read with vectors of 512 bits. Used by kern-cache-*.c.
 *
 * Threading: any; each call works on the memory that it is given.
 */
#pragma once

#include <immintrin.h>

#include "engine/tensor/cpu/kern-cache.h"

/* Four rows that follow each other. Through a register that is not looked into: gcc would keep more
 * addresses than there are registers. */
typedef struct
{
  const guint8 *at;
  gsize stride, three;
} FourRows;

INLINE FourRows
four_rows (const guint8 *at, gsize stride)
{
  FourRows f = { at, stride, 3 * stride };

  __asm__("" : "+r"(f.at), "+r"(f.stride), "+r"(f.three));
  return f;
}

INLINE const guint8 *
row_of (const FourRows *f, guint i)
{
  return f->at + (i < 3 ? i * f->stride : f->three);
}

INLINE gint16
half_at (const guint8 *p)
{
  gint16 v;

  memcpy (&v, p, sizeof v);
  return v;
}

/* The scales of 16 blocks, 8 of them at a time: gathering them takes longer. */
INLINE vf
scales_of (const guint8 *block, gsize stride)
{
  __m128i v[2];

#pragma GCC unroll 2
  for (guint k = 0; k < 2; k++)
    {
      const FourRows a = four_rows (block + 8 * k * stride, stride);
      const FourRows b = four_rows (block + (8 * k + 4) * stride, stride);

      v[k] = _mm_cvtsi32_si128 (half_at (row_of (&a, 0)));
      v[k] = _mm_insert_epi16 (v[k], half_at (row_of (&a, 1)), 1);
      v[k] = _mm_insert_epi16 (v[k], half_at (row_of (&a, 2)), 2);
      v[k] = _mm_insert_epi16 (v[k], half_at (row_of (&a, 3)), 3);
      v[k] = _mm_insert_epi16 (v[k], half_at (row_of (&b, 0)), 4);
      v[k] = _mm_insert_epi16 (v[k], half_at (row_of (&b, 1)), 5);
      v[k] = _mm_insert_epi16 (v[k], half_at (row_of (&b, 2)), 6);
      v[k] = _mm_insert_epi16 (v[k], half_at (row_of (&b, 3)), 7);
    }
  return (vf) _mm512_cvtph_ps (_mm256_set_m128i (v[1], v[0]));
}

/* AtlCpuCacheTiles: kern-cache-scores.c. */
#define DECLARE_SCORES(NAME)                                                                       \
  gsize atl_cache_queries_bytes_##NAME (gint64 n_q, gint64 width);                                 \
  void atl_cache_prepare_queries_##NAME (const float *const *q, gint64 n_q, gint64 width,          \
                                         guint8 *out);                                             \
  void atl_cache_scores_##NAME (const AtlCacheRows *keys, const guint8 *q, gint64 n_q, float *out);

DECLARE_SCORES (q8_0)
DECLARE_SCORES (q4_0)
