/* What settings are where a folder leaves them out; source: transformers 5.23,
 * models/<name>/configuration_<name>.py. */
#include "engine/convert/hf-defaults.h"

const AtlHfDefault hf_llama_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { NULL, 0 },
};

const AtlHfDefault hf_mixtral_defaults[] = {
  { "rms_norm_eps", 1e-5 },     { "num_local_experts", 8 }, { "num_experts_per_tok", 2 },
  { "num_key_value_heads", 8 }, { "rope_theta", 1e6 },      { NULL, 0 },
};

const AtlHfDefault hf_qwen2_moe_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "num_experts_per_tok", 4 },
  { NULL, 0 },
};

const AtlHfDefault hf_qwen3_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 128 },
  { NULL, 0 },
};

const AtlHfDefault hf_qwen3_moe_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "num_key_value_heads", 4 },
  { "num_experts_per_tok", 8 },
  { "norm_topk_prob", 0 },
  { NULL, 0 },
};

const AtlHfDefault hf_gemma2_defaults[] = {
  { "rms_norm_eps", 1e-6 },          { "head_dim", 256 },
  { "num_key_value_heads", 4 },      { "attn_logit_softcapping", 50 },
  { "final_logit_softcapping", 30 }, { "query_pre_attn_scalar", 256 },
  { "sliding_window", 4096 },        { NULL, 0 },
};

/* The text part of a model that sees leaves out what its class assumes. */
const AtlHfDefault hf_gemma3_defaults[] = {
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

const AtlHfDefault hf_glm4_defaults[] = {
  { "rms_norm_eps", 1.5625e-07 },
  { "partial_rotary_factor", 0.5 },
  { "head_dim", 128 },
  { NULL, 0 },
};

const AtlHfDefault hf_phi3_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "original_max_position_embeddings", 4096 },
  { NULL, 0 },
};

const AtlHfDefault hf_granite_defaults[] = {
  { "rms_norm_eps", 1e-6 },     { "embedding_multiplier", 1 }, { "logits_scaling", 1 },
  { "residual_multiplier", 1 }, { "attention_multiplier", 1 }, { NULL, 0 },
};

const AtlHfDefault hf_olmo2_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { NULL, 0 },
};

const AtlHfDefault hf_smollm3_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "rope_theta", 2e6 },
  { "num_key_value_heads", 4 },
  { NULL, 0 },
};

const AtlHfDefault hf_cohere_defaults[] = {
  { "layer_norm_eps", 1e-5 },
  { "rope_theta", 5e5 },
  { "logit_scale", 0.0625 },
  { NULL, 0 },
};

const AtlHfDefault hf_cohere2_defaults[] = {
  { "layer_norm_eps", 1e-5 },
  { "logit_scale", 0.0625 },
  { "sliding_window", 4096 },
  { NULL, 0 },
};

const AtlHfDefault hf_starcoder2_defaults[] = {
  { "norm_epsilon", 1e-5 },
  { "num_key_value_heads", 2 },
  { NULL, 0 },
};

const AtlHfDefault hf_stablelm_defaults[] = {
  { "layer_norm_eps", 1e-5 },
  { "partial_rotary_factor", 0.25 },
  { NULL, 0 },
};

const AtlHfDefault hf_exaone4_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { NULL, 0 },
};

const AtlHfDefault hf_seed_oss_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 128 },
  { NULL, 0 },
};

const AtlHfDefault hf_glm4_moe_defaults[] = {
  { "rms_norm_eps", 1e-5 },       { "partial_rotary_factor", 0.5 },
  { "first_k_dense_replace", 1 }, { "n_shared_experts", 1 },
  { "routed_scaling_factor", 1 }, { "norm_topk_prob", 1 },
  { "num_experts_per_tok", 8 },   { NULL, 0 },
};

const AtlHfDefault hf_minimax_m2_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "rope_theta", 5e6 },
  { NULL, 0 },
};

const AtlHfDefault hf_ernie_moe_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "rope_theta", 5e5 },
  { "moe_k", 6 },
  { "moe_num_shared_experts", 2 },
  { "moe_num_experts", 64 },
  { "moe_layer_start_index", 1 },
  { NULL, 0 },
};

const AtlHfDefault hf_hunyuan_moe_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "num_shared_expert", 1 },
  { "moe_topk", 1 },
  { NULL, 0 },
};

const AtlHfDefault hf_deepseek_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "n_shared_experts", 2 },
  { "first_k_dense_replace", 0 },
  { NULL, 0 },
};

const AtlHfDefault hf_deepseek_v3_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "n_shared_experts", 1 },
  { "norm_topk_prob", 1 },
  { "routed_scaling_factor", 2.5 },
  { "n_group", 8 },
  { "topk_group", 4 },
  { "num_experts_per_tok", 8 },
  { NULL, 0 },
};

const AtlHfDefault hf_glm4_moe_lite_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "n_shared_experts", 1 },
  { "norm_topk_prob", 1 },
  { "routed_scaling_factor", 1.8 },
  { "first_k_dense_replace", 1 },
  { "num_experts_per_tok", 4 },
  { NULL, 0 },
};

const AtlHfDefault hf_lfm2_defaults[] = {
  { "norm_eps", 1e-5 },
  { "rope_theta", 1e6 },
  { "conv_L_cache", 3 },
  { "block_multiple_of", 256 },
  { "block_ffn_dim_multiplier", 1 },
  { NULL, 0 },
};

const AtlHfDefault hf_lfm2_moe_defaults[] = {
  { "norm_eps", 1e-5 },
  { "rope_theta", 1e6 },
  { "conv_L_cache", 3 },
  { "norm_topk_prob", 1 },
  { "num_key_value_heads", 8 },
  { "num_experts_per_tok", 4 },
  { NULL, 0 },
};

const AtlHfDefault hf_gpt_oss_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "head_dim", 64 },
  { "sliding_window", 128 },
  { "rope_theta", 150000 },
  { "num_key_value_heads", 8 },
  { "num_experts_per_tok", 4 },
  { NULL, 0 },
};

const AtlHfDefault hf_qwen3_next_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 256 },
  { "partial_rotary_factor", 0.25 },
  { "full_attention_interval", 4 },
  { "num_key_value_heads", 2 },
  { "num_experts_per_tok", 10 },
  { "norm_topk_prob", 1 },
  { "linear_conv_kernel_dim", 4 },
  { "linear_key_head_dim", 128 },
  { "linear_value_head_dim", 128 },
  { "linear_num_key_heads", 16 },
  { "linear_num_value_heads", 32 },
  { NULL, 0 },
};

const AtlHfDefault hf_qwen3_5_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 256 },
  { "partial_rotary_factor", 0.25 },
  { "full_attention_interval", 4 },
  { "linear_conv_kernel_dim", 4 },
  { "linear_key_head_dim", 128 },
  { "linear_value_head_dim", 128 },
  { "linear_num_key_heads", 16 },
  { "linear_num_value_heads", 32 },
  { "num_key_value_heads", 4 },
  { NULL, 0 },
};

const AtlHfDefault hf_qwen3_5_moe_defaults[] = {
  { "rms_norm_eps", 1e-6 },          { "head_dim", 256 },
  { "partial_rotary_factor", 0.25 }, { "full_attention_interval", 4 },
  { "linear_conv_kernel_dim", 4 },   { "linear_key_head_dim", 128 },
  { "linear_value_head_dim", 128 },  { "linear_num_key_heads", 16 },
  { "linear_num_value_heads", 32 },  { "num_key_value_heads", 2 },
  { "num_experts_per_tok", 8 },      { NULL, 0 },
};

const AtlHfDefault hf_mamba2_defaults[] = {
  { "layer_norm_epsilon", 1e-5 },
  { "conv_kernel", 4 },
  { "expand", 2 },
  { "state_size", 128 },
  { "n_groups", 8 },
  { "head_dim", 64 },
  { "max_position_embeddings", 1 << 20 },
  { NULL, 0 },
};

const AtlHfDefault hf_granite_hybrid_defaults[] = {
  { "rms_norm_eps", 1e-6 },      { "embedding_multiplier", 1 },
  { "logits_scaling", 1 },       { "residual_multiplier", 1 },
  { "attention_multiplier", 1 }, { "num_local_experts", 8 },
  { "num_experts_per_tok", 2 },  { "shared_intermediate_size", 1024 },
  { "mamba_d_conv", 4 },         { "mamba_d_state", 256 },
  { "mamba_expand", 2 },         { "mamba_n_groups", 1 },
  { "mamba_n_heads", 128 },      { NULL, 0 },
};

const AtlHfDefault hf_falcon_h1_defaults[] = {
  { "rms_norm_eps", 1e-5 }, { "num_key_value_heads", 8 },
  { "mamba_d_conv", 4 },    { "mamba_d_state", 256 },
  { "mamba_expand", 2 },    { "mamba_n_groups", 1 },
  { "mamba_n_heads", 128 }, { NULL, 0 },
};

const AtlHfDefault hf_llama4_defaults[] = {
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

const AtlHfDefault hf_gemma3n_defaults[] = {
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

const AtlHfDefault hf_gemma4_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 256 },
  { "global_head_dim", 512 },
  { "num_attention_heads", 8 },
  { "num_key_value_heads", 4 },
  { "sliding_window", 512 },
  { "max_position_embeddings", 131072 },
  { "final_logit_softcapping", 0 },
  { "rope_theta", 1e6 },
  { "rope_local_base_freq", 1e4 },
  { "partial_rotary_factor", 0.25 },
  { "hidden_size_per_layer_input", 256 },
  { "num_kv_shared_layers", 0 },
  { NULL, 0 },
};

const AtlHfDefault hf_gemma_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "head_dim", 256 },
  { NULL, 0 },
};

const AtlHfDefault hf_arcee_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { NULL, 0 },
};

const AtlHfDefault hf_nemotron_defaults[] = {
  { "norm_eps", 1e-5 },
  { "partial_rotary_factor", 0.5 },
  { NULL, 0 },
};

const AtlHfDefault hf_granite_moe_defaults[] = {
  { "rms_norm_eps", 1e-6 },      { "embedding_multiplier", 1 },
  { "logits_scaling", 1 },       { "residual_multiplier", 1 },
  { "attention_multiplier", 1 }, { "num_local_experts", 8 },
  { "num_experts_per_tok", 2 },  { NULL, 0 },
};

const AtlHfDefault hf_olmoe_defaults[] = {
  { "rms_norm_eps", 1e-5 }, { "num_experts", 64 }, { "num_experts_per_tok", 8 },
  { "norm_topk_prob", 0 },  { NULL, 0 },
};

const AtlHfDefault hf_dots1_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { "first_k_dense_replace", 0 },
  { "norm_topk_prob", 0 },
  { "routed_scaling_factor", 1 },
  { NULL, 0 },
};

const AtlHfDefault hf_ernie_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "rope_theta", 5e5 },
  { "head_dim", 128 },
  { NULL, 0 },
};

const AtlHfDefault hf_phi_defaults[] = {
  { "layer_norm_eps", 1e-5 },
  { "partial_rotary_factor", 0.5 },
  { NULL, 0 },
};

const AtlHfDefault hf_neox_defaults[] = {
  { "layer_norm_eps", 1e-5 },
  { "rotary_pct", 0.25 },
  { NULL, 0 },
};

const AtlHfDefault hf_ministral3_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "head_dim", 128 },
  { "num_key_value_heads", 8 },
  { NULL, 0 },
};

const AtlHfDefault hf_falcon_defaults[] = {
  { "layer_norm_epsilon", 1e-5 },
  { "max_position_embeddings", 2048 },
  { NULL, 0 },
};

const AtlHfDefault hf_exaone_defaults[] = {
  { "layer_norm_epsilon", 1e-5 },
  { NULL, 0 },
};

const AtlHfDefault hf_internlm2_defaults[] = {
  { "rms_norm_eps", 1e-6 },
  { NULL, 0 },
};

const AtlHfDefault hf_orion_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { NULL, 0 },
};

/* The width and the depth of the first model. */
const AtlHfDefault hf_minicpm_defaults[] = {
  { "rms_norm_eps", 1e-6 }, { "scale_emb", 1 }, { "scale_depth", 1 },
  { "dim_model_base", 1 },  { NULL, 0 },
};

const AtlHfDefault hf_bailing_defaults[] = {
  { "rms_norm_eps", 1e-5 },
  { "num_shared_experts", 0 },
  { "first_k_dense_replace", 0 },
  { "norm_topk_prob", 1 },
  { NULL, 0 },
};

const AtlHfDefault hf_bailing_2_defaults[] = {
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

const AtlHfDefault hf_nemotron_h_defaults[] = {
  { "layer_norm_epsilon", 1e-5 },
  { "conv_kernel", 4 },
  { "ssm_state_size", 128 },
  { "n_groups", 8 },
  { "n_shared_experts", 1 },
  { "norm_topk_prob", 1 },
  { NULL, 0 },
};
