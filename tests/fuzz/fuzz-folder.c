/* Any text as the config.json of a small Hugging Face folder: refused in words, or a checkpoint in
 * GGUF's vocabulary that a decoder can be asked about. */
#include <string.h>

#include "engine/convert/hf.h"
#include "engine/formats/safetensors.h"
#include "engine/models/llm/llm.h"
#include "fuzz.h"

#define SIZES                                                                                      \
  "\"hidden_size\":32,\"intermediate_size\":64,\"num_hidden_layers\":1,"                           \
  "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":16,\"rms_norm_eps\":1e-5,"   \
  "\"max_position_embeddings\":128,\"rope_theta\":1e4,\"hidden_act\":\"silu\","

static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES ("{\"model_type\":\"llama\"," SIZES "\"rope_scaling\":{\"rope_type\":\"llama3\","
                  "\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                  "\"original_max_position_embeddings\":64},\"tie_word_embeddings\":true}"),
  ATL_FUZZ_BYTES ("{\"model_type\":\"qwen3\"," SIZES "\"head_dim\":8,\"rope_scaling\":{"
                  "\"type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":32}}"),
  ATL_FUZZ_BYTES ("{\"model_type\":\"gemma3_text\"," SIZES "\"sliding_window\":8,\"layer_types\":["
                  "\"sliding_attention\"],\"query_pre_attn_scalar\":8,"
                  "\"rope_local_base_freq\":1e4}"),
  ATL_FUZZ_BYTES ("{\"model_type\":\"phi3\"," SIZES "\"rope_scaling\":{\"type\":\"longrope\","
                  "\"short_factor\":[1,1,1,1],\"long_factor\":[2,2,2,2]},"
                  "\"original_max_position_embeddings\":64,\"partial_rotary_factor\":0.5}"),
  ATL_FUZZ_BYTES ("{\"model_type\":\"phi3\"," SIZES "\"original_max_position_embeddings\":-1}"),
  ATL_FUZZ_BYTES ("{\"model_type\":\"deepseek_v3\"," SIZES "\"q_lora_rank\":8,\"kv_lora_rank\":8,"
                  "\"qk_nope_head_dim\":8,\"qk_rope_head_dim\":8,\"v_head_dim\":8,"
                  "\"n_routed_experts\":4,\"num_experts_per_tok\":2,\"n_group\":2,"
                  "\"topk_group\":1,\"n_shared_experts\":1,\"first_k_dense_replace\":0,"
                  "\"moe_intermediate_size\":16,\"scoring_func\":\"sigmoid\"}"),
  /* Numbers that no count can hold. */
  ATL_FUZZ_BYTES (
      "{\"model_type\":\"gemma4_text\"," SIZES "\"rotary_dim\":8,\"global_head_dim\":1e12,"
      "\"rope_parameters\":{\"rope_type\":\"proportional\",\"partial_rotary_factor\":1e12}}"),
  ATL_FUZZ_BYTES (
      "{\"model_type\":\"gemma3_text\",\"num_hidden_layers\":-1,\"sliding_window\":8,"
      "\"layer_types\":[\"sliding_attention\"],\"head_dim\":1e11,\"partial_rotary_factor\":1e11}"),
  ATL_FUZZ_BYTES ("{\"model_type\":\"lfm2\"," SIZES "\"layer_types\":[\"conv\"],\"conv_L_cache\":3,"
                  "\"block_auto_adjust_ff_dim\":true,\"block_multiple_of\":8}"),
  ATL_FUZZ_BYTES ("{\"model_type\":\"llama\"," SIZES
                  "\"quantization_config\":{\"quant_method\":\"gptq\","
                  "\"bits\":4,\"group_size\":32,\"desc_act\":false,\"sym\":true}}"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("\"rope_scaling\":null,"),
  ATL_FUZZ_BYTES ("\"rope_scaling\":[],"),
  ATL_FUZZ_BYTES ("\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":0},"),
  ATL_FUZZ_BYTES ("\"num_hidden_layers\":1e18,"),
  ATL_FUZZ_BYTES ("\"num_hidden_layers\":-1,"),
  ATL_FUZZ_BYTES ("\"num_attention_heads\":0,"),
  ATL_FUZZ_BYTES ("\"head_dim\":4294967296,"),
  ATL_FUZZ_BYTES ("\"layer_types\":[1,2],"),
  ATL_FUZZ_BYTES ("\"layer_types\":[],"),
  ATL_FUZZ_BYTES ("\"quantization_config\":{\"quant_method\":\"awq\",\"group_size\":-1},"),
  ATL_FUZZ_BYTES ("\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[0]},"),
  ATL_FUZZ_BYTES ("\"text_config\":{},"),
  ATL_FUZZ_BYTES ("\"model_type\":\"qwen2_moe\","),
  ATL_FUZZ_BYTES ("\"model_type\":\"gpt_oss\","),
  ATL_FUZZ_BYTES ("\"model_type\":\"hunyuan_v1_moe\","),
  ATL_FUZZ_BYTES ("\"partial_rotary_factor\":1e-9,"),
  ATL_FUZZ_BYTES ("9223372036854775808"),
  ATL_FUZZ_BYTES ("-0.5"),
  ATL_FUZZ_BYTES ("1e999"),
  ATL_FUZZ_BYTES ("true"),
  ATL_FUZZ_BYTES ("{}"),
  { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "folder", NULL, NULL, seeds, words };

static const struct
{
  const char *name;
  gint64 dim[2]; /* the second 0: a vector */
} tensors[] = {
  { "model.embed_tokens.weight", { 16, 32 } },
  { "model.norm.weight", { 32, 0 } },
  { "model.layers.0.input_layernorm.weight", { 32, 0 } },
  { "model.layers.0.post_attention_layernorm.weight", { 32, 0 } },
  { "model.layers.0.self_attn.q_proj.weight", { 32, 32 } },
  { "model.layers.0.self_attn.k_proj.weight", { 16, 32 } },
  { "model.layers.0.self_attn.v_proj.weight", { 16, 32 } },
  { "model.layers.0.self_attn.o_proj.weight", { 32, 32 } },
  { "model.layers.0.self_attn.q_norm.weight", { 8, 0 } },
  { "model.layers.0.self_attn.k_norm.weight", { 8, 0 } },
  { "model.layers.0.mlp.gate_proj.weight", { 64, 32 } },
  { "model.layers.0.mlp.up_proj.weight", { 64, 32 } },
  { "model.layers.0.mlp.down_proj.weight", { 32, 64 } },
};

static gboolean says_null; /* what was read, itself */

/* What refuses says why. */
static gboolean
is_refused (gboolean ok, GError **error)
{
  if (ok)
    return FALSE;
  g_assert_nonnull (*error);
  g_assert_true ((*error)->domain == ATL_ERROR);
  g_assert_true (g_utf8_validate ((*error)->message, -1, NULL));
  g_assert_true (says_null || strstr ((*error)->message, "(null)") == NULL);
  g_clear_error (error);
  return TRUE;
}

/* Rows that are made when they are read, too. */
static void
read_all (AtlCheckpoint *cp)
{
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
      g_autofree guint8 *bytes = g_malloc (info->size_bytes);

      g_assert_cmpuint (info->size_bytes, <=, 1 << 20);
      atl_tensor_info_read (info, 0, atl_tensor_info_n_rows (info), bytes);
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const guint8 zeros[64 * 32 * sizeof (float)];
  g_autoptr (AtlCheckpoint) hf = atl_checkpoint_new ("model");
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (GError) error = NULL;
  guint64 weights, kv, scratch;

  says_null = size > 0 && g_strstr_len ((const char *) data, (gssize) size, "(null)") != NULL;
  /* Every other folder has one tensor less. */
  for (guint i = 0; i < G_N_ELEMENTS (tensors); i++)
    {
      AtlTensorInfo info = { .name = tensors[i].name, .dtype = ATL_DTYPE_F32, .data = zeros };

      info.n_dims = tensors[i].dim[1] > 0 ? 2 : 1;
      info.dim[0] = tensors[i].dim[0];
      info.dim[1] = tensors[i].dim[1];
      info.size_bytes = (gsize) (info.dim[0] * MAX (info.dim[1], 1)) * sizeof (float);
      if (size % 26 != i)
        g_assert_true (atl_checkpoint_add_tensor (hf, &info, NULL));
    }
  if (is_refused (atl_config_add_json (hf, (const char *) data, size, "config.json", &error),
                  &error) ||
      !atl_hf_is_model (hf))
    return 0;
  cp = atl_hf_translate (hf, &error);
  if (is_refused (cp != NULL, &error))
    return 0;
  read_all (cp);
  atl_llm_supports (cp, NULL);
  is_refused (atl_llm_estimate (cp, 4096, ATL_DTYPE_F16, &weights, &kv, &scratch, NULL, &error),
              &error);
  return 0;
}
