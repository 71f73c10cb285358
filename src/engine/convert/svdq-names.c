/* What Nunchaku calls the layers of a block, and what diffusers calls them. */
#include "engine/convert/svdq-names.h"

#include <string.h>

#define SINGLE "single_transformer_blocks."
#define DOUBLE "transformer_blocks."
/* clang-format off */
#define QKV { "attn.to_q", "attn.to_k", "attn.to_v" }
#define QKV_OF_TEXT { "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj" }

static const AtlSvdqRename renames[] = {
  /* Flux.1 and Qwen-Image */
  { SINGLE, "qkv_proj", QKV, ATL_SVDQ_AS_ROWS, FALSE },
  { SINGLE, "attn.to_qkv", QKV, ATL_SVDQ_AS_ROWS, FALSE },
  { SINGLE, "out_proj", { "proj_out" }, ATL_SVDQ_AS_LEFT, FALSE },
  { SINGLE, "attn.to_out", { "proj_out" }, ATL_SVDQ_AS_LEFT, FALSE },
  { SINGLE, "mlp_fc1", { "proj_mlp" }, ATL_SVDQ_AS_ROWS, FALSE },
  { SINGLE, "mlp_fc2", { "proj_out" }, ATL_SVDQ_AS_RIGHT, TRUE },
  { SINGLE, "norm_q", { "attn.norm_q" }, ATL_SVDQ_AS_ROWS, FALSE },
  { SINGLE, "norm_k", { "attn.norm_k" }, ATL_SVDQ_AS_ROWS, FALSE },
  { DOUBLE, "qkv_proj", QKV, ATL_SVDQ_AS_ROWS, FALSE },
  { DOUBLE, "attn.to_qkv", QKV, ATL_SVDQ_AS_ROWS, FALSE },
  { DOUBLE, "qkv_proj_context", QKV_OF_TEXT, ATL_SVDQ_AS_ROWS, FALSE },
  { DOUBLE, "attn.add_qkv_proj", QKV_OF_TEXT, ATL_SVDQ_AS_ROWS, FALSE },
  { DOUBLE, "out_proj", { "attn.to_out.0" }, ATL_SVDQ_AS_ROWS, FALSE },
  { DOUBLE, "out_proj_context", { "attn.to_add_out" }, ATL_SVDQ_AS_ROWS, FALSE },
  { DOUBLE, "mlp_fc1", { "ff.net.0.proj" }, ATL_SVDQ_AS_ROWS, FALSE },
  { DOUBLE, "mlp_fc2", { "ff.net.2" }, ATL_SVDQ_AS_ROWS, TRUE },
  { DOUBLE, "mlp_context_fc1", { "ff_context.net.0.proj" }, ATL_SVDQ_AS_ROWS, FALSE },
  { DOUBLE, "mlp_context_fc2", { "ff_context.net.2" }, ATL_SVDQ_AS_ROWS, TRUE },
  { DOUBLE, "ff.net.2", { "ff.net.2" }, ATL_SVDQ_AS_ROWS, TRUE },
  { DOUBLE, "ff_context.net.2", { "ff_context.net.2" }, ATL_SVDQ_AS_ROWS, TRUE },
  { DOUBLE, "img_mlp.net.2", { "img_mlp.net.2" }, ATL_SVDQ_AS_ROWS, TRUE },
  { DOUBLE, "txt_mlp.net.2", { "txt_mlp.net.2" }, ATL_SVDQ_AS_ROWS, TRUE },
  { DOUBLE, "norm_q", { "attn.norm_q" }, ATL_SVDQ_AS_ROWS, FALSE },
  { DOUBLE, "norm_k", { "attn.norm_k" }, ATL_SVDQ_AS_ROWS, FALSE },
  { DOUBLE, "norm_added_q", { "attn.norm_added_q" }, ATL_SVDQ_AS_ROWS, FALSE },
  { DOUBLE, "norm_added_k", { "attn.norm_added_k" }, ATL_SVDQ_AS_ROWS, FALSE },
  /* Z-Image */
  { "", "attention.to_qkv", { "attention.to_q", "attention.to_k", "attention.to_v" }, ATL_SVDQ_AS_ROWS, FALSE },
  { "", "feed_forward.net.0.proj", { "feed_forward.w3", "feed_forward.w1" }, ATL_SVDQ_AS_ROWS, FALSE },
  { "", "feed_forward.net.2", { "feed_forward.w2" }, ATL_SVDQ_AS_ROWS, FALSE },
};
/* clang-format on */

static const struct
{
  const char *in, *name;
  guint n;
} modulations[] = {
  { SINGLE, "norm.linear", 3 },
  { DOUBLE, "norm1.linear", 6 },
  { DOUBLE, "norm1_context.linear", 6 },
  { DOUBLE, "img_mod.1", 6 },
  { DOUBLE, "txt_mod.1", 6 },
};

/* Where `tail` begins, if `name` is IN, a number, a dot and `tail` (with IN "", ends with it). */
static const char *
find_tail (const char *name, const char *in, const char *tail)
{
  gsize length = strlen (name), n = strlen (tail);
  const char *at = name + length - MIN (n, length);

  if (length <= n + 1 || at[-1] != '.' || strcmp (at, tail) != 0 || !g_str_has_prefix (name, in))
    return NULL;
  for (const char *p = name + strlen (in); *in != '\0' && p < at - 1; p++)
    if (!g_ascii_isdigit (*p))
      return NULL;
  return at;
}

const AtlSvdqRename *
atl_svdq_rename (const char *name, const char **at)
{
  for (gsize i = 0; i < G_N_ELEMENTS (renames); i++)
    if ((*at = find_tail (name, renames[i].in, renames[i].from)) != NULL)
      return &renames[i];
  return NULL;
}

guint
atl_svdq_n_names (const AtlSvdqRename *rename)
{
  guint n = 1;

  while (n < G_N_ELEMENTS (rename->to) && rename->to[n] != NULL)
    n++;
  return n;
}

char *
atl_svdq_renamed (const char *name, const char *at, const char *to)
{
  return g_strdup_printf ("%.*s%s", (int) (at - name), name, to);
}

guint
atl_svdq_n_kinds (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (modulations); i++)
    if (find_tail (name, modulations[i].in, modulations[i].name) != NULL)
      return modulations[i].n;
  return 1;
}
