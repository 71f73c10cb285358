/* Translation of diffusers' names of Stable Diffusion 3 into the authors'. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/image/sd3-names.h"

#include <stdio.h>

#include "engine/models/blocks/names.h"

static const AtlNamePair top[] = {
  { "pos_embed.proj", "x_embedder.proj" },
  { "pos_embed.pos_embed", "pos_embed" },
  { "time_text_embed.timestep_embedder.linear_1", "t_embedder.mlp.0" },
  { "time_text_embed.timestep_embedder.linear_2", "t_embedder.mlp.2" },
  { "time_text_embed.text_embedder.linear_1", "y_embedder.mlp.0" },
  { "time_text_embed.text_embedder.linear_2", "y_embedder.mlp.2" },
  { "norm_out.linear", "final_layer.adaLN_modulation.1" },
  { "proj_out", "final_layer.linear" },
  { NULL, NULL },
};

static const AtlNamePair block[] = {
  { "norm1.linear", "x_block.adaLN_modulation.1" },
  { "norm1_context.linear", "context_block.adaLN_modulation.1" },
  { "attn.to_out.0", "x_block.attn.proj" },
  { "attn.norm_q", "x_block.attn.ln_q" },
  { "attn.norm_k", "x_block.attn.ln_k" },
  { "attn.to_add_out", "context_block.attn.proj" },
  { "attn.norm_added_q", "context_block.attn.ln_q" },
  { "attn.norm_added_k", "context_block.attn.ln_k" },
  { "attn2.to_out.0", "x_block.attn2.proj" },
  { "attn2.norm_q", "x_block.attn2.ln_q" },
  { "attn2.norm_k", "x_block.attn2.ln_k" },
  { "ff.net.0.proj", "x_block.mlp.fc1" },
  { "ff.net.2", "x_block.mlp.fc2" },
  { "ff_context.net.0.proj", "context_block.mlp.fc1" },
  { "ff_context.net.2", "context_block.mlp.fc2" },
  { NULL, NULL },
};

char *
atl_sd3_author_name (const AtlSource *source, const char *canonical)
{
  char *out = atl_name_translate (canonical, top);
  unsigned index;
  int n = 0;

  if (out == NULL && sscanf (canonical, "transformer_blocks.%u.%n", &index, &n) == 1 && n > 0)
    {
      g_autofree char *inner = atl_name_translate (canonical + n, block);

      if (inner != NULL)
        out = g_strdup_printf ("joint_blocks.%u.%s", index, inner);
    }
  return out != NULL ? out : g_strdup (canonical);
}
