/* Scores of few queries over keys in q8_0 or q4_0, in integers (AtlCpuCacheTiles).
 *
 * A query is rounded to 15 bits of its largest number and split into two signed bytes, x = scale
 * (128 hi + lo), as activations are in kern-quant.c. The codes of 16 keys are turned, so that a
 * lane has four neighbours of one key: a product of bytes then sums within lanes, nothing is summed
 * across them, and what it costs to lay keys out is shared by up to eight queries.
 */
#include "engine/tensor/cpu/kern-cache-rows.h"

/* Keys that are turned at a time. */
#define KEYS 16

/* What a query and block of 32 elements is prepared as. */
typedef struct
{
  /* What the sums of high bytes begin with: it takes off what is added to the codes. Lanes of the
   * first and the second half of the elements; in q4_0 all are in the first. */
  gint32 start[8];
  gint8 bytes[2][32]; /* high and low, as they follow each other */
} QueryBlock;

/* For q8_0 a lane of 128 bits has one half of the elements, so that the quads are repeated. */
typedef struct
{
  gint32 start[8];
  gint32 quads[4][2]
              [8]; /* [quad of a half][high, low]: four times the first half's, the second's */
} QueryBlock8;

#define HEAD_BYTES 32 /* scale */

INLINE gsize
query_block_bytes (AtlDType t)
{
  return t == ATL_DTYPE_Q8_0 ? sizeof (QueryBlock8) : sizeof (QueryBlock);
}

INLINE gsize
query_bytes (AtlDType t, gint64 width)
{
  return HEAD_BYTES + (gsize) (width / 32) * query_block_bytes (t);
}

/* --- Queries --- */

/* 32 elements of a query. */
INLINE void
prepare_block (AtlDType t, const float *q, float inverse, guint8 *out)
{
  gint8 bytes[2][32];
  gint32 sums[2];

  for (guint half = 0; half < 2; half++)
    {
      const vi v = vi_round (vf_load (q + half * VW) * inverse);
      const vi high = (v + 64) >> 7;

      _mm_storeu_si128 ((__m128i *) (bytes[0] + half * VW), _mm512_cvtepi32_epi8 ((__m512i) high));
      _mm_storeu_si128 ((__m128i *) (bytes[1] + half * VW),
                        _mm512_cvtepi32_epi8 ((__m512i) (v - (high << 7))));
      sums[half] = _mm512_reduce_add_epi32 ((__m512i) v);
    }
  if (t == ATL_DTYPE_Q8_0)
    {
      QueryBlock8 *b = (QueryBlock8 *) out;

      /* 128 of what is added to the codes, as 128 high bytes' worth. */
      for (guint i = 0; i < 8; i++)
        b->start[i] = -sums[i / 4];
      for (guint quad = 0; quad < 4; quad++)
        for (guint part = 0; part < 2; part++)
          for (guint i = 0; i < 8; i++)
            memcpy (&b->quads[quad][part][i], bytes[part] + i / 4 * 16 + quad * 4, 4);
    }
  else
    {
      QueryBlock *b = (QueryBlock *) out;

      memset (b->start, 0, sizeof b->start);
      b->start[0] = -8 * (sums[0] + sums[1]);
      memcpy (b->bytes, bytes, sizeof bytes);
    }
}

INLINE void
prepare_queries (AtlDType t, const float *const *queries, gint64 n_q, gint64 width, guint8 *out)
{
  for (gint64 j = 0; j < n_q; j++, out += query_bytes (t, width))
    {
      const float *q = queries[j];
      vf largest = vf_set1 (0.0f), check = largest;
      float size, inverse, scale;

      for (gint64 i = 0; i < width; i += VW)
        {
          largest = vf_max (largest, vf_abs (vf_load (q + i)));
          check += vf_load (q + i) * 0.0f;
        }
      size = vf_largest (largest);
      inverse = inverse_of (size, BYTES_LARGEST);
      scale = inverse > 0.0f ? size / BYTES_LARGEST : 0.0f;
      /* What is no number is not lost in integers. */
      if (isnan (vf_sum (check)))
        scale = NAN;
      memcpy (out, &scale, sizeof scale);
      for (gint64 b = 0; b < width / 32; b++)
        prepare_block (t, q + b * 32, inverse,
                       out + HEAD_BYTES + (gsize) b * query_block_bytes (t));
    }
}

/* --- Scores --- */

INLINE vi
dot_bytes (vi a, vb codes, vi x)
{
  return (vi) _mm512_dpbusd_epi32 ((__m512i) a, (__m512i) codes, (__m512i) x);
}

/* 4 x 4 quads within each lane of 128 bits. */
INLINE void
turn_quads (__m512i v[4])
{
  const __m512i a = _mm512_unpacklo_epi32 (v[0], v[1]), b = _mm512_unpackhi_epi32 (v[0], v[1]);
  const __m512i c = _mm512_unpacklo_epi32 (v[2], v[3]), d = _mm512_unpackhi_epi32 (v[2], v[3]);

  v[0] = _mm512_unpacklo_epi64 (a, c);
  v[1] = _mm512_unpackhi_epi64 (a, c);
  v[2] = _mm512_unpacklo_epi64 (b, d);
  v[3] = _mm512_unpackhi_epi64 (b, d);
}

INLINE __m512i
two_rows (const guint8 *a, const guint8 *b)
{
  return _mm512_inserti64x4 (_mm512_castsi256_si512 (_mm256_loadu_si256 ((const __m256i *) a)),
                             _mm256_loadu_si256 ((const __m256i *) b), 1);
}

/* 32 bytes, twice. */
INLINE vi
twice (const void *p)
{
  return (vi) _mm512_broadcast_i64x4 (_mm256_loadu_si256 (p));
}

/* A block of q8_0 of 16 keys. Sums of keys 0 to 7 are in sum[0], of the others in sum[1], those of
 * the first and the second half of the elements in lanes of 128 bits of their own. */
INLINE void
score_block8 (const guint8 *block,
              gsize stride,
              vf scales,
              const guint8 *q,
              gsize q_stride,
              guint n_q,
              vf (*sum)[2])
{
  __m512i code[2][4];
  const vf scale[2] = {
    (vf) _mm512_shuffle_f32x4 ((__m512) scales, (__m512) scales, _MM_SHUFFLE (1, 1, 0, 0)),
    (vf) _mm512_shuffle_f32x4 ((__m512) scales, (__m512) scales, _MM_SHUFFLE (3, 3, 2, 2))
  };

#pragma GCC unroll 2
  for (guint k = 0; k < 2; k++)
    {
      const FourRows a = four_rows (block + 8 * k * stride + 2, stride);
      const FourRows b = four_rows (block + (8 * k + 4) * stride + 2, stride);

#pragma GCC unroll 4
      for (guint i = 0; i < 4; i++)
        code[k][i] = _mm512_xor_si512 (two_rows (row_of (&a, i), row_of (&b, i)),
                                       _mm512_set1_epi8 ((char) 128));
      turn_quads (code[k]);
    }
#pragma GCC unroll 8
  for (guint j = 0; j < n_q; j++)
    {
      const QueryBlock8 *b = (const QueryBlock8 *) (q + j * q_stride);
      vi dot[2] = { twice (b->start), twice (b->start) };

#pragma GCC unroll 2
      for (guint part = 0; part < 2; part++)
        {
#pragma GCC unroll 4
          for (guint i = 0; i < 4; i++)
            {
              const vi x = twice (b->quads[i][part]);

#pragma GCC unroll 2
              for (guint k = 0; k < 2; k++)
                dot[k] = dot_bytes (dot[k], (vb) code[k][i], x);
            }
          if (part == 0)
            {
              dot[0] <<= 7;
              dot[1] <<= 7;
            }
        }
      sum[j][0] += vf_from_vi (dot[0]) * scale[0];
      sum[j][1] += vf_from_vi (dot[1]) * scale[1];
    }
}

/* The same of q4_0; a lane is a key. */
INLINE void
score_block4 (const guint8 *block,
              gsize stride,
              vf scales,
              const guint8 *q,
              gsize q_stride,
              guint n_q,
              vf (*sum)[2])
{
  const FourRows a = four_rows (block + 2, stride);
  const FourRows b = four_rows (block + 4 * stride + 2, stride);
  const FourRows c = four_rows (block + 8 * stride + 2, stride);
  const FourRows d = four_rows (block + 12 * stride + 2, stride);
  __m512i both[4];
  vb code[8];

#pragma GCC unroll 4
  for (guint i = 0; i < 4; i++)
    {
      __m512i v = _mm512_castsi128_si512 (_mm_loadu_si128 ((const __m128i *) row_of (&a, i)));

      v = _mm512_inserti32x4 (v, _mm_loadu_si128 ((const __m128i *) row_of (&b, i)), 1);
      v = _mm512_inserti32x4 (v, _mm_loadu_si128 ((const __m128i *) row_of (&c, i)), 2);
      both[i] = _mm512_inserti32x4 (v, _mm_loadu_si128 ((const __m128i *) row_of (&d, i)), 3);
    }
  turn_quads (both);
#pragma GCC unroll 4
  for (guint i = 0; i < 4; i++)
    {
      code[i] = (vb) both[i] & 15;
      code[4 + i] = (vb) ((vu) both[i] >> 4) & 15;
    }
#pragma GCC unroll 8
  for (guint j = 0; j < n_q; j++)
    {
      const QueryBlock *of = (const QueryBlock *) (q + j * q_stride);
      vi high = { 0 };
      vi low = vi_set1 (of->start[0]);

#pragma GCC unroll 8
      for (guint i = 0; i < 8; i++)
        {
          high = dot_bytes (high, code[i], (vi) vb_quad (of->bytes[0] + 4 * i));
          low = dot_bytes (low, code[i], (vi) vb_quad (of->bytes[1] + 4 * i));
        }
      sum[j][0] += vf_from_vi ((high << 7) + low) * scales;
    }
}

/* Blocks of a head that are looked at together. */
#define MAX_BLOCKS 8

/* Some blocks of 16 keys of a head. */
typedef struct
{
  const guint8 *first;
  gsize stride;
  gint64 head, key, block; /* the first */
  guint n_blocks;
  guint8 copy[KEYS][MAX_BLOCKS * 34];
} ScoreUnit;

/* The one after; at first all is zero. Heads lie beside each other. */
INLINE void
next_unit (AtlDType t, const AtlCacheRows *keys, ScoreUnit *out)
{
  const gint64 n_blocks = keys->width / 32;

  out->block += out->n_blocks;
  if (out->block == n_blocks)
    {
      out->block = 0;
      out->head++;
    }
  if (out->head == keys->n_heads)
    {
      out->head = 0;
      out->key += KEYS;
    }
  out->n_blocks = (guint) MIN (MAX_BLOCKS, n_blocks - out->block);
  out->first = keys->data + (gsize) out->head * keys->head_bytes +
               (gsize) out->key * keys->row_bytes + (gsize) out->block * block_bytes (t);
  out->stride = keys->row_bytes;
  if (keys->n - out->key < KEYS)
    {
      /* The last row is taken again for those that are missing. */
      for (gint64 i = 0; i < KEYS; i++)
        memcpy (out->copy[i], out->first + (gsize) MIN (i, keys->n - 1 - out->key) * out->stride,
                out->n_blocks * block_bytes (t));
      out->first = out->copy[0];
      out->stride = sizeof out->copy[0];
    }
}

INLINE void
score_unit (AtlDType t,
            guint n_q,
            const AtlCacheRows *keys,
            const ScoreUnit *u,
            const guint8 *q,
            float *out,
            Ahead *ahead)
{
  const gsize q_stride = query_bytes (t, keys->width);
  vf sum[MAX_QUERIES][2];

  q += (gsize) u->head * keys->in_stride;
  out += u->head * keys->out_stride + u->key;
#pragma GCC unroll 8
  for (guint j = 0; j < n_q; j++)
    sum[j][0] = sum[j][1] = vf_set1 (0.0f);
  for (guint b = 0; b < u->n_blocks; b++)
    {
      const guint8 *block = u->first + b * block_bytes (t);
      const guint8 *of = q + HEAD_BYTES + (gsize) (u->block + b) * query_block_bytes (t);
      const vf scales = scales_of (block, u->stride);

      ask (ahead);

      if (t == ATL_DTYPE_Q8_0)
        score_block8 (block, u->stride, scales, of, q_stride, n_q, sum);
      else
        score_block4 (block, u->stride, scales, of, q_stride, n_q, sum);
    }
#pragma GCC unroll 8
  for (guint j = 0; j < n_q; j++)
    {
      const __m512 a = (__m512) sum[j][0], b = (__m512) sum[j][1];
      vf all = sum[j][0];
      float scale;

      memcpy (&scale, q + j * q_stride, sizeof scale);
      if (t == ATL_DTYPE_Q8_0)
        all = (vf) _mm512_shuffle_f32x4 (a, b, 0x88) + (vf) _mm512_shuffle_f32x4 (a, b, 0xdd);
      all *= scale;
      if (u->block > 0)
        all += vf_load (out + j * ATL_CACHE_ROWS);
      vf_store (out + j * ATL_CACHE_ROWS, all);
    }
}

INLINE void
scores_body (AtlDType t, guint n_q, const AtlCacheRows *keys, const guint8 *q, float *out)
{
  const gint64 per_head = (keys->width / 32 + MAX_BLOCKS - 1) / MAX_BLOCKS;
  const gint64 n_units = (keys->n + KEYS - 1) / KEYS * keys->n_heads * per_head;
  Ahead ahead = ahead_of (keys, (keys->n + KEYS - 1) / KEYS * keys->n_heads * (keys->width / 32));
  ScoreUnit unit = { 0 };

  ahead.far = keys->far_bytes;
  for (gint64 u = 0; u < n_units; u++)
    {
      next_unit (t, keys, &unit);
      score_unit (t, n_q, keys, &unit, q, out, &ahead);
    }
}

/* --- By number of queries --- */

typedef void (*ScoresFunc) (const AtlCacheRows *keys, const guint8 *q, float *out);

#define DEFINE_OF(T, N)                                                                            \
  static __attribute__ ((noinline)) void scores_##T##_##N (const AtlCacheRows *keys,               \
                                                           const guint8 *q, float *out)            \
  {                                                                                                \
    scores_body (ATL_DTYPE_##T, N, keys, q, out);                                                  \
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
  gsize atl_cache_queries_bytes_##NAME (gint64 n_q, gint64 width)                                  \
  {                                                                                                \
    return (gsize) n_q * query_bytes (ATL_DTYPE_##T, width);                                       \
  }                                                                                                \
  void atl_cache_prepare_queries_##NAME (const float *const *q, gint64 n_q, gint64 width,          \
                                         guint8 *out)                                              \
  {                                                                                                \
    prepare_queries (ATL_DTYPE_##T, q, n_q, width, out);                                           \
  }                                                                                                \
  void atl_cache_scores_##NAME (const AtlCacheRows *keys, const guint8 *q, gint64 n_q, float *out) \
  {                                                                                                \
    static const ScoresFunc of[MAX_QUERIES] = { scores_##T##_1, scores_##T##_2, scores_##T##_3,    \
                                                scores_##T##_4, scores_##T##_5, scores_##T##_6,    \
                                                scores_##T##_7, scores_##T##_8 };                  \
    AtlCacheRows rows = *keys;                                                                     \
                                                                                                   \
    for (gint64 j = 0; j < n_q; j += MAX_QUERIES, rows.ahead_bytes = 0)                            \
      of[MIN (n_q - j, MAX_QUERIES) - 1](&rows,                                                    \
                                         q + (gsize) j * query_bytes (ATL_DTYPE_##T, rows.width),  \
                                         out + j * ATL_CACHE_ROWS);                                \
  }

DEFINE (Q8_0, q8_0)
DEFINE (Q4_0, q4_0)
