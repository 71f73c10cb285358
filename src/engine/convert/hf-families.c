/* The families of Hugging Face's language models and their names; sources: transformers 5.23,
 * models/<name>/modeling_<name>.py, and the shapes of published repositories. */
#include "engine/convert/hf-families.h"

#include <string.h>

static const AtlHfName model_names[] = {
  { "embed_tokens", "token_embd" },
  { "norm", "output_norm" },
  { "lm_head", "output" },
  { "embedding_norm", "token_embd_norm" }, /* LFM2's last norm */
  { NULL, NULL },
};

static const AtlHfName layer_names[] = {
  { "input_layernorm", "attn_norm" },
  { "self_attn.q_proj", "attn_q" },
  { "self_attn.k_proj", "attn_k" },
  { "self_attn.v_proj", "attn_v" },
  { "self_attn.qkv_proj", "attn_qkv" },
  { "self_attn.o_proj", "attn_output" },
  { "self_attn.q_norm", "attn_q_norm" },
  { "self_attn.k_norm", "attn_k_norm" },
  { "self_attn.rotary_emb", NULL },
  { "post_attention_layernorm", "ffn_norm" },
  { "mlp.gate_proj", "ffn_gate" },
  { "mlp.up_proj", "ffn_up" },
  { "mlp.gate_up_proj", "ffn_up" },
  { "mlp.down_proj", "ffn_down" },
  { "mlp.c_fc", "ffn_up" },
  { "mlp.c_proj", "ffn_down" },
  { "mlp.gate", "ffn_gate_inp" },
  { "mlp.experts.*.gate_proj", "ffn_gate_exps" },
  { "mlp.experts.*.up_proj", "ffn_up_exps" },
  { "mlp.experts.*.down_proj", "ffn_down_exps" },
  { "mlp.experts.gate_up_proj", "ffn_gate_up_exps" },
  { "mlp.experts.down_proj", "ffn_down_exps" },
  { "mlp.shared_expert.gate_proj", "ffn_gate_shexp" },
  { "mlp.shared_expert.up_proj", "ffn_up_shexp" },
  { "mlp.shared_expert.down_proj", "ffn_down_shexp" },
  { "mlp.shared_expert_gate", "ffn_gate_inp_shexp" },
  { "mlp.shared_experts.gate_proj", "ffn_gate_shexp" },
  { "mlp.shared_experts.up_proj", "ffn_up_shexp" },
  { "mlp.shared_experts.down_proj", "ffn_down_shexp" },
  { "block_sparse_moe.gate", "ffn_gate_inp" },
  { "block_sparse_moe.experts.*.w1", "ffn_gate_exps" },
  { "block_sparse_moe.experts.*.w2", "ffn_down_exps" },
  { "block_sparse_moe.experts.*.w3", "ffn_up_exps" },
  { "mlp.gate.e_score_correction", "exp_probs_b" },
  { "mlp.moe_statics.e_score_correction", "exp_probs_b" },
  { "block_sparse_moe.e_score_correction", "exp_probs_b" },
  { NULL, NULL },
};

/* The norm after attention is on its output, not before the feed-forward. */
static const AtlHfName gemma_names[] = {
  { "post_attention_layernorm", "post_attention_norm" },
  { "pre_feedforward_layernorm", "ffn_norm" },
  { "post_feedforward_layernorm", "post_ffw_norm" },
  { NULL, NULL },
};

static const AtlHfName glm4_names[] = {
  { "post_self_attn_layernorm", "post_attention_norm" },
  { "post_mlp_layernorm", "post_ffw_norm" },
  { NULL, NULL },
};

/* GGUF calls the norm before the feed-forward by where it stands. */
static const AtlHfName post_names[] = {
  { "post_attention_layernorm", "post_attention_norm" },
  { NULL, NULL },
};

static const AtlHfName latent_names[] = {
  { "self_attn.q_a_proj", "attn_q_a" },
  { "self_attn.q_a_layernorm", "attn_q_a_norm" },
  { "self_attn.q_b_proj", "attn_q_b" },
  { "self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa" },
  { "self_attn.kv_a_layernorm", "attn_kv_a_norm" },
  { "self_attn.kv_b_proj", "attn_kv_b" },
  { NULL, NULL },
};

static const AtlHfName hunyuan_names[] = {
  { "self_attn.query_layernorm", "attn_q_norm" },
  { "self_attn.key_layernorm", "attn_k_norm" },
  { "mlp.gate.wg", "ffn_gate_inp" },
  { "mlp.shared_mlp.gate_proj", "ffn_gate_shexp" },
  { "mlp.shared_mlp.up_proj", "ffn_up_shexp" },
  { "mlp.shared_mlp.down_proj", "ffn_down_shexp" },
  { NULL, NULL },
};

static const AtlHfName lfm2_names[] = {
  { "operator_norm", "attn_norm" },
  { "ffn_norm", "ffn_norm" },
  { "self_attn.q_layernorm", "attn_q_norm" },
  { "self_attn.k_layernorm", "attn_k_norm" },
  { "self_attn.out_proj", "attn_output" },
  { "conv.in_proj", "shortconv.in_proj" },
  { "conv.conv", "shortconv.conv" },
  { "conv.out_proj", "shortconv.out_proj" },
  { "feed_forward.w1", "ffn_gate" },
  { "feed_forward.w2", "ffn_down" },
  { "feed_forward.w3", "ffn_up" },
  { "feed_forward.gate", "ffn_gate_inp" },
  { "feed_forward.expert", "exp_probs_b" },
  { "feed_forward.experts.*.w1", "ffn_gate_exps" },
  { "feed_forward.experts.*.w2", "ffn_down_exps" },
  { "feed_forward.experts.*.w3", "ffn_up_exps" },
  { NULL, NULL },
};

static const AtlHfName gpt_oss_names[] = {
  { "post_attention_layernorm", "post_attention_norm" },
  { "self_attn.sinks", "attn_sinks" },
  { "mlp.router", "ffn_gate_inp" },
  { NULL, NULL },
};

static const AtlHfName stablelm_names[] = {
  { "self_attn.q_layernorm.norms.*", "attn_q_norm" },
  { "self_attn.k_layernorm.norms.*", "attn_k_norm" },
  { NULL, NULL },
};

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

static const AtlHfFamily families[] = {
  { " llama mistral ministral ", "llama", ATL_HF_PERMUTE, NULL, llama_defaults },
  { " mixtral ", "llama", ATL_HF_PERMUTE, NULL, mixtral_defaults },
  { " qwen2 ", "qwen2", 0, NULL, llama_defaults },
  { " qwen2_moe ", "qwen2moe", 0, NULL, qwen2_moe_defaults },
  { " qwen3 ", "qwen3", 0, NULL, qwen3_defaults },
  { " qwen3_moe ", "qwen3moe", 0, NULL, qwen3_defaults },
  { " gemma2 ", "gemma2", ATL_HF_NORM_PLUS_ONE | ATL_HF_WINDOW, gemma_names, gemma2_defaults },
  { " gemma3 gemma3_text ", "gemma3", ATL_HF_NORM_PLUS_ONE | ATL_HF_WINDOW, gemma_names,
    gemma3_defaults },
  { " phi3 ", "phi3", ATL_HF_WINDOW, NULL, phi3_defaults },
  { " glm4 ", "glm4", 0, glm4_names, glm4_defaults },
  { " granite ", "granite", ATL_HF_PERMUTE, NULL, granite_defaults },
  { " olmo2 ", "olmo2", 0, gemma_names, olmo2_defaults },
  { " olmo3 ", "olmo2", ATL_HF_WINDOW | ATL_HF_PATTERN, gemma_names, olmo2_defaults },
  { " smollm3 ", "smollm3", ATL_HF_PERMUTE, NULL, smollm3_defaults },
  { " cohere ", "command-r", 0, NULL, cohere_defaults },
  { " cohere2 ", "cohere2", ATL_HF_WINDOW, NULL, cohere2_defaults },
  { " starcoder2 ", "starcoder2", 0, NULL, starcoder2_defaults },
  { " stablelm ", "stablelm", 0, stablelm_names, stablelm_defaults },
  { " exaone4 ", "exaone4", ATL_HF_WINDOW | ATL_HF_PATTERN, gemma_names, exaone4_defaults },
  { " seed_oss ", "seed_oss", 0, post_names, seed_oss_defaults },
  { " glm4_moe ", "glm4moe", 0, post_names, glm4_moe_defaults },
  { " minimax_m2 ", "minimax-m2", 0, NULL, minimax_m2_defaults },
  { " ernie4_5_moe ", "ernie4_5-moe", 0, NULL, ernie_moe_defaults },
  { " hunyuan_v1_moe ", "hunyuan-moe", 0, hunyuan_names, hunyuan_moe_defaults },
  { " deepseek ", "deepseek", ATL_HF_PERMUTE, NULL, deepseek_defaults },
  { " deepseek_v2 ", "deepseek2", 0, latent_names, deepseek_defaults },
  { " deepseek_v3 kimi_k2 glm4_moe_lite ", "deepseek2", 0, latent_names, deepseek_v3_defaults },
  { " lfm2 ", "lfm2", ATL_HF_MIXED, lfm2_names, lfm2_defaults },
  { " lfm2_moe ", "lfm2moe", ATL_HF_MIXED, lfm2_names, lfm2_moe_defaults },
  { " gpt_oss ", "gpt-oss", ATL_HF_WINDOW | ATL_HF_ALTERNATE, gpt_oss_names, gpt_oss_defaults },
};

const AtlHfFamily *
atl_hf_family_find (const char *model_type)
{
  g_autofree char *framed = g_strconcat (" ", model_type, " ", NULL);

  if (strchr (model_type, ' ') != NULL)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (families); i++)
    if (strstr (families[i].types, framed) != NULL)
      return &families[i];
  return NULL;
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
        if (*words[k] != '\0')
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

const char *
atl_hf_family_name (const AtlHfFamily *self, const char *module, gboolean in_layer, gboolean *found)
{
  const AtlHfName *name = in_layer ? find_name (self->names, module) : NULL;

  if (name == NULL)
    name = find_name (in_layer ? layer_names : model_names, module);
  *found = name != NULL;
  return name != NULL ? name->gguf : NULL;
}
