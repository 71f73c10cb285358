/* Questions with one answer: the ledger, what a file is, whether a schema can be kept to, other
 * strengths; and unloading. */
#define G_LOG_DOMAIN "atl-client"

#include "client/client-private.h"

#include <glib/gi18n.h>

/* --- Asking for the ledger --- */

static void
refreshed_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlEngineProcess *process = ATL_ENGINE_PROCESS (source);
  g_autoptr (AtlClient) self = user_data;
  g_autoptr (GVariant) reply = atl_engine_process_call_finish (process, result, NULL);
  g_autoptr (GVariant) dict = NULL;

  /* An engine that is gone says so by itself. */
  if (reply == NULL || process != self->process)
    return;
  dict = g_variant_get_child_value (reply, 0);
  atl_client_take_status (self, dict);
}

void
atl_client_refresh_status (AtlClient *self)
{
  if (self->process == NULL)
    return;
  atl_engine_process_call (self->process, "GetStatus", NULL, "(a{sv})", NULL, refreshed_cb,
                           g_object_ref (self));
}

/* --- Inspecting --- */

typedef struct
{
  AtlRequest request;
  AtlOpenFiles *files;
  AtlLoadOptions options;
  char *kv_type;
  char *device;
  GSource *cancelled; /* (nullable) */
} Inspect;

static void
inspect_free (gpointer data)
{
  Inspect *inspect = data;

  g_clear_pointer (&inspect->files, atl_open_files_free);
  g_free (inspect->kv_type);
  g_free (inspect->device);
  g_free (inspect);
}

static gboolean
inspect_cancelled_cb (GCancellable *cancellable, gpointer user_data)
{
  GTask *task = user_data;
  Inspect *inspect = g_task_get_task_data (task);

  atl_client_cancel_request (g_task_get_source_object (task), &inspect->request);
  return G_SOURCE_REMOVE;
}

static void
inspected_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  AtlClient *self = g_task_get_source_object (task);
  Inspect *inspect = g_task_get_task_data (task);
  g_autoptr (GVariant) dict = NULL;
  GError *error = NULL;
  g_autoptr (GVariant) reply =
      atl_engine_process_call_finish (ATL_ENGINE_PROCESS (source), result, &error);

  if (inspect->cancelled != NULL)
    g_source_destroy (inspect->cancelled);
  g_clear_pointer (&inspect->cancelled, g_source_unref);
  atl_client_remove_request (self, &inspect->request);
  if (reply == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  dict = g_variant_get_child_value (reply, 0);
  g_task_return_pointer (task, atl_model_info_new_from_variant (dict),
                         (GDestroyNotify) atl_model_info_unref);
}

static void
inspect_started_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlClient *self = ATL_CLIENT (source);
  g_autoptr (GTask) task = user_data;
  Inspect *inspect = g_task_get_task_data (task);
  GCancellable *cancellable = g_task_get_cancellable (task);
  GError *error = NULL;

  if (!atl_client_start_finish (self, result, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  if (self->process == NULL)
    {
      g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s", self->sentence);
      return;
    }
  atl_client_add_request (self, &inspect->request);
  if (cancellable != NULL)
    {
      inspect->cancelled = g_cancellable_source_new (cancellable);
      g_source_set_callback (inspect->cancelled, G_SOURCE_FUNC (inspect_cancelled_cb), task, NULL);
      g_source_attach (inspect->cancelled, self->context);
    }
  atl_engine_process_call (
      self->process, "Inspect",
      atl_load_arguments (inspect->request.id, inspect->files, &inspect->options, NULL), "(a{sv})",
      inspect->files->fds, inspected_cb, g_object_ref (task));
  g_clear_pointer (&inspect->files, atl_open_files_free);
}

static void
inspect_opened_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GTask *task = user_data;
  Inspect *inspect = g_task_get_task_data (task);
  GError *error = NULL;

  inspect->files = atl_open_files_finish (result, &error);
  if (inspect->files == NULL)
    {
      g_task_return_error (task, error);
      g_object_unref (task);
      return;
    }
  atl_client_start_async (g_task_get_source_object (task), g_task_get_cancellable (task),
                          inspect_started_cb, task);
}

void
atl_client_inspect_async (AtlClient *self,
                          const char *const *paths,
                          const AtlLoadOptions *options,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data)
{
  static const AtlLoadOptions defaults = ATL_LOAD_OPTIONS_INIT;
  Inspect *inspect;
  GTask *task;

  g_return_if_fail (ATL_IS_CLIENT (self) && paths != NULL);
  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, atl_client_inspect_async);
  inspect = g_new0 (Inspect, 1);
  inspect->options = options != NULL ? *options : defaults;
  inspect->options.kv_type = inspect->kv_type = g_strdup (inspect->options.kv_type);
  inspect->options.device = inspect->device = g_strdup (inspect->options.device);
  g_task_set_task_data (task, inspect, inspect_free);
  atl_open_files_async (paths, options, cancellable, inspect_opened_cb, task);
}

AtlModelInfo *
atl_client_inspect_finish (AtlClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* --- Checking a schema and tools --- */

static void
form_checked_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) reply =
      atl_engine_process_call_finish (ATL_ENGINE_PROCESS (source), result, &error);

  if (reply == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

static void
form_started_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlClient *self = ATL_CLIENT (source);
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;

  if (!atl_client_start_finish (self, result, &error))
    g_task_return_error (task, error);
  else if (self->process == NULL)
    g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s", self->sentence);
  else
    atl_engine_process_call (self->process, "CheckForm",
                             g_variant_new ("(@a{sv})", g_task_get_task_data (task)), "()", NULL,
                             form_checked_cb, g_object_ref (task));
}

void
atl_client_check_form_async (AtlClient *self,
                             const char *json_schema,
                             const char *tools,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
  GVariantDict params;
  GTask *task;

  g_return_if_fail (ATL_IS_CLIENT (self));
  g_variant_dict_init (&params, NULL);
  if (json_schema != NULL)
    g_variant_dict_insert (&params, "json-schema", "s", json_schema);
  if (tools != NULL)
    g_variant_dict_insert (&params, "tools", "s", tools);
  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, atl_client_check_form_async);
  g_task_set_task_data (task, g_variant_ref_sink (g_variant_dict_end (&params)),
                        (GDestroyNotify) g_variant_unref);
  atl_client_start_async (self, cancellable, form_started_cb, task);
}

gboolean
atl_client_check_form_finish (AtlClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* --- Unloading --- */

static void
told_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) reply =
      atl_engine_process_call_finish (ATL_ENGINE_PROCESS (source), result, &error);

  /* An engine that ended has freed the memory too, and gets new strengths with the next load. */
  if (reply != NULL || g_error_matches (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE))
    {
      g_clear_error (&error);
      g_task_return_boolean (task, TRUE);
    }
  else
    g_task_return_error (task, error);
}

void
atl_client_unload_async (AtlClient *self,
                         AtlModel *model,
                         GCancellable *cancellable,
                         GAsyncReadyCallback callback,
                         gpointer user_data)
{
  g_autoptr (GTask) task = NULL;
  guint id;

  g_return_if_fail (ATL_IS_CLIENT (self) && ATL_IS_MODEL (model));
  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, atl_client_unload_async);
  id = model->id;
  if (id == 0 || self->process == NULL)
    {
      g_task_return_boolean (task, TRUE);
      return;
    }
  atl_client_set_model_loaded (self, model, 0, NULL);
  atl_engine_process_call (self->process, "UnloadModel", g_variant_new ("(u)", id), "()", NULL,
                           told_cb, g_steal_pointer (&task));
}

gboolean
atl_client_unload_finish (AtlClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* --- Strengths of adapters --- */

void
atl_client_set_strengths_async (AtlClient *self,
                                AtlModel *model,
                                const double *strengths,
                                guint n,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer user_data)
{
  g_autoptr (GTask) task = NULL;

  g_return_if_fail (ATL_IS_CLIENT (self) && ATL_IS_MODEL (model));
  g_return_if_fail (n == (model->adapters != NULL ? g_strv_length (model->adapters) : 0));
  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, atl_client_set_strengths_async);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *path = atl_adapter_parse (model->adapters[i], NULL);
      char number[G_ASCII_DTOSTR_BUF_SIZE];

      g_free (model->adapters[i]);
      model->adapters[i] =
          g_strconcat (path, ":", g_ascii_dtostr (number, sizeof number, strengths[i]), NULL);
    }
  if (model->id == 0 || self->process == NULL || n == 0)
    {
      g_task_return_boolean (task, TRUE);
      return;
    }
  atl_engine_process_call (
      self->process, "SetAdapters",
      g_variant_new (
          "(u@ad)", model->id,
          g_variant_new_fixed_array (G_VARIANT_TYPE_DOUBLE, strengths, n, sizeof *strengths)),
      "()", NULL, told_cb, g_steal_pointer (&task));
}

gboolean
atl_client_set_strengths_finish (AtlClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
