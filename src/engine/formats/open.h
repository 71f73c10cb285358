/* Opens a model's files whatever they are: decides by content, never by a name's ending.
 *
 *   g_autoptr (AtlCheckpoint) cp = atl_checkpoint_open (maps, names, n_files, &error);
 *
 * One GGUF or all its shards; one safetensors file or all its shards, with the config.json and
 * index files that lie beside them; an archive of PyTorch's or all its parts, where there is
 * neither of these; an ncnn .param with its .bin. Anything else is refused in a sentence that says
 * what it is and what would work instead: pickles, archives, web pages, Git LFS pointers,
 * unfinished downloads.
 *
 * Threading: any thread; the result is immutable.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* `names` (nullable, as its members are) are the logical names of the `n` maps, such as
 * "transformer/model-00001-of-00002.safetensors"; a missing one is the map's own name.
 *
 * JSON files beside safetensors: an index ("weight_map") is used to verify; "config.json",
 * "generation_config.json" and "model_index.json" become metadata (see atl_config_add_json), the
 * first without a prefix, the others under "generation_config." and "model_index."; GPTQ's
 * "quantize_config.json" joins under "quantization_config.", PEFT's "adapter_config.json" under
 * "adapter_config."; other JSON files are left alone, as
 * tokenizers read them.
 *
 * ATL_ERROR_BAD_FILE, ATL_ERROR_UNSUPPORTED, ATL_ERROR_NOT_FOUND as the readers say. */
AtlCheckpoint *
atl_checkpoint_open (AtlFileMap *const *maps, const char *const *names, guint n, GError **error);

G_END_DECLS
