/* Products of few activation rows with packed weights (pack.h), exact in integers. Compiled for
 * AVX2 with and without its VNNI.
 *
 * An activation is rounded to 15 bits of its block's largest value and split into two signed bytes,
 * x = scale (128 hi + lo), so that products of bytes suffice: sum w x = scale (128 sum w hi + sum w
 * lo). Without VNNI the products of neighbours are summed in 16 bits, so there the bytes keep to
 * +-64 (14 bits): 8 quads of 31 * 64 * 2 or 4 quads of 63 * 64 * 2 stay below 2^15.
 */
#include "engine/tensor/cpu/kern-ahead.h"
#include "engine/tensor/cpu/kernels.h"
#include "engine/tensor/cpu/kern-private.h"
#include "engine/tensor/cpu/kern-codes.h"

/* How many vectors make a line of 16 rows. */
#define N_HALVES (64 / VB)

#define MAX_TOKENS (VB == 64 ? 8 : 4)

#if defined(ATL_SIMD_AVX2) && !defined(__AVXVNNI__)

#define LARGEST 8128.0f /* 63.5 * 128: high bytes end at 64 */

typedef vh acc; /* 16-bit sums of small codes */

INLINE acc
dot_small (acc a, vb w, const gint8 *x)
{
  a += (vh) _mm256_maddubs_epi16 ((__m256i) w, (__m256i) vb_quad (x));
  /* gcc would put the additions off and keep all products until then, more than has room in
   * registers. */
  __asm__("" : "+x"(a));
  return a;
}

/* Codes of eight bits: 255 * 64 * 2 just fits 16 bits, once. */
INLINE vi
dot_bytes (vi a, vb w, const gint8 *x)
{
  __m256i pairs = _mm256_maddubs_epi16 ((__m256i) w, (__m256i) vb_quad (x));
  a += (vi) _mm256_madd_epi16 (pairs, _mm256_set1_epi16 (1));
  __asm__("" : "+x"(a));
  return a;
}

INLINE vi
acc_sum (acc a)
{
  return (vi) _mm256_madd_epi16 ((__m256i) a, _mm256_set1_epi16 (1));
}

#else

#define LARGEST 16256.0f /* 127 * 128 */

typedef vi acc;

INLINE acc
dot_small (acc a, vb w, const gint8 *x)
{
#if defined(ATL_SIMD_AVX512)
  /* gcc loads the four bytes by an instruction of their own; half as many leave more of the weights
   * to come in sight of the processor. */
  __asm__("vpdpbusd %2%{1to16%}, %1, %0"
          : "+v"(a)
          : "v"(w), "m"(*(const gint32 __attribute__ ((may_alias)) *) x));
  return a;
#elif defined(__AVXVNNI__)
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(a) : "x"(w), "x"(vb_quad (x)));
  return a;
#else
  /* The codes are below 256 and the bytes signed: widen both to 16 bits. */
  int16x8_t w0 = vreinterpretq_s16_u16 (vmovl_u8 (vget_low_u8 ((uint8x16_t) w)));
  int16x8_t w1 = vreinterpretq_s16_u16 (vmovl_u8 (vget_high_u8 ((uint8x16_t) w)));
  int16x8_t x0 = vmovl_s8 (vget_low_s8 ((int8x16_t) vb_quad (x)));
  int16x8_t x1 = vmovl_s8 (vget_high_s8 ((int8x16_t) vb_quad (x)));
  int32x4_t p0 =
      vpaddq_s32 (vmull_s16 (vget_low_s16 (w0), vget_low_s16 (x0)), vmull_high_s16 (w0, x0));
  int32x4_t p1 =
      vpaddq_s32 (vmull_s16 (vget_low_s16 (w1), vget_low_s16 (x1)), vmull_high_s16 (w1, x1));
  return a + (vi) vpaddq_s32 (p0, p1);
#endif
}

INLINE acc
dot_bytes (acc a, vb w, const gint8 *x)
{
  return dot_small (a, w, x);
}

INLINE vi
acc_sum (acc a)
{
  return a;
}

#endif

/* --- Activations --- */

/* The low bytes of all lanes. */
INLINE void
store_bytes (gint8 *out, vi v)
{
#if defined(ATL_SIMD_AVX512)
  _mm_storeu_si128 ((__m128i *) out, _mm512_cvtepi32_epi8 ((__m512i) v));
#elif defined(ATL_SIMD_AVX2)
  __m128i words = _mm_packs_epi32 (_mm256_castsi256_si128 ((__m256i) v),
                                   _mm256_extracti128_si256 ((__m256i) v, 1));
  _mm_storel_epi64 ((__m128i *) out, _mm_packs_epi16 (words, words));
#else
  for (guint i = 0; i < VW; i++)
    out[i] = (gint8) v[i];
#endif
}

INLINE gint32
vi_sum (vi v)
{
#if defined(ATL_SIMD_AVX512)
  return _mm512_reduce_add_epi32 ((__m512i) v);
#elif defined(ATL_SIMD_AVX2)
  __m128i s = _mm_add_epi32 (_mm256_castsi256_si128 ((__m256i) v),
                             _mm256_extracti128_si256 ((__m256i) v, 1));
  s = _mm_add_epi32 (s, _mm_shuffle_epi32 (s, 0x4e));
  s = _mm_add_epi32 (s, _mm_shuffle_epi32 (s, 0xb1));
  return _mm_cvtsi128_si32 (s);
#else
  return vaddvq_s32 ((int32x4_t) v);
#endif
}

void
ATL_DOT_NAME (atl_quantize_row) (const float *x, gint64 n_in, gint64 row, AtlQuantRows *out)
{
  vf check = vf_set1 (0.0f);

  for (gint64 b = 0; b < out->n_blocks; b++, x += 32)
    {
      gint8 *q = out->q + (row * out->n_blocks + b) * 64;
      AtlQuantBlock *block = out->blocks + row * out->n_blocks + b;
      vf largest = vf_set1 (0.0f);
      float size;
      float inverse;
      vi s[2] = { { 0 }, { 0 } };

      for (guint i = 0; i < 32; i += VW)
        {
          largest = vf_max (largest, vf_abs (vf_load (x + i)));
          check += vf_load (x + i) * 0.0f;
        }
      size = vf_largest (largest);
      inverse = size > 0.0f ? LARGEST / size : 0.0f;
      /* Values so small that the inverse overflows are nothing beside the others. */
      if (!isfinite (inverse))
        inverse = 0.0f;
      for (guint i = 0; i < 32; i += VW)
        {
          vi v = vi_round (vf_load (x + i) * inverse);
          vi hi = (v + 64) >> 7;

          store_bytes (q + i, hi);
          store_bytes (q + 32 + i, v - (hi << 7));
          s[i / 16] += v;
        }
      block->scale = inverse > 0.0f ? size / LARGEST : 0.0f;
      block->sum[0] = vi_sum (s[0]);
      block->sum[1] = vi_sum (s[1]);
      block->sum[2] = block->sum[0] + block->sum[1];
      for (guint i = 0; i < 3; i++)
        block->real_sum[i] = block->scale * (float) block->sum[i];
    }
  /* Infinities and values that are no numbers are not lost in integers: they spoil the row. */
  if (isnan (vf_sum (check)) && out->n_blocks > 0)
    out->blocks[row * out->n_blocks].scale = NAN;
}

/* --- Products --- */

/* sum over quads [first, end) of code * (128 hi + lo). */
INLINE vi
quads_dot (AtlDType t, const vb *w, guint first, guint end, const gint8 *x)
{
  if (is_bytes (t))
    {
      vi hi = { 0 };
      vi lo = { 0 };

      for (guint q = first; q < end; q++)
        {
          hi = dot_bytes (hi, w[q], x + 4 * q);
          lo = dot_bytes (lo, w[q], x + 32 + 4 * q);
        }
      return (hi << 7) + lo;
    }
  else
    {
      acc hi = { 0 };
      acc lo = { 0 };

      for (guint q = first; q < end; q++)
        {
          hi = dot_small (hi, w[q], x + 4 * q);
          lo = dot_small (lo, w[q], x + 32 + 4 * q);
        }
      return (acc_sum (hi) << 7) + acc_sum (lo);
    }
}

/* The same for one row of activations and every vector of a line. */
INLINE void
quads_dot_one (AtlDType t,
               const guint8 *lines,
               const guint8 *meta,
               guint sub,
               guint first,
               guint end,
               const gint8 *x,
               vi *out)
{
  if (is_bytes (t))
    {
      vi hi[N_HALVES] = { 0 };
      vi lo[N_HALVES] = { 0 };

#pragma GCC unroll 8
      for (guint q = first; q < end; q++)
#pragma GCC unroll 4
        for (guint h = 0; h < N_HALVES; h++)
          {
            const vb w = codes (t, lines, meta, sub, q, h);

            hi[h] = dot_bytes (hi[h], w, x + 4 * q);
            lo[h] = dot_bytes (lo[h], w, x + 32 + 4 * q);
          }
      for (guint h = 0; h < N_HALVES; h++)
        out[h] = (hi[h] << 7) + lo[h];
    }
  else
    {
      acc hi[N_HALVES] = { 0 };
      acc lo[N_HALVES] = { 0 };

#pragma GCC unroll 8
      for (guint q = first; q < end; q++)
#pragma GCC unroll 4
        for (guint h = 0; h < N_HALVES; h++)
          {
            const vb w = codes (t, lines, meta, sub, q, h);

            hi[h] = dot_small (hi[h], w, x + 4 * q);
            lo[h] = dot_small (lo[h], w, x + 32 + 4 * q);
          }
      for (guint h = 0; h < N_HALVES; h++)
        out[h] = (acc_sum (hi[h]) << 7) + acc_sum (lo[h]);
    }
}

/* Adds what 32 elements give to the sums of `n_tokens` rows of activations from `first` on. */
INLINE void
dot_block (AtlDType t,
           guint n_tokens,
           const vb *w,
           const Factors *f,
           const AtlQuantRows *x,
           gint64 first,
           gint64 b,
           vf *sum)
{
#pragma GCC unroll 8
  for (guint i = 0; i < n_tokens; i++)
    {
      const gint64 at = (first + i) * x->n_blocks + b;
      const gint8 *xq = x->q + at * 64;
      const AtlQuantBlock *xb = x->blocks + at;
      const guint n_parts = is_sixteen (t) ? 2 : 1;

      for (guint s = 0; s < n_parts; s++)
        {
          vi dot = quads_dot (t, w, 8 / n_parts * s, 8 / n_parts * (s + 1), xq);
          const guint part = n_parts == 2 ? s : 2;

          if (code_offset (t) != 0)
            dot -= vi_set1 (code_offset (t) * xb->sum[part]);
          sum[i] += vf_from_vi (dot) * (f->scale[s] * xb->scale);
          if (has_min (t))
            sum[i] -= f->min[s] * xb->real_sum[part];
        }
    }
}

/* The same for one row of activations and all rows of the group: its bytes are loaded once for the
 * vectors of a line, whose codes need no room of their own. */
INLINE void
dot_block_one (AtlDType t,
               const guint8 *lines,
               const guint8 *meta,
               guint sub,
               const UnitFactors *u,
               const AtlQuantRows *x,
               gint64 at,
               vf *sum)
{
  const gint8 *xq = x->q + at * 64;
  const AtlQuantBlock *xb = x->blocks + at;
  const guint n_parts = is_sixteen (t) ? 2 : 1;
  Factors f[N_HALVES];

#pragma GCC unroll 4
  for (guint h = 0; h < N_HALVES; h++)
    f[h] = factors (t, u[h], meta, sub, h);
#pragma GCC unroll 2
  for (guint s = 0; s < n_parts; s++)
    {
      const guint part = n_parts == 2 ? s : 2;
      vi whole[N_HALVES];

      quads_dot_one (t, lines, meta, sub, 8 / n_parts * s, 8 / n_parts * (s + 1), xq, whole);
#pragma GCC unroll 4
      for (guint h = 0; h < N_HALVES; h++)
        {
          if (code_offset (t) != 0)
            whole[h] -= vi_set1 (code_offset (t) * xb->sum[part]);
          sum[h] += vf_from_vi (whole[h]) * (f[h].scale[s] * xb->scale);
          if (has_min (t))
            sum[h] -= f[h].min[s] * xb->real_sum[part];
        }
    }
}

/* Sums of `n_tokens` rows with a group, out[n_tokens][16]. */
INLINE void
dot_body (AtlDType t,
          guint n_tokens,
          const guint8 *group,
          const AtlQuantRows *x,
          gint64 first,
          float *out)
{
  const AtlPackInfo *info = atl_pack_info (t);

  for (guint half = 0; half < N_HALVES; half++)
    {
      const guint8 *meta = group;
      const guint8 *lines = group + atl_pack_meta_bytes (info, x->n_blocks * 32);
      vf sum[MAX_TOKENS];

      /* Only of unrolled loops do compilers see that the sums need no place in memory. */
#pragma GCC unroll 8
      for (guint i = 0; i < n_tokens; i++)
        sum[i] = vf_set1 (0.0f);
      for (gint64 b = 0; b < x->n_blocks; meta += info->meta_bytes)
        {
          const UnitFactors u = unit_factors (t, meta, half);

          for (guint sub = 0; sub < unit_blocks (t); sub++, b++, lines += quant_bytes_of (t))
            {
              const Factors f = factors (t, u, meta, sub, half);
              vb w[8];

              ask_for_lines (t, lines + PREFETCH_FAR, lines + PREFETCH_NEAR);
#pragma GCC unroll 8
              for (guint q = 0; q < 8; q++)
                w[q] = codes (t, lines, meta, sub, q, half);
              dot_block (t, n_tokens, w, &f, x, first, b, sum);
            }
        }
#pragma GCC unroll 8
      for (guint i = 0; i < n_tokens; i++)
        vf_store (out + i * 16 + half * VW, sum[i]);
    }
}

/* Sums of one row with each of `n_groups` groups, out[n_groups][16]. Two groups at a time are two
 * streams of memory, which come faster than one. */
INLINE void
dot_one_body (AtlDType t,
              guint n_groups,
              const guint8 *const *group,
              const AtlQuantRows *x,
              gint64 row,
              float *out)
{
  const AtlPackInfo *info = atl_pack_info (t);
  const gsize near = n_groups > 1 ? PREFETCH_NEAR_TWO : PREFETCH_NEAR;
  GroupPlace place = { .quants_at = atl_pack_meta_bytes (info, x->n_blocks * 32),
                       .meta_step = info->meta_bytes / unit_blocks (t) };
  gsize meta_at = 0;
  gsize lines_at = place.quants_at;
  vf sum[2 * N_HALVES];

  place.bytes = place.quants_at + (gsize) x->n_blocks * quant_bytes_of (t);
  /* Behind the first of two neighbours is the second, which is being read. */
  if (n_groups > 1 && group[1] == group[0] + place.bytes)
    place.skip = place.bytes;

  for (guint i = 0; i < n_groups * N_HALVES; i++)
    sum[i] = vf_set1 (0.0f);
  for (gint64 b = 0; b < x->n_blocks; meta_at += info->meta_bytes)
    {
      UnitFactors u[2 * N_HALVES];

#pragma GCC unroll 8
      for (guint i = 0; i < n_groups * N_HALVES; i++)
        u[i] = unit_factors (t, group[i / N_HALVES] + meta_at, i % N_HALVES);
      for (guint sub = 0; sub < unit_blocks (t); sub++, b++, lines_at += quant_bytes_of (t))
        {
          const gsize far_at = lines_ahead (&place, lines_at, PREFETCH_FAR);
          const gsize near_at = lines_ahead (&place, lines_at, near);
          const gsize far_meta_at =
              meta_ahead (&place, (gsize) b * place.meta_step,
                          PREFETCH_FAR / quant_bytes_of (t) * place.meta_step);

#pragma GCC unroll 2
          for (guint g = 0; g < n_groups; g++)
            {
              ask_for_lines (t, group[g] + far_at, group[g] + near_at);
              __builtin_prefetch (group[g] + far_meta_at);
              dot_block_one (t, group[g] + lines_at, group[g] + meta_at, sub, u + g * N_HALVES, x,
                             row * x->n_blocks + b, sum + g * N_HALVES);
#if defined(ATL_SIMD_AVX2)
              /* The row's bytes are loaded again: there are not registers enough to hold them. */
              __asm__ volatile("" ::: "memory");
#endif
            }
        }
    }
  for (guint i = 0; i < n_groups * N_HALVES; i++)
    vf_store (out + i * VW, sum[i]);
}

typedef void (*DotFunc) (const guint8 *group, const AtlQuantRows *x, gint64 first, float *out);

/* One function a dtype and number of tokens: in one big function the compiler takes minutes. */
#define DEFINE_DOT_OF(T, N)                                                                        \
  static __attribute__ ((noinline)) void dot_##T##_##N (                                           \
      const guint8 *group, const AtlQuantRows *x, gint64 first, float *out)                        \
  {                                                                                                \
    if (N == 1)                                                                                    \
      dot_one_body (ATL_DTYPE_##T, 1, &group, x, first, out);                                      \
    else                                                                                           \
      dot_body (ATL_DTYPE_##T, N, group, x, first, out);                                           \
  }
#define DEFINE_DOT_TWO(T)                                                                          \
  static __attribute__ ((noinline)) void dot_two_##T (                                             \
      const guint8 *const *group, const AtlQuantRows *x, gint64 first, float *out)                 \
  {                                                                                                \
    dot_one_body (ATL_DTYPE_##T, 2, group, x, first, out);                                         \
  }
#define DOT_TWO_ROW(T) [ATL_DTYPE_##T] = dot_two_##T,

#if MAX_TOKENS >= 8
#define DEFINE_DOT(T)                                                                              \
  DEFINE_DOT_OF (T, 1)                                                                             \
  DEFINE_DOT_OF (T, 2)                                                                             \
  DEFINE_DOT_OF (T, 4)                                                                             \
  DEFINE_DOT_OF (T, 8)
#define DOT_ROW(T) [ATL_DTYPE_##T] = { dot_##T##_1, dot_##T##_2, dot_##T##_4, dot_##T##_8 },
#else
#define DEFINE_DOT(T)                                                                              \
  DEFINE_DOT_OF (T, 1)                                                                             \
  DEFINE_DOT_OF (T, 2)                                                                             \
  DEFINE_DOT_OF (T, 4)
#define DOT_ROW(T) [ATL_DTYPE_##T] = { dot_##T##_1, dot_##T##_2, dot_##T##_4, NULL },
#endif

EACH_DTYPE (DEFINE_DOT)

/* By dtype, then by the logarithm of the number of tokens. */
static const DotFunc dots[ATL_N_DTYPES][4] = { EACH_DTYPE (DOT_ROW) };

void
ATL_DOT_NAME (atl_packed_dot) (AtlDType dtype,
                               const guint8 *group,
                               const AtlQuantRows *x,
                               gint64 first,
                               gint64 n_rows,
                               float *out)
{
  dtype = atl_pack_alike (dtype);
  g_assert (dots[dtype][0] != NULL);
  while (n_rows > 0)
    {
      guint log2 = n_rows >= MAX_TOKENS ? (MAX_TOKENS >= 8 ? 3 : 2)
                   : n_rows >= 4        ? 2
                   : n_rows >= 2        ? 1
                                        : 0;

      dots[dtype][log2](group, x, first, out);
      first += 1 << log2;
      n_rows -= 1 << log2;
      out += 16 << log2;
    }
}

EACH_DTYPE (DEFINE_DOT_TWO)

typedef void (*DotTwoFunc) (const guint8 *const *group,
                            const AtlQuantRows *x,
                            gint64 first,
                            float *out);

static const DotTwoFunc dots_of_two[ATL_N_DTYPES] = { EACH_DTYPE (DOT_TWO_ROW) };

void
ATL_DOT_NAME (atl_packed_dot_two) (
    AtlDType dtype, const guint8 *const group[2], const AtlQuantRows *x, gint64 row, float *out)
{
  dtype = atl_pack_alike (dtype);
  g_assert (dots_of_two[dtype] != NULL);
  dots_of_two[dtype](group, x, row, out);
}

#if defined(__AVXVNNI__)
void
atl_cpu_dots_avx2_vnni (AtlCpuKernels *kernels)
{
  kernels->quantize_row = ATL_DOT_NAME (atl_quantize_row);
  kernels->packed_dot = ATL_DOT_NAME (atl_packed_dot);
  kernels->packed_dot_two = ATL_DOT_NAME (atl_packed_dot_two);
}
#endif
