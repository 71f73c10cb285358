/* Settings that a folder of Hugging Face's gives layer by layer. */
#include <string.h>

#include "engine/formats/safetensors.h"
#include "hf-fixture.h"

/* Gemma 4 as transformers 5 saves it: what its full layers have of their own is told by layer. */
static void
test_layer_by_layer (void)
{
  static const char *const types[] = { "sliding_attention", "full_attention" };

  for (guint differing = 0; differing < 2; differing++)
    {
      AtlCheckpoint *hf = hf_make ("gemma4_text"), *cp;
      const AtlMetaValue *heads;

      hf_add_words (hf, "layer_types", types, 2);
      hf_add_whole (hf, "head_dim", 8);
      hf_add_whole (hf, "per_layer_config.01.head_dim", 16);
      hf_add_whole (hf, "per_layer_config.01.num_key_value_heads", 1);
      if (differing)
        {
          hf_add_whole (hf, "per_layer_config.00.head_dim", 32);
          hf_expect_refused (hf, ATL_ERROR_UNSUPPORTED, "head_dim");
          continue;
        }
      cp = hf_translate_taken (hf);
      g_assert_cmpuint (hf_get_uint (cp, "gemma4.attention.key_length"), ==, 16);
      g_assert_cmpuint (hf_get_uint (cp, "gemma4.attention.key_length_swa"), ==, 8);
      g_assert_cmpuint (hf_get_uint (cp, "gemma4.rope.dimension_count"), ==, 16);
      heads = atl_checkpoint_meta (cp, "gemma4.attention.head_count_kv");
      g_assert_true (heads != NULL && heads->type == ATL_META_ARRAY && heads->v_array.n == 2);
      for (guint i = 0; i < 2; i++)
        g_assert_cmpint (((const gint64 *) heads->v_array.elems)[i], ==, i == 0 ? 2 : 1);
      atl_checkpoint_unref (cp);
    }
}

/* Where nothing is listed all layers are alike, whatever the class assumes of full ones. */
static void
test_none_differs (void)
{
  static const char *const types[] = { "sliding_attention", "full_attention" };
  static const char json[] = "{\"per_layer_config\":{}}";
  AtlCheckpoint *hf = hf_make ("gemma4_text"), *cp;

  hf_add_words (hf, "layer_types", types, 2);
  hf_add_whole (hf, "head_dim", 8);
  g_assert_true (atl_config_add_json (hf, json, strlen (json), "config.json", NULL));
  cp = hf_translate_taken (hf);
  g_assert_cmpuint (hf_get_uint (cp, "gemma4.attention.key_length"), ==, 8);
  g_assert_cmpuint (hf_get_uint (cp, "gemma4.rope.dimension_count"), ==, 8);
  atl_checkpoint_unref (cp);
}

/* GLM-4.7-Flash names the layers without experts one by one. */
static void
test_dense_layers (void)
{
  static const char *const types[] = { "dense", "sparse", "dense" };

  for (guint first = 0; first < 2; first++)
    {
      AtlCheckpoint *hf = hf_make ("glm4_moe_lite"), *cp;

      hf_add_whole (hf, "qk_nope_head_dim", 48);
      hf_add_whole (hf, "qk_rope_head_dim", 16);
      hf_add_whole (hf, "v_head_dim", 24);
      hf_add_whole (hf, "kv_lora_rank", 32);
      hf_add_whole (hf, "first_k_dense_replace", 0);
      hf_add_words (hf, "mlp_layer_types", types + first, 2);
      if (first == 1)
        {
          hf_expect_refused (hf, ATL_ERROR_UNSUPPORTED, NULL);
          continue;
        }
      cp = hf_translate_taken (hf);
      g_assert_cmpuint (hf_get_uint (cp, "deepseek2.leading_dense_block_count"), ==, 1);
      atl_checkpoint_unref (cp);
    }
}

/* Llama 4 without experts: Llama Guard 4, and MobileLLM-R1, all of whose layers have positions. */
static void
test_no_experts (void)
{
  static const gint64 three_of_four[] = { 1, 1, 1, 0 }, four[] = { 1, 1, 1, 1 };
  static const char *const full[] = { "full_attention", "full_attention", "full_attention",
                                      "full_attention" };
  enum
  {
    GUARD,
    MOBILE,
    IN_CHUNKS,
    WITH_EXPERTS,
    N_CASES
  };

  for (guint i = 0; i < N_CASES; i++)
    {
      AtlCheckpoint *hf = atl_checkpoint_new ("model"), *cp;

      hf_add_text (hf, "model_type", "llama4_text");
      hf_add_whole (hf, "num_hidden_layers", 4);
      hf_add_whole (hf, "hidden_size", 64);
      hf_add_whole (hf, "intermediate_size_mlp", 100);
      hf_add_whole (hf, "num_attention_heads", 4);
      hf_add_whole (hf, "num_key_value_heads", 2);
      hf_add_whole (hf, "max_position_embeddings", 32768);
      hf_add_whole (hf, "num_local_experts", i == WITH_EXPERTS ? 16 : 0);
      hf_add_whole (hf, "interleave_moe_layer_step", i == WITH_EXPERTS ? 2 : 0);
      hf_add_wholes (hf, "no_rope_layers", i == GUARD ? three_of_four : four, 4);
      if (i == MOBILE)
        hf_add_words (hf, "layer_types", full, 4);
      if (i > MOBILE)
        {
          hf_expect_refused (hf, ATL_ERROR_UNSUPPORTED, NULL);
          continue;
        }
      cp = hf_translate_taken (hf);
      g_assert_cmpuint (hf_get_uint (cp, "llama4.feed_forward_length"), ==, 100);
      g_assert_null (atl_checkpoint_meta (cp, "llama4.interleave_moe_layer_step"));
      if (i == MOBILE)
        g_assert_cmpuint (hf_get_uint (cp, "llama4.attention.sliding_window"), ==, 0);
      else
        g_assert_null (atl_checkpoint_meta (cp, "llama4.attention.sliding_window"));
      atl_checkpoint_unref (cp);
    }
}

/* Which of Llama 4's layers have experts follows from a step, whatever names them. */
static void
test_named_experts (void)
{
  static const gint64 every_second[] = { 1, 3 }, first[] = { 0, 2 };

  for (guint i = 0; i < 2; i++)
    {
      AtlCheckpoint *hf = atl_checkpoint_new ("model"), *cp;

      hf_add_text (hf, "model_type", "llama4_text");
      hf_add_whole (hf, "num_hidden_layers", 4);
      hf_add_whole (hf, "hidden_size", 64);
      hf_add_whole (hf, "num_attention_heads", 4);
      hf_add_whole (hf, "interleave_moe_layer_step", 2);
      hf_add_wholes (hf, "moe_layers", i == 0 ? every_second : first, 2);
      if (i > 0)
        {
          hf_expect_refused (hf, ATL_ERROR_UNSUPPORTED, "moe_layers");
          continue;
        }
      cp = hf_translate_taken (hf);
      g_assert_cmpuint (hf_get_uint (cp, "llama4.interleave_moe_layer_step"), ==, 2);
      atl_checkpoint_unref (cp);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hf-layers/none-differs", test_none_differs);
  g_test_add_func ("/hf-layers/layer-by-layer", test_layer_by_layer);
  g_test_add_func ("/hf-layers/dense-layers", test_dense_layers);
  g_test_add_func ("/hf-layers/no-experts", test_no_experts);
  g_test_add_func ("/hf-layers/named-experts", test_named_experts);
  return g_test_run ();
}
