/* LoadModel: from descriptors to a slot. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <gio/gunixfdlist.h>
#include <string.h>
#include <unistd.h>

#include "engine/service/handlers.h"
#include "engine/service/keep.h"
#include "engine/service/ledger.h"
#include "engine/service/load.h"
#include "engine/service/picture.h"
#include "engine/service/service-private.h"

#define PROGRESS_INTERVAL_US (80 * 1000)
/* Share of the bar for reading the file's description. */
#define OPEN_SHARE 0.05

static void
send_progress (AtlJob *job, double fraction, const char *phase)
{
  gint64 now = g_get_monotonic_time ();

  if (fraction < 1 && now - job->load.progress_sent_at < PROGRESS_INTERVAL_US)
    return;
  job->load.progress_sent_at = now;
  atl_service_emit (job->service, "LoadProgress",
                    g_variant_new ("(uds)", job->request, CLAMP (fraction, 0, 1), phase));
}

static void
weights_progress_cb (double fraction, const char *phase, gpointer user_data)
{
  send_progress (user_data, OPEN_SHARE + fraction * (1 - OPEN_SHARE),
                 phase != NULL ? phase : _ ("Loading the model"));
}

static char *
describe_place (AtlDevices *devices,
                const AtlChatModel *model,
                const AtlSlot *slot,
                const char *device)
{
  char *words = atl_chat_model_placement (model);

  /* No layers on the GPU is a way to say that it is not wanted. */
  if (slot->options.n_gpu_layers == 0)
    device = "cpu";
  return words != NULL ? words : atl_devices_cpu_words (devices, slot->cpu, device);
}

/* Frees what is idle if it must. */
static gboolean
make_room (AtlJob *job, const AtlFit *fit)
{
  AtlService *self = job->service;
  gboolean ok;

  atl_turnstile_enter (self->turnstile);
  ok = atl_ledger_make_room (self, fit->needed_bytes, NULL, NULL);
  atl_turnstile_leave (self->turnstile);
  return ok;
}

static AtlSlot *
new_slot (AtlJob *job, AtlBackend *cpu)
{
  AtlSlot *slot = g_new0 (AtlSlot, 1);

  slot->ref_count = 1;
  slot->n_jobs = 1;
  g_rw_lock_init (&slot->lock);
  slot->service = job->service;
  slot->cpu = cpu;
  slot->device = g_strdup (job->load.device);
  slot->idle_minutes = job->load.idle_minutes;
  slot->used_at = g_get_monotonic_time ();
  slot->options.kv_dtype = job->load.kv_dtype;
  slot->options.n_gpu_layers = job->load.n_gpu_layers;
  slot->options.n_cpu_experts = job->load.n_cpu_experts;
  slot->options.turnstile = job->service->turnstile;
  slot->options.room = (AtlChatRoom){ atl_ledger_room_cb, slot };
  slot->keeping = atl_keep_table_new (job->service);
  slot->options.keep = atl_keep_table_files (slot->keeping);
  return slot;
}

/* Their weights are read when they are needed. */
static gboolean
load_pictures (AtlJob *job, GError **error)
{
  AtlDevices *devices = job->service->devices;
  g_autofree char *asked = g_strdup (job->load.device);
  AtlOpenclNeeds needs = { 0 };
  AtlBackend *backends[2];
  guint n_backends;
  AtlSlot *slot;

  if (job->load.pictures != NULL)
    atl_diffusion_model_dtypes (job->load.pictures, &needs.matrices, &needs.convs);
  else
    atl_upscaler_dtypes (job->load.upscaler, &needs.matrices, &needs.convs);
  if (!atl_job_check_programs (job, &needs, error))
    return FALSE;
  if (job->info != NULL)
    return TRUE;
  n_backends = atl_devices_choose (devices, job->load.device, backends, error);
  if (n_backends == 0)
    return FALSE;
  slot = job->slot = new_slot (job, atl_devices_cpu (devices, job->load.n_threads));
  slot->gpu = n_backends == 2 ? backends[0] : NULL;
  slot->runs_on = slot->gpu != NULL ? g_strdup (slot->gpu->description)
                                    : atl_devices_cpu_words (devices, slot->cpu, asked);
  g_free (slot->device);
  slot->device = g_steal_pointer (&asked);
  if (job->load.pictures != NULL)
    atl_picture_load (job, slot);
  else
    atl_upscale_load (job, slot);
  return TRUE;
}

/* Pictures give back what this model may use of the GPU. */
static void
make_vram (AtlJob *job, const AtlFit *fit)
{
  AtlService *self = job->service;
  AtlBackend *backends[2];

  if (atl_devices_choose (self->devices, job->load.device, backends, NULL) != 2)
    return;
  atl_turnstile_enter (self->turnstile);
  atl_ledger_make_vram (self, fit->needed_bytes / 10 * 11, NULL, FALSE);
  atl_turnstile_leave (self->turnstile);
}

static gboolean
load_run (AtlJob *job, GError **error)
{
  AtlDevices *devices = job->service->devices;
  g_autofree char *asked = g_strdup (job->load.device);
  g_auto (AtlFit) fit = { 0 };
  AtlOpenclNeeds needs = { 0 };
  AtlSlot *slot;
  AtlBackend *backends[2];
  guint n_backends;
  guint64 free_bytes;

  send_progress (job, 0, _ ("Reading the file"));
  if (!atl_load_open (job, error))
    return FALSE;
  if (job->load.pictures != NULL || job->load.upscaler != NULL)
    return load_pictures (job, error);
  if (!atl_chat_model_facts (job->load.model)->can_run)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, "%s",
                   atl_chat_model_facts (job->load.model)->why_not);
      return FALSE;
    }
  needs.matrices = atl_chat_model_matrix_dtypes (job->load.model);
  if (!atl_job_check_programs (job, &needs, error))
    return FALSE;
  if (job->info != NULL)
    return TRUE;
  if (!atl_load_judge (job, &fit, &free_bytes, error))
    return FALSE;
  if (!fit.fits || !make_room (job, &fit))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, _ ("Not enough memory. %s"), fit.words);
      return FALSE;
    }
  n_backends = atl_devices_choose (devices, job->load.device, backends, error);
  if (n_backends == 0 || g_cancellable_set_error_if_cancelled (job->cancellable, error))
    return FALSE;
  backends[n_backends - 1] = atl_devices_cpu (devices, job->load.n_threads);
  make_vram (job, &fit);
  slot = job->slot = new_slot (job, backends[n_backends - 1]);
  slot->options.n_ctx = fit.n_ctx;
  slot->options.weight_budget = fit.weight_budget;
  send_progress (job, OPEN_SHARE, _ ("Loading the model"));
  if (!atl_chat_model_load (job->load.model, backends, n_backends, &slot->options,
                            weights_progress_cb, job, job->cancellable, error))
    return FALSE;

  slot->runs_on = describe_place (devices, job->load.model, slot, asked);
  job->info = atl_load_info (job->load.model, &fit, free_bytes, slot->runs_on);
  g_free (slot->device);
  slot->device = g_steal_pointer (&asked);
  slot->uses_gpu = n_backends == 2 && atl_chat_model_device_bytes (job->load.model) > 0;
  slot->model = g_steal_pointer (&job->load.model);
  atl_slot_note_memory (slot);
  return TRUE;
}

static void
undone_cb (AtlJob *job, const GError *error)
{
  g_dbus_method_invocation_return_error_literal (g_steal_pointer (&job->invocation), G_IO_ERROR,
                                                 G_IO_ERROR_CANCELLED, _ ("Loading was cancelled"));
}

static void
load_done (AtlJob *job, const GError *error)
{
  AtlService *self = job->service;

  self->n_loads--;
  if (error != NULL)
    {
      g_dbus_method_invocation_return_gerror (g_steal_pointer (&job->invocation), error);
      return;
    }
  if (job->slot == NULL)
    {
      atl_ipc_engine1_complete_load_model (self->skeleton, g_steal_pointer (&job->invocation), NULL,
                                           0, job->info);
      return;
    }
  /* The cancel may have come when all was loaded: it still means what it says. Freeing is the
   * compute thread's work, as it may be running another plan on the same backend. */
  if (g_cancellable_is_cancelled (job->cancellable))
    {
      atl_job_again (job, atl_job_unload, undone_cb, self->compute);
      return;
    }
  do
    job->slot->id = ++self->next_slot;
  while (job->slot->id == 0 ||
         g_hash_table_contains (self->slots, GUINT_TO_POINTER (job->slot->id)));
  g_hash_table_insert (self->slots, GUINT_TO_POINTER (job->slot->id), atl_slot_ref (job->slot));
  atl_ledger_add (self, job->slot);
  atl_ipc_engine1_complete_load_model (self->skeleton, g_steal_pointer (&job->invocation), NULL,
                                       job->slot->id, job->info);
  atl_service_status_changed (self);
}

gboolean
atl_handle_load (AtlIpcEngine1 *skeleton,
                 GDBusMethodInvocation *invocation,
                 GUnixFDList *fds,
                 guint request,
                 GVariant *files,
                 GVariant *options,
                 AtlService *self)
{
  AtlJob *job =
      atl_load_begin (self, request, invocation, fds, files, options, load_run, load_done);

  if (job != NULL)
    {
      if (self->n_loads++ > 0)
        send_progress (job, 0, _ ("Waiting for the other model"));
      atl_job_start (job, self->compute);
    }
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}
