/* SetAdapters: other strengths for the adapters of a loaded model. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/handlers.h"
#include "engine/service/load.h"
#include "engine/service/service-private.h"

#include <glib/gi18n.h>

void
atl_job_take_strengths (AtlJob *self, GVariant *strengths)
{
  gsize n = 0;
  const double *values =
      strengths != NULL ? g_variant_get_fixed_array (strengths, &n, sizeof (double)) : NULL;

  g_clear_pointer (&self->load.strengths, g_array_unref);
  self->load.strengths = g_array_new (FALSE, FALSE, sizeof (double));
  if (n > 0)
    g_array_append_vals (self->load.strengths, values, (guint) n);
}

gboolean
atl_job_set_strengths (AtlJob *self, AtlChatModel *model, GError **error)
{
  return atl_chat_model_set_strengths (model,
                                       (const double *) (gpointer) self->load.strengths->data,
                                       self->load.strengths->len, error);
}

static gboolean
set_run (AtlJob *job, GError **error)
{
  gboolean ok = FALSE;

  g_rw_lock_writer_lock (&job->slot->lock);
  if (job->slot->model == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("The model was unloaded"));
  else
    ok = atl_job_set_strengths (job, job->slot->model, error);
  g_rw_lock_writer_unlock (&job->slot->lock);
  return ok;
}

static void
set_done (AtlJob *job, const GError *error)
{
  if (error != NULL)
    g_dbus_method_invocation_return_gerror (g_steal_pointer (&job->invocation), error);
  else
    atl_ipc_engine1_complete_set_adapters (job->service->skeleton,
                                           g_steal_pointer (&job->invocation));
}

gboolean
atl_handle_set_adapters (AtlIpcEngine1 *skeleton,
                         GDBusMethodInvocation *invocation,
                         guint model,
                         GVariant *strengths,
                         AtlService *self)
{
  AtlJob *job = atl_job_new (self, 0, FALSE, invocation);
  GError *error = NULL;

  if (job == NULL)
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  job->run = set_run;
  job->done = set_done;
  atl_job_take_strengths (job, strengths);
  if (!atl_job_set_slot (job, model, &error))
    atl_job_refuse (job, error);
  else
    atl_job_start (job, self->compute);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}
