/* Winograd's F(4 x 4, 3 x 3) in float32: what conv-winograd.c asks of a level.
 *
 * A patch x of 6 x 6 pixels and the 3 x 3 taps g give 4 x 4 pixels A' ((G g G') * (B' x B)) A with
 * 36 products instead of 144; B, G and A evaluate polynomials at 0, a, -a, b, -b and infinity (S.
 * Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin, S. Gray, arXiv:1509.09308). The
 * points 5/8 and 3/2 halve the rounding errors of the customary 1 and 2: a sum's relative error is
 * about 2e-6.
 */
#include "engine/tensor/cpu/kern-private.h"

#define A 0.625f
#define B 1.5f
#define AA (A * A)
#define BB (B * B)

/* B' x of six numbers. */
INLINE void
spread (const vf *x, vf *y)
{
  const vf even_a = x[4] - BB * x[2], odd_a = x[3] - BB * x[1];
  const vf even_b = x[4] - AA * x[2], odd_b = x[3] - AA * x[1];

  y[0] = (AA * BB) * x[0] + (x[4] - (AA + BB) * x[2]);
  y[1] = even_a + A * odd_a;
  y[2] = even_a - A * odd_a;
  y[3] = even_b + B * odd_b;
  y[4] = even_b - B * odd_b;
  y[5] = (AA * BB) * x[1] + (x[5] - (AA + BB) * x[3]);
}

/* G g of three numbers. */
INLINE void
evaluate (const vf *g, vf *u)
{
  const float at_a = 1.0f / (2.0f * AA * (AA - BB)), at_b = 1.0f / (2.0f * BB * (BB - AA));
  const vf even_a = at_a * g[0] + (at_a * AA) * g[2], odd_a = (at_a * A) * g[1];
  const vf even_b = at_b * g[0] + (at_b * BB) * g[2], odd_b = (at_b * B) * g[1];

  u[0] = (1.0f / (AA * BB)) * g[0];
  u[1] = even_a + odd_a;
  u[2] = even_a - odd_a;
  u[3] = even_b + odd_b;
  u[4] = even_b - odd_b;
  u[5] = g[2];
}

/* A' m of six numbers. */
INLINE void
gather (const vf *m, vf *y)
{
  const vf sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const vf sum_b = m[3] + m[4], difference_b = m[3] - m[4];

  y[0] = m[0] + (sum_a + sum_b);
  y[1] = A * difference_a + B * difference_b;
  y[2] = AA * sum_a + BB * sum_b;
  y[3] = (AA * A) * difference_a + ((BB * B) * difference_b + m[5]);
}

INLINE vf
load_weight (AtlDType t, const guint8 *panel, gint64 i)
{
  if (t == ATL_DTYPE_F16)
    return vf_load_f16 (panel + 2 * i);
  if (t == ATL_DTYPE_BF16)
    return vf_load_bf16 (panel + 2 * i);
  return vf_load (panel + 4 * i);
}

/* Number i (constant) of B' x, of numbers at x[0], x[6], x[12]… */
INLINE vf
spread_one (guint i, const float *const *x, gint64 k)
{
  const float at = i == 1 || i == 2 ? A : B, other = i == 1 || i == 2 ? BB : AA;
  vf even, odd;

  if (i == 0 || i == 5)
    return (AA * BB) * vf_load (x[i / 5 * 6] + k) +
           (vf_load (x[(4 + i / 5) * 6] + k) - (AA + BB) * vf_load (x[(2 + i / 5) * 6] + k));
  even = vf_load (x[4 * 6] + k) - other * vf_load (x[2 * 6] + k);
  odd = vf_load (x[3 * 6] + k) - other * vf_load (x[6] + k);
  return i % 2 == 1 ? even + at * odd : even - at * odd;
}

/* Number i (constant) of G g, of numbers `stride` elements apart. */
INLINE vf
evaluate_one (guint i, AtlDType t, const guint8 *panel, gint64 at, gint64 stride)
{
  const float a = i == 1 || i == 2 ? A : B, b = i == 1 || i == 2 ? B : A;
  const float factor = 1.0f / (2.0f * a * a * (a * a - b * b));
  vf even, odd;

  if (i == 0)
    return (1.0f / (AA * BB)) * load_weight (t, panel, at);
  if (i == 5)
    return load_weight (t, panel, at + 2 * stride);
  even = factor * load_weight (t, panel, at) +
         (factor * a * a) * load_weight (t, panel, at + 2 * stride);
  odd = load_weight (t, panel, at + stride);
  return i % 2 == 1 ? even + (factor * a) * odd : even - (factor * a) * odd;
}

INLINE void
weights (guint i, AtlDType t, const guint8 *panel, gint64 tap, gint64 n, float *out, gint64 form)
{
  for (gint64 k = 0; k < n * 16; k += VW)
    {
      vf g[3], u[6];

#pragma GCC unroll 3
      for (guint c = 0; c < 3; c++)
        g[c] = evaluate_one (i, t, panel, c * tap + k, 3 * tap);
      evaluate (g, u);
#pragma GCC unroll 6
      for (guint c = 0; c < 6; c++)
        vf_store (out + c * form + k, u[c]);
    }
}

INLINE void
weights_of (
    guint i, AtlDType dtype, const guint8 *panel, gint64 tap, gint64 n, float *out, gint64 form)
{
  if (dtype == ATL_DTYPE_F16)
    weights (i, ATL_DTYPE_F16, panel, tap, n, out, form);
  else if (dtype == ATL_DTYPE_BF16)
    weights (i, ATL_DTYPE_BF16, panel, tap, n, out, form);
  else
    weights (i, ATL_DTYPE_F32, panel, tap, n, out, form);
}

INLINE void
patch (guint i, const float *const *x, gint64 n, float *out, gint64 form)
{
  for (gint64 k = 0; k < n; k += VW)
    {
      vf line[6], v[6];

#pragma GCC unroll 6
      for (guint c = 0; c < 6; c++)
        line[c] = spread_one (i, x + c, k);
      spread (line, v);
#pragma GCC unroll 6
      for (guint c = 0; c < 6; c++)
        vf_store (out + c * form + k, v[c]);
    }
}

#define FOR_EACH_LINE(F) F (0) F (1) F (2) F (3) F (4) F (5)

static void
winograd_weights (
    guint line, AtlDType dtype, const guint8 *panel, gint64 tap, gint64 n, float *out, gint64 form)
{
  switch (line)
    {
#define CASE(i)                                                                                    \
  case i:                                                                                          \
    weights_of (i, dtype, panel, tap, n, out, form);                                               \
    break;
      FOR_EACH_LINE (CASE)
#undef CASE
    default:
      g_assert_not_reached ();
    }
}

static void
winograd_patch (guint line, const float *const *x, gint64 n, float *out, gint64 form)
{
  switch (line)
    {
#define CASE(i)                                                                                    \
  case i:                                                                                          \
    patch (i, x, n, out, form);                                                                    \
    break;
      FOR_EACH_LINE (CASE)
#undef CASE
    default:
      g_assert_not_reached ();
    }
}

static void
winograd_pixels (const float *sums, gint64 form, gint64 n, float *out, gint64 pixel)
{
  for (gint64 i = 0; i < n; i += VW)
    {
      vf half[6][4]; /* [column of forms] */

#pragma GCC unroll 6
      for (guint c = 0; c < 6; c++)
        {
          vf m[6];

#pragma GCC unroll 6
          for (guint r = 0; r < 6; r++)
            m[r] = vf_load (sums + (r * 6 + c) * form + i);
          gather (m, half[c]);
        }
#pragma GCC unroll 4
      for (guint r = 0; r < 4; r++)
        {
          vf line[6], y[4];

#pragma GCC unroll 6
          for (guint c = 0; c < 6; c++)
            line[c] = half[c][r];
          gather (line, y);
#pragma GCC unroll 4
          for (guint c = 0; c < 4; c++)
            vf_store (out + (r * 4 + c) * pixel + i, y[c]);
        }
    }
}

/* Columns of a block of sums in registers: a pair of panels, or half a panel for each of two. */
#if VW == 16
#define COLUMNS 32
#else
#define COLUMNS 16
#endif
#define N_VECTORS (COLUMNS / VW)

INLINE void
block (guint n_rows,
       gint64 n_k,
       const float *a,
       const float *const *b,
       float *c,
       gint64 ldc,
       gboolean add)
{
  vf sum[TILE_ROWS][N_VECTORS];

#pragma GCC unroll 12
  for (guint r = 0; r < n_rows; r++)
#pragma GCC unroll 4
    for (guint j = 0; j < N_VECTORS; j++)
      sum[r][j] = add ? vf_load (c + r * ldc + j * VW) : vf_set1 (0.0f);
  for (gint64 k = 0; k < n_k; k++)
    {
      vf bv[N_VECTORS];

#pragma GCC unroll 4
      for (guint j = 0; j < N_VECTORS; j++)
        bv[j] = vf_load (b[j] + k * 16);
#pragma GCC unroll 12
      for (guint r = 0; r < n_rows; r++)
        {
          const vf av = vf_set1 (a[r * ATL_WINOGRAD_CHANNELS + k]);

#pragma GCC unroll 4
          for (guint j = 0; j < N_VECTORS; j++)
            sum[r][j] += av * bv[j];
        }
    }
#pragma GCC unroll 12
  for (guint r = 0; r < n_rows; r++)
#pragma GCC unroll 4
    for (guint j = 0; j < N_VECTORS; j++)
      vf_store (c + r * ldc + j * VW, sum[r][j]);
}

#if TILE_ROWS > 6
#define FOR_EACH_COUNT(f) f (1) f (2) f (3) f (4) f (5) f (6) f (7) f (8) f (9) f (10) f (11) f (12)
#else
#define FOR_EACH_COUNT(f) f (1) f (2) f (3) f (4) f (5) f (6)
#endif

INLINE void
rows (gint64 n_rows,
      gint64 n_k,
      const float *a,
      const float *const *b,
      float *c,
      gint64 ldc,
      gboolean add)
{
  while (n_rows > 0)
    {
      /* Two blocks of nearly the same size rather than a full and a small one. */
      const gint64 n = n_rows <= TILE_ROWS || n_rows >= 2 * TILE_ROWS ? MIN (n_rows, TILE_ROWS)
                                                                      : (n_rows + 1) / 2;

      switch (n)
        {
#define CASE(i)                                                                                    \
  case i:                                                                                          \
    block (i, n_k, a, b, c, ldc, add);                                                             \
    break;
          FOR_EACH_COUNT (CASE)
#undef CASE
        default:
          g_assert_not_reached ();
        }
      a += n * ATL_WINOGRAD_CHANNELS;
      c += n * ldc;
      n_rows -= n;
    }
}

static void
winograd_multiply (gint64 n_rows,
                   gint64 n_k,
                   const float *a,
                   const float *b,
                   gint64 n_panels,
                   float *c,
                   gint64 ldc,
                   gboolean add)
{
  const gint64 size = ATL_WINOGRAD_CHANNELS * 16;

#if VW == 16
  for (gint64 i = 0; i < n_panels; i += 2)
    {
      const float *b0 = b + i * size;

      rows (n_rows, n_k, a, (const float *[]){ b0, i + 1 < n_panels ? b0 + size : b0 }, c + i * 16,
            ldc, add);
    }
#else
  for (gint64 i = 0; i < n_panels; i++)
    {
      const float *b0 = b + i * size;

#if VW == 8
      rows (n_rows, n_k, a, (const float *[]){ b0, b0 + 8 }, c + i * 16, ldc, add);
#else
      rows (n_rows, n_k, a, (const float *[]){ b0, b0 + 4, b0 + 8, b0 + 12 }, c + i * 16, ldc, add);
#endif
    }
#endif
}

const AtlCpuWinograd ATL_SIMD_NAME (atl_cpu_winograd) = {
  .weights = winograd_weights,
  .patch = winograd_patch,
  .multiply = winograd_multiply,
  .pixels = winograd_pixels,
};
