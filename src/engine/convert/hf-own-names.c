/* Names of modules in models whose code came with their files, and of those that keep such names in
 * transformers; sources: modeling_<name>.py beside the published weights (InternLM 2, EXAONE 3,
 * Ling), transformers 5.23, models/{falcon,nemotron_h}/modeling_<name>.py. */
#include "engine/convert/hf-names.h"

const AtlHfName hf_internlm2_model_names[] = {
  { "tok_embeddings", "token_embd", ATL_HF_AS_IS, NULL },
  { "output", "output", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_internlm2_names[] = {
  { "attention_norm", "attn_norm", ATL_HF_AS_IS, NULL },
  { "attention.wqkv", "attn_q", ATL_HF_GROUPED_Q, NULL },
  { "attention.wqkv", "attn_k", ATL_HF_GROUPED_K, NULL },
  { "attention.wqkv", "attn_v", ATL_HF_GROUPED_V, NULL },
  { "attention.wo", "attn_output", ATL_HF_AS_IS, NULL },
  { "ffn_norm", "ffn_norm", ATL_HF_AS_IS, NULL },
  { "feed_forward.w1", "ffn_gate", ATL_HF_AS_IS, NULL },
  { "feed_forward.w2", "ffn_down", ATL_HF_AS_IS, NULL },
  { "feed_forward.w3", "ffn_up", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_exaone_model_names[] = {
  { "wte", "token_embd", ATL_HF_AS_IS, NULL },
  { "ln_f", "output_norm", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_exaone_names[] = {
  { "ln_1", "attn_norm", ATL_HF_AS_IS, NULL },
  { "attn.attention.q_proj", "attn_q", ATL_HF_AS_IS, NULL },
  { "attn.attention.k_proj", "attn_k", ATL_HF_AS_IS, NULL },
  { "attn.attention.v_proj", "attn_v", ATL_HF_AS_IS, NULL },
  { "attn.attention.out_proj", "attn_output", ATL_HF_AS_IS, NULL },
  { "ln_2", "ffn_norm", ATL_HF_AS_IS, NULL },
  { "mlp.c_fc_0", "ffn_gate", ATL_HF_AS_IS, NULL },
  { "mlp.c_fc_1", "ffn_up", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_bailing_model_names[] = {
  { "word_embeddings", "token_embd", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

/* Ling: neighbours rotate in GGUF, so that the three have to be apart. */
const AtlHfName hf_bailing_names[] = {
  { "attention.query_key_value", "attn_q", ATL_HF_JOINED_Q, NULL },
  { "attention.query_key_value", "attn_k", ATL_HF_JOINED_K, NULL },
  { "attention.query_key_value", "attn_v", ATL_HF_JOINED_V, NULL },
  { "attention.dense", "attn_output", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_bailing_2_names[] = {
  { "attention.query_key_value", "attn_qkv", ATL_HF_AS_IS, NULL },
  { "attention.query_layernorm", "attn_q_norm", ATL_HF_AS_IS, NULL },
  { "attention.key_layernorm", "attn_k_norm", ATL_HF_AS_IS, NULL },
  { "attention.dense", "attn_output", ATL_HF_AS_IS, NULL },
  { "mlp.gate.expert", "exp_probs_b", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

const AtlHfName hf_falcon_model_names[] = {
  { "word_embeddings", "token_embd", ATL_HF_AS_IS, NULL },
  { "ln_f", "output_norm", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

/* With two norms the one of attention is the second in GGUF. */
const AtlHfName hf_falcon_names[] = {
  { "ln_mlp", "attn_norm", ATL_HF_AS_IS, NULL },
  { "ln_attn", "attn_norm_2", ATL_HF_AS_IS, NULL },
  { "self_attention.query_key_value", "attn_qkv", ATL_HF_GROUPED_QKV, NULL },
  { "self_attention.dense", "attn_output", ATL_HF_AS_IS, NULL },
  { "mlp.dense_h_to_4h", "ffn_up", ATL_HF_AS_IS, NULL },
  { "mlp.dense_4h_to_h", "ffn_down", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};

/* Every layer is one thing behind one norm. */
const AtlHfName hf_nemotron_h_names[] = {
  { "norm", "attn_norm", ATL_HF_AS_IS, NULL },
  { "mixer.in_proj", "ssm_in", ATL_HF_AS_IS, NULL },
  { "mixer.conv1d", "ssm_conv1d", ATL_HF_AS_IS, NULL },
  { "mixer.dt", "ssm_dt", ATL_HF_AS_IS, NULL },
  { "mixer.A_log", "ssm_a", ATL_HF_MINUS_EXP_COLUMN | ATL_HF_BARE, NULL },
  { "mixer.D", "ssm_d", ATL_HF_COLUMN | ATL_HF_BARE, NULL },
  { "mixer.norm", "ssm_norm", ATL_HF_GROUPS, NULL },
  { "mixer.out_proj", "ssm_out", ATL_HF_AS_IS, NULL },
  { "mixer.q_proj", "attn_q", ATL_HF_AS_IS, NULL },
  { "mixer.k_proj", "attn_k", ATL_HF_AS_IS, NULL },
  { "mixer.v_proj", "attn_v", ATL_HF_AS_IS, NULL },
  { "mixer.o_proj", "attn_output", ATL_HF_AS_IS, NULL },
  { "mixer.up_proj", "ffn_up", ATL_HF_AS_IS, NULL },
  { "mixer.down_proj", "ffn_down", ATL_HF_AS_IS, NULL },
  { "mixer.gate", "ffn_gate_inp", ATL_HF_AS_IS, NULL },
  { "mixer.gate.e_score_correction", "exp_probs_b", ATL_HF_AS_IS, NULL },
  { "mixer.experts.*.up_proj", "ffn_up_exps", ATL_HF_AS_IS, NULL },
  { "mixer.experts.*.down_proj", "ffn_down_exps", ATL_HF_AS_IS, NULL },
  { "mixer.experts.up_proj", "ffn_up_exps", ATL_HF_AS_IS, NULL },
  { "mixer.experts.down_proj", "ffn_down_exps", ATL_HF_AS_IS, NULL },
  { "mixer.shared_experts.up_proj", "ffn_up_shexp", ATL_HF_AS_IS, NULL },
  { "mixer.shared_experts.down_proj", "ffn_down_shexp", ATL_HF_AS_IS, NULL },
  { "mixer.fc1_latent_proj", "ffn_latent_down", ATL_HF_AS_IS, NULL },
  { "mixer.fc2_latent_proj", "ffn_latent_up", ATL_HF_AS_IS, NULL },
  { NULL, NULL, ATL_HF_AS_IS, NULL },
};
