/* The life of a job: registered, queued, run on a worker, completed on the main thread. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/job.h"
#include "engine/service/service-private.h"
#include "protocol/protocol.h"

#include <glib/gi18n.h>
#include <unistd.h>

#include "engine/service/turn-options.h"

AtlJob *
atl_job_new (AtlService *service, guint request, gboolean always, GDBusMethodInvocation *invocation)
{
  AtlJob *self;

  if (!service->is_greeted)
    {
      g_dbus_method_invocation_return_error (invocation, ATL_ERROR, ATL_ERROR_INVALID,
                                             _ ("Hello must come first"));
      return NULL;
    }
  if (!always && service->n_jobs >= ATL_MAX_QUEUED_REQUESTS)
    {
      g_dbus_method_invocation_return_error (
          invocation, ATL_ERROR, ATL_ERROR_FULL,
          _ ("%u requests are waiting already; try again when some "
             "are done"),
          service->n_jobs);
      return NULL;
    }
  if (request != 0 && g_hash_table_contains (service->requests, GUINT_TO_POINTER (request)))
    {
      g_dbus_method_invocation_return_error (invocation, ATL_ERROR, ATL_ERROR_INVALID,
                                             _ ("request %u is under way already"), request);
      return NULL;
    }
  self = g_new0 (AtlJob, 1);
  self->ref_count = 1;
  self->service = service;
  self->request = request;
  self->invocation = invocation;
  self->cancellable = g_cancellable_new ();
  self->accepted_at = g_get_monotonic_time ();
  service->n_jobs++;
  if (request != 0)
    g_hash_table_insert (service->requests, GUINT_TO_POINTER (request), self);
  return self;
}

AtlJob *
atl_job_new_own (AtlService *service,
                 gboolean (*run) (AtlJob *, GError **),
                 void (*done) (AtlJob *, const GError *))
{
  AtlJob *self = g_new0 (AtlJob, 1);

  self->ref_count = 1;
  self->service = service;
  self->cancellable = g_cancellable_new ();
  self->run = run;
  self->done = done;
  service->n_jobs++;
  return self;
}

static void
clear_load (AtlJob *self)
{
  g_clear_pointer (&self->load.pictures, atl_diffusion_model_free);
  g_clear_pointer (&self->load.upscaler, atl_upscaler_free);
  g_clear_pointer (&self->load.strengths, g_array_unref);
  g_free (self->load.name);
  g_free (self->load.device);
  g_free (self->load.gpu_problem);
}

static void
clear_ask (AtlJob *self)
{
  g_free (self->ask.text);
  atl_turn_options_clear (&self->ask.options);
  atl_chat_params_clear (&self->ask.params);
  g_clear_pointer (&self->ask.sender, atl_text_sender_unref);
}

static void
clear_draw (AtlJob *self)
{
  g_clear_pointer (&self->draw.settings, g_variant_unref);
  if (self->draw.room > 0)
    close (self->draw.room);
  if (self->draw.preview > 0)
    close (self->draw.preview);
  g_clear_pointer (&self->draw.sizes, g_array_unref);
  g_clear_pointer (&self->draw.loras, g_ptr_array_unref);
  g_free (self->draw.phase);
  g_free (self->draw.runs_on);
}

void
atl_job_unref (AtlJob *self)
{
  if (self == NULL || !g_atomic_int_dec_and_test (&self->ref_count))
    return;
  g_assert (self->invocation == NULL);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->slot, atl_slot_unref);
  g_clear_error (&self->error);
  g_clear_pointer (&self->maps, g_ptr_array_unref);
  g_clear_pointer (&self->names, g_ptr_array_unref);
  g_clear_pointer (&self->info, g_variant_unref);
  g_clear_pointer (&self->stats, g_variant_unref);
  clear_load (self);
  clear_ask (self);
  clear_draw (self);
  g_clear_pointer (&self->keep.slots, g_ptr_array_unref);
  g_free (self);
}

/* On the main thread. Takes the reference. */
static void
complete (AtlJob *self)
{
  self->service->n_jobs--;
  if (self->request != 0)
    g_hash_table_remove (self->service->requests, GUINT_TO_POINTER (self->request));
  if (self->slot != NULL)
    self->slot->n_jobs--;
  self->done (self, self->error);
  atl_job_unref (self);
}

static gboolean
complete_cb (gpointer data)
{
  complete (data);
  return G_SOURCE_REMOVE;
}

void
atl_job_end (AtlJob *self)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  g_atomic_int_set (&self->state, ATL_JOB_DONE);
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, complete_cb, self, NULL);
  g_source_attach (source, self->service->context);
}

void
atl_job_pool_cb (gpointer data, gpointer user_data)
{
  AtlJob *self = data;

  /* One that was cancelled while it waited is complete already; this is the pool's reference. */
  if (!g_atomic_int_compare_and_exchange (&self->state, ATL_JOB_QUEUED, ATL_JOB_RUNNING))
    {
      atl_job_unref (self);
      return;
    }
  /* One that goes on elsewhere may be over before run() returns. */
  g_atomic_int_inc (&self->ref_count);
  if (!g_cancellable_set_error_if_cancelled (self->cancellable, &self->error))
    self->run (self, &self->error);
  if (!self->is_continued)
    {
      /* Here, and not on the main thread: freeing waits for plans that run. */
      g_clear_pointer (&self->load.model, atl_chat_model_free);
      g_clear_pointer (&self->load.pictures, atl_diffusion_model_free);
      g_clear_pointer (&self->load.upscaler, atl_upscaler_free);
      atl_job_end (self);
    }
  atl_job_unref (self);
}

void
atl_job_start (AtlJob *self, GThreadPool *pool)
{
  g_thread_pool_push (pool, self, NULL);
}

void
atl_job_again (AtlJob *self,
               gboolean (*run) (AtlJob *, GError **),
               void (*done) (AtlJob *, const GError *),
               GThreadPool *pool)
{
  g_atomic_int_inc (&self->ref_count);
  g_object_unref (self->cancellable);
  self->cancellable = g_cancellable_new ();
  self->run = run;
  self->done = done;
  self->service->n_jobs++;
  if (self->slot != NULL)
    self->slot->n_jobs++;
  g_atomic_int_set (&self->state, ATL_JOB_QUEUED);
  atl_job_start (self, pool);
}

void
atl_job_refuse (AtlJob *self, GError *error)
{
  g_atomic_int_set (&self->state, ATL_JOB_DONE);
  self->error = error;
  complete (self);
}

void
atl_job_cancel (AtlJob *self)
{
  g_cancellable_cancel (self->cancellable);
  g_mutex_lock (&self->service->pause_mutex);
  g_cond_broadcast (&self->service->pause_cond);
  g_mutex_unlock (&self->service->pause_mutex);
  if (g_atomic_int_compare_and_exchange (&self->state, ATL_JOB_QUEUED, ATL_JOB_DONE))
    {
      /* The pool keeps its own reference until it comes to this job. */
      g_atomic_int_inc (&self->ref_count);
      g_cancellable_set_error_if_cancelled (self->cancellable, &self->error);
      complete (self);
    }
}

gboolean
atl_job_set_slot (AtlJob *self, guint model, GError **error)
{
  AtlSlot *slot = g_hash_table_lookup (self->service->slots, GUINT_TO_POINTER (model));

  if (slot == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ (ATL_NOT_LOADED_WORDS));
      return FALSE;
    }
  self->slot = atl_slot_ref (slot);
  slot->n_jobs++;
  return TRUE;
}
