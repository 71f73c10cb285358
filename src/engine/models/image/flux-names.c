/* Translation of diffusers' names of Flux into those of other files. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/image/flux-names.h"

#include <stdio.h>
#include <string.h>

#include "engine/models/blocks/names.h"

static const AtlNamePair top[] = {
  { "x_embedder", "img_in" },
  { "context_embedder", "txt_in" },
  { "time_text_embed.timestep_embedder.linear_1", "time_in.in_layer" },
  { "time_text_embed.timestep_embedder.linear_2", "time_in.out_layer" },
  { "time_text_embed.guidance_embedder.linear_1", "guidance_in.in_layer" },
  { "time_text_embed.guidance_embedder.linear_2", "guidance_in.out_layer" },
  { "time_text_embed.text_embedder.linear_1", "vector_in.in_layer" },
  { "time_text_embed.text_embedder.linear_2", "vector_in.out_layer" },
  { "norm_out.linear", "final_layer.adaLN_modulation.1" },
  { "proj_out", "final_layer.linear" },
  { NULL, NULL },
};

static const AtlNamePair double_block[] = {
  { "norm1.linear", "img_mod.lin" },
  { "norm1_context.linear", "txt_mod.lin" },
  { "attn.to_out.0", "img_attn.proj" },
  { "attn.to_add_out", "txt_attn.proj" },
  { "attn.norm_q.weight", "img_attn.norm.query_norm.scale" },
  { "attn.norm_k.weight", "img_attn.norm.key_norm.scale" },
  { "attn.norm_added_q.weight", "txt_attn.norm.query_norm.scale" },
  { "attn.norm_added_k.weight", "txt_attn.norm.key_norm.scale" },
  { "ff.net.0.proj", "img_mlp.0" },
  { "ff.net.2", "img_mlp.2" },
  { "ff_context.net.0.proj", "txt_mlp.0" },
  { "ff_context.net.2", "txt_mlp.2" },
  { NULL, NULL },
};

static const AtlNamePair single_block[] = {
  { "norm.linear", "modulation.lin" },
  { "attn.norm_q.weight", "norm.query_norm.scale" },
  { "attn.norm_k.weight", "norm.key_norm.scale" },
  { "proj_out", "linear2" },
  { NULL, NULL },
};

static const AtlNamePair xlabs[] = {
  { "img_attn.qkv", "processor.qkv_lora1" },
  { "txt_attn.qkv", "processor.qkv_lora2" },
  { "attn.to_out.0", "processor.proj_lora1" },
  { "attn.to_add_out", "processor.proj_lora2" },
  { NULL, NULL },
};

/* The rest of "`head`N.…" translated below "`to`N."; NULL if it does not begin so. */
static char *
in_block (const char *canonical, const char *head, const char *to, const AtlNamePair *pairs)
{
  gsize n = strlen (head);
  g_autofree char *inner = NULL;
  unsigned index;
  int used = 0;

  if (strncmp (canonical, head, n) != 0 || sscanf (canonical + n, "%u.%n", &index, &used) != 1 ||
      used == 0)
    return NULL;
  inner = atl_name_translate (canonical + n + used, pairs);
  return inner != NULL ? g_strdup_printf ("%s%u.%s", to, index, inner) : NULL;
}

char *
atl_flux_author_name (const AtlSource *source, const char *canonical)
{
  char *out = in_block (canonical, "transformer_blocks.", "double_blocks.", double_block);

  if (out == NULL)
    out = in_block (canonical, "single_transformer_blocks.", "single_blocks.", single_block);
  if (out == NULL)
    out = atl_name_translate (canonical, top);
  return out != NULL ? out : g_strdup (canonical);
}

char *
atl_flux_xlabs_name (const AtlSource *source, const char *canonical)
{
  char *out = in_block (canonical, "transformer_blocks.", "double_blocks.", xlabs);

  return out != NULL ? out : in_block (canonical, "double_blocks.", "double_blocks.", xlabs);
}
