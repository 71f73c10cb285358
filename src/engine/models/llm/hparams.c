/* Reading and vetting of a decoder's hyperparameters. Keys are those of GGUF:
 * "<architecture>.block_count" and so on; absent keys take the defaults of the format. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/hparams-private.h"
#include "engine/models/llm/llm.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define LAYERS(h, field) (h)->n_layer, &(h)->layers->field, sizeof *(h)->layers

static void
read_sizes (AtlLlmHparams *h, AtlLlmKeys *k)
{
  const AtlTensorInfo *embd = atl_checkpoint_find (k->cp, "token_embd.weight");

  atl_llm_key_uint (k, "block_count", 1, 1024, TRUE, &h->n_layer);
  atl_llm_key_uint (k, "embedding_length", 1, 1 << 20, TRUE, &h->n_embd);
  atl_llm_key_uint (k, "context_length", 1, 1 << 30, TRUE, &h->n_ctx_train);
  /* The last blocks may be there to guess further tokens, which plain generation does not need. */
  atl_llm_key_uint (k, "nextn_predict_layers", 0, MAX (h->n_layer, 1) - 1, FALSE, &h->n_next);
  if (k->error != NULL)
    return;
  h->n_layer -= h->n_next;
  h->parallel = h->traits->parallel_key != ATL_PARALLEL_NEVER;
  if (h->traits->parallel_key == ATL_PARALLEL_AS_SAID)
    atl_llm_key_need (k, "use_parallel_residual");
  if (h->parallel)
    atl_llm_key_bool (k, "use_parallel_residual", &h->parallel);
  h->layers = g_new0 (AtlLlmLayer, h->n_layer);
  for (guint il = 0; il < h->n_layer; il++)
    h->layers[il].kv_layer = il;
  atl_llm_key_tied (k, &h->has_own_head);
  if (embd == NULL || embd->n_dims != 2 || embd->dim[0] < 1 || embd->dim[0] > (1 << 24))
    atl_llm_key_fail (k, _ ("the tensor “token_embd.weight” is missing or has no rows"));
  else
    h->n_vocab = (guint) embd->dim[0];
}

static gboolean
is_windowed (AtlWindowPattern pattern, guint il)
{
  switch (pattern)
    {
    case ATL_WINDOW_ALL:
      return TRUE;
    case ATL_WINDOW_EVEN:
      return il % 2 == 0;
    case ATL_WINDOW_5_OF_6:
      return il % 6 < 5;
    case ATL_WINDOW_4_OF_5:
      return il % 5 < 4;
    case ATL_WINDOW_3_OF_4:
      return il % 4 < 3;
    case ATL_WINDOW_NONE:
    case ATL_WINDOW_PATTERN:
    default:
      return FALSE;
    }
}

/* A flag for each layer, from a list, or from one number n: all but every n-th layer, or all at 0.
 * FALSE where the key is not there. */
static gboolean
read_flags (const AtlLlmHparams *h, AtlLlmKeys *k, const char *name, gboolean *flags)
{
  const AtlMetaValue *list = atl_llm_key_meta (k, name);
  guint n = 0, *numbers;

  if (list == NULL || k->error != NULL)
    return FALSE;
  if (list->type != ATL_META_ARRAY)
    {
      if (!atl_llm_key_uint (k, name, 0, 1024, FALSE, &n))
        return FALSE;
      for (guint il = 0; il < h->n_layer; il++)
        flags[il] = n == 0 || il % n < n - 1;
      return TRUE;
    }
  if (list->v_array.elem_type == ATL_META_BOOL && list->v_array.n >= h->n_layer)
    {
      memcpy (flags, list->v_array.elems, h->n_layer * sizeof *flags);
      return TRUE;
    }
  numbers = g_new0 (guint, h->n_layer);
  if (atl_llm_key_layers (k, name, 0, 1, FALSE, h->n_layer, numbers, sizeof *numbers))
    for (guint il = 0; il < h->n_layer; il++)
      flags[il] = numbers[il] != 0;
  g_free (numbers);
  return k->error == NULL;
}

static void
read_windows (AtlLlmHparams *h, AtlLlmKeys *k)
{
  const AtlLlmTraits *t = h->traits;
  g_autofree gboolean *pattern = g_new0 (gboolean, h->n_layer);
  gboolean finetuned = TRUE, has_pattern = FALSE;

  if (t->rotate == ATL_ROTATE_FINETUNED)
    atl_llm_key_bool (k, "rope.scaling.finetuned", &finetuned);
  h->window = t->window_default;
  if (t->window != ATL_WINDOW_NONE)
    {
      atl_llm_key_uint (k, "attention.sliding_window", 0, 1 << 30, t->window_required, &h->window);
      has_pattern = read_flags (h, k, "attention.sliding_window_pattern", pattern);
    }
  for (guint il = 0; il < h->n_layer; il++)
    {
      AtlLlmLayer *l = &h->layers[il];

      if (h->window > 0)
        l->windowed = has_pattern ? pattern[il] : is_windowed (t->window, il);
      l->rotated = t->rotate == ATL_ROTATE_3_OF_4          ? (il + 1) % 4 != 0
                   : t->rotate == ATL_ROTATE_WINDOWED_ONLY ? h->window == 0 || l->windowed
                   : t->rotate == ATL_ROTATE_FINETUNED     ? finetuned
                   : t->rotate == ATL_ROTATE_NONE          ? FALSE
                                                           : TRUE;
    }
}

/* Latent attention in its absorbed form: one key head that all query heads share. */
static void
read_latent (AtlLlmHparams *h, AtlLlmKeys *k)
{
  AtlLlmMla *m = &h->mla;
  guint key = 0, value = 0, folded, same;

  atl_llm_key_uint (k, "attention.kv_lora_rank", 1, 1 << 16, TRUE, &m->n_kv_lora);
  atl_llm_key_uint (k, "attention.q_lora_rank", 0, 1 << 16, FALSE, &m->n_q_lora);
  atl_llm_key_uint (k, "rope.dimension_count", 2, 1 << 16, TRUE, &m->n_rope);
  atl_llm_key_layers (k, "attention.head_count_kv", 1, 4096, FALSE, LAYERS (h, n_head_kv));
  folded = m->n_kv_lora + m->n_rope;
  if (atl_llm_key_uint (k, "attention.key_length_mla", 1, 1 << 16, FALSE, &key))
    {
      atl_llm_key_uint (k, "attention.value_length_mla", 1, 1 << 16, TRUE, &value);
      atl_llm_key_uint (k, "attention.key_length", folded, folded, FALSE, &same);
      atl_llm_key_uint (k, "attention.value_length", m->n_kv_lora, m->n_kv_lora, FALSE, &same);
    }
  else
    {
      /* Older files have no other key than these two, and mean the unfolded heads by them. */
      atl_llm_key_uint (k, "attention.key_length", 1, 1 << 16, TRUE, &key);
      atl_llm_key_uint (k, "attention.value_length", 1, 1 << 16, TRUE, &value);
    }
  if (k->error != NULL)
    return;
  if (key <= m->n_rope)
    {
      atl_llm_key_unfit (k, ATL_LLM_MORE_THAN, "attention.key_length", key, "rope.dimension_count",
                         m->n_rope);
      return;
    }
  m->n_nope = key - m->n_rope;
  m->n_v = value;
  for (guint il = 0; il < h->n_layer; il++)
    {
      if (h->layers[il].n_head_kv != 1 && h->layers[il].n_head_kv != h->layers[il].n_head)
        atl_llm_key_unfit (k, ATL_LLM_EXACTLY, "attention.head_count_kv", h->layers[il].n_head_kv,
                           "attention.head_count", h->layers[il].n_head);
      h->layers[il].n_head_kv = 1; /* absorbed */
      h->layers[il].head_dim = m->n_kv_lora + m->n_rope;
      h->layers[il].head_dim_v = m->n_kv_lora;
    }
}

static void
read_head_sizes (AtlLlmHparams *h, AtlLlmKeys *k)
{
  guint dim = 0, dim_v = 0, local = 0, local_v = 0;

  atl_llm_key_uint (k, "attention.key_length", 1, 1 << 16, FALSE, &dim);
  atl_llm_key_uint (k, "attention.value_length", 1, 1 << 16, FALSE, &dim_v);
  atl_llm_key_uint (k, "attention.key_length_swa", 1, 1 << 16, FALSE, &local);
  atl_llm_key_uint (k, "attention.value_length_swa", 1, 1 << 16, FALSE, &local_v);
  for (guint il = 0; il < h->n_layer && k->error == NULL; il++)
    {
      AtlLlmLayer *l = &h->layers[il];

      if (!l->attends)
        continue;
      l->head_dim = dim > 0 ? dim : h->n_embd / l->n_head;
      l->head_dim_v = dim_v > 0 ? dim_v : l->head_dim;
      if (l->windowed && local > 0)
        l->head_dim = l->head_dim_v = local;
      if (l->windowed && local_v > 0)
        l->head_dim_v = local_v;
      if (l->n_head % l->n_head_kv != 0)
        atl_llm_key_unfit (k, ATL_LLM_DIVISOR, "attention.head_count_kv", l->n_head_kv,
                           "attention.head_count", l->n_head);
      if (h->traits->gated_attention && l->head_dim_v != l->head_dim)
        atl_llm_key_unfit (k, ATL_LLM_EXACTLY, "attention.value_length", l->head_dim_v,
                           "attention.key_length", l->head_dim);
      if (l->head_dim == 0)
        atl_llm_key_unfit (k, ATL_LLM_AT_MOST, "attention.head_count", l->n_head,
                           "embedding_length", h->n_embd);
    }
}

/* The last layers read what the last layer of their kind with keys of its own has kept. */
static void
read_shared_kv (AtlLlmHparams *h, AtlLlmKeys *k)
{
  guint n_shared = 0;

  if (!h->traits->shared_kv)
    return;
  atl_llm_key_uint (k, "attention.shared_kv_layers", 0, h->n_layer - 1, FALSE, &n_shared);
  for (guint il = h->n_layer - n_shared; il < h->n_layer && k->error == NULL; il++)
    {
      AtlLlmLayer *l = &h->layers[il];
      guint from = h->n_layer - n_shared;

      while (from > 0 && h->layers[from - 1].windowed != l->windowed)
        from--;
      if (from == 0)
        {
          atl_llm_key_fail (k,
                            _ ("“%s.attention.shared_kv_layers” is %u, and layer %u has no earlier "
                               "one of its kind"),
                            k->prefix, n_shared, il);
          return;
        }
      l->kv_layer = from - 1;
      l->n_head_kv = h->layers[from - 1].n_head_kv;
      if (l->n_head % l->n_head_kv != 0)
        atl_llm_key_unfit (k, ATL_LLM_DIVISOR, "attention.head_count_kv", l->n_head_kv,
                           "attention.head_count", l->n_head);
    }
}

/* Which layers have attention, and the numbers of their heads. */
static void
read_attending (AtlLlmHparams *h, AtlLlmKeys *k)
{
  const AtlLlmTraits *t = h->traits;
  gboolean is_hybrid = t->recurrent != ATL_RECURRENT_NONE;
  gboolean by_kv = is_hybrid && t->recurrent_layers == ATL_RECURRENT_BY_KV_HEADS;
  g_autofree gboolean *recurrent = g_new0 (gboolean, h->n_layer);
  gboolean has_list = FALSE;
  guint interval = 4;

  if (is_hybrid && t->recurrent_layers == ATL_RECURRENT_ALL)
    {
      /* There may be such a key, but nothing else in it. */
      atl_llm_key_uint (k, "attention.head_count", 0, 0, FALSE, &h->n_head);
      return;
    }
  atl_llm_key_layers (k, "attention.head_count", 1, 4096, TRUE, LAYERS (h, n_head));
  for (guint il = 0; il < h->n_layer; il++)
    h->layers[il].n_head_kv = h->layers[il].n_head;
  atl_llm_key_layers (k, "attention.head_count_kv", by_kv ? 0 : 1, 4096, by_kv,
                      LAYERS (h, n_head_kv));
  if (is_hybrid && t->recurrent_layers == ATL_RECURRENT_BY_INTERVAL)
    {
      has_list = read_flags (h, k, "attention.recurrent_layers", recurrent);
      atl_llm_key_uint (k, "full_attention_interval", 1, 1024, FALSE, &interval);
    }
  else
    {
      interval = 1;
    }
  for (guint il = 0; il < h->n_layer; il++)
    {
      AtlLlmLayer *l = &h->layers[il];

      l->attends = l->n_head_kv > 0 && (has_list ? !recurrent[il] : (il + 1) % interval == 0);
      if (!l->attends)
        l->n_head = l->n_head_kv = l->rotated = l->windowed = 0;
    }
}

static void
read_heads (AtlLlmHparams *h, AtlLlmKeys *k)
{
  gboolean required = FALSE;

  read_attending (h, k);
  for (guint il = 0; il < h->n_layer; il++)
    required |= h->layers[il].attends;
  if (!required || k->error != NULL)
    return;
  if (h->traits->mla)
    read_latent (h, k);
  else
    read_head_sizes (h, k);
  if (k->error == NULL)
    read_shared_kv (h, k);
  for (guint il = 0; il < h->n_layer; il++)
    {
      const AtlLlmLayer *l = &h->layers[il];

      if (!l->attends)
        continue;
      h->n_head = MAX (h->n_head, l->n_head);
      h->n_head_kv = MAX (h->n_head_kv, l->n_head_kv);
      h->head_dim = MAX (h->head_dim, l->head_dim);
      h->head_dim_v = MAX (h->head_dim_v, l->head_dim_v);
    }
}

static void
read_feed_forward (AtlLlmHparams *h, AtlLlmKeys *k)
{
  if (h->traits->no_feed_forward)
    {
      atl_llm_key_uint (k, "feed_forward_length", 0, 0, FALSE, &h->n_ff);
      return;
    }
  atl_llm_key_layers (k, "feed_forward_length", 0, 1 << 20, FALSE, LAYERS (h, n_ff));
  for (guint il = 0; il < h->n_layer; il++)
    h->n_ff = MAX (h->n_ff, h->layers[il].n_ff);
  hparams_read_experts (h, k);
  for (guint il = 0; il < h->n_layer && k->error == NULL; il++)
    {
      AtlLlmLayer *l = &h->layers[il];

      if (h->traits->lone_sublayers && l->attends && l->n_ff > 0)
        atl_llm_key_fail (
            k, _ ("layer %u should be one thing, and is an attention and a feed-forward"), il);
      if (l->has_experts && !h->traits->dense_beside_experts)
        l->n_ff = 0;
      else if (l->n_ff == 0 && !h->traits->lone_sublayers)
        atl_llm_key_fail (k, _ ("the key “%s.feed_forward_length” is missing or 0"), k->prefix);
    }
}

static void
read_scales (AtlLlmHparams *h, AtlLlmKeys *k)
{
  static const char rms[] = "attention.layer_norm_rms_epsilon";
  static const char layer[] = "attention.layer_norm_epsilon";
  const AtlLlmTraits *t = h->traits;
  gboolean is_layer = t->norm == ATL_NORM_LAYER;
  double value = 0.0;

  /* Some files have both: that of the family's kind of norm counts. */
  if (!atl_llm_key_float (k, is_layer ? rms : layer, 0.0, 1.0, &value))
    atl_llm_key_need (k, is_layer ? layer : rms);
  atl_llm_key_float (k, is_layer ? layer : rms, 0.0, 1.0, &value);
  h->norm_eps = (float) value;

  value = t->embed_sqrt ? sqrt ((double) h->n_embd) : t->embed_scale > 0.0 ? t->embed_scale : 1.0;
  atl_llm_key_float (k, "embedding_scale", 0.0, 1e6, &value);
  h->embed_scale = (float) value;
  value = t->residual_depth > 0.0 ? t->residual_depth / sqrt ((double) h->n_layer) : 1.0;
  atl_llm_key_float (k, "residual_scale", 0.0, 1e6, &value);
  h->residual_scale = (float) value;

  value = h->mla.n_kv_lora > 0                 ? h->mla.n_nope + h->mla.n_rope
          : t->embd_scale_layers == h->n_layer ? (double) h->n_embd / h->n_head
                                               : MAX (h->head_dim, 1);
  value = t->unscaled_scores ? 1.0 : 1.0 / sqrt (value);
  atl_llm_key_float (k, "attention.scale", 1e-9, 1e6, &value);
  h->attn_scale = (float) value;
  value = 0.0;
  atl_llm_key_float (k, "attn_logit_softcapping", 0.0, 1e6, &value);
  h->attn_softcap = (float) value;
  value = 0.0;
  atl_llm_key_float (k, "final_logit_softcapping", 0.0, 1e6, &value);
  h->logit_softcap = (float) value;

  value = t->logits_width > 0.0 ? h->n_embd / t->logits_width : 1.0;
  if (t->logits != ATL_LOGITS_PLAIN && t->logits_width == 0.0)
    atl_llm_key_need (k, "logit_scale");
  if (t->logits != ATL_LOGITS_PLAIN)
    atl_llm_key_float (k, "logit_scale", 1e-9, 1e9, &value);
  h->logit_scale = (float) (t->logits == ATL_LOGITS_DIVIDED ? 1.0 / value : value);
}

static void
find_key_bias (AtlLlmHparams *h, AtlLlmKeys *k)
{
  static const char *const names[] = { "attn_k.bias", "attn_qkv.bias" };

  for (guint il = 0; il < h->n_layer && !h->has_key_bias; il++)
    for (guint i = 0; i < G_N_ELEMENTS (names); i++)
      {
        g_autofree char *name = g_strdup_printf ("blk.%u.%s", il, names[i]);

        h->has_key_bias |= atl_checkpoint_find (k->cp, name) != NULL;
      }
}

/* Biases may be so much larger than what they are added to (Qwen 2.5: 200 times), that nothing of
 * it would be left in blocks of four bits. */
static AtlDType
key_dtype (const AtlLlmHparams *self, AtlDType kv_dtype)
{
  return self->has_key_bias && kv_dtype == ATL_DTYPE_Q4_0 ? ATL_DTYPE_Q8_0 : kv_dtype;
}

gboolean
atl_llm_hparams_read (AtlLlmHparams *self, const AtlCheckpoint *cp, guint n_ctx, GError **error)
{
  const char *architecture = atl_checkpoint_get_string (cp, "general.architecture");
  AtlLlmKeys k = { .cp = cp, .prefix = architecture };

  *self = (AtlLlmHparams){ 0 };
  self->traits = architecture != NULL ? atl_llm_traits_find (architecture) : NULL;
  if (self->traits == NULL)
    {
      g_autofree char *why = NULL;

      atl_llm_supports (cp, &why);
      g_set_error_literal (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, why);
      return FALSE;
    }

  read_sizes (self, &k);
  if (k.error == NULL)
    read_windows (self, &k);
  if (k.error == NULL)
    read_heads (self, &k);
  if (k.error == NULL)
    read_feed_forward (self, &k);
  if (k.error == NULL)
    hparams_read_recurrent (self, &k);
  if (k.error == NULL)
    {
      read_scales (self, &k);
      find_key_bias (self, &k);
      hparams_read_gemma (self, &k);
      hparams_read_rope (self, &k, n_ctx);
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
  g_clear_pointer (&self->layers, g_free);
}

guint
atl_llm_hparams_local_cells (const AtlLlmHparams *self, guint n_ctx)
{
  return self->window > 0 ? MIN (n_ctx, self->window + ATL_LLM_LOCAL_SPARE) : n_ctx;
}

gboolean
atl_llm_hparams_state (const AtlLlmHparams *self,
                       guint il,
                       AtlLlmStateRole role,
                       guint n_ctx,
                       AtlDType kv_dtype,
                       AtlLlmStateShape *shape)
{
  const AtlLlmLayer *l = &self->layers[il];
  const AtlLlmSsm *m = &self->ssm;
  gboolean keeps_rows = l->attends && l->kv_layer == il;

  if (l->windowed)
    n_ctx = atl_llm_hparams_local_cells (self, n_ctx);
  switch (role)
    {
    case ATL_LLM_STATE_K:
      *shape = (AtlLlmStateShape){
        "keys", key_dtype (self, kv_dtype), 3, { n_ctx, l->n_head_kv, l->head_dim }
      };
      return keeps_rows;
    case ATL_LLM_STATE_V:
      *shape = (AtlLlmStateShape){ "values", kv_dtype, 3, { n_ctx, l->n_head_kv, l->head_dim_v } };
      /* Latent attention: the values are the first part of the keys. */
      return keeps_rows && self->mla.n_kv_lora == 0;
    case ATL_LLM_STATE_CONV:
      *shape = (AtlLlmStateShape){
        "convolution", ATL_DTYPE_F32, 3, { m->n_slots, m->n_taps - 1, m->n_channels }
      };
      return l->recurrent != ATL_RECURRENT_NONE;
    case ATL_LLM_STATE_SSM:
      *shape = (AtlLlmStateShape){
        "recurrence", ATL_DTYPE_F32, 4, { m->n_slots, m->n_heads, m->n_keys, m->n }
      };
      return l->recurrent != ATL_RECURRENT_NONE && m->n_heads > 0;
    case ATL_LLM_N_STATES:
    default:
      g_return_val_if_reached (FALSE);
    }
}

gboolean
atl_llm_hparams_check_kv (const AtlLlmHparams *self, AtlDType kv_dtype, GError **error)
{
  AtlLlmStateShape shape;

  for (guint il = 0; il < self->n_layer; il++)
    for (guint role = 0; role < ATL_LLM_N_STATES; role++)
      if (atl_llm_hparams_state (self, il, role, 1, kv_dtype, &shape) &&
          shape.dim[shape.n_dims - 1] % atl_dtype_info (shape.dtype)->block_elems != 0)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                       _ ("This model's %s of %" PRId64 " numbers cannot be kept as %s; f16 works"),
                       shape.name, shape.dim[shape.n_dims - 1], atl_dtype_name (shape.dtype));
          return FALSE;
        }
  return TRUE;
}

guint64
atl_llm_state_bytes (const AtlLlmStateShape *shape)
{
  const AtlDTypeInfo *info = atl_dtype_info (shape->dtype);
  guint64 n = 1;

  for (guint d = 0; d < shape->n_dims; d++)
    n *= (guint64) shape->dim[d];
  return (n + info->block_elems - 1) / info->block_elems * info->block_bytes;
}

guint64
atl_llm_hparams_layer_bytes (const AtlLlmHparams *self, guint il, guint n_ctx, AtlDType kv_dtype)
{
  guint64 total = 0;

  for (guint role = 0; role < ATL_LLM_N_STATES; role++)
    {
      AtlLlmStateShape shape;

      if (atl_llm_hparams_state (self, il, role, n_ctx, kv_dtype, &shape))
        total += atl_llm_state_bytes (&shape);
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
