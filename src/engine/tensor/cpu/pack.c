/* Moves the bits of quantised rows into groups of 16; the layout is drawn in pack.h. */
#include "engine/tensor/cpu/pack-private.h"

#include <string.h>

#include "engine/tensor/cpu/shuffle.h"
#include "engine/tensor/quants/half.h"

static const AtlPackInfo infos[ATL_N_DTYPES] = {
  [ATL_DTYPE_Q4_0] = { 32, 32, 256 },           [ATL_DTYPE_Q4_1] = { 32, 64, 256 },
  [ATL_DTYPE_Q5_0] = { 32, 32, 320 },           [ATL_DTYPE_Q5_1] = { 32, 64, 320 },
  [ATL_DTYPE_Q8_0] = { 32, 32, 512 },           [ATL_DTYPE_IQ4_NL] = { 32, 32, 256 },
  [ATL_DTYPE_MXFP4] = { 32, 32, 256 },          [ATL_DTYPE_Q2_K] = { 256, 64 + 256, 128 },
  [ATL_DTYPE_Q3_K] = { 256, 32 + 256, 192 },    [ATL_DTYPE_Q4_K] = { 256, 64 + 256, 256 },
  [ATL_DTYPE_Q5_K] = { 256, 64 + 256, 320 },    [ATL_DTYPE_Q6_K] = { 256, 32 + 256, 384 },
  [ATL_DTYPE_IQ4_XS] = { 256, 32 + 128, 256 },  [ATL_DTYPE_NVFP4] = { 64, 64, 256 },
  [ATL_DTYPE_Q1_0] = { 128, 32, 64 },           [ATL_DTYPE_Q2_0] = { 64, 32, 128 },
  [ATL_DTYPE_TQ1_0] = { 256, 32, 128 },         [ATL_DTYPE_TQ2_0] = { 256, 32, 128 },
  [ATL_DTYPE_IQ3_XXS] = { 256, 32 + 128, 256 }, [ATL_DTYPE_IQ3_S] = { 256, 32 + 128, 256 },
  [ATL_DTYPE_IQ2_XXS] = { 256, 32 + 128, 192 }, [ATL_DTYPE_IQ2_XS] = { 256, 32 + 128, 192 },
  [ATL_DTYPE_IQ2_S] = { 256, 32 + 128, 192 },   [ATL_DTYPE_IQ1_S] = { 256, 32 + 128, 128 },
  [ATL_DTYPE_IQ1_M] = { 256, 32 + 256, 128 },
};

const AtlPackInfo *
atl_pack_info (AtlDType dtype)
{
  return infos[dtype].unit != 0 ? &infos[dtype] : NULL;
}

AtlDType
atl_pack_alike (AtlDType dtype)
{
  switch (dtype)
    {
    case ATL_DTYPE_TQ1_0:
      return ATL_DTYPE_TQ2_0;
    case ATL_DTYPE_IQ2_S:
      return ATL_DTYPE_IQ2_XS;
    default:
      return dtype;
    }
}

gsize
atl_pack_group_bytes (AtlDType dtype, gint64 n_in)
{
  const AtlPackInfo *info = &infos[dtype];
  return atl_pack_meta_bytes (info, n_in) + (gsize) (n_in / 32) * info->quant_bytes;
}

/* --- Codes out of the file's blocks, in the order of the elements --- */

static void
nibbles_32 (const guint8 *qs, guint8 *q)
{
  for (guint i = 0; i < 16; i++)
    {
      q[i] = qs[i] & 15;
      q[i + 16] = qs[i] >> 4;
    }
}

static void
fifth_bits_32 (const guint8 *qh, guint8 *q)
{
  /* Eight bits at a time: each keeps its own byte of eight copies, and so sets that byte's fifth.
   */
  for (guint i = 0; i < 4; i++)
    {
      guint64 bits = qh[i] * G_GUINT64_CONSTANT (0x0101010101010101);
      guint64 codes;

      bits &= G_GUINT64_CONSTANT (0x8040201008040201);
      bits += G_GUINT64_CONSTANT (0x7f7f7f7f7f7f7f7f);
      memcpy (&codes, q + 8 * i, sizeof codes);
      codes |= GUINT64_TO_LE (bits >> 3 & G_GUINT64_CONSTANT (0x1010101010101010));
      memcpy (q + 8 * i, &codes, sizeof codes);
    }
}

/* Eight scales and mins of six bits in twelve bytes (Q4_K, Q5_K). */
static void
scales_k4 (const guint8 *p, guint row, AtlPackUnit *u)
{
  for (guint j = 0; j < 4; j++)
    {
      u->scale[j][row] = p[j] & 63;
      u->min[j][row] = p[j + 4] & 63;
      u->scale[j + 4][row] = (guint8) ((p[j + 8] & 15) | (p[j] >> 6) << 4);
      u->min[j + 4][row] = (guint8) (p[j + 8] >> 4 | (p[j + 4] >> 6) << 4);
    }
}

/* Sixteen scales of six bits in twelve bytes (Q3_K), minus 32. */
static void
scales_k3 (const guint8 *p, guint row, AtlPackUnit *u)
{
  for (guint j = 0; j < 16; j++)
    {
      guint low = j < 8 ? p[j] & 15 : p[j - 8] >> 4;
      guint high = p[8 + j % 4] >> 2 * (j / 4) & 3;

      u->scale[j][row] = (guint8) ((gint) (low | high << 4) - 32);
    }
}

static void
take_q2_k (const guint8 *b, guint row, AtlPackUnit *u)
{
  for (guint part = 0; part < 8; part++)
    for (guint i = 0; i < 32; i++)
      u->q[row][32 * part + i] = b[16 + part / 4 * 32 + i] >> part % 4 * 2 & 3;
  for (guint j = 0; j < 16; j++)
    u->scale[j][row] = b[j];
  u->d[row] = atl_load_u16 (b + 80);
  u->m[row] = atl_load_u16 (b + 82);
}

static void
take_q3_k (const guint8 *b, guint row, AtlPackUnit *u)
{
  for (guint part = 0; part < 8; part++)
    for (guint i = 0; i < 32; i++)
      u->q[row][32 * part + i] =
          (guint8) ((b[32 + part / 4 * 32 + i] >> part % 4 * 2 & 3) | (b[i] >> part & 1) << 2);
  scales_k3 (b + 96, row, u);
  u->d[row] = atl_load_u16 (b + 108);
}

static void
take_q4_k (const guint8 *b, guint row, gboolean five, AtlPackUnit *u)
{
  const guint8 *qs = b + 16 + (five ? 32 : 0);
  guint8 *q = u->q[row];

  for (guint j = 0; j < 4; j++)
    for (guint i = 0; i < 32; i++)
      {
        q[64 * j + i] = qs[32 * j + i] & 15;
        q[64 * j + 32 + i] = qs[32 * j + i] >> 4;
      }
  if (five)
    for (guint j = 0; j < 8; j++)
      for (guint i = 0; i < 32; i++)
        q[32 * j + i] |= (guint8) ((b[16 + i] >> j & 1) << 4);
  scales_k4 (b + 4, row, u);
  u->d[row] = atl_load_u16 (b);
  u->m[row] = atl_load_u16 (b + 2);
}

static void
take_q6_k (const guint8 *b, guint row, AtlPackUnit *u)
{
  for (guint half = 0; half < 2; half++)
    {
      const guint8 *ql = b + 64 * half;
      const guint8 *qh = b + 128 + 32 * half;
      guint8 *q = u->q[row] + 128 * half;

      for (guint i = 0; i < 32; i++)
        {
          q[i] = (guint8) ((ql[i] & 15) | (qh[i] & 3) << 4);
          q[i + 32] = (guint8) ((ql[i + 32] & 15) | (qh[i] >> 2 & 3) << 4);
          q[i + 64] = (guint8) (ql[i] >> 4 | (qh[i] >> 4 & 3) << 4);
          q[i + 96] = (guint8) (ql[i + 32] >> 4 | (qh[i] >> 6) << 4);
        }
    }
  for (guint j = 0; j < 16; j++)
    u->scale[j][row] = b[192 + j];
  u->d[row] = atl_load_u16 (b + 208);
}

static void
take_iq4_xs (const guint8 *b, guint row, AtlPackUnit *u)
{
  guint16 high = atl_load_u16 (b + 2);

  for (guint j = 0; j < 8; j++)
    {
      guint s = (b[4 + j / 2] >> 4 * (j % 2) & 15) | (high >> 2 * j & 3) << 4;

      u->scale[j][row] = (guint8) ((gint) s - 32);
      nibbles_32 (b + 8 + 16 * j, u->q[row] + 32 * j);
    }
  u->d[row] = atl_load_u16 (b);
}

static void
take_block (AtlDType dtype, const guint8 *b, guint row, AtlPackUnit *u)
{
  guint8 *q = u->q[row];

  switch (dtype)
    {
    case ATL_DTYPE_Q4_0:
    case ATL_DTYPE_IQ4_NL:
      u->d[row] = atl_load_u16 (b);
      nibbles_32 (b + 2, q);
      break;
    case ATL_DTYPE_Q4_1:
      u->d[row] = atl_load_u16 (b);
      u->m[row] = atl_load_u16 (b + 2);
      nibbles_32 (b + 4, q);
      break;
    case ATL_DTYPE_Q5_0:
      u->d[row] = atl_load_u16 (b);
      nibbles_32 (b + 6, q);
      fifth_bits_32 (b + 2, q);
      break;
    case ATL_DTYPE_Q5_1:
      u->d[row] = atl_load_u16 (b);
      u->m[row] = atl_load_u16 (b + 2);
      nibbles_32 (b + 8, q);
      fifth_bits_32 (b + 4, q);
      break;
    case ATL_DTYPE_Q8_0:
      u->d[row] = atl_load_u16 (b);
      for (guint i = 0; i < 32; i++)
        q[i] = b[2 + i] ^ 0x80;
      break;
    case ATL_DTYPE_MXFP4:
      u->scale[0][row] = b[0];
      nibbles_32 (b + 1, q);
      break;
    case ATL_DTYPE_Q2_K:
      take_q2_k (b, row, u);
      break;
    case ATL_DTYPE_Q3_K:
      take_q3_k (b, row, u);
      break;
    case ATL_DTYPE_Q4_K:
      take_q4_k (b, row, FALSE, u);
      break;
    case ATL_DTYPE_Q5_K:
      take_q4_k (b, row, TRUE, u);
      break;
    case ATL_DTYPE_Q6_K:
      take_q6_k (b, row, u);
      break;
    case ATL_DTYPE_IQ4_XS:
      take_iq4_xs (b, row, u);
      break;
    default:
      atl_pack_take_small (dtype, b, row, u);
      break;
    }
}

/* --- Codes into planes --- */

/* Four bytes of each of four rows, or of a line. */
typedef guint32 Quads __attribute__ ((vector_size (16)));

/* Quads first / 4 + [0, 4) of rows [row, row + 4): out[i] is quad i of all of them. */
static inline void
take_quads (const AtlPackUnit *u, guint row, guint first, Quads out[4])
{
  Quads q[4], ab[2], cd[2];

  for (guint i = 0; i < 4; i++)
    memcpy (&q[i], &u->q[row + i][first], sizeof q[i]);
  ab[0] = atl_shuffle (q[0], q[1], (Quads){ 0, 4, 1, 5 });
  ab[1] = atl_shuffle (q[0], q[1], (Quads){ 2, 6, 3, 7 });
  cd[0] = atl_shuffle (q[2], q[3], (Quads){ 0, 4, 1, 5 });
  cd[1] = atl_shuffle (q[2], q[3], (Quads){ 2, 6, 3, 7 });
  for (guint i = 0; i < 2; i++)
    {
      out[2 * i] = atl_shuffle (ab[i], cd[i], (Quads){ 0, 1, 4, 5 });
      out[2 * i + 1] = atl_shuffle (ab[i], cd[i], (Quads){ 2, 3, 6, 7 });
    }
}

static inline void
store_quads (guint8 *line, guint row, Quads v)
{
  memcpy (line + 4 * row, &v, sizeof v);
}

static void
put_nibbles (const AtlPackUnit *u, guint first, guint8 *out)
{
  for (guint r = 0; r < 16; r += 4)
    for (guint half = 0; half < 2; half++)
      {
        Quads q[4];

        take_quads (u, r, first + 16 * half, q);
        for (guint j = 0; j < 2; j++)
          store_quads (out + 64 * (2 * half + j), r,
                       (q[2 * j] & 0x0f0f0f0f) | (q[2 * j + 1] & 0x0f0f0f0f) << 4);
      }
}

/* Two bits of each code, from bit `shift` on. */
static void
put_pairs (const AtlPackUnit *u, guint first, guint shift, guint8 *out)
{
  for (guint r = 0; r < 16; r += 4)
    for (guint half = 0; half < 2; half++)
      {
        Quads q[4], v = { 0 };

        take_quads (u, r, first + 16 * half, q);
        for (guint i = 0; i < 4; i++)
          v |= (q[i] >> shift & 0x03030303) << 2 * i;
        store_quads (out + 64 * half, r, v);
      }
}

static void
put_bits (const AtlPackUnit *u, guint first, guint shift, guint8 *out)
{
  for (guint r = 0; r < 16; r += 4)
    {
      Quads q[8], v = { 0 };

      take_quads (u, r, first, q);
      take_quads (u, r, first + 16, q + 4);
      for (guint i = 0; i < 8; i++)
        v |= (q[i] >> shift & 0x01010101) << i;
      store_quads (out, r, v);
    }
}

static void
put_bytes (const AtlPackUnit *u, guint first, guint8 *out)
{
  for (guint r = 0; r < 16; r += 4)
    for (guint half = 0; half < 2; half++)
      {
        Quads q[4];

        take_quads (u, r, first + 16 * half, q);
        for (guint i = 0; i < 4; i++)
          store_quads (out + 64 * (4 * half + i), r, q[i]);
      }
}

static void
put_quants (AtlDType dtype, const AtlPackUnit *u, guint first, guint8 *out)
{
  switch (dtype)
    {
    case ATL_DTYPE_Q8_0:
      put_bytes (u, first, out);
      break;
    case ATL_DTYPE_Q2_K:
    case ATL_DTYPE_Q2_0:
    case ATL_DTYPE_TQ1_0:
    case ATL_DTYPE_TQ2_0:
    case ATL_DTYPE_IQ1_S:
    case ATL_DTYPE_IQ1_M:
      put_pairs (u, first, 0, out);
      break;
    case ATL_DTYPE_Q1_0:
      put_bits (u, first, 0, out);
      break;
    case ATL_DTYPE_Q3_K:
    case ATL_DTYPE_IQ2_XXS:
    case ATL_DTYPE_IQ2_XS:
    case ATL_DTYPE_IQ2_S:
      put_pairs (u, first, 0, out);
      put_bits (u, first, 2, out + 128);
      break;
    case ATL_DTYPE_Q5_0:
    case ATL_DTYPE_Q5_1:
    case ATL_DTYPE_Q5_K:
      put_nibbles (u, first, out);
      put_bits (u, first, 4, out + 256);
      break;
    case ATL_DTYPE_Q6_K:
      put_nibbles (u, first, out);
      put_pairs (u, first, 4, out + 256);
      break;
    default:
      put_nibbles (u, first, out);
      break;
    }
}

static void
put_meta (AtlDType dtype, const AtlPackUnit *u, guint8 *out)
{
  switch (dtype)
    {
    case ATL_DTYPE_MXFP4:
      memcpy (out, u->scale[0], 16);
      memset (out + 16, 0, 16);
      break;
    case ATL_DTYPE_Q4_1:
    case ATL_DTYPE_Q5_1:
      memcpy (out, u->d, 32);
      memcpy (out + 32, u->m, 32);
      break;
    case ATL_DTYPE_Q2_K:
      memcpy (out, u->d, 32);
      memcpy (out + 32, u->m, 32);
      memcpy (out + 64, u->scale, 256);
      break;
    case ATL_DTYPE_Q4_K:
    case ATL_DTYPE_Q5_K:
      memcpy (out, u->d, 32);
      memcpy (out + 32, u->m, 32);
      memcpy (out + 64, u->scale, 128);
      memcpy (out + 192, u->min, 128);
      break;
    case ATL_DTYPE_NVFP4:
      memcpy (out, u->scale, 64);
      break;
    case ATL_DTYPE_Q3_K:
    case ATL_DTYPE_Q6_K:
    case ATL_DTYPE_IQ1_M:
      memcpy (out, u->d, 32);
      memcpy (out + 32, u->scale, 256);
      break;
    case ATL_DTYPE_IQ4_XS:
    case ATL_DTYPE_IQ3_XXS:
    case ATL_DTYPE_IQ3_S:
    case ATL_DTYPE_IQ2_XXS:
    case ATL_DTYPE_IQ2_XS:
    case ATL_DTYPE_IQ2_S:
    case ATL_DTYPE_IQ1_S:
      memcpy (out, u->d, 32);
      memcpy (out + 32, u->scale, 128);
      break;
    default:
      memcpy (out, u->d, 32);
      break;
    }
}

void
atl_pack_group (
    AtlDType dtype, const guint8 *rows, gsize row_bytes, guint n_rows, gint64 n_in, guint8 *out)
{
  const AtlPackInfo *info = &infos[dtype];
  const guint block_bytes = atl_dtype_info (dtype)->block_bytes;
  guint8 *quants = out + atl_pack_meta_bytes (info, n_in);
  AtlPackUnit u;

  /* Rows that are not there have zero scales and so the value zero. */
  memset (&u, 0, sizeof u);
  for (gint64 i = 0; i < n_in / info->unit; i++)
    {
      for (guint r = 0; r < n_rows; r++)
        take_block (dtype, rows + r * row_bytes + (gsize) i * block_bytes, r, &u);
      put_meta (dtype, &u, out + (gsize) i * info->meta_bytes);
      for (guint first = 0; first < info->unit; first += 32)
        {
          put_quants (dtype, &u, first, quants);
          quants += info->quant_bytes;
        }
    }
}
