/* Products of words, two of them a lane; the file that includes it is compiled for AVX2 with and
 * without its VNNI, and for AVX-512 with it. */
#pragma once

#include "engine/tensor/cpu/simd.h"

/* a + the products of both words of each lane. */
INLINE vi
dot_words (vi a, vi w, vi x)
{
#if defined(ATL_SIMD_AVX512)
  return (vi) _mm512_dpwssd_epi32 ((__m512i) a, (__m512i) w, (__m512i) x);
#elif defined(__AVXVNNI__)
  return (vi) _mm256_dpwssd_avx_epi32 ((__m256i) a, (__m256i) w, (__m256i) x);
#else
  return a + (vi) _mm256_madd_epi16 ((__m256i) w, (__m256i) x);
#endif
}

/* Two vectors of integers of 16 bits as the first and second word of each lane. */
INLINE vi
join_words (vi first, vi second)
{
  return (first & 0xffff) | (vi) ((vu) second << 16);
}
