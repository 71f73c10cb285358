/* Reading and vetting of a decoder's hyperparameters. Keys are those of GGUF:
 * "<architecture>.block_count" and so on; absent keys take the defaults of the format. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/hparams.h"

#include <math.h>

/* A reader with the prefix and the first error, so that the list of keys below reads as a list. */
typedef struct
{
  const AtlCheckpoint *cp;
  const char *prefix;
  GError *error;
} Keys;

static gboolean
read_uint (Keys *k, const char *name, guint min, guint max, gboolean required, guint *out)
{
  g_autofree char *key = g_strconcat (k->prefix, ".", name, NULL);
  guint64 value;
  gboolean found;

  if (k->error != NULL)
    return FALSE;
  found = required ? atl_checkpoint_require_uint (k->cp, key, min, max, &value, &k->error)
                   : atl_checkpoint_get_uint (k->cp, key, min, max, &value, &k->error);
  if (found)
    *out = (guint) value;
  return found;
}

static gboolean
read_float (Keys *k, const char *name, double min, double max, double *out)
{
  g_autofree char *key = g_strconcat (k->prefix, ".", name, NULL);

  return k->error == NULL && atl_checkpoint_get_float (k->cp, key, min, max, out, &k->error);
}

static const AtlMetaValue *
read_meta (Keys *k, const char *name)
{
  g_autofree char *key = g_strconcat (k->prefix, ".", name, NULL);

  return atl_checkpoint_meta (k->cp, key);
}

static void fail (Keys *k, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
fail (Keys *k, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  if (k->error != NULL)
    return;
  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  k->error =
      g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE, "%s: %s", atl_checkpoint_name (k->cp), what);
}

static void
read_sizes (AtlLlmHparams *h, Keys *k)
{
  const AtlTensorInfo *embd = atl_checkpoint_find (k->cp, "token_embd.weight");

  read_uint (k, "block_count", 1, 1024, TRUE, &h->n_layer);
  read_uint (k, "embedding_length", 1, 1 << 20, TRUE, &h->n_embd);
  read_uint (k, "attention.head_count", 1, 4096, TRUE, &h->n_head);
  h->n_ctx_train = 4096;
  read_uint (k, "context_length", 1, 1 << 30, FALSE, &h->n_ctx_train);
  if (k->error != NULL)
    return;
  h->n_head_kv = h->n_head;
  read_uint (k, "attention.head_count_kv", 1, h->n_head, FALSE, &h->n_head_kv);
  h->head_dim = h->n_embd / h->n_head;
  read_uint (k, "attention.key_length", 1, 1 << 16, FALSE, &h->head_dim);
  h->head_dim_v = h->head_dim;
  read_uint (k, "attention.value_length", 1, 1 << 16, FALSE, &h->head_dim_v);
  read_uint (k, "feed_forward_length", 1, 1 << 20, FALSE, &h->n_ff);
  if (k->error != NULL)
    return;
  if (h->n_head % h->n_head_kv != 0)
    fail (k, "%u query heads cannot share %u key heads", h->n_head, h->n_head_kv);
  if (h->head_dim == 0)
    fail (k, "%u heads do not fit into an embedding of %u", h->n_head, h->n_embd);
  if (embd == NULL || embd->n_dims != 2 || embd->dim[0] < 1 || embd->dim[0] > (1 << 24))
    fail (k, "the tensor “token_embd.weight” is missing or has no rows");
  else
    h->n_vocab = (guint) embd->dim[0];
}

static void
read_experts (AtlLlmHparams *h, Keys *k)
{
  read_uint (k, "expert_count", 0, 4096, FALSE, &h->n_expert);
  if (h->n_expert == 0)
    {
      if (h->n_ff == 0)
        fail (k, "the key “%s.feed_forward_length” is missing", k->prefix);
      return;
    }
  read_uint (k, "expert_used_count", 1, h->n_expert, TRUE, &h->n_expert_used);
  h->n_ff_expert = h->n_ff;
  read_uint (k, "expert_feed_forward_length", 1, 1 << 20, FALSE, &h->n_ff_expert);
  read_uint (k, "expert_shared_feed_forward_length", 1, 1 << 20, FALSE, &h->n_ff_shared);
  if (h->n_ff_expert == 0)
    fail (k, "the size of the experts is missing");
}

static void
read_scales (AtlLlmHparams *h, Keys *k)
{
  const AtlLlmTraits *t = h->traits;
  double value = 1e-5;

  if (!read_float (k, "attention.layer_norm_rms_epsilon", 0.0, 1.0, &value))
    read_float (k, "attention.layer_norm_epsilon", 0.0, 1.0, &value);
  h->norm_eps = (float) value;

  value = t->embed_sqrt ? sqrt ((double) h->n_embd) : 1.0;
  read_float (k, "embedding_scale", 0.0, 1e6, &value);
  h->embed_scale = (float) value;
  value = 1.0;
  read_float (k, "residual_scale", 0.0, 1e6, &value);
  h->residual_scale = (float) value;

  value = t->embd_scale_layers == h->n_layer ? 1.0 / sqrt ((double) h->n_embd / h->n_head)
                                             : 1.0 / sqrt ((double) MAX (h->head_dim, 1));
  read_float (k, "attention.scale", 1e-9, 1e6, &value);
  h->attn_scale = (float) value;
  value = 0.0;
  read_float (k, "attn_logit_softcapping", 0.0, 1e6, &value);
  h->attn_softcap = (float) value;
  value = 0.0;
  read_float (k, "final_logit_softcapping", 0.0, 1e6, &value);
  h->logit_softcap = (float) value;

  value = 1.0;
  if (t->logits != ATL_LOGITS_PLAIN)
    read_float (k, "logit_scale", 1e-9, 1e9, &value);
  h->logit_scale = (float) (t->logits == ATL_LOGITS_DIVIDED ? 1.0 / value : value);
}

static void
read_windows (AtlLlmHparams *h, Keys *k)
{
  const AtlLlmTraits *t = h->traits;
  const AtlMetaValue *pattern = read_meta (k, "attention.sliding_window_pattern");

  if (t->window != ATL_WINDOW_NONE)
    read_uint (k, "attention.sliding_window", 0, 1 << 30, FALSE, &h->window);
  h->windowed = g_new0 (guint8, h->n_layer);
  h->rotated = g_new0 (guint8, h->n_layer);
  for (guint il = 0; il < h->n_layer; il++)
    {
      gboolean windowed = FALSE;

      if (h->window > 0 && pattern != NULL && pattern->type == ATL_META_ARRAY &&
          pattern->v_array.elem_type == ATL_META_BOOL && pattern->v_array.n == h->n_layer)
        windowed = ((const gboolean *) pattern->v_array.elems)[il];
      else if (h->window > 0)
        switch (t->window)
          {
          case ATL_WINDOW_ALL:
            windowed = TRUE;
            break;
          case ATL_WINDOW_EVEN:
            windowed = il % 2 == 0;
            break;
          case ATL_WINDOW_5_OF_6:
            windowed = il % 6 < 5;
            break;
          case ATL_WINDOW_3_OF_4:
            windowed = il % 4 < 3;
            break;
          case ATL_WINDOW_NONE:
          case ATL_WINDOW_PATTERN:
            break;
          }
      h->windowed[il] = windowed;
      h->rotated[il] = t->rotate == ATL_ROTATE_3_OF_4          ? (il + 1) % 4 != 0
                       : t->rotate == ATL_ROTATE_WINDOWED_ONLY ? h->window == 0 || windowed
                                                               : TRUE;
    }
}

static void
read_longrope (AtlLlmHparams *h, Keys *k, guint n_ctx)
{
  guint original = h->n_ctx_train;
  double factor = 1.0;

  read_uint (k, "rope.scaling.original_context_length", 1, 1 << 30, FALSE, &original);
  h->rope_divisors = atl_checkpoint_find (k->cp, n_ctx > original ? "rope_factors_long.weight"
                                                                  : "rope_factors_short.weight");
  if (h->rope_divisors == NULL)
    return;
  read_float (k, "rope.scaling.attn_factor", 1e-6, 1e6, &factor);
  h->rope.attn_factor = factor;
}

static void
read_rope (AtlLlmHparams *h, Keys *k, guint n_ctx)
{
  const AtlMetaValue *type = read_meta (k, "rope.scaling.type");
  AtlRopeParams *r = &h->rope;
  guint n_rot = h->head_dim;

  read_uint (k, "rope.dimension_count", 2, h->head_dim, FALSE, &n_rot);
  *r = (AtlRopeParams){ .n_rot = n_rot,
                        .base = 10000.0,
                        .factor = 1.0,
                        .attn_factor = 1.0,
                        .beta_fast = 32.0,
                        .beta_slow = 1.0 };
  read_float (k, "rope.freq_base", 1.0, 1e12, &r->base);
  if (n_rot % 2 != 0)
    fail (k, "an odd number (%u) of rotated components", n_rot);
  if (k->error != NULL)
    return;

  h->rope_local = *r;
  if (h->traits->swa_rope_base > 0.0)
    h->rope_local.base = h->traits->swa_rope_base;
  read_float (k, "rope.freq_base_swa", 1.0, 1e12, &h->rope_local.base);

  if (type != NULL && type->type == ATL_META_STRING)
    {
      guint original = h->n_ctx_train;

      if (g_strcmp0 (type->v_string.chars, "linear") == 0)
        r->scaling = ATL_ROPE_LINEAR;
      else if (g_strcmp0 (type->v_string.chars, "yarn") == 0)
        r->scaling = ATL_ROPE_YARN;
      if (r->scaling != ATL_ROPE_PLAIN)
        {
          read_float (k, "rope.scaling.factor", 1e-6, 1e6, &r->factor);
          read_uint (k, "rope.scaling.original_context_length", 1, 1 << 30, FALSE, &original);
          read_float (k, "rope.scaling.yarn_beta_fast", 1e-6, 1e6, &r->beta_fast);
          read_float (k, "rope.scaling.yarn_beta_slow", 1e-6, 1e6, &r->beta_slow);
          r->original_context = original;
        }
      if (r->scaling == ATL_ROPE_YARN)
        {
          r->attn_factor = 0.1 * log (r->factor) + 1.0;
          read_float (k, "rope.scaling.yarn_attn_factor", 1e-6, 1e6, &r->attn_factor);
        }
    }
  else
    {
      double linear = 1.0; /* the key of old files */
      if (read_float (k, "rope.scale_linear", 1e-6, 1e6, &linear) && linear != 1.0)
        {
          r->scaling = ATL_ROPE_LINEAR;
          r->factor = linear;
        }
    }

  h->rope_divisors = atl_checkpoint_find (k->cp, "rope_freqs.weight");
  if (h->rope_divisors == NULL)
    read_longrope (h, k, n_ctx);
  if (h->rope_divisors != NULL)
    {
      if (h->rope_divisors->dtype != ATL_DTYPE_F32 ||
          h->rope_divisors->size_bytes != n_rot / 2 * sizeof (float))
        fail (k, "the tensor “%s” should hold %u float32 numbers", h->rope_divisors->name,
              n_rot / 2);
      r->scaling = ATL_ROPE_DIVISORS;
    }
}

gboolean
atl_llm_hparams_read (AtlLlmHparams *self, const AtlCheckpoint *cp, guint n_ctx, GError **error)
{
  const char *architecture = atl_checkpoint_get_string (cp, "general.architecture");
  Keys k = { .cp = cp, .prefix = architecture };

  *self = (AtlLlmHparams){ 0 };
  self->traits = architecture != NULL ? atl_llm_traits_find (architecture) : NULL;
  if (self->traits == NULL)
    {
      g_autofree char *known = atl_llm_traits_list ();
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   "%s is a “%s” model, which cannot be run yet; models of these families can: %s",
                   atl_checkpoint_name (cp), architecture != NULL ? architecture : "nameless",
                   known);
      return FALSE;
    }

  read_sizes (self, &k);
  if (k.error == NULL)
    {
      read_experts (self, &k);
      read_scales (self, &k);
      read_windows (self, &k);
      read_rope (self, &k, n_ctx);
    }
  if (k.error != NULL)
    {
      g_propagate_error (error, k.error);
      atl_llm_hparams_clear (self);
      return FALSE;
    }
  return TRUE;
}

void
atl_llm_hparams_clear (AtlLlmHparams *self)
{
  g_clear_pointer (&self->windowed, g_free);
  g_clear_pointer (&self->rotated, g_free);
}

gboolean
atl_llm_hparams_state (const AtlLlmHparams *self,
                       guint il,
                       AtlLlmStateRole role,
                       guint n_ctx,
                       AtlDType kv_dtype,
                       AtlLlmStateShape *shape)
{
  switch (role)
    {
    case ATL_LLM_STATE_K:
      *shape =
          (AtlLlmStateShape){ "keys", kv_dtype, 3, { n_ctx, self->n_head_kv, self->head_dim } };
      return TRUE;
    case ATL_LLM_STATE_V:
      *shape =
          (AtlLlmStateShape){ "values", kv_dtype, 3, { n_ctx, self->n_head_kv, self->head_dim_v } };
      return TRUE;
    case ATL_LLM_N_STATES:
    default:
      g_return_val_if_reached (FALSE);
    }
}

guint64
atl_llm_hparams_layer_bytes (const AtlLlmHparams *self, guint il, guint n_ctx, AtlDType kv_dtype)
{
  guint64 total = 0;

  for (guint role = 0; role < ATL_LLM_N_STATES; role++)
    {
      AtlLlmStateShape shape;
      const AtlDTypeInfo *info;
      guint64 n = 1;

      if (!atl_llm_hparams_state (self, il, role, n_ctx, kv_dtype, &shape))
        continue;
      info = atl_dtype_info (shape.dtype);
      for (guint d = 0; d < shape.n_dims; d++)
        n *= (guint64) shape.dim[d];
      total += (n + info->block_elems - 1) / info->block_elems * info->block_bytes;
    }
  return total;
}

guint64
atl_llm_hparams_cache_bytes (const AtlLlmHparams *self, guint n_ctx, AtlDType kv_dtype)
{
  guint64 total = 0;

  for (guint il = 0; il < self->n_layer; il++)
    total += atl_llm_hparams_layer_bytes (self, il, n_ctx, kv_dtype);
  return total;
}
