/* The names of Wan video autoencoders: the authors' to diffusers'. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/vae/wan-vae-names.h"

#include <stdio.h>

#include "engine/models/blocks/names.h"

static const AtlNamePair residual_names[] = {
  { "residual.0", "norm1" }, { "residual.2", "conv1" },       { "residual.3", "norm2" },
  { "residual.6", "conv2" }, { "shortcut", "conv_shortcut" }, { NULL, NULL },
};

static const AtlNamePair top_names[] = {
  { "encoder.conv1", "encoder.conv_in" },
  { "decoder.conv1", "decoder.conv_in" },
  { "encoder.head.0", "encoder.norm_out" },
  { "encoder.head.2", "encoder.conv_out" },
  { "decoder.head.0", "decoder.norm_out" },
  { "decoder.head.2", "decoder.conv_out" },
  { "encoder.middle.1", "encoder.mid_block.attentions.0" },
  { "decoder.middle.1", "decoder.mid_block.attentions.0" },
  { "conv1", "quant_conv" },
  { "conv2", "post_quant_conv" },
  { NULL, NULL },
};

static char *
residual_name (const char *rest)
{
  char *out = atl_name_translate (rest, residual_names);

  return out != NULL ? out : g_strdup (rest);
}

/* Of Wan 2.2, whose stages stand in lists of levels; NULL for others. The encoder's levels have a
 * residual block less than the decoder's. */
static char *
level_name (guint n_stages, const char *canonical)
{
  g_autofree char *inner = NULL;
  guint level, k;
  int n = 0;

  if (sscanf (canonical, "encoder.downsamples.%u.downsamples.%u.%n", &level, &k, &n) == 2 && n > 0)
    {
      inner = residual_name (canonical + n);
      return k + 2 == n_stages
                 ? g_strdup_printf ("encoder.down_blocks.%u.downsampler.%s", level, inner)
                 : g_strdup_printf ("encoder.down_blocks.%u.resnets.%u.%s", level, k, inner);
    }
  n = 0;
  if (sscanf (canonical, "decoder.upsamples.%u.upsamples.%u.%n", &level, &k, &n) == 2 && n > 0)
    {
      inner = residual_name (canonical + n);
      return k + 1 == n_stages
                 ? g_strdup_printf ("decoder.up_blocks.%u.upsampler.%s", level, inner)
                 : g_strdup_printf ("decoder.up_blocks.%u.resnets.%u.%s", level, k, inner);
    }
  return NULL;
}

char *
atl_wan_vae_diffusers_name (const AtlSource *s, const char *canonical)
{
  g_autofree char *inner = NULL;
  guint index;
  int n = 0;
  char *out = atl_name_translate (canonical, top_names);

  if (out == NULL)
    out = level_name (s->map_number, canonical);
  if (out != NULL)
    return out;
  if (sscanf (canonical, "encoder.downsamples.%u.%n", &index, &n) == 1 && n > 0)
    {
      inner = residual_name (canonical + n);
      return g_strdup_printf ("encoder.down_blocks.%u.%s", index, inner);
    }
  if (sscanf (canonical, "decoder.upsamples.%u.%n", &index, &n) == 1 && n > 0)
    {
      guint level = index / s->map_number, k = index % s->map_number;

      inner = residual_name (canonical + n);
      return k + 1 == s->map_number
                 ? g_strdup_printf ("decoder.up_blocks.%u.upsamplers.0.%s", level, inner)
                 : g_strdup_printf ("decoder.up_blocks.%u.resnets.%u.%s", level, k, inner);
    }
  n = 0;
  if (sscanf (canonical, "%*[a-z].middle.%u.%n", &index, &n) == 1 && n > 0)
    {
      inner = residual_name (canonical + n);
      return g_strdup_printf ("%.7s.mid_block.resnets.%u.%s", canonical, index / 2, inner);
    }
  return g_strdup (canonical);
}
