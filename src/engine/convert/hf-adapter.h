/* LoRA adapters as PEFT publishes them (adapter_config.json beside adapter_model.safetensors) in
 * GGUF's form, which the decoder reads (models/llm/llm.h).
 *
 *   g_autoptr (AtlCheckpoint) adapter = atl_hf_adapter_adopt (file, base, error);
 *
 * Threading: any thread; the result is immutable.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* `cp` is what atl_checkpoint_open gave for the adapter's files, `base` the model's checkpoint in
 * GGUF's vocabulary, whose family says how names and rows are. An adapter in GGUF's form is given
 * back, with a reference more. ATL_ERROR_BAD_FILE, ATL_ERROR_UNSUPPORTED (DoRA, changed biases,
 * names that the family does not have). */
AtlCheckpoint *atl_hf_adapter_adopt (AtlCheckpoint *cp, const AtlCheckpoint *base, GError **error);

G_END_DECLS
