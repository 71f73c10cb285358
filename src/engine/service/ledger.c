/* The memory ledger: who takes what, and who goes when somebody else needs it.
 *
 * What a model's conversations hold is dropped before a model is unloaded, the least recently used
 * first, then the models that only guess ahead for others; what computes never goes. Everything
 * here happens inside the turnstile, so that nothing is freed under a plan that runs. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <malloc.h>

#include "base/language.h"
#include "engine/service/fit.h"
#include "engine/service/job.h"
#include "engine/service/keep.h"
#include "engine/service/ledger.h"
#include "engine/service/memory.h"
#include "engine/service/service-private.h"

/* How often idle models are looked for. */
#define IDLE_INTERVAL_S 5u

void
atl_ledger_add (AtlService *self, AtlSlot *slot)
{
  g_mutex_lock (&self->ledger_mutex);
  g_ptr_array_add (self->ledger, atl_slot_ref (slot));
  g_mutex_unlock (&self->ledger_mutex);
}

void
atl_ledger_remove (AtlService *self, AtlSlot *slot)
{
  g_mutex_lock (&self->ledger_mutex);
  g_ptr_array_remove (self->ledger, slot);
  g_mutex_unlock (&self->ledger_mutex);
}

/* What the system calls free, less what is promised: pages of mapped weights count as free there
 * though a running model reads them all the time. */
static guint64
read_free (AtlService *self, AtlMemory *memory)
{
  guint64 mapped = 0;

  self->read_memory (memory);
  for (guint i = 0; i < self->ledger->len; i++)
    {
      const AtlSlot *slot = self->ledger->pdata[i];

      mapped += __atomic_load_n (&slot->mapped_bytes, __ATOMIC_RELAXED);
    }
  return memory->free_bytes - MIN (memory->free_bytes, mapped);
}

/* Nobody asks anything of it, and nobody is about to. The caller unlocks when TRUE. */
static gboolean
lock_idle (AtlSlot *slot)
{
  if (!g_rw_lock_writer_trylock (&slot->lock))
    return FALSE;
  if (slot->pictures != NULL || slot->upscaler != NULL ||
      (slot->model != NULL && atl_chat_model_is_idle (slot->model)))
    return TRUE;
  g_rw_lock_writer_unlock (&slot->lock);
  return FALSE;
}

static guint64
slot_bytes (const AtlSlot *slot)
{
  return __atomic_load_n (&slot->ram_bytes, __ATOMIC_RELAXED) +
         (slot->model != NULL ? atl_chat_model_conversation_bytes (slot->model) : 0);
}

static gint64
used_at (const AtlSlot *slot)
{
  return __atomic_load_n (&slot->used_at, __ATOMIC_RELAXED);
}

/* What could be freed without ending anything, in the computer's memory or the GPU's. */
static guint64
count_idle (AtlService *self, const AtlSlot *keep, gboolean on_gpu)
{
  guint64 bytes = 0;

  for (guint i = 0; i < self->ledger->len; i++)
    {
      AtlSlot *slot = self->ledger->pdata[i];

      if (slot == keep || !lock_idle (slot))
        continue;
      bytes += on_gpu ? __atomic_load_n (&slot->vram_bytes, __ATOMIC_RELAXED) : slot_bytes (slot);
      g_rw_lock_writer_unlock (&slot->lock);
    }
  return bytes;
}

void
atl_ledger_read (AtlService *self, AtlMemory *memory, guint64 *idle_bytes)
{
  guint64 free_bytes;

  g_mutex_lock (&self->ledger_mutex);
  free_bytes = read_free (self, memory);
  memory->free_bytes = free_bytes;
  if (idle_bytes != NULL)
    *idle_bytes = count_idle (self, NULL, FALSE);
  g_mutex_unlock (&self->ledger_mutex);
}

/* --- Unloading by itself --- */

typedef struct
{
  AtlService *service;
  AtlSlot *slot;
  char *words;
} Gone;

static gboolean
gone_cb (gpointer data)
{
  Gone *gone = data;
  AtlService *self = gone->service;

  g_hash_table_remove (self->slots, GUINT_TO_POINTER (gone->slot->id));
  atl_service_emit (self, "ModelUnloaded", g_variant_new ("(us)", gone->slot->id, gone->words));
  atl_service_status_changed (self);
  return G_SOURCE_REMOVE;
}

static void
gone_free (gpointer data)
{
  Gone *gone = data;

  atl_slot_unref (gone->slot);
  g_free (gone->words);
  g_free (gone);
}

/* Inside the turnstile, with the ledger's mutex and the slot's lock, which is given back. */
static void
unload_locked (AtlService *self, AtlSlot *slot, gboolean is_idle)
{
  g_autoptr (GSource) source = g_idle_source_new ();
  Gone *gone = g_new0 (Gone, 1);

  gone->service = self;
  gone->slot = atl_slot_ref (slot);
  gone->words =
      g_strdup_printf (is_idle ? _ ("%s was unloaded because it was not used for a while.")
                               : _ ("%s was unloaded to make room."),
                       atl_slot_name (slot));
  /* Writing takes a while, and the ledger is read on the main thread. */
  g_mutex_unlock (&self->ledger_mutex);
  atl_keep_before_unload (slot);
  g_mutex_lock (&self->ledger_mutex);
  if (slot->model != NULL)
    atl_chat_model_unload_idle (slot->model);
  g_clear_pointer (&slot->pictures, atl_diffusion_model_free);
  g_clear_pointer (&slot->upscaler, atl_upscaler_free);
  g_clear_pointer (&slot->model, atl_chat_model_free);
  g_rw_lock_writer_unlock (&slot->lock);
  g_ptr_array_remove (self->ledger, slot);
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, gone_cb, gone, gone_free);
  g_source_attach (source, self->context);
}

/* --- Making room --- */

static gboolean
drop_oldest_conversation (AtlService *self)
{
  AtlSlot *oldest = NULL;
  gint64 oldest_at = G_MAXINT64;

  /* A model whose lock is held for writing has none: it is being unloaded. */
  for (guint i = 0; i < self->ledger->len; i++)
    {
      AtlSlot *slot = self->ledger->pdata[i];
      gint64 at;

      if (!g_rw_lock_reader_trylock (&slot->lock))
        continue;
      at = slot->model != NULL ? atl_chat_model_oldest_conversation (slot->model) : G_MAXINT64;
      if (at < oldest_at)
        {
          if (oldest != NULL)
            g_rw_lock_reader_unlock (&oldest->lock);
          oldest = slot;
          oldest_at = at;
        }
      else
        g_rw_lock_reader_unlock (&slot->lock);
    }
  if (oldest == NULL)
    return FALSE;
  /* Keeping it takes a while, and the ledger is read on the main thread. */
  g_mutex_unlock (&self->ledger_mutex);
  atl_chat_model_drop_conversation (oldest->model);
  g_mutex_lock (&self->ledger_mutex);
  g_rw_lock_reader_unlock (&oldest->lock);
  return TRUE;
}

/* Frees a model that only guesses ahead for another: answers under way go on without it. */
static gboolean
drop_draft (AtlService *self)
{
  guint64 bytes = 0;

  for (guint i = 0; i < self->ledger->len && bytes == 0; i++)
    {
      AtlSlot *slot = self->ledger->pdata[i];

      if (!g_rw_lock_reader_trylock (&slot->lock))
        continue;
      bytes = slot->model != NULL ? atl_chat_model_drop_draft (slot->model) : 0;
      if (bytes > 0)
        atl_slot_note_memory (slot);
      g_rw_lock_reader_unlock (&slot->lock);
    }
  return bytes > 0;
}

/* Of the idle models the smallest that is enough by itself, else the least recently used. */
static gboolean
unload_nearest (AtlService *self, const AtlSlot *keep, guint64 missing)
{
  AtlSlot *best = NULL;
  gboolean best_is_enough = FALSE;

  for (guint i = 0; i < self->ledger->len; i++)
    {
      AtlSlot *slot = self->ledger->pdata[i];
      gboolean is_enough, is_better;

      if (slot == keep || !lock_idle (slot))
        continue;
      is_enough = slot_bytes (slot) >= missing;
      if (best == NULL || is_enough != best_is_enough)
        is_better = best == NULL || is_enough;
      else
        is_better =
            is_enough ? slot_bytes (slot) < slot_bytes (best) : used_at (slot) < used_at (best);
      if (is_better && best != NULL)
        g_rw_lock_writer_unlock (&best->lock);
      if (!is_better)
        {
          g_rw_lock_writer_unlock (&slot->lock);
          continue;
        }
      best = slot;
      best_is_enough = is_enough;
    }
  if (best == NULL)
    return FALSE;
  unload_locked (self, best, FALSE);
  return TRUE;
}

gboolean
atl_ledger_make_room (AtlService *self, guint64 bytes, const AtlSlot *keep, GError **error)
{
  AtlMemory memory;
  guint64 available, idle;
  gboolean ok;

  g_mutex_lock (&self->ledger_mutex);
  available = read_free (self, &memory);
  available -= MIN (available, atl_fit_reserve (memory.total_bytes));
  idle = available < bytes ? count_idle (self, keep, FALSE) : 0;
  /* Conversations of models that work, and draft models, which are not counted, go one by one. */
  while (available < bytes &&
         (drop_oldest_conversation (self) || drop_draft (self) ||
          (available + idle >= bytes && unload_nearest (self, keep, bytes - available))))
    {
      malloc_trim (0);
      available = read_free (self, &memory);
      available -= MIN (available, atl_fit_reserve (memory.total_bytes));
    }
  ok = available >= bytes;
  g_mutex_unlock (&self->ledger_mutex);
  if (!ok)
    {
      g_autofree char *needed = atl_language_size (bytes);
      g_autofree char *there = atl_language_size (available);

      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
                   _ ("There is not enough memory left for this chat: %s more are needed, %s are "
                      "free. Close programs, unload other models, or load this one with a shorter "
                      "context or an 8-bit memory of the chat (q8_0)."),
                   needed, there);
    }
  return ok;
}

/* --- The GPU's memory --- */

guint64
atl_ledger_idle_vram (AtlService *self, const AtlSlot *keep)
{
  guint64 bytes;

  g_mutex_lock (&self->ledger_mutex);
  bytes = count_idle (self, keep, TRUE);
  g_mutex_unlock (&self->ledger_mutex);
  return bytes;
}

/* With the ledger's mutex. The least recently used idle slot that has some, locked; NULL. */
static AtlSlot *
lock_holder (AtlService *self, const AtlSlot *keep, gboolean for_pictures)
{
  AtlSlot *oldest = NULL;

  for (guint i = 0; i < self->ledger->len; i++)
    {
      AtlSlot *slot = self->ledger->pdata[i];

      if (slot == keep || __atomic_load_n (&slot->vram_bytes, __ATOMIC_RELAXED) == 0 ||
          (oldest != NULL && used_at (slot) >= used_at (oldest)) || !lock_idle (slot))
        continue;
      if (slot->model != NULL && !for_pictures)
        {
          g_rw_lock_writer_unlock (&slot->lock);
          continue;
        }
      if (oldest != NULL)
        g_rw_lock_writer_unlock (&oldest->lock);
      oldest = slot;
    }
  return oldest;
}

void
atl_ledger_make_vram (AtlService *self, guint64 bytes, const AtlSlot *keep, gboolean for_pictures)
{
  const AtlBackend *gpu = self->devices->gpu;
  AtlSlot *slot;

  g_mutex_lock (&self->ledger_mutex);
  while (gpu != NULL && gpu->memory_free < bytes + bytes / 10 &&
         (slot = lock_holder (self, keep, for_pictures)) != NULL)
    {
      if (slot->model != NULL)
        {
          unload_locked (self, slot, FALSE);
          continue;
        }
      if (slot->pictures != NULL)
        atl_diffusion_model_drop (slot->pictures);
      if (slot->upscaler != NULL)
        atl_upscaler_drop (slot->upscaler);
      __atomic_store_n (&slot->ram_bytes, 0, __ATOMIC_RELAXED);
      __atomic_store_n (&slot->vram_bytes, 0, __ATOMIC_RELAXED);
      g_rw_lock_writer_unlock (&slot->lock);
    }
  g_mutex_unlock (&self->ledger_mutex);
}

gboolean
atl_ledger_room_cb (guint64 bytes, gpointer user_data, GError **error)
{
  AtlSlot *slot = user_data;

  return atl_ledger_make_room (slot->service, bytes, slot, error);
}

/* --- Idle models --- */

/* With the ledger's mutex. The slot is locked. */
static AtlSlot *
lock_unused (AtlService *self)
{
  gint64 now = g_get_monotonic_time ();

  for (guint i = 0; i < self->ledger->len; i++)
    {
      AtlSlot *slot = self->ledger->pdata[i];
      gint64 limit = (gint64) slot->idle_minutes * 60 * G_USEC_PER_SEC;

      if (limit != 0 && now - used_at (slot) >= limit && lock_idle (slot))
        return slot;
    }
  return NULL;
}

/* On a worker: the turnstile may be busy for a while. */
static gboolean
sweep_run (AtlJob *job, GError **error)
{
  AtlService *self = job->service;
  AtlSlot *slot;

  atl_turnstile_enter (self->turnstile);
  g_mutex_lock (&self->ledger_mutex);
  while ((slot = lock_unused (self)) != NULL)
    unload_locked (self, slot, TRUE);
  g_mutex_unlock (&self->ledger_mutex);
  malloc_trim (0);
  atl_turnstile_leave (self->turnstile);
  return TRUE;
}

static void
sweep_done (AtlJob *job, const GError *error)
{
}

static gboolean
idle_cb (gpointer user_data)
{
  AtlService *self = user_data;
  gint64 now = g_get_monotonic_time ();
  gboolean is_due = FALSE;
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->slots);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      AtlSlot *slot = value;

      is_due |= slot->idle_minutes != 0 && slot->n_jobs == 0 &&
                now - used_at (slot) >= (gint64) slot->idle_minutes * 60 * G_USEC_PER_SEC;
    }
  atl_keep_due (self);
  if (is_due)
    atl_job_start (atl_job_new_own (self, sweep_run, sweep_done), self->compute);
  return G_SOURCE_CONTINUE;
}

static void
read_memory (AtlMemory *memory)
{
  atl_memory_read ("", memory);
}

void
atl_ledger_init (AtlService *self)
{
  self->read_memory = read_memory;
  g_mutex_init (&self->ledger_mutex);
  self->ledger = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_slot_unref);
  self->idle_source = g_timeout_source_new_seconds (IDLE_INTERVAL_S);
  g_source_set_callback (self->idle_source, idle_cb, self, NULL);
  g_source_attach (self->idle_source, self->context);
}

void
atl_ledger_clear (AtlService *self)
{
  g_source_destroy (self->idle_source);
  g_source_unref (self->idle_source);
  g_ptr_array_unref (self->ledger);
  g_mutex_clear (&self->ledger_mutex);
}
