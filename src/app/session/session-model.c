/* The model in use: loading it, also when memory is short, and giving its memory back. */
#define G_LOG_DOMAIN "atl-app"

#include "app/session/session-private.h"

#include "app/models/model-list.h"
#include "protocol/protocol.h"
#include "store/library.h"

static void begin_load (AtlSession *self);

static void
end_load (AtlSession *self)
{
  g_clear_object (&self->load);
  g_clear_pointer (&self->load_paths, g_strfreev);
  g_clear_pointer (&self->load_name, g_free);
  g_clear_pointer (&self->load_phase, g_free);
  self->load_fraction = 0;
  g_object_notify (G_OBJECT (self), "is-loading");
}

static void
load_progress_cb (double fraction, const char *phase, gpointer data)
{
  AtlSession *self = data;

  if (self->load == NULL)
    return;
  self->load_fraction = MAX (self->load_fraction, CLAMP (fraction, 0, 1));
  if (g_strcmp0 (self->load_phase, phase) != 0)
    {
      g_free (self->load_phase);
      self->load_phase = g_strdup (phase);
      g_object_notify (G_OBJECT (self), "load-phase");
    }
  g_object_notify (G_OBJECT (self), "load-fraction");
}

/* Errors of unloading say that the engine is gone, and then the memory is free as well. */
static void
unloaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlSession) self = data;
  g_autoptr (GError) error = NULL;

  if (!atl_client_unload_finish (ATL_CLIENT (source), result, &error))
    g_debug ("unload: %s", error->message);
  if (self->load != NULL && self->load_made_room)
    begin_load (self);
}

static void
unload (AtlSession *self, AtlModel *model)
{
  atl_client_unload_async (self->client, model, NULL, unloaded_cb, g_object_ref (self));
}

static void
remember_model (AtlSession *self, AtlModel *model)
{
  const AtlModelInfo *info = atl_model_get_info (model);
  g_autoptr (GError) error = NULL;
  AtlModelRow row = { .path = (char *) atl_model_get_key (model),
                      .name = info->name,
                      .kind = (char *) "llm",
                      .architecture = info->architecture,
                      .size_bytes = info->size_bytes };

  if (atl_store_model_save (self->store, &row, &error) == 0 ||
      !atl_store_model_used (self->store, row.path, &error))
    g_warning ("The library could not be updated: %s", error->message);
  g_settings_set_string (self->settings, "last-model", row.path);
  atl_session_emit_models_changed (self);
}

static void
set_model (AtlSession *self, AtlModel *model)
{
  if (g_set_object (&self->model, model))
    g_object_notify (G_OBJECT (self), "model");
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlSession) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModel) model = atl_client_load_model_finish (ATL_CLIENT (source), result, &error);
  g_autoptr (AtlModel) old = NULL;

  if (model == NULL)
    {
      g_autofree char *name = g_strdup (self->load_name);
      if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        {
          /* A newer load may have taken the place of the cancelled one. */
          if (self->load != NULL && g_cancellable_is_cancelled (self->load))
            end_load (self);
          return;
        }
      if (atl_session_ease_choices (self, error))
        {
          begin_load (self);
          return;
        }
      if (g_error_matches (error, ATL_ERROR, ATL_ERROR_NO_MEMORY) && self->model != NULL &&
          !self->load_made_room && !atl_session_is_busy (self, self->model) &&
          atl_session_room_would_do (self, self->load_paths[0]))
        {
          self->load_made_room = TRUE;
          unload (self, self->model);
          return;
        }
      if (atl_session_ease_context (self, error))
        {
          begin_load (self);
          return;
        }
      if (g_error_matches (error, ATL_ERROR, ATL_ERROR_NO_MEMORY) && !self->load_from_disk)
        self->refused_paths = g_steal_pointer (&self->load_paths);
      end_load (self);
      g_signal_emit_by_name (self, "load-failed", error, name);
      return;
    }
  end_load (self);
  g_set_object (&old, self->model);
  set_model (self, model);
  if (old != NULL && old != model)
    atl_session_retire (self, old);
  /* What it did to the engine is forgotten only where a person asks for it again. */
  if (!self->load_by_itself)
    remember_model (self, model);
  atl_session_tell_loaded (self, model);
  atl_session_restart_idle_timer (self);
}

static void
begin_load (AtlSession *self)
{
  g_auto (AtlSessionLoad) load;

  atl_session_load_init (&load, self, self->load_paths[0]);
  atl_session_ease_init (self, &load);
  load.options.n_ctx = self->load_n_ctx;
  load.options.gpu_layers = self->gpu_layers;
  load.options.cpu_experts = self->cpu_experts;
  load.options.from_disk = self->load_from_disk;
  load.options.insist = self->load_insists;
  atl_client_load_model_async (self->client, (const char *const *) self->load_paths, &load.options,
                               load_progress_cb, self, self->load, loaded_cb, g_object_ref (self));
}

static void
load_model (AtlSession *self, const char *const *paths, gboolean insist, gboolean from_disk)
{
  atl_session_cancel_load (self);
  g_clear_pointer (&self->refused_paths, g_strfreev);
  self->load = g_cancellable_new ();
  self->load_paths = g_strdupv ((char **) paths);
  self->load_insists = insist;
  self->load_from_disk = from_disk;
  self->load_by_itself = FALSE;
  self->load_n_ctx = self->n_ctx;
  self->load_made_room = self->load_drops_draft = FALSE;
  self->load_drops_missing = self->load_drops_adapters = FALSE;
  g_clear_pointer (&self->adapter_words, g_free);
  self->refused_n_ctx = 0;
  self->load_fraction = 0;
  self->load_name = atl_model_list_get_name (self->models, paths[0]);
  g_object_notify (G_OBJECT (self), "is-loading");
  begin_load (self);
}

void
atl_session_load_model (AtlSession *self, const char *const *paths, gboolean insist)
{
  g_return_if_fail (ATL_IS_SESSION (self));
  g_return_if_fail (paths != NULL && paths[0] != NULL);

  load_model (self, paths, insist, FALSE);
}

gboolean
atl_session_get_can_load_from_disk (AtlSession *self)
{
  g_return_val_if_fail (ATL_IS_SESSION (self), FALSE);
  return self->refused_paths != NULL;
}

void
atl_session_load_from_disk (AtlSession *self)
{
  g_auto (GStrv) paths = NULL;

  g_return_if_fail (ATL_IS_SESSION (self));
  paths = g_steal_pointer (&self->refused_paths);
  if (paths != NULL)
    load_model (self, (const char *const *) paths, FALSE, TRUE);
}

void
atl_session_cancel_load (AtlSession *self)
{
  g_return_if_fail (ATL_IS_SESSION (self));

  if (self->load == NULL)
    return;
  g_cancellable_cancel (self->load);
  end_load (self);
}

void
atl_session_unload_model (AtlSession *self)
{
  g_return_if_fail (ATL_IS_SESSION (self));

  if (self->model == NULL)
    return;
  g_autoptr (AtlModel) model = g_object_ref (self->model);
  set_model (self, NULL);
  unload (self, model);
}

AtlModel *
atl_session_use_model (AtlSession *self, AtlModel *model)
{
  AtlModel *before;

  g_return_val_if_fail (ATL_IS_SESSION (self), NULL);
  g_return_val_if_fail (ATL_IS_MODEL (model) && model != self->model, NULL);

  atl_session_cancel_load (self);
  before = self->model != NULL ? g_object_ref (self->model) : NULL;
  set_model (self, model);
  remember_model (self, model);
  atl_session_restart_idle_timer (self);
  return before;
}

void
atl_session_set_n_ctx (AtlSession *self, guint n_ctx)
{
  self->n_ctx = n_ctx;
}

void
atl_session_set_offload (AtlSession *self, gint gpu_layers, gint cpu_experts)
{
  self->gpu_layers = MAX (gpu_layers, -1);
  self->cpu_experts = MAX (cpu_experts, -1);
}

gboolean
atl_session_has_too_short_context (AtlSession *self, guint n_ctx)
{
  const AtlModelInfo *info = self->model != NULL ? atl_model_get_info (self->model) : NULL;
  guint asked, wanted;

  if (info == NULL)
    return FALSE;
  /* What was asked for and refused would be refused again. */
  asked =
      self->refused_n_ctx != 0 ? self->refused_n_ctx : atl_model_get_options (self->model)->n_ctx;
  wanted = n_ctx != 0 ? n_ctx : ATL_DEFAULT_N_CTX;
  if (info->n_ctx_train > 0)
    wanted = MIN (wanted, info->n_ctx_train);
  return asked != n_ctx && info->n_ctx < wanted;
}

void
atl_session_prepare (AtlSession *self, guint n_ctx)
{
  gboolean is_loaded;

  if (self->model == NULL || self->load != NULL)
    return;
  is_loaded = atl_model_get_is_loaded (self->model);
  if (is_loaded &&
      (!atl_session_has_too_short_context (self, n_ctx) || atl_session_is_busy (self, self->model)))
    return;
  atl_session_set_n_ctx (self, n_ctx);
  atl_session_load_model (self, atl_model_get_paths (self->model), FALSE);
  self->load_by_itself = TRUE;
}

/* --- Giving memory back --- */

gint64
atl_session_unload_unused (AtlSession *self, gint64 limit_us)
{
  gint64 unused_us;

  if (self->model == NULL || !atl_model_get_is_loaded (self->model))
    return 0;
  /* Others than chats ask it too: the notebook, comparisons, summaries. */
  unused_us = self->running->len == 0 ? atl_model_get_unused_us (self->model) : 0;
  if (unused_us < limit_us)
    return limit_us - unused_us;
  unload (self, self->model);
  return 0;
}

static void start_idle_timer (AtlSession *self, gint64 delay_us);

static gint64
idle_limit_us (AtlSession *self)
{
  return g_settings_get_int (self->settings, "idle-unload-minutes") * 60 * G_USEC_PER_SEC;
}

/* The memory is given back after some idle minutes; the handle stays and the next message loads the
 * model again by itself. */
static gboolean
idle_cb (gpointer data)
{
  AtlSession *self = data;
  gint64 limit_us = idle_limit_us (self);

  self->idle_source = 0;
  if (limit_us > 0)
    start_idle_timer (self, atl_session_unload_unused (self, limit_us));
  return G_SOURCE_REMOVE;
}

static void
start_idle_timer (AtlSession *self, gint64 delay_us)
{
  g_clear_handle_id (&self->idle_source, g_source_remove);
  if (delay_us > 0)
    self->idle_source =
        g_timeout_add_seconds ((guint) (delay_us / G_USEC_PER_SEC) + 1, idle_cb, self);
}

void
atl_session_restart_idle_timer (AtlSession *self)
{
  start_idle_timer (self, idle_limit_us (self));
}
