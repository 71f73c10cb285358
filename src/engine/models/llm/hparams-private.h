/* What the hparams*.c files share. */
#pragma once

#include "engine/models/llm/hparams.h"
#include "engine/models/llm/keys.h"

G_BEGIN_DECLS

/* Fills `experts` and every layer's has_experts; sizes and layers are known. */
void hparams_read_experts (AtlLlmHparams *h, AtlLlmKeys *k);
/* Fills `ssm` and every layer's `recurrent`; attends is known. */
void hparams_read_recurrent (AtlLlmHparams *h, AtlLlmKeys *k);
/* Fills `rope`, `rope_local`, `rope_divisors`, and what the scaling of positions does to scores. */
void hparams_read_rope (AtlLlmHparams *h, AtlLlmKeys *k, guint n_ctx);

/* Fills what Gemma 4 and 3n have beside the others; sizes are known. */
void hparams_read_gemma (AtlLlmHparams *h, AtlLlmKeys *k);

G_END_DECLS
