/* Elements of rows of plain weights as floats.
 *
 * Threading: any; each call works on the memory that it is given.
 */
#pragma once

#include "engine/tensor/cpu/simd.h"
#include "engine/tensor/quants/half.h"

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

/* VW elements from `k` on as floats. */
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
