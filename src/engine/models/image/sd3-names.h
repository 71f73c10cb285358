/* The Stable Diffusion 3 authors' names for diffusers' names, which are the canonical ones here.
 * Stacked layers have the authors' name as their canonical one.
 *
 * Threading: that of the source. The result is the caller's.
 */
#pragma once

#include "engine/models/blocks/source.h"

G_BEGIN_DECLS

/* An AtlNameMap; what is not translated comes back as it is. */
char *atl_sd3_author_name (const AtlSource *source, const char *canonical);

G_END_DECLS
