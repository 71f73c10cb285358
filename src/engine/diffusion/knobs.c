/* What can be set beside size, steps, guidance and sampler. */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>

#include "engine/diffusion/knobs.h"

static const char *const rules[] = { "a1111", "comfyui", "plain", NULL };

const AtlKnob atl_knob_weighting = {
  .name = "weighting",
  .label = N_ ("Emphasis"),
  .help = N_ ("How (word:1.3) in prompts is read"),
  .kind = ATL_KNOB_CHOICE,
  .choices = rules,
};
const AtlKnob atl_knob_clip_skip = {
  .name = "clip_skip",
  .label = N_ ("Text layers left out"),
  .help = N_ ("Models of drawn styles are often made for 1"),
  .kind = ATL_KNOB_WHOLE,
  .max = 4,
  .step = 1,
};
const AtlKnob atl_knob_guidance_rescale = {
  .name = "guidance_rescale",
  .label = N_ ("Softer guidance"),
  .help = N_ ("Tames colours that a strong guidance makes too bright"),
  .kind = ATL_KNOB_NUMBER,
  .max = 1,
  .step = 0.05,
};
const AtlKnob atl_knob_eta = {
  .name = "eta",
  .label = N_ ("Noise put back"),
  .help = N_ ("Eta of the samplers DDIM and TCD"),
  .kind = ATL_KNOB_NUMBER,
  .max = 1,
  .step = 0.05,
};
const AtlKnob atl_knob_shift = {
  .name = ATL_KNOB_SHIFT,
  .label = N_ ("Shift"),
  .help = N_ ("Higher: more of the steps for the composition. Lower: more for details"),
  .kind = ATL_KNOB_NUMBER,
  .min = 0.5,
  .max = 15,
  .step = 0.5,
};
const AtlKnob atl_knob_guidance_2 = {
  .name = "guidance_2",
  .label = N_ ("Guidance of details"),
  .help = N_ ("Of the second network, which draws the details"),
  .kind = ATL_KNOB_NUMBER,
  .min = 1,
  .max = 20,
  .step = 0.5,
  .fallback = 5,
};

const AtlKnob atl_knob_faster = {
  .name = "faster",
  .label = N_ ("Faster, slightly different"),
  .help = N_ ("Leaves out steps whose result can be foretold. Needs ten steps or more"),
  .kind = ATL_KNOB_WHOLE,
  .max = 3,
  .step = 1,
};

/* How, where the person does not leave it to the rules of passes.h: by what the network answers. */
#define FASTER_METHOD(list)                                                                        \
  {                                                                                                \
    .name = "faster_method", .label = N_ ("How steps are foretold"),                               \
    .help = N_ ("Of “Faster, slightly different”. What keeps attention needs much more memory"),   \
    .kind = ATL_KNOB_CHOICE, .choices = list                                                       \
  }

static const char *const whole_methods[] = { "auto", "easycache", "taylor", NULL };
static const char *const part_methods[] = { "auto", "first-block", "easycache", "taylor", NULL };
static const char *const fitted_methods[] = { "auto",      "teacache", "first-block",
                                              "easycache", "taylor",   NULL };
static const char *const attention_methods[] = { "auto",   "first-block",      "easycache",
                                                 "taylor", "taylor-attention", "pyramid",
                                                 NULL };
static const char *const all_methods[] = { "auto",   "teacache",         "first-block", "easycache",
                                           "taylor", "taylor-attention", "pyramid",     NULL };

const AtlKnob atl_knob_method_of_whole = FASTER_METHOD (whole_methods);
const AtlKnob atl_knob_method_of_parts = FASTER_METHOD (part_methods);
const AtlKnob atl_knob_method_of_fitted = FASTER_METHOD (fitted_methods);
const AtlKnob atl_knob_method_of_attention = FASTER_METHOD (attention_methods);
const AtlKnob atl_knob_method_of_all = FASTER_METHOD (all_methods);
