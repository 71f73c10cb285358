/* Vectors of the level that a file is compiled for, so that one source serves all levels.
 *
 * Exactly one of ATL_SIMD_AVX2, ATL_SIMD_AVX512, ATL_SIMD_NEON is defined by the build, together
 * with the compiler's flags. Arithmetic uses the compiler's own vectors (a * b + c becomes one
 * fused instruction); the rest is a few functions below. ATL_SIMD_NAME (x) gives a function of a
 * level its own name.
 *
 * Threading: any; each call works on its own vectors.
 */
#pragma once

#include <glib.h>
#include <math.h>
#include <string.h>

#include "engine/tensor/ops.h"

#if defined(ATL_SIMD_AVX512)
#include <immintrin.h>
#define VW 16
#define ATL_SIMD_NAME(x) x##_avx512
#elif defined(ATL_SIMD_AVX2)
#include <immintrin.h>
#define VW 8
#define ATL_SIMD_NAME(x) x##_avx2
#elif defined(ATL_SIMD_NEON)
#include <arm_neon.h>
#define VW 4
#define ATL_SIMD_NAME(x) x##_neon
#else
#error "no level to compile for"
#endif

#define VB (4 * VW) /* bytes of a vector */
#define INLINE static inline __attribute__ ((always_inline))

typedef float vf __attribute__ ((vector_size (VB)));
typedef gint32 vi __attribute__ ((vector_size (VB)));
typedef guint32 vu __attribute__ ((vector_size (VB)));
typedef gint16 vh __attribute__ ((vector_size (VB)));
typedef guint8 vb __attribute__ ((vector_size (VB)));
typedef gint8 vs __attribute__ ((vector_size (VB)));

INLINE vf
vf_load (const void *p)
{
  vf v;
  memcpy (&v, p, sizeof v);
  return v;
}

INLINE void
vf_store (void *p, vf v)
{
  memcpy (p, &v, sizeof v);
}

/* The first n < VW floats; the others are zero. */
INLINE vf
vf_load_some (const float *p, gint64 n)
{
  float v[VW] = { 0 };

  memcpy (v, p, (gsize) n * sizeof *v);
  return vf_load (v);
}

INLINE void
vf_store_some (float *p, gint64 n, vf v)
{
  float some[VW];

  vf_store (some, v);
  memcpy (p, some, (gsize) n * sizeof *some);
}

INLINE vb
vb_load (const void *p)
{
  vb v;
  memcpy (&v, p, sizeof v);
  return v;
}

INLINE vf
vf_set1 (float x)
{
  return x - (vf){ 0 };
}

INLINE vi
vi_set1 (gint32 x)
{
  return x - (vi){ 0 };
}

/* Four bytes at `p`, in every lane. */
INLINE vb
vb_quad (const void *p)
{
  gint32 v;
  memcpy (&v, p, sizeof v);
  return (vb) vi_set1 (v);
}

INLINE vf
vf_from_vi (vi v)
{
  return __builtin_convertvector(v, vf);
}

/* Lanes of `a` where `mask` is all ones, of `b` elsewhere. */
INLINE vf
vf_select (vi mask, vf a, vf b)
{
  return (vf) (((vi) a & mask) | ((vi) b & ~mask));
}

#if defined(ATL_SIMD_AVX512)

INLINE vf
vf_max (vf a, vf b)
{
  return (vf) _mm512_max_ps ((__m512) a, (__m512) b);
}
INLINE vf
vf_min (vf a, vf b)
{
  return (vf) _mm512_min_ps ((__m512) a, (__m512) b);
}
INLINE vf
vf_abs (vf a)
{
  return (vf) _mm512_abs_ps ((__m512) a);
}
INLINE vi
vi_round (vf a)
{
  return (vi) _mm512_cvtps_epi32 ((__m512) a);
}
INLINE vf
vf_round (vf a)
{
  return (vf) _mm512_roundscale_ps ((__m512) a, 8);
}
INLINE vf
vf_sqrt (vf a)
{
  return (vf) _mm512_sqrt_ps ((__m512) a);
}
INLINE vf
vf_load_f16 (const void *p)
{
  return (vf) _mm512_cvtph_ps (_mm256_loadu_si256 (p));
}
INLINE void
vf_store_f16 (void *p, vf v)
{
  _mm256_storeu_si256 (p, _mm512_cvtps_ph ((__m512) v, 8));
}
/* Past the caches, to an address that is a multiple of VB; vf_stream_end before others may read. */
INLINE void
vf_stream (void *p, vf v)
{
  _mm512_stream_ps (p, (__m512) v);
}
INLINE void
vf_stream_end (void)
{
  _mm_sfence ();
}
INLINE vf
vf_load_bf16 (const void *p)
{
  return (vf) _mm512_slli_epi32 (_mm512_cvtepu16_epi32 (_mm256_loadu_si256 (p)), 16);
}
/* Half `h` (constant) of a vector of f16 or bf16. */
INLINE vf
vf_from_halves (gboolean is_f16, vh v, guint h)
{
  const __m256i half =
      h == 0 ? _mm512_castsi512_si256 ((__m512i) v) : _mm512_extracti64x4_epi64 ((__m512i) v, 1);

  return is_f16 ? (vf) _mm512_cvtph_ps (half)
                : (vf) _mm512_slli_epi32 (_mm512_cvtepu16_epi32 (half), 16);
}
INLINE vi
vi_load_u8 (const void *p)
{
  return (vi) _mm512_cvtepu8_epi32 (_mm_loadu_si128 (p));
}
INLINE vi
vi_load_i8 (const void *p)
{
  return (vi) _mm512_cvtepi8_epi32 (_mm_loadu_si128 (p));
}
INLINE vb
vb_table (vb table, vb index)
{
  return (vb) _mm512_shuffle_epi8 ((__m512i) table, (__m512i) index);
}
INLINE float
vf_sum (vf a)
{
  return _mm512_reduce_add_ps ((__m512) a);
}
INLINE float
vf_largest (vf a)
{
  return _mm512_reduce_max_ps ((__m512) a);
}
INLINE vf
vf_set1_f16 (const void *p)
{
  return vf_set1 (_cvtsh_ss (*(const guint16 *) p));
}
/* Lane i: the sum of a[i]. */
INLINE vf
vf_sums (const vf a[VW])
{
  __m512 t[8], u[4], v[2];

  /* Each step halves the number of vectors; a blend costs less than a second shuffle. */
#pragma GCC unroll 8
  for (guint i = 0; i < 8; i++)
    t[i] = _mm512_add_ps (
        _mm512_mask_blend_ps (0xcccc, (__m512) a[2 * i], (__m512) a[2 * i + 1]),
        _mm512_shuffle_ps ((__m512) a[2 * i], (__m512) a[2 * i + 1], _MM_SHUFFLE (1, 0, 3, 2)));
#pragma GCC unroll 4
  for (guint i = 0; i < 4; i++)
    u[i] = _mm512_add_ps (_mm512_shuffle_ps (t[2 * i], t[2 * i + 1], 0x88),
                          _mm512_shuffle_ps (t[2 * i], t[2 * i + 1], 0xdd));
#pragma GCC unroll 2
  for (guint i = 0; i < 2; i++)
    v[i] = _mm512_add_ps (_mm512_mask_blend_ps (0xff00, u[2 * i], u[2 * i + 1]),
                          _mm512_shuffle_f32x4 (u[2 * i], u[2 * i + 1], _MM_SHUFFLE (1, 0, 3, 2)));
  return (vf) _mm512_add_ps (_mm512_shuffle_f32x4 (v[0], v[1], 0x88),
                             _mm512_shuffle_f32x4 (v[0], v[1], 0xdd));
}

#elif defined(ATL_SIMD_AVX2)

INLINE vf
vf_max (vf a, vf b)
{
  return (vf) _mm256_max_ps ((__m256) a, (__m256) b);
}
INLINE vf
vf_min (vf a, vf b)
{
  return (vf) _mm256_min_ps ((__m256) a, (__m256) b);
}
INLINE vf
vf_abs (vf a)
{
  return (vf) ((vi) a & 0x7fffffff);
}
INLINE vi
vi_round (vf a)
{
  return (vi) _mm256_cvtps_epi32 ((__m256) a);
}
INLINE vf
vf_round (vf a)
{
  return (vf) _mm256_round_ps ((__m256) a, 8);
}
INLINE vf
vf_sqrt (vf a)
{
  return (vf) _mm256_sqrt_ps ((__m256) a);
}
INLINE vf
vf_load_f16 (const void *p)
{
  return (vf) _mm256_cvtph_ps (_mm_loadu_si128 (p));
}
INLINE void
vf_store_f16 (void *p, vf v)
{
  _mm_storeu_si128 (p, _mm256_cvtps_ph ((__m256) v, 8));
}
INLINE void
vf_stream (void *p, vf v)
{
  _mm256_stream_ps (p, (__m256) v);
}
INLINE void
vf_stream_end (void)
{
  _mm_sfence ();
}
INLINE vf
vf_load_bf16 (const void *p)
{
  return (vf) _mm256_slli_epi32 (_mm256_cvtepu16_epi32 (_mm_loadu_si128 (p)), 16);
}
INLINE vf
vf_from_halves (gboolean is_f16, vh v, guint h)
{
  const __m128i half =
      h == 0 ? _mm256_castsi256_si128 ((__m256i) v) : _mm256_extracti128_si256 ((__m256i) v, 1);

  return is_f16 ? (vf) _mm256_cvtph_ps (half)
                : (vf) _mm256_slli_epi32 (_mm256_cvtepu16_epi32 (half), 16);
}
INLINE vi
vi_load_u8 (const void *p)
{
  return (vi) _mm256_cvtepu8_epi32 (_mm_loadl_epi64 (p));
}
INLINE vi
vi_load_i8 (const void *p)
{
  return (vi) _mm256_cvtepi8_epi32 (_mm_loadl_epi64 (p));
}
INLINE vb
vb_table (vb table, vb index)
{
  return (vb) _mm256_shuffle_epi8 ((__m256i) table, (__m256i) index);
}
INLINE float
vf_sum (vf a)
{
  __m128 s =
      _mm_add_ps (_mm256_castps256_ps128 ((__m256) a), _mm256_extractf128_ps ((__m256) a, 1));
  s = _mm_add_ps (s, _mm_movehl_ps (s, s));
  s = _mm_add_ss (s, _mm_movehdup_ps (s));
  return _mm_cvtss_f32 (s);
}
INLINE float
vf_largest (vf a)
{
  __m128 s =
      _mm_max_ps (_mm256_castps256_ps128 ((__m256) a), _mm256_extractf128_ps ((__m256) a, 1));
  s = _mm_max_ps (s, _mm_movehl_ps (s, s));
  s = _mm_max_ss (s, _mm_movehdup_ps (s));
  return _mm_cvtss_f32 (s);
}
INLINE vf
vf_set1_f16 (const void *p)
{
  return vf_set1 (_cvtsh_ss (*(const guint16 *) p));
}
INLINE vf
vf_sums (const vf a[VW])
{
  __m256 t[4], low, high;

#pragma GCC unroll 4
  for (guint i = 0; i < 4; i++)
    t[i] = _mm256_hadd_ps ((__m256) a[2 * i], (__m256) a[2 * i + 1]);
  low = _mm256_hadd_ps (t[0], t[1]);
  high = _mm256_hadd_ps (t[2], t[3]);
  return (vf) _mm256_add_ps (_mm256_permute2f128_ps (low, high, 0x20),
                             _mm256_permute2f128_ps (low, high, 0x31));
}

#else

INLINE vf
vf_max (vf a, vf b)
{
  return (vf) vmaxq_f32 ((float32x4_t) a, (float32x4_t) b);
}
INLINE vf
vf_min (vf a, vf b)
{
  return (vf) vminq_f32 ((float32x4_t) a, (float32x4_t) b);
}
INLINE vf
vf_abs (vf a)
{
  return (vf) vabsq_f32 ((float32x4_t) a);
}
INLINE vi
vi_round (vf a)
{
  return (vi) vcvtnq_s32_f32 ((float32x4_t) a);
}
INLINE vf
vf_round (vf a)
{
  return (vf) vrndnq_f32 ((float32x4_t) a);
}
INLINE vf
vf_sqrt (vf a)
{
  return (vf) vsqrtq_f32 ((float32x4_t) a);
}
INLINE vf
vf_load_f16 (const void *p)
{
  float16x4_t h;
  memcpy (&h, p, sizeof h);
  return (vf) vcvt_f32_f16 (h);
}
INLINE void
vf_store_f16 (void *p, vf v)
{
  float16x4_t h = vcvt_f16_f32 ((float32x4_t) v);
  memcpy (p, &h, sizeof h);
}
INLINE void
vf_stream (void *p, vf v)
{
  vf_store (p, v);
}
INLINE void
vf_stream_end (void)
{
}
INLINE vf
vf_load_bf16 (const void *p)
{
  uint16x4_t h;
  memcpy (&h, p, sizeof h);
  return (vf) vshlq_n_u32 (vmovl_u16 (h), 16);
}
INLINE vi
vi_load_u8 (const void *p)
{
  const guint8 *b = p;
  return (vi){ b[0], b[1], b[2], b[3] };
}
INLINE vi
vi_load_i8 (const void *p)
{
  const gint8 *b = p;
  return (vi){ b[0], b[1], b[2], b[3] };
}
INLINE vb
vb_table (vb table, vb index)
{
  return (vb) vqtbl1q_u8 ((uint8x16_t) table, (uint8x16_t) index);
}
INLINE float
vf_sum (vf a)
{
  return vaddvq_f32 ((float32x4_t) a);
}
INLINE float
vf_largest (vf a)
{
  return vmaxvq_f32 ((float32x4_t) a);
}
INLINE vf
vf_set1_f16 (const void *p)
{
  return (vf) vcvt_f32_f16 (vld1_dup_f16 (p));
}
INLINE vf
vf_sums (const vf a[VW])
{
  return (vf) vpaddq_f32 (vpaddq_f32 ((float32x4_t) a[0], (float32x4_t) a[1]),
                          vpaddq_f32 ((float32x4_t) a[2], (float32x4_t) a[3]));
}

#endif

/* 2^f of f from -1/2 to 1/2, within 2e-7. */
INLINE vf
vf_exp2_fraction (vf f)
{
  vf p = f * 1.54035304e-4f + 1.33335581e-3f;

  p = p * f + 9.61812911e-3f;
  p = p * f + 5.55041087e-2f;
  p = p * f + 2.40226507e-1f;
  p = p * f + 6.93147181e-1f;
  return p * f + 1.0f;
}

/* 2^x for x below 127, within 2e-7; 2^-125 for less than that. */
INLINE vf
vf_power_of_two (vf x)
{
  vf n;

  x = vf_max (vf_set1 (-125.0f), x); /* keeps what is no number */
  n = vf_round (x);
  return (vf) ((vi) vf_exp2_fraction (x - n) + (vi_round (n) << 23));
}

/* e^x: within two units in the last place; below -87.3 zero, above 88.7 infinite.
 * 2^n e^r with |r| <= ln 2 / 2 and a Taylor polynomial of degree 7 (next term below 2^-27). */
INLINE vf
vf_exp (vf x)
{
  vf n = vf_round (x * 1.44269504f);
  vf r = x - n * 0.693359375f + n * 2.12194440e-4f;
  vf p = vf_set1 (1.98412698e-4f);
  vf clamped = vf_min (vf_max (n, vf_set1 (-126.0f)), vf_set1 (128.0f));
  vf e;

  p = p * r + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  /* 2^128 is no float, but twice 2^127 is none either only where the result is none. */
  e = 2.0f * p * (vf) ((vi_round (clamped) + 126) << 23);
  e = vf_select (x < -87.33654f, vf_set1 (0.0f), e);
  return vf_select (x > 88.72283f, vf_set1 (INFINITY), e);
}

/* e^x of x < 80 (or no number), as vf_exp. */
INLINE vf
vf_exp_bounded (vf x)
{
  const vf n = vf_round (x * 1.44269504f);
  const vf r = x - n * 0.693359375f + n * 2.12194440e-4f;
  vf p = vf_set1 (1.98412698e-4f);

  p = p * r + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
#if defined(ATL_SIMD_AVX512)
  return (vf) _mm512_maskz_scalef_ps (
      _mm512_cmp_ps_mask ((__m512) x, _mm512_set1_ps (-87.33654f), _CMP_NLT_UQ), (__m512) p,
      (__m512) n);
#else
  p *= (vf) ((vi_round (vf_max (n, vf_set1 (-126.0f))) + 127) << 23);
  return vf_select (x < -87.33654f, vf_set1 (0.0f), p);
#endif
}

/* erf by Abramowitz and Stegun 7.1.26: within 1.5e-7. */
INLINE vf
vf_erf (vf x)
{
  vf a = vf_abs (x);
  vf t = 1.0f / (a * 0.3275911f + 1.0f);
  vf p = vf_set1 (1.061405429f);
  vf y;

  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  y = 1.0f - p * t * vf_exp (-a * a);
  return (vf) ((vi) y | ((vi) x & (gint32) 0x80000000));
}

/* For constant `act`; TANH and SOFTPLUS have no vector form. */
INLINE vf
vf_act (AtlAct act, vf x)
{
  switch (act)
    {
    case ATL_ACT_SILU:
      return x / (1.0f + vf_exp (-x));
    case ATL_ACT_GELU_TANH:
      /* (1 + tanh u) / 2 is the logistic function of 2 u. */
      return x / (1.0f + vf_exp (-1.5957691216f * (x + 0.044715f * x * x * x)));
    case ATL_ACT_GELU_ERF:
      return 0.5f * x * (1.0f + vf_erf (x * 0.7071067811865476f));
    case ATL_ACT_GELU_QUICK:
      return x / (1.0f + vf_exp (-1.702f * x));
    case ATL_ACT_RELU:
      return vf_max (x, vf_set1 (0.0f));
    case ATL_ACT_RELU_SQUARED:
      x = vf_max (x, vf_set1 (0.0f));
      return x * x;
    case ATL_ACT_SIGMOID:
      return 1.0f / (1.0f + vf_exp (-x));
    case ATL_ACT_EXP:
      return vf_exp (x);
    case ATL_ACT_ABS:
      return vf_abs (x);
    case ATL_ACT_SQUARE:
      return x * x;
    case ATL_ACT_SQRT:
      return vf_sqrt (x);
    case ATL_ACT_CLAMPED_QUICK:
      x = vf_min (x, vf_set1 (7.0f));
      return x / (1.0f + vf_exp (-1.702f * x));
    case ATL_ACT_CLAMPED_PLUS_ONE:
      return vf_min (vf_max (x, vf_set1 (-7.0f)), vf_set1 (7.0f)) + 1.0f;
    case ATL_ACT_LEAKY_RELU:
      return vf_max (x, 0.2f * x);
    case ATL_ACT_NONE:
    default:
      return x;
    }
}
