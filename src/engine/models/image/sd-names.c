/* Translation of diffusers' names into those of the original files. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/image/sd-names.h"

#include <stdio.h>
#include <string.h>

#include "engine/models/blocks/names.h"

static const AtlNamePair unet_top[] = {
  { "time_embedding.linear_1", "time_embed.0" },
  { "time_embedding.linear_2", "time_embed.2" },
  { "add_embedding.linear_1", "label_emb.0.0" },
  { "add_embedding.linear_2", "label_emb.0.2" },
  { "conv_in", "input_blocks.0.0" },
  { "conv_norm_out", "out.0" },
  { "conv_out", "out.2" },
  { NULL, NULL },
};

static const AtlNamePair unet_resnet[] = {
  { "norm1", "in_layers.0" },
  { "conv1", "in_layers.2" },
  { "time_emb_proj", "emb_layers.1" },
  { "norm2", "out_layers.0" },
  { "conv2", "out_layers.3" },
  { "conv_shortcut", "skip_connection" },
  { NULL, NULL },
};

static const AtlNamePair vae_attention[] = {
  { "group_norm", "norm" },   { "to_q", "q" }, { "to_k", "k" }, { "to_v", "v" },
  { "to_out.0", "proj_out" }, { NULL, NULL },
};

static char *
resnet_name (const char *rest)
{
  char *out = atl_name_translate (rest, unet_resnet);

  return out != NULL ? out : g_strdup (rest);
}

/* Whether the file's network, under either names, attends in the last block of an up level: its
 * upsampler is then the block's third part. */
static gboolean
has_up_attention (const AtlSource *s, guint level, guint L)
{
  const char *prefix = s->prefix != NULL ? s->prefix : "";
  g_autofree char *ldm =
      g_strdup_printf ("%soutput_blocks.%u.1.norm.weight", prefix, level * (L + 1) + L);
  g_autofree char *diffusers =
      g_strdup_printf ("%sup_blocks.%u.attentions.%u.norm.weight", prefix, level, L);
  AtlCheckpoint *cp = atl_weights_checkpoint (s->weights);

  return atl_checkpoint_find (cp, ldm) != NULL || atl_checkpoint_find (cp, diffusers) != NULL;
}

char *
atl_ldm_unet_name (const AtlSource *s, const char *canonical)
{
  guint L = s->map_number, level, index;
  g_autofree char *inner = NULL;
  int n = 0;
  char *top = atl_name_translate (canonical, unet_top);

  if (top != NULL)
    return top;
  /* Blocks are numbered through in these files: an index past the level is another level's. */
  if (sscanf (canonical, "down_blocks.%u.%*[a-z].%u.", &level, &index) == 2 && index >= L &&
      strstr (canonical, "samplers") == NULL)
    return NULL;
  if (sscanf (canonical, "up_blocks.%u.%*[a-z].%u.", &level, &index) == 2 && index > L)
    return NULL;
  if (sscanf (canonical, "down_blocks.%u.resnets.%u.%n", &level, &index, &n) == 2 && n > 0)
    {
      inner = resnet_name (canonical + n);
      return g_strdup_printf ("input_blocks.%u.0.%s", 1 + level * (L + 1) + index, inner);
    }
  if (sscanf (canonical, "down_blocks.%u.attentions.%u.%n", &level, &index, &n) == 2 && n > 0)
    return g_strdup_printf ("input_blocks.%u.1.%s", 1 + level * (L + 1) + index, canonical + n);
  if (sscanf (canonical, "down_blocks.%u.downsamplers.0.conv%n", &level, &n) == 1 && n > 0)
    return g_strdup_printf ("input_blocks.%u.0.op%s", 1 + level * (L + 1) + L, canonical + n);
  if (sscanf (canonical, "mid_block.resnets.%u.%n", &index, &n) == 1 && n > 0)
    {
      inner = resnet_name (canonical + n);
      return g_strdup_printf ("middle_block.%u.%s", index * 2, inner);
    }
  if (sscanf (canonical, "mid_block.attentions.%u.%n", &index, &n) == 1 && n > 0)
    return g_strdup_printf ("middle_block.1.%s", canonical + n);
  if (sscanf (canonical, "up_blocks.%u.resnets.%u.%n", &level, &index, &n) == 2 && n > 0)
    {
      inner = resnet_name (canonical + n);
      return g_strdup_printf ("output_blocks.%u.0.%s", level * (L + 1) + index, inner);
    }
  if (sscanf (canonical, "up_blocks.%u.attentions.%u.%n", &level, &index, &n) == 2 && n > 0)
    return g_strdup_printf ("output_blocks.%u.1.%s", level * (L + 1) + index, canonical + n);
  if (sscanf (canonical, "up_blocks.%u.upsamplers.0.conv%n", &level, &n) == 1 && n > 0)
    return g_strdup_printf ("output_blocks.%u.%u.conv%s", level * (L + 1) + L,
                            has_up_attention (s, level, L) ? 2 : 1, canonical + n);
  return NULL;
}

char *
atl_ldm_vae_name (const AtlSource *s, const char *canonical)
{
  guint levels = s->map_number, level, index;
  const char *half = g_str_has_prefix (canonical, "encoder.")   ? "encoder"
                     : g_str_has_prefix (canonical, "decoder.") ? "decoder"
                                                                : NULL;
  const char *rest;
  char *out;
  int n = 0;

  if (half == NULL)
    return g_strdup (canonical); /* quant_conv, post_quant_conv */
  rest = canonical + strlen ("encoder.");
  if (sscanf (rest, "down_blocks.%u.resnets.%u.%n", &level, &index, &n) == 2 && n > 0)
    out = g_strdup_printf ("down.%u.block.%u.%s", level, index, rest + n);
  else if (sscanf (rest, "up_blocks.%u.resnets.%u.%n", &level, &index, &n) == 2 && n > 0 &&
           level < levels)
    out = g_strdup_printf ("up.%u.block.%u.%s", levels - 1 - level, index, rest + n);
  else if (sscanf (rest, "down_blocks.%u.downsamplers.0.%n", &level, &n) == 1 && n > 0)
    out = g_strdup_printf ("down.%u.downsample.%s", level, rest + n);
  else if (sscanf (rest, "up_blocks.%u.upsamplers.0.%n", &level, &n) == 1 && n > 0 &&
           level < levels)
    out = g_strdup_printf ("up.%u.upsample.%s", levels - 1 - level, rest + n);
  else if (sscanf (rest, "mid_block.resnets.%u.%n", &index, &n) == 1 && n > 0)
    out = g_strdup_printf ("mid.block_%u.%s", index + 1, rest + n);
  else if (g_str_has_prefix (rest, "mid_block.attentions.0."))
    {
      g_autofree char *inner =
          atl_name_translate (rest + strlen ("mid_block.attentions.0."), vae_attention);
      out = g_strconcat ("mid.attn_1.", inner, NULL);
    }
  else if ((out = atl_name_replace_head (rest, "conv_norm_out", "norm_out")) == NULL)
    out = g_strdup (rest);

  /* The shortcut has another name; everything else in a residual block is the same. */
  const char *shortcut = strstr (out, ".conv_shortcut.");
  if (shortcut != NULL)
    {
      char *renamed = g_strdup_printf ("%.*s.nin_shortcut.%s", (int) (shortcut - out), out,
                                       shortcut + strlen (".conv_shortcut."));
      g_free (out);
      out = renamed;
    }
  char *full = g_strconcat (half, ".", out, NULL);
  g_free (out);
  return full;
}
