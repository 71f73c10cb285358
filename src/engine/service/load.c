/* LoadModel and Inspect: from descriptors to a slot. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <gio/gunixfdlist.h>
#include <string.h>
#include <unistd.h>

#include "base/dtype.h"
#include "engine/service/memory.h"
#include "engine/service/service-private.h"

#define MAX_NAME_BYTES 4096u
#define PROGRESS_INTERVAL_US (80 * 1000)
/* Share of the bar for reading the file's description. */
#define OPEN_SHARE 0.05

/* --- Arguments --- */

/* What only lies nearby comes behind the model's own files, which `n_own` counts. */
static void
sort_files (AtlJob *job)
{
  GPtrArray *lists[] = { job->maps, job->names };

  for (guint i = job->n_own = 0; i < job->names->len; i++)
    {
      if (g_str_has_prefix (job->names->pdata[i], ATL_NEARBY_PREFIX))
        continue;
      for (gsize k = 0; k < G_N_ELEMENTS (lists); k++)
        {
          gpointer own = lists[k]->pdata[i];

          memmove (lists[k]->pdata + job->n_own + 1, lists[k]->pdata + job->n_own,
                   (i - job->n_own) * sizeof (gpointer));
          lists[k]->pdata[job->n_own] = own;
        }
      job->n_own++;
    }
}

static gboolean
take_files (AtlJob *job, GUnixFDList *fds, GVariant *files, GError **error)
{
  gsize n = g_variant_n_children (files);
  int n_fds = fds != NULL ? g_unix_fd_list_get_length (fds) : 0;

  if (n == 0 || n > ATL_MAX_FILES)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("%zu files were handed over; 1 to %u are possible"), n, ATL_MAX_FILES);
      return FALSE;
    }
  job->maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  job->names = g_ptr_array_new_with_free_func (g_free);
  for (gsize i = 0; i < n; i++)
    {
      const char *name, *shown;
      gint32 handle;
      AtlFileMap *map;
      int fd;

      g_variant_get_child (files, i, "(&sh)", &name, &handle);
      if (handle < 0 || handle >= n_fds || *name == '\0' || strlen (name) > MAX_NAME_BYTES)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("file %zu has no name or no descriptor"), i);
          return FALSE;
        }
      fd = g_unix_fd_list_get (fds, handle, error);
      if (fd < 0)
        return FALSE;
      /* What an adapter's number is, is no news for a person. */
      shown = g_str_has_prefix (name, ATL_CHAT_ADAPTER_PREFIX) ||
                      g_str_has_prefix (name, ATL_CHAT_DRAFT_PREFIX)
                  ? strchr (name, '/')
                  : NULL;
      map = atl_file_map_new_from_fd (fd, shown != NULL ? shown + 1 : name, error);
      close (fd);
      if (map == NULL)
        return FALSE;
      g_ptr_array_add (job->maps, map);
      g_ptr_array_add (job->names, g_strdup (name));
    }
  sort_files (job);
  g_ptr_array_add (job->names, NULL);
  if (job->n_own > 0)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s", _ ("There are no files"));
  return FALSE;
}

static gboolean
take_options (AtlJob *job, GVariant *options, GError **error)
{
  g_autoptr (GVariant) strengths = NULL;
  g_autofree char *kv_type = atl_dict_string (options, ATL_LOAD_KV_TYPE, "f16");
  AtlBackend *backends[2];
  gint gpu_layers = atl_dict_int (options, ATL_LOAD_GPU_LAYERS, -1);
  gint cpu_experts = atl_dict_int (options, ATL_LOAD_CPU_EXPERTS, -1);

  job->n_ctx = atl_dict_uint (options, ATL_LOAD_N_CTX, 0);
  job->n_threads = atl_dict_uint (options, ATL_LOAD_N_THREADS, 0);
  job->device = atl_dict_string (options, ATL_LOAD_DEVICE, NULL);
  job->is_compiled = atl_dict_bool (options, ATL_LOAD_COMPILED, FALSE);
  job->gpu_problem = atl_dict_string (options, ATL_LOAD_GPU_PROBLEM, NULL);
  job->idle_minutes = atl_dict_uint (options, ATL_LOAD_IDLE_MINUTES, 0);
  job->name = atl_dict_string (options, ATL_LOAD_NAME, NULL);
  job->from_disk = atl_dict_bool (options, ATL_LOAD_FROM_DISK, FALSE);
  strengths = atl_dict_lookup (options, ATL_LOAD_ADAPTERS, "ad");
  if (strengths != NULL)
    atl_job_take_strengths (job, strengths);
  job->n_gpu_layers = gpu_layers < 0 ? G_MAXUINT : (guint) gpu_layers;
  job->n_cpu_experts = cpu_experts < 0 ? G_MAXUINT : (guint) cpu_experts;
  if (g_str_equal (kv_type, "f16"))
    job->kv_dtype = ATL_DTYPE_F16;
  else if (g_str_equal (kv_type, "q8_0"))
    job->kv_dtype = ATL_DTYPE_Q8_0;
  else if (g_str_equal (kv_type, "q4_0"))
    job->kv_dtype = ATL_DTYPE_Q4_0;
  else if (g_str_equal (kv_type, "f32"))
    job->kv_dtype = ATL_DTYPE_F32;
  else
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("kv-type is “%s”; it must be f16, q8_0, q4_0 or f32"), kv_type);
      return FALSE;
    }
  if (job->n_ctx > 1u << 24)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("n-ctx is %u; at most %u is possible"),
                   job->n_ctx, 1u << 24);
      return FALSE;
    }
  return atl_devices_choose (job->service->devices, job->device, backends, error) != 0;
}

/* --- What is told about a model --- */

static GVariant *
make_info (const AtlChatModel *model, const AtlFit *fit, guint64 free_bytes, const char *runs_on)
{
  const AtlChatFacts *facts = atl_chat_model_facts (model);
  const AtlChatFacts *draft = atl_chat_model_draft_facts (model);
  g_autofree char *notice = NULL;
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_INFO_NAME, "s", facts->name);
  g_variant_dict_insert (&dict, ATL_INFO_INSIDE, "s", facts->inside);
  g_variant_dict_insert (&dict, ATL_INFO_ARCHITECTURE, "s", facts->architecture);
  g_variant_dict_insert (&dict, ATL_INFO_QUANT, "s", facts->quant);
  g_variant_dict_insert (&dict, ATL_INFO_LICENCE, "s", facts->licence);
  g_variant_dict_insert (&dict, ATL_INFO_N_PARAMS, "t", facts->n_params);
  g_variant_dict_insert (&dict, ATL_INFO_SIZE_BYTES, "t", facts->size_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_WEIGHT_BYTES, "t", fit->memory.weight_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_KV_BYTES, "t", fit->memory.kv_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_SCRATCH_BYTES, "t", fit->memory.scratch_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_NEEDED_BYTES, "t", fit->needed_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_FREE_BYTES, "t", free_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_FITS, "b", fit->fits);
  g_variant_dict_insert (&dict, ATL_INFO_CAN_RUN, "b", facts->can_run);
  g_variant_dict_insert (&dict, ATL_INFO_FIT_WORDS, "s",
                         facts->can_run ? fit->words : facts->why_not);
  g_variant_dict_insert (&dict, ATL_INFO_N_CTX, "u", fit->n_ctx);
  g_variant_dict_insert (&dict, ATL_INFO_N_CTX_TRAIN, "u", facts->n_ctx_train);
  notice = g_strjoin (" ", fit->notice != NULL ? fit->notice : "",
                      facts->warning != NULL ? facts->warning : "", NULL);
  g_variant_dict_insert (&dict, ATL_INFO_NOTICE, "s", g_strstrip (notice));
  g_variant_dict_insert (&dict, ATL_INFO_RUNS_ON, "s", runs_on);
  g_variant_dict_insert (&dict, ATL_INFO_DRAFT, "s", draft != NULL ? draft->name : "");
  g_variant_dict_insert (&dict, ATL_INFO_HAS_TEMPLATE, "b", facts->has_template);
  g_variant_dict_insert (&dict, ATL_INFO_HAS_SYSTEM, "b", facts->has_system);
  g_variant_dict_insert (&dict, ATL_INFO_HAS_TOOLS, "b", facts->has_tools);
  g_variant_dict_insert (&dict, ATL_INFO_HAS_THINKING, "b", facts->has_thinking);
  g_variant_dict_insert (&dict, ATL_INFO_HAS_VISION, "b", facts->has_vision);
  g_variant_dict_insert (&dict, ATL_INFO_IS_TOY, "b", facts->is_toy);
  g_variant_dict_insert_value (&dict, ATL_INFO_RECOMMENDED, facts->recommended);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

static gboolean
open_chat (AtlJob *job, GError **error)
{
  job->model = atl_chat_model_open ((AtlFileMap *const *) job->maps->pdata,
                                    (const char *const *) job->names->pdata, job->n_own, error);
  return job->model != NULL &&
         (job->strengths == NULL || atl_job_set_strengths (job, job->model, error));
}

/* A chat model, or one for pictures. What is neither is told as the former. */
static gboolean
open_model (AtlJob *job, GError **error)
{
  g_autoptr (GError) as_picture = NULL;

  if (atl_picture_is_folder (job))
    return atl_picture_open (job, error);
  if (atl_upscale_is_meant (job))
    return atl_upscale_open (job, error);
  if (open_chat (job, error) && atl_chat_model_facts (job->model)->can_run)
    return TRUE;
  if (atl_picture_open (job, &as_picture) ||
      g_error_matches (as_picture, ATL_ERROR, ATL_ERROR_NOT_FOUND))
    {
      g_clear_error (error);
      g_clear_pointer (&job->model, atl_chat_model_free);
      if (as_picture != NULL)
        g_propagate_error (error, g_steal_pointer (&as_picture));
      return job->pictures != NULL;
    }
  if (atl_upscale_open (job, NULL))
    {
      g_clear_error (error);
      g_clear_pointer (&job->model, atl_chat_model_free);
      return TRUE;
    }
  return job->model != NULL && *error == NULL;
}

static gboolean
judge (AtlJob *job, AtlFit *fit, guint64 *free_bytes, GError **error)
{
  AtlFitRequest request = { .n_ctx = job->n_ctx,
                            .kv_dtype = job->kv_dtype,
                            .from_disk = job->from_disk };
  AtlBackend *backends[2];
  AtlMemory memory;
  guint64 idle_bytes;

  atl_ledger_read (job->service, &memory, &idle_bytes);
  /* What is idle goes when it is in the way. */
  *free_bytes = request.ram_free = memory.free_bytes + idle_bytes;
  request.ram_total = memory.total_bytes;
  if (atl_devices_choose (job->service->devices, job->device, backends, NULL) == 2)
    request.vram_free = backends[0]->memory_free;
  if (!atl_chat_model_facts (job->model)->can_run)
    {
      fit->words = g_strdup ("");
      return TRUE;
    }
  return atl_fit_judge (job->model, &request, fit, error);
}

/* --- Inspect --- */

static gboolean
inspect_run (AtlJob *job, GError **error)
{
  g_auto (AtlFit) fit = { 0 };
  guint64 free_bytes;

  job->info = atl_picture_inspect_lora (job);
  if (job->info != NULL)
    return TRUE;
  if (!open_model (job, error))
    {
      g_autofree char *missing = NULL;

      /* Only pictures come in parts. */
      if (!g_error_matches (*error, ATL_ERROR, ATL_ERROR_NOT_FOUND))
        return FALSE;
      missing = g_strdup ((*error)->message);
      g_clear_error (error);
      return atl_picture_inspect (job, missing, error);
    }
  if (job->pictures != NULL)
    return atl_picture_inspect (job, NULL, error);
  if (job->upscaler != NULL)
    {
      atl_upscale_inspect (job, "");
      return TRUE;
    }
  if (!judge (job, &fit, &free_bytes, error))
    return FALSE;
  job->info = make_info (job->model, &fit, free_bytes, "");
  return TRUE;
}

static void
inspect_done (AtlJob *job, const GError *error)
{
  if (error != NULL)
    g_dbus_method_invocation_return_gerror (g_steal_pointer (&job->invocation), error);
  else
    atl_ipc_engine1_complete_inspect (job->service->skeleton, g_steal_pointer (&job->invocation),
                                      NULL, job->info);
}

/* The common beginning of both: a job with files and options, or NULL when it was refused. */
static AtlJob *
begin (AtlService *self,
       guint request,
       GDBusMethodInvocation *invocation,
       GUnixFDList *fds,
       GVariant *files,
       GVariant *options,
       gboolean (*run) (AtlJob *, GError **),
       void (*done) (AtlJob *, const GError *))
{
  AtlJob *job = atl_job_new (self, request, FALSE, invocation);
  GError *error = NULL;

  if (job == NULL)
    return NULL;
  job->run = run;
  job->done = done;
  if (!take_files (job, fds, files, &error) || !take_options (job, options, &error))
    {
      atl_job_refuse (job, error);
      return NULL;
    }
  return job;
}

gboolean
atl_handle_inspect (AtlIpcEngine1 *skeleton,
                    GDBusMethodInvocation *invocation,
                    GUnixFDList *fds,
                    guint request,
                    GVariant *files,
                    GVariant *options,
                    AtlService *self)
{
  AtlJob *job = begin (self, request, invocation, fds, files, options, inspect_run, inspect_done);

  if (job != NULL)
    atl_job_start (job, self->reading);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

/* --- LoadModel --- */

static void
send_progress (AtlJob *job, double fraction, const char *phase)
{
  gint64 now = g_get_monotonic_time ();

  if (fraction < 1 && now - job->progress_sent_at < PROGRESS_INTERVAL_US)
    return;
  job->progress_sent_at = now;
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
                const AtlBackend *cpu,
                const char *device)
{
  char *words = atl_chat_model_placement (model);

  return words != NULL ? words : atl_devices_cpu_words (devices, cpu, device);
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
  slot->device = g_strdup (job->device);
  slot->idle_minutes = job->idle_minutes;
  slot->used_at = g_get_monotonic_time ();
  slot->options.kv_dtype = job->kv_dtype;
  slot->options.n_gpu_layers = job->n_gpu_layers;
  slot->options.n_cpu_experts = job->n_cpu_experts;
  slot->options.turnstile = job->service->turnstile;
  slot->options.room = (AtlChatRoom){ atl_ledger_room_cb, slot };
  slot->keeping = atl_keep_table_new (job->service);
  slot->options.keep = atl_keep_table_files (slot->keeping);
  return slot;
}

void
atl_slot_note_memory (AtlSlot *self)
{
  guint64 weights = atl_chat_model_host_bytes (self->model);

  __atomic_store_n (&self->ram_bytes, weights, __ATOMIC_RELAXED);
  __atomic_store_n (&self->vram_bytes, atl_chat_model_device_bytes (self->model), __ATOMIC_RELAXED);
  self->mapped_bytes = atl_chat_model_mapped_bytes (self->model);
}

/* Their weights are read when they are needed. */
static gboolean
load_pictures (AtlJob *job, GError **error)
{
  AtlDevices *devices = job->service->devices;
  g_autofree char *asked = g_strdup (job->device);
  AtlOpenclNeeds needs = { 0 };
  AtlBackend *backends[2];
  guint n_backends;
  AtlSlot *slot;

  if (job->pictures != NULL)
    atl_diffusion_model_dtypes (job->pictures, &needs.matrices, &needs.convs);
  else
    atl_upscaler_dtypes (job->upscaler, &needs.matrices, &needs.convs);
  if (!atl_job_check_programs (job, &needs, error))
    return FALSE;
  if (job->info != NULL)
    return TRUE;
  n_backends = atl_devices_choose (devices, job->device, backends, error);
  if (n_backends == 0)
    return FALSE;
  slot = job->slot = new_slot (job, atl_devices_cpu (devices, job->n_threads));
  slot->gpu = n_backends == 2 ? backends[0] : NULL;
  slot->runs_on = slot->gpu != NULL ? g_strdup (slot->gpu->description)
                                    : atl_devices_cpu_words (devices, slot->cpu, asked);
  g_free (slot->device);
  slot->device = g_steal_pointer (&asked);
  if (job->pictures != NULL)
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

  if (atl_devices_choose (self->devices, job->device, backends, NULL) != 2)
    return;
  atl_turnstile_enter (self->turnstile);
  atl_ledger_make_vram (self, fit->needed_bytes / 10 * 11, NULL, FALSE);
  atl_turnstile_leave (self->turnstile);
}

static gboolean
load_run (AtlJob *job, GError **error)
{
  AtlDevices *devices = job->service->devices;
  g_autofree char *asked = g_strdup (job->device);
  g_auto (AtlFit) fit = { 0 };
  AtlOpenclNeeds needs = { 0 };
  AtlSlot *slot;
  AtlBackend *backends[2];
  guint n_backends;
  guint64 free_bytes;

  send_progress (job, 0, _ ("Reading the file"));
  if (!open_model (job, error))
    return FALSE;
  if (job->pictures != NULL || job->upscaler != NULL)
    return load_pictures (job, error);
  if (!atl_chat_model_facts (job->model)->can_run)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, "%s",
                   atl_chat_model_facts (job->model)->why_not);
      return FALSE;
    }
  needs.matrices = atl_chat_model_matrix_dtypes (job->model);
  if (!atl_job_check_programs (job, &needs, error))
    return FALSE;
  if (job->info != NULL)
    return TRUE;
  if (!judge (job, &fit, &free_bytes, error))
    return FALSE;
  if (!fit.fits || !make_room (job, &fit))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, _ ("Not enough memory. %s"), fit.words);
      return FALSE;
    }
  n_backends = atl_devices_choose (devices, job->device, backends, error);
  if (n_backends == 0 || g_cancellable_set_error_if_cancelled (job->cancellable, error))
    return FALSE;
  backends[n_backends - 1] = atl_devices_cpu (devices, job->n_threads);
  make_vram (job, &fit);
  slot = job->slot = new_slot (job, backends[n_backends - 1]);
  slot->options.n_ctx = fit.n_ctx;
  slot->options.weight_budget = fit.weight_budget;
  send_progress (job, OPEN_SHARE, _ ("Loading the model"));
  if (!atl_chat_model_load (job->model, backends, n_backends, &slot->options, weights_progress_cb,
                            job, job->cancellable, error))
    return FALSE;

  slot->runs_on = describe_place (devices, job->model, slot->cpu, asked);
  job->info = make_info (job->model, &fit, free_bytes, slot->runs_on);
  g_free (slot->device);
  slot->device = g_steal_pointer (&asked);
  slot->uses_gpu = n_backends == 2 && atl_chat_model_device_bytes (job->model) > 0;
  slot->model = g_steal_pointer (&job->model);
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
  AtlJob *job = begin (self, request, invocation, fds, files, options, load_run, load_done);

  if (job != NULL)
    {
      if (self->n_loads++ > 0)
        send_progress (job, 0, _ ("Waiting for the other model"));
      atl_job_start (job, self->compute);
    }
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}
