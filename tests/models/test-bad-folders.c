/* Every Hugging Face folder that tests/golden ships, made wrong in every simple way: each tensor
 * left out, misshapen, mistyped; each setting absurd or missing. Refused in words, or loaded and
 * run; never a crash, never memory that the files do not account for. */
#include <math.h>
#include <string.h>

#include "changed-model.h"

/* --- Tensors --- */

static gboolean
is_optional (AtlCheckpoint *cp, const char *name)
{
  /* GPTQ's zeros are the middle where it is symmetric. */
  static const char *const endings[] = { ".qzeros", ".layer_scalar" };

  /* Of a stack without its last the first is named, with its shape. */
  if (g_str_has_prefix (name, "model.altup_") && g_str_has_suffix (name, "s.2.weight"))
    return TRUE;
  /* Where inputs are in order it says nothing. */
  if (g_str_has_suffix (name, ".g_idx"))
    {
      gboolean ordered = FALSE;

      atl_checkpoint_get_bool (cp, "quantization_config.desc_act", &ordered, NULL);
      return !ordered;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (endings); i++)
    if (g_str_has_suffix (name, endings[i]))
      return TRUE;
  return FALSE;
}

static void
test_missing_tensors (gconstpointer path)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_folder (path);

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const char *name = atl_checkpoint_tensor (cp, i)->name;
      Change c = { .tensor = name };

      changed_model_expect (cp, &c, !is_optional (cp, name));
    }
}

static void
survive_shape (AtlCheckpoint *from, const Change *c, G_GNUC_UNUSED gboolean is_rows)
{
  changed_model_survive (from, c);
}

/* Weights as they are, of no packed form: nothing but their own shape fits. A convolution of every
 * channel by itself may lack its dimension of one, and a row may be a vector. */
static void
refuse_shape (AtlCheckpoint *from, const Change *c, gboolean is_rows)
{
  const AtlTensorInfo *have = atl_checkpoint_find (from, c->tensor);
  gint64 n = 1, n_have = 1;

  for (guint k = 0; k < c->info->n_dims; k++)
    n *= c->info->dim[k];
  for (guint k = 0; k < have->n_dims; k++)
    n_have *= have->dim[k];
  /* Its rows say how large something is, so that another tensor is the one that does not fit. */
  if (is_rows && strstr (c->tensor, "laurel.linear_left") != NULL)
    changed_model_survive (from, c);
  else if (is_rows && strstr (c->tensor, "embed") != NULL)
    changed_model_expect (from, c, strstr (c->tensor, "per_layer") == NULL);
  else
    changed_model_expect (from, c, n != n_have);
}

static void
test_misshapen_tensors (gconstpointer path)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_folder (path);

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *have = atl_checkpoint_tensor (cp, i);
      AtlTensorInfo info = *have;
      Change c = { .tensor = have->name, .info = &info };

      if (have->n_dims == 0)
        continue;
      changed_model_try_shapes (
          cp, have,
          atl_checkpoint_get_string (cp, "quantization_config.quant_method") == NULL
              ? refuse_shape
              : survive_shape);
      info.n_dims = 0;
      info.size_bytes = atl_dtype_info (info.dtype)->block_bytes;
      changed_model_survive (cp, &c);

      info = *have;
      if (have->n_dims < ATL_MAX_DIMS)
        {
          info.n_dims = have->n_dims + 1;
          memmove (info.dim + 1, have->dim, have->n_dims * sizeof *info.dim);
          info.dim[0] = 1;
          changed_model_survive (cp, &c);
        }
    }
}

static void
test_mistyped_tensors (gconstpointer path)
{
  static const AtlDType types[] = { ATL_DTYPE_I8,      ATL_DTYPE_U8,   ATL_DTYPE_I32,
                                    ATL_DTYPE_I64,     ATL_DTYPE_BOOL, ATL_DTYPE_F8_E4M3,
                                    ATL_DTYPE_F8_E5M2, ATL_DTYPE_F16,  ATL_DTYPE_F32,
                                    ATL_DTYPE_F64 };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_folder (path);

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    for (gsize t = 0; t < G_N_ELEMENTS (types); t++)
      {
        AtlTensorInfo info = *atl_checkpoint_tensor (cp, i);
        Change c = { .tensor = info.name, .info = &info };

        if (changed_model_retype (&info, types[t]))
          changed_model_survive (cp, &c);
      }
}

/* --- Settings --- */

static void
try_texts (AtlCheckpoint *cp, const char *key)
{
  static const char *const texts[] = { "",        "%s%n",     "llama",   "qwen3_next",
                                       "gpt_oss", "mamba2",   "gemma3n", "yarn",
                                       "llama3",  "longrope", "linear",  "dynamic",
                                       "gptq",    "awq",      "fp8",     "compressed-tensors",
                                       "mxfp4" };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      AtlMetaValue value = { .type = ATL_META_STRING };
      Change c = { .key = key, .value = &value };

      value.v_string.chars = texts[i];
      value.v_string.length = strlen (texts[i]);
      changed_model_survive (cp, &c);
    }
}

static void
test_absurd_values (gconstpointer path)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_folder (path);

  g_assert_cmpuint (atl_checkpoint_n_meta (cp), >, 8);
  for (guint i = 0; i < atl_checkpoint_n_meta (cp); i++)
    {
      const char *key = atl_checkpoint_meta_key (cp, i);

      if (!g_str_has_prefix (key, "generation_config.") && !g_str_has_prefix (key, "__metadata__."))
        {
          changed_model_try_values (cp, key);
          /* One text in place of a number is like any other. */
          if (atl_checkpoint_meta (cp, key)->type == ATL_META_STRING)
            try_texts (cp, key);
        }
    }
}

/* Settings that a family carries along. */
static gboolean
is_unread (const AtlCheckpoint *cp, const char *key)
{
  const char *type = atl_checkpoint_get_string (cp, "model_type");

  if (g_strcmp0 (type, "mamba2") == 0)
    return g_str_equal (key, "head_dim");
  if (g_strcmp0 (type, "granitemoehybrid") == 0)
    return g_str_equal (key, "intermediate_size") || g_str_equal (key, "num_experts_per_tok");
  return FALSE;
}

/* Those whose absence or value cannot be lived with, of the keys that a model has. */
static void
test_impossible_values (gconstpointer path)
{
  static const struct
  {
    const char *key;
    double value;
  } cases[] = {
    { "num_hidden_layers", 0 },
    { "num_hidden_layers", -1 },
    { "num_hidden_layers", 2147483648.0 },
    { "hidden_size", 0 },
    { "hidden_size", 1e30 },
    { "num_attention_heads", 0 },
    { "num_attention_heads", 4095 },
    { "num_key_value_heads", 4095 },
    { "num_key_value_heads", -1 },
    { "head_dim", 7 },
    { "head_dim", -1 },
    { "rms_norm_eps", -1.5 },
    { "rope_theta", 0 },
    { "num_experts_per_tok", 4096 },
    { "num_local_experts", 4095 },
    { "num_experts", 4095 },
    { "n_routed_experts", 4095 },
    { "kv_lora_rank", 0 },
    { "qk_rope_head_dim", 3 },
    { "moe_intermediate_size", 2147483648.0 },
    { "intermediate_size", 2147483648.0 },
    { "conv_kernel", 0 },
    { "state_size", 0 },
    { "mamba_d_state", 0 },
    { "linear_num_key_heads", 0 },
    { "full_attention_interval", 0 },
    { "quantization_config.bits", 5 },
  };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_folder (path);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      AtlMetaValue value = changed_model_number (cases[i].value);
      Change c = { .key = cases[i].key, .value = &value };

      if (atl_checkpoint_meta (cp, c.key) == NULL || is_unread (cp, c.key))
        continue;
      g_test_message ("%s = %g", c.key, cases[i].value);
      changed_model_refuse (cp, &c);
    }
}

/* Neither a word nor what is no number may pass for one that the model reads. */
static void
test_settings_of_other_kinds (gconstpointer path)
{
  static const char *const keys[] = {
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "rms_norm_eps",
    "rope_theta",
    "rope_parameters.rope_theta",
    "rope_scaling.factor",
    "num_experts_per_tok",
    "num_local_experts",
    "num_experts",
    "n_routed_experts",
    "kv_lora_rank",
    "qk_rope_head_dim",
    "moe_intermediate_size",
    "sliding_window",
    "conv_kernel",
    "state_size",
    "mamba_d_state",
    "vocab_size",
    "partial_rotary_factor",
    "max_position_embeddings",
    "hidden_act",
    "quantization_config.bits",
    "attn_scale",
    "quantization_config.group_size",
    "rope_scaling.type",
    "rope_scaling.rope_type",
  };
  const AtlMetaValue values[] = {
    { .type = ATL_META_STRING, .v_string = { "five", 4 } },
    { .type = ATL_META_FLOAT, .v_float = NAN },
    { .type = ATL_META_BOOL, .v_bool = TRUE },
  };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_folder (path);

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    for (gsize k = 0; k < G_N_ELEMENTS (values); k++)
      if (atl_checkpoint_meta (cp, keys[i]) != NULL && !is_unread (cp, keys[i]))
        {
          g_test_message ("%s, %zu", keys[i], k);
          changed_model_refuse (cp, &(Change){ .key = keys[i], .value = &values[k] });
        }
}

static char *
name_of (const char *path)
{
  return g_path_get_basename (path);
}

int
main (int argc, char **argv)
{
  static const ChangedModelTest tests[] = {
    { "missing-tensors", test_missing_tensors },
    { "misshapen-tensors", test_misshapen_tensors },
    { "mistyped-tensors", test_mistyped_tensors },
    { "absurd-values", test_absurd_values },
    { "impossible-values", test_impossible_values },
    { "settings-of-other-kinds", test_settings_of_other_kinds },
    { NULL, NULL },
  };
  g_autoptr (GPtrArray) paths = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  paths = model_fixture_folders ();
  changed_model_add_tests ("bad-folders", paths, name_of, tests);
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
