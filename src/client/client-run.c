/* One engine at a time: its start, what it signals, its end, and the next start. */
#define G_LOG_DOMAIN "atl-client"

#include "client/client-private.h"

#include <glib/gi18n.h>

/* An engine that ended sooner than this after its start counts as a failed start. */
#define SHORT_LIFE_US (10 * G_USEC_PER_SEC)
#define MAX_FAILURES 3u
#define RESTART_DELAY_MS 300u
#define STATUS_INTERVAL_S 2u

static void begin_start (AtlClient *self);

static void
set_state (AtlClient *self, AtlEngineState state, const char *sentence)
{
  gboolean changed = self->state != state;

  self->state = state;
  if (g_strcmp0 (self->sentence, sentence) != 0)
    {
      g_free (self->sentence);
      self->sentence = g_strdup (sentence);
      g_object_notify (G_OBJECT (self), "sentence");
    }
  if (changed)
    g_object_notify (G_OBJECT (self), "state");
}

/* --- Status --- */

void
atl_client_take_status (AtlClient *self, GVariant *dict)
{
  AtlEngineStatus *status = NULL;

  if (dict != NULL)
    status =
        atl_engine_status_new_from_variant (dict, atl_engine_process_get_facts (self->process));
  g_clear_pointer (&self->status, atl_engine_status_unref);
  self->status = status;
  g_object_notify (G_OBJECT (self), "status");
}

static gboolean
status_timer_cb (gpointer user_data)
{
  AtlClient *self = user_data;
  guint notify = g_signal_lookup ("notify", G_TYPE_OBJECT);

  if (g_signal_has_handler_pending (self, notify, g_quark_from_static_string ("status"), FALSE))
    atl_client_refresh_status (self);
  return G_SOURCE_CONTINUE;
}

/* --- The end of an engine --- */

/* The model at work when the engine ended is blamed. */
static void
blame (AtlClient *self)
{
  AtlModel *model = atl_client_model_at_work (self);
  guint count;

  if (model == NULL)
    return;
  count = atl_client_get_crash_count (self, atl_model_get_key (model)) + 1;
  atl_client_set_crash_count (self, atl_model_get_key (model), count);
  g_signal_emit_by_name (self, "model-crashed", model, count);
}

/* Forgets the process; everything in flight ends with `sentence`. */
static void
drop_process (AtlClient *self, AtlEngineState state, const char *sentence)
{
  g_autoptr (AtlEngineProcess) process = g_steal_pointer (&self->process);
  g_autoptr (GHashTable) loaded = NULL;
  GHashTableIter iter;
  gpointer model;

  if (process != NULL)
    g_signal_handlers_disconnect_by_data (process, self);
  atl_client_remove_timer (self, &self->status_timer);
  loaded = g_steal_pointer (&self->loaded);
  self->loaded = g_hash_table_new_full (NULL, NULL, g_object_unref, NULL);
  g_hash_table_iter_init (&iter, loaded);
  while (g_hash_table_iter_next (&iter, &model, NULL))
    atl_model_set_loaded (model, 0, NULL);

  atl_client_drop_kept (self);
  atl_client_end_requests (self, sentence);
  atl_client_take_status (self, NULL);
  set_state (self, state, sentence);
}

static gboolean
restart_cb (gpointer user_data)
{
  AtlClient *self = user_data;

  self->restart_timer = 0;
  begin_start (self);
  return G_SOURCE_REMOVE;
}

static void
gone_cb (AtlEngineProcess *process, const char *sentence, AtlClient *self)
{
  g_object_ref (self);
  if (g_get_monotonic_time () - self->started_at < SHORT_LIFE_US)
    self->n_failures++;
  else
    self->n_failures = 1;
  if (!self->is_given_up)
    blame (self);
  self->is_given_up = FALSE;
  drop_process (self, ATL_ENGINE_LOST, sentence);
  g_signal_emit_by_name (self, "engine-lost", sentence);
  /* Unless a handler above asked for something and thereby started it. */
  if (!self->is_disposed && self->process == NULL && !self->is_starting &&
      self->n_failures <= MAX_FAILURES)
    {
      self->is_starting = TRUE;
      self->restart_timer = atl_client_add_timer (self, RESTART_DELAY_MS, restart_cb, self);
    }
  g_object_unref (self);
}

static void
pulse_cb (AtlEngineProcess *process, gint pulse, AtlClient *self)
{
  if (pulse == ATL_PULSE_SILENT)
    set_state (self, ATL_ENGINE_NOT_RESPONDING, _ ("The engine does not respond."));
  else
    set_state (self, ATL_ENGINE_READY, _ ("Ready"));
}

/* A driver that hangs holds the engine's computing thread for good: the next engine computes on the
 * processor. */
static void
device_silent (AtlClient *self, guint state)
{
  if (state == ATL_DEVICE_GOES_ON)
    set_state (self, ATL_ENGINE_READY, _ ("Ready"));
  else if (state == ATL_DEVICE_SILENT)
    set_state (self, ATL_ENGINE_NOT_RESPONDING, _ ("The graphics card does not respond."));
  else if (state == ATL_DEVICE_HANGS)
    {
      self->gpu_hung = self->is_given_up = TRUE;
      atl_engine_process_kill (self->process,
                               _ ("The graphics card did not respond any more. What comes next is "
                                  "computed without it."));
    }
}

/* The engine needed the memory, or nobody used the model: the handle stays and loads again. */
static void
take_unloaded (AtlClient *self, GVariant *params)
{
  g_autoptr (AtlModel) model = NULL;
  GHashTableIter iter;
  const char *words;
  gpointer key;
  guint id;

  if (!g_variant_is_of_type (params, G_VARIANT_TYPE ("(us)")))
    return;
  g_variant_get (params, "(u&s)", &id, &words);
  g_hash_table_iter_init (&iter, self->loaded);
  while (model == NULL && g_hash_table_iter_next (&iter, &key, NULL))
    if (((AtlModel *) key)->id == id)
      model = g_object_ref (key);
  if (model == NULL)
    return;
  atl_client_set_model_loaded (self, model, 0, NULL);
  g_signal_emit_by_name (self, "model-unloaded", model, words);
}

static void
signal_cb (AtlEngineProcess *process, const char *name, GVariant *params, AtlClient *self)
{
  g_autoptr (GVariant) number = NULL;
  AtlRequest *request;

  if (g_str_equal (name, "ModelUnloaded"))
    {
      take_unloaded (self, params);
      return;
    }
  if (g_str_equal (name, "Kept"))
    {
      guint64 which;
      guint n_tokens;

      if (g_variant_is_of_type (params, G_VARIANT_TYPE ("(tu)")))
        {
          g_variant_get (params, "(tu)", &which, &n_tokens);
          atl_client_take_kept (self, which, n_tokens);
        }
      return;
    }
  if (g_str_equal (name, "StatusChanged"))
    {
      g_autoptr (GVariant) dict = NULL;

      if (g_variant_is_of_type (params, G_VARIANT_TYPE ("(a{sv})")))
        {
          dict = g_variant_get_child_value (params, 0);
          atl_client_take_status (self, dict);
        }
      return;
    }
  if (g_str_equal (name, "DeviceSilent"))
    {
      guint state;

      if (g_variant_is_of_type (params, G_VARIANT_TYPE ("(u)")))
        {
          g_variant_get (params, "(u)", &state);
          device_silent (self, state);
        }
      return;
    }
  if (!g_variant_is_of_type (params, G_VARIANT_TYPE_TUPLE) || g_variant_n_children (params) == 0)
    return;
  number = g_variant_get_child_value (params, 0);
  if (!g_variant_is_of_type (number, G_VARIANT_TYPE_UINT32))
    return;
  request = g_hash_table_lookup (self->requests, GUINT_TO_POINTER (g_variant_get_uint32 (number)));
  if (request != NULL && request->signal != NULL)
    request->signal (request, name, params);
}

/* --- The start of an engine --- */

static void
finish_waiting (AtlClient *self, const GError *error)
{
  GQueue waiting = self->waiting;
  GTask *task;

  g_queue_init (&self->waiting);
  while ((task = g_queue_pop_head (&waiting)) != NULL)
    {
      if (error != NULL)
        g_task_return_error (task, g_error_copy (error));
      else
        g_task_return_boolean (task, TRUE);
      g_object_unref (task);
    }
}

static void
started_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AtlClient) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlEngineProcess) process = atl_engine_process_start_finish (result, &error);

  g_clear_object (&self->start_cancellable);
  self->is_starting = FALSE;
  self->started_at = g_get_monotonic_time ();
  if (process == NULL)
    {
      if (self->is_disposed || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        {
          finish_waiting (self, error);
          return;
        }
      self->n_failures++;
      self->n_failed_starts++;
      if (self->n_failed_starts % 2 == 1 &&
          g_error_matches (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE))
        {
          begin_start (self);
          return;
        }
      set_state (self, ATL_ENGINE_LOST, error->message);
      finish_waiting (self, error);
      return;
    }
  self->process = g_steal_pointer (&process);
  g_signal_connect (self->process, "gone", G_CALLBACK (gone_cb), self);
  g_signal_connect (self->process, "pulse", G_CALLBACK (pulse_cb), self);
  g_signal_connect (self->process, "signal", G_CALLBACK (signal_cb), self);
  self->status_timer = atl_client_add_timer (self, STATUS_INTERVAL_S * 1000, status_timer_cb, self);
  set_state (self, ATL_ENGINE_READY, _ ("Ready"));
  atl_client_refresh_status (self);
  finish_waiting (self, NULL);
}

static void
begin_start (AtlClient *self)
{
  self->is_starting = TRUE;
  self->start_cancellable = g_cancellable_new ();
  set_state (self, ATL_ENGINE_STARTING, _ ("The engine is starting."));
  g_main_context_push_thread_default (self->context);
  /* A GPU's driver can end the engine before it says hello: then try without. */
  atl_engine_process_start_async (self->gpu_hung || self->n_failed_starts % 2 == 1,
                                  self->start_cancellable, started_cb, g_object_ref (self));
  g_main_context_pop_thread_default (self->context);
}

void
atl_client_start_async (AtlClient *self,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer user_data)
{
  g_autoptr (GTask) task = NULL;

  g_return_if_fail (ATL_IS_CLIENT (self));
  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, atl_client_start_async);
  if (self->process != NULL)
    {
      g_task_return_boolean (task, TRUE);
      return;
    }
  g_queue_push_tail (&self->waiting, g_steal_pointer (&task));
  /* Somebody waits: no more pause before the restart. */
  if (!self->is_starting || self->restart_timer != 0)
    {
      atl_client_remove_timer (self, &self->restart_timer);
      begin_start (self);
    }
}

gboolean
atl_client_start_finish (AtlClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

void
atl_client_stop (AtlClient *self)
{
  g_return_if_fail (ATL_IS_CLIENT (self));

  if (self->restart_timer != 0)
    {
      g_autoptr (GError) stopped =
          g_error_new_literal (ATL_ERROR, ATL_ERROR_ENGINE_GONE, _ ("The engine was stopped."));

      atl_client_remove_timer (self, &self->restart_timer);
      self->is_starting = FALSE;
      finish_waiting (self, stopped);
    }
  if (self->start_cancellable != NULL)
    g_cancellable_cancel (self->start_cancellable);
  if (self->process != NULL)
    atl_engine_process_kill (self->process, _ ("The engine was stopped."));
  drop_process (self, ATL_ENGINE_STOPPED, _ ("The engine was stopped."));
}
