/* Settings of models with layers that carry a state (gated delta net, Mamba 2), and of Llama 4. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-writer.h"

#include <glib/gi18n.h>
#include <string.h>

static gboolean
is_arch (const HfWriter *w, const char *words)
{
  g_autofree char *framed = g_strconcat (" ", w->arch, " ", NULL);

  return strstr (words, framed) != NULL;
}

/* A whole number of at least 1, which has to be there. */
static double
need (HfWriter *w, const char *key)
{
  double value = 0;

  if (hf_number (w, key, &value) && value >= 1 && value <= 1 << 24)
    return value;
  hf_fail (w, ATL_ERROR_BAD_FILE, _ ("the setting “%s” is missing or out of range"), key);
  return 1;
}

/* Biases that no tensor of GGUF has a place for. */
static void
refuse (HfWriter *w, const char *key)
{
  if (atl_hf_config_bool (w->config, key, FALSE))
    hf_fail (w, ATL_ERROR_UNSUPPORTED, _ ("“%s” is on, which is not known here"), key);
}

/* --- Gated delta net --- */

/* Which layers attend: all whose number divides by the interval, or those that the list says. */
static void
put_interval (HfWriter *w)
{
  const AtlMetaValue *types = hf_layer_types (w);
  gboolean is_said = atl_hf_config_meta (w->config, "full_attention_interval") != NULL;
  double interval = is_said ? need (w, "full_attention_interval") : 4;
  AtlMetaValue recurrent = { .type = ATL_META_ARRAY };
  g_autofree gboolean *flags = NULL;

  hf_put_uint (w, "full_attention_interval", interval);
  if (types == NULL)
    return;
  flags = g_new0 (gboolean, types->v_array.n + 1);
  for (gsize i = 0; i < types->v_array.n; i++)
    flags[i] = strcmp (((char *const *) types->v_array.elems)[i], "full_attention") != 0;
  recurrent.v_array.elem_type = ATL_META_BOOL;
  recurrent.v_array.n = types->v_array.n;
  recurrent.v_array.elems = flags;
  hf_put (w, "attention.recurrent_layers", &recurrent);
}

static void
put_delta (HfWriter *w)
{
  double values = need (w, "linear_num_value_heads"), keys = need (w, "linear_num_key_heads");
  double size = need (w, "linear_value_head_dim");

  if (size != need (w, "linear_key_head_dim"))
    hf_fail (
        w, ATL_ERROR_UNSUPPORTED,
        _ ("the heads of keys (linear_key_head_dim) and of values (linear_value_head_dim) have "
           "different sizes"));
  hf_put_uint (w, "ssm.conv_kernel", need (w, "linear_conv_kernel_dim"));
  hf_put_uint (w, "ssm.state_size", size);
  hf_put_uint (w, "ssm.group_count", keys);
  hf_put_uint (w, "ssm.time_step_rank", values);
  hf_put_uint (w, "ssm.inner_size", values * size);
  put_interval (w);
}

/* --- Mamba 2 --- */

static void
put_state_space (HfWriter *w, double inner, double heads)
{
  hf_put_uint (w, "ssm.inner_size", inner);
  hf_put_uint (w, "ssm.time_step_rank", heads);
}

static void
put_mamba (HfWriter *w)
{
  double inner = need (w, "expand") * need (w, "hidden_size"), heads;

  if (!hf_number (w, "num_heads", &heads))
    heads = inner / need (w, "head_dim");
  put_state_space (w, inner, heads);
  hf_put_uint (w, "ssm.conv_kernel", need (w, "conv_kernel"));
  hf_put_uint (w, "ssm.state_size", need (w, "state_size"));
  hf_put_uint (w, "ssm.group_count", need (w, "n_groups"));
  hf_put_uint (w, "attention.head_count", 0);
  hf_put_uint (w, "feed_forward_length", 0);
  refuse (w, "use_bias");
}

static void
put_hybrid_mamba (HfWriter *w)
{
  double inner;

  if (!hf_number (w, "mamba_d_ssm", &inner) || inner < 1)
    inner = need (w, "mamba_expand") * need (w, "hidden_size");
  put_state_space (w, inner, need (w, "mamba_n_heads"));
  hf_put_uint (w, "ssm.conv_kernel", need (w, "mamba_d_conv"));
  hf_put_uint (w, "ssm.state_size", need (w, "mamba_d_state"));
  hf_put_uint (w, "ssm.group_count", need (w, "mamba_n_groups"));
  refuse (w, "mamba_proj_bias");
}

static void
put_granite (HfWriter *w)
{
  const char *kind = atl_hf_config_string (w->config, "position_embedding_type");
  double experts = 0, shared = 0;

  hf_put (w, "rope.scaling.finetuned",
          &(AtlMetaValue){ .type = ATL_META_BOOL, .v_bool = g_strcmp0 (kind, "rope") == 0 });
  hf_number (w, "num_local_experts", &experts);
  hf_number (w, "shared_intermediate_size", &shared);
  if (shared >= 1)
    hf_put_uint (w, experts >= 1 ? "expert_shared_feed_forward_length" : "feed_forward_length",
                 shared);
}

/* A gate before the norm is another network. */
static void
put_falcon (HfWriter *w)
{
  if (atl_hf_config_bool (w->config, "mamba_rms_norm", FALSE) &&
      atl_hf_config_bool (w->config, "mamba_norm_before_gate", TRUE))
    hf_fail (w, ATL_ERROR_UNSUPPORTED,
             _ ("“mamba_norm_before_gate” is on, which is not known here"));
  refuse (w, "projectors_bias");
}

/* Which layers are what: a letter each, or a word. */
static gboolean
read_kinds (HfWriter *w, char *letters, guint n)
{
  static const struct
  {
    const char *word;
    char letter;
  } known[] = {
    { "mamba", 'M' },     { "linear_attention", 'M' },
    { "attention", '*' }, { "full_attention", '*' },
    { "mlp", '-' },       { "moe", 'E' },
  };
  const AtlMetaValue *words = atl_hf_config_meta (w->config, "layers_block_type");
  const char *pattern = atl_hf_config_string (w->config, "hybrid_override_pattern");

  if (pattern != NULL && strlen (pattern) == n && strspn (pattern, "M*-E") == n)
    {
      memcpy (letters, pattern, n);
      return TRUE;
    }
  if (pattern != NULL || words == NULL || words->type != ATL_META_ARRAY ||
      words->v_array.elem_type != ATL_META_STRING || words->v_array.n != n)
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      guint k = 0;

      while (k < G_N_ELEMENTS (known) &&
             strcmp (((char *const *) words->v_array.elems)[i], known[k].word) != 0)
        k++;
      if (k == G_N_ELEMENTS (known))
        return FALSE;
      letters[i] = known[k].letter;
    }
  return TRUE;
}

/* A layer is a state, an attention or a feed-forward, with or without experts. */
static void
put_nemotron (HfWriter *w)
{
  static const char *const odd[] = { "attention_bias", "mlp_bias", "mamba_proj_bias", "use_bias" };
  guint n = atl_hf_config_n_layers (w->config);
  g_autofree char *letters = g_malloc0 (n + 1);
  g_autofree gint64 *keys = g_new0 (gint64, n + 1), *widths = g_new0 (gint64, n + 1);
  double heads = need (w, "mamba_num_heads"), experts = 0, width = 0;

  if (n == 0 || !read_kinds (w, letters, n))
    {
      hf_fail (w, ATL_ERROR_BAD_FILE,
               _ ("the kinds of its %u layers (hybrid_override_pattern or layers_block_type) are "
                  "missing or not known here"),
               n);
      return;
    }
  if (strchr (letters, 'E') != NULL)
    experts = need (w, "moe_intermediate_size");
  if (strchr (letters, '-') != NULL)
    width = need (w, "intermediate_size");
  for (guint i = 0; i < n; i++)
    {
      keys[i] = letters[i] == '*' ? atl_hf_config_key_heads (w->config) : 0;
      widths[i] = letters[i] == 'E' ? (gint64) experts : letters[i] == '-' ? (gint64) width : 0;
    }
  if (strchr (letters, '-') != NULL && strchr (letters, 'E') != NULL)
    hf_fail (w, ATL_ERROR_UNSUPPORTED,
             _ ("it has layers with experts and feed-forward layers without, which is not known "
                "here"));
  hf_put_uint (w, "block_count", n);
  hf_put_ints (w, "attention.head_count_kv", keys, n);
  hf_put_ints (w, "feed_forward_length", widths, n);
  put_state_space (w, heads * need (w, "mamba_head_dim"), heads);
  hf_put_uint (w, "ssm.conv_kernel", need (w, "conv_kernel"));
  hf_put_uint (w, "ssm.state_size", need (w, "ssm_state_size"));
  hf_put_uint (w, "ssm.group_count", need (w, "n_groups"));
  for (guint i = 0; i < G_N_ELEMENTS (odd); i++)
    refuse (w, odd[i]);
}

/* --- Llama 4 --- */

/* Whether a list, where there is one, names the layers whose number from 1 is a multiple of `step`,
 * or no layer for 0. */
static gboolean
names_multiples (const AtlMetaValue *list, guint step, guint n_layers)
{
  const gint64 *layers = list != NULL ? list->v_array.elems : NULL;
  gsize n = step > 0 ? n_layers / step : 0;

  if (list == NULL)
    return TRUE;
  if (list->type != ATL_META_ARRAY || list->v_array.n != n ||
      (n > 0 && list->v_array.elem_type != ATL_META_INT))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    if (layers[i] != (gint64) (i + 1) * step - 1)
      return FALSE;
  return TRUE;
}

/* Which layers have positions: three of four, the others see everything; or all (MobileLLM-R1), of
 * which each then sees everything, which GGUF says by a window of 0. */
static void
put_positions (HfWriter *w, double chunk)
{
  const AtlMetaValue *rotated = atl_hf_config_meta (w->config, "no_rope_layers");
  const AtlMetaValue *types = hf_layer_types (w);
  double longest = G_MAXUINT32;
  gboolean every_fourth = TRUE, all = TRUE, full = types != NULL;

  for (gsize i = 0; full && i < types->v_array.n; i++)
    full = strcmp (((char *const *) types->v_array.elems)[i], "full_attention") == 0;
  if (rotated != NULL && rotated->type == ATL_META_ARRAY &&
      rotated->v_array.elem_type == ATL_META_INT)
    for (gsize i = 0; i < rotated->v_array.n; i++)
      {
        const gboolean turns = ((const gint64 *) rotated->v_array.elems)[i] != 0;

        every_fourth &= turns == ((i + 1) % 4 != 0);
        all &= turns;
      }
  hf_number (w, "max_position_embeddings", &longest);
  if (every_fourth && chunk != 8192)
    hf_put_uint (w, "attention.sliding_window", chunk);
  else if (!every_fourth && all && (full || chunk >= longest))
    hf_put_uint (w, "attention.sliding_window", 0);
  else if (!every_fourth)
    hf_fail (w, ATL_ERROR_UNSUPPORTED, _ ("not every fourth layer is without positions"));
}

static void
put_llama4 (HfWriter *w)
{
  const AtlMetaValue *tuned = atl_hf_config_meta (w->config, "attn_temperature_tuning");
  double chunk = need (w, "attention_chunk_size"), length = need (w, "floor_scale");
  double experts = 0, step = 0, scale = 0.1;

  hf_number (w, "num_local_experts", &experts);
  hf_put_uint (w, "feed_forward_length", need (w, "intermediate_size_mlp"));
  /* Without any (Llama Guard 4, MobileLLM-R1) the step is 0. */
  if (experts != 0)
    {
      step = need (w, "interleave_moe_layer_step");
      hf_put_uint (w, "expert_feed_forward_length", need (w, "intermediate_size"));
      hf_put_uint (w, "interleave_moe_layer_step", step);
    }
  if (!names_multiples (atl_hf_config_meta (w->config, "moe_layers"), (guint) step,
                        atl_hf_config_n_layers (w->config)))
    hf_fail (w, ATL_ERROR_UNSUPPORTED,
             _ ("layers of one kind differ in “%s”, which is not known here"), "moe_layers");
  hf_number (w, "attn_scale", &scale);
  if (tuned != NULL && ((tuned->type == ATL_META_BOOL && !tuned->v_bool) ||
                        (tuned->type == ATL_META_INT && tuned->v_int == 0)))
    scale = 0;
  if (length != 8192 || scale != 0.1)
    {
      hf_put_float (w, "attention.temperature_scale", scale);
      hf_put_uint (w, "attention.temperature_length", length);
    }
  /* What the file cannot say is known by the number of experts. */
  if (atl_hf_config_bool (w->config, "use_qk_norm", TRUE) != (experts != 128))
    hf_fail (w, ATL_ERROR_UNSUPPORTED,
             _ ("%g experts do not go with its setting of “use_qk_norm” as it is known here"),
             experts);
  put_positions (w, chunk);
}

void
hf_put_hybrid (HfWriter *w)
{
  if (is_arch (w, " qwen3next qwen35 qwen35moe "))
    put_delta (w);
  if (is_arch (w, " mamba2 "))
    put_mamba (w);
  if (is_arch (w, " granitehybrid falcon-h1 "))
    put_hybrid_mamba (w);
  if (is_arch (w, " granitehybrid "))
    put_granite (w);
  if (is_arch (w, " falcon-h1 "))
    put_falcon (w);
  if (is_arch (w, " nemotron_h nemotron_h_moe "))
    put_nemotron (w);
  if (is_arch (w, " llama4 "))
    put_llama4 (w);
}
