/* What a person asks of a picture, completed by what its model recommends. */
#define G_LOG_DOMAIN "atl-service"

#include <math.h>

#include "engine/service/service-private.h"

static gint64
rounded (double size, guint multiple)
{
  gint64 n = (gint64) floor (CLAMP (size, 1, ATL_MAX_PICTURE_SIDE) / multiple + 0.5);

  return CLAMP (n, 1, ATL_MAX_PICTURE_SIDE / multiple) * multiple;
}

void
atl_picture_choose_size (AtlSettings *settings,
                         const AtlTraits *traits,
                         guint shape_width,
                         guint shape_height,
                         gint64 *width,
                         gint64 *height)
{
  double w = traits->side, h = traits->side;

  if (shape_width > 0 && shape_height > 0)
    {
      double pixels = (double) shape_width * shape_height;
      double shrink = MIN (1.0, sqrt ((double) traits->side * traits->side / pixels));

      w = shape_width * shrink;
      h = shape_height * shrink;
    }
  *width = rounded (atl_settings_number (settings, ATL_MADE_WIDTH, w), traits->multiple);
  *height = rounded (atl_settings_number (settings, ATL_MADE_HEIGHT, h), traits->multiple);
  atl_settings_set_number (settings, ATL_MADE_WIDTH, (double) *width);
  atl_settings_set_number (settings, ATL_MADE_HEIGHT, (double) *height);
}

void
atl_picture_set_defaults (AtlSettings *settings, const AtlTraits *traits)
{
  if (!atl_settings_has (settings, ATL_MADE_SEED))
    atl_settings_set_number (settings, ATL_MADE_SEED, g_random_int ());
  if (!atl_settings_has (settings, ATL_MADE_STEPS))
    atl_settings_set_number (settings, ATL_MADE_STEPS, traits->steps);
  if (!atl_settings_has (settings, ATL_MADE_GUIDANCE))
    atl_settings_set_number (settings, ATL_MADE_GUIDANCE, traits->guidance);
  if ((traits->abilities & ATL_CAN_WEIGHTS) != 0 &&
      !atl_settings_has (settings, ATL_MADE_WEIGHTING))
    atl_settings_set_string (settings, ATL_MADE_WEIGHTING, "a1111");
  atl_settings_set_number (settings, "frames", 1);
}

GVariant *
atl_picture_make_facts (const AtlJob *job, const AtlSettings *settings)
{
  const char *sampler = atl_diffusion_model_sampler (job->slot->pictures);
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (
      &dict, ATL_MADE_SEED, "u",
      (guint) CLAMP (atl_settings_number (settings, ATL_MADE_SEED, 0), 0, (double) G_MAXUINT32));
  g_variant_dict_insert (
      &dict, ATL_MADE_STEPS, "u",
      (guint) CLAMP (atl_settings_number (settings, ATL_MADE_STEPS, 1), 1, 1000));
  g_variant_dict_insert (&dict, ATL_MADE_GUIDANCE, "d",
                         atl_settings_number (settings, ATL_MADE_GUIDANCE, 0));
  g_variant_dict_insert (&dict, ATL_MADE_SAMPLER, "s", sampler != NULL ? sampler : "");
  if (atl_settings_has (settings, ATL_MADE_WEIGHTING))
    g_variant_dict_insert (&dict, ATL_MADE_WEIGHTING, "s",
                           atl_settings_string (settings, ATL_MADE_WEIGHTING, ""));
  g_variant_dict_insert (&dict, ATL_MADE_SECONDS, "d",
                         (double) (g_get_monotonic_time () - job->accepted_at - job->rested_us) /
                             G_USEC_PER_SEC);
  g_variant_dict_insert (&dict, ATL_INFO_NAME, "s", job->slot->name);
  g_variant_dict_insert (&dict, ATL_INFO_FAMILY, "s",
                         atl_diffusion_model_family (job->slot->pictures)->words);
  g_variant_dict_insert (&dict, ATL_INFO_RUNS_ON, "s", job->slot->runs_on);
  return g_variant_dict_end (&dict);
}
