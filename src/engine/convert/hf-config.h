/* config.json of a language model: its family, and its settings one by one. Private to convert/.
 *
 *   if (atl_hf_config_init (&config, hf, error) &&
 *       atl_hf_config_number (&config, "hidden_size", 1, 1e6, &width)) …
 *
 * Threading: any thread.
 */
#pragma once

#include "engine/convert/hf-families.h"

G_BEGIN_DECLS

/* The settings of the text part, with the family's defaults. */
struct AtlHfConfig
{
  const AtlCheckpoint *cp; /* metadata of config.json */
  const AtlHfFamily *family;
  gboolean nested;  /* they lie in "text_config." */
  const char **odd; /* (nullable) where the first setting is told that is there and of no use */
};

/* ATL_ERROR_UNSUPPORTED when the family is not known, in words that list those that are. */
gboolean atl_hf_config_init (AtlHfConfig *self, const AtlCheckpoint *hf, GError **error);

/* FALSE when neither the file nor the family has it; or it is no number of that range, which goes
 * to `odd`. */
gboolean atl_hf_config_number (
    const AtlHfConfig *self, const char *key, double min, double max, double *out);
/* What is neither there nor of the kind is the fallback, or NULL; the latter goes to `odd`. */
gboolean atl_hf_config_bool (const AtlHfConfig *self, const char *key, gboolean fallback);
const char *atl_hf_config_string (const AtlHfConfig *self, const char *key);
const AtlMetaValue *atl_hf_config_meta (const AtlHfConfig *self, const char *key);
/* Whether it is there as null or as an empty object. */
gboolean atl_hf_config_is_null (const AtlHfConfig *self, const char *key);

/* Layers of the network, under the names that the number goes by; 0 where it is not said. */
guint atl_hf_config_n_layers (const AtlHfConfig *self);
/* Heads of keys; 0 where neither they nor those of queries are said. */
gint64 atl_hf_config_key_heads (const AtlHfConfig *self);

/* The product of the settings that `words` names ("key_multiplier mlp_multipliers[1]"); one that is
 * not there counts as 1. FALSE when one is no number, or a list is too short. */
gboolean atl_hf_config_factors (const AtlHfConfig *self, const char *words, double *product);

G_END_DECLS
