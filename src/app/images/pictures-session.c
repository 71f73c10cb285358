/* What the page works with, and the draft of the next picture. */
#define G_LOG_DOMAIN "atl-app"

#include "app/images/pictures-session-private.h"

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

gboolean
atl_pictures_session_get_has_kept (AtlPicturesSession *self)
{
  return self->has_kept;
}

void
atl_pictures_session_set_is_paused (AtlPicturesSession *self, gboolean is_paused)
{
  if (self->is_paused == is_paused)
    return;
  self->is_paused = is_paused;
  self->has_kept = FALSE;
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
  atl_pictures_session_reload_when_idle (self);
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
  g_clear_handle_id (&self->keep_source, g_source_remove);
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
  atl_pictures_session_flush_queue (self);
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
  atl_pictures_session_restore_queue (self);
  atl_pictures_session_follow_start (self);
  atl_pictures_session_clean_pasted (self);
  g_object_set_data (G_OBJECT (session), "pictures-session", self);
  g_object_weak_ref (G_OBJECT (session), session_gone_cb, self);
  return self;
}
