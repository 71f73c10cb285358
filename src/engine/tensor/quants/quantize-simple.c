/* Blocks with one scale; dequant-simple.c draws their layouts. The scale is rounded to what the
 * block can hold before the levels are chosen, so that the levels make up for that rounding. */
#include <math.h>

#include "engine/tensor/quants/dequant.h"
#include "engine/tensor/quants/half.h"
#include "engine/tensor/quants/quantize-private.h"

static void
put_nibbles (guint8 *dst, const guint8 *levels)
{
  for (guint i = 0; i < 16; i++)
    dst[i] = (guint8) ((levels[i] & 15) | levels[i + 16] << 4);
}

static void
put_fifth_bits (guint8 *dst, const guint8 *levels)
{
  for (guint i = 0; i < 4; i++)
    dst[i] = 0;
  for (guint i = 0; i < 32; i++)
    dst[i / 8] |= (guint8) ((levels[i] >> 4 & 1) << i % 8);
}

void
atl_quant_q4_0 (const float *src, guint8 *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 32, dst += 18)
    {
      float d = atl_quant_put_f16 (dst, atl_quant_fit_scale (src, 32, -8, 7));
      guint8 levels[32];

      for (guint i = 0; i < 32; i++)
        levels[i] = (guint8) (atl_quant_level (src[i], d, 0, -8, 7) + 8);
      put_nibbles (dst + 2, levels);
    }
}

void
atl_quant_q4_1 (const float *src, guint8 *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 32, dst += 20)
    {
      guint8 levels[32];
      float d, m;

      atl_quant_fit_affine (src, 32, 15, FALSE, &d, &m);
      d = atl_quant_put_f16 (dst, d);
      m = atl_quant_put_f16 (dst + 2, m);
      for (guint i = 0; i < 32; i++)
        levels[i] = (guint8) atl_quant_level (src[i], d, m, 0, 15);
      put_nibbles (dst + 4, levels);
    }
}

void
atl_quant_q5_0 (const float *src, guint8 *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 32, dst += 22)
    {
      float d = atl_quant_put_f16 (dst, atl_quant_fit_scale (src, 32, -16, 15));
      guint8 levels[32];

      for (guint i = 0; i < 32; i++)
        levels[i] = (guint8) (atl_quant_level (src[i], d, 0, -16, 15) + 16);
      put_fifth_bits (dst + 2, levels);
      put_nibbles (dst + 6, levels);
    }
}

void
atl_quant_q5_1 (const float *src, guint8 *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 32, dst += 24)
    {
      guint8 levels[32];
      float d, m;

      atl_quant_fit_affine (src, 32, 31, FALSE, &d, &m);
      d = atl_quant_put_f16 (dst, d);
      m = atl_quant_put_f16 (dst + 2, m);
      for (guint i = 0; i < 32; i++)
        levels[i] = (guint8) atl_quant_level (src[i], d, m, 0, 31);
      put_fifth_bits (dst + 4, levels);
      put_nibbles (dst + 8, levels);
    }
}

/* Eight bits leave nothing to search for: the largest magnitude becomes 127. */
void
atl_quant_q8_0 (const float *src, guint8 *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 32, dst += 34)
    {
      float largest = 0, d;

      for (guint i = 0; i < 32; i++)
        largest = MAX (largest, fabsf (src[i]));
      d = atl_quant_put_f16 (dst, largest / 127);
      for (guint i = 0; i < 32; i++)
        dst[2 + i] = (guint8) atl_quant_level (src[i], d, 0, -127, 127);
    }
}

/* The index in `table` of the value nearest to x / d. */
static guint8
nearest (const gint8 *table, float x, float d)
{
  float target = d != 0 ? x / d : 0, best_distance = INFINITY;
  guint8 best = 0;

  for (guint8 i = 0; i < 16; i++)
    {
      float distance = fabsf (target - (float) table[i]);

      if (distance < best_distance)
        {
          best_distance = distance;
          best = i;
        }
    }
  return best;
}

/* The least squares scale over a sweep around the one that maps the largest magnitude to -127. */
static float
fit_iq4 (const float *x)
{
  float extreme = 0, best = 0, best_gain = -1;

  for (guint i = 0; i < 32; i++)
    if (fabsf (x[i]) > fabsf (extreme))
      extreme = x[i];
  if (extreme == 0)
    return 0;
  for (gint step = -9; step <= 9; step++)
    {
      float d = extreme / (-127 + 2 * (float) step), xq = 0, qq = 0;

      for (guint i = 0; i < 32; i++)
        {
          float q = (float) atl_iq4_values[nearest (atl_iq4_values, x[i], d)];

          xq += x[i] * q;
          qq += q * q;
        }
      if (qq > 0 && xq * xq > best_gain * qq)
        {
          best_gain = xq * xq / qq;
          best = xq / qq;
        }
    }
  return best;
}

void
atl_quant_iq4_nl (const float *src, guint8 *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 32, dst += 18)
    {
      float d = atl_quant_put_f16 (dst, fit_iq4 (src));
      guint8 levels[32];

      for (guint i = 0; i < 32; i++)
        levels[i] = nearest (atl_iq4_values, src[i], d);
      put_nibbles (dst + 2, levels);
    }
}

/* The exponent is the one whose block is closest; the candidates put the largest magnitude between
 * one and six, the largest value of E2M1, or just beyond. */
void
atl_quant_mxfp4 (const float *src, guint8 *dst, gsize n_blocks)
{
  for (; n_blocks > 0; n_blocks--, src += 32, dst += 17)
    {
      float largest = 0, best_error = INFINITY;
      int exponent = 0;

      for (guint i = 0; i < 32; i++)
        largest = MAX (largest, fabsf (src[i]));
      frexpf (largest, &exponent);
      for (int step = -4; step <= -1; step++)
        {
          guint8 levels[32], e = (guint8) CLAMP (exponent + step + 127, 0, 254);
          float d = atl_e8m0_half_to_f32 (e), error = 0;

          for (guint i = 0; i < 32; i++)
            {
              float diff;

              levels[i] = nearest (atl_fp4_values, src[i], d);
              diff = d * (float) atl_fp4_values[levels[i]] - src[i];
              error += diff * diff;
            }
          if (error < best_error)
            {
              best_error = error;
              dst[0] = e;
              put_nibbles (dst + 1, levels);
            }
        }
    }
}
