/* Packs the types whose blocks hold codes as plain bits: four rows at a time from the file's block
 * to the lines that pack.h draws, without the codes in between.
 *
 * Taking codes of two or four bits, or single ones, out of quads and putting those of several quads
 * into one is a transposition of cells of bits across quads: the bytes stay where they are, and all
 * that is needed are swaps of masked bits (Warren, Hacker's Delight, 7-3).
 */
#include <string.h>

#include "engine/tensor/cpu/pack-private.h"
#include "engine/tensor/quants/half.h"

/* The same of four bytes only. */
static inline AtlQuads
take_quad (const guint8 *rows, gsize stride)
{
  guint32 q[4];

  for (guint i = 0; i < 4; i++)
    memcpy (&q[i], rows + i * stride, 4);
  return (AtlQuads){ q[0], q[1], q[2], q[3] };
}

/* Exchanges the bits of `a` under mask << shift with those of `b` under mask. */
static inline void
swap_bits (AtlQuads *a, AtlQuads *b, guint shift, guint32 mask)
{
  AtlQuads x = ((*a >> shift) ^ *b) & mask;

  *b ^= x;
  *a ^= x << shift;
}

/* Cells of two bits: afterwards cell k of q[p] is what was cell p of q[k]. */
static inline void
transpose_pairs (AtlQuads q[4])
{
  for (guint i = 0; i < 2; i++)
    swap_bits (&q[i], &q[i + 2], 4, 0x0f0f0f0f);
  for (guint i = 0; i < 4; i += 2)
    swap_bits (&q[i], &q[i + 1], 2, 0x33333333);
}

/* Bits: afterwards bit k of q[p] is what was bit p of q[k]. */
static inline void
transpose_bits (AtlQuads q[8])
{
  for (guint i = 0; i < 4; i++)
    swap_bits (&q[i], &q[i + 4], 4, 0x0f0f0f0f);
  for (guint i = 0; i < 8; i++)
    if ((i & 2) == 0)
      swap_bits (&q[i], &q[i + 2], 2, 0x33333333);
  for (guint i = 0; i < 8; i += 2)
    swap_bits (&q[i], &q[i + 1], 1, 0x55555555);
}

/* --- Planes of codes, all 16 rows --- */

/* Sixteen bytes, whose low nibbles are elements 0 to 15 and whose high ones 16 to 31. */
static inline void
nibbles_32 (const guint8 *qs, gsize stride, guint8 *out)
{
  for (guint r = 0; r < 16; r += 4)
    {
      AtlQuads q[4];

      atl_take_quads (qs + r * stride, stride, q);
      for (guint i = 0; i < 2; i++)
        {
          swap_bits (&q[2 * i], &q[2 * i + 1], 4, 0x0f0f0f0f);
          atl_put_quads (out + 64 * i, r, q[2 * i]);
          atl_put_quads (out + 64 * (2 + i), r, q[2 * i + 1]);
        }
    }
}

/* Thirty-two bytes, whose low nibbles are a block of 32 elements and whose high ones another. */
static inline void
nibbles_64 (const guint8 *qs, gsize stride, guint8 *low, guint8 *high)
{
  for (guint r = 0; r < 16; r += 4)
    {
      AtlQuads q[8];

      atl_take_quads (qs + r * stride, stride, q);
      atl_take_quads (qs + r * stride + 16, stride, q + 4);
      for (guint i = 0; i < 4; i++)
        {
          swap_bits (&q[2 * i], &q[2 * i + 1], 4, 0x0f0f0f0f);
          atl_put_quads (low + 64 * i, r, q[2 * i]);
          atl_put_quads (high + 64 * i, r, q[2 * i + 1]);
        }
    }
}

/* Thirty-two bytes of which pair p belongs to block p of 32 elements, `step` bytes apart. */
static inline void
pairs_128 (const guint8 *qs, gsize stride, guint8 *out, gsize step)
{
  for (guint r = 0; r < 16; r += 4)
    for (guint half = 0; half < 2; half++)
      {
        AtlQuads q[4];

        atl_take_quads (qs + r * stride + 16 * half, stride, q);
        transpose_pairs (q);
        for (guint p = 0; p < 4; p++)
          atl_put_quads (out + p * step + 64 * half, r, q[p]);
      }
}

/* Thirty-two bytes of which bit p belongs to block p of 32 elements. */
static inline void
bits_256 (const guint8 *qh, gsize stride, guint8 *out, gsize step)
{
  for (guint r = 0; r < 16; r += 4)
    {
      AtlQuads q[8];

      atl_take_quads (qh + r * stride, stride, q);
      atl_take_quads (qh + r * stride + 16, stride, q + 4);
      transpose_bits (q);
      for (guint p = 0; p < 8; p++)
        atl_put_quads (out + p * step, r, q[p]);
    }
}

/* Within each word: bit 4 q + i, whose number is q2 q1 q0 i1 i0 in binary, becomes bit i1 i0 q2 q1
 * q0. A swap of two digits of the numbers is one of bits. */
static inline AtlQuads
rotate_bits (AtlQuads w)
{
  static const struct
  {
    guint shift;
    guint32 mask;
  } swaps[] = { { 1, 0x22222222 }, { 3, 0x0a0a0a0a }, { 6, 0x00cc00cc }, { 12, 0x0000f0f0 } };

  for (guint i = 0; i < G_N_ELEMENTS (swaps); i++)
    {
      AtlQuads x = ((w >> swaps[i].shift) ^ w) & swaps[i].mask;

      w ^= x ^ x << swaps[i].shift;
    }
  return w;
}

/* Thirty-two bits in four bytes, a row's own. */
static inline void
bits_32 (const guint8 *qh, gsize stride, guint8 *out)
{
  for (guint r = 0; r < 16; r += 4)
    atl_put_quads (out, r, rotate_bits (take_quad (qh + r * stride, stride)));
}

static inline void
bytes_32 (const guint8 *qs, gsize stride, guint32 flip, guint8 *out)
{
  for (guint r = 0; r < 16; r += 4)
    for (guint half = 0; half < 2; half++)
      {
        AtlQuads q[4];

        atl_take_quads (qs + r * stride + 16 * half, stride, q);
        for (guint i = 0; i < 4; i++)
          atl_put_quads (out + 64 * (4 * half + i), r, q[i] ^ flip);
      }
}

/* --- Scales, all 16 rows --- */

static inline void
halves (const guint8 *d, gsize stride, guint8 *out)
{
  for (guint r = 0; r < 16; r++)
    memcpy (out + 2 * r, d + r * stride, 2);
}

/* Four bytes a row: afterwards byte j of the rows in order, for the four j. q[g] holds rows g, 4 +
 * g, 8 + g and 12 + g. */
static inline void
put_scales (AtlQuads q[4], guint8 *out)
{
  for (guint i = 0; i < 2; i++)
    swap_bits (&q[i], &q[i + 2], 16, 0x0000ffff);
  for (guint i = 0; i < 4; i += 2)
    swap_bits (&q[i], &q[i + 1], 8, 0x00ff00ff);
  memcpy (out, q, 64);
}

static inline void
scales_8 (const guint8 *s, gsize stride, guint n, guint8 *out)
{
  for (guint k = 0; k < n; k += 4)
    {
      AtlQuads q[4];

      for (guint g = 0; g < 4; g++)
        q[g] = take_quad (s + k + g * stride, 4 * stride);
      put_scales (q, out + 16 * k);
    }
}

/* Eight scales and mins of six bits in twelve bytes (Q4_K, Q5_K). */
static void
scales_k4 (const guint8 *s, gsize stride, guint8 *scale, guint8 *min)
{
  AtlQuads low[4], low_min[4], high[4], high_min[4];

  for (guint g = 0; g < 4; g++)
    {
      AtlQuads a = take_quad (s + g * stride, 4 * stride);
      AtlQuads b = take_quad (s + 4 + g * stride, 4 * stride);
      AtlQuads c = take_quad (s + 8 + g * stride, 4 * stride);

      low[g] = a & 0x3f3f3f3f;
      low_min[g] = b & 0x3f3f3f3f;
      high[g] = (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030);
      high_min[g] = (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030);
    }
  put_scales (low, scale);
  put_scales (high, scale + 64);
  put_scales (low_min, min);
  put_scales (high_min, min + 64);
}

/* Sixteen scales of six bits in twelve bytes (Q3_K), minus 32. */
static void
scales_k3 (const guint8 *s, gsize stride, guint8 *scale)
{
  for (guint k = 0; k < 4; k++)
    {
      AtlQuads q[4];

      for (guint g = 0; g < 4; g++)
        {
          AtlQuads low = take_quad (s + 4 * (k % 2) + g * stride, 4 * stride);
          AtlQuads high = take_quad (s + 8 + g * stride, 4 * stride);
          AtlQuads six = (low >> 4 * (k / 2) & 0x0f0f0f0f) | (high >> 2 * k & 0x03030303) << 4;

          /* Five bits and the sign: 32 less is the sixth bit turned over and copied upwards. */
          six ^= 0x20202020;
          q[g] = six | (six & 0x20202020) << 1 | (six & 0x20202020) << 2;
        }
      put_scales (q, scale + 64 * k);
    }
}

static void
scales_iq4_xs (const guint8 *b, gsize stride, guint8 *scale)
{
  for (guint r = 0; r < 16; r++, b += stride)
    for (guint j = 0; j < 8; j++)
      {
        guint s = (b[4 + j / 2] >> 4 * (j % 2) & 15) | (atl_load_u16 (b + 2) >> 2 * j & 3) << 4;

        scale[16 * j + r] = (guint8) ((gint) s - 32);
      }
}

/* --- A unit of each type --- */

static void
unit_q4_0 (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b, stride, meta);
  nibbles_32 (b + 2, stride, quants);
}

static void
unit_q4_1 (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b, stride, meta);
  halves (b + 2, stride, meta + 32);
  nibbles_32 (b + 4, stride, quants);
}

static void
unit_q5_0 (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b, stride, meta);
  bits_32 (b + 2, stride, quants + 256);
  nibbles_32 (b + 6, stride, quants);
}

static void
unit_q5_1 (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b, stride, meta);
  halves (b + 2, stride, meta + 32);
  bits_32 (b + 4, stride, quants + 256);
  nibbles_32 (b + 8, stride, quants);
}

static void
unit_q8_0 (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b, stride, meta);
  bytes_32 (b + 2, stride, 0x80808080, quants);
}

static void
unit_mxfp4 (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  for (guint r = 0; r < 16; r++)
    meta[r] = b[r * stride];
  memset (meta + 16, 0, 16);
  nibbles_32 (b + 1, stride, quants);
}

static void
unit_q2_k (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b + 80, stride, meta);
  halves (b + 82, stride, meta + 32);
  scales_8 (b, stride, 16, meta + 64);
  for (guint half = 0; half < 2; half++)
    pairs_128 (b + 16 + 32 * half, stride, quants + 512 * half, 128);
}

static void
unit_q3_k (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b + 108, stride, meta);
  scales_k3 (b + 96, stride, meta + 32);
  for (guint half = 0; half < 2; half++)
    pairs_128 (b + 32 + 32 * half, stride, quants + 768 * half, 192);
  bits_256 (b, stride, quants + 128, 192);
}

static void
unit_q4_k (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b, stride, meta);
  halves (b + 2, stride, meta + 32);
  scales_k4 (b + 4, stride, meta + 64, meta + 192);
  for (guint j = 0; j < 4; j++)
    nibbles_64 (b + 16 + 32 * j, stride, quants + 512 * j, quants + 512 * j + 256);
}

static void
unit_q5_k (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b, stride, meta);
  halves (b + 2, stride, meta + 32);
  scales_k4 (b + 4, stride, meta + 64, meta + 192);
  for (guint j = 0; j < 4; j++)
    nibbles_64 (b + 48 + 32 * j, stride, quants + 640 * j, quants + 640 * j + 320);
  bits_256 (b + 16, stride, quants + 256, 320);
}

static void
unit_q6_k (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b + 208, stride, meta);
  scales_8 (b + 192, stride, 16, meta + 32);
  for (guint half = 0; half < 2; half++)
    {
      const guint8 *ql = b + 64 * half;
      guint8 *out = quants + 4 * 384 * half;

      nibbles_64 (ql, stride, out, out + 2 * 384);
      nibbles_64 (ql + 32, stride, out + 384, out + 3 * 384);
      pairs_128 (b + 128 + 32 * half, stride, out + 256, 384);
    }
}

static void
unit_iq4_xs (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b, stride, meta);
  scales_iq4_xs (b, stride, meta + 32);
  for (guint j = 0; j < 8; j++)
    nibbles_32 (b + 8 + 16 * j, stride, quants + 256 * j);
}

static void
unit_tq2_0 (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b + 64, stride, meta);
  for (guint half = 0; half < 2; half++)
    pairs_128 (b + 32 * half, stride, quants + 512 * half, 128);
}

static void
unit_q1_0 (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  halves (b, stride, meta);
  for (guint j = 0; j < 4; j++)
    bits_32 (b + 2 + 4 * j, stride, quants + 64 * j);
}

/* Nibbles are split between the halves of 16 elements; a scale that is no number counts as zero. */
static void
unit_nvfp4 (const guint8 *b, gsize stride, guint8 *meta, guint8 *quants)
{
  for (guint r = 0; r < 16; r++)
    for (guint sub = 0; sub < 4; sub++)
      {
        guint8 e = b[r * stride + sub] & 0x7f;

        meta[16 * sub + r] = e == 0x7f ? 0 : e;
      }
  for (guint block = 0; block < 2; block++)
    for (guint r = 0; r < 16; r += 4)
      {
        AtlQuads q[4];

        atl_take_quads (b + 4 + 16 * block + r * stride, stride, q);
        for (guint i = 0; i < 4; i += 2)
          swap_bits (&q[i], &q[i + 1], 4, 0x0f0f0f0f);
        for (guint i = 0; i < 4; i++)
          atl_put_quads (quants + 256 * block + 64 * i, r, q[i]);
      }
}

static const AtlPackUnitFunc units[ATL_N_DTYPES] = {
  [ATL_DTYPE_Q4_0] = unit_q4_0,     [ATL_DTYPE_Q4_1] = unit_q4_1,   [ATL_DTYPE_Q5_0] = unit_q5_0,
  [ATL_DTYPE_Q5_1] = unit_q5_1,     [ATL_DTYPE_Q8_0] = unit_q8_0,   [ATL_DTYPE_IQ4_NL] = unit_q4_0,
  [ATL_DTYPE_MXFP4] = unit_mxfp4,   [ATL_DTYPE_Q2_K] = unit_q2_k,   [ATL_DTYPE_Q3_K] = unit_q3_k,
  [ATL_DTYPE_Q4_K] = unit_q4_k,     [ATL_DTYPE_Q5_K] = unit_q5_k,   [ATL_DTYPE_Q6_K] = unit_q6_k,
  [ATL_DTYPE_IQ4_XS] = unit_iq4_xs, [ATL_DTYPE_TQ2_0] = unit_tq2_0, [ATL_DTYPE_Q1_0] = unit_q1_0,
  [ATL_DTYPE_NVFP4] = unit_nvfp4,
};

AtlPackUnitFunc
atl_pack_unit_func (AtlDType dtype)
{
  return units[dtype];
}
