/* The repacking of every type, four quants at a time. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/repack.h"

#include <math.h>
#include <string.h>

#include "engine/tensor/quants/half.h"

/* Bytes per block of each plane; 0 ends the list. Float types: plane 0 has one element. */
static const guint16 plane_bytes[ATL_N_DTYPES][ATL_CL_PLANES] = {
  [ATL_DTYPE_F32] = { 4 },
  [ATL_DTYPE_F16] = { 2 },
  [ATL_DTYPE_BF16] = { 2 },
  [ATL_DTYPE_F8_E4M3] = { 1 },
  [ATL_DTYPE_F8_E5M2] = { 1 },
  [ATL_DTYPE_Q4_0] = { 16, 2 },
  [ATL_DTYPE_Q4_1] = { 16, 4 },
  [ATL_DTYPE_Q5_0] = { 16, 2, 4 },
  [ATL_DTYPE_Q5_1] = { 16, 4, 4 },
  [ATL_DTYPE_Q8_0] = { 32, 2 },
  [ATL_DTYPE_F8_E4M3_32] = { 32, 4 },
  [ATL_DTYPE_IQ4_NL] = { 16, 2 },
  [ATL_DTYPE_MXFP4] = { 16, 1 },
  [ATL_DTYPE_Q2_K] = { 64, 4, 16 },
  [ATL_DTYPE_Q3_K] = { 64, 2, 16, 32 },
  [ATL_DTYPE_Q4_K] = { 128, 16 },
  [ATL_DTYPE_Q5_K] = { 128, 16, 32 },
  [ATL_DTYPE_Q6_K] = { 128, 2, 16, 64 },
  [ATL_DTYPE_IQ4_XS] = { 128, 8 },
};

gboolean
atl_cl_layout_init (AtlClLayout *layout, AtlDType dtype, gint64 n_elems)
{
  const AtlDTypeInfo *info = atl_dtype_info (dtype);

  *layout = (AtlClLayout){ 0 };
  if (dtype == ATL_CL_WIDE)
    {
      layout->k = (n_elems + 31) & ~(gint64) 31;
      layout->n_planes = 2;
      layout->row_bytes[0] = (gsize) layout->k;
      layout->row_bytes[1] = (gsize) layout->k / 16 * sizeof (float);
      return TRUE;
    }
  if (plane_bytes[dtype][0] == 0)
    return FALSE;
  layout->k = info->quantized ? n_elems : (n_elems + 31) & ~(gint64) 31;
  while (layout->n_planes < ATL_CL_PLANES && plane_bytes[dtype][layout->n_planes] != 0)
    {
      layout->row_bytes[layout->n_planes] =
          (gsize) layout->k / info->block_elems * plane_bytes[dtype][layout->n_planes];
      layout->n_planes++;
    }
  return TRUE;
}

static void
store_u32 (guint8 *p, guint32 v)
{
  v = GUINT32_TO_LE (v);
  memcpy (p, &v, sizeof v);
}

/* Sixteen weights, one per byte at `src` and `shift` bits up, to 8 bytes of nibbles. */
static void
pack_nibbles (guint8 *dst, const guint8 *src, guint shift)
{
  const guint32 mask = 0x0f0f0f0f;

  for (guint h = 0; h < 2; h++)
    store_u32 (dst + 4 * h, (atl_load_u32 (src + 8 * h) >> shift & mask) |
                                (atl_load_u32 (src + 8 * h + 4) >> shift & mask) << 4);
}

/* Sixteen weights to 4 bytes of two bits each. */
static void
pack_pairs (guint8 *dst, const guint8 *src, guint shift)
{
  guint32 v = 0;

  for (guint j = 0; j < 4; j++)
    v |= (atl_load_u32 (src + 4 * j) >> shift & 0x03030303u) << (2 * j);
  store_u32 (dst, v);
}

/* Sixteen weights to 2 bytes of one bit each. */
static void
pack_bits (guint8 *dst, const guint8 *src, guint shift)
{
  guint16 v = 0;

  for (guint j = 0; j < 4; j++)
    {
      guint32 b = atl_load_u32 (src + 4 * j) >> shift & 0x01010101u;
      v |= (guint16) (((b | b >> 7 | b >> 14 | b >> 21) & 15u) << (4 * j));
    }
  atl_store_u16 (dst, v);
}

/* A block of 32 whose byte j holds weight j low and weight j + 16 high. */
static void
pack_block32 (guint8 *dst, const guint8 *src)
{
  pack_nibbles (dst, src, 0);
  pack_nibbles (dst + 8, src, 4);
}

/* Q4_K, Q5_K: 32 bytes hold 64 weights, the first 32 low. */
static void
pack_block256 (guint8 *dst, const guint8 *src)
{
  for (guint g = 0; g < 16; g++)
    pack_nibbles (dst + 8 * g, src + g / 4 * 32 + g % 2 * 16, g % 4 / 2 * 4);
}

/* Blocks of each type, from its layout in the file (quants/dequant-*.c) to planes. */

static void
pack_q4_0 (const guint8 *b, guint8 *const p[])
{
  memcpy (p[1], b, 2);
  pack_block32 (p[0], b + 2);
}

static void
pack_q4_1 (const guint8 *b, guint8 *const p[])
{
  memcpy (p[1], b, 4);
  pack_block32 (p[0], b + 4);
}

static void
pack_q5_0 (const guint8 *b, guint8 *const p[])
{
  memcpy (p[1], b, 2);
  memcpy (p[2], b + 2, 4);
  pack_block32 (p[0], b + 6);
}

static void
pack_q5_1 (const guint8 *b, guint8 *const p[])
{
  memcpy (p[1], b, 4);
  memcpy (p[2], b + 4, 4);
  pack_block32 (p[0], b + 8);
}

static void
pack_q8_0 (const guint8 *b, guint8 *const p[])
{
  memcpy (p[1], b, 2);
  memcpy (p[0], b + 2, 32);
}

static void
pack_f8_e4m3_32 (const guint8 *b, guint8 *const p[])
{
  memcpy (p[1], b, 4);
  memcpy (p[0], b + 4, 32);
}

static void
pack_mxfp4 (const guint8 *b, guint8 *const p[])
{
  p[1][0] = b[0];
  pack_block32 (p[0], b + 1);
}

static void
pack_q2_k (const guint8 *b, guint8 *const p[])
{
  memcpy (p[2], b, 16);
  memcpy (p[1], b + 80, 4);
  for (guint g = 0; g < 16; g++)
    pack_pairs (p[0] + 4 * g, b + 16 + g / 8 * 32 + g % 2 * 16, g % 8 / 2 * 2);
}

static void
pack_q3_k (const guint8 *b, guint8 *const p[])
{
  const guint8 *scales = b + 96;

  memcpy (p[1], b + 108, 2);
  for (guint g = 0; g < 16; g++)
    {
      guint low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
      guint high = scales[8 + g % 4] >> (g / 4 * 2) & 3;

      p[2][g] = (guint8) ((gint) (low | high << 4) - 32);
      pack_pairs (p[0] + 4 * g, b + 32 + g / 8 * 32 + g % 2 * 16, g % 8 / 2 * 2);
      pack_bits (p[3] + 2 * g, b + g % 2 * 16, g / 2);
    }
}

static void
pack_q4_k (const guint8 *b, guint8 *const p[])
{
  memcpy (p[1], b, 16);
  pack_block256 (p[0], b + 16);
}

static void
pack_q5_k (const guint8 *b, guint8 *const p[])
{
  memcpy (p[1], b, 16);
  for (guint g = 0; g < 16; g++)
    pack_bits (p[2] + 2 * g, b + 16 + g % 2 * 16, g / 2);
  pack_block256 (p[0], b + 48);
}

static void
pack_q6_k (const guint8 *b, guint8 *const p[])
{
  memcpy (p[2], b + 192, 16);
  memcpy (p[1], b + 208, 2);
  /* Of 128 weights: 64 bytes of low nibbles (first 64 low, last 64 high), 32 bytes of pairs. */
  for (guint g = 0; g < 16; g++)
    {
      guint half = g / 8, group = g % 8 / 2, side = g % 2 * 16;

      pack_nibbles (p[0] + 8 * g, b + half * 64 + group % 2 * 32 + side, group / 2 * 4);
      pack_pairs (p[3] + 4 * g, b + 128 + half * 32 + side, group * 2);
    }
}

static void
pack_iq4_xs (const guint8 *b, guint8 *const p[])
{
  memcpy (p[1], b, 8);
  for (guint j = 0; j < 8; j++)
    pack_block32 (p[0] + 16 * j, b + 8 + 16 * j);
}

typedef void (*PackFunc) (const guint8 *block, guint8 *const planes[]);

static PackFunc
pack_func (AtlDType dtype)
{
  switch (dtype)
    {
    case ATL_DTYPE_Q4_0:
    case ATL_DTYPE_IQ4_NL:
      return pack_q4_0;
    case ATL_DTYPE_Q4_1:
      return pack_q4_1;
    case ATL_DTYPE_Q5_0:
      return pack_q5_0;
    case ATL_DTYPE_Q5_1:
      return pack_q5_1;
    case ATL_DTYPE_Q8_0:
      return pack_q8_0;
    case ATL_DTYPE_F8_E4M3_32:
      return pack_f8_e4m3_32;
    case ATL_DTYPE_MXFP4:
      return pack_mxfp4;
    case ATL_DTYPE_Q2_K:
      return pack_q2_k;
    case ATL_DTYPE_Q3_K:
      return pack_q3_k;
    case ATL_DTYPE_Q4_K:
      return pack_q4_k;
    case ATL_DTYPE_Q5_K:
      return pack_q5_k;
    case ATL_DTYPE_Q6_K:
      return pack_q6_k;
    case ATL_DTYPE_IQ4_XS:
      return pack_iq4_xs;
    default:
      return NULL;
    }
}

void
atl_cl_repack (const AtlClLayout *layout,
               AtlDType dtype,
               const guint8 *src,
               gint64 n_elems,
               gint64 n_rows,
               guint8 *const planes[ATL_CL_PLANES])
{
  const AtlDTypeInfo *info = atl_dtype_info (dtype);
  PackFunc pack = pack_func (dtype);

  if (pack == NULL)
    {
      gsize used = (gsize) n_elems * plane_bytes[dtype][0];

      for (gint64 r = 0; r < n_rows; r++)
        {
          guint8 *dst = planes[0] + (gsize) r * layout->row_bytes[0];
          memcpy (dst, src + (gsize) r * used, used);
          memset (dst + used, 0, layout->row_bytes[0] - used);
        }
      return;
    }

  gint64 n_blocks = n_rows * (n_elems / info->block_elems);
  guint8 *p[ATL_CL_PLANES];
  memcpy (p, planes, sizeof p);
  for (gint64 i = 0; i < n_blocks; i++)
    {
      pack (src, p);
      src += info->block_bytes;
      for (guint k = 0; k < layout->n_planes; k++)
        p[k] += plane_bytes[dtype][k];
    }
}

void
atl_cl_widener_init (AtlClWidener *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (self->order); i++)
    self->order[i] = (guint8) (i + 1);
}

/* Whether all values are whole multiples of largest / n. A product that was rounded to float is off
 * by at most 127 * 2^-24 from a whole number. */
static gboolean
fits (const float values[16], float largest, guint n, gint8 quants[16])
{
  float inverse = (float) n / largest;

  for (guint i = 0; i < 16; i++)
    {
      float v = values[i] * inverse, whole = rintf (v);

      if (fabsf (v - whole) > 4e-5f)
        return FALSE;
      quants[i] = (gint8) whole;
    }
  return TRUE;
}

void
atl_cl_widen (AtlClWidener *self, const float values[16], gint8 quants[16], float *scale)
{
  float largest = 0.0f;

  for (guint i = 0; i < 16; i++)
    largest = MAX (largest, fabsf (values[i]));
  /* Zero, and what no scale can divide: subnormal numbers and those that are none. */
  if (!(largest >= 1e-30f && largest <= 1e30f))
    {
      memset (quants, 0, 16);
      *scale = isfinite (largest) ? 0.0f : NAN;
      return;
    }
  for (guint i = 0; i < G_N_ELEMENTS (self->order); i++)
    if (fits (values, largest, self->order[i], quants))
      {
        guint8 n = self->order[i];

        memmove (self->order + 1, self->order, i);
        self->order[0] = n;
        *scale = largest / (float) n;
        return;
      }
  for (guint i = 0; i < 16; i++)
    quants[i] = (gint8) rintf (values[i] * (127.0f / largest));
  *scale = largest / 127.0f;
}
