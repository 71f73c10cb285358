/* Superblocks of 256 elements: sub-blocks of 16 or 32 have small integer scales (and minimums),
 * which one or two f16 numbers scale in turn.
 *
 * The bit planes of these formats run across the superblock: in one byte lie elements that are 32
 * apart (2-bit digits, high bits) or 32 apart in a group of 64 (nibbles). */
#include "engine/tensor/quants/dequant-private.h"

#include "engine/tensor/quants/half.h"

/* 16 bytes scale | min << 4, one for each 16 elements | 64 bytes of 2-bit digits | d:f16 |
 * dmin:f16. x = d scale q - dmin min. Element i: byte i / 128 * 32 + i % 32, digit i % 128 / 32. */
void
atl_dequant_q2_k (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 84, dst += 256)
    {
      const guint8 *scales = src, *qs = src + 16;
      float d = atl_load_f16 (src + 80), dmin = atl_load_f16 (src + 82);

      for (guint sub = 0; sub < 16; sub++)
        {
          float scale = d * (float) (scales[sub] & 15);
          float min = dmin * (float) (scales[sub] >> 4);
          const guint8 *bytes = qs + sub / 8 * 32 + sub % 2 * 16;
          guint shift = sub % 8 / 2 * 2;

          for (guint i = 0; i < 16; i++)
            dst[sub * 16 + i] = scale * (float) (bytes[i] >> shift & 3) - min;
        }
    }
}

/* Sixteen 6-bit scales in 12 bytes: low nibbles in the first eight bytes (first eight scales below,
 * second eight above), the top bits by pairs in the last four. */
static gint
q3_k_scale (const guint8 *packed, guint sub)
{
  guint low = packed[sub % 8] >> sub / 8 * 4 & 15;
  guint high = packed[8 + sub % 4] >> sub / 4 * 2 & 3;

  return (gint) (low | high << 4) - 32;
}

/* 32 bytes of high bits | 64 bytes of 2-bit digits | 12 bytes of scales | d:f16.
 * x = d scale (q - 4), where q has its third bit from the first plane: element i is bit i / 32 of
 * byte i % 32. */
void
atl_dequant_q3_k (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 110, dst += 256)
    {
      const guint8 *high = src, *qs = src + 32, *scales = src + 96;
      float d = atl_load_f16 (src + 108);

      for (guint sub = 0; sub < 16; sub++)
        {
          float scale = d * (float) q3_k_scale (scales, sub);
          const guint8 *bytes = qs + sub / 8 * 32 + sub % 2 * 16;
          const guint8 *bits = high + sub % 2 * 16;
          guint shift = sub % 8 / 2 * 2;

          for (guint i = 0; i < 16; i++)
            {
              gint q = (gint) ((bytes[i] >> shift & 3u) | (bits[i] >> sub / 2 & 1u) << 2);

              dst[sub * 16 + i] = scale * (float) (q - 4);
            }
        }
    }
}

/* Eight 6-bit scales and eight 6-bit minimums in 12 bytes. The first four of each have bytes of
 * their own, whose top two bits complete the last four, which lie as nibbles in bytes 8 to 11. */
static void
k4_scale_min (const guint8 *packed, guint sub, guint *scale, guint *min)
{
  if (sub < 4)
    {
      *scale = packed[sub] & 63;
      *min = packed[sub + 4] & 63;
    }
  else
    {
      *scale = (packed[sub + 4] & 15u) | (guint) (packed[sub - 4] >> 6) << 4;
      *min = packed[sub + 4] >> 4 | (guint) (packed[sub] >> 6) << 4;
    }
}

/* d:f16 | dmin:f16 | 12 bytes of scales | 128 bytes of nibbles. x = d scale q - dmin min for eight
 * sub-blocks of 32; two neighbours share 32 bytes, the first in the low nibbles. */
void
atl_dequant_q4_k (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 144, dst += 256)
    {
      float d = atl_load_f16 (src), dmin = atl_load_f16 (src + 2);

      for (guint sub = 0; sub < 8; sub++)
        {
          const guint8 *bytes = src + 16 + sub / 2 * 32;
          guint scale, min, shift = sub % 2 * 4;
          float step, offset;

          k4_scale_min (src + 4, sub, &scale, &min);
          step = d * (float) scale;
          offset = dmin * (float) min;
          for (guint i = 0; i < 32; i++)
            dst[sub * 32 + i] = step * (float) (bytes[i] >> shift & 15) - offset;
        }
    }
}

/* As q4_K with 32 bytes of fifth bits before the nibbles: element i is bit i / 32 of byte i % 32.
 */
void
atl_dequant_q5_k (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 176, dst += 256)
    {
      float d = atl_load_f16 (src), dmin = atl_load_f16 (src + 2);
      const guint8 *high = src + 16;

      for (guint sub = 0; sub < 8; sub++)
        {
          const guint8 *bytes = src + 48 + sub / 2 * 32;
          guint scale, min, shift = sub % 2 * 4;
          float step, offset;

          k4_scale_min (src + 4, sub, &scale, &min);
          step = d * (float) scale;
          offset = dmin * (float) min;
          for (guint i = 0; i < 32; i++)
            {
              guint q = (bytes[i] >> shift & 15u) | (high[i] >> sub & 1u) << 4;

              dst[sub * 32 + i] = step * (float) q - offset;
            }
        }
    }
}

/* 128 bytes of low nibbles | 64 bytes of high bit pairs | 16 signed scales | d:f16.
 * x = d scale (q - 32) with one scale for each 16 elements. Each half of the superblock has 64
 * bytes of nibbles (64 low, then 64 high) and 32 bytes of pairs (32 apart). */
void
atl_dequant_q6_k (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 210, dst += 256)
    {
      const guint8 *scales = src + 192;
      float d = atl_load_f16 (src + 208);

      for (guint sub = 0; sub < 16; sub++)
        {
          guint half = sub / 8, in_half = sub % 8;
          const guint8 *low = src + half * 64 + in_half % 4 * 16;
          const guint8 *high = src + 128 + half * 32 + in_half % 2 * 16;
          guint low_shift = in_half / 4 * 4, high_shift = in_half / 2 * 2;
          float scale = d * (float) (gint8) scales[sub];

          for (guint i = 0; i < 16; i++)
            {
              gint q = (gint) ((low[i] >> low_shift & 15u) | (high[i] >> high_shift & 3u) << 4);

              dst[sub * 16 + i] = scale * (float) (q - 32);
            }
        }
    }
}

/* d:f16 | 8 x 2 high scale bits | 8 low scale nibbles | 128 bytes of nibbles.
 * x = d (scale - 32) table[q]; each sub-block of 32 is laid out as in iq4_nl. */
void
atl_dequant_iq4_xs (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 136, dst += 256)
    {
      float d = atl_load_f16 (src);
      guint high = atl_load_u16 (src + 2);

      for (guint sub = 0; sub < 8; sub++)
        {
          const guint8 *qs = src + 8 + sub * 16;
          guint scale = (src[4 + sub / 2] >> sub % 2 * 4 & 15u) | (high >> 2 * sub & 3) << 4;
          float step = d * (float) ((gint) scale - 32);
          float *out = dst + sub * 32;

          for (guint i = 0; i < 16; i++)
            {
              out[i] = step * (float) atl_iq4_values[qs[i] & 15];
              out[i + 16] = step * (float) atl_iq4_values[qs[i] >> 4];
            }
        }
    }
}
