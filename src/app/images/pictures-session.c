/* The picture model in use, and the draft of the next picture. */
#define G_LOG_DOMAIN "atl-app"

#include "app/images/pictures-session-private.h"

#include <glib/gi18n.h>

#include "app/models/model-list.h"
#include "app/words.h"
#include "hub/starter.h"
#include "store/library.h"

#define DRAFT_KEY "images-draft"
#define DRAFT_MS 500u

G_DEFINE_FINAL_TYPE (AtlPicturesSession, atl_pictures_session, G_TYPE_OBJECT)

enum
{
  PROP_MODEL = 1,
  PROP_IS_LOADING,
  PROP_CURRENT,
  PROP_START,
  PROP_LACKING,
  PROP_IS_PAUSED,
  N_PROPS
};
enum
{
  SETTINGS_CHANGED,
  SAVED,
  FAILED,
  LOAD_FAILED,
  N_SIGNALS
};

static GParamSpec *props[N_PROPS];
static guint signals[N_SIGNALS];

/* --- The model --- */

static void
end_load (AtlPicturesSession *self)
{
  g_clear_object (&self->load);
  g_clear_pointer (&self->load_name, g_free);
  g_clear_pointer (&self->load_phase, g_free);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_IS_LOADING]);
}

/* Preparing the graphics card takes a while, the first time. */
static void
load_progress_cb (double fraction, const char *phase, gpointer data)
{
  AtlPicturesSession *self = data;

  if (self->load == NULL || g_strcmp0 (self->load_phase, phase) == 0)
    return;
  g_free (self->load_phase);
  self->load_phase = g_strdup (phase);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_IS_LOADING]);
}

static void
remember_model (AtlPicturesSession *self)
{
  const AtlModelInfo *info = atl_model_get_info (self->model);
  AtlStore *store = atl_session_get_store (self->session);
  g_autoptr (GError) error = NULL;
  AtlModelRow row = { .path = (char *) atl_model_get_key (self->model),
                      .name = info->name,
                      .kind = (char *) "image",
                      .architecture = info->architecture,
                      .size_bytes = info->size_bytes };

  if (atl_store_model_save (store, &row, &error) == 0 ||
      !atl_store_model_used (store, row.path, &error))
    g_warning ("The library could not be updated: %s", error->message);
  g_settings_set_string (atl_session_get_settings (self->session), "last-picture-model", row.path);
  atl_session_emit_models_changed (self->session);
}

static void
unloaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;

  if (!atl_client_unload_finish (ATL_CLIENT (source), result, &error))
    g_debug ("unload: %s", error->message);
}

/* Not while one of its pictures waits: asked again it would be loaded again anyway. */
static void
unload (AtlPicturesSession *self, AtlModel *model)
{
  GListModel *queue = G_LIST_MODEL (self->queue);

  for (guint i = 0; i < g_list_model_get_n_items (queue); i++)
    {
      g_autoptr (AtlPictureTask) task = g_list_model_get_item (queue, i);

      if (atl_picture_task_get_model (task) == model)
        return;
    }
  atl_client_unload_async (atl_session_get_client (self->session), model, NULL, unloaded_cb, NULL);
}

static void
set_lacking (AtlPicturesSession *self, AtlModelInfo *info)
{
  if (self->lacking == info)
    return;
  g_clear_pointer (&self->lacking, atl_model_info_unref);
  self->lacking = info != NULL ? atl_model_info_ref (info) : NULL;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_LACKING]);
}

const AtlModelInfo *
atl_pictures_session_get_lacking (AtlPicturesSession *self, const char **path)
{
  *path = self->lacking_path;
  return self->lacking;
}

typedef struct
{
  AtlPicturesSession *self;
  char *path, *name;
  GError *error; /* of loading it */
} Lacking;

static void
inspected_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Lacking *lacking = data;
  AtlPicturesSession *self = lacking->self;
  g_autoptr (AtlModelInfo) info = atl_client_inspect_finish (ATL_CLIENT (source), result, NULL);

  /* Another one was chosen meanwhile. */
  if (!self->is_gone && g_strcmp0 (self->lacking_path, lacking->path) == 0)
    {
      if (info != NULL && atl_model_info_can_be_completed (info))
        set_lacking (self, info);
      else
        g_signal_emit (self, signals[LOAD_FAILED], 0, lacking->error, lacking->name);
    }
  g_object_unref (self);
  g_free (lacking->path);
  g_free (lacking->name);
  g_error_free (lacking->error);
  g_free (lacking);
}

/* What is not whole may become so: then that is offered instead of only saying so. */
static void
ask_what_it_lacks (AtlPicturesSession *self, const char *name, const GError *error)
{
  Lacking *lacking = g_new0 (Lacking, 1);

  lacking->self = g_object_ref (self);
  lacking->path = g_strdup (self->lacking_path);
  lacking->name = g_strdup (name);
  lacking->error = g_error_copy (error);
  atl_client_inspect_async (atl_session_get_client (self->session),
                            (const char *[]){ self->lacking_path, NULL }, NULL, NULL, inspected_cb,
                            lacking);
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlPicturesSession) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModel) model = atl_client_load_model_finish (ATL_CLIENT (source), result, &error);
  g_autoptr (AtlModel) old = NULL;
  g_autofree char *name = NULL;

  if (self->is_gone || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  name = g_strdup (self->load_name);
  if (model != NULL && !atl_model_get_info (model)->is_picture)
    {
      /* It chats: it has its own page. */
      atl_client_unload_async (ATL_CLIENT (source), model, NULL, unloaded_cb, NULL);
      g_clear_object (&model);
      error = g_error_new (ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                           _ ("“%s” is a model for chats and makes no pictures."), name);
    }
  if (model == NULL)
    {
      end_load (self);
      if (g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND))
        ask_what_it_lacks (self, name, error);
      else
        g_signal_emit (self, signals[LOAD_FAILED], 0, error, name);
      return;
    }
  old = g_steal_pointer (&self->model);
  self->model = g_object_ref (model);
  end_load (self);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_MODEL]);
  if (old != NULL && old != model)
    unload (self, old);
  remember_model (self);
  atl_pictures_session_work (self);
}

void
atl_pictures_session_load_options (AtlPicturesSession *self, AtlLoadOptions *options)
{
  GSettings *settings = atl_session_get_settings (self->session);

  options->device = g_settings_get_enum (settings, "device") == 1 ? "cpu" : "auto";
  options->n_threads = (guint) g_settings_get_int (settings, "n-threads");
  options->idle_minutes = (guint) g_settings_get_int (settings, "idle-unload-minutes");
}

void
atl_pictures_session_load_model (AtlPicturesSession *self,
                                 const char *const *paths,
                                 gboolean insist)
{
  AtlLoadOptions options = ATL_LOAD_OPTIONS_INIT;

  g_return_if_fail (ATL_IS_PICTURES_SESSION (self) && paths != NULL && paths[0] != NULL);

  if (self->load != NULL)
    {
      g_cancellable_cancel (self->load);
      g_clear_object (&self->load);
    }
  self->load = g_cancellable_new ();
  atl_set_string (&self->lacking_path, paths[0]);
  set_lacking (self, NULL);
  g_clear_pointer (&self->load_phase, g_free);
  g_free (self->load_name);
  self->load_name = atl_model_list_get_name (atl_session_get_models (self->session), paths[0]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_IS_LOADING]);
  atl_pictures_session_load_options (self, &options);
  options.insist = insist;
  atl_client_load_model_async (atl_session_get_client (self->session), paths, &options,
                               load_progress_cb, self, self->load, loaded_cb, g_object_ref (self));
}

void
atl_pictures_session_unload_model (AtlPicturesSession *self)
{
  g_autoptr (AtlModel) model = g_steal_pointer (&self->model);

  if (model == NULL)
    return;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_MODEL]);
  unload (self, model);
}

static gboolean
crashed_often (AtlPicturesSession *self, const char *path)
{
  g_autoptr (AtlModelRow) row =
      atl_store_model_get (atl_session_get_store (self->session), path, NULL);

  return row != NULL && row->n_crashes >= ATL_MODEL_MAX_CRASHES;
}

void
atl_pictures_session_ensure_model (AtlPicturesSession *self)
{
  GListModel *models = G_LIST_MODEL (atl_session_get_models (self->session));
  g_autofree char *path =
      g_settings_get_string (atl_session_get_settings (self->session), "last-picture-model");

  if (self->model != NULL || self->load != NULL)
    return;
  if (*path == '\0' || !g_file_test (path, G_FILE_TEST_EXISTS) || crashed_often (self, path))
    {
      g_clear_pointer (&path, g_free);
      /* The list begins with what was used last; a toy only when there is nothing better. */
      for (guint i = 0; path == NULL && i < g_list_model_get_n_items (models); i++)
        {
          g_autoptr (AtlModelEntry) entry = g_list_model_get_item (models, i);

          if (entry->kind == ATL_MODEL_PICTURES && !entry->is_toy && entry->why_not == NULL &&
              entry->too_large == NULL && entry->lacks == NULL &&
              !crashed_often (self, entry->path))
            path = g_strdup (entry->path);
        }
    }
  if (path == NULL && atl_model_list_get_is_ready (atl_session_get_models (self->session)))
    path = atl_starter_pictures ();
  if (path != NULL)
    atl_pictures_session_load_model (self, (const char *[]){ path, NULL }, FALSE);
}

AtlModel *
atl_pictures_session_get_model (AtlPicturesSession *self)
{
  return self->model;
}

const AtlModelInfo *
atl_pictures_session_get_info (AtlPicturesSession *self)
{
  return self->model != NULL ? atl_model_get_info (self->model) : NULL;
}

const char *
atl_pictures_session_get_model_name (AtlPicturesSession *self)
{
  AtlModelEntry *entry;

  if (self->model == NULL)
    return NULL;
  entry =
      atl_model_list_find (atl_session_get_models (self->session), atl_model_get_key (self->model));
  return entry != NULL ? entry->name : atl_model_get_info (self->model)->name;
}

gboolean
atl_pictures_session_get_is_loading (AtlPicturesSession *self)
{
  return self->load != NULL;
}

const char *
atl_pictures_session_get_load_name (AtlPicturesSession *self)
{
  return self->load_name != NULL ? self->load_name : "";
}

const char *
atl_pictures_session_get_load_phase (AtlPicturesSession *self)
{
  return self->load_phase != NULL ? self->load_phase : "";
}

/* --- The draft --- */

AtlPictureSettings *
atl_pictures_session_get_settings (AtlPicturesSession *self)
{
  return self->settings;
}

void
atl_pictures_session_flush (AtlPicturesSession *self)
{
  g_autofree char *json = NULL;
  g_autoptr (GError) error = NULL;

  if (self->draft_source == 0)
    return;
  g_clear_handle_id (&self->draft_source, g_source_remove);
  json = atl_picture_settings_to_json (self->settings);
  if (!atl_store_setting_set (atl_session_get_store (self->session), DRAFT_KEY, json, &error))
    g_warning ("The draft of a picture could not be kept: %s", error->message);
}

static gboolean
draft_cb (gpointer data)
{
  atl_pictures_session_flush (data);
  return G_SOURCE_REMOVE;
}

void
atl_pictures_session_settings_touched (AtlPicturesSession *self)
{
  if (self->draft_source == 0)
    self->draft_source = g_timeout_add (DRAFT_MS, draft_cb, self);
}

void
atl_pictures_session_take_settings (AtlPicturesSession *self, AtlPictureSettings *settings)
{
  atl_picture_settings_free (self->settings);
  self->settings = settings;
  atl_pictures_session_settings_touched (self);
  atl_pictures_session_follow_start (self);
  g_signal_emit (self, signals[SETTINGS_CHANGED], 0);
}

/* --- What others see --- */

AtlSession *
atl_pictures_session_get_session (AtlPicturesSession *self)
{
  return self->session;
}

AtlPictureQueue *
atl_pictures_session_get_queue (AtlPicturesSession *self)
{
  return self->queue;
}

AtlPictureTask *
atl_pictures_session_get_current (AtlPicturesSession *self)
{
  return self->current;
}

gboolean
atl_pictures_session_get_is_paused (AtlPicturesSession *self)
{
  return self->is_paused;
}

void
atl_pictures_session_set_is_paused (AtlPicturesSession *self, gboolean is_paused)
{
  if (self->is_paused == is_paused)
    return;
  self->is_paused = is_paused;
  if (self->job != NULL)
    atl_picture_job_set_paused (self->job, is_paused);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_IS_PAUSED]);
  atl_pictures_session_work (self);
}

void
atl_pictures_session_notify_start (AtlPicturesSession *self)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_START]);
}

void
atl_pictures_session_notify_current (AtlPicturesSession *self)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_CURRENT]);
}

void
atl_pictures_session_emit_saved (AtlPicturesSession *self,
                                 const char *path,
                                 GdkTexture *texture,
                                 gint64 id)
{
  g_signal_emit (self, signals[SAVED], 0, path, texture, id);
}

void
atl_pictures_session_emit_failed (AtlPicturesSession *self, AtlPictureTask *task)
{
  g_signal_emit (self, signals[FAILED], 0, task);
}

/* --- GObject --- */

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AtlPicturesSession *self = ATL_PICTURES_SESSION (object);

  switch (id)
    {
    case PROP_MODEL:
      g_value_set_object (value, self->model);
      break;
    case PROP_IS_LOADING:
      g_value_set_boolean (value, self->load != NULL);
      break;
    case PROP_CURRENT:
      g_value_set_object (value, self->current);
      break;
    case PROP_START:
      g_value_set_boxed (value, self->start);
      break;
    case PROP_LACKING:
      g_value_set_boxed (value, self->lacking);
      break;
    case PROP_IS_PAUSED:
      g_value_set_boolean (value, self->is_paused);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
atl_pictures_session_dispose (GObject *object)
{
  AtlPicturesSession *self = ATL_PICTURES_SESSION (object);

  atl_pictures_session_dispose_work (self);
  atl_pictures_session_dispose_inputs (self);
  g_clear_object (&self->model);
  g_clear_object (&self->upscaler);
  G_OBJECT_CLASS (atl_pictures_session_parent_class)->dispose (object);
}

static void
atl_pictures_session_finalize (GObject *object)
{
  AtlPicturesSession *self = ATL_PICTURES_SESSION (object);

  g_clear_handle_id (&self->draft_source, g_source_remove);
  g_clear_object (&self->load);
  g_clear_object (&self->queue);
  g_clear_pointer (&self->unsaved, g_hash_table_unref);
  atl_picture_settings_free (self->settings);
  g_free (self->load_phase);
  g_free (self->load_name);
  g_free (self->lacking_path);
  g_clear_pointer (&self->lacking, atl_model_info_unref);
  G_OBJECT_CLASS (atl_pictures_session_parent_class)->finalize (object);
}

static void
atl_pictures_session_class_init (AtlPicturesSessionClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = get_property;
  object_class->dispose = atl_pictures_session_dispose;
  object_class->finalize = atl_pictures_session_finalize;

  props[PROP_MODEL] = g_param_spec_object ("model", NULL, NULL, ATL_TYPE_MODEL, flags);
  props[PROP_IS_LOADING] = g_param_spec_boolean ("is-loading", NULL, NULL, FALSE, flags);
  props[PROP_CURRENT] = g_param_spec_object ("current", NULL, NULL, ATL_TYPE_PICTURE_TASK, flags);
  props[PROP_START] = g_param_spec_boxed ("start", NULL, NULL, ATL_TYPE_PICTURE_FILE, flags);
  props[PROP_LACKING] =
      g_param_spec_boxed ("lacking", NULL, NULL, atl_model_info_get_type (), flags);
  props[PROP_IS_PAUSED] = g_param_spec_boolean ("is-paused", NULL, NULL, FALSE, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);

  signals[SETTINGS_CHANGED] = g_signal_new ("settings-changed", ATL_TYPE_PICTURES_SESSION,
                                            G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SAVED] =
      g_signal_new ("saved", ATL_TYPE_PICTURES_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 3, G_TYPE_STRING, GDK_TYPE_TEXTURE, G_TYPE_INT64);
  signals[FAILED] = g_signal_new ("failed", ATL_TYPE_PICTURES_SESSION, G_SIGNAL_RUN_LAST, 0, NULL,
                                  NULL, NULL, G_TYPE_NONE, 1, ATL_TYPE_PICTURE_TASK);
  signals[LOAD_FAILED] =
      g_signal_new ("load-failed", ATL_TYPE_PICTURES_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                    NULL, G_TYPE_NONE, 2, G_TYPE_ERROR, G_TYPE_STRING);
}

static void
atl_pictures_session_init (AtlPicturesSession *self)
{
  self->queue = atl_picture_queue_new ();
}

/* The session is being disposed of: the last moment at which its store can be written to. */
static void
session_gone_cb (gpointer data, GObject *session)
{
  AtlPicturesSession *self = data;

  self->is_gone = TRUE;
  if (self->load != NULL)
    g_cancellable_cancel (self->load);
  atl_pictures_session_flush (self);
  g_object_run_dispose (G_OBJECT (self));
  g_object_unref (self);
}

AtlPicturesSession *
atl_pictures_session_get (AtlSession *session)
{
  AtlPicturesSession *self = g_object_get_data (G_OBJECT (session), "pictures-session");
  g_autofree char *json = NULL;

  if (self != NULL)
    return self;
  self = g_object_new (ATL_TYPE_PICTURES_SESSION, NULL);
  self->session = session;
  json = atl_store_setting_get (atl_session_get_store (session), DRAFT_KEY, NULL);
  self->settings = atl_picture_settings_from_json (json);
  atl_pictures_session_init_work (self);
  atl_pictures_session_follow_start (self);
  atl_pictures_session_clean_pasted (self);
  g_object_set_data (G_OBJECT (session), "pictures-session", self);
  g_object_weak_ref (G_OBJECT (session), session_gone_cb, self);
  return self;
}
