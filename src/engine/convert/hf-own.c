/* Settings of models whose code came with their files (MiniCPM, Ling), and of Falcon. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-writer.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

static void
put_falcon (HfWriter *w)
{
  AtlMetaValue one_after_the_other = { .type = ATL_META_BOOL, .v_bool = FALSE };
  double width;

  if (atl_hf_config_bool (w->config, "alibi", FALSE))
    hf_fail (w, ATL_ERROR_UNSUPPORTED, _ ("“%s” is on, which is not known here"), "alibi");
  hf_put_uint (w, "attention.head_count_kv", (double) atl_hf_config_key_heads (w->config));
  if (!hf_number (w, "ffn_hidden_size", &width) && hf_number (w, "hidden_size", &width))
    hf_put_uint (w, "feed_forward_length", 4 * width);
  if (!atl_hf_config_bool (w->config, "parallel_attn", TRUE) &&
      !atl_hf_config_bool (w->config, "new_decoder_architecture", FALSE))
    hf_put (w, "use_parallel_residual", &one_after_the_other);
}

/* Multipliers that follow from the depth and from the width that the first model had. */
static void
put_minicpm (HfWriter *w)
{
  guint n_layers = atl_hf_config_n_layers (w->config);
  double value, width;

  if (hf_number (w, "scale_emb", &value))
    hf_put_float (w, "embedding_scale", value);
  if (hf_number (w, "scale_depth", &value) && n_layers > 0)
    hf_put_float (w, "residual_scale", value / sqrt (n_layers));
  if (hf_number (w, "dim_model_base", &value) && hf_number (w, "hidden_size", &width) && value > 0)
    hf_put_float (w, "logit_scale", width / value);
}

void
hf_put_own (HfWriter *w)
{
  if (strcmp (w->arch, "falcon") == 0)
    put_falcon (w);
  else if (strcmp (w->arch, "minicpm") == 0)
    put_minicpm (w);
  else if (g_str_has_prefix (w->arch, "bailingmoe") &&
           atl_hf_config_bool (w->config, "norm_head", FALSE))
    hf_fail (w, ATL_ERROR_UNSUPPORTED, _ ("“%s” is on, which is not known here"), "norm_head");
}
