/* The dispatch of dequantisation, and the unblocked float types. */
#include "engine/tensor/quants/dequant-private.h"

#include "engine/tensor/quants/half.h"

static const AtlDequantFunc block_funcs[ATL_N_DTYPES] = {
  [ATL_DTYPE_Q4_0] = atl_dequant_q4_0,       [ATL_DTYPE_Q4_1] = atl_dequant_q4_1,
  [ATL_DTYPE_Q5_0] = atl_dequant_q5_0,       [ATL_DTYPE_Q5_1] = atl_dequant_q5_1,
  [ATL_DTYPE_Q8_0] = atl_dequant_q8_0,       [ATL_DTYPE_Q2_K] = atl_dequant_q2_k,
  [ATL_DTYPE_Q3_K] = atl_dequant_q3_k,       [ATL_DTYPE_Q4_K] = atl_dequant_q4_k,
  [ATL_DTYPE_Q5_K] = atl_dequant_q5_k,       [ATL_DTYPE_Q6_K] = atl_dequant_q6_k,
  [ATL_DTYPE_IQ2_XXS] = atl_dequant_iq2_xxs, [ATL_DTYPE_IQ2_XS] = atl_dequant_iq2_xs,
  [ATL_DTYPE_IQ2_S] = atl_dequant_iq2_s,     [ATL_DTYPE_IQ3_XXS] = atl_dequant_iq3_xxs,
  [ATL_DTYPE_IQ3_S] = atl_dequant_iq3_s,     [ATL_DTYPE_IQ1_S] = atl_dequant_iq1_s,
  [ATL_DTYPE_IQ1_M] = atl_dequant_iq1_m,     [ATL_DTYPE_IQ4_NL] = atl_dequant_iq4_nl,
  [ATL_DTYPE_IQ4_XS] = atl_dequant_iq4_xs,   [ATL_DTYPE_TQ1_0] = atl_dequant_tq1_0,
  [ATL_DTYPE_TQ2_0] = atl_dequant_tq2_0,     [ATL_DTYPE_MXFP4] = atl_dequant_mxfp4,
  [ATL_DTYPE_NVFP4] = atl_dequant_nvfp4,     [ATL_DTYPE_Q1_0] = atl_dequant_q1_0,
  [ATL_DTYPE_Q2_0] = atl_dequant_q2_0,       [ATL_DTYPE_Q8_1] = atl_dequant_q8_1,
  [ATL_DTYPE_Q8_K] = atl_dequant_q8_k,       [ATL_DTYPE_F8_E4M3_32] = atl_dequant_f8_e4m3_32,
};

gboolean
atl_dtype_is_float_like (AtlDType dtype)
{
  switch (dtype)
    {
    case ATL_DTYPE_F32:
    case ATL_DTYPE_F16:
    case ATL_DTYPE_BF16:
    case ATL_DTYPE_F64:
    case ATL_DTYPE_F8_E4M3:
    case ATL_DTYPE_F8_E5M2:
      return TRUE;
    default:
      return (guint) dtype < ATL_N_DTYPES && block_funcs[dtype] != NULL;
    }
}

gboolean
atl_dequantize (AtlDType dtype, const void *src, float *dst, gsize n_elems)
{
  const guint8 *bytes = src;

  if (!atl_dtype_is_float_like (dtype) || n_elems % atl_dtype_info (dtype)->block_elems != 0)
    return FALSE;

  switch (dtype)
    {
    case ATL_DTYPE_F32:
      for (gsize i = 0; i < n_elems; i++)
        dst[i] = atl_f32_from_bits (atl_load_u32 (bytes + 4 * i));
      break;
    case ATL_DTYPE_F16:
      for (gsize i = 0; i < n_elems; i++)
        dst[i] = atl_load_f16 (bytes + 2 * i);
      break;
    case ATL_DTYPE_BF16:
      for (gsize i = 0; i < n_elems; i++)
        dst[i] = atl_bf16_to_f32 (atl_load_u16 (bytes + 2 * i));
      break;
    case ATL_DTYPE_F64:
      for (gsize i = 0; i < n_elems; i++)
        {
          guint64 bits;
          double value;

          memcpy (&bits, bytes + 8 * i, sizeof bits);
          bits = GUINT64_FROM_LE (bits);
          memcpy (&value, &bits, sizeof value);
          dst[i] = (float) value;
        }
      break;
    case ATL_DTYPE_F8_E4M3:
      for (gsize i = 0; i < n_elems; i++)
        dst[i] = atl_f8_e4m3_to_f32 (bytes[i]);
      break;
    case ATL_DTYPE_F8_E5M2:
      for (gsize i = 0; i < n_elems; i++)
        dst[i] = atl_f8_e5m2_to_f32 (bytes[i]);
      break;
    default:
      block_funcs[dtype](bytes, dst, n_elems / atl_dtype_info (dtype)->block_elems);
      break;
    }
  return TRUE;
}
