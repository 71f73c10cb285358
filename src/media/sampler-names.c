/* The tables of samplers' and schedules' names. */
#define G_LOG_DOMAIN "atl-media"

#include "media/sampler-names.h"

#include <string.h>

#define FLOW "\"prediction_type\": \"flow_prediction\", \"use_flow_sigmas\": true"

/* The first row of a class is what it is called. */
static const AtlSamplerName samplers[] = {
  { "Euler", "EulerDiscreteScheduler", NULL, FALSE, TRUE, TRUE },
  { "Euler a", "EulerAncestralDiscreteScheduler", NULL, FALSE, FALSE, TRUE },
  { "DPM++ 2M", "DPMSolverMultistepScheduler",
    "{\"algorithm_type\": \"dpmsolver++\", \"solver_order\": 2}", FALSE, TRUE, TRUE },
  { "DPM++ 2M SDE", "DPMSolverMultistepScheduler",
    "{\"algorithm_type\": \"sde-dpmsolver++\", \"solver_order\": 2}", FALSE, TRUE, TRUE },
  { "DPM++ SDE", "DPMSolverSDEScheduler", NULL, FALSE, TRUE, TRUE },
  { "DPM++ 2S", "DPMSolverSinglestepScheduler", NULL, FALSE, TRUE, TRUE },
  { "UniPC", "UniPCMultistepScheduler", NULL, FALSE, TRUE, TRUE },
  { "DEIS", "DEISMultistepScheduler", NULL, FALSE, TRUE, TRUE },
  { "Heun", "HeunDiscreteScheduler", NULL, FALSE, TRUE, TRUE },
  { "DPM2", "KDPM2DiscreteScheduler", NULL, FALSE, TRUE, TRUE },
  { "DPM2 a", "KDPM2AncestralDiscreteScheduler", NULL, FALSE, TRUE, TRUE },
  { "LMS", "LMSDiscreteScheduler", NULL, FALSE, TRUE, TRUE },
  { "DDIM", "DDIMScheduler", NULL, FALSE, FALSE, TRUE },
  { "DDPM", "DDPMScheduler", NULL, FALSE, FALSE, TRUE },
  { "PLMS", "PNDMScheduler", NULL, FALSE, FALSE, TRUE },
  { "PNDM", "PNDMScheduler", NULL, FALSE, FALSE, TRUE },
  { "LCM", "LCMScheduler", NULL, FALSE, FALSE, FALSE },
  { "TCD", "TCDScheduler", NULL, FALSE, FALSE, FALSE },
  { "Euler", "FlowMatchEulerDiscreteScheduler", NULL, TRUE, FALSE, FALSE },
  { "Heun", "FlowMatchHeunDiscreteScheduler", NULL, TRUE, FALSE, FALSE },
  { "UniPC", "UniPCMultistepScheduler", "{" FLOW "}", TRUE, FALSE, FALSE },
  { "DPM++ 2M", "DPMSolverMultistepScheduler",
    "{" FLOW ", \"algorithm_type\": \"dpmsolver++\", \"solver_order\": 2}", TRUE, FALSE, FALSE },
  { "DPM++ 2M SDE", "DPMSolverMultistepScheduler",
    "{" FLOW ", \"algorithm_type\": \"sde-dpmsolver++\", \"solver_order\": 2}", TRUE, FALSE,
    FALSE },
  { "LCM", "FlowMatchLCMScheduler", NULL, TRUE, FALSE, FALSE },
};

#define RESPACED(karras, exponential, beta)                                                        \
  "{\"use_karras_sigmas\": " karras ", \"use_exponential_sigmas\": " exponential                   \
  ", \"use_beta_sigmas\": " beta "}"

static const AtlScheduleName schedules[] = {
  { "Karras", RESPACED ("true", "false", "false"), FALSE },
  { "Exponential", RESPACED ("false", "true", "false"), FALSE },
  { "Beta", RESPACED ("false", "false", "true"), FALSE },
  { "Uniform", "{\"timestep_spacing\": \"linspace\"}", TRUE },
  { "DDIM", "{\"timestep_spacing\": \"leading\"}", TRUE },
  { "SGM Uniform", "{\"timestep_spacing\": \"trailing\"}", TRUE },
};

const AtlSamplerName *
atl_sampler_names (guint *n)
{
  *n = G_N_ELEMENTS (samplers);
  return samplers;
}

const AtlScheduleName *
atl_schedule_names (guint *n)
{
  *n = G_N_ELEMENTS (schedules);
  return schedules;
}

const AtlSamplerName *
atl_sampler_find (const char *name, gboolean is_flow)
{
  for (gsize i = 0; i < G_N_ELEMENTS (samplers); i++)
    if (samplers[i].is_flow == is_flow && g_ascii_strcasecmp (name, samplers[i].name) == 0)
      return &samplers[i];
  return NULL;
}

const AtlScheduleName *
atl_schedule_find (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (schedules); i++)
    if (g_ascii_strcasecmp (name, schedules[i].name) == 0)
      return &schedules[i];
  return NULL;
}

gboolean
atl_sampler_takes (const AtlSamplerName *sampler, const AtlScheduleName *schedule)
{
  return sampler->has_schedule || (sampler->has_spacing && schedule->is_spacing);
}

void
atl_sampler_split (const char *text, char **sampler, char **schedule)
{
  gsize length = strlen (text);

  *schedule = NULL;
  for (gsize i = 0; *schedule == NULL && i < G_N_ELEMENTS (schedules); i++)
    {
      gsize tail = strlen (schedules[i].name);

      if (length > tail + 1 && text[length - tail - 1] == ' ' &&
          g_ascii_strcasecmp (text + length - tail, schedules[i].name) == 0)
        {
          *schedule = g_strdup (schedules[i].name);
          length -= tail + 1;
        }
    }
  *sampler = g_strndup (text, length);
}

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
      return samplers[i].name;
  return class_name;
}

char *
atl_sampler_list (void)
{
  GString *list = g_string_new (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (samplers); i++)
    if (!samplers[i].is_flow)
      g_string_append_printf (list, "%s%s", i == 0 ? "" : ", ", samplers[i].name);
  return g_string_free (list, FALSE);
}
