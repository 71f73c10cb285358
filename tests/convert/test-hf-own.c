/* Families whose code came with their files, or that say or save things in ways of their own: fused
 * queries, keys and values, layers of one thing each, scales that follow from others. */
#include <math.h>
#include <string.h>

#include "engine/convert/hf.h"
#include "hf-fixture.h"

/* InternLM 2: per head of keys two of queries, its own, that of values; heads of 4 whose halves
 * become neighbours. */
static void
test_fused_groups (void)
{
  static const gint64 dim[] = { 32, 1 }, bad[] = { 30, 1 };
  static const float q[] = { 0, 2, 1, 3, 4, 6, 5, 7, 16, 18, 17, 19, 20, 22, 21, 23 };
  static const float k[] = { 8, 10, 9, 11, 24, 26, 25, 27 };
  static const float v[] = { 12, 13, 14, 15, 28, 29, 30, 31 };
  AtlCheckpoint *hf = hf_make ("internlm2"), *cp;

  hf_add_counted (hf, "model.layers.1.attention.wqkv.weight", 2, dim);
  cp = hf_translate_taken (hf);
  for (gint64 step = 1; step <= 16; step += 3)
    {
      hf_check_numbers (cp, "blk.1.attn_q.weight", q, 16, step);
      hf_check_numbers (cp, "blk.1.attn_k.weight", k, 8, step);
      hf_check_numbers (cp, "blk.1.attn_v.weight", v, 8, step);
    }
  atl_checkpoint_unref (cp);

  hf = hf_make ("internlm2");
  hf_add_counted (hf, "model.layers.1.attention.wqkv.weight", 2, bad);
  hf_expect_refused (hf, ATL_ERROR_BAD_FILE, "model.layers.1.attention.wqkv");
}

/* Ling keeps all queries before all keys; Ling 2.0, of the same type, rotates as it is saved. */
static void
test_fused_whole (void)
{
  static const gint64 dim[] = { 32, 1 }, list[] = { 3 };
  static const float q[] = { 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15 };
  static const float k[] = { 16, 18, 17, 19, 20, 22, 21, 23 };
  static const float v[] = { 24, 25, 26, 27, 28, 29, 30, 31 };
  AtlCheckpoint *hf = hf_make ("bailing_moe"), *cp;
  double scale = 0;

  hf_add_counted (hf, "model.layers.0.attention.query_key_value.weight", 2, dim);
  cp = hf_translate_taken (hf);
  hf_check_numbers (cp, "blk.0.attn_q.weight", q, 16, 5);
  hf_check_numbers (cp, "blk.0.attn_k.weight", k, 8, 5);
  hf_check_numbers (cp, "blk.0.attn_v.weight", v, 8, 5);
  atl_checkpoint_unref (cp);

  hf = hf_make ("bailing_moe");
  hf_add_text (hf, "score_function", "sigmoid");
  hf_add_number (hf, "head_dim", 4);
  hf_add_number (hf, "num_shared_experts", 2);
  hf_add_number (hf, "routed_scaling_factor", 2.5);
  hf_add_counted (hf, "model.layers.0.attention.query_key_value.weight", 2, dim);
  hf_add_counted (hf, "model.layers.0.mlp.gate.expert_bias", 1, list);
  cp = hf_translate_taken (hf);
  g_assert_cmpstr (atl_checkpoint_get_string (cp, "general.architecture"), ==, "bailingmoe2");
  g_assert_cmpint (atl_checkpoint_find (cp, "blk.0.attn_qkv.weight")->dim[0], ==, 32);
  hf_check_numbers (cp, "blk.0.exp_probs_b.bias", (const float[]){ 0, 1, 2 }, 3, 1);
  g_assert_cmpuint (hf_get_uint (cp, "bailingmoe2.expert_shared_count"), ==, 2);
  g_assert_cmpuint (hf_get_uint (cp, "bailingmoe2.expert_gating_func"), ==, 2);
  g_assert_cmpuint (hf_get_uint (cp, "bailingmoe2.rope.dimension_count"), ==, 2);
  g_assert_true (
      atl_checkpoint_get_float (cp, "bailingmoe2.expert_weights_scale", 0, 9, &scale, NULL));
  g_assert_cmpfloat (scale, ==, 2.5);
  atl_checkpoint_unref (cp);

  hf = hf_make ("bailing_moe");
  hf_add_flag (hf, "norm_head", TRUE);
  hf_expect_refused (hf, ATL_ERROR_UNSUPPORTED, "norm_head");
}

/* How many heads of keys there are, its settings say in three ways. */
static void
test_falcon (void)
{
  static const gint64 new_dim[] = { 32, 1 }, old_dim[] = { 24, 1 }, list[] = { 2 };
  static const float sorted[] = { 0, 1, 2,  3,  4,  5,  6,  7,  16, 17, 18, 19, 20, 21, 22, 23,
                                  8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31 };
  float want[24];
  AtlCheckpoint *hf = hf_make ("falcon"), *cp;
  gboolean parallel = TRUE;

  hf_add_flag (hf, "new_decoder_architecture", TRUE);
  hf_add_number (hf, "num_kv_heads", 2);
  hf_add_counted (hf, "transformer.h.1.self_attention.query_key_value.weight", 2, new_dim);
  hf_add_counted (hf, "transformer.h.1.ln_attn.bias", 1, list);
  hf_add_counted (hf, "transformer.h.1.ln_mlp.bias", 1, list);
  cp = hf_translate_taken (hf);
  hf_check_numbers (cp, "blk.1.attn_qkv.weight", sorted, 32, 7);
  g_assert_nonnull (atl_checkpoint_find (cp, "blk.1.attn_norm.bias"));
  g_assert_nonnull (atl_checkpoint_find (cp, "blk.1.attn_norm_2.bias"));
  g_assert_cmpuint (hf_get_uint (cp, "falcon.attention.head_count_kv"), ==, 2);
  atl_checkpoint_unref (cp);

  /* One for all, though a number is there. */
  hf = hf_make ("falcon");
  hf_add_number (hf, "num_kv_heads", 4);
  hf_add_counted (hf, "transformer.h.0.self_attention.query_key_value.weight", 2, old_dim);
  cp = hf_translate_taken (hf);
  for (guint i = 0; i < 24; i++)
    want[i] = (float) i;
  hf_check_numbers (cp, "blk.0.attn_qkv.weight", want, 24, 5);
  g_assert_cmpuint (hf_get_uint (cp, "falcon.attention.head_count_kv"), ==, 1);
  atl_checkpoint_unref (cp);

  /* One each, of two rows: q, k, v of a head together. */
  hf = hf_make ("falcon");
  hf_add_flag (hf, "multi_query", FALSE);
  hf_add_flag (hf, "parallel_attn", FALSE);
  hf_add_counted (hf, "transformer.h.0.self_attention.query_key_value.weight", 2, old_dim);
  cp = hf_translate_taken (hf);
  for (guint i = 0; i < 24; i++)
    want[i] = (float) (i % 8 / 2 * 6 + i / 8 * 2 + i % 2);
  hf_check_numbers (cp, "blk.0.attn_qkv.weight", want, 24, 5);
  g_assert_cmpuint (hf_get_uint (cp, "falcon.attention.head_count_kv"), ==, 4);
  g_assert_true (atl_checkpoint_get_bool (cp, "falcon.use_parallel_residual", &parallel, NULL));
  g_assert_false (parallel);
  atl_checkpoint_unref (cp);

  hf = hf_make ("falcon");
  hf_add_flag (hf, "alibi", TRUE);
  hf_expect_refused (hf, ATL_ERROR_UNSUPPORTED, NULL);
}

/* Layers that are one thing each, by letters or by words, with experts or without. */
static void
test_nemotron_h (void)
{
  static const char *const kinds[] = { "mamba", "mlp", "full_attention" };
  for (guint by_words = 0; by_words < 2; by_words++)
    {
      AtlCheckpoint *hf = atl_checkpoint_new ("model"), *cp;
      const AtlMetaValue *heads, *widths;

      hf_add_text (hf, "model_type", "nemotron_h");
      hf_add_number (hf, "hidden_size", 64);
      hf_add_number (hf, "intermediate_size", 100);
      hf_add_number (hf, "moe_intermediate_size", 20);
      hf_add_number (hf, "num_attention_heads", 4);
      hf_add_number (hf, "num_key_value_heads", 2);
      hf_add_number (hf, "mamba_num_heads", 6);
      hf_add_number (hf, "mamba_head_dim", 8);
      /* said of all models, whatever their layers are */
      hf_add_number (hf, "n_routed_experts", 8);
      if (by_words)
        hf_add_words (hf, "layers_block_type", kinds, 3);
      else
        {
          hf_add_number (hf, "num_hidden_layers", 3);
          hf_add_text (hf, "hybrid_override_pattern", "ME*");
        }
      cp = hf_translate_taken (hf);
      heads = atl_checkpoint_meta (cp, by_words ? "nemotron_h.attention.head_count_kv"
                                                : "nemotron_h_moe.attention.head_count_kv");
      widths = atl_checkpoint_meta (cp, by_words ? "nemotron_h.feed_forward_length"
                                                 : "nemotron_h_moe.feed_forward_length");
      g_assert_true (heads != NULL && heads->v_array.n == 3);
      g_assert_true (widths != NULL && widths->v_array.n == 3);
      for (guint i = 0; i < 3; i++)
        {
          g_assert_cmpint (((const gint64 *) heads->v_array.elems)[i], ==, i == 2 ? 2 : 0);
          g_assert_cmpint (((const gint64 *) widths->v_array.elems)[i], ==,
                           i != 1     ? 0
                           : by_words ? 100
                                      : 20);
        }
      g_assert_true ((atl_checkpoint_meta (cp, "nemotron_h.expert_count") == NULL) &&
                     (atl_checkpoint_meta (cp, "nemotron_h_moe.expert_count") == NULL) ==
                         (by_words != 0));
      atl_checkpoint_unref (cp);
    }
}

/* A width that a layer needs and the settings lack, or have none of, goes by its own name. */
static void
test_nemotron_h_widths (void)
{
  static const char *const patterns[] = { "ME*", "M-*" };
  static const char *const names[] = { "moe_intermediate_size", "intermediate_size" };

  for (guint i = 0; i < 4; i++)
    {
      AtlCheckpoint *hf = atl_checkpoint_new ("model");
      g_autoptr (GError) error = NULL;

      hf_add_text (hf, "model_type", "nemotron_h");
      hf_add_text (hf, "hybrid_override_pattern", patterns[i % 2]);
      hf_add_number (hf, "num_hidden_layers", 3);
      hf_add_number (hf, "hidden_size", 64);
      hf_add_number (hf, "num_attention_heads", 4);
      hf_add_number (hf, "mamba_num_heads", 6);
      hf_add_number (hf, "mamba_head_dim", 8);
      if (i >= 2)
        hf_add_number (hf, names[i % 2], 2147483648.0);
      g_assert_null (atl_hf_translate (hf, &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
      if (strstr (error->message, names[i % 2]) == NULL ||
          (i % 2 == 1 && strstr (error->message, names[0]) != NULL))
        g_test_fail_printf ("%s: %s", patterns[i % 2], error->message);
      atl_checkpoint_unref (hf);
    }
}

/* Scales that follow from others, and settings under names of their own. */
static void
test_own_settings (void)
{
  static const gint64 dim[] = { 2, 1 };
  AtlCheckpoint *hf = hf_make ("minicpm"), *cp;
  double value = 0;

  hf_add_number (hf, "scale_emb", 12);
  hf_add_number (hf, "scale_depth", 1.4);
  hf_add_number (hf, "dim_model_base", 16);
  cp = hf_translate_taken (hf);
  g_assert_true (atl_checkpoint_get_float (cp, "minicpm.embedding_scale", 0, 99, &value, NULL) &&
                 value == 12);
  g_assert_true (atl_checkpoint_get_float (cp, "minicpm.residual_scale", 0, 9, &value, NULL));
  g_assert_cmpfloat_with_epsilon (value, 1.4 / sqrt (2), 1e-6);
  g_assert_true (atl_checkpoint_get_float (cp, "minicpm.logit_scale", 0, 99, &value, NULL) &&
                 value == 4);
  atl_checkpoint_unref (cp);

  hf = atl_checkpoint_new ("model");
  hf_add_text (hf, "model_type", "exaone");
  hf_add_number (hf, "num_layers", 2);
  hf_add_number (hf, "hidden_size", 64);
  hf_add_number (hf, "num_attention_heads", 4);
  hf_add_number (hf, "layer_norm_epsilon", 1e-3);
  hf_add_counted (hf, "transformer.h.1.mlp.c_fc_1.weight", 2, dim);
  hf_add_counted (hf, "transformer.wte.weight", 2, dim);
  cp = hf_translate_taken (hf);
  g_assert_nonnull (atl_checkpoint_find (cp, "blk.1.ffn_up.weight"));
  g_assert_nonnull (atl_checkpoint_find (cp, "token_embd.weight"));
  g_assert_cmpuint (hf_get_uint (cp, "exaone.block_count"), ==, 2);
  g_assert_true (
      atl_checkpoint_get_float (cp, "exaone.attention.layer_norm_rms_epsilon", 0, 1, &value, NULL));
  g_assert_cmpfloat_with_epsilon (value, 1e-3, 1e-9);
  atl_checkpoint_unref (cp);
}

/* Qwen3-VL's experts are published as [expert, in, out], and saved by newer versions of their
 * authors' library as [expert, out, in]; and it says twice whether the output layer is shared. */
static void
test_both_orders (void)
{
  static const gint64 turned[] = { 2, 3, 4 }, in_order[] = { 2, 4, 3 }, head[] = { 2, 3 };
  static const float gates_turned[] = { 0, 4, 8, 1, 5, 9, 12, 16, 20, 13, 17, 21 };
  static const float gates[] = { 0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17 };

  for (guint i = 0; i < 2; i++)
    {
      AtlCheckpoint *hf = atl_checkpoint_new ("model"), *cp;

      hf_add_text (hf, "model_type", "qwen3_vl_moe");
      hf_add_text (hf, "text_config.model_type", "qwen3_vl_moe_text");
      hf_add_number (hf, "text_config.num_hidden_layers", 1);
      hf_add_number (hf, "text_config.num_attention_heads", 1);
      hf_add_number (hf, "text_config.hidden_size", 3);
      hf_add_flag (hf, "text_config.tie_word_embeddings", TRUE);
      hf_add_flag (hf, "tie_word_embeddings", FALSE);
      hf_add_counted (hf, "model.language_model.layers.0.mlp.experts.gate_up_proj", 3,
                      i == 0 ? turned : in_order);
      hf_add_counted (hf, "lm_head.weight", 2, head);
      cp = hf_translate_taken (hf);
      hf_check_numbers (cp, "blk.0.ffn_gate_exps.weight", i == 0 ? gates_turned : gates, 12, 3);
      g_assert_nonnull (atl_checkpoint_find (cp, "output.weight"));
      atl_checkpoint_unref (cp);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hf-own/fused-groups", test_fused_groups);
  g_test_add_func ("/hf-own/fused-whole", test_fused_whole);
  g_test_add_func ("/hf-own/falcon", test_falcon);
  g_test_add_func ("/hf-own/nemotron-h", test_nemotron_h);
  g_test_add_func ("/hf-own/nemotron-h-widths", test_nemotron_h_widths);
  g_test_add_func ("/hf-own/own-settings", test_own_settings);
  g_test_add_func ("/hf-own/both-orders", test_both_orders);
  return g_test_run ();
}
