/* The picture model in use: loading it, the one to begin with, and what one lacks. */
#define G_LOG_DOMAIN "atl-app"

#include <glib/gi18n.h>

#include "app/images/pictures-session-private.h"
#include "app/models/model-list.h"
#include "app/words.h"
#include "hub/starter.h"
#include "store/library.h"

static void
end_load (AtlPicturesSession *self)
{
  g_clear_object (&self->load);
  g_clear_pointer (&self->load_name, g_free);
  g_clear_pointer (&self->load_phase, g_free);
  g_object_notify (G_OBJECT (self), "is-loading");
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
  g_object_notify (G_OBJECT (self), "is-loading");
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
  g_object_notify (G_OBJECT (self), "lacking");
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
      if (info != NULL && info->n_missing > 0)
        set_lacking (self, info);
      else
        g_signal_emit_by_name (self, "load-failed", lacking->error, lacking->name);
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

/* A size in px that this model does not make gives way. */
static void
suit_size (AtlPicturesSession *self)
{
  const AtlModelInfo *info = atl_model_get_info (self->model);
  AtlPictureSettings *settings = atl_picture_settings_copy (self->settings);
  g_autofree char *words = NULL;

  if (!atl_picture_settings_suit_size (settings, info))
    {
      atl_picture_settings_free (settings);
      return;
    }
  /* Translators: a model's name, a width, a height, and a shape such as 3:2. */
  words = g_strdup_printf (_ ("“%s” makes pictures of up to %u × %u pixels. The shape is now %s."),
                           atl_pictures_session_get_model_name (self), info->max_side,
                           info->max_side, settings->shape);
  atl_pictures_session_take_settings (self, settings);
  atl_session_emit_notice (self->session, words);
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
        g_signal_emit_by_name (self, "load-failed", error, name);
      return;
    }
  old = g_steal_pointer (&self->model);
  self->model = g_object_ref (model);
  end_load (self);
  g_object_notify (G_OBJECT (self), "model");
  if (old != NULL && old != model)
    unload (self, old);
  suit_size (self);
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

  self->is_decided = TRUE;
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
  g_object_notify (G_OBJECT (self), "is-loading");
  atl_pictures_session_load_options (self, &options);
  options.insist = insist;
  atl_client_load_model_async (atl_session_get_client (self->session), paths, &options,
                               load_progress_cb, self, self->load, loaded_cb, g_object_ref (self));
}

void
atl_pictures_session_unload_model (AtlPicturesSession *self)
{
  g_autoptr (AtlModel) model = g_steal_pointer (&self->model);

  self->is_decided = TRUE;
  if (model == NULL)
    return;
  g_object_notify (G_OBJECT (self), "model");
  unload (self, model);
}

void
atl_pictures_session_reload_when_idle (AtlPicturesSession *self)
{
  g_autofree char *key = NULL;

  if (!self->reloads || self->current != NULL || self->is_gone)
    return;
  self->reloads = FALSE;
  if (self->model == NULL || self->load != NULL)
    return;
  key = g_strdup (atl_model_get_key (self->model));
  atl_pictures_session_unload_model (self);
  atl_pictures_session_load_model (self, (const char *[]){ key, NULL }, FALSE);
}

void
atl_pictures_session_reload_model (AtlPicturesSession *self)
{
  self->reloads = TRUE;
  atl_pictures_session_reload_when_idle (self);
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

  if (self->is_decided)
    return;
  if (*path == '\0' || !g_file_test (path, G_FILE_TEST_EXISTS) || crashed_often (self, path))
    {
      g_clear_pointer (&path, g_free);
      /* The list begins with what was used last. One that nobody has used may be large, or one that
       * only changes pictures: it is chosen, or left alone. */
      for (guint i = 0; path == NULL && i < g_list_model_get_n_items (models); i++)
        {
          g_autoptr (AtlModelEntry) entry = g_list_model_get_item (models, i);

          if (entry->kind == ATL_MODEL_PICTURES && entry->last_used_us > 0 && !entry->is_toy &&
              entry->why_not == NULL && entry->too_large == NULL && entry->lacks == NULL &&
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
