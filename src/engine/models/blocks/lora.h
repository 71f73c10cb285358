/* LoRA files' changes of weights.
 *
 * A change stays beside its weight, which keeps its own type, as thin matrices or as two factors of
 * a Kronecker product (tensor.h, AtlWeightDelta). Where there is nothing thin (norms, biases, whole
 * differences, a LoHa of high rank) the weight is made again in float32. Both ways a strength can
 * change at any time, and a strength of 0 is the weight as it was.
 *
 * With f = alpha / rank (1 where there is neither, or alpha is 0), s the strength:
 *
 *   LoRA (Hu et al. 2021)    W + s f up . down
 *                            lora_down, lora_up or lora_A, lora_B
 *     of convolutions        down [r, in, k, k], up [out, r, 1, 1]
 *     Tucker's form          down [r, in], with lora_mid [r, r, k, k] between them
 *   LoHa                     W + s f (w1_a w1_b) * (w2_a w2_b)
 *                            hada_w1_a …, cores hada_t1, hada_t2
 *   LoKr                     W + s f w1 (x) w2
 *                            lokr_w1, lokr_w2, each also as _a, _b; core lokr_t2
 *   whole                    W + s diff, b + s diff_b
 *                            also w_norm, b_norm; lora_B.bias
 *   DoRA (Liu et al. 2024)   W + s (m (W + D) / |W + D| - W)
 *                            D any of the first three with s = 1; m dora_scale or
 *                            lora_magnitude_vector
 *
 * (LyCORIS, modules/{locon,loha,lokr,norms,full}.py; PEFT, tuners/lora/dora.py. Strengths of DoRA
 * as in ComfyUI, weight_adapter/base.py: the others' are no longer the model at 0.) What layers are
 * called: lora-index.h.
 *
 * Threading: as the source's.
 */
#pragma once

#include "engine/models/blocks/source.h"

G_BEGIN_DECLS

/* For the files of `loras`, whose order and number stay; their checkpoints are kept. */
AtlLoras *atl_loras_new (const AtlLoraFile *loras, guint n);
/* Weights that were changed must be there, or gone for good. */
void atl_loras_free (AtlLoras *self);

/* After atl_lora_finish(): what the files say of this network that it has no place for, in words;
 * NULL where all was taken. */
const char *atl_loras_notice (const AtlLoras *self);
/* How many weights were changed so far. */
guint atl_loras_n_changed (const AtlLoras *self);

/* Whether all that was changed of the weight are products beside it. */
gboolean atl_loras_only_add (const AtlLoras *self, const AtlWeight *weight);

/* What was made again of `part` goes into `stack`, which is sent anew when a strength changes. */
void atl_loras_set_stack (AtlLoras *self, const AtlWeight *part, AtlWeight *stack);

/* Adds every file's change of `module` to `weight`, which is rows [first, first + its own) of
 * `total`; of the module's bias with `is_bias`. Shapes that do not fit are the weight table's
 * mistake, in words. */
void atl_lora_apply (AtlSource *source,
                     AtlWeight *weight,
                     const char *module,
                     gboolean is_bias,
                     gint64 first,
                     gint64 total);

/* After all weights were asked for, and before they are uploaded: a file that is no LoRA, and one
 * of which nothing fits the network that it is for, are the weight table's mistake; so is what
 * would leave a change half done. Then makes the weights that are made again. */
void atl_lora_finish (AtlSource *source);

/* Other strengths for the same files: what is beside weights and what was made again. FALSE where
 * there is no memory for it; `is_changed` (out): graphs are to be described anew. */
gboolean
atl_loras_set_scales (AtlLoras *self, const AtlLoraFile *loras, guint n, gboolean *is_changed);

G_END_DECLS
