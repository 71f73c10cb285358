/* Models as their authors publish them, in GGUF's words: settings that are computed, experts whose
 * gates and ups lie by turns, MXFP4 in its two orders, layers that do not attend. */
#include <math.h>
#include <string.h>

#include "engine/convert/hf.h"
#include "engine/formats/safetensors.h"
#include "engine/tensor/quants/dequant.h"
#include "hf-fixture.h"

/* Row r of expert e is scaled by 2^(4 e + r), its values count through the sixteen codes. */
static void
test_mxfp4 (void)
{
  static const gint64 blocks_dim[] = { 2, 4, 1, 16 }, bias_dim[] = { 2, 4 };
  static const float biases[8] = { 0, 1, 2, 3, 10, 11, 12, 13 };
  guint8 blocks[8 * 16], scales[8];
  AtlCheckpoint *hf = hf_make ("gpt_oss"), *cp;
  const AtlTensorInfo *gate, *up, *bias;

  for (guint i = 0; i < sizeof blocks; i++)
    blocks[i] = (guint8) ((2 * i) % 16 | (2 * i + 1) % 16 << 4);
  for (guint i = 0; i < sizeof scales; i++)
    scales[i] = (guint8) (127 + i);
  hf_add_tensor_of (hf, "model.layers.0.mlp.experts.gate_up_proj_blocks", ATL_DTYPE_U8, 4,
                    blocks_dim, blocks, sizeof blocks);
  hf_add_tensor_of (hf, "model.layers.0.mlp.experts.gate_up_proj_scales", ATL_DTYPE_U8, 3,
                    blocks_dim, scales, sizeof scales);
  hf_add_tensor_of (hf, "model.layers.0.mlp.experts.gate_up_proj_bias", ATL_DTYPE_F32, 2, bias_dim,
                    biases, sizeof biases);
  cp = hf_translate_taken (hf);
  gate = atl_checkpoint_find (cp, "blk.0.ffn_gate_exps.weight");
  up = atl_checkpoint_find (cp, "blk.0.ffn_up_exps.weight");
  g_assert_true (gate != NULL && up != NULL);
  for (guint half = 0; half < 2; half++)
    {
      const AtlTensorInfo *info = half == 0 ? gate : up;

      g_assert_cmpint (info->dtype, ==, ATL_DTYPE_MXFP4);
      g_assert_cmpint (info->dim[0], ==, 2);
      g_assert_cmpint (info->dim[1], ==, 2);
      g_assert_cmpint (info->dim[2], ==, 32);
      for (guint row = 0; row < 4; row++)
        {
          static const float codes[] = { 0, .5f, 1, 1.5f, 2, 3, 4, 6 };
          guint8 bytes[17];
          float values[32];

          atl_tensor_info_read (info, row, 1, bytes);
          g_assert_true (atl_dequantize (info->dtype, bytes, values, 32));
          for (guint i = 0; i < 32; i++)
            g_assert_cmpfloat (values[i], ==,
                               (float) (1 << (2 * row + half)) *
                                   (i % 16 < 8 ? codes[i % 8] : -codes[i % 8]));
        }
    }
  bias = atl_checkpoint_find (cp, "blk.0.ffn_up_exps.bias");
  g_assert_true (bias != NULL && bias->size_bytes == 4 * sizeof (float));
  for (guint i = 0; i < 4; i++)
    g_assert_cmpfloat (((const float *) bias->data)[i], ==, biases[2 * i + 1]);
  atl_checkpoint_unref (cp);
}

/* gpt-oss without its own type: [expert, in, gates and ups by turns]. */
static void
test_turned_experts (void)
{
  static const gint64 dim[] = { 2, 3, 4 }, odd[] = { 2, 3, 5 };
  /* number 12 e + 4 i + 2 o (+ 1) */
  static const float gates[] = { 0, 4, 8, 2, 6, 10, 12, 16, 20, 14, 18, 22 };
  static const float ups[] = { 1, 5, 9, 3, 7, 11, 13, 17, 21, 15, 19, 23 };
  static const float down[] = { 0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11 };
  AtlCheckpoint *hf = hf_make ("gpt_oss"), *cp;

  hf_add_counted (hf, "model.layers.0.mlp.experts.gate_up_proj", 3, dim);
  hf_add_counted (hf, "model.layers.0.mlp.experts.down_proj", 3, dim);
  cp = hf_translate_taken (hf);
  for (gint64 step = 1; step <= 8; step++)
    {
      hf_check_numbers (cp, "blk.0.ffn_gate_exps.weight", gates, 12, step);
      hf_check_numbers (cp, "blk.0.ffn_up_exps.weight", ups, 12, step);
    }
  g_assert_cmpint (atl_checkpoint_find (cp, "blk.0.ffn_down_exps.weight")->dim[1], ==, 4);
  {
    float got[24];

    atl_tensor_info_read (atl_checkpoint_find (cp, "blk.0.ffn_down_exps.weight"), 0, 8,
                          (guint8 *) got);
    for (guint i = 0; i < 12; i++)
      g_assert_cmpfloat (got[i], ==, down[i]);
  }
  atl_checkpoint_unref (cp);

  hf = hf_make ("gpt_oss");
  hf_add_counted (hf, "model.layers.0.mlp.experts.gate_up_proj", 3, odd);
  hf_expect_refused (hf, ATL_ERROR_BAD_FILE, "mlp.experts.gate_up_proj");
}

static AtlCheckpoint *
make_delta (const char *type)
{
  AtlCheckpoint *hf = hf_make (type);

  hf_add_number (hf, "linear_num_key_heads", 2);
  hf_add_number (hf, "linear_num_value_heads", 4);
  hf_add_number (hf, "linear_key_head_dim", 2);
  hf_add_number (hf, "linear_value_head_dim", 2);
  hf_add_number (hf, "head_dim", 16);
  return hf;
}

/* Each key head has 2 rows of q, 2 of k, 4 of v, 4 of z. */
static void
test_key_heads (void)
{
  static const gint64 dim[] = { 24, 1 }, bad[] = { 22, 1 }, list[] = { 4 };
  static const float qkv[] = { 0, 1, 12, 13, 2, 3, 14, 15, 4, 5, 6, 7, 16, 17, 18, 19 };
  static const float z[] = { 8, 9, 10, 11, 20, 21, 22, 23 };
  static const float a[] = { -1, -2.7182818f, -7.3890561f, -20.085537f };
  AtlCheckpoint *hf = make_delta ("qwen3_next"), *cp;

  hf_add_counted (hf, "model.layers.0.linear_attn.in_proj_qkvz.weight", 2, dim);
  hf_add_counted (hf, "model.layers.0.linear_attn.A_log", 1, list);
  hf_add_counted (hf, "model.layers.0.linear_attn.norm.weight", 1, list);
  hf_add_counted (hf, "model.layers.0.input_layernorm.weight", 1, list);
  cp = hf_translate_taken (hf);
  for (gint64 step = 1; step <= 16; step += 5)
    {
      hf_check_numbers (cp, "blk.0.attn_qkv.weight", qkv, 16, step);
      hf_check_numbers (cp, "blk.0.attn_gate.weight", z, 8, step);
    }
  hf_check_numbers (cp, "blk.0.ssm_a", a, 4, 1);
  hf_check_numbers (cp, "blk.0.ssm_norm.weight", (const float[]){ 0, 1, 2, 3 }, 4, 1);
  hf_check_numbers (cp, "blk.0.attn_norm.weight", (const float[]){ 1, 2, 3, 4 }, 4, 1);
  g_assert_cmpuint (hf_get_uint (cp, "qwen3next.ssm.inner_size"), ==, 8);
  g_assert_cmpuint (hf_get_uint (cp, "qwen3next.full_attention_interval"), ==, 4);
  g_assert_cmpuint (hf_get_uint (cp, "qwen3next.rope.dimension_count"), ==, 4);
  atl_checkpoint_unref (cp);

  hf = make_delta ("qwen3_next");
  hf_add_counted (hf, "model.layers.0.linear_attn.in_proj_qkvz.weight", 2, bad);
  hf_expect_refused (hf, ATL_ERROR_BAD_FILE, "linear_attn.in_proj_qkvz");
}

/* Value heads 0 1 | 2 3 of two key heads become 0 2 1 3, as rows, numbers and columns. */
static void
test_tiled_heads (void)
{
  static const gint64 rows[] = { 16, 1 }, columns[] = { 2, 8 }, list[] = { 4 };
  static const char *const types[] = { "linear_attention", "full_attention" };
  static const float qkv[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15 };
  static const float out[] = { 0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15 };
  const AtlMetaValue *recurrent;
  AtlCheckpoint *hf = make_delta ("qwen3_5"), *cp;

  hf_add_counted (hf, "model.language_model.layers.0.linear_attn.in_proj_qkv.weight", 2, rows);
  hf_add_counted (hf, "model.language_model.layers.0.linear_attn.out_proj.weight", 2, columns);
  hf_add_counted (hf, "model.language_model.layers.0.linear_attn.dt_bias", 1, list);
  cp = hf_translate_taken (hf);
  hf_check_numbers (cp, "blk.0.attn_qkv.weight", qkv, 16, 3);
  hf_check_numbers (cp, "blk.0.ssm_out.weight", out, 16, 2);
  hf_check_numbers (cp, "blk.0.ssm_dt.bias", (const float[]){ 0, 2, 1, 3 }, 4, 1);
  atl_checkpoint_unref (cp);

  /* Layers attend where the list says so. */
  hf = make_delta ("qwen3_5");
  hf_add_words (hf, "layer_types", types, G_N_ELEMENTS (types));
  cp = hf_translate_taken (hf);
  recurrent = atl_checkpoint_meta (cp, "qwen35.attention.recurrent_layers");
  g_assert_true (recurrent != NULL && recurrent->type == ATL_META_ARRAY &&
                 recurrent->v_array.n == G_N_ELEMENTS (types));
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    g_assert_cmpint (((const gboolean *) recurrent->v_array.elems)[i], ==, i == 0);
  atl_checkpoint_unref (cp);
}

/* Falcon-H1: 8 rows of z and x each, 2 of B and C each, 2 of dt. */
static void
test_multipliers (void)
{
  static const gint64 dim[] = { 22, 1 }, list[] = { 2 }, one[] = { 1, 2 };
  static const double five[] = { 0.5, 1, 2, 3, 0.25 };
  float want[22];
  AtlCheckpoint *hf = hf_make ("falcon_h1"), *cp;

  hf_add_number (hf, "mamba_d_ssm", 8);
  hf_add_number (hf, "mamba_n_heads", 2);
  hf_add_number (hf, "mamba_d_state", 2);
  hf_add_number (hf, "ssm_in_multiplier", 1.5);
  hf_add_number (hf, "key_multiplier", 0.3);
  hf_add_number (hf, "attention_in_multiplier", 2);
  hf_add_list (hf, "ssm_multipliers", five, 5);
  hf_add_counted (hf, "model.layers.0.mamba.in_proj.weight", 2, dim);
  hf_add_counted (hf, "model.layers.0.mamba.D", 1, list);
  hf_add_counted (hf, "model.layers.0.self_attn.k_proj.weight", 2, one);
  cp = hf_translate_taken (hf);
  for (guint i = 0; i < 22; i++)
    want[i] = (float) i * 1.5f * (float) five[i < 8 ? 0 : i < 16 ? 1 : i < 18 ? 2 : i < 20 ? 3 : 4];
  hf_check_numbers (cp, "blk.0.ssm_in.weight", want, 22, 5);
  hf_check_numbers (cp, "blk.0.attn_k.weight", (const float[]){ 0, 0.6f }, 2, 1);
  g_assert_cmpint (atl_checkpoint_find (cp, "blk.0.ssm_d")->n_dims, ==, 2);
  atl_checkpoint_unref (cp);

  /* A list that is too short. */
  hf = hf_make ("falcon_h1");
  hf_add_number (hf, "mamba_d_ssm", 8);
  hf_add_number (hf, "mamba_n_heads", 2);
  hf_add_number (hf, "mamba_d_state", 2);
  hf_add_list (hf, "ssm_multipliers", five, 4);
  hf_add_counted (hf, "model.layers.0.mamba.in_proj.weight", 2, dim);
  hf_expect_refused (hf, ATL_ERROR_BAD_FILE, NULL);
}

static void
test_gemma (void)
{
  static const char *const types[] = { "sliding_attention", "full_attention" };
  static const double pattern[] = { 0.95, 0 };
  static const gint64 dim[] = { 2, 1 };
  const AtlMetaValue *list;
  g_autoptr (GError) error = NULL;
  AtlCheckpoint *hf = hf_make ("gemma3n"), *cp;

  /* Which layers are windowed has to be said. */
  g_assert_null (atl_hf_translate (hf, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  hf_add_words (hf, "layer_types", types, 2);
  hf_add_list (hf, "activation_sparsity_pattern", pattern, 2);
  hf_add_number (hf, "num_kv_shared_layers", 1);
  hf_add_number (hf, "vocab_size", 4);
  hf_add_counted (hf, "model.language_model.embed_tokens_per_layer.weight", 2, dim);
  cp = hf_translate_taken (hf);
  list = atl_checkpoint_meta (cp, "gemma3n.activation_sparsity_scale");
  g_assert_true (list != NULL && list->v_array.n == 2);
  g_assert_cmpfloat_with_epsilon (((const double *) list->v_array.elems)[0], 1.6448536, 1e-6);
  g_assert_true (isinf (((const double *) list->v_array.elems)[1]));
  hf_check_numbers (cp, "per_layer_token_embd.weight", (const float[]){ 0, 1, 0, 0 }, 4, 3);
  atl_checkpoint_unref (cp);

  hf = hf_make ("gemma4_text");
  hf_add_words (hf, "layer_types", types, 2);
  hf_add_number (hf, "head_dim", 8);
  hf_add_number (hf, "global_head_dim", 16);
  hf_add_text (hf, "rope_parameters.full_attention.rope_type", "proportional");
  hf_add_number (hf, "rope_parameters.full_attention.partial_rotary_factor", 0.25);
  cp = hf_translate_taken (hf);
  hf_check_numbers (cp, "rope_freqs.weight",
                    (const float[]){ 1, 1, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f }, 8, 1);
  g_assert_cmpuint (hf_get_uint (cp, "gemma4.rope.dimension_count"), ==, 16);
  g_assert_cmpuint (hf_get_uint (cp, "gemma4.rope.dimension_count_swa"), ==, 8);
  atl_checkpoint_unref (cp);
}

static void
test_latent (void)
{
  AtlCheckpoint *hf = hf_make ("deepseek_v3"), *cp;
  gboolean norm = FALSE;
  double scale = 0;

  hf_add_number (hf, "qk_nope_head_dim", 48);
  hf_add_number (hf, "qk_rope_head_dim", 16);
  hf_add_number (hf, "v_head_dim", 24);
  hf_add_number (hf, "kv_lora_rank", 32);
  hf_add_number (hf, "head_dim", 16);
  hf_add_number (hf, "n_routed_experts", 8);
  hf_add_number (hf, "rope_scaling.factor", 40);
  hf_add_number (hf, "rope_scaling.mscale", 1);
  hf_add_number (hf, "rope_scaling.mscale_all_dim", 0.5);
  hf_add_text (hf, "rope_scaling.type", "yarn");
  hf_add_text (hf, "scoring_func", "sigmoid");
  cp = hf_translate_taken (hf);
  g_assert_cmpuint (hf_get_uint (cp, "deepseek2.attention.key_length"), ==, 64);
  g_assert_cmpuint (hf_get_uint (cp, "deepseek2.attention.value_length"), ==, 24);
  g_assert_cmpuint (hf_get_uint (cp, "deepseek2.rope.dimension_count"), ==, 16);
  g_assert_cmpuint (hf_get_uint (cp, "deepseek2.expert_gating_func"), ==, 2);
  g_assert_cmpuint (hf_get_uint (cp, "deepseek2.expert_shared_count"), ==, 1);
  g_assert_true (atl_checkpoint_get_bool (cp, "deepseek2.expert_weights_norm", &norm, NULL));
  g_assert_true (norm);
  g_assert_true (atl_checkpoint_get_float (cp, "deepseek2.rope.scaling.yarn_log_multiplier", 0, 1,
                                           &scale, NULL));
  g_assert_cmpfloat_with_epsilon (scale, 0.05, 1e-7);
  /* Of two different ones the ratio is left on cosines and sines. */
  g_assert_true (
      atl_checkpoint_get_float (cp, "deepseek2.rope.scaling.yarn_attn_factor", 0, 2, &scale, NULL));
  g_assert_cmpfloat_with_epsilon (scale, (0.1 * log (40) + 1) / (0.05 * log (40) + 1), 1e-6);
  atl_checkpoint_unref (cp);

  /* Without the sizes of the heads nothing can be said. */
  hf = hf_make ("deepseek_v3");
  hf_add_number (hf, "qk_rope_head_dim", 16);
  g_assert_null (atl_hf_translate (hf, NULL));
  atl_checkpoint_unref (hf);
}

static void
test_mixed (void)
{
  static char *types[] = { (char *) "conv", (char *) "full_attention" };
  static const gint64 dim[] = { 2, 1, 3 };
  static const float taps[6] = { 1, 2, 3, 4, 5, 6 };
  AtlMetaValue list = { .type = ATL_META_ARRAY };
  AtlCheckpoint *hf = hf_make ("lfm2"), *cp;
  const AtlMetaValue *heads;
  const AtlTensorInfo *conv;
  g_autoptr (GError) error = NULL;

  g_assert_null (atl_hf_translate (hf, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  list.v_array.elem_type = ATL_META_STRING;
  list.v_array.n = 2;
  list.v_array.elems = types;
  g_assert_true (atl_checkpoint_add_meta (hf, "layer_types", &list, NULL));
  hf_add_number (hf, "block_multiple_of", 32);
  hf_add_tensor_of (hf, "model.layers.0.conv.conv.weight", ATL_DTYPE_F32, 3, dim, taps,
                    sizeof taps);
  cp = hf_translate_taken (hf);
  heads = atl_checkpoint_meta (cp, "lfm2.attention.head_count_kv");
  g_assert_true (heads != NULL && heads->type == ATL_META_ARRAY && heads->v_array.n == 2);
  g_assert_cmpint (((const gint64 *) heads->v_array.elems)[0], ==, 0);
  g_assert_cmpint (((const gint64 *) heads->v_array.elems)[1], ==, 2);
  /* two thirds of 100, up to a multiple of 32 */
  g_assert_cmpuint (hf_get_uint (cp, "lfm2.feed_forward_length"), ==, 96);
  conv = atl_checkpoint_find (cp, "blk.0.shortconv.conv.weight");
  g_assert_true (conv != NULL && conv->n_dims == 2);
  g_assert_cmpint (conv->dim[0], ==, 2);
  g_assert_cmpint (conv->dim[1], ==, 3);
  atl_checkpoint_unref (cp);
}

/* What a folder leaves out is what its class in transformers takes. */
static void
test_left_out (void)
{
  static const struct
  {
    const char *type, *key;
    double want;
  } cases[] = {
    { "granite", "granite.attention.scale", 1 },
    { "granite", "granite.logit_scale", 1 },
    { "cohere", "command-r.rope.freq_base", 5e5 },
    { "deepseek_v3", "deepseek2.expert_weights_scale", 2.5 },
    { "glm4_moe_lite", "deepseek2.expert_weights_scale", 1.8 },
    { "gemma4_text", "gemma4.rope.freq_base", 1e6 },
    { "gemma4_text", "gemma4.rope.freq_base_swa", 1e4 },
    { "gemma4_text", "gemma4.final_logit_softcapping", 0 },
  };
  static const struct
  {
    const char *type, *key;
    guint want;
  } counts[] = {
    { "qwen3_moe", "qwen3moe.expert_used_count", 8 },
    { "qwen3_5_moe_text", "qwen35moe.expert_used_count", 8 },
    { "lfm2_moe", "lfm2moe.expert_used_count", 4 },
    { "gpt_oss", "gpt-oss.expert_used_count", 4 },
    { "hunyuan_v1_moe", "hunyuan-moe.expert_used_count", 1 },
    { "deepseek_v3", "deepseek2.expert_group_count", 8 },
  };
  static const char *const types[] = { "sliding_attention", "full_attention" };
  const gsize n = G_N_ELEMENTS (cases);

  for (gsize i = 0; i < n + G_N_ELEMENTS (counts); i++)
    {
      const char *type = i < n ? cases[i].type : counts[i - n].type;
      AtlCheckpoint *hf = hf_make (type), *cp;
      gboolean norm = TRUE;
      double got = -1;

      hf_add_words (hf, "layer_types", types, 2);
      hf_add_whole (hf, "qk_nope_head_dim", 48);
      hf_add_whole (hf, "qk_rope_head_dim", 16);
      hf_add_whole (hf, "v_head_dim", 24);
      cp = hf_translate_taken (hf);
      if (i < n)
        {
          g_assert_true (atl_checkpoint_get_float (cp, cases[i].key, 0, 1e9, &got, NULL));
          g_assert_cmpfloat_with_epsilon (got, cases[i].want, 1e-9 + 1e-6 * cases[i].want);
        }
      else
        g_assert_cmpuint (hf_get_uint (cp, counts[i - n].key), ==, counts[i - n].want);
      if (strcmp (type, "qwen3_moe") == 0)
        g_assert_true (atl_checkpoint_get_bool (cp, "qwen3moe.expert_weights_norm", &norm, NULL) &&
                       !norm);
      atl_checkpoint_unref (cp);
    }
}

/* Gemma 2 without its caps says null, which is none and not what its class assumes. */
static void
test_null_cap (void)
{
  for (guint is_null = 0; is_null < 2; is_null++)
    {
      AtlCheckpoint *hf = hf_make ("gemma2"), *cp;
      const char *json = is_null ? "{\"attn_logit_softcapping\":null}" : "{}";
      double cap = -1;

      g_assert_true (atl_config_add_json (hf, json, strlen (json), "config.json", NULL));
      cp = hf_translate_taken (hf);
      g_assert_true (
          atl_checkpoint_get_float (cp, "gemma2.attn_logit_softcapping", 0, 1e6, &cap, NULL));
      g_assert_cmpfloat (cap, ==, is_null ? 0 : 50);
      atl_checkpoint_unref (cp);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hf/mxfp4", test_mxfp4);
  g_test_add_func ("/hf/null-cap", test_null_cap);
  g_test_add_func ("/hf/turned-experts", test_turned_experts);
  g_test_add_func ("/hf/key-heads", test_key_heads);
  g_test_add_func ("/hf/tiled-heads", test_tiled_heads);
  g_test_add_func ("/hf/multipliers", test_multipliers);
  g_test_add_func ("/hf/gemma", test_gemma);
  g_test_add_func ("/hf/latent", test_latent);
  g_test_add_func ("/hf/mixed", test_mixed);
  g_test_add_func ("/hf/left-out", test_left_out);
  return g_test_run ();
}
