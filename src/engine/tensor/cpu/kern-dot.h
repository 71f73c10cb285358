/* Products of words, two of them a lane; the file that includes it is compiled for AVX2 with and
 * without its VNNI, and for AVX-512 with it, tiles also with ATL_CROSSED.
 *
 * CROSSED: sums of products with half as many multiplications (Winograd, 1968). Of two elements
 *
 *   x0 w0 + x1 w1 = (x0 + w1) (x1 + w0) - x0 x1 - w0 w1,
 *
 * where what is subtracted is made once for a row and once for a column. So 32 products take two
 * additions and one multiplication instead of two multiplications; processors with vectors of 256
 * bits do more additions at a time than multiplications (4 and 2 a cycle on AMD's, 3 and 1 on
 * Haswell) or, without VNNI, add in any case. With 512 bits AMD's still do 4 and 2, Intel's 2 of
 * both, so that those tiles are compiled both ways (ATL_CROSSED). All is exact as long as two words
 * together fit into 16 bits: sums of products may leave 32 bits on the way, since they come back
 * with the last.
 *
 * Threading: any; each call works on the memory that it is given.
 */
#pragma once

#include "engine/tensor/cpu/simd.h"

/* a + b modulo 2^32. */
INLINE vi
sum_wrapping (vi a, vi b)
{
  return (vi) ((vu) a + (vu) b);
}

/* a + the products of both words of each lane. */
INLINE vi
dot_words (vi a, vi w, vi x)
{
#if defined(ATL_SIMD_AVX512)
  return (vi) _mm512_dpwssd_epi32 ((__m512i) a, (__m512i) w, (__m512i) x);
#elif defined(__AVXVNNI__)
  return (vi) _mm256_dpwssd_avx_epi32 ((__m256i) a, (__m256i) w, (__m256i) x);
#else
  return sum_wrapping (a, (vi) _mm256_madd_epi16 ((__m256i) w, (__m256i) x));
#endif
}

/* sum += the products of both words of each lane. Written out, since compilers copy or spill
 * registers of a loop of intrinsics. */
INLINE void
add_dot (vi *sum, vi w, vi x)
{
#if defined(ATL_SIMD_AVX512)
  __asm__("vpdpwssd %2, %1, %0" : "+v"(*sum) : "v"(w), "v"(x));
#elif defined(__AVXVNNI__)
  __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(*sum) : "x"(w), "x"(x));
#else
  __asm__("vpmaddwd %2, %1, %1\n\tvpaddd %1, %0, %0" : "+x"(*sum), "+x"(w) : "x"(x));
#endif
}

#if defined(ATL_SIMD_AVX512) && !defined(ATL_CROSSED)
#define CROSSED 0
#else
#define CROSSED 1
#endif

/* Rows of a tile of words, and how many are taken at a time: their sums stay in registers. */
#define WORD_ROWS (VW == 16 ? 12 : 8)
#define WORD_PART (CROSSED ? 4 : 6)

/* sum += the products of x0 and w0 and those of x1 and w1, and those of x0 and x1 and of w0 and w1.
 */
INLINE void
add_crossed (vi *sum, vi x0, vi x1, vi w0, vi w1)
{
  add_dot (sum, (vi) ((vh) x0 + (vh) w1), (vi) ((vh) x1 + (vh) w0));
}

/* Sums of the products of n pairs of words, an even number, of WORD_PART rows, words[n][WORD_ROWS],
 * and two vectors of outputs, 64 bytes a pair at `panel`. CROSSED: `row_crossed` and
 * `panel_crossed` are minus what is crossed within each row and output, else unused. */
INLINE void
dot_part (gsize n,
          const gint32 *words,
          const guint8 *const panel[2],
          const gint32 *row_crossed,
          const guint8 *const panel_crossed[2],
          vi dot[WORD_PART][2])
{
#pragma GCC unroll 12
  for (guint r = 0; r < WORD_PART; r++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
#if CROSSED
      dot[r][j] = sum_wrapping ((vi) vf_load (panel_crossed[j]), vi_set1 (row_crossed[r]));
#else
      dot[r][j] = vi_set1 (0);
#endif
#if CROSSED
  for (gsize i = 0; i < n; i += 2)
    {
      const vi w0 = (vi) vf_load (panel[0] + i * 64), w1 = (vi) vf_load (panel[0] + i * 64 + 64);
      const vi u0 = (vi) vf_load (panel[1] + i * 64), u1 = (vi) vf_load (panel[1] + i * 64 + 64);

#pragma GCC unroll 12
      for (guint r = 0; r < WORD_PART; r++)
        {
          const vi x0 = vi_set1 (words[i * WORD_ROWS + r]);
          const vi x1 = vi_set1 (words[(i + 1) * WORD_ROWS + r]);

          add_crossed (&dot[r][0], x0, x1, w0, w1);
          add_crossed (&dot[r][1], x0, x1, u0, u1);
        }
    }
#else
  for (gsize i = 0; i < n; i++)
    {
      const vi w = (vi) vf_load (panel[0] + i * 64), u = (vi) vf_load (panel[1] + i * 64);

#pragma GCC unroll 12
      for (guint r = 0; r < WORD_PART; r++)
        {
          const vi x = vi_set1 (words[i * WORD_ROWS + r]);

          dot[r][0] = dot_words (dot[r][0], w, x);
          dot[r][1] = dot_words (dot[r][1], u, x);
        }
    }
#endif
}

/* Two vectors of integers of 16 bits as the first and second word of each lane. */
INLINE vi
join_words (vi first, vi second)
{
  return (first & 0xffff) | (vi) ((vu) second << 16);
}
