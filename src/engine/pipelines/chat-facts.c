/* What a file says about itself, in the words people know. */
#define G_LOG_DOMAIN "atl-pipelines"

#include <string.h>

#include "engine/pipelines/chat-model-private.h"

/* Below this a model writes sentences but knows nothing. */
#define TOY_PARAMS 250000000u

/* general.file_type of GGUF (llama.cpp's llama_ftype). */
static const char *const file_types[] = {
  [0] = "F32",      [1] = "F16",      [2] = "Q4_0",    [3] = "Q4_1",    [7] = "Q8_0",
  [8] = "Q5_0",     [9] = "Q5_1",     [10] = "Q2_K",   [11] = "Q3_K_S", [12] = "Q3_K_M",
  [13] = "Q3_K_L",  [14] = "Q4_K_S",  [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",
  [18] = "Q6_K",    [19] = "IQ2_XXS", [20] = "IQ2_XS", [21] = "Q2_K_S", [22] = "IQ3_XS",
  [23] = "IQ3_XXS", [24] = "IQ1_S",   [25] = "IQ4_NL", [26] = "IQ3_S",  [27] = "IQ3_M",
  [28] = "IQ2_S",   [29] = "IQ2_M",   [30] = "IQ4_XS", [31] = "IQ1_M",  [32] = "BF16",
  [36] = "TQ1_0",   [37] = "TQ2_0",   [38] = "MXFP4",
};

/* The author's values: key of the file, key of the command line, type. */
static const struct
{
  const char *gguf;
  const char *config; /* (nullable) Hugging Face's generation_config.json */
  const char *key;
  gboolean is_int;
  double min, max;
} sampling_keys[] = {
  { "general.sampling.temp", "generation_config.temperature", "temperature", FALSE, 0, 5 },
  { "general.sampling.top_k", "generation_config.top_k", "top-k", TRUE, 0, 1 << 20 },
  { "general.sampling.top_p", "generation_config.top_p", "top-p", FALSE, 0, 1 },
  { "general.sampling.min_p", "generation_config.min_p", "min-p", FALSE, 0, 1 },
  { "general.sampling.xtc_probability", NULL, "xtc-probability", FALSE, 0, 1 },
  { "general.sampling.xtc_threshold", NULL, "xtc-threshold", FALSE, 0, 1 },
  { "general.sampling.penalty_last_n", NULL, "repeat-last-n", TRUE, -1, 1 << 24 },
  { "general.sampling.penalty_repeat", "generation_config.repetition_penalty", "repeat-penalty",
    FALSE, 0.01, 10 },
  { "general.sampling.mirostat", NULL, "mirostat", TRUE, 0, 2 },
  { "general.sampling.mirostat_tau", NULL, "mirostat-tau", FALSE, 0, 20 },
  { "general.sampling.mirostat_eta", NULL, "mirostat-eta", FALSE, 0, 1 },
};

static gboolean
meta_number (AtlCheckpoint *cp, const char *key, double *out)
{
  const AtlMetaValue *value = key != NULL ? atl_checkpoint_meta (cp, key) : NULL;

  if (value == NULL)
    return FALSE;
  switch (value->type)
    {
    case ATL_META_INT:
      *out = (double) value->v_int;
      return TRUE;
    case ATL_META_UINT:
      *out = (double) value->v_uint;
      return TRUE;
    case ATL_META_FLOAT:
      *out = value->v_float;
      return TRUE;
    case ATL_META_BOOL:
    case ATL_META_STRING:
    case ATL_META_ARRAY:
    default:
      return FALSE;
    }
}

static GVariant *
read_recommended (AtlCheckpoint *cp)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (sampling_keys); i++)
    {
      double value;

      if (!meta_number (cp, sampling_keys[i].gguf, &value) &&
          !meta_number (cp, sampling_keys[i].config, &value))
        continue;
      /* Written so that a NaN is left out too. */
      if (!(value >= sampling_keys[i].min && value <= sampling_keys[i].max))
        continue;
      if (sampling_keys[i].is_int)
        g_variant_dict_insert (&dict, sampling_keys[i].key, "i", (gint32) value);
      else
        g_variant_dict_insert (&dict, sampling_keys[i].key, "d", value);
    }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

static char *
dup_meta (AtlCheckpoint *cp, const char *key)
{
  const char *chars = atl_checkpoint_get_string (cp, key);

  return chars != NULL ? g_utf8_make_valid (chars, -1) : g_strdup ("");
}

/* Cuts ".Q4_1", "-Q4_K_M", "-f16" and so on off the end: the type is shown beside the name. */
static void
cut_quant (char *name)
{
  char *cut = MAX (strrchr (name, '.'), strrchr (name, '-'));
  AtlDType dtype;

  if (cut == NULL || cut == name)
    return;
  for (gsize n = strlen (cut + 1); n > 1; n--)
    {
      g_autofree char *head = g_strndup (cut + 1, n);

      /* "Q4_K_M" begins with a type and goes on with the mix. */
      if (atl_dtype_from_name (head, &dtype) && (cut[1 + n] == '\0' || cut[1 + n] == '_'))
        {
          *cut = '\0';
          return;
        }
    }
}

/* "models/qwen2.5-0.5b-instruct-q4_k_m-00001-of-00003.gguf" -> "qwen2.5-0.5b-instruct-q4_k_m" */
static char *
name_from_file (AtlCheckpoint *cp)
{
  g_autofree char *base = g_path_get_basename (atl_checkpoint_name (cp));
  g_autofree char *name = g_utf8_make_valid (base, -1);
  char *dot = strrchr (name, '.');
  char *of;

  if (dot != NULL && dot != name)
    *dot = '\0';
  of = strstr (name, "-of-");
  if (of != NULL && of - name > 6 && of[-6] == '-')
    of[-6] = '\0';
  cut_quant (name);
  g_strdelimit (name, "-_", ' ');
  return g_steal_pointer (&name);
}

/* "model" and the like say nothing. */
static gboolean
is_telling (const char *name)
{
  return strlen (name) > 3 && g_ascii_strcasecmp (name, "model") != 0 &&
         g_ascii_strcasecmp (name, "ggml model") != 0;
}

/* The file's own word, else the type that most bytes have. */
static char *
find_quant (AtlCheckpoint *cp)
{
  guint64 type, best_bytes = 0;
  g_autoptr (GHashTable) bytes = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  AtlDType best = ATL_DTYPE_F32;
  const char *words = atl_checkpoint_get_string (cp, "general.quantisation");

  if (words != NULL)
    return g_utf8_make_valid (words, -1);
  if (atl_checkpoint_get_uint (cp, "general.file_type", 0, G_N_ELEMENTS (file_types) - 1, &type,
                               NULL) &&
      file_types[type] != NULL)
    return g_strdup (file_types[type]);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
      guint64 *sum = g_hash_table_lookup (bytes, GINT_TO_POINTER (info->dtype));

      if (sum == NULL)
        {
          sum = g_new0 (guint64, 1);
          g_hash_table_insert (bytes, GINT_TO_POINTER (info->dtype), sum);
        }
      *sum += info->size_bytes;
      if (*sum > best_bytes)
        {
          best_bytes = *sum;
          best = info->dtype;
        }
    }
  return g_ascii_strup (atl_dtype_info (best)->name, -1);
}

static guint64
count_params (AtlCheckpoint *cp)
{
  guint64 total = 0;

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
      guint64 n = 1;

      for (guint d = 0; d < info->n_dims; d++)
        n *= (guint64) info->dim[d];
      total += n;
    }
  return total;
}

/* A number that GGUF keeps under the architecture's name; 0 where there is none. */
static guint
meta_uint (AtlCheckpoint *cp, const char *architecture, const char *key, guint max)
{
  g_autofree char *name = g_strdup_printf ("%s.%s", architecture, key);
  guint64 n = 0;

  atl_checkpoint_get_uint (cp, name, 1, max, &n, NULL);
  return (guint) n;
}

static guint
find_n_ctx_train (AtlCheckpoint *cp, const char *architecture)
{
  guint64 n = meta_uint (cp, architecture, "context_length", 1 << 30);

  if (n == 0)
    atl_checkpoint_get_uint (cp, "max_position_embeddings", 1, 1 << 30, &n, NULL);
  return (guint) n;
}

void
atl_chat_facts_init (AtlChatFacts *facts,
                     AtlCheckpoint *checkpoint,
                     AtlTokenizer *tokenizer,
                     AtlChatTemplate *chat,
                     guint64 size_bytes)
{
  const char *warning = tokenizer != NULL ? atl_tokenizer_warning (tokenizer) : NULL;

  *facts = (AtlChatFacts){ 0 };
  /* People know the file by its name; what converters wrote inside is often odd. */
  facts->name = name_from_file (checkpoint);
  facts->inside = g_strstrip (dup_meta (checkpoint, "general.name"));
  if (!is_telling (facts->name) && *facts->inside != '\0')
    {
      g_free (facts->name);
      facts->name = g_strdup (facts->inside);
    }
  /* What converters add to the name is no part of it. */
  if (g_str_has_suffix (facts->name, " GGUF") || g_str_has_suffix (facts->name, "-GGUF"))
    facts->name[strlen (facts->name) - 5] = '\0';
  facts->architecture = dup_meta (checkpoint, "general.architecture");
  if (*facts->architecture == '\0')
    {
      g_free (facts->architecture);
      facts->architecture = dup_meta (checkpoint, "model_type");
    }
  facts->quant = find_quant (checkpoint);
  facts->license = dup_meta (checkpoint, "general.license");
  facts->n_params = count_params (checkpoint);
  facts->size_bytes = size_bytes;
  facts->n_ctx_train = find_n_ctx_train (checkpoint, facts->architecture);
  facts->n_layers = meta_uint (checkpoint, facts->architecture, "block_count", 1 << 16);
  facts->has_experts = meta_uint (checkpoint, facts->architecture, "expert_count", 1 << 16) > 1;
  facts->is_toy = facts->n_params < TOY_PARAMS;
  facts->warning = g_strdup (warning);
  facts->recommended = read_recommended (checkpoint);
  if (chat != NULL)
    {
      const AtlChatCaps *caps = atl_chat_template_caps (chat);
      const char *open, *close;

      facts->has_template = atl_tokenizer_chat_template (tokenizer, NULL) != NULL;
      facts->has_system = caps->system_role;
      facts->has_tools = caps->tools;
      facts->has_thinking = atl_chat_template_thinking_tags (chat, &open, &close);
    }
}

void
atl_chat_facts_clear (AtlChatFacts *facts)
{
  g_free (facts->name);
  g_free (facts->inside);
  g_free (facts->architecture);
  g_free (facts->quant);
  g_free (facts->license);
  g_free (facts->why_not);
  g_free (facts->warning);
  g_clear_pointer (&facts->recommended, g_variant_unref);
}
