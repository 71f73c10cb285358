/* Settings of Hugging Face's models under GGUF's keys. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-settings.h"

#include <math.h>
#include <string.h>

#define MAX_LAYERS 1024

/* --- Reading --- */

gboolean
atl_hf_config_init (AtlHfConfig *self, const AtlCheckpoint *hf, GError **error)
{
  const char *inner = atl_checkpoint_get_string (hf, "text_config.model_type");
  const char *type = atl_checkpoint_get_string (hf, "model_type");
  g_autofree char *known = NULL;

  *self = (AtlHfConfig){ .cp = hf };
  if (inner != NULL)
    {
      self->family = atl_hf_family_find (inner);
      self->nested = TRUE;
      type = inner;
    }
  if (self->family == NULL && type != NULL)
    self->family = atl_hf_family_find (type);
  if (self->family != NULL)
    return TRUE;
  known = atl_hf_family_list ();
  g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
               "%s is a “%s” model, which cannot be read from its authors' files yet; models of "
               "these families can: %s",
               atl_checkpoint_name (hf), type != NULL ? type : "nameless", known);
  return FALSE;
}

const AtlMetaValue *
atl_hf_config_meta (const AtlHfConfig *self, const char *key)
{
  const AtlMetaValue *value = NULL;

  if (self->nested)
    {
      g_autofree char *inner = g_strconcat ("text_config.", key, NULL);
      value = atl_checkpoint_meta (self->cp, inner);
    }
  return value != NULL ? value : atl_checkpoint_meta (self->cp, key);
}

gboolean
atl_hf_config_number (const AtlHfConfig *self, const char *key, double min, double max, double *out)
{
  const AtlMetaValue *value = atl_hf_config_meta (self, key);
  double number;

  if (value == NULL)
    {
      const AtlHfDefault *d = self->family->defaults;

      for (; d != NULL && d->key != NULL; d++)
        if (strcmp (d->key, key) == 0)
          {
            *out = d->value;
            return TRUE;
          }
      return FALSE;
    }
  if (value->type == ATL_META_FLOAT)
    number = value->v_float;
  else if (value->type == ATL_META_INT)
    number = (double) value->v_int;
  else if (value->type == ATL_META_UINT)
    number = (double) value->v_uint;
  else
    return FALSE;
  if (!(number >= min && number <= max))
    return FALSE;
  *out = number;
  return TRUE;
}

gboolean
atl_hf_config_bool (const AtlHfConfig *self, const char *key, gboolean fallback)
{
  const AtlMetaValue *value = atl_hf_config_meta (self, key);

  return value != NULL && value->type == ATL_META_BOOL ? value->v_bool : fallback;
}

const char *
atl_hf_config_string (const AtlHfConfig *self, const char *key)
{
  const AtlMetaValue *value = atl_hf_config_meta (self, key);

  return value != NULL && value->type == ATL_META_STRING ? value->v_string.chars : NULL;
}

/* --- Writing --- */

/* The checkpoint being made, and the first mistake, so that what follows reads as a list. */
typedef struct
{
  const AtlHfConfig *config;
  AtlCheckpoint *out;
  const char *arch;
  GError *error;
} Writer;

static void
put (Writer *w, const char *key, const AtlMetaValue *value)
{
  g_autofree char *full =
      g_str_has_prefix (key, "general.") ? g_strdup (key) : g_strconcat (w->arch, ".", key, NULL);

  if (w->error == NULL)
    atl_checkpoint_add_meta (w->out, full, value, &w->error);
}

static void
put_uint (Writer *w, const char *key, double number)
{
  put (w, key, &(AtlMetaValue){ .type = ATL_META_UINT, .v_uint = (guint64) number });
}

static void
put_float (Writer *w, const char *key, double number)
{
  /* The format's numbers are single precision. */
  put (w, key, &(AtlMetaValue){ .type = ATL_META_FLOAT, .v_float = (float) number });
}

static void
put_string (Writer *w, const char *key, const char *text)
{
  AtlMetaValue value = { .type = ATL_META_STRING };

  value.v_string.chars = text;
  value.v_string.length = strlen (text);
  put (w, key, &value);
}

static gboolean
number (const Writer *w, const char *key, double *out)
{
  return atl_hf_config_number (w->config, key, -1e12, 1e12, out);
}

/* The first of `keys` (words) that is there. */
static gboolean
first_number (const Writer *w, const char *keys, double *out)
{
  g_auto (GStrv) words = g_strsplit (keys, " ", -1);

  for (guint i = 0; words[i] != NULL; i++)
    if (number (w, words[i], out))
      return TRUE;
  return FALSE;
}

typedef struct
{
  const char *gguf;
  const char *hf;   /* names that it goes by, in order */
  const char *only; /* (nullable) architectures, words with a space around each */
  gboolean is_float;
} Setting;

static const Setting settings[] = {
  { "block_count", "num_hidden_layers n_layer num_layers", NULL, FALSE },
  { "context_length", "max_position_embeddings n_positions seq_length", NULL, FALSE },
  { "embedding_length", "hidden_size n_embd d_model", NULL, FALSE },
  { "feed_forward_length", "intermediate_size ffn_hidden_size n_inner", NULL, FALSE },
  { "attention.head_count", "num_attention_heads n_head", NULL, FALSE },
  { "attention.head_count_kv", "num_key_value_heads num_attention_heads n_head", NULL, FALSE },
  { "attention.key_length", "head_dim", NULL, FALSE },
  { "attention.value_length", "head_dim", NULL, FALSE },
  { "attention.layer_norm_rms_epsilon", "rms_norm_eps", NULL, TRUE },
  { "attention.layer_norm_epsilon", "layer_norm_eps norm_epsilon layer_norm_epsilon",
    " command-r cohere2 starcoder2 stablelm ", TRUE },
  { "vocab_size", "vocab_size", NULL, FALSE },
  { "expert_count", "num_local_experts num_experts n_routed_experts", NULL, FALSE },
  { "expert_used_count", "num_experts_per_tok", NULL, FALSE },
  { "expert_feed_forward_length", "moe_intermediate_size", NULL, FALSE },
  { "expert_shared_feed_forward_length", "shared_expert_intermediate_size", NULL, FALSE },
  { "attn_logit_softcapping", "attn_logit_softcapping", " gemma2 ", TRUE },
  { "final_logit_softcapping", "final_logit_softcapping", " gemma2 gemma3 ", TRUE },
  { "attention.scale", "attention_multiplier", " granite ", TRUE },
  { "embedding_scale", "embedding_multiplier", " granite ", TRUE },
  { "residual_scale", "residual_multiplier", " granite ", TRUE },
  { "logit_scale", "logits_scaling", " granite ", TRUE },
  { "logit_scale", "logit_scale", " command-r cohere2 ", TRUE },
};

static void
put_settings (Writer *w)
{
  g_autofree char *framed = g_strconcat (" ", w->arch, " ", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
    {
      const Setting *s = &settings[i];
      double value;

      if ((s->only != NULL && strstr (s->only, framed) == NULL) || !first_number (w, s->hf, &value))
        continue;
      if (s->is_float)
        put_float (w, s->gguf, value);
      else if (value >= 0 && value <= G_MAXUINT32 && floor (value) == value)
        put_uint (w, s->gguf, value);
      else if (w->error == NULL)
        w->error = g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE,
                                "%s: the setting “%s” is %g; a whole number is expected",
                                atl_checkpoint_name (w->out), s->hf, value);
    }
}

/* Layers that see a window only; sizes of windows without any such layer are left out. */
static void
put_window (Writer *w)
{
  const AtlMetaValue *types = atl_hf_config_meta (w->config, "layer_types");
  AtlMetaValue pattern = { .type = ATL_META_ARRAY };
  gboolean flags[MAX_LAYERS] = { FALSE }, any = FALSE;
  double window, n_layers = 0, qpas, head_dim;

  /* Gemma's scale of scores follows from the size of a head, but in one size. */
  if (number (w, "query_pre_attn_scalar", &qpas) && number (w, "head_dim", &head_dim) &&
      qpas != head_dim && qpas > 0)
    put_float (w, "attention.scale", 1.0 / sqrt (qpas));
  if ((w->config->family->flags & ATL_HF_WINDOW) == 0 || !number (w, "sliding_window", &window) ||
      window < 1)
    return;
  put_uint (w, "attention.sliding_window", window);
  if ((w->config->family->flags & ATL_HF_PATTERN) == 0 || types == NULL ||
      types->type != ATL_META_ARRAY || types->v_array.elem_type != ATL_META_STRING ||
      !number (w, "num_hidden_layers", &n_layers) || types->v_array.n != (gsize) n_layers ||
      types->v_array.n > MAX_LAYERS)
    return;
  for (gsize i = 0; i < types->v_array.n; i++)
    any |= flags[i] = strcmp (((char *const *) types->v_array.elems)[i], "sliding_attention") == 0;
  if (!any)
    return;
  pattern.v_array.elem_type = ATL_META_BOOL;
  pattern.v_array.n = types->v_array.n;
  pattern.v_array.elems = flags;
  put (w, "attention.sliding_window_pattern", &pattern);
}

/* --- Rotary embedding --- */

/* A setting of the rotation wherever the versions of the format put it. */
static gboolean
rope_number (const Writer *w, const char *name, double *out)
{
  static const char *const roots[] = { "rope_parameters.full_attention.", "rope_parameters.",
                                       "rope_scaling." };

  for (guint i = 0; i < G_N_ELEMENTS (roots); i++)
    {
      g_autofree char *key = g_strconcat (roots[i], name, NULL);

      if (number (w, key, out))
        return TRUE;
    }
  return FALSE;
}

static const char *
rope_type (const Writer *w)
{
  static const char *const keys[] = { "rope_parameters.full_attention.rope_type",
                                      "rope_parameters.full_attention.type",
                                      "rope_parameters.rope_type",
                                      "rope_parameters.type",
                                      "rope_scaling.rope_type",
                                      "rope_scaling.type" };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      const char *type = atl_hf_config_string (w->config, keys[i]);

      if (type != NULL)
        return type;
    }
  return "default";
}

/* Takes `values`. */
static void
put_tensor (Writer *w, const char *name, float *values, gint64 n)
{
  AtlTensorInfo info = { .name = name, .dtype = ATL_DTYPE_F32, .n_dims = 1 };

  info.dim[0] = n;
  info.data = (const guint8 *) values;
  info.size_bytes = (gsize) n * sizeof (float);
  atl_checkpoint_take (w->out, values, g_free);
  if (w->error == NULL)
    atl_checkpoint_add_tensor (w->out, &info, &w->error);
}

/* What Llama 3.1 divides frequencies by: nothing for short waves, `factor` for long ones, between
 * them a mixture (transformers, modeling_rope_utils.py, _compute_llama3_parameters). */
static void
put_llama3_factors (Writer *w, double base, gint64 n_rot)
{
  double factor = 8, low = 1, high = 4, original = 8192;
  float *divisors = g_new (float, n_rot / 2);

  rope_number (w, "factor", &factor);
  rope_number (w, "low_freq_factor", &low);
  rope_number (w, "high_freq_factor", &high);
  rope_number (w, "original_max_position_embeddings", &original);
  for (gint64 i = 0; i < n_rot / 2; i++)
    {
      double wave = 2 * G_PI * pow (base, 2.0 * (double) i / (double) n_rot);
      double smooth = (original / wave - low) / (high - low);

      if (wave < original / high)
        divisors[i] = 1;
      else if (wave > original / low)
        divisors[i] = (float) factor;
      else
        divisors[i] = (float) (1 / ((1 - smooth) / factor + smooth));
    }
  put_tensor (w, "rope_freqs.weight", divisors, n_rot / 2);
}

static void
put_factor_list (Writer *w, const char *which, gint64 n_rot)
{
  static const char *const roots[] = { "rope_parameters.", "rope_scaling." };

  for (guint i = 0; i < G_N_ELEMENTS (roots); i++)
    {
      g_autofree char *key = g_strconcat (roots[i], which, "_factor", NULL);
      g_autofree char *name = g_strconcat ("rope_factors_", which, ".weight", NULL);
      const AtlMetaValue *list = atl_hf_config_meta (w->config, key);
      float *values;

      if (list == NULL || list->type != ATL_META_ARRAY || list->v_array.n != (gsize) n_rot / 2 ||
          (list->v_array.elem_type != ATL_META_FLOAT && list->v_array.elem_type != ATL_META_INT))
        continue;
      values = g_new (float, n_rot / 2);
      for (gint64 k = 0; k < n_rot / 2; k++)
        values[k] = list->v_array.elem_type == ATL_META_FLOAT
                        ? (float) ((const double *) list->v_array.elems)[k]
                        : (float) ((const gint64 *) list->v_array.elems)[k];
      put_tensor (w, name, values, n_rot / 2);
      return;
    }
  if (w->error == NULL)
    w->error =
        g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE,
                     "%s: the list of %s rotary factors should have %" G_GINT64_FORMAT " numbers",
                     atl_checkpoint_name (w->out), which, n_rot / 2);
}

static void
put_longrope (Writer *w, gint64 n_rot)
{
  double original = 0, longest = 0, scale = 1;

  if (!rope_number (w, "original_max_position_embeddings", &original))
    number (w, "original_max_position_embeddings", &original);
  number (w, "max_position_embeddings", &longest);
  put_factor_list (w, "long", n_rot);
  put_factor_list (w, "short", n_rot);
  if (original > 1 && longest > original)
    scale = sqrt (1 + log (longest / original) / log (original));
  rope_number (w, "attention_factor", &scale);
  put_float (w, "rope.scaling.attn_factor", scale);
}

static void
put_yarn (Writer *w)
{
  static const char *const keys[][2] = {
    { "attention_factor", "rope.scaling.yarn_attn_factor" },
    { "beta_fast", "rope.scaling.yarn_beta_fast" },
    { "beta_slow", "rope.scaling.yarn_beta_slow" },
  };
  double value;

  put_string (w, "rope.scaling.type", "yarn");
  if (rope_number (w, "factor", &value))
    put_float (w, "rope.scaling.factor", value);
  if (rope_number (w, "original_max_position_embeddings", &value) ||
      number (w, "max_position_embeddings", &value))
    put_uint (w, "rope.scaling.original_context_length", value);
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (rope_number (w, keys[i][0], &value))
      put_float (w, keys[i][1], value);
}

/* The size of a head, or 0. */
static double
find_head_dim (const Writer *w)
{
  double head_dim = 0, width = 0, heads = 0;

  if (number (w, "head_dim", &head_dim) && head_dim >= 1)
    return head_dim;
  return number (w, "hidden_size", &width) && number (w, "num_attention_heads", &heads) &&
                 heads >= 1
             ? floor (width / heads)
             : 0;
}

static void
put_rope (Writer *w)
{
  const char *type = rope_type (w);
  double base = 10000, local, part = 1, factor = 1, original, head_dim = find_head_dim (w);
  gint64 n_rot;

  if (!rope_number (w, "rope_theta", &base))
    first_number (w, "rope_theta rotary_emb_base", &base);
  put_float (w, "rope.freq_base", base);
  if (number (w, "rope_parameters.sliding_attention.rope_theta", &local) ||
      number (w, "rope_local_base_freq", &local))
    put_float (w, "rope.freq_base_swa", local);
  if (!rope_number (w, "partial_rotary_factor", &part))
    first_number (w, "partial_rotary_factor rotary_pct rope_pct", &part);
  n_rot = (gint64) (head_dim * part);
  if (n_rot < 2 || n_rot > 1 << 16 || n_rot % 2 != 0)
    {
      if (w->error == NULL)
        w->error = g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE,
                                "%s: %g rotated components of a head make no sense",
                                atl_checkpoint_name (w->out), head_dim * part);
      return;
    }
  put_uint (w, "rope.dimension_count", (double) n_rot);

  if (strcmp (type, "linear") == 0)
    {
      put_string (w, "rope.scaling.type", "linear");
      if (rope_number (w, "factor", &factor))
        put_float (w, "rope.scaling.factor", factor);
    }
  else if (strcmp (type, "yarn") == 0)
    put_yarn (w);
  else if (strcmp (type, "llama3") == 0)
    put_llama3_factors (w, base, n_rot);
  else if (strcmp (type, "longrope") == 0 || strcmp (type, "su") == 0)
    put_longrope (w, n_rot);
  else if (strcmp (type, "default") != 0 && strcmp (type, "dynamic") != 0 &&
           strcmp (type, "mrope") != 0 && w->error == NULL)
    /* "dynamic" changes nothing up to the length that the model was trained for. */
    w->error = g_error_new (ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                            "%s: its positions are scaled by “%s”, which is not known here",
                            atl_checkpoint_name (w->out), type);
  if (strcmp (w->arch, "phi3") == 0 &&
      (rope_number (w, "original_max_position_embeddings", &original) ||
       number (w, "original_max_position_embeddings", &original)))
    put_uint (w, "rope.scaling.original_context_length", original);
}

/* --- What is not the network's --- */

static void
put_sampling (Writer *w)
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
        put (w, keys[i].gguf, &(AtlMetaValue){ .type = ATL_META_INT, .v_int = (gint64) value });
      else
        put_float (w, keys[i].gguf, value);
    }
}

/* The folder's name, else what the settings call the model. */
static void
put_name (Writer *w)
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
    put_string (w, "general.name", base);
}

gboolean
atl_hf_settings_add (const AtlHfConfig *self, AtlCheckpoint *out, GError **error)
{
  Writer w = { .config = self, .out = out, .arch = self->family->arch };

  put_string (&w, "general.architecture", w.arch);
  put_string (&w, "general.type", "model");
  put_name (&w);
  put_settings (&w);
  put_window (&w);
  put_rope (&w);
  if (atl_hf_config_bool (self, "use_parallel_residual", FALSE))
    put (&w, "use_parallel_residual", &(AtlMetaValue){ .type = ATL_META_BOOL, .v_bool = TRUE });
  put_sampling (&w);
  if (w.error == NULL)
    return TRUE;
  g_propagate_error (error, w.error);
  return FALSE;
}
