/* The table of samplers' names. */
#define G_LOG_DOMAIN "atl-media"

#include "media/sampler-names.h"

/* The first row of a class is what is written into files. */
static const struct
{
  const char *name, *class_name;
  const char *words; /* (nullable) where other programs tell it by the model */
} samplers[] = {
  { "Euler", "EulerDiscreteScheduler" },
  { "Euler a", "EulerAncestralDiscreteScheduler" },
  { "Heun", "HeunDiscreteScheduler" },
  { "LMS", "LMSDiscreteScheduler" },
  { "DDIM", "DDIMScheduler" },
  { "DDPM", "DDPMScheduler" },
  { "PLMS", "PNDMScheduler" },
  { "PNDM", "PNDMScheduler" },
  { "UniPC", "UniPCMultistepScheduler" },
  { "DEIS", "DEISMultistepScheduler" },
  { "DPM++ 2M", "DPMSolverMultistepScheduler" },
  { "DPM++ 2S", "DPMSolverSinglestepScheduler" },
  { "DPM++ SDE", "DPMSolverSDEScheduler" },
  { "DPM2", "KDPM2DiscreteScheduler" },
  { "DPM2 a", "KDPM2AncestralDiscreteScheduler" },
  { "LCM", "LCMScheduler" },
  { "TCD", "TCDScheduler" },
  { "Flow Euler", "FlowMatchEulerDiscreteScheduler", "Euler" },
  { "Flow Heun", "FlowMatchHeunDiscreteScheduler", "Heun" },
  { "Flow LCM", "FlowMatchLCMScheduler", "LCM" },
};

const char *
atl_sampler_class (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (samplers); i++)
    if (g_ascii_strcasecmp (name, samplers[i].name) == 0)
      return samplers[i].class_name;
  return NULL;
}

const char *
atl_sampler_words (const char *class_name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (samplers); i++)
    if (g_str_equal (class_name, samplers[i].class_name))
      return samplers[i].words != NULL ? samplers[i].words : samplers[i].name;
  return class_name;
}

char *
atl_sampler_list (void)
{
  GString *list = g_string_new (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (samplers); i++)
    g_string_append_printf (list, "%s%s", i == 0 ? "" : ", ", samplers[i].name);
  return g_string_free (list, FALSE);
}
