/* Loading, and loading again after the engine was lost: one load at a time for each handle. */
#define G_LOG_DOMAIN "atl-client"

#include "client/client-private.h"
#include "client/compile.h"
#include "client/open-files.h"

#include <glib/gi18n.h>

/* What compiling for the GPU takes of the bar. */
#define COMPILE_SHARE 0.5

/* --- Opening --- */

void
atl_open_files_free (AtlOpenFiles *self)
{
  if (self == NULL)
    return;
  g_clear_object (&self->fds);
  g_clear_pointer (&self->names, g_ptr_array_unref);
  g_free (self->title);
  g_free (self);
}

typedef struct
{
  char **paths, **adapters, *draft;
} Opening;

static void
opening_free (gpointer data)
{
  Opening *self = data;

  g_strfreev (self->paths);
  g_strfreev (self->adapters);
  g_free (self->draft);
  g_free (self);
}

static void
open_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  const Opening *opening = data;
  g_autoptr (AtlOpenFiles) files = g_new0 (AtlOpenFiles, 1);
  GError *error = NULL;

  files->title = g_filename_display_basename (opening->paths[0]);
  files->fds = atl_open_model_files ((const char *const *) opening->paths, &files->names, &error);
  for (guint i = 0; error == NULL && opening->adapters != NULL && opening->adapters[i] != NULL; i++)
    {
      g_autofree char *path = atl_adapter_parse (opening->adapters[i], NULL);
      atl_open_adapter_files (path, i, files->fds, files->names, &error);
    }
  if (error == NULL && opening->draft != NULL)
    atl_open_draft_files (opening->draft, files->fds, files->names, &error);
  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, g_steal_pointer (&files), (GDestroyNotify) atl_open_files_free);
}

void
atl_open_files_async (const char *const *paths,
                      const AtlLoadOptions *options,
                      GCancellable *cancellable,
                      GAsyncReadyCallback callback,
                      gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Opening *opening = g_new0 (Opening, 1);

  g_task_set_source_tag (task, atl_open_files_async);
  opening->paths = g_strdupv ((char **) paths);
  if (options != NULL)
    {
      opening->adapters = g_strdupv ((char **) options->adapters);
      opening->draft = g_strdup (options->draft);
    }
  g_task_set_task_data (task, opening, opening_free);
  g_task_run_in_thread (task, open_thread);
}

AtlOpenFiles *
atl_open_files_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* Strengths of adapters, ad, floating. */
static GVariant *
adapter_strengths (const char *const *adapters)
{
  GVariantBuilder list;

  g_variant_builder_init (&list, G_VARIANT_TYPE ("ad"));
  for (; *adapters != NULL; adapters++)
    {
      double strength;
      g_autofree char *path = atl_adapter_parse (*adapters, &strength);

      g_variant_builder_add (&list, "d", strength);
    }
  return g_variant_builder_end (&list);
}

GVariant *
atl_load_arguments (guint request,
                    const AtlOpenFiles *files,
                    const AtlLoadOptions *options,
                    const AtlCompiled *compiled)
{
  GVariantBuilder list;
  GVariantDict dict;

  g_variant_builder_init (&list, G_VARIANT_TYPE ("a(sh)"));
  for (guint i = 0; i < files->names->len; i++)
    g_variant_builder_add (&list, "(sh)", g_ptr_array_index (files->names, i), (gint32) i);
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_LOAD_NAME, "s", files->title);
  if (options->n_ctx != 0)
    g_variant_dict_insert (&dict, ATL_LOAD_N_CTX, "u", options->n_ctx);
  if (options->kv_type != NULL)
    g_variant_dict_insert (&dict, ATL_LOAD_KV_TYPE, "s", options->kv_type);
  if (options->device != NULL)
    g_variant_dict_insert (&dict, ATL_LOAD_DEVICE, "s", options->device);
  g_variant_dict_insert (&dict, ATL_LOAD_GPU_LAYERS, "i", options->gpu_layers);
  g_variant_dict_insert (&dict, ATL_LOAD_CPU_EXPERTS, "i", options->cpu_experts);
  if (options->from_disk)
    g_variant_dict_insert (&dict, ATL_LOAD_FROM_DISK, "b", TRUE);
  g_variant_dict_insert (&dict, ATL_LOAD_N_THREADS, "u", options->n_threads);
  if (compiled != NULL && compiled->problem != NULL)
    g_variant_dict_insert (&dict, ATL_LOAD_GPU_PROBLEM, "s", compiled->problem);
  else if (compiled != NULL && compiled->is_tried)
    g_variant_dict_insert (&dict, ATL_LOAD_COMPILED, "b", TRUE);
  g_variant_dict_insert (&dict, ATL_LOAD_IDLE_MINUTES, "u", options->idle_minutes);
  if (options->adapters != NULL && options->adapters[0] != NULL)
    g_variant_dict_insert_value (&dict, ATL_LOAD_ADAPTERS, adapter_strengths (options->adapters));
  return g_variant_new ("(ua(sh)@a{sv})", request, &list, g_variant_dict_end (&dict));
}

/* --- One load under way --- */

typedef struct
{
  AtlRequest request;
  AtlModel *model;
  AtlProgressFunc progress;
  gpointer progress_data;
  double fraction; /* the most that was reported */
  AtlOpenFiles *files;
  AtlCompiled compiled;
  GSource *cancelled; /* (nullable) while the engine has the request */
} Load;

static void load_started_cb (GObject *source, GAsyncResult *result, gpointer user_data);

static void
load_free (gpointer data)
{
  Load *load = data;

  g_clear_pointer (&load->files, atl_open_files_free);
  g_free (load->compiled.problem);
  g_object_unref (load->model);
  g_free (load);
}

/* Everyone who waits for this handle sees the same progress. */
static void
tell_progress (AtlModel *model, double fraction, const char *phase)
{
  for (GList *link = model->reloading.head; link != NULL; link = link->next)
    {
      Load *load = g_task_get_task_data (link->data);

      load->fraction = CLAMP (fraction, load->fraction, 1.0);
      if (load->progress != NULL)
        load->progress (load->fraction, phase, load->progress_data);
    }
}

static gboolean
is_at_work (GTask *task)
{
  Load *load = g_task_get_task_data (task);

  return g_queue_peek_head (&load->model->reloading) == task;
}

/* The engine has answered or is gone. */
static void
end_request (GTask *task)
{
  Load *load = g_task_get_task_data (task);

  if (load->cancelled != NULL)
    g_source_destroy (load->cancelled);
  g_clear_pointer (&load->cancelled, g_source_unref);
  atl_client_remove_request (g_task_get_source_object (task), &load->request);
}

/* Completes the load at work and everyone who waits for it. */
static void
load_done (GTask *task, GError *error)
{
  Load *load = g_task_get_task_data (task);
  GQueue waiting = load->model->reloading;
  GTask *next;

  end_request (task);
  g_queue_init (&load->model->reloading);
  while ((next = g_queue_pop_head (&waiting)) != NULL)
    {
      if (error != NULL)
        g_task_return_error (next, g_error_copy (error));
      else
        g_task_return_boolean (next, TRUE);
      g_object_unref (next);
    }
  g_clear_error (&error);
}

static gboolean
load_cancelled_cb (GCancellable *cancellable, gpointer user_data)
{
  GTask *task = user_data;
  Load *load = g_task_get_task_data (task);

  atl_client_cancel_request (g_task_get_source_object (task), &load->request);
  return G_SOURCE_REMOVE;
}

static void
load_signal (AtlRequest *request, const char *name, GVariant *params)
{
  Load *load = request->owner;
  const char *phase;
  double fraction;
  guint id;

  if (!g_str_equal (name, "LoadProgress") ||
      !g_variant_is_of_type (params, G_VARIANT_TYPE ("(uds)")))
    return;
  g_variant_get (params, "(ud&s)", &id, &fraction, &phase);
  if (fraction >= 0)
    tell_progress (load->model, fraction, phase);
}

/* --- Compiling for the GPU, when the engine lacks programs --- */

static void
compile_progress_cb (guint n_done, guint n_total, gpointer user_data)
{
  Load *load = g_task_get_task_data (user_data);
  g_autofree char *phase =
      g_strdup_printf (_ ("Preparing the graphics card, this once: %u of %u"), n_done, n_total);

  tell_progress (load->model, COMPILE_SHARE * n_done / MAX (n_total, 1), phase);
}

static void
compiled_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  AtlClient *self = g_task_get_source_object (task);
  Load *load = g_task_get_task_data (task);
  GCancellable *cancellable;
  GError *error = NULL;

  load->compiled.is_tried = TRUE;
  if (!atl_compile_finish (result, &error))
    {
      if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        {
          load_done (task, error);
          return;
        }
      load->compiled.problem = g_strdup (error->message);
      g_clear_error (&error);
    }
  /* The engine may have ended meanwhile. */
  cancellable = g_task_get_cancellable (task);
  atl_client_start_async (self, cancellable, load_started_cb, g_steal_pointer (&task));
}

static void
compile (GTask *task, guint64 matrices, guint64 convs)
{
  end_request (task);
  atl_compile_async (matrices, convs, compile_progress_cb, task, g_task_get_cancellable (task),
                     compiled_cb, g_object_ref (task));
}

/* --- Asking the engine --- */

static void
load_reply_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlEngineProcess *process = ATL_ENGINE_PROCESS (source);
  g_autoptr (GTask) task = user_data;
  AtlClient *self = g_task_get_source_object (task);
  Load *load = g_task_get_task_data (task);
  g_autoptr (GVariant) dict = NULL;
  g_autoptr (AtlModelInfo) info = NULL;
  GError *error = NULL;
  g_autoptr (GVariant) reply = atl_engine_process_call_finish (process, result, &error);
  guint id = 0;

  if (reply != NULL && (process != self->process || atl_engine_process_is_gone (process)))
    error = g_error_new (ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s", self->sentence);
  if (error != NULL)
    {
      load_done (task, error);
      return;
    }
  g_variant_get (reply, "(u@a{sv})", &id, &dict);
  if (id == 0 && !load->compiled.is_tried && atl_dict_uint64 (dict, ATL_INFO_COMPILE, 0) != 0)
    {
      compile (task, atl_dict_uint64 (dict, ATL_INFO_COMPILE, 0),
               atl_dict_uint64 (dict, ATL_INFO_COMPILE_CONVS, 0));
      return;
    }
  if (id == 0)
    {
      load_done (task, g_error_new (ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s",
                                    _ ("The engine gave an answer that makes no sense.")));
      return;
    }
  info = atl_model_info_new_from_variant (dict);
  atl_client_set_model_loaded (self, load->model, id, info);
  load_done (task, NULL);
}

static void
ask_engine (GTask *task)
{
  AtlClient *self = g_task_get_source_object (task);
  Load *load = g_task_get_task_data (task);
  GCancellable *cancellable = g_task_get_cancellable (task);

  load->request.model = load->model;
  load->request.owner = load;
  load->request.signal = load_signal;
  atl_client_add_request (self, &load->request);
  if (cancellable != NULL)
    {
      load->cancelled = g_cancellable_source_new (cancellable);
      g_source_set_callback (load->cancelled, G_SOURCE_FUNC (load_cancelled_cb), task, NULL);
      g_source_attach (load->cancelled, self->context);
    }
  atl_engine_process_call (
      self->process, "LoadModel",
      atl_load_arguments (load->request.id, load->files, &load->model->options, &load->compiled),
      "(ua{sv})", load->files->fds, load_reply_cb, g_object_ref (task));
}

static void
load_started_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlClient *self = ATL_CLIENT (source);
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;

  if (atl_client_start_finish (self, result, &error) && self->process == NULL)
    error = g_error_new (ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s", self->sentence);
  if (error != NULL)
    load_done (task, error);
  else
    ask_engine (task);
}

static void
load_opened_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GTask *task = user_data;
  Load *load = g_task_get_task_data (task);
  GError *error = NULL;

  load->files = atl_open_files_finish (result, &error);
  if (load->files == NULL)
    {
      load_done (task, error);
      g_object_unref (task);
      return;
    }
  tell_progress (load->model, 0, _ ("Starting the engine"));
  atl_client_start_async (g_task_get_source_object (task), g_task_get_cancellable (task),
                          load_started_cb, task);
}

void
atl_client_ensure_model_async (AtlClient *self,
                               AtlModel *model,
                               gboolean insist,
                               AtlProgressFunc progress,
                               gpointer progress_data,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  Load *load;

  g_task_set_source_tag (task, atl_client_ensure_model_async);
  /* What was loaded must be told as loaded even when the cancel came too late. */
  g_task_set_check_cancellable (task, FALSE);
  if (model->id != 0)
    {
      g_task_return_boolean (task, TRUE);
      return;
    }
  if (insist)
    atl_client_set_crash_count (self, atl_model_get_key (model), 0);
  if (atl_client_get_crash_count (self, atl_model_get_key (model)) >= ATL_MODEL_MAX_CRASHES)
    {
      g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_BUSY,
                               _ ("This model ended the engine %u times and is not loaded again by "
                                  "itself. Load it once more, or choose another model."),
                               atl_client_get_crash_count (self, atl_model_get_key (model)));
      return;
    }
  load = g_new0 (Load, 1);
  load->model = g_object_ref (model);
  load->progress = progress;
  load->progress_data = progress_data;
  g_task_set_task_data (task, load, load_free);
  g_queue_push_tail (&model->reloading, g_object_ref (task));
  if (is_at_work (task))
    atl_open_files_async ((const char *const *) model->paths, &model->options, cancellable,
                          load_opened_cb, g_steal_pointer (&task));
}

gboolean
atl_client_ensure_model_finish (AtlClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* --- Loading on request --- */

static void
load_ensured_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlClient *self = ATL_CLIENT (source);
  g_autoptr (GTask) task = user_data;
  AtlModel *model = g_task_get_task_data (task);
  GError *error = NULL;

  if (!atl_client_ensure_model_finish (self, result, &error))
    g_task_return_error (task, error);
  else if (g_task_return_error_if_cancelled (task))
    atl_client_unload_async (self, model, NULL, NULL, NULL);
  else
    g_task_return_pointer (task, g_object_ref (model), g_object_unref);
}

void
atl_client_load_model_async (AtlClient *self,
                             const char *const *paths,
                             const AtlLoadOptions *options,
                             AtlProgressFunc progress,
                             gpointer progress_data,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
  AtlModel *model;
  GTask *task;

  g_return_if_fail (ATL_IS_CLIENT (self) && paths != NULL && paths[0] != NULL);
  model = atl_model_new (paths, options);
  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, atl_client_load_model_async);
  g_task_set_check_cancellable (task, FALSE);
  g_task_set_task_data (task, model, g_object_unref);
  atl_client_ensure_model_async (self, model, options != NULL && options->insist, progress,
                                 progress_data, cancellable, load_ensured_cb, task);
}

AtlModel *
atl_client_load_model_finish (AtlClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
