/* The table of decoder families. A blank field is the common case: RMS norm before each sublayer,
 * neighbouring rotary pairs, gated SiLU, full attention. */
#include "engine/models/llm/traits.h"

static const AtlLlmTraits table[] = {
  /* Llama 2/3, Mistral, SmolLM2, TinyLlama, CodeLlama, Yi; with experts Mixtral */
  { .architecture = "llama", .act = ATL_ACT_SILU, .route_renorm = TRUE },
  { .architecture = "qwen2", .pairing = ATL_ROPE_HALVES, .act = ATL_ACT_SILU },
  { .architecture = "qwen2moe", .pairing = ATL_ROPE_HALVES, .act = ATL_ACT_SILU },
  { .architecture = "qwen3",
    .pairing = ATL_ROPE_HALVES,
    .qk_norm = ATL_QK_NORM_HEAD,
    .act = ATL_ACT_SILU },
  { .architecture = "qwen3moe",
    .pairing = ATL_ROPE_HALVES,
    .qk_norm = ATL_QK_NORM_HEAD,
    .act = ATL_ACT_SILU,
    .route_renorm = TRUE },
  /* The "+ 1" of gemma's norms is in the stored weights. */
  { .architecture = "gemma2",
    .norms = ATL_NORMS_SANDWICH,
    .pairing = ATL_ROPE_HALVES,
    .act = ATL_ACT_GELU_TANH,
    .embed_sqrt = TRUE,
    .window = ATL_WINDOW_EVEN,
    .embd_scale_layers = 46 },
  { .architecture = "gemma3",
    .norms = ATL_NORMS_SANDWICH,
    .pairing = ATL_ROPE_HALVES,
    .qk_norm = ATL_QK_NORM_HEAD,
    .act = ATL_ACT_GELU_TANH,
    .embed_sqrt = TRUE,
    .window = ATL_WINDOW_5_OF_6,
    .swa_rope_base = 10000.0,
    .embd_scale_layers = 62 },
  { .architecture = "phi3",
    .pairing = ATL_ROPE_HALVES,
    .act = ATL_ACT_SILU,
    .fused_gate_up = TRUE,
    .window = ATL_WINDOW_ALL },
  { .architecture = "glm4",
    .norms = ATL_NORMS_SANDWICH,
    .act = ATL_ACT_SILU,
    .fused_gate_up = TRUE },
  { .architecture = "granite", .act = ATL_ACT_SILU, .logits = ATL_LOGITS_DIVIDED },
  { .architecture = "olmo2",
    .norms = ATL_NORMS_POST,
    .pairing = ATL_ROPE_HALVES,
    .qk_norm = ATL_QK_NORM_WHOLE,
    .act = ATL_ACT_SILU,
    .window = ATL_WINDOW_PATTERN },
  { .architecture = "smollm3", .act = ATL_ACT_SILU, .rotate = ATL_ROTATE_3_OF_4 },
  { .architecture = "command-r",
    .norm = ATL_NORM_LAYER,
    .qk_norm = ATL_QK_NORM_LAYER_HEAD,
    .act = ATL_ACT_SILU,
    .logits = ATL_LOGITS_MULTIPLIED },
  { .architecture = "cohere2",
    .norm = ATL_NORM_LAYER,
    .act = ATL_ACT_SILU,
    .window = ATL_WINDOW_3_OF_4,
    .rotate = ATL_ROTATE_WINDOWED_ONLY,
    .logits = ATL_LOGITS_MULTIPLIED },
  { .architecture = "starcoder2",
    .norm = ATL_NORM_LAYER,
    .pairing = ATL_ROPE_HALVES,
    .act = ATL_ACT_GELU_TANH,
    .ungated = TRUE },
  { .architecture = "stablelm",
    .norm = ATL_NORM_LAYER,
    .pairing = ATL_ROPE_HALVES,
    .qk_norm = ATL_QK_NORM_LAYER_HEAD,
    .act = ATL_ACT_SILU },
  { .architecture = "exaone4",
    .norms = ATL_NORMS_POST,
    .pairing = ATL_ROPE_HALVES,
    .qk_norm = ATL_QK_NORM_HEAD,
    .act = ATL_ACT_SILU,
    .window = ATL_WINDOW_3_OF_4,
    .rotate = ATL_ROTATE_WINDOWED_ONLY },
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
