/* The families of Hugging Face's language models and their names; sources: transformers 5.23,
 * models/<name>/modeling_<name>.py, and the shapes of published repositories. */
#include "engine/convert/hf-families.h"

#include <string.h>

#include "engine/convert/hf-config.h"
#include "engine/convert/hf-names.h"

static const AtlHfDefault llama_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { NULL, 0 },
};

static const AtlHfDefault mixtral_defaults[] = {
  { "rms_norm_eps", 1e-5 },     { "num_local_experts", 8 }, { "num_experts_per_tok", 2 },
  { "num_key_value_heads", 8 }, { "rope_theta", 1e6 },      { NULL, 0 },
};

static const AtlHfDefault qwen2_moe_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "num_experts_per_tok", 4 },
  { NULL, 0 },
};

static const AtlHfDefault qwen3_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 128 },
  { NULL, 0 },
};

static const AtlHfDefault gemma2_defaults[] = {
  { "rms_norm_eps", 1e-6 },          { "head_dim", 256 },
  { "num_key_value_heads", 4 },      { "attn_logit_softcapping", 50 },
  { "final_logit_softcapping", 30 }, { "query_pre_attn_scalar", 256 },
  { "sliding_window", 4096 },        { NULL, 0 },
};

/* The text part of a model that sees leaves out what its class assumes. */
static const AtlHfDefault gemma3_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 256 },
  { "num_attention_heads", 8 },
  { "num_key_value_heads", 4 },
  { "query_pre_attn_scalar", 256 },
  { "sliding_window", 4096 },
  { "max_position_embeddings", 131072 },
  { "rope_theta", 1e6 },
  { "rope_local_base_freq", 1e4 },
  { NULL, 0 },
};

static const AtlHfDefault glm4_defaults[] = {
  { "rms_norm_eps", 1.5625e-07 },
  { "partial_rotary_factor", 0.5 },
  { "head_dim", 128 },
  { NULL, 0 },
};

static const AtlHfDefault phi3_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "original_max_position_embeddings", 4096 },
  { NULL, 0 },
};

static const AtlHfDefault granite_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { NULL, 0 },
};

static const AtlHfDefault olmo2_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { NULL, 0 },
};

static const AtlHfDefault smollm3_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "rope_theta", 2e6 },
  { "num_key_value_heads", 4 },
  { NULL, 0 },
};

static const AtlHfDefault cohere_defaults[] = {
  { "layer_norm_eps", 1e-5 },
  { "logit_scale", 0.0625 },
  { NULL, 0 },
};

static const AtlHfDefault cohere2_defaults[] = {
  { "layer_norm_eps", 1e-5 },
  { "logit_scale", 0.0625 },
  { "sliding_window", 4096 },
  { NULL, 0 },
};

static const AtlHfDefault starcoder2_defaults[] = {
  { "norm_epsilon", 1e-5 },
  { "num_key_value_heads", 2 },
  { NULL, 0 },
};

static const AtlHfDefault stablelm_defaults[] = {
  { "layer_norm_eps", 1e-5 },
  { "partial_rotary_factor", 0.25 },
  { NULL, 0 },
};

static const AtlHfDefault exaone4_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { NULL, 0 },
};

static const AtlHfDefault seed_oss_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 128 },
  { NULL, 0 },
};

static const AtlHfDefault glm4_moe_defaults[] = {
  { "rms_norm_eps", 1e-5 },       { "partial_rotary_factor", 0.5 },
  { "first_k_dense_replace", 1 }, { "n_shared_experts", 1 },
  { "routed_scaling_factor", 1 }, { "norm_topk_prob", 1 },
  { "num_experts_per_tok", 8 },   { NULL, 0 },
};

static const AtlHfDefault minimax_m2_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "rope_theta", 5e6 },
  { NULL, 0 },
};

static const AtlHfDefault ernie_moe_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "rope_theta", 5e5 },
  { "moe_k", 6 },
  { "moe_num_shared_experts", 2 },
  { "moe_num_experts", 64 },
  { "moe_layer_start_index", 1 },
  { NULL, 0 },
};

static const AtlHfDefault hunyuan_moe_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "num_shared_expert", 1 },
  { NULL, 0 },
};

static const AtlHfDefault deepseek_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "n_shared_experts", 2 },
  { "first_k_dense_replace", 0 },
  { NULL, 0 },
};

static const AtlHfDefault deepseek_v3_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "n_shared_experts", 1 },
  { "norm_topk_prob", 1 },
  { NULL, 0 },
};

static const AtlHfDefault lfm2_defaults[] = {
  { "norm_eps", 1e-5 },
  { "rope_theta", 1e6 },
  { "conv_L_cache", 3 },
  { "block_multiple_of", 256 },
  { "block_ffn_dim_multiplier", 1 },
  { NULL, 0 },
};

static const AtlHfDefault lfm2_moe_defaults[] = {
  { "norm_eps", 1e-5 },    { "rope_theta", 1e6 }, { "conv_L_cache", 3 },
  { "norm_topk_prob", 1 }, { NULL, 0 },
};

static const AtlHfDefault gpt_oss_defaults[] = {
  { "rms_norm_eps", 1e-5 }, { "head_dim", 64 }, { "sliding_window", 128 },
  { "rope_theta", 150000 }, { NULL, 0 },
};

static const AtlHfDefault qwen3_next_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 256 },
  { "partial_rotary_factor", 0.25 },
  { "full_attention_interval", 4 },
  { "norm_topk_prob", 1 },
  { "linear_conv_kernel_dim", 4 },
  { "linear_key_head_dim", 128 },
  { "linear_value_head_dim", 128 },
  { "linear_num_key_heads", 16 },
  { "linear_num_value_heads", 32 },
  { NULL, 0 },
};

static const AtlHfDefault qwen3_5_defaults[] = {
  { "rms_norm_eps", 1e-6 },          { "head_dim", 256 },
  { "partial_rotary_factor", 0.25 }, { "full_attention_interval", 4 },
  { "linear_conv_kernel_dim", 4 },   { "linear_key_head_dim", 128 },
  { "linear_value_head_dim", 128 },  { "linear_num_key_heads", 16 },
  { "linear_num_value_heads", 32 },  { NULL, 0 },
};

static const AtlHfDefault mamba2_defaults[] = {
  { "layer_norm_epsilon", 1e-5 },
  { "conv_kernel", 4 },
  { "expand", 2 },
  { "state_size", 128 },
  { "n_groups", 8 },
  { "head_dim", 64 },
  { "max_position_embeddings", 1 << 20 },
  { NULL, 0 },
};

static const AtlHfDefault granite_hybrid_defaults[] = {
  { "rms_norm_eps", 1e-6 },      { "embedding_multiplier", 1 },
  { "logits_scaling", 1 },       { "residual_multiplier", 1 },
  { "attention_multiplier", 1 }, { "num_local_experts", 8 },
  { "num_experts_per_tok", 2 },  { "shared_intermediate_size", 1024 },
  { "mamba_d_conv", 4 },         { "mamba_d_state", 256 },
  { "mamba_expand", 2 },         { "mamba_n_groups", 1 },
  { "mamba_n_heads", 128 },      { NULL, 0 },
};

static const AtlHfDefault falcon_h1_defaults[] = {
  { "rms_norm_eps", 1e-5 }, { "num_key_value_heads", 8 },
  { "mamba_d_conv", 4 },    { "mamba_d_state", 256 },
  { "mamba_expand", 2 },    { "mamba_n_groups", 1 },
  { "mamba_n_heads", 128 }, { NULL, 0 },
};

static const AtlHfDefault llama4_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "head_dim", 128 },
  { "num_key_value_heads", 8 },
  { "rope_theta", 5e5 },
  { "intermediate_size", 8192 },
  { "intermediate_size_mlp", 16384 },
  { "interleave_moe_layer_step", 1 },
  { "num_local_experts", 16 },
  { "num_experts_per_tok", 1 },
  { "attention_chunk_size", 8192 },
  { "floor_scale", 8192 },
  { "attn_scale", 0.1 },
  { NULL, 0 },
};

static const AtlHfDefault gemma3n_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 256 },
  { "num_attention_heads", 8 },
  { "num_key_value_heads", 2 },
  { "intermediate_size", 16384 },
  { "sliding_window", 512 },
  { "max_position_embeddings", 32768 },
  { "rope_theta", 1e6 },
  { "rope_local_base_freq", 1e4 },
  { "final_logit_softcapping", 30 },
  { "hidden_size_per_layer_input", 256 },
  { "num_kv_shared_layers", 15 },
  { "altup_num_inputs", 4 },
  { "altup_active_idx", 0 },
  { NULL, 0 },
};

static const AtlHfDefault gemma4_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 256 },
  { "global_head_dim", 512 },
  { "num_attention_heads", 8 },
  { "num_key_value_heads", 4 },
  { "sliding_window", 512 },
  { "max_position_embeddings", 131072 },
  { "final_logit_softcapping", 30 },
  { "hidden_size_per_layer_input", 256 },
  { "num_kv_shared_layers", 0 },
  { NULL, 0 },
};

static const AtlHfDefault gemma_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 256 },
  { NULL, 0 },
};

static const AtlHfDefault arcee_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { NULL, 0 },
};

static const AtlHfDefault nemotron_defaults[] = {
  { "norm_eps", 1e-5 },
  { "partial_rotary_factor", 0.5 },
  { NULL, 0 },
};

static const AtlHfDefault granite_moe_defaults[] = {
  { "rms_norm_eps", 1e-6 },      { "embedding_multiplier", 1 },
  { "logits_scaling", 1 },       { "residual_multiplier", 1 },
  { "attention_multiplier", 1 }, { "num_local_experts", 8 },
  { "num_experts_per_tok", 2 },  { NULL, 0 },
};

static const AtlHfDefault olmoe_defaults[] = {
  { "rms_norm_eps", 1e-5 }, { "num_experts", 64 }, { "num_experts_per_tok", 8 },
  { "norm_topk_prob", 0 },  { NULL, 0 },
};

static const AtlHfDefault dots1_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "first_k_dense_replace", 0 },
  { "norm_topk_prob", 0 },
  { "routed_scaling_factor", 1 },
  { NULL, 0 },
};

static const AtlHfDefault ernie_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "rope_theta", 5e5 },
  { "head_dim", 128 },
  { NULL, 0 },
};

static const AtlHfDefault phi_defaults[] = {
  { "layer_norm_eps", 1e-5 },
  { "partial_rotary_factor", 0.5 },
  { NULL, 0 },
};

static const AtlHfDefault neox_defaults[] = {
  { "layer_norm_eps", 1e-5 },
  { "rotary_pct", 0.25 },
  { NULL, 0 },
};

static const AtlHfDefault ministral3_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "head_dim", 128 },
  { "num_key_value_heads", 8 },
  { NULL, 0 },
};

static const AtlHfDefault falcon_defaults[] = {
  { "layer_norm_epsilon", 1e-5 },
  { "max_position_embeddings", 2048 },
  { NULL, 0 },
};

static const AtlHfDefault exaone_defaults[] = {
  { "layer_norm_epsilon", 1e-5 },
  { NULL, 0 },
};

static const AtlHfDefault internlm2_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { NULL, 0 },
};

static const AtlHfDefault orion_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { NULL, 0 },
};

/* The width and the depth of the first model. */
static const AtlHfDefault minicpm_defaults[] = {
  { "rms_norm_eps", 1e-6 }, { "scale_emb", 1 }, { "scale_depth", 1 },
  { "dim_model_base", 1 },  { NULL, 0 },
};

static const AtlHfDefault bailing_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "num_shared_experts", 0 },
  { "first_k_dense_replace", 0 },
  { "norm_topk_prob", 1 },
  { NULL, 0 },
};

static const AtlHfDefault bailing_2_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "num_shared_experts", 0 },
  { "first_k_dense_replace", 0 },
  { "norm_topk_prob", 1 },
  { "n_group", 8 },
  { "topk_group", 4 },
  { "routed_scaling_factor", 1 },
  { "partial_rotary_factor", 0.5 },
  { NULL, 0 },
};

static const AtlHfDefault nemotron_h_defaults[] = {
  { "layer_norm_epsilon", 1e-5 },
  { "conv_kernel", 4 },
  { "ssm_state_size", 128 },
  { "n_groups", 8 },
  { "n_shared_experts", 1 },
  { "norm_topk_prob", 1 },
  { NULL, 0 },
};

/* Ling 2.0's settings are of the same type as Ling's. */
static gboolean
is_bailing_2 (const AtlHfConfig *config)
{
  return atl_hf_config_meta (config, "score_function") != NULL ||
         atl_hf_config_meta (config, "use_qk_norm") != NULL;
}

/* Settings may count experts that no layer has. */
static gboolean
is_nemotron_h_moe (const AtlHfConfig *config)
{
  const AtlMetaValue *kinds = atl_hf_config_meta (config, "layers_block_type");
  const char *pattern = atl_hf_config_string (config, "hybrid_override_pattern");

  if (pattern != NULL)
    return strchr (pattern, 'E') != NULL;
  for (gsize i = 0; kinds != NULL && kinds->type == ATL_META_ARRAY &&
                    kinds->v_array.elem_type == ATL_META_STRING && i < kinds->v_array.n;
       i++)
    if (strcmp (((char *const *) kinds->v_array.elems)[i], "moe") == 0)
      return TRUE;
  return FALSE;
}

static const AtlHfFamily families[] = {
  { " llama mistral ministral ", "llama", ATL_HF_PERMUTE, NULL, llama_defaults, NULL },
  { " mixtral ", "llama", ATL_HF_PERMUTE, NULL, mixtral_defaults, NULL },
  { " qwen2 ", "qwen2", 0, NULL, llama_defaults, NULL },
  { " qwen2_vl qwen2_vl_text qwen2_5_vl qwen2_5_vl_text ", "qwen2vl", 0, NULL, llama_defaults,
    NULL },
  { " qwen2_moe ", "qwen2moe", 0, NULL, qwen2_moe_defaults, NULL },
  { " qwen3_vl qwen3_vl_text ", "qwen3vl", 0, NULL, qwen3_defaults, NULL },
  { " qwen3_vl_moe qwen3_vl_moe_text ", "qwen3vlmoe", ATL_HF_TURNED, NULL, qwen3_defaults, NULL },
  { " qwen3 ", "qwen3", 0, NULL, qwen3_defaults, NULL },
  { " qwen3_moe ", "qwen3moe", 0, NULL, qwen3_defaults, NULL },
  { " gemma2 ", "gemma2", ATL_HF_NORM_PLUS_ONE | ATL_HF_WINDOW, hf_gemma_names, gemma2_defaults,
    NULL },
  { " gemma3 gemma3_text ", "gemma3", ATL_HF_NORM_PLUS_ONE | ATL_HF_WINDOW, hf_gemma_names,
    gemma3_defaults, NULL },
  { " phi3 ", "phi3", ATL_HF_WINDOW, NULL, phi3_defaults, NULL },
  { " glm4 ", "glm4", 0, hf_glm4_names, glm4_defaults, NULL },
  { " glm ", "chatglm", 0, NULL, glm4_defaults, NULL },
  { " granite ", "granite", ATL_HF_PERMUTE, NULL, granite_defaults, NULL },
  { " olmo2 ", "olmo2", 0, hf_gemma_names, olmo2_defaults, NULL },
  { " olmo3 ", "olmo2", ATL_HF_WINDOW | ATL_HF_PATTERN, hf_gemma_names, olmo2_defaults, NULL },
  { " smollm3 ", "smollm3", ATL_HF_PERMUTE, NULL, smollm3_defaults, NULL },
  { " cohere ", "command-r", 0, NULL, cohere_defaults, NULL },
  { " cohere2 ", "cohere2", ATL_HF_WINDOW, NULL, cohere2_defaults, NULL },
  { " starcoder2 ", "starcoder2", 0, NULL, starcoder2_defaults, NULL },
  { " stablelm ", "stablelm", 0, hf_stablelm_names, stablelm_defaults, NULL },
  { " exaone4 ", "exaone4", ATL_HF_WINDOW | ATL_HF_PATTERN, hf_gemma_names, exaone4_defaults,
    NULL },
  { " seed_oss ", "seed_oss", 0, hf_post_names, seed_oss_defaults, NULL },
  { " glm4_moe ", "glm4moe", 0, hf_post_names, glm4_moe_defaults, NULL },
  { " minimax_m2 ", "minimax-m2", 0, NULL, minimax_m2_defaults, NULL },
  { " ernie4_5_moe ", "ernie4_5-moe", 0, NULL, ernie_moe_defaults, NULL },
  { " hunyuan_v1_moe ", "hunyuan-moe", 0, hf_hunyuan_names, hunyuan_moe_defaults, NULL },
  { " deepseek ", "deepseek", ATL_HF_PERMUTE, NULL, deepseek_defaults, NULL },
  { " deepseek_v2 ", "deepseek2", 0, hf_latent_names, deepseek_defaults, NULL },
  { " deepseek_v3 kimi_k2 glm4_moe_lite ", "deepseek2", 0, hf_latent_names, deepseek_v3_defaults,
    NULL },
  { " lfm2 ", "lfm2", ATL_HF_MIXED, hf_lfm2_names, lfm2_defaults, NULL },
  { " lfm2_moe ", "lfm2moe", ATL_HF_MIXED, hf_lfm2_names, lfm2_moe_defaults, NULL },
  { " gpt_oss ", "gpt-oss", ATL_HF_WINDOW | ATL_HF_ALTERNATE | ATL_HF_TURNED, hf_gpt_oss_names,
    gpt_oss_defaults, NULL },
  { " qwen3_next ", "qwen3next", ATL_HF_NORM_PLUS_ONE, hf_qwen3_next_names, qwen3_next_defaults,
    NULL },
  { " qwen3_5 qwen3_5_text ", "qwen35", ATL_HF_NORM_PLUS_ONE, hf_qwen3_5_names, qwen3_5_defaults,
    NULL },
  { " qwen3_5_moe qwen3_5_moe_text ", "qwen35moe", ATL_HF_NORM_PLUS_ONE, hf_qwen3_5_names,
    qwen3_5_defaults, NULL },
  { " mamba2 ", "mamba2", 0, hf_mamba2_names, mamba2_defaults, hf_mamba2_model_names },
  { " granitemoehybrid ", "granitehybrid", ATL_HF_PERMUTE | ATL_HF_MIXED | ATL_HF_SHARED_IS_DENSE,
    hf_granite_hybrid_names, granite_hybrid_defaults, NULL },
  { " falcon_h1 ", "falcon-h1", 0, hf_falcon_h1_names, falcon_h1_defaults,
    hf_falcon_h1_model_names },
  { " llama4 llama4_text ", "llama4", ATL_HF_TURNED, hf_llama4_names, llama4_defaults, NULL },
  { " gemma3n gemma3n_text ", "gemma3n", ATL_HF_WINDOW | ATL_HF_PATTERN, hf_gemma3n_names,
    gemma3n_defaults, hf_gemma3n_model_names },
  { " gemma4 gemma4_text ", "gemma4", ATL_HF_WINDOW | ATL_HF_PATTERN, hf_gemma4_names,
    gemma4_defaults, hf_gemma4_model_names },
  { " gemma ", "gemma", ATL_HF_NORM_PLUS_ONE, NULL, gemma_defaults, NULL },
  { " arcee ", "arcee", ATL_HF_PERMUTE, NULL, arcee_defaults, NULL },
  { " nemotron ", "nemotron", ATL_HF_NORM_PLUS_ONE, NULL, nemotron_defaults, NULL },
  { " granitemoe granitemoeshared ", "granitemoe", ATL_HF_PERMUTE, hf_granite_hybrid_names,
    granite_moe_defaults, NULL },
  { " olmoe ", "olmoe", 0, NULL, olmoe_defaults, NULL },
  { " dots1 ", "dots1", 0, NULL, dots1_defaults, NULL },
  { " ernie4_5 ", "ernie4_5", 0, NULL, ernie_defaults, NULL },
  { " hunyuan_v1_dense ", "hunyuan-dense", 0, hf_hunyuan_names, olmo2_defaults, NULL },
  { " phi ", "phi2", 0, hf_phi_names, phi_defaults, hf_phi_model_names },
  { " gpt_neox ", "gptneox", 0, hf_neox_names, neox_defaults, hf_neox_model_names },
  { " ministral3 ", "mistral3", ATL_HF_PERMUTE, NULL, ministral3_defaults, NULL },
  { " falcon ", "falcon", 0, hf_falcon_names, falcon_defaults, hf_falcon_model_names, "h." },
  { " internlm2 ", "internlm2", ATL_HF_PERMUTE, hf_internlm2_names, internlm2_defaults,
    hf_internlm2_model_names },
  { " xverse ", "xverse", ATL_HF_PERMUTE, NULL, internlm2_defaults, NULL },
  { " exaone ", "exaone", 0, hf_exaone_names, exaone_defaults, hf_exaone_model_names, "h." },
  { " orion ", "orion", 0, NULL, orion_defaults, NULL },
  { " minicpm ", "minicpm", ATL_HF_PERMUTE, NULL, minicpm_defaults, NULL },
  { " bailing_moe bailing_moe_v2 ", "bailingmoe2", 0, hf_bailing_2_names, bailing_2_defaults,
    hf_bailing_model_names, NULL, is_bailing_2 },
  { " bailing_moe ", "bailingmoe", ATL_HF_PERMUTE, hf_bailing_names, bailing_defaults,
    hf_bailing_model_names },
  { " nemotron_h ", "nemotron_h_moe", 0, hf_nemotron_h_names, nemotron_h_defaults,
    hf_mamba2_model_names, NULL, is_nemotron_h_moe },
  { " nemotron_h ", "nemotron_h", 0, hf_nemotron_h_names, nemotron_h_defaults,
    hf_mamba2_model_names },
};

const AtlHfFamily *
atl_hf_family_find (const char *model_type, const AtlHfConfig *config)
{
  g_autofree char *framed = g_strconcat (" ", model_type, " ", NULL);

  if (strchr (model_type, ' ') != NULL)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (families); i++)
    if (strstr (families[i].types, framed) != NULL &&
        (families[i].is_meant == NULL || families[i].is_meant (config)))
      return &families[i];
  return NULL;
}

const char *
atl_hf_family_layers (const AtlHfFamily *self)
{
  return self->layers != NULL ? self->layers : "layers.";
}

const AtlHfFamily *
atl_hf_family_of_arch (const char *arch)
{
  for (guint i = 0; i < G_N_ELEMENTS (families); i++)
    if (strcmp (families[i].arch, arch) == 0)
      return &families[i];
  return NULL;
}

char *
atl_hf_family_list (void)
{
  g_autoptr (GString) all = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (families); i++)
    {
      g_auto (GStrv) words = g_strsplit (families[i].types, " ", -1);

      for (guint k = 0; words[k] != NULL; k++)
        if (*words[k] != '\0' && families[i].is_meant == NULL)
          g_string_append_printf (all, "%s%s", all->len > 0 ? ", " : "", words[k]);
    }
  return g_string_free (g_steal_pointer (&all), FALSE);
}

static const AtlHfName *
find_name (const AtlHfName *names, const char *module)
{
  for (; names != NULL && names->hf != NULL; names++)
    if (strcmp (names->hf, module) == 0)
      return names;
  return NULL;
}

const AtlHfName *
atl_hf_family_name (const AtlHfFamily *self, const char *module, gboolean in_layer)
{
  const AtlHfName *name = find_name (in_layer ? self->names : self->model_names, module);

  return name != NULL ? name : find_name (in_layer ? hf_layer_names : hf_model_names, module);
}

const AtlHfName *
atl_hf_name_next (const AtlHfName *self)
{
  return self[1].hf != NULL && strcmp (self[1].hf, self->hf) == 0 ? self + 1 : NULL;
}
