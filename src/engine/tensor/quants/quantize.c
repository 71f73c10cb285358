/* The dispatch of quantisation, the unblocked types, and the fits that all blocks share. */
#include "engine/tensor/quants/quantize.h"

#include <math.h>
#include <string.h>

#include "engine/tensor/quants/half.h"
#include "engine/tensor/quants/quantize-private.h"

/* How finely, and how far on either side, scales are tried around the obvious one. */
#define SWEEP_STEPS 10
#define SWEEP_STEP 0.1f

gint
atl_quant_level (float x, float d, float m, gint low, gint high)
{
  long level = d != 0 ? lrintf ((x - m) / d) : 0;

  return (gint) CLAMP (level, (long) low, (long) high);
}

float
atl_quant_fit_scale (const float *x, guint n, gint low, gint high)
{
  float extreme = 0, best = 0, best_gain = -1;

  for (guint i = 0; i < n; i++)
    if (fabsf (x[i]) > fabsf (extreme))
      extreme = x[i];
  if (extreme == 0)
    return 0;

  for (gint step = -SWEEP_STEPS; step <= SWEEP_STEPS; step++)
    {
      float inverse = ((float) low + SWEEP_STEP * (float) step) / extreme;
      float xq = 0, qq = 0;

      for (guint i = 0; i < n; i++)
        {
          float q = (float) CLAMP (lrintf (x[i] * inverse), (long) low, (long) high);

          xq += x[i] * q;
          qq += q * q;
        }
      /* For fixed q the best scale is xq / qq, and it takes xq^2 / qq off the squared error. */
      if (qq > 0 && xq * xq > best_gain * qq)
        {
          best_gain = xq * xq / qq;
          best = xq / qq;
        }
    }
  return best;
}

void
atl_quant_fit_affine (
    const float *x, guint n, gint high, gboolean below_zero, float *d_out, float *m_out)
{
  float min = x[0], max = x[0], best_error = INFINITY;

  for (guint i = 1; i < n; i++)
    {
      min = MIN (min, x[i]);
      max = MAX (max, x[i]);
    }
  if (below_zero)
    {
      min = MIN (min, 0);
      max = MAX (max, 0);
    }
  *d_out = 0;
  *m_out = min;
  if (max <= min)
    return;

  for (gint step = -SWEEP_STEPS; step <= SWEEP_STEPS; step++)
    {
      float inverse = ((float) high + SWEEP_STEP * (float) step) / (max - min);
      float sum_q = 0, sum_qq = 0, sum_x = 0, sum_xq = 0, d, m, det, error = 0;

      if (inverse <= 0)
        continue;
      for (guint i = 0; i < n; i++)
        {
          float q = (float) CLAMP (lrintf ((x[i] - min) * inverse), 0, (long) high);

          sum_q += q;
          sum_qq += q * q;
          sum_x += x[i];
          sum_xq += x[i] * q;
        }
      /* For fixed q, the normal equations of x = d q + m. */
      det = (float) n * sum_qq - sum_q * sum_q;
      if (det <= 0)
        continue;
      d = ((float) n * sum_xq - sum_x * sum_q) / det;
      m = (sum_qq * sum_x - sum_q * sum_xq) / det;
      if (below_zero && m > 0)
        {
          m = 0;
          d = sum_xq / sum_qq;
        }
      if (d <= 0)
        continue;
      for (guint i = 0; i < n; i++)
        {
          float diff = d * (float) atl_quant_level (x[i], d, m, 0, high) + m - x[i];

          error += diff * diff;
        }
      if (error < best_error)
        {
          best_error = error;
          *d_out = d;
          *m_out = m;
        }
    }
}

static const AtlQuantFunc block_funcs[ATL_N_DTYPES] = {
  [ATL_DTYPE_Q4_0] = atl_quant_q4_0,     [ATL_DTYPE_Q4_1] = atl_quant_q4_1,
  [ATL_DTYPE_Q5_0] = atl_quant_q5_0,     [ATL_DTYPE_Q5_1] = atl_quant_q5_1,
  [ATL_DTYPE_Q8_0] = atl_quant_q8_0,     [ATL_DTYPE_Q2_K] = atl_quant_q2_k,
  [ATL_DTYPE_Q3_K] = atl_quant_q3_k,     [ATL_DTYPE_Q4_K] = atl_quant_q4_k,
  [ATL_DTYPE_Q5_K] = atl_quant_q5_k,     [ATL_DTYPE_Q6_K] = atl_quant_q6_k,
  [ATL_DTYPE_IQ4_NL] = atl_quant_iq4_nl, [ATL_DTYPE_MXFP4] = atl_quant_mxfp4,
};

gboolean
atl_quantize (AtlDType dtype, const float *src, void *dst, gsize n_elems)
{
  guint8 *bytes = dst;
  guint block;

  if ((guint) dtype >= ATL_N_DTYPES)
    return FALSE;
  block = atl_dtype_info (dtype)->block_elems;
  if (n_elems % block != 0)
    return FALSE;

  switch (dtype)
    {
    case ATL_DTYPE_F32:
      for (gsize i = 0; i < n_elems; i++)
        {
          guint32 bits = GUINT32_TO_LE (atl_f32_to_bits (src[i]));
          memcpy (bytes + 4 * i, &bits, sizeof bits);
        }
      return TRUE;
    case ATL_DTYPE_F16:
      for (gsize i = 0; i < n_elems; i++)
        atl_store_f16 (bytes + 2 * i, src[i]);
      return TRUE;
    case ATL_DTYPE_BF16:
      for (gsize i = 0; i < n_elems; i++)
        atl_store_u16 (bytes + 2 * i, atl_f32_to_bf16 (src[i]));
      return TRUE;
    case ATL_DTYPE_F8_E4M3:
      for (gsize i = 0; i < n_elems; i++)
        bytes[i] = atl_f32_to_f8_e4m3 (src[i]);
      return TRUE;
    case ATL_DTYPE_F8_E5M2:
      for (gsize i = 0; i < n_elems; i++)
        bytes[i] = atl_f32_to_f8_e5m2 (src[i]);
      return TRUE;
    default:
      if (block_funcs[dtype] == NULL)
        return FALSE;
      block_funcs[dtype](src, bytes, n_elems / block);
      return TRUE;
    }
}
