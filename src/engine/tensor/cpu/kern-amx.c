/* Tiles of AMX: 32 x 32 outputs from bfloat16 products that are summed in float32.
 *
 * One bfloat16 has 8 bits; so activations and weights are each split in two, x = xh + xl, w = wh +
 * wl, and xh wh + xh wl + xl wh is summed: what is missing (xl wl, and the rest of the splits) is
 * about 2^-15 of a product, as good as the integers of kern-quant.c.
 *
 * Layouts, per 32 elements of the inner dimension:
 *   rows:   [2 halves of 16 rows][hi, lo] tiles of 16 rows x 32 bf16
 *   pixels: [pixels][hi, lo] of 32 bf16
 *   panels: [hi, lo] tiles of 16 pairs of elements x 16 columns x 2 bf16
 */
#include "engine/tensor/cpu/kern-amx.h"
#include "engine/tensor/cpu/simd.h"

#define TILE_BYTES 1024

void
atl_amx_begin (void)
{
  _Alignas(64) AtlTileConfig config = { .palette = 1 };

  for (guint i = 0; i < 8; i++)
    {
      config.row_bytes[i] = 64;
      config.rows[i] = 16;
    }
  /* gcc 12 drops the stores to `config` otherwise. */
  __asm__ volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig (&config);
}

void
atl_amx_end (void)
{
  _tile_release ();
}

/* Two rows of a panel as 16 pairs of bf16: the high parts at `out`, the low ones a tile further. */
INLINE void
split_pair (vf a, vf b, guint8 *out)
{
  const vi high = vi_set1 ((gint32) 0xffff0000);
  vi ah = (vi) a & high;
  vi bh = (vi) b & high;
  vf al = a - (vf) ah;
  vf bl = b - (vf) bh;

  vf_store (out, (vf) (bh | (vi) ((vu) ah >> 16)));
  vf_store (out + TILE_BYTES, (vf) (((vi) bl & high) | (vi) ((vu) (vi) al >> 16)));
}

/* [n][16] floats to pairs of bf16; n rounded up to 32 with zeros. */
void
atl_amx_prepare_panel (const float *panel, gint64 n, guint8 *out)
{
  for (gint64 k = 0; k < n; k += 32, out += 2 * TILE_BYTES)
    for (guint pair = 0; pair < 16; pair++)
      {
        gint64 at = k + 2 * pair;

        split_pair (at < n ? vf_load (panel + at * 16) : vf_set1 (0.0f),
                    at + 1 < n ? vf_load (panel + (at + 1) * 16) : vf_set1 (0.0f), out + pair * 64);
      }
}

void
atl_amx_load_panel (AtlDType dtype, const guint8 *panel, gint64 n, guint8 *out)
{
  if (dtype == ATL_DTYPE_F16)
    for (gint64 k = 0; k < n; k += 32, out += 2 * TILE_BYTES)
      for (guint pair = 0; pair < 16; pair++, panel += 64)
        split_pair (vf_load_f16 (panel), vf_load_f16 (panel + 32), out + pair * 64);
  else if (dtype == ATL_DTYPE_BF16)
    for (gint64 k = 0; k < n; k += 32, out += 2 * TILE_BYTES)
      for (guint pair = 0; pair < 16; pair++, panel += 64)
        split_pair (vf_load_bf16 (panel), vf_load_bf16 (panel + 32), out + pair * 64);
  else
    atl_amx_prepare_panel ((const float *) panel, n, out);
}

/* One row of 32 elements, split. */
INLINE void
split_row (vf a, vf b, guint8 *hi, guint8 *lo)
{
  const __m512i high = _mm512_set1_epi32 ((gint32) 0xffff0000);
  __m512i ah = _mm512_and_si512 ((__m512i) a, high);
  __m512i bh = _mm512_and_si512 ((__m512i) b, high);
  __m512 al = _mm512_sub_ps ((__m512) a, (__m512) ah);
  __m512 bl = _mm512_sub_ps ((__m512) b, (__m512) bh);

  _mm256_storeu_si256 ((__m256i *) hi, _mm512_cvtepi32_epi16 (_mm512_srli_epi32 (ah, 16)));
  _mm256_storeu_si256 ((__m256i *) (hi + 32), _mm512_cvtepi32_epi16 (_mm512_srli_epi32 (bh, 16)));
  _mm256_storeu_si256 ((__m256i *) lo,
                       _mm512_cvtepi32_epi16 (_mm512_srli_epi32 ((__m512i) al, 16)));
  _mm256_storeu_si256 ((__m256i *) (lo + 32),
                       _mm512_cvtepi32_epi16 (_mm512_srli_epi32 ((__m512i) bl, 16)));
}

void
atl_amx_prepare_rows (const float *const *rows, gint64 n, gint64 n_k, guint8 *out)
{
  for (gint64 k = 0; k < n_k; k += 32, out += 4 * TILE_BYTES)
    for (gint64 r = 0; r < 32; r++)
      {
        guint8 *hi = out + r / 16 * 2 * TILE_BYTES + r % 16 * 64;

        if (r >= n)
          {
            memset (hi, 0, 64);
            memset (hi + TILE_BYTES, 0, 64);
          }
        else if (n_k - k >= 32)
          {
            split_row (vf_load (rows[r] + k), vf_load (rows[r] + k + 16), hi, hi + TILE_BYTES);
          }
        else
          {
            float last[32] = { 0 };

            memcpy (last, rows[r] + k, (gsize) (n_k - k) * sizeof (float));
            split_row (vf_load (last), vf_load (last + 16), hi, hi + TILE_BYTES);
          }
      }
}

/* 2^x for x <= 0, within 2e-7. */
INLINE vf
power_of_two (vf x)
{
  vf n;

  x = (vf) _mm512_max_ps (_mm512_set1_ps (-200.0f), (__m512) x); /* keeps what is no number */
  n = (vf) _mm512_roundscale_ps ((__m512) x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return (vf) _mm512_scalef_ps ((__m512) vf_exp2_fraction (x - n), (__m512) n);
}

/* One row of atl_amx_softmax_tile of n_v vectors, the last of which has the elements of `last`. */
INLINE void
softmax_row (const float *s,
             guint n_v,
             __mmask16 last,
             float scale,
             float *state,
             float *correction,
             guint8 *hi)
{
  const __m512 least = _mm512_set1_ps (-INFINITY);
  const float factor = scale * 1.44269504f;
  const float before = state[0];
  vf score[8] = { { 0 } }, most, total = vf_set1 (0.0f);
  float now, shift;

#pragma GCC unroll 8
  for (guint i = 0; i < n_v; i++)
    score[i] = (vf) _mm512_mask_loadu_ps (least, i + 1 < n_v ? 0xffff : last, s + 16 * i);
  most = score[0];
#pragma GCC unroll 8
  for (guint i = 1; i < n_v; i++)
    most = vf_max (most, score[i]);
  now = MAX (before, vf_largest (most) * scale);
  shift = now * 1.44269504f;
#pragma GCC unroll 4
  for (guint i = 0; i < n_v; i += 2, hi += 4 * TILE_BYTES)
    {
      vf a = power_of_two (score[i] * factor - shift);
      vf b = vf_set1 (0.0f);

      if (i + 1 == n_v)
        a = (vf) _mm512_maskz_mov_ps (last, (__m512) a);
      if (i + 1 < n_v)
        b = power_of_two (score[i + 1] * factor - shift);
      if (i + 2 == n_v)
        b = (vf) _mm512_maskz_mov_ps (last, (__m512) b);
      total += a + b;
      split_row (a, b, hi, hi + TILE_BYTES);
    }
  *correction = before == now ? 1.0f : expf (before - now);
  state[0] = now;
  state[1] = state[1] * *correction + vf_sum (total);
}

void
atl_amx_softmax_tile (const float *scores,
                      gint64 ld,
                      gint64 n,
                      gint64 n_rows,
                      float scale,
                      float *state,
                      float *correction,
                      guint8 *out)
{
  const guint n_v = (guint) (n + 15) / 16;
  const __mmask16 last = (__mmask16) (0xffff >> (16 * n_v - (guint) n));

  for (gint64 r = 0; r < n_rows; r++, scores += ld, state += 2, correction++)
    {
      guint8 *hi = out + r / 16 * 2 * TILE_BYTES + r % 16 * 64;

      if (n == 128)
        softmax_row (scores, 8, 0xffff, scale, state, correction, hi);
      else
        softmax_row (scores, n_v, last, scale, state, correction, hi);
    }
}

/* For each 32 channels [hi, lo][32]. */
void
atl_amx_split_pixel (const float *x, gint64 n, gsize stride, guint8 *out)
{
  for (gint64 k = 0; k < n; k += 32, out += stride)
    if (n - k >= 32)
      {
        split_row (vf_load (x + k), vf_load (x + k + 16), out, out + 64);
      }
    else
      {
        float last[32] = { 0 };

        memcpy (last, x + k, (gsize) (n - k) * sizeof (float));
        split_row (vf_load (last), vf_load (last + 16), out, out + 64);
      }
}

INLINE void
load_sums (const float *c, gint64 ldc, gboolean add)
{
  const gsize c_bytes = (gsize) ldc * sizeof (float);

  if (add)
    {
      _tile_loadd (0, c, c_bytes);
      _tile_loadd (1, c + 16, c_bytes);
      _tile_loadd (2, c + 16 * ldc, c_bytes);
      _tile_loadd (3, c + 16 * ldc + 16, c_bytes);
    }
  else
    {
      _tile_zero (0);
      _tile_zero (1);
      _tile_zero (2);
      _tile_zero (3);
    }
}

INLINE void
store_sums (float *c, gint64 ldc)
{
  const gsize c_bytes = (gsize) ldc * sizeof (float);

  _tile_stored (0, c, c_bytes);
  _tile_stored (1, c + 16, c_bytes);
  _tile_stored (2, c + 16 * ldc, c_bytes);
  _tile_stored (3, c + 16 * ldc + 16, c_bytes);
}

/* The sums in tiles 0 to 3 += 32 elements of 32 rows, the halves of which begin at a0 and a1, the
 * low parts of each `low` bytes further, by the panels. */
INLINE void
add_products (const guint8 *a0,
              const guint8 *a1,
              gsize low,
              gsize stride,
              const guint8 *b0,
              const guint8 *b1,
              gboolean is_bf16)
{
  /* xl wh */
  _tile_loadd (4, a0 + low, stride);
  _tile_loadd (6, b0, 64);
  _tile_dpbf16ps (0, 4, 6);
  _tile_loadd (7, b1, 64);
  _tile_dpbf16ps (1, 4, 7);
  _tile_loadd (5, a1 + low, stride);
  _tile_dpbf16ps (2, 5, 6);
  _tile_loadd (4, a0, stride);
  _tile_dpbf16ps (3, 5, 7);
  _tile_loadd (5, a1, stride);
  /* xh wh */
  _tile_dpbf16ps (0, 4, 6);
  _tile_dpbf16ps (1, 4, 7);
  _tile_dpbf16ps (2, 5, 6);
  if (!is_bf16)
    _tile_loadd (6, b0 + TILE_BYTES, 64);
  _tile_dpbf16ps (3, 5, 7);
  /* xh wl; weights that are bf16 have no low parts */
  if (is_bf16)
    return;
  _tile_loadd (7, b1 + TILE_BYTES, 64);
  _tile_dpbf16ps (0, 4, 6);
  _tile_dpbf16ps (1, 4, 7);
  _tile_dpbf16ps (2, 5, 6);
  _tile_dpbf16ps (3, 5, 7);
}

INLINE void
tile_rows (gint64 n_k,
           const guint8 *a,
           const guint8 *b0,
           const guint8 *b1,
           float *c,
           gint64 ldc,
           gboolean add,
           gboolean is_bf16)
{
  b1 = b1 != NULL ? b1 : b0;
  load_sums (c, ldc, add);
  for (gint64 k = 0; k < n_k; k += 32)
    {
      add_products (a, a + 2 * TILE_BYTES, TILE_BYTES, 64, b0, b1, is_bf16);
      a += 4 * TILE_BYTES;
      b0 += 2 * TILE_BYTES;
      b1 += 2 * TILE_BYTES;
    }
  store_sums (c, ldc);
}

void
atl_amx_tile (gint64 n_k,
              const guint8 *a,
              const guint8 *b0,
              const guint8 *b1,
              float *c,
              gint64 ldc,
              gboolean add)
{
  tile_rows (n_k, a, b0, b1, c, ldc, add, FALSE);
}

void
atl_amx_tile_bf16 (gint64 n_k,
                   const guint8 *a,
                   const guint8 *b0,
                   const guint8 *b1,
                   float *c,
                   gint64 ldc,
                   gboolean add)
{
  tile_rows (n_k, a, b0, b1, c, ldc, add, TRUE);
}

INLINE void
tile_pixels (guint n_units,
             const guint8 *const *a,
             const guint8 *b0,
             const guint8 *b1,
             float *c,
             gboolean add,
             gboolean is_bf16)
{
  load_sums (c, 32, add);
  for (guint i = 0; i < n_units; i++)
    {
      add_products (a[i], a[i] + 16 * 128, 64, 128, b0, b1, is_bf16);
      b0 += 2 * TILE_BYTES;
      b1 += 2 * TILE_BYTES;
    }
  store_sums (c, 32);
}

void
atl_amx_tile_pixels (guint n_units,
                     const guint8 *const *a,
                     const guint8 *b0,
                     const guint8 *b1,
                     float *c,
                     gboolean add)
{
  tile_pixels (n_units, a, b0, b1, c, add, FALSE);
}

void
atl_amx_tile_pixels_bf16 (guint n_units,
                          const guint8 *const *a,
                          const guint8 *b0,
                          const guint8 *b1,
                          float *c,
                          gboolean add)
{
  tile_pixels (n_units, a, b0, b1, c, add, TRUE);
}
