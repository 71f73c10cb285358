/* What the packed types (pack.h) are made of, as vectors of the level that the file is compiled
 * for: facts about a dtype, the codes of a quad of elements, the factors of a block. Used by
 * kern-quant.c and kern-amx-few.c.
 *
 * Threading: any; each call works on the memory that it is given.
 */
#pragma once

#include "engine/tensor/cpu/kernels.h"
#include "engine/tensor/cpu/kern-private.h"

/* --- What a dtype is --- */

/* The dtypes that are packed; others are packed alike. */
#define EACH_DTYPE(X)                                                                              \
  X (Q4_0)                                                                                         \
  X (Q4_1)                                                                                         \
  X (Q5_0)                                                                                         \
  X (Q5_1)                                                                                         \
  X (Q8_0)                                                                                         \
  X (Q2_K)                                                                                         \
  X (Q3_K)                                                                                         \
  X (Q4_K)                                                                                         \
  X (Q5_K)                                                                                         \
  X (Q6_K)                                                                                         \
  X (IQ4_NL)                                                                                       \
  X (IQ4_XS)                                                                                       \
  X (MXFP4)                                                                                        \
  X (NVFP4)                                                                                        \
  X (Q1_0)                                                                                         \
  X (Q2_0)                                                                                         \
  X (TQ2_0)                                                                                        \
  X (IQ3_XXS)                                                                                      \
  X (IQ3_S)                                                                                        \
  X (IQ2_XXS)                                                                                      \
  X (IQ2_XS)                                                                                       \
  X (IQ1_S)                                                                                        \
  X (IQ1_M)

INLINE gboolean
has_min (AtlDType t)
{
  return t == ATL_DTYPE_Q4_1 || t == ATL_DTYPE_Q5_1 || t == ATL_DTYPE_Q2_K || t == ATL_DTYPE_Q4_K ||
         t == ATL_DTYPE_Q5_K || t == ATL_DTYPE_IQ1_S;
}

/* Blocks of 32 elements that share an entry of meta. */
INLINE guint
unit_blocks (AtlDType t)
{
  switch (t)
    {
    case ATL_DTYPE_Q2_K:
    case ATL_DTYPE_Q3_K:
    case ATL_DTYPE_Q4_K:
    case ATL_DTYPE_Q5_K:
    case ATL_DTYPE_Q6_K:
    case ATL_DTYPE_IQ4_XS:
    case ATL_DTYPE_IQ3_XXS:
    case ATL_DTYPE_IQ3_S:
    case ATL_DTYPE_IQ2_XXS:
    case ATL_DTYPE_IQ2_XS:
    case ATL_DTYPE_IQ1_S:
    case ATL_DTYPE_IQ1_M:
    case ATL_DTYPE_TQ2_0:
      return 8;
    case ATL_DTYPE_Q1_0:
      return 4;
    case ATL_DTYPE_Q2_0:
    case ATL_DTYPE_NVFP4:
      return 2;
    default:
      return 1;
    }
}

/* Sub-blocks of 16 elements have their own scale. */
INLINE gboolean
is_sixteen (AtlDType t)
{
  return t == ATL_DTYPE_Q2_K || t == ATL_DTYPE_Q3_K || t == ATL_DTYPE_Q6_K ||
         t == ATL_DTYPE_NVFP4 || t == ATL_DTYPE_IQ2_XS || t == ATL_DTYPE_IQ1_M;
}

/* Codes beyond six bits. */
INLINE gboolean
is_bytes (AtlDType t)
{
  return t == ATL_DTYPE_Q8_0 || t == ATL_DTYPE_IQ4_NL || t == ATL_DTYPE_IQ4_XS ||
         t == ATL_DTYPE_IQ3_XXS || t == ATL_DTYPE_IQ2_XXS || t == ATL_DTYPE_IQ2_XS;
}

/* Bytes for 32 elements of 16 rows: pack.h's, known when the loops are compiled. */
INLINE guint
quant_bytes_of (AtlDType t)
{
  switch (t)
    {
    case ATL_DTYPE_Q1_0:
      return 64;
    case ATL_DTYPE_Q2_K:
    case ATL_DTYPE_Q2_0:
    case ATL_DTYPE_TQ2_0:
    case ATL_DTYPE_IQ1_S:
    case ATL_DTYPE_IQ1_M:
      return 128;
    case ATL_DTYPE_Q3_K:
    case ATL_DTYPE_IQ2_XXS:
    case ATL_DTYPE_IQ2_XS:
      return 192;
    case ATL_DTYPE_Q5_0:
    case ATL_DTYPE_Q5_1:
    case ATL_DTYPE_Q5_K:
      return 320;
    case ATL_DTYPE_Q6_K:
      return 384;
    case ATL_DTYPE_Q8_0:
      return 512;
    default:
      return 256;
    }
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
    case ATL_DTYPE_NVFP4:
      return 12;
    case ATL_DTYPE_IQ3_XXS:
      return 62;
    case ATL_DTYPE_IQ3_S:
      return 15;
    case ATL_DTYPE_IQ2_XXS:
    case ATL_DTYPE_IQ2_XS:
      return 43;
    case ATL_DTYPE_IQ1_M:
      return 9;
    case ATL_DTYPE_Q1_0:
    case ATL_DTYPE_Q2_0:
    case ATL_DTYPE_TQ2_0:
      return 1;
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
static const guint8 iq3_xxs_table[16] = { 66, 74, 82, 90, 98, 106, 114, 124,
                                          58, 50, 42, 34, 26, 18,  10,  0 };
static const guint8 iq3_s_table[16] = { 16, 18, 20, 22, 24, 26, 28, 30, 14, 12, 10, 8, 6, 4, 2, 0 };
static const guint8 iq2_table[16] = { 51, 68, 86, 43, 35, 18, 0, 43 };
/* Eighths: level - 1, moved up, then moved down. */
static const guint8 iq1_table[16] = { 2, 10, 18, 9, 0, 8, 16, 9 };

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

/* The codes of quad `q` of the 32 elements at `lines`, block `sub` of those of `meta`, for the rows
 * of vector `half`. */
INLINE vb
codes (AtlDType t, const guint8 *lines, const guint8 *meta, guint sub, guint q, guint half)
{
  vb v, h;
  vi down;

  lines += half * VB;
  switch (t)
    {
    case ATL_DTYPE_Q8_0:
      return vb_load (lines + q * 64);
    case ATL_DTYPE_Q2_K:
    case ATL_DTYPE_Q2_0:
    case ATL_DTYPE_TQ2_0:
    case ATL_DTYPE_IQ1_S:
      return shift_right (vb_load (lines + q / 4 * 64), q % 4 * 2, 3);
    case ATL_DTYPE_Q3_K:
    case ATL_DTYPE_IQ2_XXS:
    case ATL_DTYPE_IQ2_XS:
      v = shift_right (vb_load (lines + q / 4 * 64), q % 4 * 2, 3);
      h = vb_load (lines + 128);
      v |= q <= 2 ? shift_left (h, 2 - MIN (q, 2), 4) : shift_right (h, q - 2, 4);
      return t == ATL_DTYPE_Q3_K ? v : vb_table (load_table (iq2_table), v);
    case ATL_DTYPE_IQ1_M:
      /* Bit 4 of a sub-block's scale moves its first two quads, bit 5 the others. */
      v = shift_right (vb_load (lines + q / 4 * 64), q % 4 * 2, 3);
      down = vi_load_u8 (meta + 32 + (2 * sub + q / 4) * 16 + half * VW) * 0x01010101;
      return vb_table (load_table (iq1_table), v | shift_right ((vb) down, 2 + q / 2 % 2, 4));
    case ATL_DTYPE_Q1_0:
      h = vb_load (lines);
      return q == 0 ? shift_left (h, 1, 2) : shift_right (h, q - 1, 2);
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
    case ATL_DTYPE_IQ3_XXS:
      return vb_table (load_table (iq3_xxs_table), v);
    case ATL_DTYPE_IQ3_S:
      return vb_table (load_table (iq3_s_table), v);
    case ATL_DTYPE_MXFP4:
    case ATL_DTYPE_NVFP4:
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

/* What all blocks of a unit share: its factor, and that of its mins. */
typedef struct
{
  vf d, m;
} UnitFactors;

INLINE UnitFactors
unit_factors (AtlDType t, const guint8 *meta, guint half)
{
  UnitFactors u = { 0 };

  if (t != ATL_DTYPE_MXFP4 && t != ATL_DTYPE_NVFP4)
    u.d = vf_load_f16 (meta + half * VW * 2);
  if (has_min (t) && t != ATL_DTYPE_IQ1_S)
    u.m = vf_load_f16 (meta + 32 + half * VW * 2);
  return u;
}

/* `meta` is that of the unit `u`; `sub` the index of the block of 32 in it. */
INLINE Factors
factors (AtlDType t, UnitFactors u, const guint8 *meta, guint sub, guint half)
{
  Factors f = { 0 };
  vf d = u.d;

  if (t == ATL_DTYPE_MXFP4)
    {
      /* 2^(e - 128) as the bits of a float; exponents of 0 and 1, below 1e-38, become zero. */
      vi e = vi_load_u8 (meta + half * VW) - 1;
      f.scale[0] = (vf) ((e & (e > 0)) << 23);
      return f;
    }
  if (t == ATL_DTYPE_NVFP4)
    {
      /* Half of an E4M3, the exponent's bias moved; those of exponent 0 are plain numbers. */
      for (guint i = 0; i < 2; i++)
        {
          vi e = vi_load_u8 (meta + (2 * sub + i) * 16 + half * VW);
          f.scale[i] = vf_select (e > 7, (vf) ((e << 20) + (119 << 23)), vf_from_vi (e) * 0x1p-10f);
        }
      return f;
    }
  switch (t)
    {
    case ATL_DTYPE_IQ3_XXS:
    case ATL_DTYPE_IQ3_S:
      f.scale[0] = d * vf_from_vi (vi_load_u8 (meta + 32 + sub * 16 + half * VW));
      if (t == ATL_DTYPE_IQ3_XXS)
        f.scale[0] *= 0.25f;
      return f;
    case ATL_DTYPE_IQ2_XXS:
    case ATL_DTYPE_IQ2_XS:
      {
        /* d (1/2 + nibble) / 4; the high nibble is for the second half of the elements. */
        vi both = vi_load_u8 (meta + 32 + sub * 16 + half * VW);

        d *= 0.125f;
        f.scale[0] = d * vf_from_vi ((both & 15) * 2 + 1);
        f.scale[1] = d * vf_from_vi ((both >> 4) * 2 + 1);
        return f;
      }
    case ATL_DTYPE_IQ1_S:
      {
        /* s (q - 1 +- 1/8) */
        vi both = vi_load_u8 (meta + 32 + sub * 16 + half * VW);

        f.scale[0] = d * vf_from_vi (both & 127);
        f.min[0] = f.scale[0] * vf_select (both > 127, vf_set1 (1.125f), vf_set1 (0.875f));
        return f;
      }
    case ATL_DTYPE_IQ1_M:
      for (guint i = 0; i < 2; i++)
        f.scale[i] =
            d * 0.125f * vf_from_vi (vi_load_u8 (meta + 32 + (2 * sub + i) * 16 + half * VW) & 15);
      return f;
    case ATL_DTYPE_TQ2_0:
      f.scale[0] = d;
      return f;
    default:
      break;
    }
  if (unit_blocks (t) < 8)
    {
      f.scale[0] = d;
      if (has_min (t))
        f.min[0] = -u.m;
      return f;
    }
  if (t == ATL_DTYPE_Q4_K || t == ATL_DTYPE_Q5_K)
    {
      f.scale[0] = d * vf_from_vi (vi_load_u8 (meta + 64 + sub * 16 + half * VW));
      f.min[0] = u.m * vf_from_vi (vi_load_u8 (meta + 192 + sub * 16 + half * VW));
    }
  else if (t == ATL_DTYPE_IQ4_XS)
    {
      f.scale[0] = d * vf_from_vi (vi_load_i8 (meta + 32 + sub * 16 + half * VW));
    }
  else if (t == ATL_DTYPE_Q2_K)
    {
      for (guint i = 0; i < 2; i++)
        {
          vi both = vi_load_u8 (meta + 64 + (2 * sub + i) * 16 + half * VW);
          f.scale[i] = d * vf_from_vi (both & 15);
          f.min[i] = u.m * vf_from_vi (both >> 4);
        }
    }
  else
    {
      for (guint i = 0; i < 2; i++)
        f.scale[i] = d * vf_from_vi (vi_load_i8 (meta + 32 + (2 * sub + i) * 16 + half * VW));
    }
  return f;
}
