/* One routine per quantised type, used by dequant.c alone: `n_blocks` blocks at `src` (any
 * alignment) become n_blocks * block_elems floats at `dst`. */
#pragma once

#include "engine/tensor/quants/dequant.h"

G_BEGIN_DECLS

typedef void (*AtlDequantFunc) (const guint8 *src, float *dst, gsize n_blocks);

/* dequant-simple.c: one scale per block. */
void atl_dequant_q4_0 (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_q4_1 (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_q5_0 (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_q5_1 (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_q8_0 (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_q8_1 (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_q8_k (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_iq4_nl (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_mxfp4 (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_f8_e4m3_32 (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_nvfp4 (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_q1_0 (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_q2_0 (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_tq1_0 (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_tq2_0 (const guint8 *src, float *dst, gsize n_blocks);

/* dequant-k.c: superblocks of 256 whose sub-blocks have quantised scales. */
void atl_dequant_q2_k (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_q3_k (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_q4_k (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_q5_k (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_q6_k (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_iq4_xs (const guint8 *src, float *dst, gsize n_blocks);

/* dequant-iq.c: superblocks of 256 that index codebooks. */
void atl_dequant_iq2_xxs (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_iq2_xs (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_iq2_s (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_iq3_xxs (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_iq3_s (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_iq1_s (const guint8 *src, float *dst, gsize n_blocks);
void atl_dequant_iq1_m (const guint8 *src, float *dst, gsize n_blocks);

G_END_DECLS
