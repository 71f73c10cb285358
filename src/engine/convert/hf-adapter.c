/* PEFT's names and settings under GGUF's.
 *
 * "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" [r, in] and ".lora_B.weight"
 * [out, r] change q_proj.weight by scale * B A; scale = lora_alpha / r, or lora_alpha / sqrt(r)
 * with use_rslora; alpha_pattern may give modules their own alpha (peft 0.21,
 * tuners/lora/layer.py). The scale goes into B, as GGUF has one alpha for all. With use_dora there
 * is
 * ".lora_magnitude_vector" [out], too. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-adapter.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/fail.h"
#include "engine/convert/hf-families.h"
#include "engine/tensor/quants/dequant.h"

#define ALPHA_PATTERN "adapter_config.alpha_pattern."

typedef struct
{
  const AtlCheckpoint *cp, *base;
  AtlCheckpoint *out;
  const AtlHfFamily *family;
  guint n_head, n_head_kv;
} Adoption;

static void
put_string (Adoption *self, const char *key, const char *text)
{
  AtlMetaValue value = { .type = ATL_META_STRING };

  value.v_string.chars = text;
  value.v_string.length = strlen (text);
  atl_checkpoint_add_meta (self->out, key, &value, NULL);
}

static guint
base_uint (const Adoption *self, const char *name, guint fallback)
{
  g_autofree char *key = g_strconcat (self->family->arch, ".", name, NULL);
  guint64 value;

  return atl_checkpoint_get_uint (self->base, key, 1, 1 << 16, &value, NULL) ? (guint) value
                                                                             : fallback;
}

static gboolean
is_on (const Adoption *self, const char *name)
{
  g_autofree char *key = g_strconcat ("adapter_config.", name, NULL);
  gboolean flag = FALSE;

  return atl_checkpoint_get_bool (self->cp, key, &flag, NULL) && flag;
}

/* Only what is computed here as its authors do is let through. */
static gboolean
check_config (Adoption *self, GError **error)
{
  static const char *const unknown[] = { "lora_bias", "fan_in_fan_out" };
  const char *start = atl_checkpoint_get_string (self->cp, "adapter_config.init_lora_weights");
  const char *type = atl_checkpoint_get_string (self->cp, "adapter_config.peft_type");
  const char *bias = atl_checkpoint_get_string (self->cp, "adapter_config.bias");

  if (atl_checkpoint_meta (self->cp, "adapter_config.lora_alpha") == NULL)
    return atl_fail (
        error, ATL_ERROR_NOT_FOUND,
        _ ("%s is no adapter for language models, or its adapter_config.json is missing: put it "
           "beside the file"),
        atl_checkpoint_name (self->cp));
  if (type != NULL && g_ascii_strcasecmp (type, "LORA") != 0)
    return atl_fail (error, ATL_ERROR_UNSUPPORTED,
                     _ ("%s is an adapter of the kind “%s”; the kind “LORA” is known here"),
                     atl_checkpoint_name (self->cp), type);
  if (bias != NULL && strcmp (bias, "none") != 0)
    return atl_fail (error, ATL_ERROR_UNSUPPORTED, _ ("%s changes biases, which is not known here"),
                     atl_checkpoint_name (self->cp));
  if (start != NULL && (g_str_has_prefix (start, "pissa") || g_str_has_prefix (start, "olora") ||
                        g_str_has_prefix (start, "corda")))
    return atl_fail (
        error, ATL_ERROR_UNSUPPORTED,
        _ ("%s was begun with “%s”, which also changes the model it belongs to. Convert it "
           "to a plain LoRA with PEFT first"),
        atl_checkpoint_name (self->cp), start);
  for (guint i = 0; i < atl_checkpoint_n_meta (self->cp); i++)
    if (g_str_has_prefix (atl_checkpoint_meta_key (self->cp, i), ALPHA_PATTERN) &&
        strpbrk (atl_checkpoint_meta_key (self->cp, i), "*+?[](){}|^$\\") != NULL)
      return atl_fail (error, ATL_ERROR_UNSUPPORTED,
                       _ ("%s chooses layers by a pattern (“%s”), which is not known here"),
                       atl_checkpoint_name (self->cp),
                       atl_checkpoint_meta_key (self->cp, i) + strlen (ALPHA_PATTERN));
  for (guint i = 0; i < G_N_ELEMENTS (unknown); i++)
    if (is_on (self, unknown[i]))
      return atl_fail (error, ATL_ERROR_UNSUPPORTED, _ ("%s uses “%s”, which is not known here"),
                       atl_checkpoint_name (self->cp), unknown[i]);
  return TRUE;
}

/* A change of a weight whose rows stand elsewhere in GGUF, or are multiplied, would change others.
 */
static gboolean
is_as_published (const AtlHfName *name)
{
  return name != NULL && name->gguf != NULL && name->layout == ATL_HF_AS_IS &&
         name->factors == NULL;
}

/* "….layers.3.self_attn.q_proj" -> "blk.3.attn_q.weight"; NULL for a name without a place. */
static char *
gguf_name (const Adoption *self, const char *module)
{
  const char *layer = strstr (module, "layers.");
  const AtlHfName *name;
  const char *dot;
  guint64 number;
  char *end;

  if (layer == NULL)
    {
      dot = strrchr (module, '.');
      name = atl_hf_family_name (self->family, dot != NULL ? dot + 1 : module, FALSE);
      return is_as_published (name) ? g_strconcat (name->gguf, ".weight", NULL) : NULL;
    }
  number = g_ascii_strtoull (layer + 7, &end, 10);
  if (*end != '.' || number > 1024)
    return NULL;
  name = atl_hf_family_name (self->family, end + 1, TRUE);
  return is_as_published (name) ? g_strdup_printf ("blk.%u.%s.weight", (guint) number, name->gguf)
                                : NULL;
}

/* peft's patterns are a module's name, or its end behind a dot: looked up from the shortest end on,
 * the longest counts. */
static double
scale_of (const Adoption *self, const char *module, gint64 rank)
{
  double alpha = (double) rank;

  atl_checkpoint_get_float (self->cp, "adapter_config.lora_alpha", -1e9, 1e9, &alpha, NULL);
  for (gsize at = strlen (module); at-- > 0;)
    if (at == 0 || module[at - 1] == '.')
      {
        g_autofree char *key = g_strconcat (ALPHA_PATTERN, module + at, NULL);

        atl_checkpoint_get_float (self->cp, key, -1e9, 1e9, &alpha, NULL);
      }
  return alpha / (is_on (self, "use_rslora") ? sqrt ((double) rank) : (double) rank);
}

/* The rows of queries and keys stand in another order in GGUF, for some families. */
static guint
heads_of (const Adoption *self, const char *name)
{
  if ((self->family->flags & ATL_HF_PERMUTE) == 0)
    return 0;
  if (g_str_has_suffix (name, ".attn_q.weight"))
    return self->n_head;
  return g_str_has_suffix (name, ".attn_k.weight") ? self->n_head_kv : 0;
}

static gboolean
add_matrix (Adoption *self,
            const AtlTensorInfo *from,
            const char *name,
            double scale,
            guint heads,
            GError **error)
{
  AtlTensorInfo info = { .name = name, .dtype = ATL_DTYPE_F32, .n_dims = 2 };
  gint64 n_rows, n_in, size;
  float *values;

  if (from->n_dims != 2 || from->data == NULL || from->dim[0] < 1 || from->dim[1] < 1 ||
      !atl_dtype_is_float_like (from->dtype) ||
      (heads > 0 && from->dim[0] % (2 * (gint64) heads) != 0))
    return atl_fail (error, ATL_ERROR_BAD_FILE, _ ("%s has an odd shape or type in “%s”"),
                     atl_checkpoint_name (self->cp), from->name);
  n_rows = info.dim[0] = from->dim[0];
  n_in = info.dim[1] = from->dim[1];
  size = heads > 0 ? n_rows / heads : n_rows;
  values = g_new (float, (n_rows * n_in));
  for (gint64 row = 0; row < n_rows; row++)
    {
      gint64 in_head = row % size;
      gint64 source = heads > 0 ? row - in_head + in_head % 2 * (size / 2) + in_head / 2 : row;

      atl_dequantize (from->dtype,
                      from->data + (gsize) source * (from->size_bytes / (gsize) n_rows),
                      values + row * n_in, (gsize) n_in);
    }
  for (gint64 i = 0; i < n_rows * n_in; i++)
    values[i] = (float) (values[i] * scale);
  atl_checkpoint_take (self->out, values, g_free);
  info.data = (const guint8 *) values;
  info.size_bytes = (gsize) (n_rows * n_in) * sizeof (float);
  return atl_checkpoint_add_tensor (self->out, &info, error);
}

/* What a tensor's name ends in, and what it is called then. */
static const struct
{
  const char *end, *as;
} ends[] = {
  { ".lora_A.weight", ".lora_a" },
  { ".lora_B.weight", ".lora_b" },
  { ".lora_magnitude_vector", ".lora_magnitude" },
  { ".lora_magnitude_vector.weight", ".lora_magnitude" },
};

static gboolean
has_magnitude (const Adoption *self, const char *module)
{
  for (guint i = 2; i < G_N_ELEMENTS (ends); i++)
    {
      g_autofree char *name = g_strconcat (module, ends[i].end, NULL);

      if (atl_checkpoint_find (self->cp, name) != NULL)
        return TRUE;
    }
  return FALSE;
}

/* A layer of the model itself, which PEFT saves with changes of embeddings and outputs. */
static gboolean
is_of_base (const Adoption *self, const AtlTensorInfo *info)
{
  const AtlTensorInfo *base = atl_checkpoint_find (self->base, "token_embd.weight");

  return g_str_has_suffix (info->name, ".base_layer.weight") && base != NULL && info->n_dims == 2 &&
         base->n_dims == 2 && info->dim[0] == base->dim[0] && info->dim[1] == base->dim[1];
}

static gboolean
add_tensor (Adoption *self, const AtlTensorInfo *info, GError **error)
{
  g_autofree char *module = NULL, *name = NULL, *full = NULL;
  guint end = 0;

  if (is_of_base (self, info))
    return TRUE;
  while (end < G_N_ELEMENTS (ends) && !g_str_has_suffix (info->name, ends[end].end))
    end++;
  if (end == G_N_ELEMENTS (ends))
    return atl_fail (error, ATL_ERROR_UNSUPPORTED,
                     _ ("%s holds the tensor “%s”, which is no part of a LoRA for language models"),
                     atl_checkpoint_name (self->cp), info->name);
  module = g_strndup (info->name, strlen (info->name) - strlen (ends[end].end));
  name = gguf_name (self, module);
  if (name == NULL)
    return atl_fail (error, ATL_ERROR_INVALID,
                     _ ("%s changes “%s”, which models of the family “%s” do not have"),
                     atl_checkpoint_name (self->cp), module, self->family->arch);
  full = g_strconcat (name, ends[end].as, NULL);
  if (end == 0)
    return add_matrix (self, info, full, 1, 0, error);
  if (end > 1)
    {
      AtlTensorInfo column = *info;

      /* A vector, as rows of one number each. */
      column.n_dims = 2;
      column.dim[1] = 1;
      if (info->n_dims != 1 || !is_on (self, "use_dora"))
        return atl_fail (error, ATL_ERROR_BAD_FILE, _ ("%s has an odd shape or type in “%s”"),
                         atl_checkpoint_name (self->cp), info->name);
      return add_matrix (self, &column, full, 1, heads_of (self, name), error);
    }
  if (is_on (self, "use_dora") && !has_magnitude (self, module))
    return atl_fail (error, ATL_ERROR_BAD_FILE, _ ("%s has “%s” but not “%s”"),
                     atl_checkpoint_name (self->cp), info->name, ".lora_magnitude_vector");
  return add_matrix (self, info, full,
                     scale_of (self, module, info->n_dims == 2 ? info->dim[1] : 1),
                     heads_of (self, name), error);
}

AtlCheckpoint *
atl_hf_adapter_adopt (AtlCheckpoint *cp, const AtlCheckpoint *base, GError **error)
{
  const char *arch = atl_checkpoint_get_string (base, "general.architecture");
  Adoption self = { .cp = cp, .base = base };
  g_autoptr (AtlCheckpoint) out = NULL;

  if (atl_checkpoint_meta (cp, "general.type") != NULL ||
      atl_checkpoint_meta (cp, "general.architecture") != NULL)
    return atl_checkpoint_ref (cp);
  if (!check_config (&self, error))
    return NULL;
  self.family = arch != NULL ? atl_hf_family_of_arch (arch) : NULL;
  if (self.family == NULL)
    {
      atl_fail (
          error, ATL_ERROR_UNSUPPORTED,
          _ ("%s is in PEFT's form, which is not known here for models of the family “%s”; the "
             "same adapter as a .gguf file works"),
          atl_checkpoint_name (cp), arch != NULL ? arch : "unknown");
      return NULL;
    }
  self.n_head = base_uint (&self, "attention.head_count", 1);
  self.n_head_kv = base_uint (&self, "attention.head_count_kv", self.n_head);
  self.out = out = atl_checkpoint_new (atl_checkpoint_name (cp));
  put_string (&self, "general.type", "adapter");
  put_string (&self, "general.architecture", arch);
  put_string (&self, "adapter.type", "lora");
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    if (!add_tensor (&self, atl_checkpoint_tensor (cp, i), error))
      return NULL;
  return g_steal_pointer (&out);
}
