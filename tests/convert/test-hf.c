/* Models as their authors publish them, in GGUF's words: settings that are computed, experts whose
 * gates and ups lie by turns, MXFP4 in its two orders, layers that do not attend. */
#include <string.h>

#include "engine/convert/hf.h"
#include "engine/tensor/quants/dequant.h"

static void
add_text (AtlCheckpoint *cp, const char *key, const char *text)
{
  AtlMetaValue value = { .type = ATL_META_STRING };

  value.v_string.chars = text;
  value.v_string.length = strlen (text);
  g_assert_true (atl_checkpoint_add_meta (cp, key, &value, NULL));
}

static void
add_number (AtlCheckpoint *cp, const char *key, double number)
{
  AtlMetaValue value = { .type = ATL_META_FLOAT, .v_float = number };

  g_assert_true (atl_checkpoint_add_meta (cp, key, &value, NULL));
}

static void
add_tensor (AtlCheckpoint *cp,
            const char *name,
            AtlDType dtype,
            guint n_dims,
            const gint64 *dim,
            gconstpointer data,
            gsize size)
{
  AtlTensorInfo info = { .name = name, .dtype = dtype, .n_dims = n_dims, .size_bytes = size };

  for (guint i = 0; i < n_dims; i++)
    info.dim[i] = dim[i];
  info.data = data;
  g_assert_true (atl_checkpoint_add_tensor (cp, &info, NULL));
}

static guint64
get_uint (const AtlCheckpoint *cp, const char *key)
{
  guint64 value = G_MAXUINT;

  g_assert_true (atl_checkpoint_get_uint (cp, key, 0, G_MAXUINT - 1, &value, NULL));
  return value;
}

static AtlCheckpoint *
translate (AtlCheckpoint *hf)
{
  g_autoptr (GError) error = NULL;
  AtlCheckpoint *cp = atl_hf_translate (hf, &error);

  g_assert_no_error (error);
  atl_checkpoint_unref (hf);
  return cp;
}

static AtlCheckpoint *
make (const char *type)
{
  AtlCheckpoint *hf = atl_checkpoint_new ("model");

  add_text (hf, "model_type", type);
  add_number (hf, "num_hidden_layers", 2);
  add_number (hf, "hidden_size", 64);
  add_number (hf, "intermediate_size", 100);
  add_number (hf, "num_attention_heads", 4);
  add_number (hf, "num_key_value_heads", 2);
  return hf;
}

/* Row r of expert e is scaled by 2^(4 e + r), its values count through the sixteen codes. */
static void
test_mxfp4 (void)
{
  static const gint64 blocks_dim[] = { 2, 4, 1, 16 }, bias_dim[] = { 2, 4 };
  static const float biases[8] = { 0, 1, 2, 3, 10, 11, 12, 13 };
  guint8 blocks[8 * 16], scales[8];
  AtlCheckpoint *hf = make ("gpt_oss"), *cp;
  const AtlTensorInfo *gate, *up, *bias;

  for (guint i = 0; i < sizeof blocks; i++)
    blocks[i] = (guint8) ((2 * i) % 16 | (2 * i + 1) % 16 << 4);
  for (guint i = 0; i < sizeof scales; i++)
    scales[i] = (guint8) (127 + i);
  add_tensor (hf, "model.layers.0.mlp.experts.gate_up_proj_blocks", ATL_DTYPE_U8, 4, blocks_dim,
              blocks, sizeof blocks);
  add_tensor (hf, "model.layers.0.mlp.experts.gate_up_proj_scales", ATL_DTYPE_U8, 3, blocks_dim,
              scales, sizeof scales);
  add_tensor (hf, "model.layers.0.mlp.experts.gate_up_proj_bias", ATL_DTYPE_F32, 2, bias_dim,
              biases, sizeof biases);
  cp = translate (hf);
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

/* Experts in another form would have to be turned. */
static void
test_plain_experts (void)
{
  static const gint64 dim[] = { 1, 2, 2 };
  static const float values[4] = { 1, 2, 3, 4 };
  g_autoptr (GError) error = NULL;
  AtlCheckpoint *hf = make ("gpt_oss");

  add_tensor (hf, "model.layers.0.mlp.experts.gate_up_proj", ATL_DTYPE_F32, 3, dim, values,
              sizeof values);
  g_assert_null (atl_hf_translate (hf, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "MXFP4"));
  atl_checkpoint_unref (hf);
}

static void
test_latent (void)
{
  AtlCheckpoint *hf = make ("deepseek_v3"), *cp;
  gboolean norm = FALSE;
  double scale = 0;

  add_number (hf, "qk_nope_head_dim", 48);
  add_number (hf, "qk_rope_head_dim", 16);
  add_number (hf, "v_head_dim", 24);
  add_number (hf, "kv_lora_rank", 32);
  add_number (hf, "head_dim", 16);
  add_number (hf, "n_routed_experts", 8);
  add_number (hf, "rope_scaling.factor", 40);
  add_number (hf, "rope_scaling.mscale_all_dim", 0.5);
  add_text (hf, "rope_scaling.type", "yarn");
  add_text (hf, "scoring_func", "sigmoid");
  cp = translate (hf);
  g_assert_cmpuint (get_uint (cp, "deepseek2.attention.key_length"), ==, 64);
  g_assert_cmpuint (get_uint (cp, "deepseek2.attention.value_length"), ==, 24);
  g_assert_cmpuint (get_uint (cp, "deepseek2.rope.dimension_count"), ==, 16);
  g_assert_cmpuint (get_uint (cp, "deepseek2.expert_gating_func"), ==, 2);
  g_assert_cmpuint (get_uint (cp, "deepseek2.expert_shared_count"), ==, 1);
  g_assert_true (atl_checkpoint_get_bool (cp, "deepseek2.expert_weights_norm", &norm, NULL));
  g_assert_true (norm);
  g_assert_true (atl_checkpoint_get_float (cp, "deepseek2.rope.scaling.yarn_log_multiplier", 0, 1,
                                           &scale, NULL));
  g_assert_cmpfloat_with_epsilon (scale, 0.05, 1e-7);
  atl_checkpoint_unref (cp);

  /* Without the sizes of the heads nothing can be said. */
  hf = make ("deepseek_v3");
  add_number (hf, "qk_rope_head_dim", 16);
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
  AtlCheckpoint *hf = make ("lfm2"), *cp;
  const AtlMetaValue *heads;
  const AtlTensorInfo *conv;
  g_autoptr (GError) error = NULL;

  g_assert_null (atl_hf_translate (hf, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  list.v_array.elem_type = ATL_META_STRING;
  list.v_array.n = 2;
  list.v_array.elems = types;
  g_assert_true (atl_checkpoint_add_meta (hf, "layer_types", &list, NULL));
  add_number (hf, "block_multiple_of", 32);
  add_tensor (hf, "model.layers.0.conv.conv.weight", ATL_DTYPE_F32, 3, dim, taps, sizeof taps);
  cp = translate (hf);
  heads = atl_checkpoint_meta (cp, "lfm2.attention.head_count_kv");
  g_assert_true (heads != NULL && heads->type == ATL_META_ARRAY && heads->v_array.n == 2);
  g_assert_cmpint (((const gint64 *) heads->v_array.elems)[0], ==, 0);
  g_assert_cmpint (((const gint64 *) heads->v_array.elems)[1], ==, 2);
  /* two thirds of 100, up to a multiple of 32 */
  g_assert_cmpuint (get_uint (cp, "lfm2.feed_forward_length"), ==, 96);
  conv = atl_checkpoint_find (cp, "blk.0.shortconv.conv.weight");
  g_assert_true (conv != NULL && conv->n_dims == 2);
  g_assert_cmpint (conv->dim[0], ==, 2);
  g_assert_cmpint (conv->dim[1], ==, 3);
  atl_checkpoint_unref (cp);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hf/mxfp4", test_mxfp4);
  g_test_add_func ("/hf/plain-experts", test_plain_experts);
  g_test_add_func ("/hf/latent", test_latent);
  g_test_add_func ("/hf/mixed", test_mixed);
  return g_test_run ();
}
