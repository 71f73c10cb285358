/* From a Hugging Face checkpoint to GGUF's names: tensors are gathered by module, modules by the
 * name they get, and each name becomes one tensor. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#include "base/name-hash.h"
#include "engine/convert/hf-module-name.h"
#include "engine/convert/hf-translation.h"

static void
module_free (gpointer data)
{
  HfModule *module = data;

  g_free (module->name);
  g_free (module);
}

static void
target_free (gpointer data)
{
  HfTarget *target = data;

  g_free (target->gguf);
  g_ptr_array_unref (target->modules);
  g_free (target);
}

gboolean
atl_hf_is_model (const AtlCheckpoint *hf)
{
  return atl_checkpoint_meta (hf, "general.architecture") == NULL &&
         (atl_checkpoint_get_string (hf, "model_type") != NULL ||
          atl_checkpoint_get_string (hf, "text_config.model_type") != NULL);
}

static gboolean
unknown_tensor (const HfTranslation *self, const char *name, GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
               _ ("%s: the tensor “%s” has no place in a %s model as it is known here"),
               atl_checkpoint_name (self->hf), name, self->config.family->arch);
  return FALSE;
}

/* --- Tensors to modules --- */

static void
gather (HfTranslation *self, const AtlTensorInfo *info)
{
  g_autofree char *name = g_strdup (info->name);
  AtlHfPart part = hf_take_part (name);
  HfModule *module = g_hash_table_lookup (self->by_name, name);
  if (module == NULL)
    {
      module = g_new0 (HfModule, 1);
      module->name = g_steal_pointer (&name);
      g_ptr_array_add (self->modules, module);
      g_hash_table_insert (self->by_name, module->name, module);
    }
  module->part[part] = info;
}

/* --- Modules to GGUF's names --- */

static void
add_target (HfTranslation *self,
            const char *gguf,
            const AtlHfName *name,
            gboolean is_bias,
            gint64 number,
            HfModule *module)
{
  g_autofree char *key = g_strconcat (gguf, is_bias ? ".bias" : ".weight", NULL);
  HfTarget *target = g_hash_table_lookup (self->by_gguf, key);

  if (target == NULL)
    {
      target = g_new0 (HfTarget, 1);
      target->gguf = g_strdup (gguf);
      target->name = name;
      target->is_bias = is_bias;
      target->is_stack = number >= 0;
      target->modules = g_ptr_array_new ();
      g_ptr_array_add (self->targets, target);
      g_hash_table_insert (self->by_gguf, g_steal_pointer (&key), target);
    }
  if (target->modules->len <= (guint) MAX (number, 0))
    g_ptr_array_set_size (target->modules, (gint) MAX (number, 0) + 1);
  target->modules->pdata[MAX (number, 0)] = module;
}

/* "blk.3.ffn_up" */
static char *
full_name (const HfTranslation *self, const AtlHfName *name, gint64 layer)
{
  gsize length = strlen (name->gguf);
  g_autofree char *inner = NULL;
  double n_experts = 0;

  atl_hf_config_number (&self->config, "num_local_experts", 0, HF_MAX_STACK, &n_experts);
  if ((self->config.family->flags & ATL_HF_SHARED_IS_DENSE) != 0 && n_experts < 1 &&
      g_str_has_suffix (name->gguf, "_shexp"))
    length -= strlen ("_shexp");
  inner = g_strndup (name->gguf, length);
  return layer >= 0 ? g_strdup_printf ("blk.%u.%s", (guint) layer, inner)
                    : g_steal_pointer (&inner);
}

static gboolean
place_module (HfTranslation *self, HfModule *module, guint n_layers, GError **error)
{
  const char *inner = hf_without_root (module->name);
  g_autofree char *pattern = NULL;
  gint64 layer = hf_take_layer (&inner, atl_hf_family_layers (self->config.family)), number;
  gboolean has_weight = FALSE;
  const AtlHfName *name;

  /* Layers beyond those of the network predict ahead. */
  if (layer >= 0 && layer >= n_layers)
    return TRUE;
  pattern = g_strdup (inner);
  number = hf_take_number (pattern);
  name = atl_hf_family_name (self->config.family, pattern, layer >= 0);
  if (name == NULL)
    return unknown_tensor (self, module->name, error);
  for (guint i = 0; i < ATL_HF_N_PARTS; i++)
    has_weight |= i != ATL_HF_BIAS && module->part[i] != NULL;
  for (; name != NULL; name = atl_hf_name_next (name))
    {
      gboolean for_tied = (name->layout & ATL_HF_LAYOUT_MASK) == ATL_HF_TIED_HEAD;
      g_autofree char *gguf = NULL;

      if (name->gguf == NULL || (for_tied && !self->tied) ||
          (self->tied && !for_tied && strcmp (name->gguf, "output") == 0))
        continue;
      gguf = full_name (self, name, layer);
      hf_origins_add (self->origins, gguf, (name->layout & ATL_HF_BARE) != 0, module->part);
      if (has_weight)
        add_target (self, gguf, name, FALSE, number, module);
      if (module->part[ATL_HF_BIAS] != NULL)
        add_target (self, gguf, name, TRUE, number, module);
    }
  return TRUE;
}

/* Models that see say it for the whole and for the part that writes; where the two disagree, it
 * counts whether there is a layer of its own. */
static gboolean
is_tied (const HfTranslation *self, gboolean *is_doubtful)
{
  const AtlMetaValue *whole = atl_checkpoint_meta (self->hf, "tie_word_embeddings");
  gboolean tied = atl_hf_config_bool (&self->config, "tie_word_embeddings", FALSE);

  *is_doubtful = self->config.nested && whole != NULL && whole->type == ATL_META_BOOL &&
                 !whole->v_bool != !tied;
  return *is_doubtful ? !g_hash_table_contains (self->by_name, "lm_head") : tied;
}

/* Only what it is said of is wrong without an output layer: parts of pictures' models have none. */
static void
add_untied (HfTranslation *self)
{
  const AtlMetaValue *tied = atl_hf_config_meta (&self->config, "tie_word_embeddings");
  g_autofree char *key = g_strconcat (self->config.family->arch, ".tie_word_embeddings", NULL);

  if (tied != NULL && tied->type == ATL_META_BOOL && !tied->v_bool &&
      !g_hash_table_contains (self->by_gguf, "output.weight"))
    atl_checkpoint_add_meta (self->out, key, tied, NULL);
}

/* The authors' code makes the table of tokens as large as the settings say, and reads no other. */
static gboolean
check_vocabulary (const HfTranslation *self, GError **error)
{
  const AtlTensorInfo *embedding = atl_checkpoint_find (self->out, "token_embd.weight");
  double n;

  if (embedding == NULL || embedding->n_dims != 2 ||
      atl_hf_config_meta (&self->config, "vocab_size") == NULL ||
      (atl_hf_config_number (&self->config, "vocab_size", 1, 1 << 30, &n) &&
       (gint64) n == embedding->dim[0]))
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
               _ ("%s: the tensor “%s” has %" PRId64 " rows, which is not what “%s” says"),
               atl_checkpoint_name (self->hf), "token_embd.weight", embedding->dim[0],
               "vocab_size");
  return FALSE;
}

static gboolean
translate (HfTranslation *self, GError **error)
{
  g_autofree char *words = NULL;
  gboolean is_doubtful;
  guint n_layers;

  if (!atl_hf_config_init (&self->config, self->hf, error) ||
      !atl_hf_quant_read (&self->quant, self->hf, error) ||
      !atl_hf_settings_add (&self->config, self->out, error))
    return FALSE;
  self->origins = hf_origins_new (&self->config);
  atl_checkpoint_take (self->out, self->origins, (GDestroyNotify) hf_origins_free);
  atl_checkpoint_set_origin (self->out, hf_origins_find, self->origins);
  words = atl_hf_quant_words (&self->quant);
  if (words != NULL)
    {
      AtlMetaValue value = { .type = ATL_META_STRING };

      value.v_string.chars = words;
      value.v_string.length = strlen (words);
      atl_checkpoint_add_meta (self->out, "general.quantisation", &value, NULL);
    }
  n_layers = atl_hf_config_n_layers (&self->config);
  for (guint i = 0; i < atl_checkpoint_n_tensors (self->hf); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (self->hf, i);

      if (!hf_is_ignored (info->name))
        gather (self, info);
    }
  self->tied = is_tied (self, &is_doubtful);
  for (guint i = 0; i < self->modules->len; i++)
    if (!place_module (self, self->modules->pdata[i], n_layers, error))
      return FALSE;
  if (!is_doubtful)
    add_untied (self);
  for (guint i = 0; i < self->targets->len; i++)
    if (!hf_add_tensor (self, self->targets->pdata[i], error))
      return FALSE;
  return check_vocabulary (self, error);
}

AtlCheckpoint *
atl_hf_adopt (AtlCheckpoint *cp, GError **error)
{
  return atl_hf_is_model (cp) ? atl_hf_translate (cp, error) : atl_checkpoint_ref (cp);
}

AtlCheckpoint *
atl_hf_translate (AtlCheckpoint *hf, GError **error)
{
  HfTranslation self = {
    .hf = hf,
    .out = atl_checkpoint_new (atl_checkpoint_name (hf)),
    .modules = g_ptr_array_new_with_free_func (module_free),
    .by_name = g_hash_table_new (atl_name_hash, g_str_equal),
    .targets = g_ptr_array_new_with_free_func (target_free),
    .by_gguf = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free, NULL),
  };
  GError *mistake = NULL;
  gboolean ok;

  atl_checkpoint_set_base (self.out, hf);
  ok = translate (&self, &mistake);
  if (!ok)
    {
      atl_checkpoint_say_origins (self.out, mistake);
      g_propagate_error (error, mistake);
    }
  g_ptr_array_unref (self.targets);
  g_ptr_array_unref (self.modules);
  g_hash_table_unref (self.by_name);
  g_hash_table_unref (self.by_gguf);
  if (ok)
    return self.out;
  atl_checkpoint_unref (self.out);
  return NULL;
}
