/* Takes the names of tensors in Hugging Face's files apart. Private to convert/.
 *
 *   "model.layers.3.mlp.experts.12.up_proj.weight": the root "model.", layer 3, the module
 *   "mlp.experts.*.up_proj" of number 12, its part ATL_HF_WEIGHT
 *
 * Threading: pure functions.
 */
#pragma once

#include "engine/convert/hf-source.h"

G_BEGIN_DECLS

#define HF_MAX_LAYERS 1024
#define HF_MAX_STACK 4096 /* experts of a layer, heads of a stacked norm */

/* Whether nothing here needs it: what sees or hears, predicts ahead, or a quantiser left behind. */
gboolean hf_is_ignored (const char *name);
/* The name without the root that wraps the decoder. */
const char *hf_without_root (const char *name);
/* "layers.3.mlp.up_proj" -> 3 and "mlp.up_proj"; -1 outside of layers. `word` is what stands before
 * the number, "layers." */
gint64 hf_take_layer (const char **name, const char *word);
/* "experts.12.up_proj" -> "experts.*.up_proj" and 12; -1 when there is no number. */
gint64 hf_take_number (char *name);
/* Cuts the ending off ("….qweight") and tells which part of its module the tensor is. */
AtlHfPart hf_take_part (char *name);

G_END_DECLS
