/* Superblocks of 256; dequant-k.c draws their layouts. Each sub-block is fitted alone, its scale
 * (and minimum) is rounded to the few bits it has, and the levels are chosen last, with what was
 * stored. */
#include <math.h>
#include <string.h>

#include "engine/tensor/quants/half.h"
#include "engine/tensor/quants/quantize-private.h"

/* Fits `n` sub-blocks of 256 / n numbers as d q + m with m <= 0 and stores what scales them all:
 * scales[i] * *d and mins[i] * *dmin (to be subtracted) are the parts of sub-block i, each integer
 * at most `max`. */
static void
fit_affine (const float *src,
            guint n,
            gint high,
            gint max,
            guint8 *d_dst,
            guint8 *dmin_dst,
            guint8 *scales,
            guint8 *mins,
            float *d,
            float *dmin)
{
  float steps[16], lows[16], step = 0, low = 0;
  guint size = 256 / n;

  for (guint i = 0; i < n; i++)
    {
      atl_quant_fit_affine (src + i * size, size, high, TRUE, &steps[i], &lows[i]);
      step = MAX (step, steps[i]);
      low = MAX (low, -lows[i]);
    }
  *d = atl_quant_put_f16 (d_dst, step / (float) max);
  *dmin = atl_quant_put_f16 (dmin_dst, low / (float) max);
  for (guint i = 0; i < n; i++)
    {
      scales[i] = (guint8) atl_quant_level (steps[i], *d, 0, 0, max);
      mins[i] = (guint8) atl_quant_level (-lows[i], *dmin, 0, 0, max);
    }
}

void
atl_quant_q2_k (const float *src, guint8 *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 256, dst += 84)
    {
      guint8 scales[16], mins[16];
      float d, dmin;

      fit_affine (src, 16, 3, 15, dst + 80, dst + 82, scales, mins, &d, &dmin);
      memset (dst + 16, 0, 64);
      for (guint sub = 0; sub < 16; sub++)
        {
          float step = d * (float) scales[sub], low = -dmin * (float) mins[sub];
          guint8 *bytes = dst + 16 + sub / 8 * 32 + sub % 2 * 16;

          dst[sub] = (guint8) (scales[sub] | mins[sub] << 4);
          for (guint i = 0; i < 16; i++)
            bytes[i] |=
                (guint8) (atl_quant_level (src[sub * 16 + i], step, low, 0, 3) << sub % 8 / 2 * 2);
        }
    }
}

/* Symmetric sub-blocks of 16: fits, and rounds the scales to integers inside [-max, max - 1]. */
static float
fit_symmetric (const float *src, gint low, gint high, gint max, guint8 *d_dst, gint *scales)
{
  float steps[16], extreme = 0, d;

  for (guint i = 0; i < 16; i++)
    {
      steps[i] = atl_quant_fit_scale (src + 16 * i, 16, low, high);
      if (fabsf (steps[i]) > fabsf (extreme))
        extreme = steps[i];
    }
  d = atl_quant_put_f16 (d_dst, extreme / (float) -max);
  for (guint i = 0; i < 16; i++)
    scales[i] = atl_quant_level (steps[i], d, 0, -max, max - 1);
  return d;
}

void
atl_quant_q3_k (const float *src, guint8 *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 256, dst += 110)
    {
      gint scales[16];
      float d;

      memset (dst, 0, 110);
      d = fit_symmetric (src, -4, 3, 32, dst + 108, scales);
      for (guint sub = 0; sub < 16; sub++)
        {
          float step = d * (float) scales[sub];
          guint8 *bytes = dst + 32 + sub / 8 * 32 + sub % 2 * 16, *bits = dst + sub % 2 * 16;
          guint scale = (guint) (scales[sub] + 32);

          dst[96 + sub % 8] |= (guint8) ((scale & 15) << sub / 8 * 4);
          dst[96 + 8 + sub % 4] |= (guint8) (scale >> 4 << sub / 4 * 2);
          for (guint i = 0; i < 16; i++)
            {
              guint q = (guint) (atl_quant_level (src[sub * 16 + i], step, 0, -4, 3) + 4);

              bytes[i] |= (guint8) ((q & 3) << sub % 8 / 2 * 2);
              bits[i] |= (guint8) (q >> 2 << sub / 2);
            }
        }
    }
}

/* The twelve bytes of scales and minimums that q4_K and q5_K share. */
static void
put_k4_scales (guint8 *dst, const guint8 *scales, const guint8 *mins)
{
  for (guint i = 0; i < 4; i++)
    {
      dst[i] = (guint8) (scales[i] | scales[i + 4] >> 4 << 6);
      dst[i + 4] = (guint8) (mins[i] | mins[i + 4] >> 4 << 6);
      dst[i + 8] = (guint8) ((scales[i + 4] & 15) | mins[i + 4] << 4);
    }
}

void
atl_quant_q4_k (const float *src, guint8 *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 256, dst += 144)
    {
      guint8 scales[8], mins[8];
      float d, dmin;

      memset (dst, 0, 144);
      fit_affine (src, 8, 15, 63, dst, dst + 2, scales, mins, &d, &dmin);
      put_k4_scales (dst + 4, scales, mins);
      for (guint sub = 0; sub < 8; sub++)
        {
          float step = d * (float) scales[sub], low = -dmin * (float) mins[sub];
          guint8 *bytes = dst + 16 + sub / 2 * 32;

          for (guint i = 0; i < 32; i++)
            bytes[i] |=
                (guint8) (atl_quant_level (src[sub * 32 + i], step, low, 0, 15) << sub % 2 * 4);
        }
    }
}

void
atl_quant_q5_k (const float *src, guint8 *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 256, dst += 176)
    {
      guint8 scales[8], mins[8];
      float d, dmin;

      memset (dst, 0, 176);
      fit_affine (src, 8, 31, 63, dst, dst + 2, scales, mins, &d, &dmin);
      put_k4_scales (dst + 4, scales, mins);
      for (guint sub = 0; sub < 8; sub++)
        {
          float step = d * (float) scales[sub], low = -dmin * (float) mins[sub];
          guint8 *bytes = dst + 48 + sub / 2 * 32, *high = dst + 16;

          for (guint i = 0; i < 32; i++)
            {
              guint q = (guint) atl_quant_level (src[sub * 32 + i], step, low, 0, 31);

              bytes[i] |= (guint8) ((q & 15) << sub % 2 * 4);
              high[i] |= (guint8) (q >> 4 << sub);
            }
        }
    }
}

void
atl_quant_q6_k (const float *src, guint8 *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 256, dst += 210)
    {
      gint scales[16];
      float d;

      memset (dst, 0, 210);
      d = fit_symmetric (src, -32, 31, 128, dst + 208, scales);
      for (guint sub = 0; sub < 16; sub++)
        {
          guint half = sub / 8, in_half = sub % 8;
          guint8 *low = dst + half * 64 + in_half % 4 * 16;
          guint8 *high = dst + 128 + half * 32 + in_half % 2 * 16;
          float step = d * (float) scales[sub];

          dst[192 + sub] = (guint8) scales[sub];
          for (guint i = 0; i < 16; i++)
            {
              guint q = (guint) (atl_quant_level (src[sub * 16 + i], step, 0, -32, 31) + 32);

              low[i] |= (guint8) ((q & 15) << in_half / 4 * 4);
              high[i] |= (guint8) (q >> 4 << in_half / 2 * 2);
            }
        }
    }
}
