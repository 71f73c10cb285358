/* Prefixes and names of CLIP text encoders. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/encoders/clip-names.h"

#include <stdio.h>
#include <string.h>

#include "engine/models/blocks/names.h"
#include "engine/models/clip-traits.h"

/* The first encoder's places before the second's; each wins for its own role. */
static const struct
{
  const char *prefix;
  gboolean is_open, is_second;
} places[] = {
  { "text_model.", FALSE, FALSE },
  { "", FALSE, FALSE },
  { "cond_stage_model.transformer.text_model.", FALSE, FALSE },
  { "conditioner.embedders.0.transformer.text_model.", FALSE, FALSE },
  { "text_encoders.clip_l.transformer.text_model.", FALSE, FALSE },
  { "text_encoders.clip_g.transformer.text_model.", FALSE, TRUE },
  { "conditioner.embedders.1.model.", TRUE, TRUE },
  { "conditioner.embedders.0.model.", TRUE, TRUE }, /* SDXL's refiner */
  { "", TRUE, TRUE },
};

static const AtlNamePair open_top[] = {
  { "embeddings.token_embedding", "token_embedding" },
  { "embeddings.position_embedding.weight", "positional_embedding" },
  { "final_layer_norm", "ln_final" },
  { NULL, NULL },
};

static const AtlNamePair open_layer[] = {
  { "layer_norm1", "ln_1" },
  { "layer_norm2", "ln_2" },
  { "self_attn.out_proj", "attn.out_proj" },
  { "self_attn.in_proj.weight", "attn.in_proj_weight" },
  { "self_attn.in_proj.bias", "attn.in_proj_bias" },
  { "mlp.fc1", "mlp.c_fc" },
  { "mlp.fc2", "mlp.c_proj" },
  { NULL, NULL },
};

gboolean
atl_clip_find (const AtlCheckpoint *cp, const char *role, AtlClipPlace *place)
{
  gboolean wants_second = g_strcmp0 (role, "text_encoder_2") == 0, found = FALSE;

  for (gsize i = 0; i < G_N_ELEMENTS (places); i++)
    {
      g_autofree char *name = g_strconcat (
          places[i].prefix,
          places[i].is_open ? "positional_embedding" : "embeddings.position_embedding.weight",
          NULL);

      if (atl_checkpoint_find (cp, name) == NULL)
        continue;
      if (!found || (wants_second && places[i].is_second))
        *place = (AtlClipPlace){ places[i].prefix, places[i].is_open };
      if (!wants_second || places[i].is_second)
        return TRUE;
      found = TRUE;
    }
  return found;
}

gint64
atl_clip_pooled_width (const AtlCheckpoint *cp, const char *role)
{
  AtlClipPlace place;
  g_autofree char *stem = NULL, *projection = NULL, *norm = NULL;
  const AtlTensorInfo *info;

  if (!atl_clip_find (cp, role, &place))
    return 0;
  stem = g_str_has_suffix (place.prefix, "text_model.")
             ? g_strndup (place.prefix, strlen (place.prefix) - strlen ("text_model."))
             : g_strdup (place.prefix);
  projection =
      g_strconcat (stem, place.is_open ? "text_projection" : "text_projection.weight", NULL);
  norm = g_strconcat (place.prefix, place.is_open ? "ln_final.weight" : "final_layer_norm.weight",
                      NULL);
  info = atl_checkpoint_find (cp, projection);
  if (info != NULL && info->n_dims == 2)
    return info->dim[place.is_open ? 1 : 0];
  info = atl_checkpoint_find (cp, norm);
  return info != NULL && info->n_dims == 1 ? info->dim[0] : 0;
}

char *
atl_open_clip_name (const AtlSource *source, const char *canonical)
{
  unsigned index;
  int n = 0;

  if (sscanf (canonical, "encoder.layers.%u.%n", &index, &n) == 1 && n > 0)
    {
      g_autofree char *inner = atl_name_translate (canonical + n, open_layer);
      return inner != NULL ? g_strdup_printf ("transformer.resblocks.%u.%s", index, inner) : NULL;
    }
  return atl_name_translate (canonical, open_top);
}
