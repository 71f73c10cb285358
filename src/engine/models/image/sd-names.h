/* Names of original Stable Diffusion files (CompVis "LDM") for diffusers' names.
 *
 * Threading: that of the source. Results are the caller's.
 */
#pragma once

#include "engine/models/blocks/source.h"

G_BEGIN_DECLS

/* UNet, below "model.diffusion_model."; source->map_number: residual blocks per down level. */
char *atl_ldm_unet_name (const AtlSource *source, const char *canonical);
/* Autoencoder, below "first_stage_model."; source->map_number: number of levels. */
char *atl_ldm_vae_name (const AtlSource *source, const char *canonical);

G_END_DECLS
