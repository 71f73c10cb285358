/* The families of Hugging Face's language models and their names; sources: transformers 5.23,
 * models/<name>/modeling_<name>.py, and the shapes of published repositories. */
#include "engine/convert/hf-families.h"

#include <string.h>

#include "engine/convert/hf-config.h"
#include "engine/convert/hf-defaults.h"
#include "engine/convert/hf-names.h"

/* Ling 2.0's settings are of the same type as Ling's. */
static gboolean
is_bailing_2 (const AtlHfConfig *config)
{
  return atl_hf_config_meta (config, "score_function") != NULL ||
         atl_hf_config_meta (config, "use_qk_norm") != NULL;
}

/* Settings may count experts that no layer has. */
static gboolean
is_nemotron_h_moe (const AtlHfConfig *config)
{
  const AtlMetaValue *kinds = atl_hf_config_meta (config, "layers_block_type");
  const char *pattern = atl_hf_config_string (config, "hybrid_override_pattern");

  if (pattern != NULL)
    return strchr (pattern, 'E') != NULL;
  for (gsize i = 0; kinds != NULL && kinds->type == ATL_META_ARRAY &&
                    kinds->v_array.elem_type == ATL_META_STRING && i < kinds->v_array.n;
       i++)
    if (strcmp (((char *const *) kinds->v_array.elems)[i], "moe") == 0)
      return TRUE;
  return FALSE;
}

static const AtlHfFamily families[] = {
  { " llama mistral ministral ", "llama", ATL_HF_PERMUTE, NULL, hf_llama_defaults, NULL },
  { " mixtral ", "llama", ATL_HF_PERMUTE, NULL, hf_mixtral_defaults, NULL },
  { " qwen2 ", "qwen2", 0, NULL, hf_llama_defaults, NULL },
  { " qwen2_vl qwen2_vl_text qwen2_5_vl qwen2_5_vl_text ", "qwen2vl", 0, NULL, hf_llama_defaults,
    NULL },
  { " qwen2_moe ", "qwen2moe", 0, NULL, hf_qwen2_moe_defaults, NULL },
  { " qwen3_vl qwen3_vl_text ", "qwen3vl", 0, NULL, hf_qwen3_defaults, NULL },
  { " qwen3_vl_moe qwen3_vl_moe_text ", "qwen3vlmoe", ATL_HF_TURNED, NULL, hf_qwen3_defaults,
    NULL },
  { " qwen3 ", "qwen3", 0, NULL, hf_qwen3_defaults, NULL },
  { " qwen3_moe ", "qwen3moe", 0, NULL, hf_qwen3_moe_defaults, NULL },
  { " gemma2 ", "gemma2", ATL_HF_NORM_PLUS_ONE | ATL_HF_WINDOW, hf_gemma_names, hf_gemma2_defaults,
    NULL },
  { " gemma3 gemma3_text ", "gemma3", ATL_HF_NORM_PLUS_ONE | ATL_HF_WINDOW, hf_gemma_names,
    hf_gemma3_defaults, NULL },
  { " phi3 ", "phi3", ATL_HF_WINDOW, NULL, hf_phi3_defaults, NULL },
  { " glm4 ", "glm4", 0, hf_glm4_names, hf_glm4_defaults, NULL },
  { " glm ", "chatglm", 0, NULL, hf_glm4_defaults, NULL },
  { " granite ", "granite", ATL_HF_PERMUTE, NULL, hf_granite_defaults, NULL },
  { " olmo2 ", "olmo2", 0, hf_gemma_names, hf_olmo2_defaults, NULL },
  /* Its windowed layers turn by rope_theta like the others, as in the transformers that it came out
   * with; newer ones read 500,000 there from an old config.json, as all published ones say. */
  { " olmo3 ", "olmo2", ATL_HF_WINDOW | ATL_HF_PATTERN, hf_gemma_names, hf_olmo2_defaults, NULL },
  { " smollm3 ", "smollm3", ATL_HF_PERMUTE, NULL, hf_smollm3_defaults, NULL },
  { " cohere ", "command-r", 0, NULL, hf_cohere_defaults, NULL },
  { " cohere2 ", "cohere2", ATL_HF_WINDOW, NULL, hf_cohere2_defaults, NULL },
  { " starcoder2 ", "starcoder2", 0, NULL, hf_starcoder2_defaults, NULL },
  { " stablelm ", "stablelm", 0, hf_stablelm_names, hf_stablelm_defaults, NULL },
  { " exaone4 ", "exaone4", ATL_HF_WINDOW | ATL_HF_PATTERN, hf_gemma_names, hf_exaone4_defaults,
    NULL },
  { " seed_oss ", "seed_oss", 0, hf_post_names, hf_seed_oss_defaults, NULL },
  { " glm4_moe ", "glm4moe", 0, hf_post_names, hf_glm4_moe_defaults, NULL },
  { " minimax_m2 ", "minimax-m2", 0, NULL, hf_minimax_m2_defaults, NULL },
  { " ernie4_5_moe ", "ernie4_5-moe", 0, NULL, hf_ernie_moe_defaults, NULL },
  { " hunyuan_v1_moe ", "hunyuan-moe", 0, hf_hunyuan_names, hf_hunyuan_moe_defaults, NULL },
  { " deepseek ", "deepseek", ATL_HF_PERMUTE, NULL, hf_deepseek_defaults, NULL },
  { " deepseek_v2 ", "deepseek2", 0, hf_latent_names, hf_deepseek_defaults, NULL },
  { " deepseek_v3 kimi_k2 ", "deepseek2", 0, hf_latent_names, hf_deepseek_v3_defaults, NULL },
  { " glm4_moe_lite ", "deepseek2", 0, hf_latent_names, hf_glm4_moe_lite_defaults, NULL },
  { " lfm2 ", "lfm2", ATL_HF_MIXED, hf_lfm2_names, hf_lfm2_defaults, NULL },
  { " lfm2_moe ", "lfm2moe", ATL_HF_MIXED, hf_lfm2_names, hf_lfm2_moe_defaults, NULL },
  { " gpt_oss ", "gpt-oss", ATL_HF_WINDOW | ATL_HF_ALTERNATE | ATL_HF_TURNED, hf_gpt_oss_names,
    hf_gpt_oss_defaults, NULL },
  { " qwen3_next ", "qwen3next", ATL_HF_NORM_PLUS_ONE, hf_qwen3_next_names, hf_qwen3_next_defaults,
    NULL },
  { " qwen3_5 qwen3_5_text ", "qwen35", ATL_HF_NORM_PLUS_ONE, hf_qwen3_5_names, hf_qwen3_5_defaults,
    NULL },
  { " qwen3_5_moe qwen3_5_moe_text ", "qwen35moe", ATL_HF_NORM_PLUS_ONE, hf_qwen3_5_names,
    hf_qwen3_5_moe_defaults, NULL },
  { " mamba2 ", "mamba2", 0, hf_mamba2_names, hf_mamba2_defaults, hf_mamba2_model_names },
  { " granitemoehybrid ", "granitehybrid", ATL_HF_PERMUTE | ATL_HF_MIXED | ATL_HF_SHARED_IS_DENSE,
    hf_granite_hybrid_names, hf_granite_hybrid_defaults, NULL },
  { " falcon_h1 ", "falcon-h1", 0, hf_falcon_h1_names, hf_falcon_h1_defaults,
    hf_falcon_h1_model_names },
  { " llama4 llama4_text ", "llama4", ATL_HF_TURNED, hf_llama4_names, hf_llama4_defaults, NULL },
  { " gemma3n gemma3n_text ", "gemma3n", ATL_HF_WINDOW | ATL_HF_PATTERN, hf_gemma3n_names,
    hf_gemma3n_defaults, hf_gemma3n_model_names },
  { " gemma4 gemma4_text ", "gemma4", ATL_HF_WINDOW | ATL_HF_PATTERN, hf_gemma4_names,
    hf_gemma4_defaults, hf_gemma4_model_names },
  { " gemma ", "gemma", ATL_HF_NORM_PLUS_ONE, NULL, hf_gemma_defaults, NULL },
  { " arcee ", "arcee", ATL_HF_PERMUTE, NULL, hf_arcee_defaults, NULL },
  { " nemotron ", "nemotron", ATL_HF_NORM_PLUS_ONE, NULL, hf_nemotron_defaults, NULL },
  { " granitemoe granitemoeshared ", "granitemoe", ATL_HF_PERMUTE, hf_granite_hybrid_names,
    hf_granite_moe_defaults, NULL },
  { " olmoe ", "olmoe", 0, NULL, hf_olmoe_defaults, NULL },
  { " dots1 ", "dots1", 0, NULL, hf_dots1_defaults, NULL },
  { " ernie4_5 ", "ernie4_5", 0, NULL, hf_ernie_defaults, NULL },
  { " hunyuan_v1_dense ", "hunyuan-dense", 0, hf_hunyuan_names, hf_olmo2_defaults, NULL },
  { " phi ", "phi2", 0, hf_phi_names, hf_phi_defaults, hf_phi_model_names },
  { " gpt_neox ", "gptneox", 0, hf_neox_names, hf_neox_defaults, hf_neox_model_names },
  { " ministral3 ", "mistral3", ATL_HF_PERMUTE, NULL, hf_ministral3_defaults, NULL },
  { " falcon ", "falcon", 0, hf_falcon_names, hf_falcon_defaults, hf_falcon_model_names, "h." },
  { " internlm2 ", "internlm2", ATL_HF_PERMUTE, hf_internlm2_names, hf_internlm2_defaults,
    hf_internlm2_model_names },
  { " xverse ", "xverse", ATL_HF_PERMUTE, NULL, hf_internlm2_defaults, NULL },
  { " exaone ", "exaone", 0, hf_exaone_names, hf_exaone_defaults, hf_exaone_model_names, "h." },
  { " orion ", "orion", 0, NULL, hf_orion_defaults, NULL },
  { " minicpm ", "minicpm", ATL_HF_PERMUTE, NULL, hf_minicpm_defaults, NULL },
  { " bailing_moe bailing_moe_v2 ", "bailingmoe2", 0, hf_bailing_2_names, hf_bailing_2_defaults,
    hf_bailing_model_names, NULL, is_bailing_2 },
  { " bailing_moe ", "bailingmoe", ATL_HF_PERMUTE, hf_bailing_names, hf_bailing_defaults,
    hf_bailing_model_names },
  { " nemotron_h ", "nemotron_h_moe", 0, hf_nemotron_h_names, hf_nemotron_h_defaults,
    hf_mamba2_model_names, NULL, is_nemotron_h_moe },
  { " nemotron_h ", "nemotron_h", 0, hf_nemotron_h_names, hf_nemotron_h_defaults,
    hf_mamba2_model_names },
};

const AtlHfFamily *
atl_hf_family_find (const char *model_type, const AtlHfConfig *config)
{
  g_autofree char *framed = g_strconcat (" ", model_type, " ", NULL);

  if (strchr (model_type, ' ') != NULL)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (families); i++)
    if (strstr (families[i].types, framed) != NULL &&
        (families[i].is_meant == NULL || families[i].is_meant (config)))
      return &families[i];
  return NULL;
}

const char *
atl_hf_family_layers (const AtlHfFamily *self)
{
  return self->layers != NULL ? self->layers : "layers.";
}

const AtlHfFamily *
atl_hf_family_of_arch (const char *arch)
{
  for (guint i = 0; i < G_N_ELEMENTS (families); i++)
    if (strcmp (families[i].arch, arch) == 0)
      return &families[i];
  return NULL;
}

char *
atl_hf_family_list (void)
{
  g_autoptr (GString) all = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (families); i++)
    {
      g_auto (GStrv) words = g_strsplit (families[i].types, " ", -1);

      for (guint k = 0; words[k] != NULL; k++)
        if (*words[k] != '\0' && families[i].is_meant == NULL)
          g_string_append_printf (all, "%s%s", all->len > 0 ? ", " : "", words[k]);
    }
  return g_string_free (g_steal_pointer (&all), FALSE);
}

static const AtlHfName *
find_name (const AtlHfName *names, const char *module)
{
  for (; names != NULL && names->hf != NULL; names++)
    if (strcmp (names->hf, module) == 0)
      return names;
  return NULL;
}

const AtlHfName *
atl_hf_family_name (const AtlHfFamily *self, const char *module, gboolean in_layer)
{
  const AtlHfName *name = find_name (in_layer ? self->names : self->model_names, module);

  return name != NULL ? name : find_name (in_layer ? hf_layer_names : hf_model_names, module);
}

const AtlHfName *
atl_hf_name_next (const AtlHfName *self)
{
  return self[1].hf != NULL && strcmp (self[1].hf, self->hf) == 0 ? self + 1 : NULL;
}
