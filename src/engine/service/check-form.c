/* CheckForm: whether a schema and tools can be kept to, before anything is asked with them. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/handlers.h"
#include "engine/service/job.h"
#include "engine/service/service-private.h"
#include "engine/service/turn-options.h"

static gboolean
check_run (AtlJob *job, GError **error)
{
  return atl_turn_options_init (&job->ask.options, &job->ask.params, error) &&
         atl_chat_turn_check (&job->ask.options, error);
}

static void
check_done (AtlJob *job, const GError *error)
{
  if (error != NULL)
    g_dbus_method_invocation_return_gerror (g_steal_pointer (&job->invocation), error);
  else
    atl_ipc_engine1_complete_check_form (job->service->skeleton,
                                         g_steal_pointer (&job->invocation));
}

gboolean
atl_handle_check_form (AtlIpcEngine1 *skeleton,
                       GDBusMethodInvocation *invocation,
                       GVariant *params,
                       AtlService *self)
{
  AtlJob *job = atl_job_new (self, 0, FALSE, invocation);
  GError *error = NULL;

  if (job == NULL)
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  job->run = check_run;
  job->done = check_done;
  atl_chat_params_init (&job->ask.params);
  if (atl_chat_params_apply (&job->ask.params, params, &error))
    atl_job_start (job, self->preparing);
  else
    atl_job_refuse (job, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}
