/* Which table of inner loops a level uses. */
#include "engine/tensor/cpu/cpu-private.h"

#if defined(__x86_64__)
#include "engine/tensor/cpu/kern-amx.h"

extern const AtlCpuKernels atl_cpu_kernels_avx2;
extern const AtlCpuKernels atl_cpu_kernels_avx512;
extern const AtlCpuWinograd atl_cpu_winograd_avx2, atl_cpu_winograd_avx512;
#ifdef ATL_TEST_LEVELS
/* atl_amx_fill() of kern-amx-emulated.h. */
void atl_amx_emulated_fill (AtlCpuKernels *kernels, gboolean has_int8);
#endif

const AtlCpuKernels *
atl_cpu_kernels (AtlCpuLevel level, gboolean exact)
{
  static AtlCpuKernels avx2, avx512, plain_avx512, exact_plain_avx512, amx;
  static gsize once;

  if (g_once_init_enter (&once))
    {
      avx2 = atl_cpu_kernels_avx2;
      avx2.quant_tiles =
          atl_cpu_features ()->avx_vnni ? &atl_cpu_words_avx2_vnni : &atl_cpu_words_avx2;
      avx2.plain_tiles = atl_cpu_features ()->avx_vnni ? &atl_cpu_plain_words_avx2_vnni
                                                       : &atl_cpu_plain_words_avx2;
      avx2.attend =
          atl_cpu_features ()->avx_vnni ? &atl_cpu_attend_avx2_vnni : &atl_cpu_attend_avx2;
      avx2.attend_range = atl_cpu_features ()->avx_vnni ? &atl_cpu_attend_range_avx2_vnni
                                                        : &atl_cpu_attend_range_avx2;
      avx2.byte_tiles =
          atl_cpu_features ()->avx_vnni ? &atl_cpu_bytes_avx2_vnni : &atl_cpu_bytes_avx2;
      avx2.winograd = &atl_cpu_winograd_avx2;
      if (atl_cpu_features ()->avx_vnni)
        atl_cpu_dots_avx2_vnni (&avx2);
      avx512 = atl_cpu_kernels_avx512;
      avx512.winograd = &atl_cpu_winograd_avx512;
      avx512.quant_tiles =
          atl_cpu_features ()->adds_faster ? &atl_cpu_words_avx512_crossed : &atl_cpu_words_avx512;
      avx512.plain_tiles = atl_cpu_features ()->adds_faster ? &atl_cpu_plain_words_avx512_crossed
                                                            : &atl_cpu_plain_words_avx512;
      avx512.attend = &atl_cpu_attend_avx512;
      avx512.attend_range = &atl_cpu_attend_range_avx512;
      avx512.byte_tiles = &atl_cpu_bytes_avx512;
      avx512.q8_tiles = &atl_cpu_cache_q8_0_avx512;
      avx512.q4_tiles = &atl_cpu_cache_q4_0_avx512;

      /* Without VNNI the products of bytes are those of AVX2. */
      exact_plain_avx512 = atl_cpu_kernels_avx512;
      exact_plain_avx512.quantize_row = atl_cpu_kernels_avx2.quantize_row;
      exact_plain_avx512.packed_dot = atl_cpu_kernels_avx2.packed_dot;
      exact_plain_avx512.packed_dot_two = atl_cpu_kernels_avx2.packed_dot_two;
      exact_plain_avx512.fast_rows = atl_cpu_kernels_avx2.fast_rows;
      plain_avx512 = exact_plain_avx512;
      plain_avx512.winograd = &atl_cpu_winograd_avx512;

      amx = atl_cpu_kernels_avx512;
      amx.q8_tiles = &atl_cpu_cache_q8_0_avx512;
      amx.q4_tiles = &atl_cpu_cache_q4_0_avx512;
#ifdef ATL_TEST_LEVELS
      if (atl_cpu_features ()->best != ATL_CPU_AMX)
        atl_amx_emulated_fill (&amx, TRUE);
      else
#endif
        atl_amx_fill (&amx, atl_cpu_features ()->amx_int8);
      g_once_init_leave (&once, 1);
    }
  switch (level)
    {
    case ATL_CPU_AVX2:
      return exact ? &atl_cpu_kernels_avx2 : &avx2;
    case ATL_CPU_AVX512:
      if (!atl_cpu_features ()->vnni)
        return exact ? &exact_plain_avx512 : &plain_avx512;
      return exact ? &atl_cpu_kernels_avx512 : &avx512;
    case ATL_CPU_AMX:
      return exact ? &atl_cpu_kernels_avx512 : &amx;
    default:
      return NULL;
    }
}

#elif defined(__aarch64__)

extern const AtlCpuKernels atl_cpu_kernels_neon;
extern const AtlCpuWinograd atl_cpu_winograd_neon;

const AtlCpuKernels *
atl_cpu_kernels (AtlCpuLevel level, gboolean exact)
{
  static AtlCpuKernels neon;
  static gsize once;

  if (g_once_init_enter (&once))
    {
      neon = atl_cpu_kernels_neon;
      neon.winograd = &atl_cpu_winograd_neon;
      g_once_init_leave (&once, 1);
    }
  if (level != ATL_CPU_NEON)
    return NULL;
  return exact ? &atl_cpu_kernels_neon : &neon;
}

#else

const AtlCpuKernels *
atl_cpu_kernels (AtlCpuLevel level, gboolean exact)
{
  return NULL;
}

#endif
