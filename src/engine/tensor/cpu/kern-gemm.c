/* Products in float32: few rows with plain weights, and tiles of many rows. */
#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/cpu/kern-private.h"
#include "engine/tensor/cpu/kern-turn.h"
#include "engine/tensor/quants/half.h"

/* --- Plain rows --- */

INLINE gsize
element_bytes (AtlDType t)
{
  return t == ATL_DTYPE_F32 ? 4 : t == ATL_DTYPE_F8_E4M3 || t == ATL_DTYPE_F8_E5M2 ? 1 : 2;
}

/* Eight bits of which `mantissa` are the mantissa's, as half.h defines them: the exponent is moved
 * to a float's place, those of exponent 0 are plain numbers, `special` and what follows are none.
 */
INLINE vf
load_f8 (const guint8 *p, gint32 mantissa, gint32 bias, gint32 special)
{
  const gint32 shift = 23 - mantissa;
  const vi bits = vi_load_u8 (p), size = bits & 127;
  const vf least = vf_set1 (1.0f / (float) (1 << (bias - 1 + mantissa)));
  vi v = (vi) vf_select (size >= (1 << mantissa), (vf) ((size << shift) + ((127 - bias) << 23)),
                         vf_from_vi (size) * least);

  v |= (size >= special) & 0x7f800000;
  return (vf) (v | (bits & 128) << 24);
}

INLINE vf
load_elements (AtlDType t, const guint8 *row, gint64 k)
{
  if (t == ATL_DTYPE_F8_E4M3)
    return load_f8 (row + k, 3, 7, 127);
  if (t == ATL_DTYPE_F8_E5M2)
    return load_f8 (row + k, 2, 15, 124);
  if (t == ATL_DTYPE_F16)
    return vf_load_f16 (row + 2 * k);
  if (t == ATL_DTYPE_BF16)
    return vf_load_bf16 (row + 2 * k);
  return vf_load (row + 4 * k);
}

INLINE float
load_element (AtlDType t, const guint8 *row, gint64 k)
{
  float v;

  if (t == ATL_DTYPE_F8_E4M3)
    return atl_f8_e4m3_to_f32 (row[k]);
  if (t == ATL_DTYPE_F8_E5M2)
    return atl_f8_e5m2_to_f32 (row[k]);
  if (t == ATL_DTYPE_F16)
    return atl_load_f16 (row + 2 * k);
  if (t == ATL_DTYPE_BF16)
    return atl_bf16_to_f32 (atl_load_u16 (row + 2 * k));
  memcpy (&v, row + 4 * k, sizeof v);
  return v;
}

/* Weights further on of one row that is read alone; of four, the rows that follow, which go into
 * the second-level cache, for four long rows fill the first. */
INLINE void
ask_for_rows (guint n_w, const guint8 *at, gsize row_bytes, gsize n)
{
  for (gsize line = 0; line < n; line += 64)
    if (n_w == 1)
      {
        __builtin_prefetch (at + PREFETCH_FAR + line, 0, 2);
        __builtin_prefetch (at + PREFETCH_NEAR + line);
      }
    else
      {
#pragma GCC unroll 4
        for (guint r = 0; r < n_w; r++)
          __builtin_prefetch (at + (n_w + r) * row_bytes + line, 0, 2);
      }
}

/* `n_w` weight rows with `n_x` activation rows; two sums each hide the latency of the products.
 * `ahead`: ask for what follows, as the processor's own prefetching ends at each page. */
INLINE void
plain_block (AtlDType t,
             guint n_w,
             guint n_x,
             gboolean ahead,
             const guint8 *rows,
             gsize row_bytes,
             gint64 n_in,
             const float *x,
             gint64 x_stride,
             float *out)
{
  vf sum[4][2][2];
  gint64 k = 0;

  for (guint r = 0; r < n_w; r++)
    for (guint i = 0; i < n_x; i++)
      sum[r][i][0] = sum[r][i][1] = vf_set1 (0.0f);
  for (; k + 2 * VW <= n_in; k += 2 * VW)
    {
      const gsize element = element_bytes (t);

      if (ahead)
        ask_for_rows (n_w, rows + (gsize) k * element, row_bytes, 2 * VW * element);
#pragma GCC unroll 2
      for (guint h = 0; h < 2; h++)
        {
          vf xv[2];

#pragma GCC unroll 2
          for (guint i = 0; i < n_x; i++)
            xv[i] = vf_load (x + i * x_stride + k + h * VW);
#pragma GCC unroll 4
          for (guint r = 0; r < n_w; r++)
            {
              vf w = load_elements (t, rows + r * row_bytes, k + h * VW);
#pragma GCC unroll 2
              for (guint i = 0; i < n_x; i++)
                sum[r][i][h] += w * xv[i];
            }
        }
    }
  for (guint r = 0; r < n_w; r++)
    for (guint i = 0; i < n_x; i++)
      {
        float s = vf_sum (sum[r][i][0] + sum[r][i][1]);

        for (gint64 j = k; j < n_in; j++)
          s += load_element (t, rows + r * row_bytes, j) * x[i * x_stride + j];
        out[i * 16 + r] = s;
      }
}

/* One activation row meets weight rows one after the other, as they lie in memory. */
INLINE void
plain_rows (AtlDType t,
            const guint8 *rows,
            gsize row_bytes,
            guint n_weight_rows,
            gint64 n_in,
            const float *x,
            gint64 x_stride,
            gint64 n_rows,
            float *out)
{
  for (gint64 i = 0; i < n_rows; i += 2)
    for (guint r = 0; r < n_weight_rows; r += 4)
      {
        const guint8 *w = rows + r * row_bytes;
        const float *xi = x + i * x_stride;
        float *o = out + i * 16 + r;

        if (n_weight_rows - r >= 4 && n_rows - i >= 2)
          plain_block (t, 4, 2, i == 0, w, row_bytes, n_in, xi, x_stride, o);
        else
          for (guint j = 0; j < MIN (4, n_weight_rows - r); j++)
            for (gint64 l = 0; l < MIN (2, n_rows - i); l++)
              plain_block (t, 1, 1, i + l == 0, w + j * row_bytes, row_bytes, n_in,
                           xi + l * x_stride, x_stride, o + l * 16 + j);
      }
}

void
ATL_SIMD_NAME (atl_plain_dot) (AtlDType dtype,
                               const guint8 *rows,
                               gsize row_bytes,
                               guint n_weight_rows,
                               gint64 n_in,
                               const float *x,
                               gint64 x_stride,
                               gint64 n_rows,
                               float *out)
{
  if (dtype == ATL_DTYPE_F16)
    plain_rows (ATL_DTYPE_F16, rows, row_bytes, n_weight_rows, n_in, x, x_stride, n_rows, out);
  else if (dtype == ATL_DTYPE_BF16)
    plain_rows (ATL_DTYPE_BF16, rows, row_bytes, n_weight_rows, n_in, x, x_stride, n_rows, out);
  else if (dtype == ATL_DTYPE_F8_E4M3)
    plain_rows (ATL_DTYPE_F8_E4M3, rows, row_bytes, n_weight_rows, n_in, x, x_stride, n_rows, out);
  else if (dtype == ATL_DTYPE_F8_E5M2)
    plain_rows (ATL_DTYPE_F8_E5M2, rows, row_bytes, n_weight_rows, n_in, x, x_stride, n_rows, out);
  else
    plain_rows (ATL_DTYPE_F32, rows, row_bytes, n_weight_rows, n_in, x, x_stride, n_rows, out);
}

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

/* --- Tiles --- */

/* out[k][TILE_ROWS] */
void
ATL_SIMD_NAME (atl_prepare_rows) (const float *const *rows, gint64 n, gint64 n_k, guint8 *out)
{
  float *o = (float *) out;
  gint64 k = 0;

#if VW >= 8
  /* A turned square has more rows than the tile; what is stored too much is overwritten by the next
   * element, so the last square is left to the loop below. */
  for (; k + 2 * VW <= n_k; k += VW)
    {
      vf square[VW];

      for (gint64 r = 0; r < VW; r++)
        square[r] = r < n ? vf_load (rows[r] + k) : vf_set1 (0.0f);
      turn_square (square);
      for (guint j = 0; j < VW; j++)
        vf_store (o + (k + j) * TILE_ROWS, square[j]);
    }
#endif
  for (; k < n_k; k++)
    for (gint64 r = 0; r < TILE_ROWS; r++)
      o[k * TILE_ROWS + r] = r < n ? rows[r][k] : 0.0f;
}

/* TILE_ROWS x (n_v vectors), the whole of it in registers. `next` (nullable): rows that a later
 * tile takes, asked for meanwhile. */
INLINE void
tile_block (guint n_v,
            gint64 n_k,
            const float *a,
            const float *const *b,
            float *c,
            gint64 ldc,
            gboolean add,
            const guint8 *next)
{
  vf sum[TILE_ROWS][4];

#pragma GCC unroll 12
  for (guint r = 0; r < TILE_ROWS; r++)
#pragma GCC unroll 4
    for (guint j = 0; j < n_v; j++)
      sum[r][j] = add ? vf_load (c + r * ldc + j * VW) : vf_set1 (0.0f);
  for (gint64 k = 0; k < n_k; k++)
    {
      vf bv[4];

#pragma GCC unroll 4
      for (guint j = 0; j < n_v; j++)
        bv[j] = vf_load (b[j] + k * 16);
      if (next != NULL)
        __builtin_prefetch (next + k * TILE_ROWS * (gint64) sizeof (float), 0, 2);
#pragma GCC unroll 12
      for (guint r = 0; r < TILE_ROWS; r++)
        {
          vf av = vf_set1 (a[k * TILE_ROWS + r]);
#pragma GCC unroll 4
          for (guint j = 0; j < n_v; j++)
            sum[r][j] += av * bv[j];
        }
    }
#pragma GCC unroll 12
  for (guint r = 0; r < TILE_ROWS; r++)
#pragma GCC unroll 4
    for (guint j = 0; j < n_v; j++)
      vf_store (c + r * ldc + j * VW, sum[r][j]);
}

INLINE void
tile (gint64 n_k,
      const guint8 *a,
      const guint8 *b0,
      const guint8 *b1,
      float *c,
      gint64 ldc,
      gboolean add,
      const guint8 *next)
{
  const float *af = (const float *) a;
  const float *p0 = (const float *) b0;
  const float *p1 = (const float *) b1;

#if VW == 16
  if (p1 != NULL)
    tile_block (2, n_k, af, (const float *[]){ p0, p1 }, c, ldc, add, next);
  else
    tile_block (1, n_k, af, &p0, c, ldc, add, next);
#elif VW == 8
  tile_block (2, n_k, af, (const float *[]){ p0, p0 + 8 }, c, ldc, add, next);
  if (p1 != NULL)
    tile_block (2, n_k, af, (const float *[]){ p1, p1 + 8 }, c + 16, ldc, add, NULL);
#else
  tile_block (4, n_k, af, (const float *[]){ p0, p0 + 4, p0 + 8, p0 + 12 }, c, ldc, add, next);
  if (p1 != NULL)
    tile_block (4, n_k, af, (const float *[]){ p1, p1 + 4, p1 + 8, p1 + 12 }, c + 16, ldc, add,
                NULL);
#endif
}

void
ATL_SIMD_NAME (atl_tile) (gint64 n_k,
                          const guint8 *a,
                          const guint8 *b0,
                          const guint8 *b1,
                          float *c,
                          gint64 ldc,
                          gboolean add)
{
  tile (n_k, a, b0, b1, c, ldc, add, NULL);
}

void
ATL_SIMD_NAME (atl_tile_ahead) (gint64 n_k,
                                const guint8 *a,
                                const guint8 *b0,
                                const guint8 *b1,
                                float *c,
                                gint64 ldc,
                                gboolean add,
                                const guint8 *next)
{
  tile (n_k, a, b0, b1, c, ldc, add, next);
}
