/* Settings of Hugging Face's models under GGUF's keys. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-writer.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

void
hf_put (HfWriter *w, const char *key, const AtlMetaValue *value)
{
  g_autofree char *full =
      g_str_has_prefix (key, "general.") ? g_strdup (key) : g_strconcat (w->arch, ".", key, NULL);

  if (w->error == NULL)
    atl_checkpoint_add_meta (w->out, full, value, &w->error);
}

void
hf_put_uint (HfWriter *w, const char *key, double number)
{
  if (!(number >= 0 && number < 1e18) || floor (number) != number)
    {
      if (w->error == NULL)
        w->error =
            g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: %s is %g, a count was expected"),
                         atl_checkpoint_name (w->out), key, number);
      return;
    }
  hf_put (w, key, &(AtlMetaValue){ .type = ATL_META_UINT, .v_uint = (guint64) number });
}

void
hf_put_ints (HfWriter *w, const char *key, const gint64 *numbers, gsize n)
{
  AtlMetaValue list = { .type = ATL_META_ARRAY };

  list.v_array.elem_type = ATL_META_INT;
  list.v_array.n = n;
  list.v_array.elems = (gpointer) numbers;
  hf_put (w, key, &list);
}

void
hf_put_float (HfWriter *w, const char *key, double number)
{
  /* The format's numbers are single precision. */
  hf_put (w, key, &(AtlMetaValue){ .type = ATL_META_FLOAT, .v_float = (float) number });
}

void
hf_put_string (HfWriter *w, const char *key, const char *text)
{
  AtlMetaValue value = { .type = ATL_META_STRING };

  value.v_string.chars = text;
  value.v_string.length = strlen (text);
  hf_put (w, key, &value);
}

void
hf_fail (HfWriter *w, AtlError code, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  if (w->error != NULL)
    return;
  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  w->error = g_error_new (ATL_ERROR, code, "%s: %s", atl_checkpoint_name (w->out), what);
}

gboolean
hf_number (const HfWriter *w, const char *key, double *out)
{
  return atl_hf_config_number (w->config, key, -1e12, 1e12, out);
}

gboolean
hf_first_number (const HfWriter *w, const char *keys, double *out)
{
  g_auto (GStrv) words = g_strsplit (keys, " ", -1);

  for (guint i = 0; words[i] != NULL; i++)
    if (hf_number (w, words[i], out))
      return TRUE;
  return FALSE;
}

typedef struct
{
  const char *gguf;
  const char *hf;   /* names that it goes by, in order */
  const char *only; /* (nullable) architectures, words with a space around each; after a “!” all
                       others */
  gboolean is_float;
} Setting;

static const Setting settings[] = {
  { "block_count", "num_hidden_layers n_layer num_layers", NULL, FALSE },
  { "context_length", "max_position_embeddings n_positions seq_length", NULL, FALSE },
  { "embedding_length", "hidden_size n_embd d_model", NULL, FALSE },
  { "feed_forward_length", "intermediate_size ffn_hidden_size n_inner block_ff_dim", NULL, FALSE },
  { "attention.head_count", "num_attention_heads n_head", NULL, FALSE },
  { "attention.head_count_kv", "num_key_value_heads num_attention_heads n_head", NULL, FALSE },
  { "attention.key_length", "head_dim attention_head_dim", "! mamba2 ", FALSE },
  { "attention.value_length", "head_dim attention_head_dim", "! mamba2 ", FALSE },
  { "attention.layer_norm_rms_epsilon", "rms_norm_eps norm_eps", "! nemotron ", TRUE },
  { "attention.layer_norm_rms_epsilon", "layer_norm_epsilon",
    " mamba2 exaone nemotron_h nemotron_h_moe ", TRUE },
  { "attention.layer_norm_epsilon", "rms_norm_eps", " orion ", TRUE },
  { "attention.layer_norm_epsilon", "layer_norm_eps norm_epsilon layer_norm_epsilon norm_eps",
    " command-r cohere2 starcoder2 stablelm nemotron phi2 gptneox falcon nemotron_h "
    "nemotron_h_moe ",
    TRUE },
  { "vocab_size", "vocab_size", NULL, FALSE },
  { "expert_count", "num_local_experts num_experts n_routed_experts moe_num_experts",
    "! nemotron_h ", FALSE },
  { "expert_used_count", "num_experts_per_tok moe_topk moe_k top_k_experts", NULL, FALSE },
  { "expert_shared_count",
    "n_shared_experts moe_num_shared_experts num_shared_expert num_shared_experts",
    " deepseek deepseek2 glm4moe ernie4_5-moe hunyuan-moe dots1 bailingmoe bailingmoe2 "
    "nemotron_h_moe ",
    FALSE },
  { "expert_group_count", "n_group", " deepseek2 glm4moe dots1 bailingmoe2 nemotron_h_moe ",
    FALSE },
  { "expert_group_used_count", "topk_group", " deepseek2 glm4moe dots1 bailingmoe2 nemotron_h_moe ",
    FALSE },
  { "expert_weights_scale", "routed_scaling_factor",
    " deepseek2 glm4moe lfm2moe dots1 bailingmoe2 nemotron_h_moe ", TRUE },
  { "leading_dense_block_count", "first_k_dense_replace moe_layer_start_index num_dense_layers",
    " deepseek deepseek2 glm4moe ernie4_5-moe lfm2moe dots1 bailingmoe bailingmoe2 ", FALSE },
  { "interleave_moe_layer_step", "moe_layer_interval", " ernie4_5-moe ", FALSE },
  { "attention.q_lora_rank", "q_lora_rank", " deepseek2 ", FALSE },
  { "attention.kv_lora_rank", "kv_lora_rank", " deepseek2 ", FALSE },
  { "shortconv.l_cache", "conv_L_cache", " lfm2 lfm2moe ", FALSE },
  { "expert_feed_forward_length", "moe_intermediate_size", NULL, FALSE },
  { "expert_feed_forward_length", "intermediate_size", " gpt-oss ", FALSE },
  { "expert_shared_feed_forward_length", "shared_expert_intermediate_size", NULL, FALSE },
  { "expert_shared_feed_forward_length", "moe_shared_expert_intermediate_size",
    " bailingmoe2 nemotron_h_moe ", FALSE },
  { "moe_latent_size", "moe_latent_size", " nemotron_h_moe ", FALSE },
  { "expert_shared_feed_forward_length", "shared_intermediate_size", " granitemoe ", FALSE },
  { "expert_shared_feed_forward_length", "intermediate_size", " hunyuan-moe ", FALSE },
  { "attn_logit_softcapping", "attn_logit_softcapping", " gemma2 ", TRUE },
  { "final_logit_softcapping", "final_logit_softcapping", " gemma2 gemma3 gemma3n gemma4 ", TRUE },
  { "attention.scale", "attention_multiplier", " granite granitemoe granitehybrid ", TRUE },
  { "embedding_scale", "embedding_multiplier", " granite granitemoe granitehybrid ", TRUE },
  { "residual_scale", "residual_multiplier", " granite granitemoe granitehybrid ", TRUE },
  { "logit_scale", "logits_scaling", " granite granitemoe granitehybrid ", TRUE },
  { "logit_scale", "logit_scale", " command-r cohere2 ", TRUE },
};

static gboolean
is_put (const HfWriter *w, const char *key)
{
  g_autofree char *full = g_strconcat (w->arch, ".", key, NULL);

  return atl_checkpoint_meta (w->out, full) != NULL;
}

/* Whether `arch` is among the words of `only`, or, after a “!”, is not; NULL has all. */
static gboolean
is_in (const char *only, const char *arch)
{
  g_autofree char *framed = g_strconcat (" ", arch, " ", NULL);

  return only == NULL || (strstr (only, framed) == NULL) == (*only == '!');
}

/* The name that the setting has in the file, else the first that it may have. */
static const char *
name_in_file (const AtlHfConfig *config, const char *words)
{
  g_auto (GStrv) names = g_strsplit (words, " ", -1);

  for (guint i = 0; names[i] != NULL; i++)
    if (atl_hf_config_meta (config, names[i]) != NULL)
      return g_intern_string (names[i]);
  return g_intern_string (names[0]);
}

const char *
atl_hf_setting_for (const AtlHfConfig *self, const char *key)
{
  static const Setting derived[] = {
    { "attention.sliding_window", "sliding_window", NULL, FALSE },
    { "rope.freq_base", "rope_theta rope_parameters.rope_theta", NULL, TRUE },
    { "rope.scaling.factor", "rope_scaling.factor rope_parameters.factor", NULL, TRUE },
    { "full_attention_interval", "full_attention_interval", NULL, FALSE },
    { "nextn_predict_layers", "num_nextn_predict_layers", NULL, FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
    if (strcmp (settings[i].gguf, key) == 0 && is_in (settings[i].only, self->family->arch))
      return name_in_file (self, settings[i].hf);
  for (guint i = 0; i < G_N_ELEMENTS (derived); i++)
    if (strcmp (derived[i].gguf, key) == 0)
      return name_in_file (self, derived[i].hf);
  return NULL;
}

/* What the key has already been put for stays. */
static void
put_settings (HfWriter *w)
{
  for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
    {
      const Setting *s = &settings[i];
      const char *name = name_in_file (w->config, s->hf);
      double value;

      if (!is_in (s->only, w->arch) || is_put (w, s->gguf))
        continue;
      if (!hf_number (w, name, &value) && atl_hf_config_meta (w->config, name) != NULL)
        hf_fail (w, ATL_ERROR_BAD_FILE, _ ("the setting “%s” should be a number"), name);
      else if (!hf_first_number (w, s->hf, &value))
        continue;
      else if (s->is_float)
        hf_put_float (w, s->gguf, value);
      else if (value >= 0 && value <= G_MAXUINT32 && floor (value) == value)
        hf_put_uint (w, s->gguf, value);
      else
        hf_fail (w, ATL_ERROR_BAD_FILE, _ ("the setting “%s” is %g; a whole number is expected"),
                 name, value);
    }
}

/* How tokens are sent to experts, where the authors' code lets the settings decide. */
static void
put_router (HfWriter *w)
{
  const char *score = atl_hf_config_string (
      w->config,
      atl_hf_config_meta (w->config, "score_function") != NULL ? "score_function" : "scoring_func");
  AtlMetaValue norm = { .type = ATL_META_BOOL };
  double by_default;

  if (score != NULL && (strcmp (score, "softmax") == 0 || strcmp (score, "sigmoid") == 0))
    hf_put_uint (w, "expert_gating_func", *score == 's' && score[1] == 'o' ? 1 : 2);
  if (atl_hf_config_meta (w->config, "norm_topk_prob") != NULL)
    norm.v_bool = atl_hf_config_bool (w->config, "norm_topk_prob", TRUE);
  else if (hf_number (w, "norm_topk_prob", &by_default))
    norm.v_bool = by_default != 0;
  else
    return;
  hf_put (w, "expert_weights_norm", &norm);
}

/* DeepSeek's latent attention: the sizes of its heads before they are folded. */
static void
put_latent (HfWriter *w)
{
  double plain, rotated, value;

  if (strcmp (w->arch, "deepseek2") != 0)
    return;
  if (hf_number (w, "qk_nope_head_dim", &plain) && hf_number (w, "qk_rope_head_dim", &rotated) &&
      hf_number (w, "v_head_dim", &value) && plain >= 1 && rotated >= 1 && value >= 1 &&
      MAX (plain, MAX (rotated, value)) <= 1 << 16)
    {
      hf_put_uint (w, "attention.key_length", plain + rotated);
      hf_put_uint (w, "attention.value_length", value);
    }
  else
    hf_fail (
        w, ATL_ERROR_BAD_FILE,
        _ ("the sizes of the heads (qk_nope_head_dim, qk_rope_head_dim, v_head_dim) are missing "
           "or out of range"));
}

const AtlMetaValue *
hf_layer_types (HfWriter *w)
{
  const AtlMetaValue *types = atl_hf_config_meta (w->config, "layer_types");
  double n = 0;

  if (types == NULL)
    return NULL;
  hf_number (w, "num_hidden_layers", &n);
  if (types->type == ATL_META_ARRAY && types->v_array.elem_type == ATL_META_STRING &&
      types->v_array.n <= HF_MAX_LAYERS && (double) types->v_array.n == n)
    return types;
  hf_fail (w, ATL_ERROR_BAD_FILE, _ ("“layer_types” should name each of the %g layers’ kind"), n);
  return NULL;
}

/* Heads of keys where some layers do not attend, by the names or the numbers of those that do. */
static void
put_mixed (HfWriter *w)
{
  const AtlMetaValue *types;
  const AtlMetaValue *full = atl_hf_config_meta (w->config, "full_attn_idxs");
  AtlMetaValue heads = { .type = ATL_META_ARRAY };
  gint64 list[HF_MAX_LAYERS] = { 0 };
  double n_layers, n_kv;

  if ((w->config->family->flags & ATL_HF_MIXED) == 0)
    return;
  if (!hf_number (w, "num_hidden_layers", &n_layers) ||
      !(n_layers >= 1 && n_layers <= HF_MAX_LAYERS) ||
      !hf_first_number (w, "num_key_value_heads num_attention_heads", &n_kv) ||
      !(n_kv >= 1 && n_kv <= 4096) || floor (n_kv) != n_kv)
    return;
  types = hf_layer_types (w);
  if (types != NULL)
    {
      char *const *names = types->v_array.elems;

      for (gsize i = 0; i < types->v_array.n; i++)
        if (strcmp (names[i], "attention") == 0 || strcmp (names[i], "full_attention") == 0)
          list[i] = (gint64) n_kv;
    }
  else if (full != NULL && full->type == ATL_META_ARRAY && full->v_array.elem_type == ATL_META_INT)
    {
      const gint64 *indices = full->v_array.elems;

      for (gsize i = 0; i < full->v_array.n; i++)
        if (indices[i] >= 0 && indices[i] < (gint64) n_layers)
          list[indices[i]] = (gint64) n_kv;
    }
  else
    {
      hf_fail (w, ATL_ERROR_BAD_FILE,
               _ ("the list of layers that attend (layer_types) is missing"));
      return;
    }
  heads.v_array.elem_type = ATL_META_INT;
  heads.v_array.n = (gsize) n_layers;
  heads.v_array.elems = list;
  hf_put (w, "attention.head_count_kv", &heads);
}

/* Layers before the first with experts, where each is named (transformers 5's way, which for
 * GLM-4.7-Flash counts more than first_k_dense_replace). */
static void
put_dense_layers (HfWriter *w)
{
  const AtlMetaValue *kinds = atl_hf_config_meta (w->config, "mlp_layer_types");
  gsize n_dense = 0;

  if (strcmp (w->arch, "deepseek2") != 0 || kinds == NULL || kinds->type != ATL_META_ARRAY ||
      kinds->v_array.elem_type != ATL_META_STRING)
    return;
  for (gsize i = 0; i < kinds->v_array.n; i++)
    if (strcmp (((char *const *) kinds->v_array.elems)[i], "dense") != 0)
      continue;
    else if (n_dense++ != i)
      {
        hf_fail (w, ATL_ERROR_UNSUPPORTED,
                 _ ("a layer without experts behind one that has some is not known here"));
        return;
      }
  hf_put_uint (w, "leading_dense_block_count", (double) n_dense);
}

/* LFM2's feed-forward is narrower than it says (transformers, modeling_lfm2.py, Lfm2MLP). */
static void
put_adjusted_width (HfWriter *w)
{
  double width, multiplier, multiple;

  if (strcmp (w->arch, "lfm2") != 0 ||
      !atl_hf_config_bool (w->config, "block_auto_adjust_ff_dim", TRUE) ||
      !hf_first_number (w, "block_ff_dim intermediate_size", &width) ||
      !hf_number (w, "block_ffn_dim_multiplier", &multiplier) ||
      !hf_number (w, "block_multiple_of", &multiple) || !(multiple >= 1) || !(width >= 1) ||
      !(multiplier > 0))
    return;
  width = ceil (floor (multiplier * floor (2 * width / 3)) / multiple) * multiple;
  if (width >= 1 && width <= G_MAXUINT32)
    hf_put_uint (w, "feed_forward_length", width);
}

/* Layers that see a window only; sizes of windows without any such layer are left out. */
static void
put_window (HfWriter *w)
{
  const AtlMetaValue *types;
  AtlMetaValue pattern = { .type = ATL_META_ARRAY };
  gboolean flags[HF_MAX_LAYERS] = { FALSE }, any = FALSE;
  double window, qpas, head_dim;

  /* Gemma's scale of scores follows from the size of a head, but in one size. */
  if (hf_number (w, "query_pre_attn_scalar", &qpas) && hf_number (w, "head_dim", &head_dim) &&
      qpas != head_dim && qpas > 0)
    hf_put_float (w, "attention.scale", 1.0 / sqrt (qpas));
  if ((w->config->family->flags & ATL_HF_WINDOW) == 0)
    return;
  if (!hf_number (w, "sliding_window", &window))
    return;
  hf_put_uint (w, "attention.sliding_window", window);
  if (window == 0 || (w->config->family->flags & ATL_HF_PATTERN) == 0)
    return;
  types = hf_layer_types (w);
  if (types == NULL)
    return;
  for (gsize i = 0; i < types->v_array.n; i++)
    any |= flags[i] = strcmp (((char *const *) types->v_array.elems)[i], "sliding_attention") == 0;
  if (!any)
    return;
  pattern.v_array.elem_type = ATL_META_BOOL;
  pattern.v_array.n = types->v_array.n;
  pattern.v_array.elems = flags;
  hf_put (w, "attention.sliding_window_pattern", &pattern);
}

/* GPT-NeoX's is the only key that says no. */
static void
put_parallel (HfWriter *w)
{
  gboolean neox = strcmp (w->arch, "gptneox") == 0;
  AtlMetaValue value = { .type = ATL_META_BOOL };

  value.v_bool = atl_hf_config_bool (w->config, "use_parallel_residual", neox);
  if (value.v_bool || neox)
    hf_put (w, "use_parallel_residual", &value);
}

/* --- What is not the network's --- */

static void
put_sampling (HfWriter *w)
{
  static const struct
  {
    const char *hf, *gguf;
    gboolean is_int;
  } keys[] = {
    { "temperature", "general.sampling.temp", FALSE },
    { "top_k", "general.sampling.top_k", TRUE },
    { "top_p", "general.sampling.top_p", FALSE },
    { "min_p", "general.sampling.min_p", FALSE },
    { "repetition_penalty", "general.sampling.penalty_repeat", FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autofree char *key = g_strconcat ("generation_config.", keys[i].hf, NULL);
      double value;

      if (!atl_checkpoint_get_float (w->config->cp, key, 0, 1e6, &value, NULL))
        continue;
      if (keys[i].is_int)
        hf_put (w, keys[i].gguf, &(AtlMetaValue){ .type = ATL_META_INT, .v_int = (gint64) value });
      else
        hf_put_float (w, keys[i].gguf, value);
    }
}

/* The folder's name, else what the settings call the model. */
static void
put_name (HfWriter *w)
{
  const char *path = atl_hf_config_string (w->config, "_name_or_path");
  g_autofree char *folder = g_path_get_dirname (atl_checkpoint_name (w->config->cp));
  g_autofree char *base = NULL;

  if (strcmp (folder, ".") != 0)
    base = g_path_get_basename (folder);
  else if (path != NULL && *path != '\0')
    base = g_path_get_basename (path);
  if (base != NULL && g_utf8_validate (base, -1, NULL) && strcmp (base, "/") != 0 &&
      strcmp (base, ".") != 0)
    hf_put_string (w, "general.name", base);
}

/* What a network computes between its matrices is the family's; a file that says otherwise is of
 * another network. */
static void
check_activation (HfWriter *w)
{
  static const struct
  {
    const char *names, *only; /* as in Setting */
  } known[] = {
    { " relu2 ", " nemotron arcee nemotron_h nemotron_h_moe " },
    { " gelu gelu_new gelu_fast gelu_pytorch_tanh ",
      " gemma gemma2 gemma3 gemma3n gemma4 starcoder2 phi2 gptneox falcon " },
    { " silu swish ", NULL },
  };
  static const char *const keys[] = { "hidden_activation", "hidden_act", "mlp_hidden_act",
                                      "activation_function", "activation" };
  const char *act = NULL;
  g_autofree char *framed = NULL;

  for (guint i = 0; act == NULL && i < G_N_ELEMENTS (keys); i++)
    act = atl_hf_config_string (w->config, keys[i]);
  if (act == NULL)
    return;
  framed = g_strconcat (" ", act, " ", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    if (is_in (known[i].only, w->arch))
      {
        if (strstr (known[i].names, framed) == NULL)
          hf_fail (w, ATL_ERROR_UNSUPPORTED,
                   _ ("its activation “%s” is not known here for “%s” models"), act, w->arch);
        return;
      }
}

gboolean
atl_hf_settings_add (const AtlHfConfig *self, AtlCheckpoint *out, GError **error)
{
  const char *odd = NULL;
  AtlHfConfig config = *self;
  HfWriter w = { .config = &config, .out = out, .arch = self->family->arch };

  config.odd = &odd;

  hf_put_string (&w, "general.architecture", w.arch);
  hf_put_string (&w, "general.type", "model");
  put_name (&w);
  put_latent (&w);
  put_mixed (&w);
  put_dense_layers (&w);
  put_adjusted_width (&w);
  hf_put_hybrid (&w);
  hf_put_gemma (&w);
  hf_put_own (&w);
  put_settings (&w);
  /* Some classes have no such setting. */
  if (!is_put (&w, "context_length"))
    hf_put_uint (&w, "context_length", 4096);
  check_activation (&w);
  put_router (&w);
  put_window (&w);
  hf_put_rope (&w);
  put_parallel (&w);
  put_sampling (&w);
  if (odd != NULL && (w.error == NULL || strstr (w.error->message, odd) == NULL))
    {
      g_clear_error (&w.error);
      hf_fail (&w, ATL_ERROR_BAD_FILE, _ ("the setting “%s” has no value that makes sense"), odd);
    }
  if (w.error == NULL)
    return TRUE;
  g_propagate_error (error, w.error);
  return FALSE;
}
