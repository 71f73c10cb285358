/* The table of decoder families. A blank field is the common case: RMS norm before each sublayer,
 * neighbouring rotary pairs, gated SiLU, full attention. */
#include "engine/models/llm/traits.h"

static const AtlLlmTraits table[] = {
  /* Llama 2/3, Mistral, SmolLM2, TinyLlama, CodeLlama, Yi; with experts Mixtral */
  { .architecture = "llama", .act = ATL_ACT_SILU, .route_renorm = TRUE },
  { .architecture = "qwen2", .pairing = ATL_ROPE_HALVES, .act = ATL_ACT_SILU },
};

const AtlLlmTraits *
atl_llm_traits_find (const char *architecture)
{
  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    if (g_strcmp0 (table[i].architecture, architecture) == 0)
      return &table[i];
  return NULL;
}

char *
atl_llm_traits_list (void)
{
  GString *s = g_string_new (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    g_string_append_printf (s, "%s%s", i > 0 ? ", " : "", table[i].architecture);
  return g_string_free (s, FALSE);
}
