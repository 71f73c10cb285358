/* Caches: what every layer keeps of a sequence, on the backend where the layer is. */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/llm/llm-private.h"

/* Memory is taken in steps of so many tokens. */
#define STEP 256u

/* The shape of state `role` of layer `il` with room for `capacity` tokens and `n_slots` slots;
 * FALSE if there is none. */
static gboolean
find_shape (const AtlLlmCache *self,
            guint il,
            AtlLlmStateRole role,
            guint capacity,
            guint n_slots,
            AtlLlmStateShape *shape)
{
  if (!atl_llm_hparams_state (&self->llm->decoder.h, il, role, capacity, self->kv_dtype, shape))
    return FALSE;
  if (llm_role_has_slots (role))
    shape->dim[0] = n_slots;
  return TRUE;
}

static gboolean
copy_bytes (const AtlState *from, gsize offset, const AtlState *to, gsize n, GError **error)
{
  AtlBackend *backend = from->buffer->backend;
  g_autofree guint8 *staging = NULL;

  g_assert (offset + n <= from->size_bytes && n <= to->size_bytes);
  g_assert (to->buffer->backend == backend);
  if (from->buffer->host != NULL)
    return backend->klass->write (backend, to->buffer, 0,
                                  (const guint8 *) from->buffer->host + offset, n, error);
  staging = g_malloc (MAX (n, 1));
  return backend->klass->read (backend, from->buffer, offset, staging, n, error) &&
         backend->klass->write (backend, to->buffer, 0, staging, n, error);
}

/* The state with room for `capacity` tokens, or `n_slots` slots, in place of the one there is,
 * which goes. */
static gboolean
grow_state (AtlLlmCache *self,
            guint il,
            AtlLlmStateRole role,
            guint capacity,
            guint n_slots,
            GError **error)
{
  AtlState **place = &self->states[atl_decoder_state_index (il, role)];
  AtlLlmStateShape shape;
  AtlState *state;

  if (!find_shape (self, il, role, capacity, n_slots, &shape) ||
      (*place != NULL && memcmp ((*place)->dim, shape.dim, sizeof shape.dim) == 0))
    return TRUE;
  state = atl_state_new (llm_layer_backend (self->llm, (gint) il), shape.name, shape.dtype,
                         shape.n_dims, shape.dim, error);
  if (state == NULL)
    return FALSE;
  if (*place != NULL)
    {
      if (!copy_bytes (*place, 0, state, MIN ((*place)->size_bytes, state->size_bytes), error))
        {
          atl_state_free (state);
          return FALSE;
        }
      self->size_bytes -= (*place)->size_bytes;
      atl_state_free (*place);
    }
  *place = state;
  self->size_bytes += state->size_bytes;
  return TRUE;
}

/* A quarter more than needed, so that copying what is there costs little over the life of a chat.
 */
guint
llm_cache_next_capacity (const AtlLlmCache *self, guint n)
{
  guint64 needed = MIN ((guint64) self->length + n, self->n_ctx);

  if (needed <= self->capacity)
    return self->capacity;
  needed += self->length > 0 ? needed / 4 : 0;
  return (guint) MIN ((needed + STEP - 1) / STEP * STEP, self->n_ctx);
}

guint64
llm_cache_growth_to (const AtlLlmCache *self, guint capacity, guint n_slots)
{
  guint64 bytes = 0;

  if (capacity == self->capacity && n_slots == self->slots.n)
    return 0;
  for (guint il = 0; il < self->llm->decoder.h.n_layer; il++)
    for (guint role = 0; role < ATL_LLM_N_STATES; role++)
      {
        AtlLlmStateShape shape;

        if (find_shape (self, il, role, capacity, n_slots, &shape))
          bytes += atl_llm_state_bytes (&shape);
      }
  return bytes - self->size_bytes;
}

gboolean
llm_cache_grow_to (AtlLlmCache *self, guint capacity, guint n_slots, GError **error)
{
  if (capacity == self->capacity && n_slots == self->slots.n)
    return TRUE;
  for (guint il = 0; il < self->llm->decoder.h.n_layer; il++)
    for (guint role = 0; role < ATL_LLM_N_STATES; role++)
      if (!grow_state (self, il, role, capacity, n_slots, error))
        return FALSE;
  self->capacity = capacity;
  self->slots.n = n_slots;
  return TRUE;
}

guint64
atl_llm_cache_growth (const AtlLlmCache *self, guint n)
{
  return llm_cache_growth_to (self, llm_cache_next_capacity (self, n),
                              llm_slots_wanted (&self->slots));
}

gboolean
atl_llm_cache_reserve (AtlLlmCache *self, guint n, GError **error)
{
  return llm_cache_grow_to (self, llm_cache_next_capacity (self, n),
                            llm_slots_wanted (&self->slots), error);
}

gboolean
atl_llm_cache_copy (AtlLlmCache *self, const AtlLlmCache *from, guint n, GError **error)
{
  gint32 slot = llm_slots_find (&from->slots, n);

  g_return_val_if_fail (self->llm == from->llm && self->kv_dtype == from->kv_dtype, FALSE);
  g_return_val_if_fail (self->length == 0 && n <= from->length && n <= self->n_ctx, FALSE);
  n = atl_llm_cache_reach (from, n);
  if (n == 0)
    return TRUE;
  if (!atl_llm_cache_reserve (self, n, error))
    return FALSE;
  for (guint il = 0; il < self->llm->decoder.h.n_layer; il++)
    for (guint role = 0; role < ATL_LLM_N_STATES; role++)
      {
        gsize at = atl_decoder_state_index (il, role);
        const AtlState *state = from->states[at];
        guint rows = self->llm->decoder.h.layers[il].windowed ? n - from->local_base : n;
        gsize bytes, offset = 0;

        if (state == NULL)
          continue;
        if (llm_role_has_slots (role))
          {
            bytes = state->size_bytes / from->slots.n;
            offset = bytes * (gsize) slot;
          }
        else
          bytes = state->size_bytes / (gsize) state->dim[0] * rows;
        if (!copy_bytes (state, offset, self->states[at], bytes, error))
          return FALSE;
      }
  self->length = n;
  self->local_base = from->local_base;
  llm_slots_take (&self->slots, n);
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
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("A context cannot be kept as %s"),
                   atl_dtype_name (kv_dtype));
      return NULL;
    }
  if (n_ctx < 1 || n_ctx > (1u << 24))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A context of %u tokens is outside 1 to %u"), n_ctx, 1u << 24);
      return NULL;
    }

  self = g_new0 (AtlLlmCache, 1);
  self->llm = llm;
  self->n_ctx = n_ctx;
  self->kv_dtype = kv_dtype;
  llm_slots_init (&self->slots, h->ssm.n_slots);
  self->states = g_new0 (AtlState *, (gsize) h->n_layer * ATL_LLM_N_STATES);
  if (!atl_llm_hparams_check_kv (h, kv_dtype, error) || !atl_llm_cache_reserve (self, 1, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
atl_llm_cache_free (AtlLlmCache *self)
{
  if (self == NULL)
    return;
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
  llm_slots_checkpoint (&self->slots, FALSE);
}

void
atl_llm_cache_pin (AtlLlmCache *self)
{
  llm_slots_checkpoint (&self->slots, TRUE);
}

guint
atl_llm_cache_reach (const AtlLlmCache *self, guint length)
{
  gint32 slot;

  g_return_val_if_fail (length <= self->length, self->length);
  if (self->slots.max > 0)
    {
      slot = llm_slots_find (&self->slots, length);
      length = slot >= 0 ? (guint) self->slots.length[slot] : 0;
    }
  return llm_window_holds (self, length) ? length : 0;
}

guint
atl_llm_cache_truncate (AtlLlmCache *self, guint length)
{
  g_return_val_if_fail (length <= self->length, self->length);
  self->length = llm_window_holds (self, length) ? length : 0;
  if (self->slots.max > 0)
    self->length = llm_slots_truncate (&self->slots, self->length);
  if (!llm_window_holds (self, self->length))
    self->length = llm_slots_truncate (&self->slots, 0);
  if (self->length == 0)
    self->local_base = 0;
  return self->length;
}
