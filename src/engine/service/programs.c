/* A GPU's programs before a model is loaded: they are there, or the client has them compiled, or
 * the CPU takes over. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>

#include "engine/service/load.h"
#include "engine/service/service-private.h"
#include "protocol/protocol.h"

/* Asks the client to have programs compiled. */
static void
ask_to_compile (AtlJob *job, const AtlOpenclNeeds *needs)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_INFO_COMPILE, "t", needs->matrices);
  g_variant_dict_insert (&dict, ATL_INFO_COMPILE_CONVS, "t", needs->convs);
  job->info = g_variant_ref_sink (g_variant_dict_end (&dict));
}

gboolean
atl_job_check_programs (AtlJob *job, const AtlOpenclNeeds *needs, GError **error)
{
  AtlDevices *devices = job->service->devices;
  gboolean is_told = job->load.is_compiled || job->load.gpu_problem != NULL;
  gboolean insists = g_strcmp0 (job->load.device, "gpu") == 0;
  AtlBackend *backends[2];
  gboolean is_prepared;

  if (atl_devices_choose (devices, job->load.device, backends, NULL) != 2)
    return TRUE;
  /* Nobody computes meanwhile. */
  atl_turnstile_enter (job->service->turnstile);
  is_prepared = atl_opencl_backend_is_prepared (backends[0], needs);
  atl_turnstile_leave (job->service->turnstile);
  if (is_prepared)
    {
      g_clear_pointer (&devices->why_unprepared, g_free);
      return TRUE;
    }
  if (!is_told && (devices->why_unprepared == NULL || insists))
    {
      ask_to_compile (job, needs);
      return TRUE;
    }
  if (is_told)
    {
      g_free (devices->why_unprepared);
      devices->why_unprepared = g_strdup_printf (
          _ ("the graphics card could not be prepared: %s"),
          job->load.gpu_problem != NULL ? job->load.gpu_problem
                                        : _ ("what its driver compiled is not found again"));
    }
  if (insists)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_DEVICE,
                   _ ("The graphics card cannot be used, because %s"), devices->why_unprepared);
      return FALSE;
    }
  g_free (job->load.device);
  job->load.device = g_strdup ("cpu");
  return TRUE;
}
