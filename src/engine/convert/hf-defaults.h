/* What families of Hugging Face's take for settings that a folder leaves out. Private to
 * hf-families.c.
 *
 * Threading: any; constant tables.
 */
#pragma once

#include "engine/convert/hf-families.h"

G_BEGIN_DECLS

extern const AtlHfDefault hf_llama_defaults[], hf_mixtral_defaults[], hf_qwen2_moe_defaults[],
    hf_qwen3_defaults[], hf_qwen3_moe_defaults[], hf_gemma2_defaults[], hf_gemma3_defaults[],
    hf_glm4_defaults[], hf_phi3_defaults[], hf_granite_defaults[], hf_olmo2_defaults[],
    hf_smollm3_defaults[], hf_cohere_defaults[], hf_cohere2_defaults[], hf_starcoder2_defaults[],
    hf_stablelm_defaults[], hf_exaone4_defaults[], hf_seed_oss_defaults[], hf_glm4_moe_defaults[],
    hf_minimax_m2_defaults[], hf_ernie_moe_defaults[], hf_hunyuan_moe_defaults[],
    hf_deepseek_defaults[], hf_deepseek_v3_defaults[], hf_glm4_moe_lite_defaults[],
    hf_lfm2_defaults[], hf_lfm2_moe_defaults[], hf_gpt_oss_defaults[], hf_qwen3_next_defaults[],
    hf_qwen3_5_defaults[], hf_qwen3_5_moe_defaults[], hf_mamba2_defaults[],
    hf_granite_hybrid_defaults[], hf_falcon_h1_defaults[], hf_llama4_defaults[],
    hf_gemma3n_defaults[], hf_gemma4_defaults[], hf_gemma_defaults[], hf_arcee_defaults[],
    hf_nemotron_defaults[], hf_granite_moe_defaults[], hf_olmoe_defaults[], hf_dots1_defaults[],
    hf_ernie_defaults[], hf_phi_defaults[], hf_neox_defaults[], hf_ministral3_defaults[],
    hf_falcon_defaults[], hf_exaone_defaults[], hf_internlm2_defaults[], hf_orion_defaults[],
    hf_minicpm_defaults[], hf_bailing_defaults[], hf_bailing_2_defaults[], hf_nemotron_h_defaults[];

G_END_DECLS
