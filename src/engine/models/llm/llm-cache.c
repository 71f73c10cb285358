/* Key-value caches: two states per layer, on the backend where the layer is. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/llm-private.h"

AtlLlmCache *
atl_llm_cache_new (AtlLlm *llm, guint n_ctx, AtlDType kv_dtype, GError **error)
{
  const AtlLlmHparams *h = &llm->decoder.h;
  guint block = atl_dtype_info (kv_dtype)->block_elems;
  g_autoptr (AtlLlmCache) self = NULL;

  if (kv_dtype != ATL_DTYPE_F32 && kv_dtype != ATL_DTYPE_F16 && kv_dtype != ATL_DTYPE_Q8_0 &&
      kv_dtype != ATL_DTYPE_Q4_0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "A context cannot be kept as %s",
                   atl_dtype_name (kv_dtype));
      return NULL;
    }
  if (h->head_dim % block != 0 || h->head_dim_v % block != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   "This model's heads of %u numbers cannot be kept as %s; f16 works", h->head_dim,
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
  self->k = g_new0 (AtlState *, h->n_layer);
  self->v = g_new0 (AtlState *, h->n_layer);
  for (guint il = 0; il < h->n_layer; il++)
    {
      AtlBackend *backend = llm_layer_backend (llm, (gint) il);

      self->k[il] = atl_state_new (backend, "keys", kv_dtype, 3,
                                   (gint64[]){ n_ctx, h->n_head_kv, h->head_dim }, error);
      if (self->k[il] == NULL)
        return NULL;
      self->v[il] = atl_state_new (backend, "values", kv_dtype, 3,
                                   (gint64[]){ n_ctx, h->n_head_kv, h->head_dim_v }, error);
      if (self->v[il] == NULL)
        return NULL;
      self->size_bytes += self->k[il]->size_bytes + self->v[il]->size_bytes;
    }
  return g_steal_pointer (&self);
}

void
atl_llm_cache_free (AtlLlmCache *self)
{
  if (self == NULL)
    return;
  llm_drop_plans (self->llm, self->id);
  for (guint il = 0; il < self->llm->decoder.h.n_layer; il++)
    {
      atl_state_free (self->k[il]);
      atl_state_free (self->v[il]);
    }
  g_free (self->k);
  g_free (self->v);
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

gboolean
atl_llm_cache_truncate (AtlLlmCache *self, guint length)
{
  g_return_val_if_fail (length <= self->length, FALSE);
  self->length = length;
  return TRUE;
}
