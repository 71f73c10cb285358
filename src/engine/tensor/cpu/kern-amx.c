/* Tiles of AMX: 32 x 32 outputs from bfloat16 products that are summed in float32.
 *
 * One bfloat16 has 8 bits; so activations and weights are each split in two, x = xh + xl, w = wh +
 * wl, and xh wh + xh wl + xl wh is summed: what is missing (xl wl, and the rest of the splits) is
 * about 2^-15 of a product, as good as the integers of kern-quant.c.
 *
 * Layouts, per 32 elements of the inner dimension:
 *   rows:   [2 halves of 16 rows][hi, lo] tiles of 16 rows x 32 bf16
 *   panels: [hi, lo] tiles of 16 pairs of elements x 16 columns x 2 bf16
 */
#include "engine/tensor/cpu/cpu.h"
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

/* [n][16] floats to pairs of bf16; n rounded up to 32 with zeros. */
void
atl_amx_prepare_panel (const float *panel, gint64 n, guint8 *out)
{
  const vi high = vi_set1 ((gint32) 0xffff0000);

  for (gint64 k = 0; k < n; k += 32, out += 2 * TILE_BYTES)
    for (guint pair = 0; pair < 16; pair++)
      {
        gint64 at = k + 2 * pair;
        vf a = at < n ? vf_load (panel + at * 16) : vf_set1 (0.0f);
        vf b = at + 1 < n ? vf_load (panel + (at + 1) * 16) : vf_set1 (0.0f);
        vi ah = (vi) a & high;
        vi bh = (vi) b & high;
        vf al = a - (vf) ah;
        vf bl = b - (vf) bh;

        vf_store (out + pair * 64, (vf) (bh | (vi) ((vu) ah >> 16)));
        vf_store (out + TILE_BYTES + pair * 64,
                  (vf) (((vi) bl & high) | (vi) ((vu) (vi) al >> 16)));
      }
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

/* [n / 32][hi, lo][32] */
void
atl_amx_split_pixel (const float *x, gint64 n, guint8 *out)
{
  for (gint64 k = 0; k < n; k += 32, out += 128)
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

void
atl_amx_gather_rows (const guint8 *const *rows, gint64 n, guint8 *out)
{
  for (gint64 k = 0; k < n; k += 32, out += 4 * TILE_BYTES)
    for (gint64 r = 0; r < 32; r++)
      {
        guint8 *hi = out + r / 16 * 2 * TILE_BYTES + r % 16 * 64;
        const guint8 *from = rows[r] + k * 4;

        vf_store (hi, vf_load (from));
        vf_store (hi + TILE_BYTES, vf_load (from + 64));
      }
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
  for (gint64 k = 0; k < n_k; k += 32)
    {
      /* xl wh */
      _tile_loadd (4, a + TILE_BYTES, 64);
      _tile_loadd (6, b0, 64);
      _tile_dpbf16ps (0, 4, 6);
      _tile_loadd (7, b1, 64);
      _tile_dpbf16ps (1, 4, 7);
      _tile_loadd (5, a + 3 * TILE_BYTES, 64);
      _tile_dpbf16ps (2, 5, 6);
      _tile_loadd (4, a, 64);
      _tile_dpbf16ps (3, 5, 7);
      _tile_loadd (5, a + 2 * TILE_BYTES, 64);
      /* xh wh */
      _tile_dpbf16ps (0, 4, 6);
      _tile_dpbf16ps (1, 4, 7);
      _tile_dpbf16ps (2, 5, 6);
      _tile_loadd (6, b0 + TILE_BYTES, 64);
      _tile_dpbf16ps (3, 5, 7);
      _tile_loadd (7, b1 + TILE_BYTES, 64);
      /* xh wl */
      _tile_dpbf16ps (0, 4, 6);
      _tile_dpbf16ps (1, 4, 7);
      _tile_dpbf16ps (2, 5, 6);
      _tile_dpbf16ps (3, 5, 7);
      a += 4 * TILE_BYTES;
      b0 += 2 * TILE_BYTES;
      b1 += 2 * TILE_BYTES;
    }
  _tile_stored (0, c, c_bytes);
  _tile_stored (1, c + 16, c_bytes);
  _tile_stored (2, c + 16 * ldc, c_bytes);
  _tile_stored (3, c + 16 * ldc + 16, c_bytes);
}
