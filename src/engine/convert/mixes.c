/* The named mixes of types, as a table of rules. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/mixes.h"

#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>

/* Of a file that is no model. */
#define MAX_LAYERS (1u << 16)

static const AtlMix mixes[] = {
  { "F32", 0, ATL_DTYPE_F32, N_ ("single precision, as large as it gets") },
  { "F16", 1, ATL_DTYPE_F16, N_ ("half precision") },
  { "BF16", 32, ATL_DTYPE_BF16, N_ ("half precision as models are trained in") },
  { "Q8_0", 7, ATL_DTYPE_Q8_0, N_ ("8.5 bits, hardly a difference") },
  { "Q6_K", 18, ATL_DTYPE_Q6_K, N_ ("6.6 bits, very close") },
  { "Q5_K_M", 17, ATL_DTYPE_Q5_K, N_ ("5.7 bits, close") },
  { "Q5_K_S", 16, ATL_DTYPE_Q5_K, N_ ("5.5 bits") },
  { "Q5_1", 9, ATL_DTYPE_Q5_1, N_ ("6 bits, older form") },
  { "Q5_0", 8, ATL_DTYPE_Q5_0, N_ ("5.5 bits, older form") },
  { "Q4_K_M", 15, ATL_DTYPE_Q4_K, N_ ("4.8 bits, the usual choice") },
  { "Q4_K_S", 14, ATL_DTYPE_Q4_K, N_ ("4.6 bits") },
  { "Q4_1", 3, ATL_DTYPE_Q4_1, N_ ("5 bits, older form") },
  { "Q4_0", 2, ATL_DTYPE_Q4_0, N_ ("4.5 bits, older form, quick") },
  { "IQ4_NL", 25, ATL_DTYPE_IQ4_NL, N_ ("4.5 bits, uneven steps") },
  { "MXFP4", 38, ATL_DTYPE_MXFP4, N_ ("4.25 bits, for models trained in it") },
  { "Q3_K_L", 13, ATL_DTYPE_Q3_K, N_ ("4.3 bits, a loss") },
  { "Q3_K_M", 12, ATL_DTYPE_Q3_K, N_ ("3.9 bits, a loss") },
  { "Q3_K_S", 11, ATL_DTYPE_Q3_K, N_ ("3.5 bits, a marked loss") },
  { "Q2_K", 10, ATL_DTYPE_Q2_K, N_ ("3.2 bits, a large loss") },
  { NULL, 0, ATL_N_DTYPES, NULL },
};

/* When a rule holds, besides the mix and the tensor's name. Layers are counted among those that
 * have such a tensor. */
typedef enum
{
  ALWAYS,
  FIRST_TWO,
  FIRST_FOUR,
  FIRST_SIXTEENTH, /* of all layers */
  FIRST_EIGHTH,
  MORE_BITS, /* the first and the last eighth, and every third between */
  GQA_4,     /* four query heads a key head or more: the keys are few and matter more */
  EXPERTS_8, /* eight experts: what they share is small beside them */
} When;

/* In place of a type: that of the mix. */
#define OWN ATL_N_DTYPES

typedef struct
{
  const char *mixes;  /* words with a space around each */
  const char *tensor; /* the name after "blk.N.", before ".weight"; several with a space around */
  When when;
  AtlDType dtype;
} Rule;

#define VALUES " attn_v attn_qkv attn_kv_b "
#define DOWN " ffn_down ffn_down_exps ffn_down_shexp "
#define SMALL " Q2_K Q3_K_S Q3_K_M Q4_K_S Q4_K_M IQ4_NL "
#define LARGE " Q3_K_L Q5_K_S Q5_K_M Q6_K Q4_0 Q4_1 Q5_0 Q5_1 "

/* The first that fits counts. */
static const Rule rules[] = {
  { SMALL LARGE, " attn_k" VALUES, EXPERTS_8, ATL_DTYPE_Q8_0 },
  { " Q2_K ", VALUES, GQA_4, ATL_DTYPE_Q4_K },
  { " Q2_K ", VALUES, ALWAYS, ATL_DTYPE_Q3_K },
  { " Q3_K_M ", VALUES, FIRST_TWO, ATL_DTYPE_Q5_K },
  { " Q3_K_M ", VALUES, ALWAYS, ATL_DTYPE_Q4_K },
  { " Q3_K_L ", VALUES, ALWAYS, ATL_DTYPE_Q5_K },
  { " IQ4_NL ", VALUES, GQA_4, ATL_DTYPE_Q5_K },
  { " Q4_K_M Q5_K_M ", VALUES, MORE_BITS, ATL_DTYPE_Q6_K },
  { " Q4_K_S ", VALUES, FIRST_FOUR, ATL_DTYPE_Q5_K },
  { " Q2_K ", DOWN, ALWAYS, ATL_DTYPE_Q3_K },
  { " Q3_K_M ", DOWN, FIRST_SIXTEENTH, ATL_DTYPE_Q5_K },
  { " Q3_K_M ", DOWN, ALWAYS, ATL_DTYPE_Q4_K },
  { " Q3_K_L ", DOWN, ALWAYS, ATL_DTYPE_Q5_K },
  { " Q4_K_M Q5_K_M ", DOWN, MORE_BITS, ATL_DTYPE_Q6_K },
  { " Q4_K_S IQ4_NL ", DOWN, FIRST_EIGHTH, ATL_DTYPE_Q5_K },
  { SMALL, " attn_output ", EXPERTS_8, ATL_DTYPE_Q5_K },
  { LARGE, " attn_output ", EXPERTS_8, OWN },
  { " Q2_K ", " attn_output ", ALWAYS, ATL_DTYPE_Q3_K },
  { " Q3_K_M ", " attn_output ", ALWAYS, ATL_DTYPE_Q4_K },
  { " Q3_K_L ", " attn_output ", ALWAYS, ATL_DTYPE_Q5_K },
};

/* Falcon's, before those. */
static const Rule falcon_rules[] = {
  { " Q3_K_M ", DOWN, FIRST_SIXTEENTH, ATL_DTYPE_Q5_K },
  { " Q3_K_M ", DOWN, MORE_BITS, ATL_DTYPE_Q4_K },
  { " Q3_K_M Q4_K_S ", DOWN, ALWAYS, OWN },
  { " Q3_K_L ", DOWN, ALWAYS, ATL_DTYPE_Q4_K },
  { " Q4_K_M ", DOWN, FIRST_SIXTEENTH, ATL_DTYPE_Q6_K },
  { " Q4_K_M ", DOWN, MORE_BITS, ATL_DTYPE_Q5_K },
  { " Q4_K_M ", DOWN, ALWAYS, OWN },
  { " Q3_K_L ", " attn_output ", ALWAYS, ATL_DTYPE_Q4_K },
  { SMALL LARGE, " attn_output ", ALWAYS, OWN },
};

/* Matrices that are small beside what depends on them: as they are. */
static const char *const untouched[] = { "laurel", "altup", "per_layer_model_proj" };

/* Matrices whose errors spoil much, or that are used as single precision: F32 always. */
static const char *const kept[] = { "_norm.weight",
                                    "ffn_gate_inp.weight",
                                    "ffn_gate_inp_shexp.weight",
                                    "ssm_conv1d.weight",
                                    "shortconv.conv.weight",
                                    "altup_correct_coef.weight",
                                    "altup_predict_coef.weight",
                                    "altup_router.weight",
                                    "attn_sinks.weight",
                                    "ssm_a",
                                    "ssm_d" };

const AtlMix *
atl_mix_list (void)
{
  return mixes;
}

const AtlMix *
atl_mix_find (const char *name)
{
  /* What people call the usual mix of a type. */
  static const char *const usual[][2] = { { "Q3_K", "Q3_K_M" },
                                          { "Q4_K", "Q4_K_M" },
                                          { "Q5_K", "Q5_K_M" } };

  for (guint i = 0; i < G_N_ELEMENTS (usual); i++)
    if (g_ascii_strcasecmp (usual[i][0], name) == 0)
      name = usual[i][1];
  for (const AtlMix *mix = mixes; mix->name != NULL; mix++)
    if (g_ascii_strcasecmp (mix->name, name) == 0)
      return mix;
  return NULL;
}

const AtlMix *
atl_mix_of_dtype (AtlDType dtype)
{
  for (const AtlMix *mix = mixes; mix->name != NULL; mix++)
    if (mix->dtype == dtype)
      return mix;
  return NULL;
}

static gboolean
has_word (const char *words, const char *word)
{
  g_autofree char *framed = g_strconcat (" ", word, " ", NULL);

  return strstr (words, framed) != NULL;
}

/* `at` of `n` layers. */
static gboolean
holds (When when, const AtlMixModel *model, guint at, guint n)
{
  const guint eighth = n / 8;

  switch (when)
    {
    case ALWAYS:
      return TRUE;
    case FIRST_TWO:
      return at < 2;
    case FIRST_FOUR:
      return at < 4;
    case FIRST_SIXTEENTH:
      return at < n / 16;
    case FIRST_EIGHTH:
      return at < eighth;
    case MORE_BITS:
      return at < eighth || at >= 7 * n / 8 || (at - eighth) % 3 == 2;
    case GQA_4:
      return model->n_gqa >= 4;
    case EXPERTS_8:
      return model->n_experts == 8;
    }
  g_assert_not_reached ();
}

/* "blk.3.attn_v.weight" -> 3 and "attn_v"; a name outside of layers keeps all but its ending. */
static char *
short_name (const char *name, guint *layer)
{
  char *end = NULL;

  *layer = 0;
  if (g_str_has_prefix (name, "blk."))
    {
      *layer = (guint) MIN (strtoul (name + 4, &end, 10), 1 << 20);
      if (*end == '.')
        name = end + 1;
    }
  return g_strndup (name, g_str_has_suffix (name, ".weight") ? strlen (name) - 7 : strlen (name));
}

/* The nearest type with shorter blocks; half precision where even those do not divide a row. */
static AtlDType
fit_row (AtlDType dtype, gint64 n)
{
  if (n % atl_dtype_info (dtype)->block_elems == 0)
    return dtype;
  switch (dtype)
    {
    case ATL_DTYPE_Q2_K:
    case ATL_DTYPE_Q3_K:
      dtype = ATL_DTYPE_Q4_0;
      break;
    case ATL_DTYPE_Q4_K:
      dtype = ATL_DTYPE_Q5_0;
      break;
    case ATL_DTYPE_Q5_K:
      dtype = ATL_DTYPE_Q5_1;
      break;
    case ATL_DTYPE_Q6_K:
      dtype = ATL_DTYPE_Q8_0;
      break;
    default:
      break;
    }
  return n % atl_dtype_info (dtype)->block_elems == 0 ? dtype : ATL_DTYPE_F16;
}

/* The type by the first of the rules that fits, ATL_DTYPE_F32 if none does. */
static AtlDType
find_rule (const Rule *list,
           gsize n_rules,
           const AtlMix *mix,
           const AtlMixModel *model,
           const char *part,
           guint at,
           guint n)
{
  for (gsize i = 0; i < n_rules; i++)
    if (has_word (list[i].mixes, mix->name) && has_word (list[i].tensor, part) &&
        holds (list[i].when, model, at, n))
      return list[i].dtype == OWN ? mix->dtype : list[i].dtype;
  return ATL_DTYPE_F32;
}

static AtlDType
rule_type (const AtlMix *mix, const AtlMixModel *model, const char *name)
{
  guint layer, at, n = model->n_layers;
  g_autofree char *part = short_name (name, &layer);
  gboolean is_values = has_word (VALUES, part);
  AtlDType dtype = ATL_DTYPE_F32;

  /* The output decides between words: more bits for it. */
  if (strcmp (part, "output") == 0 ||
      (!model->has_output && has_word (" token_embd per_layer_token_embd ", part)))
    return mix->dtype == ATL_DTYPE_Q8_0 || mix->dtype == ATL_DTYPE_MXFP4 || model->is_falcon
               ? ATL_DTYPE_Q8_0
               : ATL_DTYPE_Q6_K;
  /* MXFP4 is made for experts; the rest of such models is Q8_0. */
  if (mix->dtype == ATL_DTYPE_MXFP4 && model->n_experts > 0 && !g_str_has_suffix (part, "_exps"))
    return ATL_DTYPE_Q8_0;
  at = layer = MIN (layer, n);
  if (is_values)
    {
      at = model->values_before[layer];
      n = model->values_before[n];
    }
  else if (model->n_experts < 2)
    at = model->downs_before[layer];
  if (model->is_falcon)
    dtype = find_rule (falcon_rules, G_N_ELEMENTS (falcon_rules), mix, model, part, at, n);
  if (dtype == ATL_DTYPE_F32)
    dtype = find_rule (rules, G_N_ELEMENTS (rules), mix, model, part, at, n);
  if (dtype == ATL_DTYPE_F32)
    dtype = mix->dtype;
  /* An eighth of the queries' size, so that more bits cost next to nothing. */
  if (is_values && model->is_70b && (dtype == ATL_DTYPE_Q3_K || dtype == ATL_DTYPE_Q4_K))
    dtype = ATL_DTYPE_Q5_K;
  return dtype;
}

/* --- Models --- */

/* Of a list, one number a layer, the first. */
static guint
get_uint (const AtlCheckpoint *cp, const char *arch, const char *name, guint fallback)
{
  g_autofree char *key = g_strconcat (arch, ".", name, NULL);
  const AtlMetaValue *value = atl_checkpoint_meta (cp, key);
  guint64 number;

  if (value != NULL && value->type == ATL_META_ARRAY && value->v_array.n > 0 &&
      (value->v_array.elem_type == ATL_META_INT || value->v_array.elem_type == ATL_META_UINT))
    number = ((const guint64 *) value->v_array.elems)[0];
  else if (!atl_checkpoint_get_uint (cp, key, 0, G_MAXUINT32, &number, NULL))
    return fallback;
  return (guint) MIN (number, G_MAXUINT32);
}

/* How many layers before each, and in all, have a tensor of these names. */
static guint *
count_before (const AtlCheckpoint *cp, guint n_layers, const char *names)
{
  guint *before = g_new0 (guint, (gsize) n_layers + 1);

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
      guint layer;
      g_autofree char *part = short_name (info->name, &layer);

      if (info->n_dims > 1 && layer < n_layers && has_word (names, part))
        before[layer + 1] = 1;
    }
  for (guint il = 0; il < n_layers; il++)
    before[il + 1] += before[il];
  return before;
}

void
atl_mix_model_init (AtlMixModel *self, const AtlCheckpoint *cp)
{
  const char *arch = atl_checkpoint_get_string (cp, "general.architecture");
  guint heads = get_uint (cp, arch, "attention.head_count", 1);
  guint kv = get_uint (cp, arch, "attention.head_count_kv", heads);

  *self = (AtlMixModel){ 0 };
  self->n_layers = MIN (get_uint (cp, arch, "block_count", 0), MAX_LAYERS);
  self->n_experts = get_uint (cp, arch, "expert_count", 0);
  self->n_gqa = kv > 0 ? MAX (heads / kv, 1) : 1;
  self->has_output = atl_checkpoint_find (cp, "output.weight") != NULL;
  self->is_falcon = strcmp (arch, "falcon") == 0;
  self->is_70b = self->n_layers == 80 && self->n_gqa > 1 &&
                 (strcmp (arch, "llama") == 0 || strcmp (arch, "qwen2") == 0);
  self->values_before = count_before (cp, self->n_layers, VALUES);
  self->downs_before = count_before (cp, self->n_layers, DOWN);
}

void
atl_mix_model_clear (AtlMixModel *self)
{
  g_clear_pointer (&self->values_before, g_free);
  g_clear_pointer (&self->downs_before, g_free);
}

AtlDType
atl_mix_choose (const AtlMix *mix, const AtlMixModel *model, const AtlTensorInfo *info)
{
  gint64 n = info->n_dims > 0 ? info->dim[info->n_dims - 1] : 1;

  /* Whole numbers and what else is no weight stays as it is. */
  if (!g_str_has_suffix (info->name, ".weight") || info->n_dims < 2)
    return info->dtype == ATL_DTYPE_F16 || info->dtype == ATL_DTYPE_BF16 ? ATL_DTYPE_F32
                                                                         : info->dtype;
  for (guint i = 0; i < G_N_ELEMENTS (kept); i++)
    if (g_str_has_suffix (info->name, kept[i]))
      return ATL_DTYPE_F32;
  for (guint i = 0; mix != NULL && i < G_N_ELEMENTS (untouched); i++)
    if (strstr (info->name, untouched[i]) != NULL)
      mix = NULL;
  if (mix == NULL)
    return info->dtype == ATL_DTYPE_F8_E4M3 || info->dtype == ATL_DTYPE_F8_E5M2 ||
                   info->dtype == ATL_DTYPE_F8_E4M3_32
               ? ATL_DTYPE_F16
               : info->dtype;
  if (!atl_dtype_info (mix->dtype)->quantized)
    return mix->dtype;
  return fit_row (rule_type (mix, model, info->name), n);
}
