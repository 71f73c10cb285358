/* UnloadModel: from a slot back to free memory. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/handlers.h"
#include "engine/service/keep.h"
#include "engine/service/ledger.h"
#include "engine/service/load.h"
#include "engine/service/service-private.h"

gboolean
atl_job_unload (AtlJob *job, GError **error)
{
  atl_ledger_remove (job->service, job->slot);
  g_rw_lock_writer_lock (&job->slot->lock);
  if (job->slot->model != NULL)
    {
      atl_chat_model_end_turns (job->slot->model);
      atl_turnstile_enter (job->service->turnstile);
      atl_keep_before_unload (job->slot);
      atl_turnstile_leave (job->service->turnstile);
    }
  if (job->slot->pictures != NULL || job->slot->upscaler != NULL)
    {
      atl_turnstile_enter (job->service->turnstile);
      g_clear_pointer (&job->slot->pictures, atl_diffusion_model_free);
      g_clear_pointer (&job->slot->upscaler, atl_upscaler_free);
      atl_turnstile_leave (job->service->turnstile);
    }
  g_clear_pointer (&job->slot->model, atl_chat_model_free);
  g_rw_lock_writer_unlock (&job->slot->lock);
  return TRUE;
}

static void
unload_done (AtlJob *job, const GError *error)
{
  if (error != NULL)
    g_dbus_method_invocation_return_gerror (g_steal_pointer (&job->invocation), error);
  else
    atl_ipc_engine1_complete_unload_model (job->service->skeleton,
                                           g_steal_pointer (&job->invocation));
  atl_service_status_changed (job->service);
}

gboolean
atl_handle_unload (AtlIpcEngine1 *skeleton,
                   GDBusMethodInvocation *invocation,
                   guint model,
                   AtlService *self)
{
  AtlJob *job = atl_job_new (self, 0, TRUE, invocation);
  g_autoptr (GPtrArray) running = NULL;
  GError *error = NULL;
  GHashTableIter iter;
  gpointer other;

  if (job == NULL)
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  job->run = atl_job_unload;
  job->done = unload_done;
  if (!atl_job_set_slot (job, model, &error))
    {
      atl_job_refuse (job, error);
      return G_DBUS_METHOD_INVOCATION_HANDLED;
    }
  g_hash_table_remove (self->slots, GUINT_TO_POINTER (model));
  /* Cancelling completes queued jobs and changes the table: collect first. */
  running = g_ptr_array_new ();
  g_hash_table_iter_init (&iter, self->requests);
  while (g_hash_table_iter_next (&iter, NULL, &other))
    if (((AtlJob *) other)->slot == job->slot)
      g_ptr_array_add (running, other);
  for (guint i = 0; i < running->len; i++)
    atl_job_cancel (g_ptr_array_index (running, i));
  atl_job_start (job, self->compute);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}
