/* Holds the store, the client and the model in use, and tells everyone when they change. */
#define G_LOG_DOMAIN "atl-app"

#include "app/session-private.h"

#include <glib/gi18n.h>

#include "app/chat/conversation.h"
#include "app/models/model-list.h"
#include "app/words.h"
#include "atelier-config.h"
#include "store/library.h"

#define WATCH_S 2

G_DEFINE_FINAL_TYPE (AtlSession, atl_session, G_TYPE_OBJECT)

enum
{
  PROP_MODEL = 1,
  PROP_IS_LOADING,
  PROP_LOAD_FRACTION,
  PROP_LOAD_PHASE,
  N_PROPS
};
enum
{
  CHATS_CHANGED,
  MODELS_CHANGED,
  LOAD_FAILED,
  ANSWERED,
  NOTICE,
  N_SIGNALS
};

static GParamSpec *props[N_PROPS];
static guint signals[N_SIGNALS];

static void begin_load (AtlSession *self);

static void
end_load (AtlSession *self)
{
  g_clear_object (&self->load);
  g_clear_pointer (&self->load_paths, g_strfreev);
  g_clear_pointer (&self->load_name, g_free);
  g_clear_pointer (&self->load_phase, g_free);
  self->load_fraction = 0;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_IS_LOADING]);
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
      g_object_notify_by_pspec (G_OBJECT (self), props[PROP_LOAD_PHASE]);
    }
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_LOAD_FRACTION]);
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
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_MODEL]);
}

/* A model that only makes answers faster is no reason to be without the other. */
static void
try_without_draft (AtlSession *self, const GError *error)
{
  g_autofree char *words = g_strdup (error->message);
  g_autofree char *sentence =
      g_strdup_printf (_ ("The draft model is not used this time: %s"), words);

  self->load_drops_draft = TRUE;
  g_signal_emit (self, signals[NOTICE], 0, sentence);
  begin_load (self);
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
      if (self->load_has_draft)
        {
          try_without_draft (self, error);
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
      if (g_error_matches (error, ATL_ERROR, ATL_ERROR_NO_MEMORY) && !self->load_from_disk)
        self->refused_paths = g_steal_pointer (&self->load_paths);
      end_load (self);
      g_signal_emit (self, signals[LOAD_FAILED], 0, error, name);
      return;
    }
  end_load (self);
  g_set_object (&old, self->model);
  set_model (self, model);
  if (old != NULL && old != model)
    atl_session_retire (self, old);
  remember_model (self, model);
  if (atl_model_get_info (model)->notice[0] != '\0')
    g_signal_emit (self, signals[NOTICE], 0, atl_model_get_info (model)->notice);
  atl_session_restart_idle_timer (self);
}

static void
begin_load (AtlSession *self)
{
  AtlLoadOptions options = ATL_LOAD_OPTIONS_INIT;
  g_auto (GStrv) adapters = atl_session_dup_adapters (self, self->load_paths[0]);
  g_autofree char *draft = NULL;

  if (!self->load_drops_draft)
    options.draft = draft = atl_session_dup_draft (self, self->load_paths[0]);
  self->load_has_draft = draft != NULL;
  options.adapters = (const char *const *) adapters;
  options.n_ctx = self->n_ctx;
  options.gpu_layers = self->gpu_layers;
  options.cpu_experts = self->cpu_experts;
  options.from_disk = self->load_from_disk;
  options.device = g_settings_get_enum (self->settings, "device") == 1 ? "cpu" : "auto";
  options.n_threads = (guint) g_settings_get_int (self->settings, "n-threads");
  options.insist = self->load_insists;
  options.idle_minutes = (guint) g_settings_get_int (self->settings, "idle-unload-minutes");
  atl_client_load_model_async (self->client, (const char *const *) self->load_paths, &options,
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
  self->load_made_room = self->load_drops_draft = FALSE;
  self->load_fraction = 0;
  self->load_name = atl_model_list_get_name (self->models, paths[0]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_IS_LOADING]);
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
  atl_client_unload_async (self->client, model, NULL, unloaded_cb, g_object_ref (self));
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

void
atl_session_get_offload (AtlSession *self, gint *gpu_layers, gint *cpu_experts)
{
  *gpu_layers = self->gpu_layers;
  *cpu_experts = self->cpu_experts;
}

/* The memory is given back after some idle minutes; the handle stays and the next message loads the
 * model again by itself. */
static gboolean
idle_cb (gpointer data)
{
  AtlSession *self = data;

  self->idle_source = 0;
  if (self->model != NULL && self->running->len == 0 && atl_model_get_is_loaded (self->model))
    unload (self, self->model);
  return G_SOURCE_REMOVE;
}

void
atl_session_restart_idle_timer (AtlSession *self)
{
  int minutes = g_settings_get_int (self->settings, "idle-unload-minutes");

  g_clear_handle_id (&self->idle_source, g_source_remove);
  if (minutes > 0)
    self->idle_source = g_timeout_add_seconds ((guint) minutes * 60, idle_cb, self);
}

/* To make room for another model, or because nobody used it. */
static void
model_unloaded_cb (AtlClient *client, AtlModel *model, const char *words, AtlSession *self)
{
  g_signal_emit (self, signals[NOTICE], 0, words);
}

/* --- The engine's misfortunes --- */

static void
model_crashed_cb (AtlClient *client, AtlModel *model, guint count, gpointer data)
{
  AtlSession *self = data;
  g_autoptr (GError) error = NULL;

  if (!atl_store_model_crashed (self->store, atl_model_get_key (model), NULL, &error))
    g_debug ("crash of a model not noted: %s", error->message);
}

/* The terminal and other processes write to the same store. */
static gboolean
watch_cb (gpointer data)
{
  AtlSession *self = data;

  gboolean ours = atl_saver_take_activity (self->saver);

  atl_session_watch_saver (self);

  /* While an answer is written the change is most likely that; its end refreshes the list anyway.
   */
  if (atl_store_changed_elsewhere (self->store) && !ours)
    atl_session_emit_chats_changed (self);
  return G_SOURCE_CONTINUE;
}

static void
restore_crash_counts (AtlSession *self)
{
  g_autoptr (GPtrArray) rows = atl_store_model_list (self->store, NULL);

  for (guint i = 0; rows != NULL && i < rows->len; i++)
    {
      const AtlModelRow *row = g_ptr_array_index (rows, i);
      if (row->n_crashes > 0)
        atl_client_set_crash_count (self->client, row->path, row->n_crashes);
    }
}

/* --- GObject --- */

static void
atl_session_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AtlSession *self = ATL_SESSION (object);

  switch (id)
    {
    case PROP_MODEL:
      g_value_set_object (value, self->model);
      break;
    case PROP_IS_LOADING:
      g_value_set_boolean (value, self->load != NULL);
      break;
    case PROP_LOAD_FRACTION:
      g_value_set_double (value, self->load_fraction);
      break;
    case PROP_LOAD_PHASE:
      g_value_set_string (value, atl_session_get_load_phase (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
atl_session_dispose (GObject *object)
{
  AtlSession *self = ATL_SESSION (object);

  atl_session_cancel_load (self);
  g_clear_handle_id (&self->idle_source, g_source_remove);
  g_clear_handle_id (&self->watch_source, g_source_remove);
  if (self->running != NULL)
    g_ptr_array_set_size (self->running, 0);
  g_ptr_array_set_size (self->retired, 0);
  g_clear_object (&self->model);
  if (self->client != NULL)
    {
      g_signal_handlers_disconnect_by_data (self->client, self);
      atl_client_stop (self->client);
    }
  g_clear_object (&self->client);
  G_OBJECT_CLASS (atl_session_parent_class)->dispose (object);
}

static void
atl_session_finalize (GObject *object)
{
  AtlSession *self = ATL_SESSION (object);

  g_clear_object (&self->models);
  g_clear_pointer (&self->saver, atl_saver_free);
  atl_session_close_store (self);
  g_clear_pointer (&self->running, g_ptr_array_unref);
  g_clear_pointer (&self->retired, g_ptr_array_unref);
  g_clear_pointer (&self->conversations, g_hash_table_unref);
  g_clear_pointer (&self->files, g_hash_table_unref);
  g_clear_object (&self->settings);
  g_clear_error (&self->store_error);
  g_strfreev (self->refused_paths);
  G_OBJECT_CLASS (atl_session_parent_class)->finalize (object);
}

static void
atl_session_class_init (AtlSessionClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = atl_session_get_property;
  object_class->dispose = atl_session_dispose;
  object_class->finalize = atl_session_finalize;

  props[PROP_MODEL] = g_param_spec_object ("model", NULL, NULL, ATL_TYPE_MODEL, flags);
  props[PROP_IS_LOADING] = g_param_spec_boolean ("is-loading", NULL, NULL, FALSE, flags);
  props[PROP_LOAD_FRACTION] = g_param_spec_double ("load-fraction", NULL, NULL, 0, 1, 0, flags);
  props[PROP_LOAD_PHASE] = g_param_spec_string ("load-phase", NULL, NULL, NULL, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);

  signals[CHATS_CHANGED] = g_signal_new ("chats-changed", ATL_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0,
                                         NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[MODELS_CHANGED] = g_signal_new ("models-changed", ATL_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0,
                                          NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[LOAD_FAILED] = g_signal_new ("load-failed", ATL_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL,
                                       NULL, NULL, G_TYPE_NONE, 2, G_TYPE_ERROR, G_TYPE_STRING);
  signals[ANSWERED] = g_signal_new ("answered", ATL_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                    NULL, G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_INT64);
  signals[NOTICE] = g_signal_new ("notice", ATL_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                  NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
  g_signal_new ("trouble", ATL_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                G_TYPE_STRING);
}

static void
atl_session_init (AtlSession *self)
{
  self->conversations =
      g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, atl_session_free_weak);
  self->files = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_object_unref);
  self->running = g_ptr_array_new_with_free_func (g_object_unref);
  self->retired = g_ptr_array_new_with_free_func (g_object_unref);
  self->settings = g_settings_new (ATL_APP_ID);
  self->client = atl_client_new ();
  self->gpu_layers = self->cpu_experts = -1;
  g_signal_connect (self->client, "model-crashed", G_CALLBACK (model_crashed_cb), self);
  g_signal_connect (self->client, "model-unloaded", G_CALLBACK (model_unloaded_cb), self);
}

AtlSession *
atl_session_new (const char *store_dir, GError **error)
{
  g_autoptr (AtlSession) self = g_object_new (ATL_TYPE_SESSION, NULL);
  g_autofree char *rates = store_dir != NULL ? g_build_filename (store_dir, "picture-rates", NULL)
                                             : atl_client_rates_path ();

  atl_client_set_rates_file (self->client, rates);
  if (!atl_session_open_store (self, store_dir, error))
    return NULL;
  self->saver = atl_saver_new (self->store);
  self->models = atl_model_list_new (self->store, self->client);
  self->watch_source = g_timeout_add_seconds (WATCH_S, watch_cb, self);
  restore_crash_counts (self);
  atl_session_init_keeping (self);
  return g_steal_pointer (&self);
}

AtlStore *
atl_session_get_store (AtlSession *self)
{
  return self->store;
}

AtlSaver *
atl_session_get_saver (AtlSession *self)
{
  return self->saver;
}

AtlClient *
atl_session_get_client (AtlSession *self)
{
  return self->client;
}

AtlModelList *
atl_session_get_models (AtlSession *self)
{
  return self->models;
}

GSettings *
atl_session_get_settings (AtlSession *self)
{
  return self->settings;
}

const GError *
atl_session_get_store_error (AtlSession *self)
{
  return self->store_error;
}

AtlModel *
atl_session_get_model (AtlSession *self)
{
  return self->model;
}

const char *
atl_session_get_model_name (AtlSession *self)
{
  AtlModelEntry *entry;

  if (self->model == NULL)
    return NULL;
  entry = atl_model_list_find (self->models, atl_model_get_key (self->model));
  return entry ? entry->name : atl_model_get_info (self->model)->name;
}

gboolean
atl_session_get_is_loading (AtlSession *self)
{
  return self->load != NULL;
}

double
atl_session_get_load_fraction (AtlSession *self)
{
  return self->load_fraction;
}

const char *
atl_session_get_load_phase (AtlSession *self)
{
  return self->load_phase ? self->load_phase : _ ("Opening the model…");
}

const char *
atl_session_get_load_name (AtlSession *self)
{
  return self->load_name ? self->load_name : "";
}

void
atl_session_emit_chats_changed (AtlSession *self)
{
  g_signal_emit (self, signals[CHATS_CHANGED], 0);
}

void
atl_session_emit_models_changed (AtlSession *self)
{
  atl_model_list_refresh (self->models);
  g_signal_emit (self, signals[MODELS_CHANGED], 0);
}

void
atl_session_emit_answered (AtlSession *self, AtlConversation *conversation)
{
  g_signal_emit (self, signals[ANSWERED], 0, atl_conversation_get_title (conversation),
                 atl_conversation_get_chat_id (conversation));
}

void
atl_session_emit_notice (AtlSession *self, const char *sentence)
{
  g_signal_emit (self, signals[NOTICE], 0, sentence);
}
