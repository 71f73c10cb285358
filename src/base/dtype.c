/* The table of element types. */
#include "base/dtype.h"
#include "base/checked.h"

static const AtlDTypeInfo infos[ATL_N_DTYPES] = {
  [ATL_DTYPE_F32] = { "f32", 1, 4, FALSE },
  [ATL_DTYPE_F16] = { "f16", 1, 2, FALSE },
  [ATL_DTYPE_BF16] = { "bf16", 1, 2, FALSE },
  [ATL_DTYPE_F64] = { "f64", 1, 8, FALSE },
  [ATL_DTYPE_F8_E4M3] = { "f8_e4m3", 1, 1, FALSE },
  [ATL_DTYPE_F8_E5M2] = { "f8_e5m2", 1, 1, FALSE },
  [ATL_DTYPE_I8] = { "i8", 1, 1, FALSE },
  [ATL_DTYPE_U8] = { "u8", 1, 1, FALSE },
  [ATL_DTYPE_I16] = { "i16", 1, 2, FALSE },
  [ATL_DTYPE_U16] = { "u16", 1, 2, FALSE },
  [ATL_DTYPE_I32] = { "i32", 1, 4, FALSE },
  [ATL_DTYPE_U32] = { "u32", 1, 4, FALSE },
  [ATL_DTYPE_I64] = { "i64", 1, 8, FALSE },
  [ATL_DTYPE_U64] = { "u64", 1, 8, FALSE },
  [ATL_DTYPE_BOOL] = { "bool", 1, 1, FALSE },
  [ATL_DTYPE_Q4_0] = { "q4_0", 32, 18, TRUE },
  [ATL_DTYPE_Q4_1] = { "q4_1", 32, 20, TRUE },
  [ATL_DTYPE_Q5_0] = { "q5_0", 32, 22, TRUE },
  [ATL_DTYPE_Q5_1] = { "q5_1", 32, 24, TRUE },
  [ATL_DTYPE_Q8_0] = { "q8_0", 32, 34, TRUE },
  [ATL_DTYPE_Q2_K] = { "q2_K", 256, 84, TRUE },
  [ATL_DTYPE_Q3_K] = { "q3_K", 256, 110, TRUE },
  [ATL_DTYPE_Q4_K] = { "q4_K", 256, 144, TRUE },
  [ATL_DTYPE_Q5_K] = { "q5_K", 256, 176, TRUE },
  [ATL_DTYPE_Q6_K] = { "q6_K", 256, 210, TRUE },
  [ATL_DTYPE_IQ2_XXS] = { "iq2_xxs", 256, 66, TRUE },
  [ATL_DTYPE_IQ2_XS] = { "iq2_xs", 256, 74, TRUE },
  [ATL_DTYPE_IQ2_S] = { "iq2_s", 256, 82, TRUE },
  [ATL_DTYPE_IQ3_XXS] = { "iq3_xxs", 256, 98, TRUE },
  [ATL_DTYPE_IQ3_S] = { "iq3_s", 256, 110, TRUE },
  [ATL_DTYPE_IQ1_S] = { "iq1_s", 256, 50, TRUE },
  [ATL_DTYPE_IQ1_M] = { "iq1_m", 256, 56, TRUE },
  [ATL_DTYPE_IQ4_NL] = { "iq4_nl", 32, 18, TRUE },
  [ATL_DTYPE_IQ4_XS] = { "iq4_xs", 256, 136, TRUE },
  [ATL_DTYPE_TQ1_0] = { "tq1_0", 256, 54, TRUE },
  [ATL_DTYPE_TQ2_0] = { "tq2_0", 256, 66, TRUE },
  [ATL_DTYPE_MXFP4] = { "mxfp4", 32, 17, TRUE },
  [ATL_DTYPE_NVFP4] = { "nvfp4", 64, 36, TRUE },
  [ATL_DTYPE_Q1_0] = { "q1_0", 128, 18, TRUE },
  [ATL_DTYPE_Q2_0] = { "q2_0", 64, 18, TRUE },
  [ATL_DTYPE_F8_E4M3_32] = { "f8_e4m3_32", 32, 36, TRUE },
  [ATL_DTYPE_Q8_1] = { "q8_1", 32, 36, TRUE },
  [ATL_DTYPE_Q8_K] = { "q8_K", 256, 292, TRUE },
};

const AtlDTypeInfo *
atl_dtype_info (AtlDType dtype)
{
  g_assert ((guint) dtype < ATL_N_DTYPES);
  return &infos[dtype];
}

const char *
atl_dtype_name (AtlDType dtype)
{
  return (guint) dtype < ATL_N_DTYPES ? infos[dtype].name : "?";
}

gboolean
atl_dtype_from_name (const char *name, AtlDType *out)
{
  for (guint i = 0; i < ATL_N_DTYPES; i++)
    if (g_ascii_strcasecmp (infos[i].name, name) == 0)
      {
        *out = (AtlDType) i;
        return TRUE;
      }
  return FALSE;
}

gboolean
atl_dtype_row_bytes (AtlDType dtype, guint64 n_elems, guint64 *out)
{
  const AtlDTypeInfo *info = atl_dtype_info (dtype);

  if (n_elems % info->block_elems != 0)
    return FALSE;
  return atl_checked_mul (n_elems / info->block_elems, info->block_bytes, out);
}
