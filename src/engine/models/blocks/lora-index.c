/* Sorting a LoRA file's tensors by layer. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/lora-index.h"

#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "base/name-hash.h"
#include "engine/tensor/quants/dequant.h"

struct _AtlLoraIndex
{
  AtlCheckpoint *cp;   /* (owned) */
  GPtrArray *groups;   /* (owned) AtlLoraGroup */
  GHashTable *by_name; /* (owned) "PLACE:MODULE" -> AtlLoraGroup */
  const char *mistake; /* (nullable) */
  JsonNode *settings;  /* (owned) (nullable) the header's "lora_adapter_metadata" */
  GHashTable *tables;  /* (owned) JsonObject of patterns -> their table (owned) */
};

/* --- Names --- */

typedef struct
{
  const char *suffix;
  AtlLoraPart part;
} Suffix;

/* The first that fits; longer ones before their own ends. */
static const Suffix suffixes[] = {
  { ".lora_down.weight", ATL_LORA_DOWN },
  { ".lora_up.weight", ATL_LORA_UP },
  { ".lora_A.weight", ATL_LORA_DOWN },
  { ".lora_B.weight", ATL_LORA_UP },
  { ".lora_A.default.weight", ATL_LORA_DOWN },
  { ".lora_B.default.weight", ATL_LORA_UP },
  { ".lora.down.weight", ATL_LORA_DOWN },
  { ".lora.up.weight", ATL_LORA_UP },
  { ".lora_linear_layer.down.weight", ATL_LORA_DOWN },
  { ".lora_linear_layer.up.weight", ATL_LORA_UP },
  { ".lora_A", ATL_LORA_DOWN },
  { ".lora_B", ATL_LORA_UP },
  { ".lora_mid.weight", ATL_LORA_MID },
  { ".lora_up.bias", ATL_LORA_UP_BIAS },
  { ".lora_B.bias", ATL_LORA_UP_BIAS },
  { ".lora_B.default.bias", ATL_LORA_UP_BIAS },
  { ".alpha", ATL_LORA_ALPHA },
  { ".lora_magnitude_vector", ATL_LORA_MAGNITUDE },
  { ".lora_magnitude_vector.weight", ATL_LORA_MAGNITUDE },
  { ".lora_magnitude_vector.default.weight", ATL_LORA_MAGNITUDE },
  { ".dora_scale", ATL_LORA_DORA_SCALE },
  { ".hada_w1_a", ATL_LORA_HADA_W1_A },
  { ".hada_w1_b", ATL_LORA_HADA_W1_B },
  { ".hada_w2_a", ATL_LORA_HADA_W2_A },
  { ".hada_w2_b", ATL_LORA_HADA_W2_B },
  { ".hada_t1", ATL_LORA_HADA_T1 },
  { ".hada_t2", ATL_LORA_HADA_T2 },
  { ".lokr_w1", ATL_LORA_LOKR_W1 },
  { ".lokr_w1_a", ATL_LORA_LOKR_W1_A },
  { ".lokr_w1_b", ATL_LORA_LOKR_W1_B },
  { ".lokr_w2", ATL_LORA_LOKR_W2 },
  { ".lokr_w2_a", ATL_LORA_LOKR_W2_A },
  { ".lokr_w2_b", ATL_LORA_LOKR_W2_B },
  { ".lokr_t2", ATL_LORA_LOKR_T2 },
  { ".diff", ATL_LORA_DIFF },
  { ".diff_m", ATL_LORA_DIFF },
  { ".w_norm", ATL_LORA_DIFF },
  { ".diff_b", ATL_LORA_DIFF_BIAS },
  { ".b_norm", ATL_LORA_DIFF_BIAS },
  /* XLabs': what stands before it stays, as it belongs to the layer's name. */
  { "_lora.down.weight", ATL_LORA_DOWN },
  { "_lora.up.weight", ATL_LORA_UP },
  { "_lora1.down.weight", ATL_LORA_DOWN },
  { "_lora1.up.weight", ATL_LORA_UP },
  { "_lora2.down.weight", ATL_LORA_DOWN },
  { "_lora2.up.weight", ATL_LORA_UP },
};

typedef struct
{
  const char *prefix;
  AtlLoraPlace place;
} Prefix;

static const Prefix prefixes[] = {
  { "lora_unet_", ATL_LORA_IN_DENOISER },
  { "lora_transformer_", ATL_LORA_IN_DENOISER },
  { "lycoris_", ATL_LORA_IN_DENOISER },
  { "lora_te_", ATL_LORA_IN_TEXT },
  { "lora_te1_", ATL_LORA_IN_TEXT_1 },
  { "lora_te2_", ATL_LORA_IN_TEXT_2 },
  { "lora_te3_", ATL_LORA_IN_TEXT_3 },
  { "te.", ATL_LORA_IN_TEXT },
  { "text_encoder.", ATL_LORA_IN_TEXT_1 },
  { "text_encoder_2.", ATL_LORA_IN_TEXT_2 },
  { "text_encoder_3.", ATL_LORA_IN_TEXT_3 },
  { "text_encoders.clip_l.transformer.", ATL_LORA_IN_TEXT_1 },
  { "text_encoders.clip_g.transformer.", ATL_LORA_IN_TEXT_2 },
  { "text_encoders.t5xxl.transformer.", ATL_LORA_IN_TEXT_3 },
};

/* They say nothing, and stand before one another. */
static const char *const wrappers[] = { "base_model.model.", "model.diffusion_model.",
                                        "diffusion_model.", "transformer.", "unet." };

/* A name may be all wrappers, megabytes of them. */
static const char *
skip_wrappers (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (wrappers);)
    if (g_str_has_prefix (name, wrappers[i]))
      {
        name += strlen (wrappers[i]);
        i = 0;
      }
    else
      i++;
  return name;
}

gboolean
atl_lora_name_split (const char *name, AtlLoraPlace *place, char **module, AtlLoraPart *part)
{
  const Suffix *suffix = NULL;
  gsize end;

  for (gsize i = 0; suffix == NULL && i < G_N_ELEMENTS (suffixes); i++)
    if (g_str_has_suffix (name, suffixes[i].suffix))
      suffix = &suffixes[i];
  if (suffix == NULL)
    return FALSE;
  end = strlen (name) - strlen (suffix->suffix);
  if (suffix->suffix[0] == '_')
    end += (gsize) (strchr (suffix->suffix, '.') - suffix->suffix);
  *place = ATL_LORA_IN_DENOISER;
  *part = suffix->part;
  for (gsize i = 0; i < G_N_ELEMENTS (prefixes); i++)
    {
      gsize n = strlen (prefixes[i].prefix);

      if (n > end || strncmp (name, prefixes[i].prefix, n) != 0)
        continue;
      *place = prefixes[i].place;
      name += n;
      end -= n;
      break;
    }
  /* "lora_unet__blocks_0": of some tools for Wan. */
  if (*name == '_' && end > 0)
    {
      name++;
      end--;
    }
  {
    const char *rest = skip_wrappers (name);

    end -= MIN (end, (gsize) (rest - name));
    *module = g_strdelimit (g_strndup (rest, end), ".", '_');
  }
  return TRUE;
}

/* --- Scales --- */

/* One number of any plain type; FALSE if it is none. */
static gboolean
read_number (const AtlTensorInfo *info, double *out)
{
  float value;

  if (info->data == NULL || atl_dtype_info (info->dtype)->block_elems != 1 ||
      info->size_bytes != atl_dtype_info (info->dtype)->block_bytes)
    return FALSE;
  if (info->dtype == ATL_DTYPE_I32 || info->dtype == ATL_DTYPE_I64)
    {
      gint32 narrow;
      gint64 wide;

      memcpy (&narrow, info->data, sizeof narrow);
      if (info->dtype == ATL_DTYPE_I64)
        memcpy (&wide, info->data, sizeof wide);
      *out = info->dtype == ATL_DTYPE_I64 ? (double) wide : narrow;
      return TRUE;
    }
  if (!atl_dequantize (info->dtype, info->data, &value, 1))
    return FALSE;
  *out = value;
  return TRUE;
}

/* Names of layers have no more bytes, nor have their ends. */
#define MAX_MODULE_BYTES 1024

/* Patterns by their names with "_" for "."; of two that are then alike the first. */
static GHashTable *
table_of (const AtlLoraIndex *self, JsonObject *patterns)
{
  GHashTable *table = g_hash_table_lookup (self->tables, patterns);
  JsonObjectIter iter;
  const char *key;

  if (table != NULL)
    return table;
  table = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free, NULL);
  g_hash_table_insert (self->tables, patterns, table);
  json_object_iter_init_ordered (&iter, patterns);
  while (json_object_iter_next_ordered (&iter, &key, NULL))
    {
      char *flat = g_strdelimit (g_strdup (key), ".", '_');

      if (g_hash_table_contains (table, flat))
        g_free (flat);
      else
        g_hash_table_insert (table, flat, (gpointer) key);
    }
  return table;
}

/* peft's patterns match a module's name or its end behind a dot; the longest counts. */
static double
pattern_value (const AtlLoraIndex *self, JsonObject *patterns, const char *module, double fallback)
{
  const char *end = patterns != NULL && strlen (module) <= MAX_MODULE_BYTES ? module : NULL;

  while (end != NULL)
    {
      const char *key = g_hash_table_lookup (table_of (self, patterns), end);

      if (key != NULL)
        return atl_json_double (patterns, key, fallback);
      end = strchr (end, '_');
      end = end != NULL ? end + 1 : NULL;
    }
  return fallback;
}

/* What the header's "lora_adapter_metadata" says of the place; 1 without it. */
static double
settings_factor (const AtlLoraIndex *self, const AtlLoraGroup *group, double rank)
{
  static const char *const starts[] = { "transformer.", "unet.", "" };
  JsonObject *all = self->settings != NULL && JSON_NODE_HOLDS_OBJECT (self->settings)
                        ? json_node_get_object (self->settings)
                        : NULL;
  const char *start = group->place == ATL_LORA_IN_TEXT_1   ? "text_encoder."
                      : group->place == ATL_LORA_IN_TEXT_2 ? "text_encoder_2."
                      : group->place == ATL_LORA_IN_TEXT_3 ? "text_encoder_3."
                                                           : NULL;

  for (gsize i = 0; all != NULL && i < G_N_ELEMENTS (starts); i++)
    {
      const char *head = start != NULL ? start : starts[i];
      g_autofree char *alpha_key = g_strconcat (head, "lora_alpha", NULL);
      g_autofree char *pattern_key = g_strconcat (head, "alpha_pattern", NULL);
      g_autofree char *root_key = g_strconcat (head, "use_rslora", NULL);
      double alpha;

      if (!json_object_has_member (all, alpha_key))
        continue;
      alpha = pattern_value (self, atl_json_object (all, pattern_key), group->module,
                             atl_json_double (all, alpha_key, rank));
      return alpha / (atl_json_bool (all, root_key, FALSE) ? sqrt (rank) : rank);
    }
  return 1;
}

/* Of the matrix that is multiplied first; 0 where both factors of a LoKr are whole. */
static gint64
rank_of (const AtlLoraGroup *group)
{
  static const AtlLoraPart firsts[] = { ATL_LORA_DOWN, ATL_LORA_HADA_W1_B, ATL_LORA_LOKR_W2_B,
                                        ATL_LORA_LOKR_W1_B };

  for (gsize i = 0; i < G_N_ELEMENTS (firsts); i++)
    if (group->part[firsts[i]] != NULL && group->part[firsts[i]]->n_dims > 0)
      return group->part[firsts[i]]->dim[0];
  return 0;
}

/* alpha / rank. No alpha, and an alpha of 0, are the rank. */
static void
set_factor (AtlLoraIndex *self, AtlLoraGroup *group)
{
  const AtlTensorInfo *info = group->part[ATL_LORA_ALPHA];
  double rank = (double) rank_of (group), alpha = 0;

  group->factor = 1.0f;
  if (rank < 1)
    return;
  if (info == NULL)
    group->factor = (float) settings_factor (self, group, rank);
  else if (read_number (info, &alpha) && alpha != 0)
    group->factor = (float) (alpha / rank);
  if (!isfinite (group->factor))
    {
      self->mistake = info != NULL ? info->name : group->module;
      group->factor = 0;
    }
}

/* --- The index --- */

static void
group_free (gpointer data)
{
  AtlLoraGroup *group = data;

  g_free (group->module);
  g_free (group);
}

static char *
key_of (guint place, const char *module)
{
  return g_strdup_printf ("%u:%s", place, module);
}

/* Names that are none of the known ones are passed over, and of two that mean the same the second.
 */
static void
add (AtlLoraIndex *self, const AtlTensorInfo *info)
{
  g_autofree char *module = NULL, *key = NULL;
  AtlLoraPlace place;
  AtlLoraPart part;
  AtlLoraGroup *group;

  if (!atl_lora_name_split (info->name, &place, &module, &part))
    return;
  key = key_of (place, module);
  group = g_hash_table_lookup (self->by_name, key);
  if (group == NULL)
    {
      group = g_new0 (AtlLoraGroup, 1);
      group->place = place;
      group->module = g_steal_pointer (&module);
      g_ptr_array_add (self->groups, group);
      g_hash_table_insert (self->by_name, g_steal_pointer (&key), group);
    }
  if (group->part[part] == NULL)
    group->part[part] = info;
}

AtlLoraIndex *
atl_lora_index_new (AtlCheckpoint *cp)
{
  AtlLoraIndex *self = g_new0 (AtlLoraIndex, 1);
  const char *text = atl_checkpoint_get_string (cp, "__metadata__.lora_adapter_metadata");

  self->cp = atl_checkpoint_ref (cp);
  self->groups = g_ptr_array_new_with_free_func (group_free);
  self->by_name = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free, NULL);
  self->tables = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) g_hash_table_unref);
  if (text != NULL)
    self->settings = atl_json_parse (text, strlen (text), "lora_adapter_metadata", NULL);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    add (self, atl_checkpoint_tensor (cp, i));
  for (guint i = 0; i < self->groups->len; i++)
    set_factor (self, self->groups->pdata[i]);
  return self;
}

void
atl_lora_index_free (AtlLoraIndex *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->by_name);
  g_hash_table_unref (self->tables);
  g_ptr_array_unref (self->groups);
  g_clear_pointer (&self->settings, json_node_unref);
  atl_checkpoint_unref (self->cp);
  g_free (self);
}

AtlCheckpoint *
atl_lora_index_checkpoint (const AtlLoraIndex *self)
{
  return self->cp;
}

AtlLoraGroup *
atl_lora_index_find (const AtlLoraIndex *self, guint places, const char *module)
{
  g_autofree char *flat = g_strdelimit (g_strdup (module), ".", '_');

  for (guint place = 1; place <= ATL_LORA_IN_TEXT_3; place <<= 1)
    {
      g_autofree char *key = (places & place) != 0 ? key_of (place, flat) : NULL;
      AtlLoraGroup *group = key != NULL ? g_hash_table_lookup (self->by_name, key) : NULL;

      if (group != NULL)
        return group;
    }
  return NULL;
}

GPtrArray *
atl_lora_index_groups (const AtlLoraIndex *self)
{
  return self->groups;
}

const char *
atl_lora_index_mistake (const AtlLoraIndex *self)
{
  return self->mistake;
}
