/* The lists of names that hf-families.c's rows refer to. Private to convert/.
 *
 * Threading: constant data.
 */
#pragma once

#include "engine/convert/hf-families.h"

G_BEGIN_DECLS

/* What nearly all families share. */
extern const AtlHfName hf_model_names[], hf_layer_names[];

extern const AtlHfName hf_gemma_names[], hf_glm4_names[], hf_post_names[], hf_latent_names[],
    hf_hunyuan_names[], hf_lfm2_names[], hf_gpt_oss_names[], hf_stablelm_names[],
    hf_qwen3_next_names[], hf_qwen3_5_names[], hf_mamba2_names[], hf_granite_hybrid_names[],
    hf_falcon_h1_names[], hf_llama4_names[], hf_gemma3n_names[], hf_gemma4_names[], hf_phi_names[],
    hf_neox_names[];
extern const AtlHfName hf_internlm2_names[], hf_exaone_names[], hf_bailing_names[],
    hf_bailing_2_names[], hf_falcon_names[], hf_nemotron_h_names[];
extern const AtlHfName hf_mamba2_model_names[], hf_falcon_h1_model_names[],
    hf_gemma3n_model_names[], hf_gemma4_model_names[], hf_phi_model_names[], hf_neox_model_names[],
    hf_internlm2_model_names[], hf_exaone_model_names[], hf_bailing_model_names[],
    hf_falcon_model_names[];

G_END_DECLS
