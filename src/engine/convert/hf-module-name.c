/* Names of tensors in Hugging Face's files, taken apart. */
#include "engine/convert/hf-module-name.h"

#include <string.h>

/* Endings that tell the parts of a module from each other; the first that fits counts. */
static const struct
{
  const char *ending;
  AtlHfPart part;
} endings[] = {
  { ".weight", ATL_HF_WEIGHT },
  { ".bias", ATL_HF_BIAS },
  { ".weight_scale_inv", ATL_HF_SCALE_INV },
  { ".weight_scale", ATL_HF_SCALE },
  { ".scale_weight", ATL_HF_SCALE },
  { ".qweight", ATL_HF_QWEIGHT },
  { ".qzeros", ATL_HF_QZEROS },
  { ".scales", ATL_HF_SCALES },
  { ".g_idx", ATL_HF_G_IDX },
  { ".weight_g_idx", ATL_HF_G_IDX },
  { ".weight_packed", ATL_HF_PACKED },
  { ".weight_zero_point", ATL_HF_PACKED_ZERO },
  { ".weight_shape", ATL_HF_PACKED_SHAPE },
  { ".q_weight", ATL_HF_EXL_WEIGHT },
  { ".q_scale", ATL_HF_EXL_SCALE },
  { ".q_scale_max", ATL_HF_EXL_SCALE_MAX },
  { ".q_groups", ATL_HF_EXL_GROUPS },
  { ".q_invperm", ATL_HF_EXL_INVPERM },
  { ".q_perm", ATL_HF_EXL_PERM },
  { "_blocks", ATL_HF_MX_BLOCKS },
  { "_scales", ATL_HF_MX_SCALES },
  { "_bias", ATL_HF_BIAS },
};

/* Tensors that a quantiser leaves behind and nothing here needs. */
static const char *const ignored_endings[] = {
  ".input_scale", ".input_zero_point", ".activation_scale", ".k_scale",
  ".v_scale",     ".output_scale",     ".inv_freq",         ".kv_cache_scale",
  ".q_group_map", ".scale_input",      ".comfy_quant"
};

/* Parts of a model that see or hear, and layers that predict ahead. */
static const char *const ignored_roots[] = {
  "vision_tower.", "vision_model.", "multi_modal_projector.", "visual.", "audio_tower.",
  "mtp.",          "embed_vision.", "embed_audio.",           "mtp_",    "scaled_fp8",
  "tekken_model"
};

static const char *const roots[] = { "model.language_model.",
                                     "language_model.model.",
                                     "language_model.",
                                     "model.",
                                     "transformer.",
                                     "backbone.",
                                     "gpt_neox." };

const char *
hf_without_root (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (roots); i++)
    if (g_str_has_prefix (name, roots[i]))
      return name + strlen (roots[i]);
  return name;
}

gboolean
hf_is_ignored (const char *name)
{
  const char *inner = hf_without_root (name);

  for (guint i = 0; i < G_N_ELEMENTS (ignored_roots); i++)
    if (g_str_has_prefix (name, ignored_roots[i]) || g_str_has_prefix (inner, ignored_roots[i]))
      return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (ignored_endings); i++)
    if (g_str_has_suffix (name, ignored_endings[i]))
      return TRUE;
  return FALSE;
}

AtlHfPart
hf_take_part (char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
    if (g_str_has_suffix (name, endings[i].ending))
      {
        name[strlen (name) - strlen (endings[i].ending)] = '\0';
        return endings[i].part;
      }
  return ATL_HF_WEIGHT;
}

/* "experts.12.up_proj" -> "experts.*.up_proj" and 12; -1 when there is no number. */
gint64
hf_take_number (char *name)
{
  for (char *dot = strchr (name, '.'); dot != NULL; dot = strchr (dot + 1, '.'))
    if (g_ascii_isdigit (dot[1]))
      {
        char *end;
        guint64 number = g_ascii_strtoull (dot + 1, &end, 10);

        if ((*end != '.' && *end != '\0') || number >= HF_MAX_STACK)
          continue;
        dot[1] = '*';
        memmove (dot + 2, end, strlen (end) + 1);
        return (gint64) number;
      }
  return -1;
}

gint64
hf_take_layer (const char **name, const char *word)
{
  gsize length = strlen (word);
  char *end;
  guint64 layer;

  if (!g_str_has_prefix (*name, word) || !g_ascii_isdigit ((*name)[length]))
    return -1;
  layer = g_ascii_strtoull (*name + length, &end, 10);
  if (*end != '.' || layer >= HF_MAX_LAYERS)
    return -1;
  *name = end + 1;
  return (gint64) layer;
}
