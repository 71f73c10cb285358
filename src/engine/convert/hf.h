/* Language models as their authors publish them (a Hugging Face folder) in GGUF's vocabulary:
 * names, shapes, metadata, the order of rows. What a decoder reads is then the same for both.
 *
 *   g_autoptr (AtlCheckpoint) hf = atl_checkpoint_open (maps, names, n, error);
 *   if (atl_hf_is_model (hf))
 *     cp = atl_hf_translate (hf, error);
 *
 * Bytes that can be used as they lie in the file are shown there; others (permuted rows, stacked
 * experts, scaled fp8, GPTQ, AWQ) are made when they are read (AtlTensorInfo.rows), so that opening
 * costs neither time nor memory. The names of the authors are in hf-families.c, the settings in
 * hf-settings.c, the packed forms in hf-source.h.
 *
 * Threading: any thread; the result is immutable.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* Whether settings of a Hugging Face language model lie beside the weights (and no GGUF keys). */
gboolean atl_hf_is_model (const AtlCheckpoint *hf);

/* The checkpoint in GGUF's vocabulary, which keeps `hf` alive. The key "general.quantisation", in
 * words ("GPTQ, 4 bits"), is there for packed weights. ATL_ERROR_UNSUPPORTED for a family, tensor
 * or type that is not known, ATL_ERROR_BAD_FILE for what does not fit together. */
AtlCheckpoint *atl_hf_translate (AtlCheckpoint *hf, GError **error);

/* The same for a checkpoint of either kind: one that is in GGUF's vocabulary is given back, with a
 * reference more. */
AtlCheckpoint *atl_hf_adopt (AtlCheckpoint *cp, GError **error);

/* For one part of a model of pictures: a language model of a known family, with its settings or
 * bare, in GGUF's vocabulary; one of Nunchaku's files as svdq.h says; anything else is given back,
 * with a reference more. */
AtlCheckpoint *atl_hf_adopt_part (AtlCheckpoint *cp, GError **error);

/* The language model in a file that has other networks too, as ComfyUI saves whole models: its
 * tensors alone, under the names that follow "text_encoders.NAME.transformer.", for
 * atl_hf_adopt_part(). NULL without an error where there is none. */
AtlCheckpoint *atl_hf_inner_part (AtlCheckpoint *cp, GError **error);

G_END_DECLS
