/* What can be set beside size, steps, guidance and sampler: what families make AtlTraits.knobs of.
 *
 *   .knobs = (const AtlKnob *const[]){ &atl_knob_faster, &atl_knob_shift, NULL }
 *
 * Threading: constant.
 */
#pragma once

#include "engine/diffusion/family.h"

G_BEGIN_DECLS

extern const AtlKnob atl_knob_faster;
/* "faster_method", by what the denoiser answers (models/blocks/stages.h): nothing but whole passes;
 * parts; parts, with TeaCache fitted to them; parts and attention; all of these. */
extern const AtlKnob atl_knob_method_of_whole;
extern const AtlKnob atl_knob_method_of_parts;
extern const AtlKnob atl_knob_method_of_fitted;
extern const AtlKnob atl_knob_method_of_attention;
extern const AtlKnob atl_knob_method_of_all;
/* Of flow matching whose shift is a number, and not taken from the picture's size. */
extern const AtlKnob atl_knob_shift;
/* Of a second network, which draws after the first. */
extern const AtlKnob atl_knob_guidance_2;
/* Of CLIP's texts. */
extern const AtlKnob atl_knob_weighting;
extern const AtlKnob atl_knob_clip_skip;
/* Of UNets and their schedules. */
extern const AtlKnob atl_knob_guidance_rescale;
extern const AtlKnob atl_knob_eta;

G_END_DECLS
