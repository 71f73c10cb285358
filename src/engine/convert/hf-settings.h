/* config.json of a language model as GGUF's metadata, and the tensors that are made of settings
 * (factors of rotary frequencies). Private to convert/.
 *
 * Threading: any thread.
 */
#pragma once

#include "engine/convert/hf-config.h"

G_BEGIN_DECLS

/* The setting that `key` (without the name of the architecture) is or would be made from: the one
 * that is there, else the first that may be; NULL when it is made of none or of several. */
const char *atl_hf_setting_for (const AtlHfConfig *self, const char *key);

/* Adds everything to `out`, whose tensors are made later. */
gboolean atl_hf_settings_add (const AtlHfConfig *self, AtlCheckpoint *out, GError **error);

G_END_DECLS
