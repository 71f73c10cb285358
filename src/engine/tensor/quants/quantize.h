/* Floats turned into the types of weights in files: for tests, conversions and caches.
 *
 *   guint8 block[18];
 *   atl_quantize (ATL_DTYPE_Q4_0, row, block, 32);
 *
 * Plain C. The scales of a block are searched for the least squared error, so this is no routine
 * for activations in an inner loop.
 *
 * Threading: pure functions on the caller's memory, any thread.
 */
#pragma once

#include "base/dtype.h"

G_BEGIN_DECLS

/* Writes `n_elems` floats (a multiple of the dtype's block) as `dtype` to `dst`, which needs no
 * alignment. Handles f32, f16, bf16, f8, q4_0, q4_1, q5_0, q5_1, q8_0, q2_K to q6_K, iq4_nl and
 * mxfp4; FALSE, with `dst` untouched, for other types or when n_elems is no multiple of the block.
 * The floats must be finite for the quantised types. */
gboolean atl_quantize (AtlDType dtype, const float *src, void *dst, gsize n_elems);

G_END_DECLS
