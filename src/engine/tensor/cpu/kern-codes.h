/* What the packed types (pack.h) are made of, as vectors of the level that the file is compiled
 * for: facts about a dtype, the codes of a quad of elements, the factors of a block. Used by
 * kern-quant.c only. */
#pragma once

#include "engine/tensor/cpu/kernels.h"
#include "engine/tensor/cpu/kern-private.h"

/* --- What a dtype is --- */

INLINE gboolean
has_min (AtlDType t)
{
  return t == ATL_DTYPE_Q4_1 || t == ATL_DTYPE_Q5_1 || t == ATL_DTYPE_Q2_K || t == ATL_DTYPE_Q4_K ||
         t == ATL_DTYPE_Q5_K;
}

INLINE gboolean
is_super (AtlDType t)
{
  return t == ATL_DTYPE_Q2_K || t == ATL_DTYPE_Q3_K || t == ATL_DTYPE_Q4_K || t == ATL_DTYPE_Q5_K ||
         t == ATL_DTYPE_Q6_K || t == ATL_DTYPE_IQ4_XS;
}

/* Sub-blocks of 16 elements have their own scale. */
INLINE gboolean
is_sixteen (AtlDType t)
{
  return t == ATL_DTYPE_Q2_K || t == ATL_DTYPE_Q3_K || t == ATL_DTYPE_Q6_K;
}

/* Codes beyond six bits. */
INLINE gboolean
is_bytes (AtlDType t)
{
  return t == ATL_DTYPE_Q8_0 || t == ATL_DTYPE_IQ4_NL || t == ATL_DTYPE_IQ4_XS;
}

/* What is subtracted from each code. */
INLINE gint32
code_offset (AtlDType t)
{
  switch (t)
    {
    case ATL_DTYPE_Q4_0:
      return 8;
    case ATL_DTYPE_Q5_0:
      return 16;
    case ATL_DTYPE_Q8_0:
    case ATL_DTYPE_IQ4_NL:
    case ATL_DTYPE_IQ4_XS:
      return 128;
    case ATL_DTYPE_MXFP4:
      return 12;
    case ATL_DTYPE_Q3_K:
      return 4;
    case ATL_DTYPE_Q6_K:
      return 32;
    default:
      return 0;
    }
}

/* Tables of nibbles, plus their offset. */
static const guint8 iq4_table[16] = { 1,   24,  45,  63,  79,  93,  106, 118,
                                      129, 141, 153, 166, 181, 197, 217, 241 };
static const guint8 fp4_table[16] = { 12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0 };

INLINE vb
load_table (const guint8 *table)
{
  vb v;
  for (guint i = 0; i < VB / 16; i++)
    memcpy ((guint8 *) &v + 16 * i, table, 16);
  return v;
}

/* --- Codes --- */

INLINE vb
shift_right (vb v, guint n, guint8 mask)
{
  return (vb) ((vu) v >> n) & mask;
}

INLINE vb
shift_left (vb v, guint n, guint8 mask)
{
  return (vb) ((vu) v << n) & mask;
}

/* The codes of quad `q` of the 32 elements at `lines`, for the rows of vector `half`. */
INLINE vb
codes (AtlDType t, const guint8 *lines, guint q, guint half)
{
  vb v, h;

  lines += half * VB;
  switch (t)
    {
    case ATL_DTYPE_Q8_0:
      return vb_load (lines + q * 64);
    case ATL_DTYPE_Q2_K:
      return shift_right (vb_load (lines + q / 4 * 64), q % 4 * 2, 3);
    case ATL_DTYPE_Q3_K:
      v = shift_right (vb_load (lines + q / 4 * 64), q % 4 * 2, 3);
      h = vb_load (lines + 128);
      return v | (q <= 2 ? shift_left (h, 2 - MIN (q, 2), 4) : shift_right (h, q - 2, 4));
    default:
      break;
    }
  v = vb_load (lines + q / 2 * 64);
  v = q % 2 == 0 ? v & 15 : shift_right (v, 4, 15);
  switch (t)
    {
    case ATL_DTYPE_Q5_0:
    case ATL_DTYPE_Q5_1:
    case ATL_DTYPE_Q5_K:
      h = vb_load (lines + 256);
      return v | (q <= 4 ? shift_left (h, 4 - MIN (q, 4), 16) : shift_right (h, q - 4, 16));
    case ATL_DTYPE_Q6_K:
      h = vb_load (lines + 256 + q / 4 * 64);
      return v |
             (q % 4 <= 2 ? shift_left (h, 4 - MIN (q % 4, 2) * 2, 0x30) : shift_right (h, 2, 0x30));
    case ATL_DTYPE_IQ4_NL:
    case ATL_DTYPE_IQ4_XS:
      return vb_table (load_table (iq4_table), v);
    case ATL_DTYPE_MXFP4:
      return vb_table (load_table (fp4_table), v);
    default:
      return v;
    }
}

/* --- Scales --- */

/* Factors of a block of 32 elements, for the rows of one vector: value = scale (code - offset) -
 * min. With sub-blocks of 16, [1] is for the second. */
typedef struct
{
  vf scale[2];
  vf min[2];
} Factors;

/* `meta` is that of the unit; `sub` the index of the block of 32 in it. */
INLINE Factors
factors (AtlDType t, const guint8 *meta, guint sub, guint half)
{
  Factors f = { 0 };
  vf d;

  if (t == ATL_DTYPE_MXFP4)
    {
      /* 2^(e - 128) as the bits of a float; exponents of 0 and 1, below 1e-38, become zero. */
      vi e = vi_load_u8 (meta + half * VW) - 1;
      f.scale[0] = (vf) ((e & (e > 0)) << 23);
      return f;
    }
  d = vf_load_f16 (meta + half * VW * 2);
  if (!is_super (t))
    {
      f.scale[0] = d;
      if (has_min (t))
        f.min[0] = -vf_load_f16 (meta + 32 + half * VW * 2);
      return f;
    }
  if (t == ATL_DTYPE_Q4_K || t == ATL_DTYPE_Q5_K)
    {
      vf m = vf_load_f16 (meta + 32 + half * VW * 2);

      f.scale[0] = d * vf_from_vi (vi_load_u8 (meta + 64 + sub * 16 + half * VW));
      f.min[0] = m * vf_from_vi (vi_load_u8 (meta + 192 + sub * 16 + half * VW));
    }
  else if (t == ATL_DTYPE_IQ4_XS)
    {
      f.scale[0] = d * vf_from_vi (vi_load_i8 (meta + 32 + sub * 16 + half * VW));
    }
  else if (t == ATL_DTYPE_Q2_K)
    {
      vf m = vf_load_f16 (meta + 32 + half * VW * 2);

      for (guint i = 0; i < 2; i++)
        {
          vi both = vi_load_u8 (meta + 64 + (2 * sub + i) * 16 + half * VW);
          f.scale[i] = d * vf_from_vi (both & 15);
          f.min[i] = m * vf_from_vi (both >> 4);
        }
    }
  else
    {
      for (guint i = 0; i < 2; i++)
        f.scale[i] = d * vf_from_vi (vi_load_i8 (meta + 32 + (2 * sub + i) * 16 + half * VW));
    }
  return f;
}
