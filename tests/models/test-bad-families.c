/* Every model that tests/golden ships, made wrong in every simple way: each tensor left out,
 * misshapen, mistyped; each hyperparameter absurd, or missing. Refused in words, or loaded and run;
 * never a crash, never memory that the file does not account for. With $ATELIER_FAULT_ROUNDS all
 * absurd values, else a part; $ATELIER_GOLDEN_PATH adds families. */
#include <math.h>
#include <string.h>

#include "changed-model.h"

/* --- What a change may do --- */

/* "deepseek2.block_count" for "block_count". */
static char *
key_of (AtlCheckpoint *cp, const char *name)
{
  return g_strconcat (atl_checkpoint_get_string (cp, "general.architecture"), ".", name, NULL);
}

static guint
get_uint (AtlCheckpoint *cp, const char *name)
{
  g_autofree char *key = key_of (cp, name);
  guint64 value = 0;

  atl_checkpoint_get_uint (cp, key, 0, G_MAXUINT, &value, NULL);
  return (guint) value;
}

/* The blocks after the last layer are for guessing ahead; nothing reads them. */
static gboolean
is_unused (AtlCheckpoint *cp, const char *name)
{
  guint n = get_uint (cp, "block_count") - get_uint (cp, "nextn_predict_layers");

  return g_str_has_prefix (name, "blk.") && g_ascii_strtoull (name + 4, NULL, 10) >= n;
}

static gboolean
is_optional (AtlCheckpoint *cp, const char *name)
{
  static const char *const names[] = { "output.weight", "output.bias", "rope_freqs.weight" };

  /* DeepSeek V2 and its likes have none; no other layer here tells. */
  if (g_str_has_suffix (name, ".exp_probs_b.bias") && get_uint (cp, "block_count") < 4)
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (name, names[i]))
      return TRUE;
  return is_unused (cp, name);
}

/* Its rows say how large something is, so that another tensor is the one that does not fit. */
static gboolean
sets_a_size (const char *name)
{
  return g_str_equal (name, "token_embd.weight") || g_str_has_suffix (name, ".laurel_l.weight");
}

/* --- Tensors --- */

static void
test_missing_tensors (gconstpointer path)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_path (path);

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const char *name = atl_checkpoint_tensor (cp, i)->name;
      Change c = { .tensor = name };

      changed_model_expect (cp, &c, !is_optional (cp, name));
    }
}

/* A vector may lie in a row of its own, and what has one column be without it. */
static gboolean
is_same (const AtlTensorInfo *a, const AtlTensorInfo *b)
{
  gint64 dim[2][ATL_MAX_DIMS];
  guint n[2] = { 0 };
  const AtlTensorInfo *infos[] = { a, b };

  for (guint i = 0; i < 2; i++)
    for (guint k = 0; k < infos[i]->n_dims; k++)
      if (infos[i]->dim[k] != 1)
        dim[i][n[i]++] = infos[i]->dim[k];
  return n[0] == n[1] && memcmp (dim[0], dim[1], n[0] * sizeof *dim[0]) == 0;
}

static void
expect_shape (AtlCheckpoint *from, const Change *c, gboolean is_rows)
{
  gboolean lenient = is_unused (from, c->tensor) || (is_rows && sets_a_size (c->tensor)) ||
                     is_same (c->info, atl_checkpoint_find (from, c->tensor));

  changed_model_expect (from, c, !lenient);
}

/* Shapes that the bytes allow, but the model does not. */
static void
test_misshapen_tensors (gconstpointer path)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_path (path);

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *have = atl_checkpoint_tensor (cp, i);
      AtlTensorInfo info = *have;
      Change c = { .tensor = have->name, .info = &info };
      gboolean used = !is_unused (cp, have->name);

      changed_model_try_shapes (cp, have, expect_shape);
      info.n_dims = 0;
      info.size_bytes = atl_dtype_info (info.dtype)->block_bytes;
      changed_model_expect (cp, &c, used && have->size_bytes != info.size_bytes);

      info = *have;
      info.n_dims = have->n_dims + 1;
      memmove (info.dim + 1, have->dim, have->n_dims * sizeof *info.dim);
      info.dim[0] = 1;
      changed_model_survive (cp, &c);
    }
}

static gboolean
is_small (const char *name)
{
  return g_str_has_suffix (name, "_norm.weight") || g_str_has_suffix (name, ".bias");
}

static void
test_mistyped_tensors (gconstpointer path)
{
  static const AtlDType types[] = { ATL_DTYPE_I8,  ATL_DTYPE_I16,  ATL_DTYPE_I32,  ATL_DTYPE_U32,
                                    ATL_DTYPE_I64, ATL_DTYPE_BOOL, ATL_DTYPE_Q8_1, ATL_DTYPE_Q8_K };
  static const AtlDType usable[] = { ATL_DTYPE_F64, ATL_DTYPE_F16, ATL_DTYPE_Q8_0, ATL_DTYPE_IQ4_NL,
                                     ATL_DTYPE_IQ2_XXS };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_path (path);

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    for (gsize t = 0; t < G_N_ELEMENTS (types); t++)
      {
        AtlTensorInfo info = *atl_checkpoint_tensor (cp, i);
        Change c = { .tensor = info.name, .info = &info };

        if (changed_model_retype (&info, types[t]))
          changed_model_expect (cp, &c, !is_unused (cp, info.name));
      }
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    for (gsize t = 0; t < G_N_ELEMENTS (usable); t++)
      {
        AtlTensorInfo info = *atl_checkpoint_tensor (cp, i);
        Change c = { .tensor = info.name, .info = &info };

        /* Norms and biases are never in blocks. */
        if (changed_model_retype (&info, usable[t]))
          changed_model_expect (cp, &c,
                                is_small (info.name) && !is_unused (cp, info.name) &&
                                    atl_dtype_info (usable[t])->quantized);
      }
}

/* --- Hyperparameters --- */

/* Every key but those of the vocabulary takes every absurd value; the model decides which of them
 * are errors. */
static void
test_absurd_values (gconstpointer path)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_path (path);
  guint n_changed = 0;

  for (guint i = 0; i < atl_checkpoint_n_meta (cp); i++)
    {
      const char *key = atl_checkpoint_meta_key (cp, i);
      const AtlMetaValue *have = atl_checkpoint_meta (cp, key);

      if (have->type == ATL_META_STRING || g_str_has_prefix (key, "tokenizer."))
        continue;
      n_changed++;
      changed_model_try_values (cp, key);
    }
  g_assert_cmpuint (n_changed, >=, 8);
}

/* The keys whose default is another model's; of the keys that a model has. */
static void
test_missing_keys (gconstpointer path)
{
  static const char *const keys[] = {
    "block_count",       "context_length",    "embedding_length",   "attention.kv_lora_rank",
    "expert_used_count", "shortconv.l_cache", "ssm.conv_kernel",    "ssm.group_count",
    "ssm.inner_size",    "ssm.state_size",    "ssm.time_step_rank",
  };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_path (path);

  static const char *const eps[] = { "attention.layer_norm_epsilon",
                                     "attention.layer_norm_rms_epsilon" };
  g_autofree char *kind = key_of (cp, "rope.scaling.type");
  g_autofree char *factor = key_of (cp, "rope.scaling.factor");
  const char *scaling = atl_checkpoint_get_string (cp, kind);

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autofree char *key = key_of (cp, keys[i]);

      if (atl_checkpoint_meta (cp, key) != NULL)
        changed_model_refuse (cp, &(Change){ .key = key });
    }
  /* Some have both. */
  for (gsize i = 0; i < G_N_ELEMENTS (eps); i++)
    {
      g_autofree char *key = key_of (cp, eps[i]);
      g_autofree char *other = key_of (cp, eps[1 - i]);

      if (atl_checkpoint_meta (cp, key) != NULL && atl_checkpoint_meta (cp, other) == NULL)
        changed_model_refuse (cp, &(Change){ .key = key });
    }
  if (g_strcmp0 (scaling, "yarn") == 0 || g_strcmp0 (scaling, "linear") == 0)
    changed_model_refuse (cp, &(Change){ .key = factor });
}

/* Another number of layers than there are tensors for. */
static void
test_layers (gconstpointer path)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_path (path);
  g_autofree char *key = key_of (cp, "block_count");
  guint n = get_uint (cp, "block_count");
  const guint counts[] = { 1, n - 1, n + 1, 2 * n, 1000, 1000000 };

  for (gsize i = 0; i < G_N_ELEMENTS (counts); i++)
    {
      AtlMetaValue value = changed_model_number (counts[i]);

      if (counts[i] != n)
        changed_model_refuse (cp, &(Change){ .key = key, .value = &value });
    }
}

/* The values that must not pass, whatever else does; of the keys that a model has. */
static void
test_impossible_values (gconstpointer path)
{
  static const struct
  {
    const char *key;
    double value; /* whole ones are written as whole numbers */
  } cases[] = {
    { "block_count", 0 },
    { "block_count", 2147483648.0 },
    { "context_length", 0 },
    { "embedding_length", 0 },
    { "embedding_length", 4294967295.0 },
    { "embedding_length_per_layer_input", 2147483648.0 },
    { "feed_forward_length", 2147483648.0 },
    { "feed_forward_length", -1 },
    { "attention.head_count", 0 },
    { "attention.head_count", 4095 },
    { "attention.head_count", 2147483648.0 },
    { "attention.head_count_kv", 4095 },
    { "attention.head_count_kv", -1 },
    { "attention.key_length", 0 },
    { "attention.key_length", 7 },
    { "attention.key_length_mla", 1 },
    { "attention.key_length_swa", 0 },
    { "attention.value_length", 0 },
    { "attention.value_length", 65537 },
    { "attention.value_length_mla", 0 },
    { "attention.kv_lora_rank", 0 },
    { "attention.kv_lora_rank", -1 },
    { "attention.kv_lora_rank", 2147483648.0 },
    { "attention.q_lora_rank", 0 },
    { "attention.q_lora_rank", 2147483648.0 },
    { "attention.layer_norm_rms_epsilon", NAN },
    { "attention.layer_norm_rms_epsilon", -1.5 },
    { "attention.layer_norm_rms_epsilon", INFINITY },
    { "attention.layer_norm_epsilon", NAN },
    { "attention.sliding_window", -1 },
    { "attention.sliding_window", 2147483648.0 },
    { "attention.shared_kv_layers", -1 },
    { "attention.shared_kv_layers", 1024 },
    { "attention.scale", NAN },
    { "rope.dimension_count", 0 },
    { "rope.dimension_count", 3 },
    { "rope.dimension_count", 65536 },
    { "rope.dimension_count_swa", 0 },
    { "rope.dimension_count_swa", 3 },
    { "rope.freq_base", 0 },
    { "rope.freq_base", NAN },
    { "rope.freq_base_swa", 0 },
    { "ssm.conv_kernel", 0 },
    { "ssm.conv_kernel", 1 },
    { "ssm.conv_kernel", 2147483648.0 },
    { "ssm.state_size", 0 },
    { "ssm.state_size", -1 },
    { "ssm.state_size", 2147483648.0 },
    { "ssm.group_count", 0 },
    { "ssm.group_count", 7 },
    { "ssm.group_count", 2147483648.0 },
    { "ssm.inner_size", 0 },
    { "ssm.inner_size", 31 },
    { "ssm.inner_size", 2147483648.0 },
    { "ssm.time_step_rank", 0 },
    { "ssm.time_step_rank", 7 },
    { "ssm.time_step_rank", 2147483648.0 },
    { "shortconv.l_cache", 0 },
    { "shortconv.l_cache", 1 },
    { "shortconv.l_cache", 2147483648.0 },
    { "full_attention_interval", 0 },
    { "full_attention_interval", 2147483648.0 },
    { "expert_count", 4095 },
    { "expert_count", 2147483648.0 },
    { "expert_used_count", 0 },
    { "expert_used_count", -1 },
    { "expert_used_count", 4096 },
    { "expert_feed_forward_length", 0 },
    { "expert_feed_forward_length", 2147483648.0 },
    { "expert_shared_count", 2147483648.0 },
    { "expert_shared_feed_forward_length", 2147483648.0 },
    { "expert_group_count", 4096 },
    { "expert_group_used_count", 4096 },
    { "expert_gating_func", 9 },
    { "expert_weights_scale", NAN },
    { "leading_dense_block_count", 2147483648.0 },
    { "interleave_moe_layer_step", 0 },
    { "nextn_predict_layers", 1024 },
    { "altup.num_inputs", 0 },
    { "altup.num_inputs", 100 },
    { "altup.active_idx", 100 },
    { "final_logit_softcapping", NAN },
    { "attn_logit_softcapping", NAN },
    { "embedding_scale", NAN },
    { "residual_scale", NAN },
  };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_path (path);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      double number = cases[i].value;
      g_autofree char *key = key_of (cp, cases[i].key);
      const AtlMetaValue *have = atl_checkpoint_meta (cp, key);
      AtlMetaValue value = changed_model_number (number);

      /* A family may say the impossible of what it has none of. */
      if (have == NULL || (number == 0.0 && have->type == ATL_META_UINT && have->v_uint == 0))
        continue;
      g_test_message ("%s = %g", key, number);
      changed_model_refuse (cp, &(Change){ .key = key, .value = &value });
    }
}

/* …/FAMILY/model.gguf or …/FAMILY/variants/NAME/model.gguf */
static char *
name_of (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *parent = g_path_get_dirname (folder);
  g_autofree char *name = g_path_get_basename (folder);
  g_autofree char *family = NULL, *whole = NULL;

  if (!g_str_has_suffix (parent, "variants"))
    return g_steal_pointer (&name);
  family = g_path_get_dirname (parent);
  whole = g_path_get_basename (family);
  return g_strconcat (whole, "/", name, NULL);
}

int
main (int argc, char **argv)
{
  static const ChangedModelTest tests[] = {
    { "missing-tensors", test_missing_tensors },
    { "misshapen-tensors", test_misshapen_tensors },
    { "mistyped-tensors", test_mistyped_tensors },
    { "absurd-values", test_absurd_values },
    { "missing-keys", test_missing_keys },
    { "layers", test_layers },
    { "impossible-values", test_impossible_values },
    { NULL, NULL },
  };
  g_autoptr (GPtrArray) models = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  models = model_fixture_models ();
  changed_model_add_tests ("bad", models, name_of, tests);
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
