/* Settings of the rotary embedding, and the lists of factors that GGUF keeps as tensors. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-writer.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A setting of the rotation wherever the versions of the format put it. */
static gboolean
rope_number (const HfWriter *w, const char *name, double *out)
{
  static const char *const roots[] = { "rope_parameters.full_attention.", "rope_parameters.",
                                       "rope_scaling." };

  for (guint i = 0; i < G_N_ELEMENTS (roots); i++)
    {
      g_autofree char *key = g_strconcat (roots[i], name, NULL);

      if (hf_number (w, key, out))
        return TRUE;
    }
  return FALSE;
}

static const char *
rope_type (const HfWriter *w)
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
  return strcmp (w->arch, "gemma4") == 0 ? "proportional" : "default";
}

/* Takes `values`. */
static void
put_tensor (HfWriter *w, const char *name, float *values, gint64 n)
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
put_llama3_factors (HfWriter *w, double base, gint64 n_rot)
{
  double factor, low, high, original;
  float *divisors = g_new (float, n_rot / 2);

  if (!rope_number (w, "factor", &factor) || !rope_number (w, "low_freq_factor", &low) ||
      !rope_number (w, "high_freq_factor", &high) ||
      !rope_number (w, "original_max_position_embeddings", &original) || !(factor > 0) ||
      !(low > 0) || !(high >= low) || !(original >= 1))
    {
      hf_fail (w, ATL_ERROR_BAD_FILE,
               _ ("the scaling “llama3” of its positions lacks “%s”, or it makes no sense"),
               "factor, low_freq_factor, high_freq_factor, original_max_position_embeddings");
      g_free (divisors);
      return;
    }
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
put_factor_list (HfWriter *w, const char *which, gint64 n_rot)
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
    w->error = g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE,
                            _ ("%s: the list of %s rotary factors should have %" PRId64 " numbers"),
                            atl_checkpoint_name (w->out), which, n_rot / 2);
}

static void
put_longrope (HfWriter *w, gint64 n_rot)
{
  double original = 0, longest = 0, scale = 1;

  if (!rope_number (w, "original_max_position_embeddings", &original))
    hf_number (w, "original_max_position_embeddings", &original);
  hf_number (w, "max_position_embeddings", &longest);
  put_factor_list (w, "long", n_rot);
  put_factor_list (w, "short", n_rot);
  if (original > 1 && longest > original)
    scale = sqrt (1 + log (longest / original) / log (original));
  rope_number (w, "attention_factor", &scale);
  hf_put_float (w, "rope.scaling.attn_factor", scale);
}

/* Gemma 4: frequencies as for a whole head, of which only the first part of the pairs turns; the
 * others have a divisor that stops them. */
static void
put_proportional (HfWriter *w, gint64 head_dim, double part)
{
  gint64 n = head_dim / 2, turning = (gint64) (CLAMP (part, 0, 1) * (double) head_dim / 2);
  float *divisors = g_new (float, n);

  for (gint64 i = 0; i < n; i++)
    divisors[i] = i < turning ? 1.0f : 1e30f;
  put_tensor (w, "rope_freqs.weight", divisors, n);
}

/* What cosines and sines are multiplied by, where the file gives it as a ratio (transformers,
 * modeling_rope_utils.py, _compute_yarn_parameters). */
static void
put_yarn_ratio (HfWriter *w)
{
  double factor = 1, up, down;

  if (rope_number (w, "mscale", &up) && rope_number (w, "mscale_all_dim", &down) && up != 0 &&
      down != 0 && up != down && rope_number (w, "factor", &factor) && factor > 1)
    hf_put_float (w, "rope.scaling.yarn_attn_factor",
                  (0.1 * up * log (factor) + 1) / (0.1 * down * log (factor) + 1));
}

static void
put_yarn (HfWriter *w)
{
  static const char *const keys[][2] = {
    { "attention_factor", "rope.scaling.yarn_attn_factor" },
    { "beta_fast", "rope.scaling.yarn_beta_fast" },
    { "beta_slow", "rope.scaling.yarn_beta_slow" },
  };
  double value;

  hf_put_string (w, "rope.scaling.type", "yarn");
  if (rope_number (w, "factor", &value))
    hf_put_float (w, "rope.scaling.factor", value);
  if (rope_number (w, "original_max_position_embeddings", &value) ||
      hf_number (w, "max_position_embeddings", &value))
    hf_put_uint (w, "rope.scaling.original_context_length", value);
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (rope_number (w, keys[i][0], &value))
      hf_put_float (w, keys[i][1], value);
  if (!rope_number (w, "attention_factor", &value))
    put_yarn_ratio (w);
  if (strcmp (w->arch, "deepseek2") == 0 && rope_number (w, "mscale_all_dim", &value))
    hf_put_float (w, "rope.scaling.yarn_log_multiplier", 0.1 * value);
  if (strcmp (w->arch, "mistral3") == 0 && rope_number (w, "mscale_all_dim", &value))
    hf_put_float (w, "rope.scaling.yarn_log_multiplier", value);
}

/* Pairs of a head that each axis of a picture's positions turns, as GGUF's four numbers. */
static void
put_sections (HfWriter *w)
{
  static const char *const keys[] = { "rope_parameters.mrope_section",
                                      "rope_scaling.mrope_section" };
  gint64 sections[4] = { 0 };
  AtlMetaValue value = { .type = ATL_META_ARRAY };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      const AtlMetaValue *list = atl_hf_config_meta (w->config, keys[i]);

      if (list == NULL || list->type != ATL_META_ARRAY || list->v_array.elem_type != ATL_META_INT ||
          list->v_array.n != 3)
        continue;
      memcpy (sections, list->v_array.elems, list->v_array.n * sizeof *sections);
      value.v_array.elem_type = ATL_META_INT;
      value.v_array.n = G_N_ELEMENTS (sections);
      value.v_array.elems = sections;
      hf_put (w, "rope.dimension_sections", &value);
      return;
    }
}

/* The size of a head, or of what is rotated where that is a part by itself; or 0. */
static double
find_head_dim (const HfWriter *w)
{
  double head_dim = 0, width = 0, heads = 0;

  if (strcmp (w->arch, "deepseek2") == 0 && hf_number (w, "qk_rope_head_dim", &head_dim))
    return head_dim;
  if (hf_number (w, "head_dim", &head_dim) && head_dim >= 1)
    return head_dim;
  return hf_number (w, "hidden_size", &width) && hf_number (w, "num_attention_heads", &heads) &&
                 heads >= 1
             ? floor (width / heads)
             : 0;
}

void
hf_put_rope (HfWriter *w)
{
  const char *type = rope_type (w);
  double base = 10000, local, part = 1, turning = 1, factor = 1, original, rotated, alpha, beta;
  double head_dim = find_head_dim (w);
  gint64 n_rot;

  if (strcmp (w->arch, "mamba2") == 0)
    return;
  if (!rope_number (w, "rope_theta", &base))
    hf_first_number (w, "rope_theta rotary_emb_base", &base);
  /* Hunyuan's way to longer contexts. */
  if (strcmp (type, "dynamic") == 0 && rope_number (w, "alpha", &alpha) && alpha > 0 &&
      head_dim > 2)
    base *= pow (alpha, head_dim / (head_dim - 2));
  hf_put_float (w, "rope.freq_base", base);
  if (hf_number (w, "rope_parameters.sliding_attention.rope_theta", &local) ||
      hf_number (w, "rope_local_base_freq", &local))
    hf_put_float (w, "rope.freq_base_swa", local);
  if (!rope_number (w, "partial_rotary_factor", &part))
    hf_first_number (w, "partial_rotary_factor rotary_pct rope_pct", &part);
  if (rope_number (w, "llama_4_scaling_beta", &beta))
    hf_put_float (w, "attention.temperature_scale", beta);
  if (strcmp (w->arch, "gemma4") == 0)
    {
      hf_put_uint (w, "rope.dimension_count_swa", head_dim);
      hf_full_number (w, "head_dim", "global_head_dim", &head_dim);
      turning = part;
    }
  if (strcmp (w->arch, "deepseek2") == 0 || strcmp (w->arch, "gemma4") == 0)
    part = 1;
  if (!hf_number (w, "rotary_dim", &rotated))
    rotated = head_dim * part;
  n_rot = rotated >= 2 && rotated <= 1 << 16 ? (gint64) rotated : 0;
  if (n_rot < 2 || n_rot % 2 != 0)
    {
      if (w->error == NULL)
        w->error = g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE,
                                _ ("%s: %g rotated components of a head make no sense"),
                                atl_checkpoint_name (w->out), rotated);
      return;
    }
  hf_put_uint (w, "rope.dimension_count", (double) n_rot);
  put_sections (w);

  if (strcmp (type, "linear") == 0)
    {
      hf_put_string (w, "rope.scaling.type", "linear");
      if (rope_number (w, "factor", &factor))
        hf_put_float (w, "rope.scaling.factor", factor);
    }
  else if (strcmp (type, "yarn") == 0)
    put_yarn (w);
  else if (strcmp (type, "llama3") == 0)
    put_llama3_factors (w, base, n_rot);
  else if (strcmp (type, "longrope") == 0 || strcmp (type, "su") == 0)
    put_longrope (w, n_rot);
  else if (strcmp (type, "proportional") == 0 && strcmp (w->arch, "gemma4") == 0)
    put_proportional (w, n_rot, turning);
  else if (strcmp (type, "default") != 0 && strcmp (type, "dynamic") != 0 &&
           strcmp (type, "mrope") != 0 && w->error == NULL)
    /* "dynamic" changes nothing up to the length that the model was trained for. */
    w->error = g_error_new (ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                            _ ("%s: its positions are scaled by “%s”, which is not known here"),
                            atl_checkpoint_name (w->out), type);
  if (strcmp (w->arch, "phi3") == 0 &&
      (rope_number (w, "original_max_position_embeddings", &original) ||
       hf_number (w, "original_max_position_embeddings", &original)))
    hf_put_uint (w, "rope.scaling.original_context_length", original);
}
