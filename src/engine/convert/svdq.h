/* Denoisers and T5 as Nunchaku publishes them (SVDQuant: four bits beside a low-rank branch) under
 * diffusers' names.
 *
 *   if (atl_svdq_is_model (cp))
 *     cp = atl_svdq_translate (cp, error);
 *
 * A linear layer NAME of SVDQuant becomes, all made when they are read:
 *
 *   NAME.weight [out, in], NAME.bias [out]      as if it were not quantised: F16, for what knows no
 *                                               other form (a LoRA that changes it) and for fp4
 *   NAME.svd.weight [out, in] Q4_0              y = (x * smooth) weight^T + (x down^T) up^T + bias
 *   NAME.svd.smooth [in] F32, NAME.svd.down [rank, in], NAME.svd.up [out, rank]
 *
 * One in the AWQ form becomes NAME.weight in Q4_1, which loses nothing. What the kernels of the
 * origin fuse is taken apart: queries, keys and values; the 1 that was added to the modulations'
 * scales; the 0.171875 that was added to what a GELU gives, so that it is never negative; and a
 * single block's two halves of proj_out put together. What 4 bit activations lose there is not lost
 * here.
 *
 * Known layouts: Flux.1 (the first and the second names), Qwen-Image, Z-Image, T5.
 *
 * Threading: any thread; the result is immutable.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* Whether it holds weights in one of Nunchaku's forms. */
gboolean atl_svdq_is_model (const AtlCheckpoint *cp);

/* Under diffusers' names, with the settings of the file's header; keeps `cp` alive.
 * ATL_ERROR_BAD_FILE or ATL_ERROR_UNSUPPORTED names the tensor and its type. */
AtlCheckpoint *atl_svdq_translate (AtlCheckpoint *cp, GError **error);

G_END_DECLS
