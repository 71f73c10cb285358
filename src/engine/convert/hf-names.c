/* Names of modules in Hugging Face's language models and what they are in GGUF; sources:
 * transformers 5.23, models/<name>/modeling_<name>.py, and the shapes of published repositories. */
#include "engine/convert/hf-names.h"

const AtlHfName hf_model_names[] = {
  { "embed_tokens", "token_embd", ATL_HF_AS_IS, NULL },
  { "norm", "output_norm", ATL_HF_AS_IS, NULL },
  { "lm_head", "output", ATL_HF_AS_IS, NULL },
  { "embedding_norm", "token_embd_norm", ATL_HF_AS_IS, NULL }, /* LFM2's last norm */
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_layer_names[] = {
  { "input_layernorm", "attn_norm", ATL_HF_AS_IS, NULL },
  { "self_attn.q_proj", "attn_q", ATL_HF_AS_IS, NULL },
  { "self_attn.k_proj", "attn_k", ATL_HF_AS_IS, NULL },
  { "self_attn.v_proj", "attn_v", ATL_HF_AS_IS, NULL },
  { "self_attn.qkv_proj", "attn_qkv", ATL_HF_AS_IS, NULL },
  { "self_attn.o_proj", "attn_output", ATL_HF_AS_IS, NULL },
  { "self_attn.q_norm", "attn_q_norm", ATL_HF_AS_IS, NULL },
  { "self_attn.k_norm", "attn_k_norm", ATL_HF_AS_IS, NULL },
  { "self_attn.rotary_emb", NULL, ATL_HF_AS_IS, NULL },
  { "post_attention_layernorm", "ffn_norm", ATL_HF_AS_IS, NULL },
  { "mlp.gate_proj", "ffn_gate", ATL_HF_AS_IS, NULL },
  { "mlp.up_proj", "ffn_up", ATL_HF_AS_IS, NULL },
  { "mlp.gate_up_proj", "ffn_up", ATL_HF_AS_IS, NULL },
  { "mlp.down_proj", "ffn_down", ATL_HF_AS_IS, NULL },
  { "mlp.c_fc", "ffn_up", ATL_HF_AS_IS, NULL },
  { "mlp.c_proj", "ffn_down", ATL_HF_AS_IS, NULL },
  { "mlp.gate", "ffn_gate_inp", ATL_HF_AS_IS, NULL },
  { "mlp.experts.*.gate_proj", "ffn_gate_exps", ATL_HF_AS_IS, NULL },
  { "mlp.experts.*.up_proj", "ffn_up_exps", ATL_HF_AS_IS, NULL },
  { "mlp.experts.*.down_proj", "ffn_down_exps", ATL_HF_AS_IS, NULL },
  { "mlp.experts.gate_up_proj", "ffn_gate_exps", ATL_HF_FIRST_HALF, NULL },
  { "mlp.experts.gate_up_proj", "ffn_up_exps", ATL_HF_SECOND_HALF, NULL },
  { "mlp.experts.down_proj", "ffn_down_exps", ATL_HF_AS_IS, NULL },
  { "mlp.shared_expert.gate_proj", "ffn_gate_shexp", ATL_HF_AS_IS, NULL },
  { "mlp.shared_expert.up_proj", "ffn_up_shexp", ATL_HF_AS_IS, NULL },
  { "mlp.shared_expert.down_proj", "ffn_down_shexp", ATL_HF_AS_IS, NULL },
  { "mlp.shared_expert_gate", "ffn_gate_inp_shexp", ATL_HF_AS_IS, NULL },
  { "mlp.shared_experts.gate_proj", "ffn_gate_shexp", ATL_HF_AS_IS, NULL },
  { "mlp.shared_experts.up_proj", "ffn_up_shexp", ATL_HF_AS_IS, NULL },
  { "mlp.shared_experts.down_proj", "ffn_down_shexp", ATL_HF_AS_IS, NULL },
  { "block_sparse_moe.gate", "ffn_gate_inp", ATL_HF_AS_IS, NULL },
  { "block_sparse_moe.experts.*.w1", "ffn_gate_exps", ATL_HF_AS_IS, NULL },
  { "block_sparse_moe.experts.*.w2", "ffn_down_exps", ATL_HF_AS_IS, NULL },
  { "block_sparse_moe.experts.*.w3", "ffn_up_exps", ATL_HF_AS_IS, NULL },
  { "mlp.gate.e_score_correction", "exp_probs_b", ATL_HF_AS_IS, NULL },
  { "mlp.moe_statics.e_score_correction", "exp_probs_b", ATL_HF_AS_IS, NULL },
  { "block_sparse_moe.e_score_correction", "exp_probs_b", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

/* The norm after attention is on its output, not before the feed-forward. */
const AtlHfName hf_gemma_names[] = {
  { "post_attention_layernorm", "post_attention_norm", ATL_HF_AS_IS, NULL },
  { "pre_feedforward_layernorm", "ffn_norm", ATL_HF_AS_IS, NULL },
  { "post_feedforward_layernorm", "post_ffw_norm", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_glm4_names[] = {
  { "post_self_attn_layernorm", "post_attention_norm", ATL_HF_AS_IS, NULL },
  { "post_mlp_layernorm", "post_ffw_norm", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

/* GGUF calls the norm before the feed-forward by where it stands. */
const AtlHfName hf_post_names[] = {
  { "post_attention_layernorm", "post_attention_norm", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_latent_names[] = {
  { "self_attn.q_a_proj", "attn_q_a", ATL_HF_AS_IS, NULL },
  { "self_attn.q_a_layernorm", "attn_q_a_norm", ATL_HF_AS_IS, NULL },
  { "self_attn.q_b_proj", "attn_q_b", ATL_HF_AS_IS, NULL },
  { "self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa", ATL_HF_AS_IS, NULL },
  { "self_attn.kv_a_layernorm", "attn_kv_a_norm", ATL_HF_AS_IS, NULL },
  { "self_attn.kv_b_proj", "attn_kv_b", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_hunyuan_names[] = {
  { "self_attn.query_layernorm", "attn_q_norm", ATL_HF_AS_IS, NULL },
  { "self_attn.key_layernorm", "attn_k_norm", ATL_HF_AS_IS, NULL },
  { "mlp.gate.wg", "ffn_gate_inp", ATL_HF_AS_IS, NULL },
  { "mlp.shared_mlp.gate_proj", "ffn_gate_shexp", ATL_HF_AS_IS, NULL },
  { "mlp.shared_mlp.up_proj", "ffn_up_shexp", ATL_HF_AS_IS, NULL },
  { "mlp.shared_mlp.down_proj", "ffn_down_shexp", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_lfm2_names[] = {
  { "operator_norm", "attn_norm", ATL_HF_AS_IS, NULL },
  { "ffn_norm", "ffn_norm", ATL_HF_AS_IS, NULL },
  { "self_attn.q_layernorm", "attn_q_norm", ATL_HF_AS_IS, NULL },
  { "self_attn.k_layernorm", "attn_k_norm", ATL_HF_AS_IS, NULL },
  { "self_attn.out_proj", "attn_output", ATL_HF_AS_IS, NULL },
  { "conv.in_proj", "shortconv.in_proj", ATL_HF_AS_IS, NULL },
  { "conv.conv", "shortconv.conv", ATL_HF_AS_IS, NULL },
  { "conv.out_proj", "shortconv.out_proj", ATL_HF_AS_IS, NULL },
  { "feed_forward.w1", "ffn_gate", ATL_HF_AS_IS, NULL },
  { "feed_forward.w2", "ffn_down", ATL_HF_AS_IS, NULL },
  { "feed_forward.w3", "ffn_up", ATL_HF_AS_IS, NULL },
  { "feed_forward.gate", "ffn_gate_inp", ATL_HF_AS_IS, NULL },
  { "feed_forward.expert", "exp_probs_b", ATL_HF_AS_IS, NULL },
  { "feed_forward.experts.*.w1", "ffn_gate_exps", ATL_HF_AS_IS, NULL },
  { "feed_forward.experts.*.w2", "ffn_down_exps", ATL_HF_AS_IS, NULL },
  { "feed_forward.experts.*.w3", "ffn_up_exps", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_gpt_oss_names[] = {
  { "post_attention_layernorm", "post_attention_norm", ATL_HF_AS_IS, NULL },
  { "self_attn.sinks", "attn_sinks", ATL_HF_AS_IS, NULL },
  { "mlp.router", "ffn_gate_inp", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_stablelm_names[] = {
  { "self_attn.q_layernorm.norms.*", "attn_q_norm", ATL_HF_AS_IS, NULL },
  { "self_attn.k_layernorm.norms.*", "attn_k_norm", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

/* Three of four layers: a gated delta net. */
const AtlHfName hf_qwen3_next_names[] = {
  { "post_attention_layernorm", "post_attention_norm", ATL_HF_AS_IS, NULL },
  { "linear_attn.in_proj_qkvz", "attn_qkv", ATL_HF_QKV_OF_KEY_HEADS, NULL },
  { "linear_attn.in_proj_qkvz", "attn_gate", ATL_HF_Z_OF_KEY_HEADS, NULL },
  { "linear_attn.in_proj_ba", "ssm_ba", ATL_HF_AS_IS, NULL },
  { "linear_attn.conv1d", "ssm_conv1d", ATL_HF_AS_IS, NULL },
  { "linear_attn.dt", "ssm_dt", ATL_HF_AS_IS, NULL },
  { "linear_attn.A_log", "ssm_a", ATL_HF_MINUS_EXP | ATL_HF_BARE, NULL },
  { "linear_attn.norm", "ssm_norm", ATL_HF_AS_IS, NULL },
  { "linear_attn.out_proj", "ssm_out", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_qwen3_5_names[] = {
  { "post_attention_layernorm", "post_attention_norm", ATL_HF_AS_IS, NULL },
  { "linear_attn.in_proj_qkv", "attn_qkv", ATL_HF_TILED_LAST, NULL },
  { "linear_attn.in_proj_z", "attn_gate", ATL_HF_TILED, NULL },
  { "linear_attn.in_proj_b", "ssm_beta", ATL_HF_TILED_ONES, NULL },
  { "linear_attn.in_proj_a", "ssm_alpha", ATL_HF_TILED_ONES, NULL },
  { "linear_attn.conv1d", "ssm_conv1d", ATL_HF_TILED_LAST, NULL },
  { "linear_attn.dt", "ssm_dt", ATL_HF_TILED_ONES, NULL },
  { "linear_attn.A_log", "ssm_a", ATL_HF_TILED_MINUS_EXP | ATL_HF_BARE, NULL },
  { "linear_attn.norm", "ssm_norm", ATL_HF_AS_IS, NULL },
  { "linear_attn.out_proj", "ssm_out", ATL_HF_TILED_COLUMNS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_mamba2_model_names[] = {
  { "embeddings", "token_embd", ATL_HF_AS_IS, NULL },
  { "norm_f", "output_norm", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_mamba2_names[] = {
  { "norm", "attn_norm", ATL_HF_AS_IS, NULL },
  { "mixer.in_proj", "ssm_in", ATL_HF_AS_IS, NULL },
  { "mixer.conv1d", "ssm_conv1d", ATL_HF_AS_IS, NULL },
  { "mixer.dt", "ssm_dt", ATL_HF_AS_IS, NULL },
  { "mixer.A_log", "ssm_a", ATL_HF_MINUS_EXP_COLUMN | ATL_HF_BARE, NULL },
  { "mixer.D", "ssm_d", ATL_HF_COLUMN | ATL_HF_BARE, NULL },
  { "mixer.norm", "ssm_norm", ATL_HF_GROUPS, NULL },
  { "mixer.out_proj", "ssm_out", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_granite_hybrid_names[] = {
  { "mamba.in_proj", "ssm_in", ATL_HF_AS_IS, NULL },
  { "mamba.conv1d", "ssm_conv1d", ATL_HF_AS_IS, NULL },
  { "mamba.dt", "ssm_dt", ATL_HF_AS_IS, NULL },
  { "mamba.A_log", "ssm_a", ATL_HF_MINUS_EXP_COLUMN | ATL_HF_BARE, NULL },
  { "mamba.D", "ssm_d", ATL_HF_COLUMN | ATL_HF_BARE, NULL },
  { "mamba.norm", "ssm_norm", ATL_HF_GROUPS, NULL },
  { "mamba.out_proj", "ssm_out", ATL_HF_AS_IS, NULL },
  { "block_sparse_moe.input_linear", "ffn_gate_exps", ATL_HF_FIRST_HALF, NULL },
  { "block_sparse_moe.input_linear", "ffn_up_exps", ATL_HF_SECOND_HALF, NULL },
  { "block_sparse_moe.output_linear", "ffn_down_exps", ATL_HF_AS_IS, NULL },
  { "block_sparse_moe.router.layer", "ffn_gate_inp", ATL_HF_AS_IS, NULL },
  { "shared_mlp.input_linear", "ffn_gate_shexp", ATL_HF_FIRST_HALF, NULL },
  { "shared_mlp.input_linear", "ffn_up_shexp", ATL_HF_SECOND_HALF, NULL },
  { "shared_mlp.output_linear", "ffn_down_shexp", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_falcon_h1_model_names[] = {
  { "embed_tokens", "token_embd", ATL_HF_AS_IS, "embedding_multiplier" },
  { "embed_tokens", "output", ATL_HF_TIED_HEAD, "lm_head_multiplier" },
  { "final_layernorm", "output_norm", ATL_HF_AS_IS, NULL },
  { "lm_head", "output", ATL_HF_AS_IS, "lm_head_multiplier" },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

/* GGUF has no settings for its multipliers: they are in the weights. */
const AtlHfName hf_falcon_h1_names[] = {
  { "pre_ff_layernorm", "ffn_norm", ATL_HF_BARE, NULL },
  { "self_attn.q_proj", "attn_q", ATL_HF_AS_IS, "attention_in_multiplier" },
  { "self_attn.k_proj", "attn_k", ATL_HF_AS_IS, "attention_in_multiplier key_multiplier" },
  { "self_attn.v_proj", "attn_v", ATL_HF_AS_IS, "attention_in_multiplier" },
  { "self_attn.o_proj", "attn_output", ATL_HF_AS_IS, "attention_out_multiplier" },
  { "feed_forward.gate_proj", "ffn_gate", ATL_HF_AS_IS, "mlp_multipliers[0]" },
  { "feed_forward.up_proj", "ffn_up", ATL_HF_AS_IS, NULL },
  { "feed_forward.down_proj", "ffn_down", ATL_HF_AS_IS, "mlp_multipliers[1]" },
  { "mamba.in_proj", "ssm_in", ATL_HF_SECTIONS, "ssm_in_multiplier" },
  { "mamba.conv1d", "ssm_conv1d", ATL_HF_AS_IS, NULL },
  { "mamba.dt", "ssm_dt", ATL_HF_AS_IS, NULL },
  { "mamba.A_log", "ssm_a", ATL_HF_MINUS_EXP_COLUMN | ATL_HF_BARE, NULL },
  { "mamba.D", "ssm_d", ATL_HF_COLUMN | ATL_HF_BARE, NULL },
  { "mamba.norm", "ssm_norm", ATL_HF_GROUPS, NULL },
  { "mamba.out_proj", "ssm_out", ATL_HF_AS_IS, "ssm_out_multiplier" },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_llama4_names[] = {
  { "feed_forward.gate_proj", "ffn_gate", ATL_HF_AS_IS, NULL },
  { "feed_forward.up_proj", "ffn_up", ATL_HF_AS_IS, NULL },
  { "feed_forward.down_proj", "ffn_down", ATL_HF_AS_IS, NULL },
  { "feed_forward.router", "ffn_gate_inp", ATL_HF_AS_IS, NULL },
  { "feed_forward.experts.gate_up_proj", "ffn_gate_exps", ATL_HF_FIRST_HALF, NULL },
  { "feed_forward.experts.gate_up_proj", "ffn_up_exps", ATL_HF_SECOND_HALF, NULL },
  { "feed_forward.experts.down_proj", "ffn_down_exps", ATL_HF_AS_IS, NULL },
  { "feed_forward.experts.*.gate_proj", "ffn_gate_exps", ATL_HF_AS_IS, NULL },
  { "feed_forward.experts.*.up_proj", "ffn_up_exps", ATL_HF_AS_IS, NULL },
  { "feed_forward.experts.*.down_proj", "ffn_down_exps", ATL_HF_AS_IS, NULL },
  { "feed_forward.shared_expert.gate_proj", "ffn_gate_shexp", ATL_HF_AS_IS, NULL },
  { "feed_forward.shared_expert.up_proj", "ffn_up_shexp", ATL_HF_AS_IS, NULL },
  { "feed_forward.shared_expert.down_proj", "ffn_down_shexp", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_gemma3n_model_names[] = {
  { "embed_tokens_per_layer", "per_layer_token_embd", ATL_HF_PADDED, NULL },
  { "per_layer_model_projection", "per_layer_model_proj", ATL_HF_AS_IS, NULL },
  { "per_layer_projection_norm", "per_layer_proj_norm", ATL_HF_AS_IS, NULL },
  { "altup_projections.*", "altup_proj", ATL_HF_AS_IS, NULL },
  { "altup_unembed_projections.*", "altup_unembd_proj", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_gemma3n_names[] = {
  { "post_attention_layernorm", "post_attention_norm", ATL_HF_AS_IS, NULL },
  { "pre_feedforward_layernorm", "ffn_norm", ATL_HF_AS_IS, NULL },
  { "post_feedforward_layernorm", "post_ffw_norm", ATL_HF_AS_IS, NULL },
  { "per_layer_input_gate", "inp_gate", ATL_HF_AS_IS, NULL },
  { "per_layer_projection", "proj", ATL_HF_AS_IS, NULL },
  { "post_per_layer_input_norm", "post_norm", ATL_HF_AS_IS, NULL },
  { "altup.correct_output_scale", "altup_correct_scale", ATL_HF_AS_IS, NULL },
  { "altup.correction_coefs", "altup_correct_coef", ATL_HF_AS_IS, NULL },
  { "altup.modality_router", "altup_router", ATL_HF_AS_IS, NULL },
  { "altup.prediction_coefs", "altup_predict_coef", ATL_HF_AS_IS, NULL },
  { "altup.router_norm", "altup_router_norm", ATL_HF_AS_IS, NULL },
  { "laurel.linear_left", "laurel_l", ATL_HF_AS_IS, NULL },
  { "laurel.linear_right", "laurel_r", ATL_HF_AS_IS, NULL },
  { "laurel.post_laurel_norm", "laurel_post_norm", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_gemma4_model_names[] = {
  { "embed_tokens_per_layer", "per_layer_token_embd", ATL_HF_PADDED, NULL },
  { "per_layer_model_projection", "per_layer_model_proj", ATL_HF_AS_IS, NULL },
  { "per_layer_projection_norm", "per_layer_proj_norm", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_gemma4_names[] = {
  { "post_attention_layernorm", "post_attention_norm", ATL_HF_AS_IS, NULL },
  { "pre_feedforward_layernorm", "ffn_norm", ATL_HF_AS_IS, NULL },
  { "post_feedforward_layernorm", "post_ffw_norm", ATL_HF_AS_IS, NULL },
  { "post_feedforward_layernorm_1", "post_ffw_norm_1", ATL_HF_AS_IS, NULL },
  { "pre_feedforward_layernorm_2", "pre_ffw_norm_2", ATL_HF_AS_IS, NULL },
  { "post_feedforward_layernorm_2", "post_ffw_norm_2", ATL_HF_AS_IS, NULL },
  { "per_layer_input_gate", "inp_gate", ATL_HF_AS_IS, NULL },
  { "per_layer_projection", "proj", ATL_HF_AS_IS, NULL },
  { "post_per_layer_input_norm", "post_norm", ATL_HF_AS_IS, NULL },
  { "layer_scalar", "layer_output_scale", ATL_HF_AS_IS, NULL },
  { "experts.gate_up_proj", "ffn_gate_up_exps", ATL_HF_AS_IS, NULL },
  { "experts.down_proj", "ffn_down_exps", ATL_HF_AS_IS, NULL },
  { "router.proj", "ffn_gate_inp", ATL_HF_AS_IS, NULL },
  { "router.scale", "ffn_gate_inp.scale", ATL_HF_BARE, NULL },
  { "router.per_expert_scale", "ffn_down_exps.scale", ATL_HF_BARE, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_phi_model_names[] = {
  { "final_layernorm", "output_norm", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_phi_names[] = {
  { "self_attn.dense", "attn_output", ATL_HF_AS_IS, NULL },
  { "mlp.fc1", "ffn_up", ATL_HF_AS_IS, NULL },
  { "mlp.fc2", "ffn_down", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_neox_model_names[] = {
  { "embed_in", "token_embd", ATL_HF_AS_IS, NULL },
  { "final_layer_norm", "output_norm", ATL_HF_AS_IS, NULL },
  { "embed_out", "output", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_neox_names[] = {
  { "attention.query_key_value", "attn_qkv", ATL_HF_BY_HEADS, NULL },
  { "attention.dense", "attn_output", ATL_HF_AS_IS, NULL },
  { "mlp.dense_h_to_4h", "ffn_up", ATL_HF_AS_IS, NULL },
  { "mlp.dense_4h_to_h", "ffn_down", ATL_HF_AS_IS, NULL },
  /* the causal mask of old files */
  { "attention", NULL, ATL_HF_AS_IS, NULL },
  { "attention.masked", NULL, ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};
