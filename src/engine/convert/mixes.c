/* The named mixes of types, as a table of rules. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/mixes.h"

#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>

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

/* When a rule holds, besides the mix and the tensor's name. */
typedef enum
{
  ALWAYS,
  FIRST_TWO,       /* layers 0 and 1 */
  FIRST_FOUR,      /* layers 0 to 3 */
  FIRST_SIXTEENTH, /* of all layers */
  FIRST_EIGHTH,
  MORE_BITS, /* the first and the last eighth, and every third between */
  GQA_4,     /* four query heads a key head or more: the keys are few and matter more */
  EXPERTS_8, /* eight experts: what they share is small beside them */
} When;

typedef struct
{
  const char *mixes;  /* words with a space around each */
  const char *tensor; /* the name after "blk.N.", before ".weight"; several with a space around */
  When when;
  AtlDType dtype;
} Rule;

#define DOWN " ffn_down ffn_down_exps ffn_down_shexp "
#define SMALL " Q2_K Q3_K_S Q3_K_M Q4_K_S Q4_K_M IQ4_NL "

/* The first that fits counts. */
static const Rule rules[] = {
  { SMALL " Q3_K_L Q5_K_S Q5_K_M Q6_K Q4_0 Q4_1 Q5_0 Q5_1 ", " attn_k attn_v ", EXPERTS_8,
    ATL_DTYPE_Q8_0 },
  { " Q2_K ", " attn_v ", GQA_4, ATL_DTYPE_Q4_K },
  { " Q2_K ", " attn_v attn_output ", ALWAYS, ATL_DTYPE_Q3_K },
  { " Q3_K_M ", " attn_v ", FIRST_TWO, ATL_DTYPE_Q5_K },
  { " Q3_K_M ", " attn_v ", ALWAYS, ATL_DTYPE_Q4_K },
  { " Q3_K_L ", " attn_v ", ALWAYS, ATL_DTYPE_Q5_K },
  { " IQ4_NL ", " attn_v ", GQA_4, ATL_DTYPE_Q5_K },
  { " Q4_K_M Q5_K_M ", " attn_v ", MORE_BITS, ATL_DTYPE_Q6_K },
  { " Q4_K_S ", " attn_v ", FIRST_FOUR, ATL_DTYPE_Q5_K },
  { " Q2_K ", DOWN, ALWAYS, ATL_DTYPE_Q3_K },
  { " Q3_K_M ", DOWN, FIRST_SIXTEENTH, ATL_DTYPE_Q5_K },
  { " Q3_K_M ", DOWN, ALWAYS, ATL_DTYPE_Q4_K },
  { " Q3_K_L ", DOWN, ALWAYS, ATL_DTYPE_Q5_K },
  { " Q4_K_M Q5_K_M ", DOWN, MORE_BITS, ATL_DTYPE_Q6_K },
  { " Q4_K_S IQ4_NL ", DOWN, FIRST_EIGHTH, ATL_DTYPE_Q5_K },
  { SMALL, " attn_output ", EXPERTS_8, ATL_DTYPE_Q5_K },
  { " Q3_K_M ", " attn_output ", ALWAYS, ATL_DTYPE_Q4_K },
  { " Q3_K_L ", " attn_output ", ALWAYS, ATL_DTYPE_Q5_K },
  { " Q3_K_M Q3_K_L ", " attn_qkv ", ALWAYS, ATL_DTYPE_Q4_K },
  { " Q4_K_M ", " attn_qkv ", ALWAYS, ATL_DTYPE_Q5_K },
  { " Q5_K_M ", " attn_qkv ", ALWAYS, ATL_DTYPE_Q6_K },
};

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

static gboolean
holds (When when, const AtlMixModel *model, guint layer)
{
  guint n = model->n_layers, eighth = n / 8;

  switch (when)
    {
    case ALWAYS:
      return TRUE;
    case FIRST_TWO:
      return layer < 2;
    case FIRST_FOUR:
      return layer < 4;
    case FIRST_SIXTEENTH:
      return layer < n / 16;
    case FIRST_EIGHTH:
      return layer < eighth;
    case MORE_BITS:
      return layer < eighth || layer >= 7 * n / 8 || (layer - eighth) % 3 == 2;
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
      dtype = ATL_DTYPE_IQ4_NL;
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

static AtlDType
rule_type (const AtlMix *mix, const AtlMixModel *model, const char *name)
{
  guint layer;
  g_autofree char *part = short_name (name, &layer);

  /* The output decides between words: more bits for it. */
  if (strcmp (part, "output") == 0 || (strcmp (part, "token_embd") == 0 && !model->has_output))
    return mix->dtype == ATL_DTYPE_Q8_0 ? ATL_DTYPE_Q8_0 : ATL_DTYPE_Q6_K;
  /* MXFP4 is made for experts; the rest of such models is Q8_0. */
  if (mix->dtype == ATL_DTYPE_MXFP4 && model->n_experts > 0 && !g_str_has_suffix (part, "_exps"))
    return ATL_DTYPE_Q8_0;
  for (guint i = 0; i < G_N_ELEMENTS (rules); i++)
    if (has_word (rules[i].mixes, mix->name) && has_word (rules[i].tensor, part) &&
        holds (rules[i].when, model, layer))
      return rules[i].dtype;
  return mix->dtype;
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
  if (mix == NULL)
    return info->dtype == ATL_DTYPE_F8_E4M3 || info->dtype == ATL_DTYPE_F8_E5M2 ||
                   info->dtype == ATL_DTYPE_F8_E4M3_32
               ? ATL_DTYPE_F16
               : info->dtype;
  if (!atl_dtype_info (mix->dtype)->quantised)
    return mix->dtype;
  return fit_row (rule_type (mix, model, info->name), n);
}
