/* AtlCheckpoint - private: copies of metadata, whose strings share one allocation. */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* A deep copy of `value`, the caller's; to be freed with atl_meta_value_free(). Aborts when memory
 * runs out (sizes were checked by whoever read the file). Any thread. */
AtlMetaValue *atl_meta_value_copy (const AtlMetaValue *value);

/* Frees what atl_meta_value_copy() made, and nothing that was made otherwise. */
void atl_meta_value_free (AtlMetaValue *value);

G_END_DECLS
