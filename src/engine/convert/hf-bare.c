/* Language models without settings: one file of weights in Hugging Face's names, as text encoders
 * of picture models are published. What the file's names and shapes leave open is what the released
 * models of that build have: heads of 128, and the rotary base of the family. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/convert/hf-settings.h"
#include "engine/convert/svdq.h"

#define HEAD_DIM 128
#define MAX_LAYERS 1024
#define TEXT_ENCODERS "text_encoders."

typedef struct
{
  const AtlCheckpoint *cp;
  const char *root; /* what stands before "layers.0." */
} Bare;

/* NULL unless it is a tensor of `n_dims` dimensions. */
static const AtlTensorInfo *
find (const Bare *self, guint n_dims, const char *name)
{
  g_autofree char *full = g_strconcat (self->root, name, NULL);
  const AtlTensorInfo *info = atl_checkpoint_find (self->cp, full);

  return info != NULL && info->n_dims == n_dims ? info : NULL;
}

static gboolean
find_root (Bare *self)
{
  static const char *const roots[] = { "model.", "model.language_model.", "language_model.model.",
                                       "language_model.", "" };

  for (gsize i = 0; i < G_N_ELEMENTS (roots); i++)
    {
      self->root = roots[i];
      if (find (self, 2, "embed_tokens.weight") != NULL &&
          find (self, 2, "layers.0.self_attn.q_proj.weight") != NULL &&
          find (self, 2, "layers.0.self_attn.k_proj.weight") != NULL &&
          find (self, 2, "layers.0.mlp.gate_proj.weight") != NULL)
        return TRUE;
    }
  return FALSE;
}

/* A file of weights under Hugging Face's names without any settings (a text encoder of a picture
 * model): whether it is one, and the same tensors with the settings that its shapes and the
 * released models of that build have. ATL_ERROR_UNSUPPORTED where they fit none of them. */
static gboolean
is_bare (const AtlCheckpoint *cp)
{
  Bare self = { .cp = cp };

  return atl_checkpoint_meta (cp, "general.architecture") == NULL &&
         atl_checkpoint_meta (cp, "model_type") == NULL &&
         atl_checkpoint_meta (cp, "_class_name") == NULL && find_root (&self);
}

static gboolean
put_int (AtlCheckpoint *out, const char *key, gint64 number, GError **error)
{
  return atl_checkpoint_add_meta (out, key,
                                  &(AtlMetaValue){ .type = ATL_META_INT, .v_int = number }, error);
}

static gboolean
put_float (AtlCheckpoint *out, const char *key, double number, GError **error)
{
  return atl_checkpoint_add_meta (
      out, key, &(AtlMetaValue){ .type = ATL_META_FLOAT, .v_float = number }, error);
}

static gboolean
put_string (AtlCheckpoint *out, const char *key, const char *text, GError **error)
{
  AtlMetaValue value = { .type = ATL_META_STRING };

  value.v_string.chars = text;
  value.v_string.length = strlen (text);
  return atl_checkpoint_add_meta (out, key, &value, error);
}

static gint64
count_layers (const Bare *self)
{
  gint64 n = 0;

  for (; n < MAX_LAYERS; n++)
    {
      g_autofree char *name = g_strdup_printf ("layers.%u.self_attn.q_proj.weight", (guint) n);

      if (find (self, 2, name) == NULL)
        break;
    }
  return n;
}

/* The picture positions of Qwen2.5-VL: how many pairs of a head each axis turns. */
static gboolean
put_sections (AtlCheckpoint *out, GError **error)
{
  gint64 sections[] = { 16, 24, 24 };
  AtlMetaValue value = { .type = ATL_META_ARRAY };

  value.v_array.elem_type = ATL_META_INT;
  value.v_array.n = G_N_ELEMENTS (sections);
  value.v_array.elems = sections;
  return atl_checkpoint_add_meta (out, "rope_scaling.mrope_section", &value, error);
}

/* Llama 3.1: its divisors of frequencies. */
static gboolean
put_llama3 (AtlCheckpoint *out, GError **error)
{
  return put_string (out, "rope_scaling.rope_type", "llama3", error) &&
         put_float (out, "rope_scaling.factor", 8, error) &&
         put_float (out, "rope_scaling.low_freq_factor", 1, error) &&
         put_float (out, "rope_scaling.high_freq_factor", 4, error) &&
         put_int (out, "rope_scaling.original_max_position_embeddings", 8192, error);
}

static gboolean
put_family (const Bare *self, AtlCheckpoint *out, gint64 head_dim, GError **error)
{
  const AtlTensorInfo *q = find (self, 2, "layers.0.self_attn.q_proj.weight");
  const AtlTensorInfo *embd = find (self, 2, "embed_tokens.weight");
  gboolean is_qwen3 = find (self, 1, "layers.0.self_attn.q_norm.weight") != NULL;
  gboolean is_qwen2 = find (self, 1, "layers.0.self_attn.q_proj.bias") != NULL;
  /* Mistral Small's heads are narrower than its rows, and its file brings its vocabulary. */
  gboolean is_mistral = !is_qwen2 && !is_qwen3 &&
                        (atl_checkpoint_find (self->cp, "tekken_model") != NULL ||
                         q->dim[0] != embd->dim[1] || embd->dim[0] == 131072);

  if (!put_string (out, "model_type",
                   is_qwen3     ? "qwen3"
                   : is_qwen2   ? "qwen2_5_vl"
                   : is_mistral ? "mistral"
                                : "llama",
                   error) ||
      !put_int (out, "num_attention_heads", q->dim[0] / head_dim, error) ||
      !put_float (out, "rope_theta",
                  is_mistral             ? 1e9
                  : is_qwen3 || is_qwen2 ? 1e6
                                         : 5e5,
                  error) ||
      !put_float (out, "rms_norm_eps", is_qwen3 || is_qwen2 ? 1e-6 : 1e-5, error))
    return FALSE;
  if (is_qwen2)
    return put_sections (out, error);
  return is_qwen3 || is_mistral || put_llama3 (out, error);
}

static AtlCheckpoint *
dress (AtlCheckpoint *cp, GError **error)
{
  Bare self = { .cp = cp };
  g_autoptr (AtlCheckpoint) out = atl_checkpoint_new (atl_checkpoint_name (cp));
  const AtlTensorInfo *embd, *q, *k, *gate, *q_norm;
  gint64 head_dim = HEAD_DIM;

  g_return_val_if_fail (find_root (&self), NULL);
  embd = find (&self, 2, "embed_tokens.weight");
  q = find (&self, 2, "layers.0.self_attn.q_proj.weight");
  k = find (&self, 2, "layers.0.self_attn.k_proj.weight");
  gate = find (&self, 2, "layers.0.mlp.gate_proj.weight");
  q_norm = find (&self, 1, "layers.0.self_attn.q_norm.weight");
  if (q_norm != NULL)
    head_dim = q_norm->dim[0];
  if (head_dim < 2 || q->dim[0] % head_dim != 0 || k->dim[0] % head_dim != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("%s has no settings, and its %d rows of queries are no whole heads of %d"),
                   atl_checkpoint_name (cp), (int) q->dim[0], (int) head_dim);
      return NULL;
    }
  atl_checkpoint_set_base (out, cp);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    if (!atl_checkpoint_add_tensor (out, atl_checkpoint_tensor (cp, i), error))
      return NULL;
  if (!put_family (&self, out, head_dim, error) || !put_int (out, "head_dim", head_dim, error) ||
      !put_int (out, "hidden_size", embd->dim[1], error) ||
      !put_int (out, "vocab_size", embd->dim[0], error) ||
      !put_int (out, "intermediate_size", gate->dim[0], error) ||
      !put_int (out, "num_key_value_heads", k->dim[0] / head_dim, error) ||
      !put_int (out, "num_hidden_layers", count_layers (&self), error) ||
      !put_int (out, "max_position_embeddings", 32768, error))
    return NULL;
  return g_steal_pointer (&out);
}

/* --- In a file with other networks --- */

/* What stands before the language model's own names: "text_encoders.qwen3_4b.transformer." of
 * "text_encoders.qwen3_4b.transformer.model.embed_tokens.weight". NULL where there is none. */
static char *
inner_prefix (const AtlCheckpoint *cp)
{
  static const char first[] = "model.embed_tokens.weight";

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const char *name = atl_checkpoint_tensor (cp, i)->name;

      if (g_str_has_prefix (name, TEXT_ENCODERS) &&
          g_str_has_suffix (name, ".transformer.model.embed_tokens.weight"))
        return g_strndup (name, strlen (name) - strlen (first));
    }
  return NULL;
}

AtlCheckpoint *
atl_hf_inner_part (AtlCheckpoint *cp, GError **error)
{
  g_autofree char *prefix = inner_prefix (cp);
  g_autoptr (AtlCheckpoint) inner = NULL;

  if (prefix == NULL)
    return NULL;
  inner = atl_checkpoint_new (atl_checkpoint_name (cp));
  atl_checkpoint_set_base (inner, cp);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      AtlTensorInfo info = *atl_checkpoint_tensor (cp, i);

      if (g_str_has_prefix (info.name, prefix))
        info.name += strlen (prefix);
      else if (g_str_equal (info.name, TEXT_ENCODERS "tekken_model"))
        info.name += strlen (TEXT_ENCODERS);
      else
        continue;
      if (!atl_checkpoint_add_tensor (inner, &info, error))
        return NULL;
    }
  return g_steal_pointer (&inner);
}

AtlCheckpoint *
atl_hf_adopt_part (AtlCheckpoint *cp, GError **error)
{
  AtlHfConfig config;

  if (atl_svdq_is_model (cp))
    return atl_svdq_translate (cp, error);
  if (is_bare (cp))
    {
      g_autoptr (AtlCheckpoint) dressed = dress (cp, error);

      return dressed != NULL ? atl_hf_translate (dressed, error) : NULL;
    }
  return atl_hf_is_model (cp) && atl_hf_config_init (&config, cp, NULL)
             ? atl_hf_translate (cp, error)
             : atl_checkpoint_ref (cp);
}
