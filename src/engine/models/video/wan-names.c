/* Diffusers' names for the Wan authors' names, which are the canonical ones here. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/video/wan-names.h"

#include <stdio.h>
#include <string.h>

#include "engine/models/blocks/names.h"

static const AtlNamePair top[] = {
  { "time_embedding.0", "condition_embedder.time_embedder.linear_1" },
  { "time_embedding.2", "condition_embedder.time_embedder.linear_2" },
  { "time_projection.1", "condition_embedder.time_proj" },
  { "text_embedding.0", "condition_embedder.text_embedder.linear_1" },
  { "text_embedding.2", "condition_embedder.text_embedder.linear_2" },
  { "img_emb.proj.0", "condition_embedder.image_embedder.norm1" },
  { "img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj" },
  { "img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2" },
  { "img_emb.proj.4", "condition_embedder.image_embedder.norm2" },
  { "img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed" },
  { "head.head", "proj_out" },
  { "head.modulation", "scale_shift_table" },
  { NULL, NULL },
};

static const AtlNamePair block[] = {
  { "self_attn.q", "attn1.to_q" },
  { "self_attn.k", "attn1.to_k" },
  { "self_attn.v", "attn1.to_v" },
  { "self_attn.o", "attn1.to_out.0" },
  { "self_attn.norm_q", "attn1.norm_q" },
  { "self_attn.norm_k", "attn1.norm_k" },
  { "cross_attn.q", "attn2.to_q" },
  { "cross_attn.k", "attn2.to_k" },
  { "cross_attn.v", "attn2.to_v" },
  { "cross_attn.o", "attn2.to_out.0" },
  { "cross_attn.k_img", "attn2.add_k_proj" },
  { "cross_attn.v_img", "attn2.add_v_proj" },
  { "cross_attn.norm_q", "attn2.norm_q" },
  { "cross_attn.norm_k", "attn2.norm_k" },
  { "cross_attn.norm_k_img", "attn2.norm_added_k" },
  /* The authors' norm3 is the one of cross-attention, diffusers' norm3 that of the feed-forward. */
  { "norm3", "norm2" },
  { "ffn.0", "ffn.net.0.proj" },
  { "ffn.2", "ffn.net.2" },
  { "modulation", "scale_shift_table" },
  { "before_proj", "proj_in" },
  { "after_proj", "proj_out" },
  { NULL, NULL },
};

char *
atl_wan_diffusers_name (const AtlSource *source, const char *canonical)
{
  char *out = atl_name_translate (canonical, top);
  guint index;
  int n = 0;

  if (out != NULL)
    return out;
  if ((sscanf (canonical, "blocks.%u.%n", &index, &n) == 1 ||
       sscanf (canonical, "vace_blocks.%u.%n", &index, &n) == 1) &&
      n > 0)
    {
      g_autofree char *inner = atl_name_translate (canonical + n, block);
      return inner != NULL ? g_strdup_printf ("%.*s%s", n, canonical, inner) : g_strdup (canonical);
    }
  return g_strdup (canonical);
}
