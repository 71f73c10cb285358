/* Weighted prompts: what a weight does to the hidden states of a text encoder. Two programs, two
 * rules:
 *
 *   A1111:   hidden *= weight, token by token; then the whole chunk *= mean(before) / mean(after)
 *   ComfyUI: hidden = (hidden - empty) * weight + empty, where weight != 1
 *            `empty` are the hidden states of the empty prompt at the same position
 *
 * Sources: AUTOMATIC1111 sd_emphasis.py ("Original"), ComfyUI sd1_clip.py.
 *
 * Threading: pure functions.
 */
#pragma once

#include "engine/tensor/array.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_PROMPT_A1111,
  ATL_PROMPT_COMFYUI,
  ATL_PROMPT_PLAIN, /* brackets are text, no weights */
} AtlPromptRule;

/* Changes one chunk, hidden [1, tokens, dim], in place. weights [tokens]; `empty` has hidden's
 * shape and is used by ComfyUI's rule only (nullable otherwise). */
void atl_prompt_weights_apply (AtlPromptRule rule,
                               AtlArray *hidden,
                               const float *weights,
                               const AtlArray *empty);

G_END_DECLS
