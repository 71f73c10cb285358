/* Names of Wan transformers in diffusers folders.
 *
 * Threading: that of the source. The result is the caller's.
 */
#pragma once

#include "engine/models/blocks/source.h"

G_BEGIN_DECLS

/* An AtlNameMap from the authors' names to diffusers'. */
char *atl_wan_diffusers_name (const AtlSource *source, const char *canonical);

G_END_DECLS
