/* Whether a file is a LoRA of a language model, in GGUF's form or PEFT's: it is no model, and no
 * LoRA for pictures either.
 *
 * Threading: any thread.
 */
#pragma once

#include "base/file-map.h"

G_BEGIN_DECLS

/* FALSE also for what cannot be opened. */
gboolean atl_chat_adapters_recognize (AtlFileMap *map, const char *name);

G_END_DECLS
