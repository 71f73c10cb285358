/* Weights as they lie in a file, turned into floats: the definition that every backend's kernels
 * are held to, bit for bit.
 *
 *   float row[4096];
 *   if (!atl_dequantize (ATL_DTYPE_Q4_K, info->data, row, 4096))
 *     ... the dtype holds no numbers of this kind, or 4096 is no multiple of its block
 *
 * Plain C, no vector instructions. The block layouts are those of GGUF; each .c file draws its own.
 *
 * Threading: pure functions on the caller's memory, any thread.
 */
#pragma once

#include "base/dtype.h"

G_BEGIN_DECLS

/* Reads `n_elems` elements (a multiple of the dtype's block) at `src`, which needs no alignment and
 * must hold n_elems / block_elems * block_bytes bytes, and writes as many floats to `dst`.
 * Handles f32, f16, bf16, f64 (rounded), f8 and every quantised dtype; FALSE, with `dst` untouched,
 * for integers and bool or when n_elems is no multiple of the block. */
gboolean atl_dequantize (AtlDType dtype, const void *src, float *dst, gsize n_elems);

/* Whether `atl_dequantize` reads this dtype. */
gboolean atl_dtype_is_float_like (AtlDType dtype);

/* The sixteen values that the nibbles of IQ4_NL and IQ4_XS stand for. */
extern const gint8 atl_iq4_values[16];

/* Twice the sixteen E2M1 values that the nibbles of MXFP4 and NVFP4 stand for. */
extern const gint8 atl_fp4_values[16];

G_END_DECLS
