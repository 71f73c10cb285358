/* LoRA files' changes of weights. What is a product of two thin matrices stays one, in the type
 * that the file has it in: exact, little memory, and its strength can be changed at any time.
 * Others are merged in float32.
 *
 * delta = scale * alpha / rank * up . down (Hu et al. 2021); without alpha the factor is 1. Forms:
 *
 * kohya: lora_unet_ (SDXL's in the original files' names), lora_te_, lora_te1_ or lora_te2_, then
 * the module with dots as underscores, then .lora_down.weight, .lora_up.weight, .alpha.
 *
 * peft: unet., text_encoder., text_encoder_2., transformer. or diffusion_model., then the module,
 * then .lora_A.weight, .lora_B.weight (or as kohya).
 *
 * LoHa: hada_w1_a, _b and hada_w2_a, _b: (w1_a . w1_b) * (w2_a . w2_b).
 *
 * LoKr: lokr_w1 (or _a, _b) and lokr_w2 (or _a, _b): their Kronecker product.
 *
 * Convolutions: down [r, in, k, k], up [out, r, 1, 1].
 *
 * XLabs: double_blocks.N.processor.qkv_lora1 (1 picture, 2 text), then .down.weight, .up.weight.
 *
 * peft's "lora_adapter_metadata" in the header: lora_alpha over the rank, with alpha_pattern.
 *
 * Threading: as the source's.
 */
#pragma once

#include "engine/models/blocks/source.h"

G_BEGIN_DECLS

/* Adds every file's change of `module` to `weight`: as thin products beside it (AtlWeight.deltas),
 * else into a float32 copy of its bytes; without one the weight stays as it is. Shapes that do not
 * fit are the weight table's mistake, in words. */
void atl_lora_merge (AtlSource *source, AtlWeight *weight, const char *module);
/* The same where the weight is the rows from `first` on of a module with `total` rows. */
void atl_lora_merge_rows (
    AtlSource *source, AtlWeight *weight, const char *module, gint64 first, gint64 total);

/* After all weights were asked for: a file without any LoRA, and one for the denoiser of which
 * nothing fitted, are the weight table's mistake. */
void atl_lora_check (AtlSource *source);

G_END_DECLS
