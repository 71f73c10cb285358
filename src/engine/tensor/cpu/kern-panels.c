/* Panels of plain weights: 16 rows turned so that their elements follow each other, as floats. */
#include "engine/tensor/cpu/kern-elements.h"
#include "engine/tensor/cpu/kern-private.h"
#include "engine/tensor/cpu/kern-turn.h"

/* 16 rows of up to 16 elements, turned so that elements follow each other: out[k][16]. */
INLINE void
turn_16 (
    AtlDType t, const guint8 *rows, gsize row_bytes, guint n_rows, gint64 k, gint64 n, float *out)
{
  for (guint first = 0; first < 16; first += VW)
    for (gint64 i = 0; i < n; i += VW)
      {
        vf square[VW];

        for (guint r = 0; r < VW; r++)
          {
            const guint8 *row = rows + (first + r) * row_bytes;

            square[r] = vf_set1 (0.0f);
            if (first + r >= n_rows)
              continue;
            if (n - i >= VW)
              square[r] = load_elements (t, row, k + i);
            else
              for (gint64 j = 0; j < n - i; j++)
                square[r][j] = load_element (t, row, k + i + j);
          }
        turn_square (square);
        for (gint64 j = 0; j < MIN (VW, n - i); j++)
          vf_store (out + (i + j) * 16 + first, square[j]);
      }
}

#if defined(ATL_SIMD_AVX512)
#define UNPACK(part, bits, a, b) (vh) _mm512_unpack##part##_epi##bits ((__m512i) (a), (__m512i) (b))
#elif defined(ATL_SIMD_AVX2)
#define UNPACK(part, bits, a, b) (vh) _mm256_unpack##part##_epi##bits ((__m256i) (a), (__m256i) (b))
#endif

#ifdef UNPACK

/* A square of 8 vectors of 16-bit elements, turned inside each piece of 128 bits. */
INLINE void
turn_halves (vh *r)
{
  vh a[8], b[8];

#pragma GCC unroll 4
  for (guint i = 0; i < 4; i++)
    {
      a[2 * i] = UNPACK (lo, 16, r[2 * i], r[2 * i + 1]);
      a[2 * i + 1] = UNPACK (hi, 16, r[2 * i], r[2 * i + 1]);
    }
#pragma GCC unroll 2
  for (guint i = 0; i < 8; i += 4)
#pragma GCC unroll 2
    for (guint h = 0; h < 2; h++)
      {
        b[i + 2 * h] = UNPACK (lo, 32, a[i + h], a[i + h + 2]);
        b[i + 2 * h + 1] = UNPACK (hi, 32, a[i + h], a[i + h + 2]);
      }
#pragma GCC unroll 4
  for (guint i = 0; i < 4; i++)
    {
      r[2 * i] = UNPACK (lo, 64, b[i], b[i + 4]);
      r[2 * i + 1] = UNPACK (hi, 64, b[i], b[i + 4]);
    }
}

/* VW elements of 16 rows of two bytes each, turned before they become floats. */
INLINE void
turn_16_halves (AtlDType t, const guint8 *row, gsize row_bytes, float *out)
{
  vh square[8];

#pragma GCC unroll 8
  for (guint r = 0; r < 8; r++)
    {
      const guint8 *upper = row + (r + 8) * row_bytes;

#if VW == 16
      const __m512i lower =
          _mm512_castsi256_si512 (_mm256_loadu_si256 ((const void *) (row + r * row_bytes)));
      square[r] = (vh) _mm512_inserti64x4 (lower, _mm256_loadu_si256 ((const void *) upper), 1);
#else
      const __m256i lower =
          _mm256_castsi128_si256 (_mm_loadu_si128 ((const void *) (row + r * row_bytes)));
      square[r] = (vh) _mm256_inserti128_si256 (lower, _mm_loadu_si128 ((const void *) upper), 1);
#endif
    }
  turn_halves (square);
#pragma GCC unroll 8
  for (guint j = 0; j < 8; j++)
    {
#if VW == 16
      /* Pieces: rows 0 to 7 of elements j and j + 8, then rows 8 to 15. */
      vh v = (vh) _mm512_shuffle_i64x2 ((__m512i) square[j], (__m512i) square[j],
                                        _MM_SHUFFLE (3, 1, 2, 0));

      vf_store (out + j * 16, vf_from_halves (t == ATL_DTYPE_F16, v, 0));
      vf_store (out + (j + 8) * 16, vf_from_halves (t == ATL_DTYPE_F16, v, 1));
#else
      vf_store (out + j * 16, vf_from_halves (t == ATL_DTYPE_F16, square[j], 0));
      vf_store (out + j * 16 + 8, vf_from_halves (t == ATL_DTYPE_F16, square[j], 1));
#endif
    }
}

/* Elements [k, k + n) of 16 rows; returns how many are done, the others are less than a vector. */
INLINE gint64
turn_halves_of (AtlDType t, const guint8 *rows, gsize row_bytes, gint64 k, gint64 n, float *out)
{
  gint64 i = 0;

  for (; i + VW <= n; i += VW)
    turn_16_halves (t, rows + 2 * (k + i), row_bytes, out + i * 16);
  return i;
}

#undef UNPACK
#else

INLINE gint64
turn_halves_of (AtlDType t, const guint8 *rows, gsize row_bytes, gint64 k, gint64 n, float *out)
{
  return 0;
}

#endif

void
ATL_SIMD_NAME (atl_plain_panel) (AtlDType dtype,
                                 const guint8 *rows,
                                 gsize row_bytes,
                                 guint n_weight_rows,
                                 gint64 k,
                                 gint64 n,
                                 float *out)
{
  gint64 i = 0;

  if (n_weight_rows == 16 && dtype == ATL_DTYPE_F16)
    i = turn_halves_of (ATL_DTYPE_F16, rows, row_bytes, k, n, out);
  else if (n_weight_rows == 16 && dtype == ATL_DTYPE_BF16)
    i = turn_halves_of (ATL_DTYPE_BF16, rows, row_bytes, k, n, out);
  for (out += i * 16; i < n; i += 16, out += 256)
    {
      gint64 m = MIN (16, n - i);

      if (dtype == ATL_DTYPE_F16)
        turn_16 (ATL_DTYPE_F16, rows, row_bytes, n_weight_rows, k + i, m, out);
      else if (dtype == ATL_DTYPE_BF16)
        turn_16 (ATL_DTYPE_BF16, rows, row_bytes, n_weight_rows, k + i, m, out);
      else if (dtype == ATL_DTYPE_F8_E4M3)
        turn_16 (ATL_DTYPE_F8_E4M3, rows, row_bytes, n_weight_rows, k + i, m, out);
      else if (dtype == ATL_DTYPE_F8_E5M2)
        turn_16 (ATL_DTYPE_F8_E5M2, rows, row_bytes, n_weight_rows, k + i, m, out);
      else
        turn_16 (ATL_DTYPE_F32, rows, row_bytes, n_weight_rows, k + i, m, out);
    }
}

INLINE void
load_panel (AtlDType t, const guint8 *panel, gint64 n, float *out)
{
  for (gint64 i = 0; i < n * 16; i += VW)
    vf_store (out + i, load_elements (t, panel, i));
}

void
ATL_SIMD_NAME (atl_load_panel) (AtlDType dtype, const guint8 *panel, gint64 n, guint8 *out)
{
  if (dtype == ATL_DTYPE_F16)
    load_panel (ATL_DTYPE_F16, panel, n, (float *) out);
  else if (dtype == ATL_DTYPE_BF16)
    load_panel (ATL_DTYPE_BF16, panel, n, (float *) out);
  else
    memcpy (out, panel, (gsize) n * 16 * sizeof (float));
}
