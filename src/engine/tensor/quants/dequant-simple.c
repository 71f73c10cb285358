/* Formats with one scale for a short run of elements. Where a block packs two nibbles into a byte,
 * the low nibbles are the first half of the block and the high nibbles the second. */
#include "engine/tensor/quants/dequant-private.h"

#include "engine/tensor/quants/half.h"

const gint8 atl_iq4_values[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113 };

const gint8 atl_fp4_values[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

/* d:f16 | 16 bytes of nibbles. x = d (q - 8). */
void
atl_dequant_q4_0 (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 18, dst += 32)
    {
      float d = atl_load_f16 (src);
      const guint8 *qs = src + 2;

      for (guint i = 0; i < 16; i++)
        {
          dst[i] = (float) ((qs[i] & 15) - 8) * d;
          dst[i + 16] = (float) ((qs[i] >> 4) - 8) * d;
        }
    }
}

/* d:f16 | m:f16 | 16 bytes of nibbles. x = d q + m. */
void
atl_dequant_q4_1 (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 20, dst += 32)
    {
      float d = atl_load_f16 (src), m = atl_load_f16 (src + 2);
      const guint8 *qs = src + 4;

      for (guint i = 0; i < 16; i++)
        {
          dst[i] = (float) (qs[i] & 15) * d + m;
          dst[i + 16] = (float) (qs[i] >> 4) * d + m;
        }
    }
}

/* d:f16 | 32 fifth bits, element i in bit i | 16 bytes of nibbles. x = d (q - 16). */
void
atl_dequant_q5_0 (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 22, dst += 32)
    {
      float d = atl_load_f16 (src);
      guint32 high = atl_load_u32 (src + 2);
      const guint8 *qs = src + 6;

      for (guint i = 0; i < 16; i++)
        {
          gint q0 = (gint) ((qs[i] & 15u) | (high >> i & 1) << 4);
          gint q1 = (gint) (qs[i] >> 4 | (high >> (i + 16) & 1) << 4);

          dst[i] = (float) (q0 - 16) * d;
          dst[i + 16] = (float) (q1 - 16) * d;
        }
    }
}

/* d:f16 | m:f16 | 32 fifth bits | 16 bytes of nibbles. x = d q + m. */
void
atl_dequant_q5_1 (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 24, dst += 32)
    {
      float d = atl_load_f16 (src), m = atl_load_f16 (src + 2);
      guint32 high = atl_load_u32 (src + 4);
      const guint8 *qs = src + 8;

      for (guint i = 0; i < 16; i++)
        {
          guint q0 = (qs[i] & 15u) | (high >> i & 1) << 4;
          guint q1 = qs[i] >> 4 | (high >> (i + 16) & 1) << 4;

          dst[i] = (float) q0 * d + m;
          dst[i + 16] = (float) q1 * d + m;
        }
    }
}

/* d:f16 | 32 signed bytes. x = d q. */
void
atl_dequant_q8_0 (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 34, dst += 32)
    {
      float d = atl_load_f16 (src);

      for (guint i = 0; i < 32; i++)
        dst[i] = (float) (gint8) src[2 + i] * d;
    }
}

/* d:f16 | d times the sum of q:f16 | 32 signed bytes. x = d q. */
void
atl_dequant_q8_1 (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 36, dst += 32)
    {
      float d = atl_load_f16 (src);

      for (guint i = 0; i < 32; i++)
        dst[i] = (float) (gint8) src[4 + i] * d;
    }
}

/* d:f32 | 256 signed bytes | 16 sums of sixteen q. x = d q. */
void
atl_dequant_q8_k (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 292, dst += 256)
    {
      float d = atl_f32_from_bits (atl_load_u32 (src));

      for (guint i = 0; i < 256; i++)
        dst[i] = (float) (gint8) src[4 + i] * d;
    }
}

/* d:f16 | 16 bytes of nibbles. x = d table[q]. */
void
atl_dequant_iq4_nl (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 18, dst += 32)
    {
      float d = atl_load_f16 (src);
      const guint8 *qs = src + 2;

      for (guint i = 0; i < 16; i++)
        {
          dst[i] = d * (float) atl_iq4_values[qs[i] & 15];
          dst[i + 16] = d * (float) atl_iq4_values[qs[i] >> 4];
        }
    }
}

/* e:E8M0 | 16 bytes of nibbles. x = 2^(e-127) E2M1(q). */
void
atl_dequant_mxfp4 (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 17, dst += 32)
    {
      float d = atl_e8m0_half_to_f32 (src[0]);
      const guint8 *qs = src + 1;

      for (guint i = 0; i < 16; i++)
        {
          dst[i] = d * (float) atl_fp4_values[qs[i] & 15];
          dst[i + 16] = d * (float) atl_fp4_values[qs[i] >> 4];
        }
    }
}

/* 4 scales UE4M3 | 4 x 8 bytes of nibbles: four groups of sixteen, each as a small MXFP4 block. */
void
atl_dequant_nvfp4 (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 36)
    for (guint group = 0; group < 4; group++, dst += 16)
      {
        float d = atl_ue4m3_half_to_f32 (src[group]);
        const guint8 *qs = src + 4 + 8 * group;

        for (guint i = 0; i < 8; i++)
          {
            dst[i] = (float) atl_fp4_values[qs[i] & 15] * d;
            dst[i + 8] = (float) atl_fp4_values[qs[i] >> 4] * d;
          }
      }
}

/* What each byte stands for: looking up is faster than taking bits apart. */
static const float *
e4m3_values (void)
{
  static float values[256];
  static gsize ready;

  if (g_once_init_enter (&ready))
    {
      for (guint i = 0; i < 256; i++)
        values[i] = atl_f8_e4m3_to_f32 ((guint8) i);
      g_once_init_leave (&ready, 1);
    }
  return values;
}

/* d:f32 | 32 bytes of E4M3. */
void
atl_dequant_f8_e4m3_32 (const guint8 *src, float *dst, gsize n_blocks)
{
  const float *values = e4m3_values ();

  for (; n_blocks > 0; n_blocks--, src += 36, dst += 32)
    {
      const float d = atl_f32_from_bits (atl_load_u32 (src));

      for (guint i = 0; i < 32; i++)
        dst[i] = values[src[4 + i]] * d;
    }
}

/* d:f16 | 128 bits, element i in bit i. x = d where the bit is set, else -d. */
void
atl_dequant_q1_0 (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 18, dst += 128)
    {
      float d = atl_load_f16 (src);

      for (guint i = 0; i < 128; i++)
        dst[i] = (src[2 + i / 8] >> i % 8 & 1) != 0 ? d : -d;
    }
}

/* d:f16 | 64 pairs of bits, element i in pair i. x = d (q - 1). */
void
atl_dequant_q2_0 (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 18, dst += 64)
    {
      float d = atl_load_f16 (src);

      for (guint i = 0; i < 64; i++)
        dst[i] = (float) ((src[2 + i / 4] >> i % 4 * 2 & 3) - 1) * d;
    }
}

/* 64 bytes of four 2-bit digits | d:f16. x = d (q - 1). Each half of 32 bytes holds 128 elements:
 * first the lowest digits of its bytes, then the next ones. */
void
atl_dequant_tq2_0 (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 66, dst += 256)
    {
      float d = atl_load_f16 (src + 64);

      for (guint i = 0; i < 256; i++)
        dst[i] = (float) ((src[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) - 1) * d;
    }
}

/* `n_digits` ternary digits of each of `n` bytes, most significant digits of all bytes first. A
 * byte is ceil (256 v / 243) for the number v that its digits form, so that multiplying by a power
 * of three, modulo 256, and looking at the top reads a digit without a division. */
static float *
put_ternary (const guint8 *bytes, guint n, guint n_digits, float d, float *dst)
{
  guint power = 1;

  for (guint digit = 0; digit < n_digits; digit++, power *= 3)
    for (guint i = 0; i < n; i++)
      {
        guint rest = bytes[i] * power & 255;

        *dst++ = (float) ((gint) (rest * 3 >> 8) - 1) * d;
      }
  return dst;
}

/* 32 + 16 bytes of five ternary digits | 4 bytes of four | d:f16. x = d (q - 1). */
void
atl_dequant_tq1_0 (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 54)
    {
      float d = atl_load_f16 (src + 52);

      dst = put_ternary (src, 32, 5, d, dst);
      dst = put_ternary (src + 32, 16, 5, d, dst);
      dst = put_ternary (src + 48, 4, 4, d, dst);
    }
}
