/* Sums of values in q8_0 for few queries, in tiles of bytes: the weights of a query, times the
 * scales of the values, are rows of one tile; the codes of the values are brought into groups of
 * four keys for the other. */
#include "engine/tensor/cpu/kern-amx-cache.h"

/* Blocks whose codes and weights are laid out at a time: they stay in the nearest cache. */
#define VALUE_BLOCKS 2

/* Some blocks of a head's values, ready for the tiles, and their sums. */
typedef struct
{
  _Alignas(64) gint8 weights[VALUE_BLOCKS][2 * MAX_QUERIES][64]; /* [high, low of queries][keys] */
  _Alignas(64) guint8 codes[VALUE_BLOCKS][2][16][64];            /* [half][quad of keys] */
  _Alignas(64) gint32 sums[VALUE_BLOCKS][2][2 * MAX_QUERIES][16];
  float scale[VALUE_BLOCKS][MAX_QUERIES];
  guint n; /* blocks */
  float *out;
} ValueTiles;

/* Bytes are packed lane by lane: of each 16 keys the first four come first, then the second. */
INLINE guint
place_of_quad (guint quad)
{
  return quad % 4 * 4 + quad / 4;
}

/* 64 numbers as high and low bytes. */
INLINE void
store_bytes (const vf w[4], float inverse, gint8 *high, gint8 *low)
{
  const __m512i half = _mm512_set1_epi16 (64);
  __m512i hi[2], lo[2];

#pragma GCC unroll 2
  for (guint i = 0; i < 2; i++)
    {
      __m512i v = _mm512_packs_epi32 ((__m512i) vi_round (w[2 * i] * inverse),
                                      (__m512i) vi_round (w[2 * i + 1] * inverse));

      hi[i] = _mm512_srai_epi16 (_mm512_add_epi16 (v, half), 7);
      lo[i] = _mm512_sub_epi16 (v, _mm512_slli_epi16 (hi[i], 7));
    }
  _mm512_store_si512 (high, _mm512_packs_epi16 (hi[0], hi[1]));
  _mm512_store_si512 (low, _mm512_packs_epi16 (lo[0], lo[1]));
}

/* Weights times the scales of a block's values, as bytes. */
INLINE void
prepare_weights (
    ValueTiles *t, guint at, const guint8 *block, gsize stride, gint64 n, const float *p, guint n_q)
{
  vf scales[4];

#pragma GCC unroll 4
  for (guint i = 0; i < 4; i++)
    scales[i] = scales_of (block + 16 * i * stride, stride, CLAMP (n - 16 * i, 0, 16));
  for (guint j = 0; j < n_q; j++, p += ATL_CACHE_ROWS)
    {
      vf w[4];
      float inverse;

      t->scale[at][j] = scaled_weights (p, n, scales, BYTES_LARGEST, w, &inverse);
      store_bytes (w, inverse, t->weights[at][j], t->weights[at][n_q + j]);
    }
}

INLINE __m512i
two_rows (const guint8 *a, const guint8 *b)
{
  return _mm512_inserti64x4 (_mm512_castsi256_si512 (_mm256_loadu_si256 ((const __m256i *) a)),
                             _mm256_loadu_si256 ((const __m256i *) b), 1);
}

/* Lays the codes of a block out by groups of four keys. A row of half 0 has elements 0-3, 16-19,
 * 4-7 and 20-23, one of half 1 those eight on. */
INLINE void
prepare_codes (ValueTiles *t, guint at, const guint8 *block, gsize stride, gint64 n, Ahead *ahead)
{
  static const guint8 none[32];

  for (gint64 k = 0; k < ATL_CACHE_ROWS; k += 8)
    {
      const guint8 *row[8];
      __m512i v[4];
      __m512i ab_low, ab_high, cd_low, cd_high;
      __m512i out[4];

      ask (ahead);
#pragma GCC unroll 8
      for (guint i = 0; i < 8; i++)
        row[i] = k + i < n ? block + 2 + (gsize) (k + i) * stride : none;
#pragma GCC unroll 4
      for (guint i = 0; i < 4; i++)
        v[i] = two_rows (row[i], row[4 + i]);
      ab_low = _mm512_unpacklo_epi8 (v[0], v[1]);
      ab_high = _mm512_unpackhi_epi8 (v[0], v[1]);
      cd_low = _mm512_unpacklo_epi8 (v[2], v[3]);
      cd_high = _mm512_unpackhi_epi8 (v[2], v[3]);
      out[0] = _mm512_unpacklo_epi16 (ab_low, cd_low);
      out[1] = _mm512_unpackhi_epi16 (ab_low, cd_low);
      out[2] = _mm512_unpacklo_epi16 (ab_high, cd_high);
      out[3] = _mm512_unpackhi_epi16 (ab_high, cd_high);
#pragma GCC unroll 4
      for (guint i = 0; i < 4; i++)
        {
          guint8 (*to)[64] = t->codes[at][i / 2];
          const guint quad = (guint) k / 4;

          _mm256_store_si256 ((__m256i *) (to[place_of_quad (quad)] + i % 2 * 32),
                              _mm512_castsi512_si256 (out[i]));
          _mm256_store_si256 ((__m256i *) (to[place_of_quad (quad + 1)] + i % 2 * 32),
                              _mm512_extracti64x4_epi64 (out[i], 1));
        }
    }
}

INLINE void
prepare_values (ValueTiles *t,
                const AtlCacheRows *values,
                gint64 unit,
                const float *p,
                guint n_q,
                float *sums,
                Ahead *ahead)
{
  const gint64 n_blocks = values->width / 32;
  const gint64 per_head = (n_blocks + VALUE_BLOCKS - 1) / VALUE_BLOCKS;
  const gint64 head = unit / per_head;
  const gint64 first = unit % per_head * VALUE_BLOCKS;
  const guint8 *data =
      values->data + (gsize) head * values->head_bytes + (gsize) first * BLOCK_BYTES;

  t->n = (guint) MIN (VALUE_BLOCKS, n_blocks - first);
  t->out = sums + head * values->out_stride + first * 32;
  p = (const float *) ((const guint8 *) p + (gsize) head * values->in_stride);
  for (guint i = 0; i < t->n; i++, data += BLOCK_BYTES)
    if (values->n == ATL_CACHE_ROWS)
      {
        prepare_codes (t, i, data, values->row_bytes, ATL_CACHE_ROWS, ahead);
        prepare_weights (t, i, data, values->row_bytes, ATL_CACHE_ROWS, p, n_q);
      }
    else
      {
        prepare_codes (t, i, data, values->row_bytes, values->n, ahead);
        prepare_weights (t, i, data, values->row_bytes, values->n, p, n_q);
      }
}

#define MULTIPLY_VALUES(SUMS, WEIGHTS, CODES, HALF)                                                \
  _tile_zero (SUMS);                                                                               \
  _tile_loadd (CODES, t->codes[at][HALF], 64);                                                     \
  _tile_dpbssd (SUMS, WEIGHTS, CODES);                                                             \
  _tile_stored (SUMS, t->sums[at][HALF], 64);

INLINE void
multiply_values (ValueTiles *t)
{
  /* gcc 12 does not see that tiles read what was stored. */
  __asm__ volatile("" : : : "memory");
  for (guint at = 0; at < t->n; at++)
    if (at % 2 == 0)
      {
        _tile_loadd (4, t->weights[at], 64);
        MULTIPLY_VALUES (0, 4, 6, 0)
        MULTIPLY_VALUES (1, 4, 7, 1)
      }
    else
      {
        _tile_loadd (5, t->weights[at], 64);
        MULTIPLY_VALUES (2, 5, 6, 0)
        MULTIPLY_VALUES (3, 5, 7, 1)
      }
}

INLINE void
add_values (const ValueTiles *t, guint n_q, gint64 width)
{
  for (guint at = 0; at < t->n; at++)
    for (guint j = 0; j < n_q; j++)
      {
        float *sums = t->out + j * width + at * 32;
        __m512 v[2];

#pragma GCC unroll 2
        for (guint half = 0; half < 2; half++)
          {
            vi dot = ((vi) vf_load (t->sums[at][half][j]) << 7) +
                     (vi) vf_load (t->sums[at][half][n_q + j]);

            v[half] = (__m512) (vf_from_vi (dot) * t->scale[at][j]);
          }
        vf_store (sums, vf_load (sums) + (vf) _mm512_shuffle_f32x4 (v[0], v[1], 0x88));
        vf_store (sums + VW, vf_load (sums + VW) + (vf) _mm512_shuffle_f32x4 (v[0], v[1], 0xdd));
      }
}

/* Blocks are multiplied while the next are laid out: a tile that reads what was just stored waits.
 */
static void
weigh_some (const AtlCacheRows *values, const float *p, guint n_q, float *sums)
{
  const gint64 n_units = values->n_heads * ((values->width / 32 + VALUE_BLOCKS - 1) / VALUE_BLOCKS);
  ValueTiles t[2];
  Ahead ahead = ahead_of (values, values->n_heads * (values->width / 32) * (ATL_CACHE_ROWS / 8));

  /* 64 rows of all heads, and as many again, are more than the nearest cache holds. */
  ahead.is_far = TRUE;
  configure ((TileShape){ 2 * n_q, 64 }, (TileShape){ 2 * n_q, 64 }, (TileShape){ 16, 64 });
  prepare_values (&t[0], values, 0, p, n_q, sums, &ahead);
  for (gint64 u = 0; u < n_units; u++)
    {
      multiply_values (&t[u % 2]);
      if (u > 0)
        add_values (&t[(u + 1) % 2], n_q, values->width);
      if (u + 1 < n_units)
        prepare_values (&t[(u + 1) % 2], values, u + 1, p, n_q, sums, &ahead);
    }
  add_values (&t[(n_units + 1) % 2], n_q, values->width);
  _tile_release ();
}

void
atl_amx_weigh_values (const AtlCacheRows *values, const float *p, gint64 n_q, float *sums)
{
  AtlCacheRows rows = *values;

  for (gint64 j = 0; j < n_q; j += MAX_QUERIES, rows.ahead_bytes = 0)
    weigh_some (&rows, p + j * ATL_CACHE_ROWS, (guint) MIN (MAX_QUERIES, n_q - j),
                sums + j * rows.width);
}
