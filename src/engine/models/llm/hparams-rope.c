/* Hyperparameters of rotary positions: how many components turn, how fast, and how the angles are
 * scaled for contexts longer than the trained ones. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/hparams-private.h"

#include <glib/gi18n.h>
#include <math.h>

static gboolean
check_divisors (AtlLlmKeys *k, const AtlTensorInfo *info, guint n)
{
  if (info->dtype == ATL_DTYPE_F32 && info->size_bytes == n * sizeof (float))
    return TRUE;
  atl_llm_key_fail (k, _ ("the tensor “%s” should hold %u float32 numbers"), info->name, n);
  return FALSE;
}

/* Two lists, of which the length of the context chooses one. */
static void
read_longrope (AtlLlmHparams *h, AtlLlmKeys *k, guint n_ctx)
{
  static const char *const names[] = { "rope_factors_short.weight", "rope_factors_long.weight" };
  const AtlTensorInfo *lists[] = { atl_checkpoint_find (k->cp, names[0]),
                                   atl_checkpoint_find (k->cp, names[1]) };
  guint original = h->n_ctx_train;
  double factor = 1.0;

  atl_llm_key_uint (k, "rope.scaling.original_context_length", 1, 1 << 30, FALSE, &original);
  if (lists[0] == NULL && lists[1] == NULL)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (lists); i++)
    {
      if (lists[i] == NULL)
        atl_llm_key_fail (k, _ ("the tensor “%s” is missing"), names[i]);
      if (lists[i] == NULL || !check_divisors (k, lists[i], h->rope.n_rot / 2))
        return;
    }
  h->rope_divisors = lists[n_ctx > original];
  atl_llm_key_float (k, "rope.scaling.attn_factor", 1e-6, 1e6, &factor);
  h->rope.attn_factor = factor;
}

/* Rotated components of the layers that are windowed, or of those that are not. */
static guint
read_n_rot (AtlLlmHparams *h, AtlLlmKeys *k, gboolean windowed, guint same)
{
  const char *name = windowed ? "rope.dimension_count_swa" : "rope.dimension_count";
  guint n_rot = same;

  for (guint il = 0; il < h->n_layer && n_rot == 0; il++)
    if (h->layers[il].windowed == windowed)
      n_rot = h->layers[il].head_dim;
  if (n_rot == 0)
    n_rot = h->head_dim;
  atl_llm_key_uint (k, name, 2, 1 << 16, FALSE, &n_rot);
  if (n_rot % 2 != 0)
    atl_llm_key_fail (k, _ ("“%s.%s” is %u; an even number is expected"), k->prefix, name, n_rot);
  for (guint il = 0; il < h->n_layer; il++)
    {
      const AtlLlmLayer *l = &h->layers[il];

      if (l->windowed == windowed && l->attends && n_rot > l->head_dim)
        atl_llm_key_unfit (k, ATL_LLM_AT_MOST, name, n_rot, "attention.key_length", l->head_dim);
    }
  return n_rot;
}

/* Other kinds than those that are computed, or say that there are tensors of divisors. */
static void
check_plain (AtlLlmKeys *k)
{
  const AtlMetaValue *type = atl_llm_key_meta (k, "rope.scaling.type");
  g_autofree char *shown = NULL;

  if (type == NULL || atl_llm_key_is (k, "rope.scaling.type", "none") ||
      atl_llm_key_is (k, "rope.scaling.type", "longrope") ||
      atl_llm_key_is (k, "rope.scaling.type", ""))
    return;
  if (type->type == ATL_META_STRING)
    shown = g_utf8_substring (type->v_string.chars, 0,
                              MIN (40, g_utf8_strlen (type->v_string.chars, -1)));
  atl_llm_key_fail (
      k, _ ("“%s.rope.scaling.type” is “%s”; none, linear, yarn and longrope are known here"),
      k->prefix, shown != NULL ? shown : "?");
}

static void
read_scaling (AtlLlmHparams *h, AtlLlmKeys *k)
{
  AtlRopeParams *r = &h->rope;
  guint original = h->n_ctx_train;
  double linear = 1.0, log_multiplier = 0.0;

  if (atl_llm_key_is (k, "rope.scaling.type", "linear"))
    r->scaling = ATL_ROPE_LINEAR;
  else if (atl_llm_key_is (k, "rope.scaling.type", "yarn"))
    r->scaling = ATL_ROPE_YARN;
  else if (atl_llm_key_meta (k, "rope.scaling.type") == NULL &&
           /* the key of old files */
           atl_llm_key_float (k, "rope.scale_linear", 1e-6, 1e6, &linear) && linear != 1.0)
    {
      r->scaling = ATL_ROPE_LINEAR;
      r->factor = linear;
      return;
    }
  if (r->scaling == ATL_ROPE_PLAIN)
    {
      check_plain (k);
      return;
    }

  atl_llm_key_need (k, "rope.scaling.factor");
  atl_llm_key_float (k, "rope.scaling.factor", 1e-6, 1e6, &r->factor);
  atl_llm_key_uint (k, "rope.scaling.original_context_length", 1, 1 << 30, FALSE, &original);
  r->original_context = original;
  if (r->scaling != ATL_ROPE_YARN)
    return;
  atl_llm_key_float (k, "rope.scaling.yarn_beta_fast", 1e-6, 1e6, &r->beta_fast);
  atl_llm_key_float (k, "rope.scaling.yarn_beta_slow", 1e-6, 1e6, &r->beta_slow);
  r->exact_ramp = h->traits->exact_ramp;
  if (h->mla.n_kv_lora > 0)
    {
      /* What others do to cosines and sines, and so to rotated components only, DeepSeek does to
       * whole scores, for queries and keys each. */
      double m = 1.0;

      atl_llm_key_float (k, "rope.scaling.yarn_log_multiplier", -10.0, 10.0, &log_multiplier);
      if (r->factor > 1.0)
        m += log_multiplier * log (r->factor);
      h->attn_scale *= (float) (m * m);
    }
  else if (r->factor > 1.0)
    {
      /* Where there is a multiplier, it is what the first one is divided by. */
      atl_llm_key_float (k, "rope.scaling.yarn_log_multiplier", 0.0, 10.0, &log_multiplier);
      r->attn_factor =
          (0.1 * log (r->factor) + 1.0) / (0.1 * log_multiplier * log (r->factor) + 1.0);
    }
  atl_llm_key_float (k, "rope.scaling.yarn_attn_factor", 1e-6, 1e6, &r->attn_factor);
}

static void
read_divisors (AtlLlmHparams *h, AtlLlmKeys *k, guint n_ctx)
{
  const AtlTensorInfo *divisors;

  h->rope_divisors = atl_checkpoint_find (k->cp, "rope_freqs.weight");
  if (h->rope_divisors == NULL)
    read_longrope (h, k, n_ctx);
  divisors = h->rope_divisors;
  if (divisors == NULL)
    return;
  if (!check_divisors (k, divisors, h->rope.n_rot / 2))
    return;
  h->rope.scaling = ATL_ROPE_DIVISORS;
  if (h->traits->full_divisors_only)
    return;
  if (h->rope_local.n_rot != h->rope.n_rot)
    atl_llm_key_unfit (k, ATL_LLM_EXACTLY, "rope.dimension_count_swa", h->rope_local.n_rot,
                       "rope.dimension_count", h->rope.n_rot);
  h->rope_local.scaling = ATL_ROPE_DIVISORS;
  h->rope_local.attn_factor = h->rope.attn_factor;
}

/* Llama 4's tuning of scores for long contexts, which Mistral took over. */
static void
read_warmth (AtlLlmHparams *h, AtlLlmKeys *k)
{
  AtlLlmWarmth *w = &h->warmth;

  if (h->traits->warm_unrotated)
    *w = (AtlLlmWarmth){ 0.1, 8192, 1 };
  else if (h->traits->warm)
    *w = (AtlLlmWarmth){ 0.0, (guint) MAX (h->rope.original_context, 1.0), 0 };
  else
    return;
  atl_llm_key_float (k, "attention.temperature_scale", 0.0, 100.0, &w->scale);
  atl_llm_key_uint (k, "attention.temperature_length", 1, 1 << 30, FALSE, &w->length);
  for (guint il = 0; il < h->n_layer; il++)
    h->layers[il].warm = w->scale > 0.0 && (h->traits->warm || !h->layers[il].rotated);
}

void
hparams_read_rope (AtlLlmHparams *h, AtlLlmKeys *k, guint n_ctx)
{
  AtlRopeParams *r = &h->rope;

  *r = (AtlRopeParams){
    .base = 10000.0, .factor = 1.0, .attn_factor = 1.0, .beta_fast = 32.0, .beta_slow = 1.0
  };
  r->n_rot = read_n_rot (h, k, FALSE, 0);
  atl_llm_key_float (k, "rope.freq_base", 1.0, 1e12, &r->base);
  if (k->error != NULL)
    return;

  h->rope_local = *r;
  /* Heads of another size rotate another number of components, unless a key says so. */
  h->rope_local.n_rot =
      read_n_rot (h, k, TRUE, atl_llm_key_meta (k, "attention.key_length_swa") ? 0 : r->n_rot);
  if (h->traits->swa_rope_base > 0.0)
    h->rope_local.base = h->traits->swa_rope_base;
  atl_llm_key_float (k, "rope.freq_base_swa", 1.0, 1e12, &h->rope_local.base);

  /* Scaling is for contexts that a window does not see, in most families. */
  read_scaling (h, k);
  if (h->traits->scaled_windows)
    h->rope_local = *r;
  read_warmth (h, k);
  if (k->error == NULL)
    read_divisors (h, k, n_ctx);
}
