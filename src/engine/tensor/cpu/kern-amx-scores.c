/* Scores of few queries over keys in q8_0, in tiles of bytes: 16 keys meet the high and low bytes
 * of four or eight queries. A key and block of 32 codes takes a few instructions, where floats take
 * one for each 16 numbers and query. */
#include "engine/tensor/cpu/kern-amx-cache.h"

/* --- Queries --- */

/* Sums of scores have a column for the high, then for the low bytes of four or eight queries. */
INLINE guint
columns_of (gint64 n_q)
{
  return n_q > 4 ? 16 : 8;
}

/* Up to eight queries: their scales, then for each quad of elements a row of columns. */
static void
prepare_some (const float *const *queries, guint n_q, gint64 width, guint8 *out)
{
  const guint n_columns = columns_of (n_q);
  float *scale = (float *) out;
  gint32 *quads = (gint32 *) (out + MAX_QUERIES * sizeof (float));

  memset (scale, 0, MAX_QUERIES * sizeof *scale);
  memset (quads, 0, (gsize) (width / 4) * n_columns * sizeof *quads);
  for (guint j = 0; j < n_q; j++)
    {
      const float *q = queries[j];
      vf largest = vf_set1 (0.0f);
      vf check = vf_set1 (0.0f);
      float size, inverse;

      for (gint64 i = 0; i < width; i += VW)
        {
          largest = vf_max (largest, vf_abs (vf_load (q + i)));
          check += vf_load (q + i) * 0.0f;
        }
      size = vf_largest (largest);
      inverse = inverse_of (size, BYTES_LARGEST);
      scale[j] = inverse > 0.0f ? size / BYTES_LARGEST : 0.0f;
      /* What is no number is not lost in integers. */
      if (isnan (vf_sum (check)))
        scale[j] = NAN;
      for (gint64 i = 0; i < width; i += VW)
        {
          vi v = vi_round (vf_load (q + i) * inverse);
          vi hi = (v + 64) >> 7;
          gint32 bytes[8];

          _mm_storeu_si128 ((__m128i *) bytes, _mm512_cvtepi32_epi8 ((__m512i) hi));
          _mm_storeu_si128 ((__m128i *) (bytes + 4),
                            _mm512_cvtepi32_epi8 ((__m512i) (v - (hi << 7))));
          for (guint k = 0; k < 4; k++)
            {
              quads[(i / 4 + k) * n_columns + j] = bytes[k];
              quads[(i / 4 + k) * n_columns + n_columns / 2 + j] = bytes[4 + k];
            }
        }
    }
}

static gsize
prepared_bytes (gint64 n_q, gint64 width)
{
  return MAX_QUERIES * sizeof (float) + (gsize) (width / 4) * columns_of (n_q) * sizeof (gint32);
}

gsize
atl_amx_queries_bytes (gint64 n_q, gint64 width)
{
  const gint64 whole = n_q / MAX_QUERIES;
  const gsize rest = n_q % MAX_QUERIES > 0 ? prepared_bytes (n_q % MAX_QUERIES, width) : 0;

  return (gsize) whole * prepared_bytes (MAX_QUERIES, width) + rest;
}

void
atl_amx_prepare_queries (const float *const *q, gint64 n_q, gint64 width, guint8 *out)
{
  for (gint64 j = 0; j < n_q; j += MAX_QUERIES)
    {
      const gint64 n = MIN (MAX_QUERIES, n_q - j);

      prepare_some (q + j, (guint) n, width, out);
      out += prepared_bytes (n, width);
    }
}

/* --- Scores --- */

/* Products that the tiles compute at a time, while the sums of those before are taken out. */
#define AT_A_TIME 4
/* The room of their sums; two of them end where addresses repeat modulo 4096, so that no load waits
 * for a store that only looks like its own. */
#define SUMS_ROOM (AT_A_TIME * 16 * 16)

/* Up to 16 keys of all heads, in the order in which they lie in memory. */
typedef struct
{
  const AtlCacheRows *keys;
  gint64 first; /* of the keys */
  guint n_rows;
  const guint8 *q; /* of the first head */
} ScoreTile;

typedef struct
{
  gint64 head, block;
} Place;

INLINE void
advance (Place *at, gint64 n_blocks)
{
  if (++at->block == n_blocks)
    {
      at->block = 0;
      at->head++;
    }
}

INLINE const guint8 *
keys_at (const ScoreTile *t, const Place *at)
{
  return t->keys->data + (gsize) t->first * t->keys->row_bytes +
         (gsize) at->head * t->keys->head_bytes + at->block * BLOCK_BYTES;
}

INLINE const guint8 *
quads_at (guint n_columns, const ScoreTile *t, const Place *at)
{
  return t->q + (gsize) at->head * t->keys->in_stride + MAX_QUERIES * sizeof (float) +
         (gsize) at->block * 8 * n_columns * 4;
}

#define MULTIPLY_KEYS(SUMS, KEYS, QUADS)                                                           \
  if (n > SUMS)                                                                                    \
    {                                                                                              \
      _tile_loadd (QUADS, quads_at (n_columns, t, at), n_columns * 4);                             \
      _tile_zero (SUMS);                                                                           \
      _tile_loadd (KEYS, keys_at (t, at) + 2, t->keys->row_bytes);                                 \
      _tile_dpbssd (SUMS, KEYS, QUADS);                                                            \
      _tile_stored (SUMS, out + SUMS * 16 * n_columns, n_columns * 4);                             \
      advance (at, n_blocks);                                                                      \
    }

INLINE void
multiply_keys (guint n_columns, const ScoreTile *t, Place *at, gint64 n, gint32 *out)
{
  const gint64 n_blocks = t->keys->width / 32;

  MULTIPLY_KEYS (0, 4, 6)
  MULTIPLY_KEYS (1, 5, 7)
  MULTIPLY_KEYS (2, 4, 6)
  MULTIPLY_KEYS (3, 5, 7)
}

/* Adds a block's sums, times the scales of its keys, to those of the blocks before. A vector has
 * the columns of one key or of two. */
INLINE void
add_block (guint n_columns,
           gboolean is_first,
           const ScoreTile *t,
           const Place *at,
           const gint32 *sums,
           float *total)
{
  const guint per_vector = VW / n_columns;
  const vf scales = scales_of (keys_at (t, at), t->keys->row_bytes, t->n_rows);
  vi which;

  for (guint i = 0; i < VW; i++)
    which[i] = (gint32) (i / n_columns);
#pragma GCC unroll 16
  for (guint i = 0; i < 16; i += per_vector, sums += VW, total += VW)
    {
      vf scale = (vf) _mm512_permutexvar_ps ((__m512i) (which + (gint32) i), (__m512) scales);
      vf sum = vf_from_vi ((vi) vf_load (sums)) * scale;

      vf_store (total, is_first ? sum : vf_load (total) + sum);
    }
}

/* Four keys' scores of four queries each, keys one after the other: a vector a query. */
INLINE void
transpose (const vf z[4], guint n_q, float *out)
{
  const vi order = { 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15 };
  __m512 t0 = _mm512_unpacklo_ps ((__m512) z[0], (__m512) z[1]);
  __m512 t1 = _mm512_unpackhi_ps ((__m512) z[0], (__m512) z[1]);
  __m512 t2 = _mm512_unpacklo_ps ((__m512) z[2], (__m512) z[3]);
  __m512 t3 = _mm512_unpackhi_ps ((__m512) z[2], (__m512) z[3]);
  __m512 q[4];

  q[0] = (__m512) _mm512_unpacklo_pd ((__m512d) t0, (__m512d) t2);
  q[1] = (__m512) _mm512_unpackhi_pd ((__m512d) t0, (__m512d) t2);
  q[2] = (__m512) _mm512_unpacklo_pd ((__m512d) t1, (__m512d) t3);
  q[3] = (__m512) _mm512_unpackhi_pd ((__m512d) t1, (__m512d) t3);
#pragma GCC unroll 4
  for (guint j = 0; j < 4; j++)
    if (j < n_q)
      vf_store (out + j * ATL_CACHE_ROWS, (vf) _mm512_permutexvar_ps ((__m512i) order, q[j]));
}

/* Joins the high and low columns of 16 keys. */
INLINE void
finish_keys (guint n_columns, const float *scale, guint n_q, const float *total, float *out)
{
  float factors[VW];
  vf factor;
  vf z[2][4];

  for (guint i = 0; i < VW; i++)
    {
      guint column = i % n_columns;

      factors[i] = column < n_columns / 2 ? 128.0f * scale[column] : scale[column - n_columns / 2];
    }
  factor = vf_load (factors);
#pragma GCC unroll 4
  for (guint m = 0; m < 4; m++)
    {
      const float *of = total + 4 * m * n_columns;

      if (n_columns == 8)
        {
          __m512 a = (__m512) (vf_load (of) * factor);
          __m512 b = (__m512) (vf_load (of + VW) * factor);

          z[0][m] = (vf) _mm512_shuffle_f32x4 (a, b, 0x88) + (vf) _mm512_shuffle_f32x4 (a, b, 0xdd);
        }
      else
        {
          __m512 a = (__m512) (vf_load (of) * factor);
          __m512 b = (__m512) (vf_load (of + VW) * factor);
          __m512 c = (__m512) (vf_load (of + 2 * VW) * factor);
          __m512 d = (__m512) (vf_load (of + 3 * VW) * factor);
          vf ab = (vf) _mm512_shuffle_f32x4 (a, b, 0x44) + (vf) _mm512_shuffle_f32x4 (a, b, 0xee);
          vf cd = (vf) _mm512_shuffle_f32x4 (c, d, 0x44) + (vf) _mm512_shuffle_f32x4 (c, d, 0xee);

          z[0][m] = (vf) _mm512_shuffle_f32x4 ((__m512) ab, (__m512) cd, 0x88);
          z[1][m] = (vf) _mm512_shuffle_f32x4 ((__m512) ab, (__m512) cd, 0xdd);
        }
    }
  transpose (z[0], n_q, out);
  if (n_columns == 16)
    transpose (z[1], n_q - MIN (n_q, 4), out + 4 * ATL_CACHE_ROWS);
}

INLINE void
score_tile (guint n_columns, const ScoreTile *t, guint n_q, float *out, Ahead *ahead)
{
  const AtlCacheRows *keys = t->keys;
  const gint64 n_blocks = keys->width / 32;
  const gint64 n_products = keys->n_heads * n_blocks;
  _Alignas(4096) gint32 sums[2][SUMS_ROOM + 64];
  _Alignas(64) float total[16 * 16];
  Place next = { 0, 0 };
  Place at = { 0, 0 };

  multiply_keys (n_columns, t, &next, n_products, sums[0]);
  for (gint64 i = 0; i < n_products; i++)
    {
      const gint32 *own = sums[i / AT_A_TIME % 2] + i % AT_A_TIME * 16 * n_columns;

      if (i % AT_A_TIME == 0)
        multiply_keys (n_columns, t, &next, n_products - i - AT_A_TIME,
                       sums[(i / AT_A_TIME + 1) % 2]);
      ask (ahead);
      if (at.block == 0)
        add_block (n_columns, TRUE, t, &at, own, total);
      else
        add_block (n_columns, FALSE, t, &at, own, total);
      if (at.block + 1 == n_blocks)
        finish_keys (n_columns, (const float *) (t->q + (gsize) at.head * keys->in_stride), n_q,
                     total, out + at.head * keys->out_stride + t->first);
      advance (&at, n_blocks);
    }
}

INLINE void
scores_body (guint n_columns, const AtlCacheRows *keys, const guint8 *q, guint n_q, float *out)
{
  const gint64 n_tiles = (keys->n + 15) / 16;
  ScoreTile t = { .keys = keys, .q = q };
  Ahead ahead = ahead_of (keys, n_tiles * keys->n_heads * (keys->width / 32));

  for (; t.first < keys->n; t.first += 16)
    {
      const guint n_rows = (guint) MIN (16, keys->n - t.first);

      if (n_rows != t.n_rows)
        configure ((TileShape){ n_rows, n_columns * 4 }, (TileShape){ n_rows, 32 },
                   (TileShape){ 8, n_columns * 4 });
      t.n_rows = n_rows;
      score_tile (n_columns, &t, n_q, out, &ahead);
    }
  _tile_release ();
}

static __attribute__ ((noinline)) void
scores_of_four (const AtlCacheRows *keys, const guint8 *q, guint n_q, float *out)
{
  scores_body (8, keys, q, n_q, out);
}

static __attribute__ ((noinline)) void
scores_of_eight (const AtlCacheRows *keys, const guint8 *q, guint n_q, float *out)
{
  scores_body (16, keys, q, n_q, out);
}

void
atl_amx_scores (const AtlCacheRows *keys, const guint8 *q, gint64 n_q, float *out)
{
  AtlCacheRows rows = *keys;

  for (gint64 j = 0; j < n_q; j += MAX_QUERIES, rows.ahead_bytes = 0)
    {
      const guint n = (guint) MIN (MAX_QUERIES, n_q - j);

      if (n > 4)
        scores_of_eight (&rows, q, n, out + j * ATL_CACHE_ROWS);
      else
        scores_of_four (&rows, q, n, out + j * ATL_CACHE_ROWS);
      q += prepared_bytes (n, rows.width);
    }
}
