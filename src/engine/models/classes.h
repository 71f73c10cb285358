/* The component classes that exist, for the list in component.c.
 *
 * Threading: any; constant tables.
 */
#pragma once

#include "engine/models/component.h"

extern const AtlComponentClass atl_chroma_class;
extern const AtlComponentClass atl_clip_text_class;
extern const AtlComponentClass atl_clip_vision_class;
extern const AtlComponentClass atl_compact_class;
extern const AtlComponentClass atl_esrgan_class;
extern const AtlComponentClass atl_flux2_class;
extern const AtlComponentClass atl_flux_class;
extern const AtlComponentClass atl_hidream_class;
extern const AtlComponentClass atl_llm_encoder_class;
extern const AtlComponentClass atl_qwen_image_class;
extern const AtlComponentClass atl_qwen_vision_class;
extern const AtlComponentClass atl_sd3_class;
extern const AtlComponentClass atl_sd_unet_class;
extern const AtlComponentClass atl_siglip_class;
extern const AtlComponentClass atl_t5_class;
extern const AtlComponentClass atl_tae_class;
extern const AtlComponentClass atl_taehv_class;
extern const AtlComponentClass atl_vae_kl_class;
extern const AtlComponentClass atl_vae_wan_class;
extern const AtlComponentClass atl_wan_class;
extern const AtlComponentClass atl_zimage_class;
