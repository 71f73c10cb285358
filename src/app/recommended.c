/* Asks the file first, then the catalogue, and tells which of them spoke. */
#include "app/recommended.h"

#include <glib/gi18n.h>

#include "hub/starter.h"

static GVariant *
look_up (AtlModel *model, gboolean *from_catalog)
{
  const AtlModelInfo *info = atl_model_get_info (model);

  return atl_starter_recommended (atl_model_get_key (model), info->name, info->inside,
                                  info->recommended, from_catalog);
}

GVariant *
atl_recommended (AtlModel *model)
{
  return look_up (model, NULL);
}

char *
atl_recommended_words (AtlModel *model)
{
  gboolean from_catalog;
  g_autofree char *values = atl_chat_params_to_words (look_up (model, &from_catalog));

  if (*values == '\0')
    return g_steal_pointer (&values);
  /* Translators: followed by names and numbers, as in "temperature 0.2, top-p 0.9" */
  return g_strdup_printf (from_catalog ? _ ("Recommended for this model: %s")
                                       : _ ("The model's file recommends: %s"),
                          values);
}
