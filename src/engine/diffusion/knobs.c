/* What can be set of a family beside size, steps, guidance and sampler; and its own sampler. */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>

#include "base/json-bounded.h"
#include "engine/diffusion/family.h"

static const char *const rules[] = { "a1111", "comfyui", "plain", NULL };

static const AtlKnob weighting = {
  .name = "weighting",
  .label = N_ ("Emphasis"),
  .help = N_ ("How (word:1.3) in prompts is read"),
  .kind = ATL_KNOB_CHOICE,
  .choices = rules,
};
static const AtlKnob clip_skip = {
  .name = "clip_skip",
  .label = N_ ("Text layers left out"),
  .help = N_ ("Models of drawn styles are often made for 1"),
  .kind = ATL_KNOB_WHOLE,
  .max = 4,
  .step = 1,
};
static const AtlKnob rescale = {
  .name = "guidance_rescale",
  .label = N_ ("Softer guidance"),
  .help = N_ ("Tames colours that a strong guidance makes too bright"),
  .kind = ATL_KNOB_NUMBER,
  .max = 1,
  .step = 0.05,
};
static const AtlKnob eta = {
  .name = "eta",
  .label = N_ ("Noise put back"),
  .help = N_ ("Eta of the samplers DDIM and TCD"),
  .kind = ATL_KNOB_NUMBER,
  .max = 1,
  .step = 0.05,
};
static const AtlKnob shift = {
  .name = ATL_KNOB_SHIFT,
  .label = N_ ("Shift"),
  .help = N_ ("Higher: more of the steps for the composition. Lower: more for details"),
  .kind = ATL_KNOB_NUMBER,
  .min = 0.5,
  .max = 15,
  .step = 0.5,
};
static const AtlKnob guidance_2 = {
  .name = "guidance_2",
  .label = N_ ("Guidance of details"),
  .help = N_ ("Of the second network, which draws the details"),
  .kind = ATL_KNOB_NUMBER,
  .min = 1,
  .max = 20,
  .step = 0.5,
  .fallback = 5,
};

static const AtlKnob faster = {
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

static const AtlKnob whole_method = FASTER_METHOD (whole_methods);
static const AtlKnob part_method = FASTER_METHOD (part_methods);
static const AtlKnob fitted_method = FASTER_METHOD (fitted_methods);
static const AtlKnob attention_method = FASTER_METHOD (attention_methods);
static const AtlKnob all_method = FASTER_METHOD (all_methods);

static const AtlKnob *const of_sd[] = { &faster,  &whole_method, &weighting, &clip_skip,
                                        &rescale, &eta,          NULL };
static const AtlKnob *const of_sd3[] = { &faster, &part_method, &weighting, &shift, NULL };
static const AtlKnob *const of_zimage[] = { &faster, &part_method, &shift, NULL };
static const AtlKnob *const of_hidream[] = { &faster, &fitted_method, &shift, NULL };
static const AtlKnob *const of_wan[] = { &faster, &all_method, &shift, NULL };
static const AtlKnob *const of_two_networks[] = { &faster, &attention_method, &shift, &guidance_2,
                                                  NULL };
static const AtlKnob *const of_flux[] = { &faster, &all_method, NULL };
static const AtlKnob *const of_attention[] = { &faster, &attention_method, NULL };
static const AtlKnob *const of_parts[] = { &faster, &part_method, NULL };

static const struct
{
  const char *family;
  const char *sampler; /* where the bundle says none */
  gboolean is_flow;
  double shift;
  const AtlKnob *const *knobs;
} rows[] = {
  { "sd", "EulerDiscreteScheduler", FALSE, 1, of_sd },
  { "sdxl", "EulerDiscreteScheduler", FALSE, 1, of_sd },
  { "sd3", "FlowMatchEulerDiscreteScheduler", TRUE, 3, of_sd3 },
  { "wan", "UniPCMultistepScheduler", TRUE, 5, of_wan },
  { "hidream", "UniPCMultistepScheduler", TRUE, 3, of_hidream },
  { "zimage", "FlowMatchEulerDiscreteScheduler", TRUE, 3, of_zimage },
  { "flux", "FlowMatchEulerDiscreteScheduler", TRUE, 1, of_flux },
  { "chroma", "FlowMatchEulerDiscreteScheduler", TRUE, 1, of_attention },
  { "qwen-image", "FlowMatchEulerDiscreteScheduler", TRUE, 1, of_attention },
};

/* Few-step models that were taught their guidance. */
static gboolean
ignores_guidance (AtlBundle *bundle, const char *family, const AtlTraits *traits)
{
  JsonObject *network = atl_bundle_json (bundle, "transformer", "config.json");

  if (g_str_equal (family, "flux"))
    return network != NULL && !atl_json_bool (network, "guidance_embeds", FALSE);
  return g_str_equal (family, "flux2") && traits->steps <= 4;
}

void
atl_family_complete (const AtlDiffusionFamily *family, AtlBundle *bundle, AtlTraits *traits)
{
  JsonObject *own = atl_bundle_json (bundle, "scheduler", "scheduler_config.json");

  traits->sampler = "FlowMatchEulerDiscreteScheduler";
  traits->is_flow = TRUE;
  traits->shift = 1;
  traits->knobs = of_parts;
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    if (g_str_equal (rows[i].family, family->name))
      {
        traits->sampler = rows[i].sampler;
        traits->is_flow = rows[i].is_flow;
        traits->shift = rows[i].shift;
        traits->knobs = rows[i].knobs;
      }
  if (traits->knobs == of_wan && atl_bundle_has (bundle, "transformer_2"))
    traits->knobs = of_two_networks;
  traits->sampler = atl_json_string (own, "_class_name", traits->sampler);
  traits->shift =
      atl_json_double (own, "flow_shift", atl_json_double (own, "shift", traits->shift));
  traits->abilities |= ATL_CAN_LORA;
  if (!ignores_guidance (bundle, family->name, traits))
    traits->abilities |= ATL_CAN_GUIDANCE;
}
