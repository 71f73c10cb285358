/* Defaults and ranges of the sampling parameters. */
#define G_LOG_DOMAIN "atl-samplers"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/samplers/sampler.h"

static const AtlSamplingParams defaults = {
  .temperature = 0.8f,
  .dynatemp_exponent = 1.0f,
  .top_k = 40,
  .top_p = 0.95f,
  .min_p = 0.05f,
  .typical_p = 1.0f,
  .xtc_threshold = 0.1f,
  .repeat_last_n = 64,
  .repeat_penalty = 1.0f,
  .dry_base = 1.75f,
  .dry_allowed_length = 2,
  .dry_penalty_last_n = -1,
  .mirostat_tau = 5.0f,
  .mirostat_eta = 0.1f,
  .min_keep = 1,
  .stages = { ATL_STAGE_PENALTIES, ATL_STAGE_DRY, ATL_STAGE_TOP_N_SIGMA, ATL_STAGE_TOP_K,
              ATL_STAGE_TYPICAL, ATL_STAGE_TOP_P, ATL_STAGE_MIN_P, ATL_STAGE_XTC,
              ATL_STAGE_TEMPERATURE, ATL_STAGE_END },
};

#define FLOAT(member, min, max)                                                                    \
  {                                                                                                \
#member, offsetof(AtlSamplingParams, member), TRUE, min, max                                   \
  }
#define INT(member, min, max)                                                                      \
  {                                                                                                \
#member, offsetof(AtlSamplingParams, member), FALSE, min, max                                  \
  }

static const struct
{
  const char *name;
  gsize offset;
  gboolean is_float;
  double min;
  double max;
} ranges[] = {
  FLOAT (temperature, 0, 10),
  FLOAT (dynatemp_range, 0, 10),
  FLOAT (dynatemp_exponent, 0.01, 10),
  INT (top_k, 0, G_MAXINT32),
  FLOAT (top_p, 0, 1),
  FLOAT (min_p, 0, 1),
  FLOAT (typical_p, 0, 1),
  FLOAT (top_n_sigma, 0, 20),
  FLOAT (xtc_probability, 0, 1),
  FLOAT (xtc_threshold, 0, 1),
  INT (repeat_last_n, 0, 65536),
  FLOAT (repeat_penalty, 0.01, 10),
  FLOAT (presence_penalty, -10, 10),
  FLOAT (frequency_penalty, -10, 10),
  FLOAT (dry_multiplier, 0, 100),
  FLOAT (dry_base, 1, 8),
  INT (dry_allowed_length, 1, 65536),
  INT (dry_penalty_last_n, -1, 65536),
  INT (mirostat, 0, 2),
  FLOAT (mirostat_tau, 0, 20),
  FLOAT (mirostat_eta, 0, 1),
};

void
atl_sampling_params_init (AtlSamplingParams *params)
{
  g_return_if_fail (params != NULL);
  *params = defaults;
}

gboolean
atl_sampling_params_check (const AtlSamplingParams *params, GError **error)
{
  guint n_stages = 0;

  g_return_val_if_fail (params != NULL, FALSE);
  for (gsize i = 0; i < G_N_ELEMENTS (ranges); i++)
    {
      const guint8 *member = (const guint8 *) params + ranges[i].offset;
      float as_float;
      gint32 as_int;
      double value;

      memcpy (&as_float, member, sizeof as_float);
      memcpy (&as_int, member, sizeof as_int);
      value = ranges[i].is_float ? as_float : as_int;
      /* A float of the range's end need not be the double that is written there. */
      if (isnan (value) || value < ranges[i].min - 1e-6 || value > ranges[i].max + 1e-6)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("%s is %g, it must be from %g to %g"), ranges[i].name, value,
                       ranges[i].min, ranges[i].max);
          return FALSE;
        }
    }
  while (n_stages < ATL_SAMPLER_MAX_STAGES && params->stages[n_stages] != ATL_STAGE_END)
    {
      if ((guint) params->stages[n_stages] > ATL_STAGE_TEMPERATURE)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("sampler stage %d is not known"),
                       (int) params->stages[n_stages]);
          return FALSE;
        }
      n_stages++;
    }
  if (n_stages == ATL_SAMPLER_MAX_STAGES)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("more than %d sampler stages"),
                   ATL_SAMPLER_MAX_STAGES - 1);
      return FALSE;
    }
  for (guint i = 0; i < params->n_logit_bias; i++)
    if (isnan (params->logit_bias[i].bias) || params->logit_bias[i].id < 0)
      {
        g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("logit bias %u is not valid"), i + 1);
        return FALSE;
      }
  return TRUE;
}
