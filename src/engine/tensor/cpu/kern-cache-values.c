/* Sums of values in q8_0 or q4_0 for few queries, in integers (AtlCpuCacheTiles): a query's weights
 * times the scales of 64 values are rounded to 16 bits of the largest and meet the codes as words,
 * two values in one product.
 */
#include "engine/tensor/cpu/kern-cache-rows.h"
#include "engine/tensor/cpu/shuffle.h"
#include "engine/tensor/quants/half.h"

INLINE vi
dot_words (vi a, vi codes, vi x)
{
  return (vi) _mm512_dpwssd_epi32 ((__m512i) a, (__m512i) codes, (__m512i) x);
}

/* The codes of a block of two values as pairs of words. Of q8_0: elements 0-3, 8-11, 16-19, 24-27,
 * and the others; of q4_0, plus 8: elements 0-15, 16-31. */
INLINE void
pair_values (AtlDType t, const guint8 *a, const guint8 *b, vi out[2])
{
  if (t == ATL_DTYPE_Q8_0)
    {
      const __m512i x = _mm512_cvtepi8_epi16 (_mm256_loadu_si256 ((const __m256i *) a));
      const __m512i y = _mm512_cvtepi8_epi16 (_mm256_loadu_si256 ((const __m256i *) b));

      out[0] = (vi) _mm512_unpacklo_epi16 (x, y);
      out[1] = (vi) _mm512_unpackhi_epi16 (x, y);
    }
  else
    {
      const vi both = vi_load_u8 (a) | vi_load_u8 (b) << 16;

      out[0] = both & 0x000f000f;
      out[1] = (both >> 4) & 0x000f000f;
    }
}

/* Weights of a query times the scales of a block's values, as words. */
typedef struct
{
  _Alignas(64) gint16 words[MAX_QUERIES][ATL_CACHE_ROWS];
  float scale[MAX_QUERIES];
  gint32 sum[MAX_QUERIES]; /* of the words */
} Weights;

INLINE void
prepare_weights (AtlDType t,
                 guint n_q,
                 const guint8 *block,
                 gsize stride,
                 gint64 n,
                 const float *p,
                 Weights *out)
{
  vf d[4];

#pragma GCC unroll 4
  for (gint64 i = 0; i < 4; i++)
    if (n >= 16 * (i + 1))
      d[i] = scales_of (block + (gsize) (16 * i) * stride, stride);
    else
      for (gint64 k = 16 * i; k < 16 * (i + 1); k++)
        d[i][k - 16 * i] = k < n ? atl_load_f16 (block + (gsize) k * stride) : 0.0f;
#pragma GCC unroll 8
  for (guint j = 0; j < n_q; j++, p += ATL_CACHE_ROWS)
    {
      vf w[4];
      vi sum = { 0 };
      float inverse;

      out->scale[j] = scaled_weights (p, n, d, WORDS_LARGEST, w, &inverse);
#pragma GCC unroll 4
      for (guint i = 0; i < 4; i++)
        {
          const vi v = vi_round (w[i] * inverse);

          if (t == ATL_DTYPE_Q4_0)
            sum += v;
          _mm256_store_si256 ((__m256i *) (out->words[j] + 16 * i),
                              _mm512_cvtepi32_epi16 ((__m512i) v));
        }
      if (t == ATL_DTYPE_Q4_0)
        out->sum[j] = _mm512_reduce_add_epi32 ((__m512i) sum);
    }
}

/* Adds what a block of up to 64 values gives. */
INLINE void
weigh_block (AtlDType t,
             guint n_q,
             gboolean all,
             const guint8 *block,
             gsize stride,
             gint64 n,
             const Weights *w,
             gint64 width,
             float *sums,
             Ahead *ahead)
{
  const vu low = { 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23 };
  vi dot[MAX_QUERIES][2];

#pragma GCC unroll 8
  for (guint j = 0; j < n_q; j++)
    dot[j][0] = dot[j][1] = vi_set1 (0);
  for (gint64 k = 0; k < (all ? ATL_CACHE_ROWS : n); k += 2, block += 2 * stride)
    {
      vi codes[2];

      ask (ahead);
      /* The weight of a value that is not there is zero. */
      pair_values (t, block + 2, block + 2 + (all || k + 1 < n ? stride : 0), codes);
#pragma GCC unroll 8
      for (guint j = 0; j < n_q; j++)
        {
          const vi x = (vi) vb_quad (w->words[j] + k);

          dot[j][0] = dot_words (dot[j][0], codes[0], x);
          dot[j][1] = dot_words (dot[j][1], codes[1], x);
        }
    }
#pragma GCC unroll 8
  for (guint j = 0; j < n_q; j++)
    {
      float *to = sums + j * width;

      if (t == ATL_DTYPE_Q4_0)
        {
          dot[j][0] -= vi_set1 (8 * w->sum[j]);
          dot[j][1] -= vi_set1 (8 * w->sum[j]);
        }
      const vf a = vf_from_vi (dot[j][0]) * w->scale[j], b = vf_from_vi (dot[j][1]) * w->scale[j];

      if (t == ATL_DTYPE_Q4_0)
        {
          vf_store (to, vf_load (to) + a);
          vf_store (to + VW, vf_load (to + VW) + b);
        }
      else
        {
          vf_store (to, vf_load (to) + atl_shuffle (a, b, low));
          vf_store (to + VW, vf_load (to + VW) + atl_shuffle (a, b, low + 8));
        }
    }
}

INLINE void
values_body (AtlDType t, guint n_q, const AtlCacheRows *values, const float *p, float *sums)
{
  const gint64 n_blocks = values->width / 32;
  const gint64 n_units = values->n_heads * n_blocks;
  Ahead ahead = ahead_of (values, n_units * (values->n + 1) / 2);
  Weights weights;

  ahead.far = values->far_bytes;
  for (gint64 u = 0; u < n_units; u++)
    {
      const gint64 head = u / n_blocks, b = u % n_blocks;
      const guint8 *block =
          values->data + (gsize) head * values->head_bytes + (gsize) b * block_bytes (t);
      const float *w = (const float *) ((const guint8 *) p + (gsize) head * values->in_stride);
      float *to = sums + head * values->out_stride + b * 32;

      if (values->n == ATL_CACHE_ROWS)
        {
          prepare_weights (t, n_q, block, values->row_bytes, ATL_CACHE_ROWS, w, &weights);
          weigh_block (t, n_q, TRUE, block, values->row_bytes, ATL_CACHE_ROWS, &weights,
                       values->width, to, &ahead);
        }
      else
        {
          prepare_weights (t, n_q, block, values->row_bytes, values->n, w, &weights);
          weigh_block (t, n_q, FALSE, block, values->row_bytes, values->n, &weights, values->width,
                       to, &ahead);
        }
    }
}

/* --- By number of queries --- */

typedef void (*ValuesFunc) (const AtlCacheRows *values, const float *p, float *sums);

#define DEFINE_OF(T, N)                                                                            \
  static __attribute__ ((noinline)) void values_##T##_##N (const AtlCacheRows *values,             \
                                                           const float *p, float *sums)            \
  {                                                                                                \
    values_body (ATL_DTYPE_##T, N, values, p, sums);                                               \
  }

#define DEFINE(T, NAME)                                                                            \
  DEFINE_OF (T, 1)                                                                                 \
  DEFINE_OF (T, 2)                                                                                 \
  DEFINE_OF (T, 3)                                                                                 \
  DEFINE_OF (T, 4)                                                                                 \
  DEFINE_OF (T, 5)                                                                                 \
  DEFINE_OF (T, 6)                                                                                 \
  DEFINE_OF (T, 7)                                                                                 \
  DEFINE_OF (T, 8)                                                                                 \
  static void values_##T (const AtlCacheRows *values, const float *p, gint64 n_q, float *sums)     \
  {                                                                                                \
    static const ValuesFunc of[MAX_QUERIES] = { values_##T##_1, values_##T##_2, values_##T##_3,    \
                                                values_##T##_4, values_##T##_5, values_##T##_6,    \
                                                values_##T##_7, values_##T##_8 };                  \
    AtlCacheRows rows = *values;                                                                   \
                                                                                                   \
    for (gint64 j = 0; j < n_q; j += MAX_QUERIES, rows.ahead_bytes = 0)                            \
      of[MIN (n_q - j, MAX_QUERIES) - 1](&rows, p + j * ATL_CACHE_ROWS, sums + j * rows.width);    \
  }                                                                                                \
  const AtlCpuCacheTiles atl_cpu_cache_##NAME##_avx512 = {                                         \
    .queries_bytes = atl_cache_queries_bytes_##NAME,                                               \
    .prepare_queries = atl_cache_prepare_queries_##NAME,                                           \
    .scores = atl_cache_scores_##NAME,                                                             \
    .weigh_values = values_##T,                                                                    \
  };

DEFINE (Q8_0, q8_0)
DEFINE (Q4_0, q4_0)
