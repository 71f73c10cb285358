/* Products in float32: few rows with plain weights, and tiles of many rows. */
#include "engine/tensor/cpu/kern-elements.h"
#include "engine/tensor/cpu/kern-private.h"
#include "engine/tensor/cpu/kern-turn.h"

/* --- Plain rows --- */

/* Further than for packed weights, of whose codes a row has fewer bytes. */
#define PLAIN_FAR 6144

/* Weights further on of one row that is read alone; of four, the rows that follow, which go into
 * the second-level cache, for four long rows fill the first. */
INLINE void
ask_for_rows (guint n_w, const guint8 *at, gsize row_bytes, gsize n)
{
  for (gsize line = 0; line < n; line += 64)
    if (n_w == 1)
      {
        __builtin_prefetch (at + PLAIN_FAR + line, 0, 2);
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
