/* Between the files of the safetensors reader. */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* Every tensor that the index lists must be in the file that it names, one of `maps` (AtlFileMap).
 */
gboolean atl_safetensors_check_index (
    AtlCheckpoint *cp, GPtrArray *maps, const char *json, gsize size, GError **error);

G_END_DECLS
