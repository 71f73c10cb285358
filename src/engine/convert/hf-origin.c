/* Names of Hugging Face's files for what is known under GGUF's names, for messages. */
#include "engine/convert/hf-origin.h"

#include <string.h>

#include "base/name-hash.h"
#include "engine/convert/hf-names.h"

struct _HfOrigins
{
  AtlHfConfig config;
  GHashTable *names; /* (owned) char* (owned) -> char* (owned) */
  char *root;        /* (owned) (nullable) "model." */
};

HfOrigins *
hf_origins_new (const AtlHfConfig *config)
{
  HfOrigins *self = g_new0 (HfOrigins, 1);

  self->config = *config;
  self->names = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free, g_free);
  return self;
}

void
hf_origins_free (HfOrigins *self)
{
  g_hash_table_unref (self->names);
  g_free (self->root);
  g_free (self);
}

static void
add (HfOrigins *self, const char *gguf, const char *ending, const char *hf)
{
  g_autofree char *name = g_strconcat (gguf, ending, NULL);
  const char *layers = strstr (hf, atl_hf_family_layers (self->config.family));

  if (g_hash_table_contains (self->names, name))
    return;
  if (self->root == NULL && layers != NULL)
    self->root = g_strndup (hf, (gsize) (layers - hf));
  g_hash_table_insert (self->names, g_steal_pointer (&name), g_strdup (hf));
}

void
hf_origins_add (HfOrigins *self,
                const char *gguf,
                gboolean is_bare,
                const AtlTensorInfo *const *parts)
{
  for (guint i = 0; i < ATL_HF_N_PARTS; i++)
    if (parts[i] != NULL)
      add (self, gguf, is_bare ? "" : i == ATL_HF_BIAS ? ".bias" : ".weight", parts[i]->name);
}

/* "blk.3.attn_q.weight" -> 3 and "attn_q.weight"; -1 outside of layers. */
static gint
layer_of (const char **name)
{
  char *end;
  guint64 layer;

  if (!g_str_has_prefix (*name, "blk.") || !g_ascii_isdigit ((*name)[4]))
    return -1;
  layer = g_ascii_strtoull (*name + 4, &end, 10);
  if (*end != '.' || layer > G_MAXINT)
    return -1;
  *name = end + 1;
  return (gint) layer;
}

/* The same part of another layer, with this layer's number. */
static char *
like_another (const HfOrigins *self, const char *rest, gint layer)
{
  const char *layers = atl_hf_family_layers (self->config.family);
  GHashTableIter iter;
  gpointer key, value;

  g_hash_table_iter_init (&iter, self->names);
  while (g_hash_table_iter_next (&iter, &key, &value))
    {
      const char *other = key, *hf = value, *number = strstr (hf, layers), *end;
      gint of = layer_of (&other);

      if (of < 0 || strcmp (other, rest) != 0 || number == NULL)
        continue;
      number += strlen (layers);
      end = number + strspn (number, "0123456789");
      return g_strdup_printf ("%.*s%d%s", (int) (number - hf), hf, layer, end);
    }
  return NULL;
}

/* The module that becomes "attn_q", of a family's list or of all. */
static const char *
module_for (const AtlHfName *list, const char *gguf)
{
  for (; list != NULL && list->hf != NULL; list++)
    if (list->gguf != NULL && strcmp (list->gguf, gguf) == 0 &&
        (list->layout & ATL_HF_LAYOUT_MASK) != ATL_HF_TIED_HEAD)
      return list->hf;
  return NULL;
}

static char *
from_list (const HfOrigins *self, const char *rest, gint layer)
{
  const AtlHfFamily *family = self->config.family;
  const char *root = self->root != NULL ? self->root : "model.", *module;
  const char *ending = g_str_has_suffix (rest, ".weight")  ? ".weight"
                       : strcmp (rest, "ssm_dt.bias") == 0 ? "_bias"
                       : g_str_has_suffix (rest, ".bias")  ? ".bias"
                                                           : "";
  g_autofree char *gguf = g_strndup (rest, strlen (rest) - strlen (ending));

  module = module_for (layer >= 0 ? family->names : family->model_names, gguf);
  if (module == NULL)
    module = module_for (layer >= 0 ? hf_layer_names : hf_model_names, gguf);
  if (module == NULL)
    return NULL;
  if (layer >= 0)
    return g_strdup_printf ("%s%s%d.%s%s", root, atl_hf_family_layers (family), layer, module,
                            ending);
  return g_strconcat (strcmp (module, "lm_head") == 0 ? "" : root, module, ending, NULL);
}

/* What lies in one tensor with others, where none of the files' has it alone. */
static char *
like_fused (const HfOrigins *self, const char *rest, gint layer)
{
  static const struct
  {
    const char *alone, *fellow, *fused;
  } known[] = {
    { "ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_gate_up_exps.weight" },
    { "attn_q.weight", "attn_k.weight", "attn_qkv.weight" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
    {
      g_autofree char *fellow = NULL;

      if (strcmp (rest, known[i].alone) != 0)
        continue;
      fellow = like_another (self, known[i].fellow, layer);
      return fellow == NULL ? like_another (self, known[i].fused, layer) : NULL;
    }
  return NULL;
}

char *
hf_origins_find (gconstpointer data, const char *gguf)
{
  const HfOrigins *self = data;
  const char *known = g_hash_table_lookup (self->names, gguf), *rest = gguf;
  gsize prefix = strlen (self->config.family->arch);
  gint layer = layer_of (&rest);
  char *found;

  if (known != NULL)
    return g_strdup (known);
  if (strncmp (gguf, self->config.family->arch, prefix) == 0 && gguf[prefix] == '.')
    return g_strdup (atl_hf_setting_for (&self->config, gguf + prefix + 1));
  found = layer >= 0 ? like_another (self, rest, layer) : NULL;
  if (found == NULL && layer >= 0)
    found = like_fused (self, rest, layer);
  return found != NULL ? found : from_list (self, rest, layer);
}
