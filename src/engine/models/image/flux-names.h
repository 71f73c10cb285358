/* The Flux authors' names for diffusers' names, which are the canonical ones here, and those of
 * XLabs' LoRA files. Stacked layers have the authors' name as their canonical one.
 *
 * Threading: that of the source. Results are the caller's.
 */
#pragma once

#include "engine/models/blocks/source.h"

G_BEGIN_DECLS

/* AtlNameMap each; what is not translated comes back as it is (NULL for XLabs). */
char *atl_flux_author_name (const AtlSource *source, const char *canonical);
char *atl_flux_xlabs_name (const AtlSource *source, const char *canonical);

G_END_DECLS
