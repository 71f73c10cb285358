/* Networks of the ncnn library: a text that describes the layers (.param) and their numbers (.bin).
 *
 *   if (atl_ncnn_is_param (data, size))
 *     cp = atl_ncnn_open (param, bin, &error);
 *
 * Layers with weights are numbered as they come: "0.weight", "0.bias", "1.weight" …; convolutions
 * [out, in, kh, kw], slopes of PReLU [n]. The metadata "ncnn.layers" has a text for each layer, its
 * kind and parameters as they are in the file: "Convolution 0=64 1=3 4=1 5=1 6=1728".
 * Source: ncnn's param-and-model-file-structure.md.
 *
 * Threading: any thread; the result is immutable.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* Whether the file begins as every .param does. */
gboolean atl_ncnn_is_param (const guint8 *data, gsize size);

/* ATL_ERROR_BAD_FILE when the two do not fit together, ATL_ERROR_UNSUPPORTED for layers other than
 * those of enlargers, and for quantised weights. */
AtlCheckpoint *atl_ncnn_open (AtlFileMap *param, AtlFileMap *bin, GError **error);

G_END_DECLS
