/* The arguments of LoadModel and Inspect: files behind descriptors, and how to load them. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <gio/gunixfdlist.h>
#include <string.h>
#include <unistd.h>

#include "base/dtype.h"
#include "engine/service/load.h"
#include "engine/service/service-private.h"
#include "protocol/protocol.h"

#define MAX_NAME_BYTES 4096u

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

  job->load.n_ctx = atl_dict_uint (options, ATL_LOAD_N_CTX, 0);
  job->load.n_threads = atl_dict_uint (options, ATL_LOAD_N_THREADS, 0);
  job->load.device = atl_dict_string (options, ATL_LOAD_DEVICE, NULL);
  job->load.is_compiled = atl_dict_bool (options, ATL_LOAD_COMPILED, FALSE);
  job->load.gpu_problem = atl_dict_string (options, ATL_LOAD_GPU_PROBLEM, NULL);
  job->load.idle_minutes = atl_dict_uint (options, ATL_LOAD_IDLE_MINUTES, 0);
  job->load.name = atl_dict_string (options, ATL_LOAD_NAME, NULL);
  job->load.from_disk = atl_dict_bool (options, ATL_LOAD_FROM_DISK, FALSE);
  strengths = atl_dict_lookup (options, ATL_LOAD_ADAPTERS, "ad");
  if (strengths != NULL)
    atl_job_take_strengths (job, strengths);
  job->load.n_gpu_layers = gpu_layers < 0 ? G_MAXUINT : (guint) gpu_layers;
  job->load.n_cpu_experts = cpu_experts < 0 ? G_MAXUINT : (guint) cpu_experts;
  if (g_str_equal (kv_type, "f16"))
    job->load.kv_dtype = ATL_DTYPE_F16;
  else if (g_str_equal (kv_type, "q8_0"))
    job->load.kv_dtype = ATL_DTYPE_Q8_0;
  else if (g_str_equal (kv_type, "q4_0"))
    job->load.kv_dtype = ATL_DTYPE_Q4_0;
  else if (g_str_equal (kv_type, "f32"))
    job->load.kv_dtype = ATL_DTYPE_F32;
  else
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("kv-type is “%s”; it must be f16, q8_0, q4_0 or f32"), kv_type);
      return FALSE;
    }
  if (job->load.n_ctx > 1u << 24)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("n-ctx is %u; at most %u is possible"),
                   job->load.n_ctx, 1u << 24);
      return FALSE;
    }
  return atl_devices_choose (job->service->devices, job->load.device, backends, error) != 0;
}

AtlJob *
atl_load_begin (AtlService *self,
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
