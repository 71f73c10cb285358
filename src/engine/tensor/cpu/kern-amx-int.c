/* Tiles of AMX in integers, for weights that were rounded when they were quantised: 32 x 32 outputs
 * in four products of bytes, which take the time of two of the three of kern-amx.c.
 *
 * A slab of up to 256 inner elements has a scale for each activation row and each weight row; in it
 * numbers are rounded to 16 bits and split into signed bytes, x = scale (256 hi + lo), so that
 * x w = scales (2^16 xh wh + 2^8 (xh wl + xl wh) + xl wl) with exact sums in 32 bits. None of them
 * can be left out: beside a large activation in their slab, most are all in their low bytes.
 *
 * Layouts of a slab, tiles for each 64 elements, zero padded:
 *   rows:   [32] scales, [2 halves of 16 rows][n / 64][hi, lo] tiles of 16 rows x 64 bytes
 *   panels: [16] scales, [n / 64][hi, lo] tiles of 16 quads of elements x 16 columns x 4 bytes
 */
#include "engine/tensor/cpu/kern-amx.h"
#include "engine/tensor/cpu/simd.h"

#define TILE_BYTES 1024
#define SLAB ATL_AMX_INT_SLAB
#define LARGEST 32512.0f /* 127 * 256 */

/* Lanes of 1 / scale, scales put to `scale`; NAN where `check`, a sum of products with zero, is. */
INLINE __m512
inverse_scales (__m512 largest, __m512 check, float *scale)
{
  const __m512 all = _mm512_set1_ps (LARGEST);
  __m512 inverse = _mm512_div_ps (all, largest);
  /* Values so small that the inverse overflows are nothing beside the others. */
  __mmask16 usable = _mm512_cmp_ps_mask (inverse, _mm512_set1_ps (INFINITY), _CMP_LT_OQ);
  __m512 s = _mm512_maskz_div_ps (usable, largest, all);

  s = _mm512_mask_blend_ps (_mm512_cmp_ps_mask (check, check, _CMP_UNORD_Q), s,
                            _mm512_set1_ps (NAN));
  _mm512_storeu_ps (scale, s);
  return _mm512_maskz_mov_ps (usable, inverse);
}

/* Elements 4 q to 4 q + 3 of 16 columns as bytes, both parts. */
INLINE void
quad_bytes (const __m512i v[4], guint8 *hi, guint8 *lo)
{
  const __m512i half = _mm512_set1_epi16 (128);
  const __m512i turn =
      _mm512_broadcast_i32x4 (_mm_setr_epi8 (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  __m512i a = _mm512_packs_epi32 (v[0], v[1]);
  __m512i b = _mm512_packs_epi32 (v[2], v[3]);
  __m512i ah = _mm512_srai_epi16 (_mm512_add_epi16 (a, half), 8);
  __m512i bh = _mm512_srai_epi16 (_mm512_add_epi16 (b, half), 8);
  __m512i al = _mm512_sub_epi16 (a, _mm512_slli_epi16 (ah, 8));
  __m512i bl = _mm512_sub_epi16 (b, _mm512_slli_epi16 (bh, 8));

  _mm512_storeu_si512 (hi, _mm512_shuffle_epi8 (_mm512_packs_epi16 (ah, bh), turn));
  _mm512_storeu_si512 (lo, _mm512_shuffle_epi8 (_mm512_packs_epi16 (al, bl), turn));
}

void
atl_amx_int_prepare_panel (const float *panel, gint64 n, guint8 *out)
{
  __m512 largest = _mm512_setzero_ps ();
  __m512 check = _mm512_setzero_ps ();
  __m512 inverse;

  g_assert (n <= SLAB);
  for (gint64 k = 0; k < n; k++)
    {
      __m512 v = _mm512_loadu_ps (panel + k * 16);

      largest = _mm512_max_ps (largest, _mm512_abs_ps (v));
      check = _mm512_fmadd_ps (v, _mm512_setzero_ps (), check);
    }
  inverse = inverse_scales (largest, check, (float *) out);
  out += 64;
  for (gint64 k = 0; k < n; k += 64, out += 2 * TILE_BYTES)
    for (gint64 q = 0; q < 16; q++)
      {
        __m512i v[4];

        for (gint64 i = 0; i < 4; i++)
          {
            gint64 at = k + 4 * q + i;
            v[i] = at < n ? _mm512_cvtps_epi32 (
                                _mm512_mul_ps (_mm512_loadu_ps (panel + at * 16), inverse))
                          : _mm512_setzero_si512 ();
          }
        quad_bytes (v, out + q * 64, out + TILE_BYTES + q * 64);
      }
}

/* One row of a slab; tiles of a half of the rows follow each other. */
INLINE void
prepare_row (const float *x, gint64 n, float *scale, guint8 *out)
{
  __m512 largest = _mm512_setzero_ps ();
  __m512 check = _mm512_setzero_ps ();
  __m512 inverse;
  float s[16];

  for (gint64 k = 0; k < n; k += 16)
    {
      __m512 v = _mm512_maskz_loadu_ps (
          (__mmask16) _cvtu32_mask16 (n - k >= 16 ? 0xffff : (1u << (n - k)) - 1), x + k);

      largest = _mm512_max_ps (largest, _mm512_abs_ps (v));
      check = _mm512_fmadd_ps (v, _mm512_setzero_ps (), check);
    }
  largest = _mm512_set1_ps (_mm512_reduce_max_ps (largest));
  check = _mm512_set1_ps (_mm512_reduce_add_ps (check));
  inverse = inverse_scales (largest, check, s);
  *scale = s[0];
  for (gint64 k = 0; k < (n + 63) / 64 * 64; k += 16)
    {
      __m512i v = _mm512_setzero_si512 ();
      __m512i hi;
      guint8 *to = out + k / 64 * 2 * TILE_BYTES + k % 64;

      if (n - k >= 16)
        v = _mm512_cvtps_epi32 (_mm512_mul_ps (_mm512_loadu_ps (x + k), inverse));
      else if (k < n)
        v = _mm512_cvtps_epi32 (_mm512_mul_ps (
            _mm512_maskz_loadu_ps ((__mmask16) ((1u << (n - k)) - 1), x + k), inverse));
      hi = _mm512_srai_epi32 (_mm512_add_epi32 (v, _mm512_set1_epi32 (128)), 8);
      _mm_storeu_si128 ((__m128i *) to, _mm512_cvtepi32_epi8 (hi));
      _mm_storeu_si128 ((__m128i *) (to + TILE_BYTES),
                        _mm512_cvtepi32_epi8 (_mm512_sub_epi32 (v, _mm512_slli_epi32 (hi, 8))));
    }
}

void
atl_amx_int_prepare_rows (const float *const *rows, gint64 n, gint64 n_k, guint8 *out)
{
  for (gint64 k = 0; k < n_k; k += SLAB, out += ATL_AMX_INT_SLAB_BYTES)
    {
      const gint64 n_slab = MIN (SLAB, n_k - k);
      const gsize half_bytes = (gsize) (n_slab + 63) / 64 * 2 * TILE_BYTES;
      float *scales = (float *) out;
      guint8 *tiles = out + 32 * sizeof (float);

      for (gint64 r = n; r < 32; r++)
        scales[r] = 0.0f; /* whatever the tiles hold */
      for (gint64 r = 0; r < n; r++)
        prepare_row (rows[r] + k, n_slab, scales + r,
                     tiles + (gsize) (r / 16) * half_bytes + r % 16 * 64);
    }
}

/* 32 rows x 16 columns in integers: [hi hi, the mixed ones, lo lo][2 halves] tiles to `out`. */
INLINE void
panel_products (gint64 n_k, const guint8 *a0, const guint8 *a1, const guint8 *b, gint32 *out)
{
  _tile_zero (0);
  _tile_zero (1);
  _tile_zero (2);
  _tile_zero (3);
  _tile_zero (4);
  _tile_zero (5);
  for (gint64 k = 0; k < n_k; k += 64)
    {
      _tile_loadd (6, a0, 64);
      _tile_loadd (7, b, 64);
      _tile_dpbssd (0, 6, 7);
      _tile_loadd (7, b + TILE_BYTES, 64);
      _tile_dpbssd (2, 6, 7);
      _tile_loadd (6, a0 + TILE_BYTES, 64);
      _tile_dpbssd (4, 6, 7);
      _tile_loadd (7, b, 64);
      _tile_dpbssd (2, 6, 7);
      _tile_loadd (6, a1, 64);
      _tile_dpbssd (1, 6, 7);
      _tile_loadd (7, b + TILE_BYTES, 64);
      _tile_dpbssd (3, 6, 7);
      _tile_loadd (6, a1 + TILE_BYTES, 64);
      _tile_dpbssd (5, 6, 7);
      _tile_loadd (7, b, 64);
      _tile_dpbssd (3, 6, 7);
      a0 += 2 * TILE_BYTES;
      a1 += 2 * TILE_BYTES;
      b += 2 * TILE_BYTES;
    }
  _tile_stored (0, out, 64);
  _tile_stored (2, out + 512, 64);
  _tile_stored (4, out + 1024, 64);
  _tile_stored (1, out + 256, 64);
  _tile_stored (3, out + 768, 64);
  _tile_stored (5, out + 1280, 64);
}

INLINE void
add_scaled (const gint32 *sums,
            const float *row_scales,
            const float *scales,
            float *c,
            gint64 ldc,
            gboolean add)
{
  const __m512 sw = _mm512_mul_ps (_mm512_loadu_ps (scales), _mm512_set1_ps (256.0f));

  for (gint64 r = 0; r < 32; r++)
    {
      /* In units of 2^8: what the last shift loses is nothing beside the first. */
      __m512i v = _mm512_slli_epi32 (_mm512_load_si512 (sums + 16 * r), 8);
      v = _mm512_add_epi32 (v, _mm512_load_si512 (sums + 512 + 16 * r));
      v = _mm512_add_epi32 (v, _mm512_srai_epi32 (_mm512_load_si512 (sums + 1024 + 16 * r), 8));
      __m512 s = _mm512_mul_ps (sw, _mm512_set1_ps (row_scales[r]));
      __m512 before = add ? _mm512_loadu_ps (c + r * ldc) : _mm512_setzero_ps ();

      _mm512_storeu_ps (c + r * ldc, _mm512_fmadd_ps (_mm512_cvtepi32_ps (v), s, before));
    }
}

void
atl_amx_int_tile (gint64 n_k,
                  const guint8 *a,
                  const guint8 *b0,
                  const guint8 *b1,
                  float *c,
                  gint64 ldc,
                  gboolean add)
{
  _Alignas(64) gint32 sums[2][1536];
  const guint8 *a0 = a + 32 * sizeof (float);
  const guint8 *a1 = a0 + (n_k + 63) / 64 * 2 * TILE_BYTES;

  /* Both first: the tiles of the second work while vectors finish the sums of the first. */
  panel_products (n_k, a0, a1, b0 + 64, sums[0]);
  panel_products (n_k, a0, a1, b1 + 64, sums[1]);
  add_scaled (sums[0], (const float *) a, (const float *) b0, c, ldc, add);
  add_scaled (sums[1], (const float *) a, (const float *) b1, c + 16, ldc, add);
}
