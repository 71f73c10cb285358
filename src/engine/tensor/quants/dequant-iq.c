/* Superblocks of 256 elements made of codebook vectors (iq-grids.h) with signs apart from sizes. */
#include "engine/tensor/quants/dequant-private.h"

#include "engine/tensor/quants/half.h"
#include "engine/tensor/quants/iq-grids.h"

/* Eight elements of an IQ2 vector; bit i of `signs` negates element i. */
static void
put_iq2 (guint vector, guint signs, float scale, float *dst)
{
  for (guint i = 0; i < 8; i++)
    {
      float size = scale * (float) atl_iq2_levels[vector >> 2 * i & 3];

      dst[i] = (signs >> i & 1) != 0 ? -size : size;
    }
}

/* Four elements of an IQ3 vector. */
static void
put_iq3 (guint vector, const guint8 *levels, guint signs, float scale, float *dst)
{
  for (guint i = 0; i < 4; i++)
    {
      float size = scale * (float) levels[vector >> 3 * i & 7];

      dst[i] = (signs >> i & 1) != 0 ? -size : size;
    }
}

/* Eight elements of an IQ1 vector, all moved by the same eighth. */
static void
put_iq1 (guint vector, gboolean down, float scale, float *dst)
{
  float delta = down ? -0.125f : 0.125f;

  for (guint i = 0; i < 8; i++)
    dst[i] = scale * ((float) ((gint) (vector >> 2 * i & 3) - 1) + delta);
}

/* d:f16 | 8 x (4 vector indices, u32: four 7-bit sign indices, 4-bit scale). */
void
atl_dequant_iq2_xxs (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 66)
    {
      float d = atl_load_f16 (src);

      for (guint sub = 0; sub < 8; sub++)
        {
          const guint8 *index = src + 2 + sub * 8;
          guint32 extra = atl_load_u32 (index + 4);
          float scale = d * (0.5f + (float) (extra >> 28)) * 0.25f;

          for (guint v = 0; v < 4; v++, dst += 8)
            put_iq2 (atl_iq2_xxs_grid[index[v]], atl_iq_signs (extra >> 7 * v & 127), scale, dst);
        }
    }
}

/* d:f16 | 32 x u16 (9-bit vector index, 7-bit sign index) | 8 bytes with a scale for each 16. */
void
atl_dequant_iq2_xs (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 74)
    {
      float d = atl_load_f16 (src);

      for (guint v = 0; v < 32; v++, dst += 8)
        {
          guint q = atl_load_u16 (src + 2 + 2 * v);
          guint nibble = src[66 + v / 4] >> v / 2 % 2 * 4 & 15;
          float scale = d * (0.5f + (float) nibble) * 0.25f;

          put_iq2 (atl_iq2_xs_grid[q & 511], atl_iq_signs (q >> 9), scale, dst);
        }
    }
}

/* d:f16 | 32 low index bytes | 32 sign bytes | 8 bytes of high index pairs | 8 bytes of scales. */
void
atl_dequant_iq2_s (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 82)
    {
      float d = atl_load_f16 (src);

      for (guint v = 0; v < 32; v++, dst += 8)
        {
          guint index = src[2 + v] | (src[66 + v / 4] >> v % 4 * 2 & 3u) << 8;
          guint nibble = src[74 + v / 4] >> v / 2 % 2 * 4 & 15;
          float scale = d * (0.5f + (float) nibble) * 0.25f;

          put_iq2 (atl_iq2_s_grid[index], src[34 + v], scale, dst);
        }
    }
}

/* d:f16 | 64 vector indices | 8 x u32 (four 7-bit sign indices, 4-bit scale). */
void
atl_dequant_iq3_xxs (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 98)
    {
      float d = atl_load_f16 (src);

      for (guint sub = 0; sub < 8; sub++)
        {
          const guint8 *index = src + 2 + sub * 8;
          guint32 extra = atl_load_u32 (src + 66 + sub * 4);
          float scale = d * (0.5f + (float) (extra >> 28)) * 0.5f;

          for (guint v = 0; v < 8; v++, dst += 4)
            put_iq3 (atl_iq3_xxs_grid[index[v]], atl_iq3_xxs_levels,
                     atl_iq_signs (extra >> v / 2 * 7 & 127) >> v % 2 * 4, scale, dst);
        }
    }
}

/* d:f16 | 64 low index bytes | 8 bytes of high index bits | 32 sign bytes | 4 bytes of scales. */
void
atl_dequant_iq3_s (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 110)
    {
      float d = atl_load_f16 (src);

      for (guint v = 0; v < 64; v++, dst += 4)
        {
          guint index = src[2 + v] | (src[66 + v / 8] >> v % 8 & 1u) << 8;
          guint nibble = src[106 + v / 16] >> v / 8 % 2 * 4 & 15;
          float scale = d * (float) (1 + 2 * nibble);

          put_iq3 (atl_iq3_s_grid[index], atl_iq3_s_levels, src[74 + v / 2] >> v % 2 * 4, scale,
                   dst);
        }
    }
}

/* d:f16 | 32 low index bytes | 8 x u16 (four 3-bit high index parts, 3-bit scale, shift sign). */
void
atl_dequant_iq1_s (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 50)
    {
      float d = atl_load_f16 (src);

      for (guint sub = 0; sub < 8; sub++)
        {
          guint extra = atl_load_u16 (src + 34 + 2 * sub);
          float scale = d * (float) (2 * (extra >> 12 & 7) + 1);

          for (guint v = 0; v < 4; v++, dst += 8)
            {
              guint index = src[2 + sub * 4 + v] | (extra >> 3 * v & 7) << 8;

              put_iq1 (atl_iq1_grid[index], (extra & 0x8000) != 0, scale, dst);
            }
        }
    }
}

/* 32 low index bytes | 32 nibbles (3 high index bits, shift sign) | 4 x u16, each with four 3-bit
 * scales for 16 elements and, in its top four bits, a quarter of the f16 that scales them all. */
void
atl_dequant_iq1_m (const guint8 *src, float *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 56)
    {
      guint packed[4], top = 0;
      float d;

      for (guint i = 0; i < 4; i++)
        {
          packed[i] = atl_load_u16 (src + 48 + 2 * i);
          top |= packed[i] >> 12 << 4 * i;
        }
      d = atl_f16_to_f32 ((guint16) top);

      for (guint v = 0; v < 32; v++, dst += 8)
        {
          guint nibble = src[32 + v / 2] >> v % 2 * 4 & 15;
          guint index = src[v] | (nibble & 7) << 8;
          float scale = d * (float) (2 * (packed[v / 8] >> v / 2 % 4 * 3 & 7) + 1);

          put_iq1 (atl_iq1_grid[index], (nibble & 8) != 0, scale, dst);
        }
    }
}
