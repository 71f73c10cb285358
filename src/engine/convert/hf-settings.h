/* config.json of a language model as GGUF's metadata, and the tensors that are made of settings
 * (factors of rotary frequencies). Private to convert/.
 *
 * Threading: any thread.
 */
#pragma once

#include "engine/convert/hf-families.h"

G_BEGIN_DECLS

/* The settings of the text part, with the family's defaults. */
typedef struct
{
  const AtlCheckpoint *cp; /* metadata of config.json */
  const AtlHfFamily *family;
  gboolean nested; /* they lie in "text_config." */
} AtlHfConfig;

/* ATL_ERROR_UNSUPPORTED when the family is not known, in words that list those that are. */
gboolean atl_hf_config_init (AtlHfConfig *self, const AtlCheckpoint *hf, GError **error);

/* FALSE when neither the file nor the family has it (or it is no number of that range). */
gboolean atl_hf_config_number (
    const AtlHfConfig *self, const char *key, double min, double max, double *out);
gboolean atl_hf_config_bool (const AtlHfConfig *self, const char *key, gboolean fallback);
const char *atl_hf_config_string (const AtlHfConfig *self, const char *key);
const AtlMetaValue *atl_hf_config_meta (const AtlHfConfig *self, const char *key);

/* The product of the settings that `words` names ("key_multiplier mlp_multipliers[1]"); one that is
 * not there counts as 1. FALSE when one is no number, or a list is too short. */
gboolean atl_hf_config_factors (const AtlHfConfig *self, const char *words, double *product);

/* The setting that `key` (without the name of the architecture) is or would be made from: the one
 * that is there, else the first that may be; NULL when it is made of none or of several. */
const char *atl_hf_setting_for (const AtlHfConfig *self, const char *key);

/* Adds everything to `out`, whose tensors are made later. */
gboolean atl_hf_settings_add (const AtlHfConfig *self, AtlCheckpoint *out, GError **error);

G_END_DECLS
