/* A cache as a row of bytes: layer by layer, the rows of its tokens and the slots that matter. */
#define G_LOG_DOMAIN "atl-models"

#include <string.h>

#include "engine/models/llm/llm-private.h"

#define PIECE_BYTES (4u << 20)

/* --- Images --- */

gboolean
atl_llm_cache_describe (const AtlLlmCache *self, AtlLlmCacheImage *image)
{
  const LlmSlots *slots = &self->slots;

  *image = (AtlLlmCacheImage){ .length = self->length, .local_base = self->local_base };
  if (self->length == 0)
    return FALSE;
  if (slots->max == 0)
    return TRUE;
  image->slots[image->n_slots].is_checkpoint = slots->is_checkpoint[slots->now];
  image->slots[image->n_slots++].length = (guint32) slots->length[slots->now];
  for (gint32 i = 0; i < (gint32) slots->n; i++)
    if (i != slots->now && slots->is_checkpoint[i] && slots->length[i] >= 0)
      {
        image->slots[image->n_slots].is_checkpoint = 1;
        image->slots[image->n_slots++].length = (guint32) slots->length[i];
      }
  return TRUE;
}

/* The cache's slot that is number `i` of its image: the present one, then the checkpoints. */
static gint32
find_slot (const AtlLlmCache *self, guint i)
{
  const LlmSlots *slots = &self->slots;

  for (gint32 slot = 0; i > 0 && slot < (gint32) slots->n; slot++)
    if (slot != slots->now && slots->is_checkpoint[slot] && slots->length[slot] >= 0 && --i == 0)
      return slot;
  return slots->now;
}

static gboolean
is_possible (const AtlLlmCache *self, const AtlLlmCacheImage *image)
{
  const AtlLlmHparams *h = &self->llm->decoder.h;

  if (image->length == 0 || image->length > self->n_ctx || image->reserved != 0)
    return FALSE;
  if (image->local_base > 0 &&
      (h->window == 0 || image->local_base >= image->length ||
       (guint64) image->length + 1 < (guint64) image->local_base + h->window))
    return FALSE;
  if (h->window > 0 &&
      image->length - image->local_base > atl_llm_hparams_local_cells (h, self->n_ctx))
    return FALSE;
  if ((image->n_slots > 0) != (self->slots.max > 0) || image->n_slots > self->slots.max)
    return FALSE;
  for (guint i = 0; i < ATL_LLM_MAX_SLOTS; i++)
    {
      const guint32 is_used = i < image->n_slots ? 1 : 0;

      if (image->slots[i].is_checkpoint > is_used ||
          image->slots[i].length > (is_used ? image->length : 0))
        return FALSE;
    }
  return image->n_slots == 0 || image->slots[0].length == image->length;
}

/* Room for one slot more than the image has: the next run writes there. */
static guint
slots_for (const AtlLlmCache *self, const AtlLlmCacheImage *image)
{
  return image->n_slots > 0 ? MIN (image->n_slots + 1, self->slots.max) : self->slots.n;
}

static guint
capacity_for (const AtlLlmCache *self, const AtlLlmCacheImage *image)
{
  return MAX (self->capacity, llm_cache_next_capacity (self, image->length));
}

/* Bytes of one row, or slot, of the state; 0 when the layer has none. */
static guint64
row_bytes (const AtlLlmCache *self, guint il, AtlLlmStateRole role)
{
  AtlLlmStateShape shape;

  if (!atl_llm_hparams_state (&self->llm->decoder.h, il, role, 1, self->kv_dtype, &shape))
    return 0;
  shape.dim[0] = 1;
  return atl_llm_state_bytes (&shape);
}

static guint
n_rows (const AtlLlmCache *self, const AtlLlmCacheImage *image, guint il)
{
  return self->llm->decoder.h.layers[il].windowed ? image->length - image->local_base
                                                  : image->length;
}

guint64
atl_llm_cache_image_bytes (const AtlLlmCache *self, const AtlLlmCacheImage *image)
{
  guint64 bytes = 0;

  if (!is_possible (self, image))
    return 0;
  /* No overflow: a cache for as many tokens could be planned. */
  for (guint il = 0; il < self->llm->decoder.h.n_layer; il++)
    for (guint role = 0; role < ATL_LLM_N_STATES; role++)
      bytes += row_bytes (self, il, role) *
               (llm_role_has_slots (role) ? image->n_slots : n_rows (self, image, il));
  return bytes;
}

guint64
atl_llm_cache_image_growth (const AtlLlmCache *self, const AtlLlmCacheImage *image)
{
  if (!is_possible (self, image))
    return 0;
  return llm_cache_growth_to (self, capacity_for (self, image), slots_for (self, image));
}

guint
atl_llm_cache_image_reach (const AtlLlmCache *self, const AtlLlmCacheImage *image, guint length)
{
  AtlLlmCache probe = *self;

  if (!is_possible (self, image))
    return 0;
  probe.length = image->length;
  probe.local_base = image->local_base;
  probe.slots.n = slots_for (self, image);
  llm_slots_set (&probe.slots, image);
  return atl_llm_cache_reach (&probe, MIN (length, image->length));
}

/* --- Bytes --- */

typedef struct
{
  AtlLlmImageFunc func;
  gpointer user_data;
  gboolean is_write; /* out of the cache */
  guint8 *staging;   /* (owned) (nullable) for memory that is not the host's */
} Transfer;

static gboolean
transfer_piece (Transfer *self, const AtlState *state, gsize offset, gsize n, GError **error)
{
  AtlBackend *backend = state->buffer->backend;

  if (state->buffer->host != NULL)
    return self->func ((guint8 *) state->buffer->host + offset, n, self->user_data, error);
  if (self->staging == NULL)
    self->staging = g_malloc (PIECE_BYTES);
  if (self->is_write)
    return backend->klass->read (backend, state->buffer, offset, self->staging, n, error) &&
           self->func (self->staging, n, self->user_data, error);
  return self->func (self->staging, n, self->user_data, error) &&
         backend->klass->write (backend, state->buffer, offset, self->staging, n, error);
}

static gboolean
transfer_range (Transfer *self, const AtlState *state, gsize offset, gsize n, GError **error)
{
  g_assert (offset + n <= state->size_bytes);
  for (gsize done = 0; done < n;)
    {
      gsize piece = MIN (n - done, PIECE_BYTES);

      if (!transfer_piece (self, state, offset + done, piece, error))
        return FALSE;
      done += piece;
    }
  return TRUE;
}

static gboolean
transfer_state (Transfer *self,
                const AtlLlmCache *cache,
                const AtlLlmCacheImage *image,
                guint il,
                AtlLlmStateRole role,
                GError **error)
{
  const AtlState *state = cache->states[atl_decoder_state_index (il, role)];
  gsize row = (gsize) row_bytes (cache, il, role);

  if (row == 0)
    return TRUE;
  if (!llm_role_has_slots (role))
    return transfer_range (self, state, 0, row * n_rows (cache, image, il), error);
  for (guint i = 0; i < image->n_slots; i++)
    {
      gsize slot = self->is_write ? (gsize) find_slot (cache, i) : i;

      if (!transfer_range (self, state, row * slot, row, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
transfer_all (Transfer *self,
              const AtlLlmCache *cache,
              const AtlLlmCacheImage *image,
              GError **error)
{
  gboolean ok = TRUE;

  for (guint il = 0; ok && il < cache->llm->decoder.h.n_layer; il++)
    for (guint role = 0; ok && role < ATL_LLM_N_STATES; role++)
      ok = transfer_state (self, cache, image, il, role, error);
  g_free (self->staging);
  return ok;
}

gboolean
atl_llm_cache_write (const AtlLlmCache *self,
                     const AtlLlmCacheImage *image,
                     AtlLlmImageFunc write,
                     gpointer user_data,
                     GError **error)
{
  Transfer transfer = { .func = write, .user_data = user_data, .is_write = TRUE };

  g_return_val_if_fail (self->length == image->length, FALSE);
  return transfer_all (&transfer, self, image, error);
}

gboolean
atl_llm_cache_read (AtlLlmCache *self,
                    const AtlLlmCacheImage *image,
                    AtlLlmImageFunc read,
                    gpointer user_data,
                    GError **error)
{
  Transfer transfer = { .func = read, .user_data = user_data };

  g_return_val_if_fail (self->length == 0, FALSE);
  if (!is_possible (self, image))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   "%u tokens from %u on, in %u slots, are no state of this model", image->length,
                   image->local_base, image->n_slots);
      return FALSE;
    }
  if (!llm_cache_grow_to (self, capacity_for (self, image), slots_for (self, image), error) ||
      !transfer_all (&transfer, self, image, error))
    return FALSE;
  self->length = image->length;
  self->local_base = image->local_base;
  llm_slots_set (&self->slots, image);
  return TRUE;
}

/* --- Identity --- */

static void
add_numbers (GChecksum *sum, const double *numbers, gsize n)
{
  if (numbers != NULL)
    g_checksum_update (sum, (const guchar *) numbers, (gssize) (n * sizeof *numbers));
}

static void
add_text (GChecksum *sum, const char *text)
{
  g_checksum_update (sum, (const guchar *) text, (gssize) strlen (text) + 1);
}

void
atl_llm_cache_identify (const AtlLlmCache *self, GChecksum *sum)
{
  const AtlLlm *llm = self->llm;
  const AtlLlmHparams *h = &llm->decoder.h;

  add_text (sum, atl_dtype_name (self->kv_dtype));
  add_numbers (sum, llm->rope_freqs, h->rope.n_rot / 2);
  add_numbers (sum, llm->rope_local_freqs, h->rope_local.n_rot / 2);
  add_numbers (sum, &llm->rope_multiplier, 1);
  add_numbers (sum, &llm->rope_local_multiplier, 1);
  for (guint il = 0; il < h->n_layer; il++)
    {
      const AtlBackend *backend = llm_layer_backend (llm, (gint) il);

      /* How many threads a processor computes with changes no number. */
      add_text (sum, backend->is_host ? backend->name : backend->description);
      for (guint role = 0; role < ATL_LLM_N_STATES; role++)
        {
          double bytes = (double) row_bytes (self, il, role);

          add_numbers (sum, &bytes, 1);
        }
    }
}
