/* Holds the store, the client and the model in use, and tells everyone when they change. */
#define G_LOG_DOMAIN "atl-app"

#include "app/session/session-private.h"

#include <glib/gi18n.h>

#include "app/chat/conversation.h"
#include "app/models/model-list.h"
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

/* To make room for another model, or because nobody used it. */
static void
model_unloaded_cb (AtlClient *client, AtlModel *model, const char *words, AtlSession *self)
{
  /* The engine only knows what the file is called, or says of itself. */
  const char *told = atl_model_get_info (model)->name, *at = strstr (words, told);
  g_autofree char *name = atl_model_list_get_name (self->models, atl_model_get_key (model));
  g_autofree char *better =
      at != NULL ? g_strdup_printf ("%.*s%s%s", (int) (at - words), words, name, at + strlen (told))
                 : g_strdup (words);

  g_signal_emit (self, signals[NOTICE], 0, better);
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

  if (self->models != NULL)
    g_object_run_dispose (G_OBJECT (self->models));
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
  g_free (self->adapter_words);
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
