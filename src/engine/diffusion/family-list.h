/* The families, one file each.
 *
 * Threading: any; constant tables.
 */
#pragma once

#include "engine/diffusion/family.h"

G_BEGIN_DECLS

extern const AtlDiffusionFamily atl_family_sd;
extern const AtlDiffusionFamily atl_family_sdxl;
extern const AtlDiffusionFamily atl_family_sd3;
extern const AtlDiffusionFamily atl_family_hidream;
extern const AtlDiffusionFamily atl_family_wan;
extern const AtlDiffusionFamily atl_family_flux;
extern const AtlDiffusionFamily atl_family_chroma;
extern const AtlDiffusionFamily atl_family_qwen_image;
extern const AtlDiffusionFamily atl_family_zimage;
extern const AtlDiffusionFamily atl_family_flux2;

G_END_DECLS
