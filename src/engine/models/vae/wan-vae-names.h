/* Names of Wan video autoencoders in diffusers folders.
 *
 * Threading: that of the source. The result is the caller's.
 */
#pragma once

#include "engine/models/blocks/source.h"

G_BEGIN_DECLS

/* An AtlNameMap from the authors' names to diffusers'; source->map_number: stages of a level of
 * the decoder (its residual blocks and the resampler). */
char *atl_wan_vae_diffusers_name (const AtlSource *source, const char *canonical);

G_END_DECLS
