/* A loaded model: what is said of it, and moving it to another device. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/slot.h"

#include "engine/service/keep.h"

AtlSlot *
atl_slot_ref (AtlSlot *self)
{
  g_atomic_int_inc (&self->ref_count);
  return self;
}

void
atl_slot_unref (AtlSlot *self)
{
  if (self == NULL || !g_atomic_int_dec_and_test (&self->ref_count))
    return;
  atl_chat_model_free (self->model);
  atl_diffusion_model_free (self->pictures);
  atl_upscaler_free (self->upscaler);
  g_clear_pointer (&self->loras, g_ptr_array_unref);
  g_free (self->name);
  atl_keep_table_free (self->keeping);
  g_rw_lock_clear (&self->lock);
  g_free (self->device);
  g_free (self->runs_on);
  g_free (self);
}

const char *
atl_slot_name (const AtlSlot *self)
{
  return self->model != NULL ? atl_chat_model_facts (self->model)->name : self->name;
}

gboolean
atl_slot_has_model (const AtlSlot *self)
{
  return self->model != NULL || self->pictures != NULL || self->upscaler != NULL;
}

void
atl_slot_note_memory (AtlSlot *self)
{
  guint64 weights = atl_chat_model_host_bytes (self->model);

  __atomic_store_n (&self->ram_bytes, weights, __ATOMIC_RELAXED);
  __atomic_store_n (&self->vram_bytes, atl_chat_model_device_bytes (self->model), __ATOMIC_RELAXED);
  __atomic_store_n (&self->mapped_bytes, atl_chat_model_mapped_bytes (self->model),
                    __ATOMIC_RELAXED);
}

gboolean
atl_slot_move_to_cpu (AtlSlot *self, AtlDevices *devices, GError **error)
{
  gboolean ok = TRUE;

  g_rw_lock_writer_lock (&self->lock);
  if (self->uses_gpu && self->model != NULL)
    {
      atl_chat_model_unload (self->model);
      ok =
          atl_chat_model_load (self->model, &self->cpu, 1, &self->options, NULL, NULL, NULL, error);
      self->uses_gpu = FALSE;
      atl_slot_note_memory (self);
      g_free (self->runs_on);
      self->runs_on = atl_devices_cpu_words (devices, self->cpu, self->device);
    }
  g_rw_lock_writer_unlock (&self->lock);
  return ok;
}
