/* Caches: what every layer keeps of a sequence, on the backend where the layer is. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/llm-private.h"

static gboolean
add_state (AtlLlmCache *self, guint il, AtlLlmStateRole role, GError **error)
{
  AtlLlmStateShape shape;
  AtlState *state;

  if (!atl_llm_hparams_state (&self->llm->decoder.h, il, role, self->n_ctx, self->kv_dtype, &shape))
    return TRUE;
  if (shape.dim[shape.n_dims - 1] % atl_dtype_info (shape.dtype)->block_elems != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   "This model's %s of %" G_GINT64_FORMAT
                   " numbers cannot be kept as %s; f16 works",
                   shape.name, shape.dim[shape.n_dims - 1], atl_dtype_name (shape.dtype));
      return FALSE;
    }
  state = atl_state_new (llm_layer_backend (self->llm, (gint) il), shape.name, shape.dtype,
                         shape.n_dims, shape.dim, error);
  if (state == NULL)
    return FALSE;
  self->states[atl_decoder_state_index (il, role)] = state;
  self->size_bytes += state->size_bytes;
  return TRUE;
}

AtlLlmCache *
atl_llm_cache_new (AtlLlm *llm, guint n_ctx, AtlDType kv_dtype, GError **error)
{
  const AtlLlmHparams *h = &llm->decoder.h;
  g_autoptr (AtlLlmCache) self = NULL;

  if (kv_dtype != ATL_DTYPE_F32 && kv_dtype != ATL_DTYPE_F16 && kv_dtype != ATL_DTYPE_Q8_0 &&
      kv_dtype != ATL_DTYPE_Q4_0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "A context cannot be kept as %s",
                   atl_dtype_name (kv_dtype));
      return NULL;
    }
  if (n_ctx < 1 || n_ctx > (1u << 24))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "A context of %u tokens is outside 1 to %u",
                   n_ctx, 1u << 24);
      return NULL;
    }

  self = g_new0 (AtlLlmCache, 1);
  self->llm = llm;
  self->id = ++llm->next_cache_id;
  self->n_ctx = n_ctx;
  self->kv_dtype = kv_dtype;
  llm_slots_init (&self->slots, h->ssm.n_slots);
  self->states = g_new0 (AtlState *, (gsize) h->n_layer * ATL_LLM_N_STATES);
  for (guint il = 0; il < h->n_layer; il++)
    for (guint role = 0; role < ATL_LLM_N_STATES; role++)
      if (!add_state (self, il, role, error))
        return NULL;
  return g_steal_pointer (&self);
}

void
atl_llm_cache_free (AtlLlmCache *self)
{
  if (self == NULL)
    return;
  llm_drop_plans (self->llm, self->id);
  for (gsize i = 0; i < (gsize) self->llm->decoder.h.n_layer * ATL_LLM_N_STATES; i++)
    atl_state_free (self->states[i]);
  g_free (self->states);
  g_free (self);
}

guint
atl_llm_cache_n_ctx (const AtlLlmCache *self)
{
  return self->n_ctx;
}

guint
atl_llm_cache_length (const AtlLlmCache *self)
{
  return self->length;
}

gsize
atl_llm_cache_bytes (const AtlLlmCache *self)
{
  return self->size_bytes;
}

void
atl_llm_cache_checkpoint (AtlLlmCache *self)
{
  llm_slots_checkpoint (&self->slots);
}

guint
atl_llm_cache_truncate (AtlLlmCache *self, guint length)
{
  g_return_val_if_fail (length <= self->length, self->length);
  self->length = self->slots.n > 0 ? llm_slots_truncate (&self->slots, length) : length;
  return self->length;
}
