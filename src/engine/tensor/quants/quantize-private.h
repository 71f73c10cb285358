/* Between the files of the quantiser: fitting one group of numbers, and a routine per type. */
#pragma once

#include "base/dtype.h"
#include "engine/tensor/quants/half.h"

G_BEGIN_DECLS

/* The scale d for which d * round (x / d), with the quotient held inside [low, high], is closest to
 * the `n` numbers `x` (least squares, over a sweep of candidates). `low` is negative, -low >= high.
 * May be negative: the number with the largest magnitude goes where the range is wider. 0 when all
 * numbers are 0. */
float atl_quant_fit_scale (const float *x, guint n, gint low, gint high);

/* The same for d * q + m with q inside [0, high]. With `below_zero`, m is at most 0. */
void
atl_quant_fit_affine (const float *x, guint n, gint high, gboolean below_zero, float *d, float *m);

/* round ((x - m) / d) inside [low, high]; `low` when d is 0 and low > 0, else 0 held inside. */
gint atl_quant_level (float x, float d, float m, gint low, gint high);

/* Stores the f16 nearest to `value`, the largest for what is beyond, and returns what was stored.
 */
static inline float
atl_quant_put_f16 (guint8 *dst, float value)
{
  guint16 half = atl_f32_to_f16 (CLAMP (value, -65504.0f, 65504.0f));

  atl_store_u16 (dst, half);
  return atl_f16_to_f32 (half);
}

typedef void (*AtlQuantFunc) (const float *src, guint8 *dst, gsize n_blocks);

/* quantize-simple.c */
void atl_quant_q4_0 (const float *src, guint8 *dst, gsize n_blocks);
void atl_quant_q4_1 (const float *src, guint8 *dst, gsize n_blocks);
void atl_quant_q5_0 (const float *src, guint8 *dst, gsize n_blocks);
void atl_quant_q5_1 (const float *src, guint8 *dst, gsize n_blocks);
void atl_quant_q8_0 (const float *src, guint8 *dst, gsize n_blocks);
void atl_quant_iq4_nl (const float *src, guint8 *dst, gsize n_blocks);
void atl_quant_mxfp4 (const float *src, guint8 *dst, gsize n_blocks);

/* quantize-k.c */
void atl_quant_q2_k (const float *src, guint8 *dst, gsize n_blocks);
void atl_quant_q3_k (const float *src, guint8 *dst, gsize n_blocks);
void atl_quant_q4_k (const float *src, guint8 *dst, gsize n_blocks);
void atl_quant_q5_k (const float *src, guint8 *dst, gsize n_blocks);
void atl_quant_q6_k (const float *src, guint8 *dst, gsize n_blocks);

G_END_DECLS
