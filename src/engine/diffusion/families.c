/* The list of families, which one a bundle is of, and what it makes of their traits. */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/family-list.h"

/* One a line, so that two additions do not meet. */
/* clang-format off */
static const AtlDiffusionFamily *const families[] = {
  &atl_family_sd,
  &atl_family_sdxl,
  &atl_family_sd3,
  &atl_family_wan,
  &atl_family_flux,
  &atl_family_flux2,
  &atl_family_chroma,
  &atl_family_zimage,
  &atl_family_hidream,
  &atl_family_qwen_image,
  NULL,
};
/* clang-format on */

const AtlDiffusionFamily *const *
atl_diffusion_families (void)
{
  return families;
}

static const AtlDiffusionFamily *
by_name (const char *name)
{
  for (guint i = 0; name != NULL && families[i] != NULL; i++)
    if (g_strv_contains (families[i]->pipelines, name))
      return families[i];
  return NULL;
}

const AtlDiffusionFamily *
atl_diffusion_family_for (AtlBundle *bundle, const char *pipeline, GError **error)
{
  const AtlDiffusionFamily *family = by_name (pipeline);
  const char *own = atl_bundle_pipeline (bundle);

  if (family == NULL && pipeline == NULL)
    family = by_name (own);
  if (family == NULL && pipeline == NULL && own == NULL)
    for (guint i = 0; family == NULL && families[i] != NULL; i++)
      {
        GError *local = NULL;
        AtlCheckpoint *cp = atl_bundle_loose (bundle, families[i]->component, &local);

        if (local != NULL)
          {
            g_propagate_error (error, local);
            return NULL;
          }
        if (cp != NULL && (families[i]->accepts == NULL || families[i]->accepts (cp)))
          family = families[i];
      }
  if (family == NULL)
    {
      if (pipeline != NULL || own != NULL)
        g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                     _ ("Models of the kind “%s” are not known here"),
                     pipeline != NULL ? pipeline : own);
      else
        g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, "%s",
                     _ ("These files hold no model for pictures or clips that is known here"));
      return NULL;
    }
  return atl_bundle_assign (bundle, family->parts, family->n_parts, error) &&
                 (family->check == NULL || family->check (bundle, error))
             ? family
             : NULL;
}

gboolean
atl_diffusion_is_denoiser (AtlFileMap *map, const char *name)
{
  g_autoptr (AtlBundle) bundle = atl_bundle_new (&map, &name, 1, NULL);

  for (guint i = 0; bundle != NULL && families[i] != NULL; i++)
    if (atl_bundle_loose (bundle, families[i]->component, NULL) != NULL)
      return TRUE;
  return FALSE;
}

/* The shift that a schedule's configuration says. */
static double
shift_of (JsonObject *config, double fallback)
{
  return atl_json_double (config, "flow_shift", atl_json_double (config, "shift", fallback));
}

void
atl_family_read_traits (const AtlDiffusionFamily *family, AtlBundle *bundle, AtlTraits *traits)
{
  const AtlOwnSchedule *usual = &family->schedule;
  JsonObject *own = atl_bundle_json (bundle, "scheduler", "scheduler_config.json");
  g_autoptr (JsonNode) config = atl_json_parse (usual->config, strlen (usual->config), "", NULL);

  *traits = family->traits;
  if (family->refine != NULL)
    family->refine (bundle, traits);
  traits->sampler = atl_json_string (own, "_class_name", usual->name);
  traits->shift = shift_of (own, shift_of (json_node_get_object (config), 1));
}
