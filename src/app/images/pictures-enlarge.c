/* Enlarging: which network does it, and asking it. */
#define G_LOG_DOMAIN "atl-app"

#include <glib/gi18n.h>

#include "app/gallery/gallery.h"
#include "app/images/pictures-session-private.h"
#include "app/models/model-list.h"
#include "hub/starter-upscaler.h"

/* Of the store's settings. */
#define CHOSEN_KEY "upscaler"

/* --- Which --- */

static char *
first_there (AtlPicturesSession *self)
{
  GListModel *models = G_LIST_MODEL (atl_session_get_models (self->session));
  guint n;

  atl_starter_upscaler_list (&n);
  for (guint i = 0; i < n; i++)
    {
      char *path = atl_starter_upscaler_find (NULL, i);

      if (path != NULL)
        return path;
    }
  for (guint i = 0; i < g_list_model_get_n_items (models); i++)
    {
      g_autoptr (AtlModelEntry) entry = g_list_model_get_item (models, i);

      if (entry->kind == ATL_MODEL_UPSCALER && entry->why_not == NULL)
        return g_strdup (entry->path);
    }
  return NULL;
}

char *
atl_pictures_session_dup_upscaler (AtlPicturesSession *self)
{
  g_autofree char *chosen =
      atl_store_setting_get (atl_session_get_store (self->session), CHOSEN_KEY, NULL);

  if (chosen != NULL && g_file_test (chosen, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&chosen);
  return first_there (self);
}

void
atl_pictures_session_set_upscaler (AtlPicturesSession *self, const char *path)
{
  g_autoptr (GError) error = NULL;

  if (!atl_store_setting_set (atl_session_get_store (self->session), CHOSEN_KEY, path, &error))
    g_warning ("The choice of a network could not be kept: %s", error->message);
}

/* --- Asking it --- */

typedef struct
{
  AtlPicturesSession *self;
  AtlPictureRequest *request;
} Asked;

static void
ask (AtlPicturesSession *self, AtlPictureRequest *request)
{
  atl_pictures_session_watch (
      self, atl_client_upscale (atl_session_get_client (self->session), self->upscaler, request));
}

static void
loading_cb (double fraction, const char *phase, gpointer data)
{
  Asked *asked = data;

  if (asked->self->current != NULL)
    atl_picture_task_set_progress (asked->self->current, phase, 0, 0, -1);
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Asked *asked = data;
  g_autoptr (AtlPicturesSession) self = asked->self;
  g_autoptr (AtlPictureRequest) request = asked->request;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModel) model = atl_client_load_model_finish (ATL_CLIENT (source), result, &error);

  g_free (asked);
  if (self->is_gone)
    return;
  g_clear_object (&self->preparing);
  if (model != NULL && !atl_model_get_info (model)->is_upscaler)
    {
      error = g_error_new (ATL_ERROR, ATL_ERROR_INVALID, _ ("%s enlarges no pictures"),
                           atl_model_get_info (model)->name);
      g_clear_object (&model);
    }
  g_set_object (&self->upscaler, model);
  if (model != NULL)
    ask (self, request);
  else
    atl_pictures_session_over (self, error);
}

void
atl_pictures_session_ask_larger (AtlPicturesSession *self, AtlPictureRequest *request)
{
  g_autofree char *path = atl_pictures_session_dup_upscaler (self);
  AtlLoadOptions options = ATL_LOAD_OPTIONS_INIT;
  Asked *asked;

  if (path == NULL)
    {
      g_autoptr (GError) error =
          g_error_new_literal (ATL_ERROR, ATL_ERROR_NOT_FOUND,
                               _ ("No network that enlarges pictures is on this computer."));

      atl_pictures_session_over (self, error);
      return;
    }
  if (self->upscaler != NULL && g_str_equal (atl_model_get_key (self->upscaler), path))
    {
      ask (self, request);
      return;
    }
  asked = g_new0 (Asked, 1);
  asked->self = g_object_ref (self);
  asked->request = atl_picture_request_ref (request);
  self->preparing = g_cancellable_new ();
  atl_pictures_session_load_options (self, &options);
  atl_client_load_model_async (atl_session_get_client (self->session),
                               (const char *[]){ path, NULL }, &options, loading_cb, asked,
                               self->preparing, loaded_cb, asked);
}

/* --- Pictures that are there --- */

typedef struct
{
  AtlPicturesSession *self;
  char *path;
  guint factor;
} Wanted;

static void
recipe_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Wanted *wanted = data;
  g_autoptr (AtlPicturesSession) self = wanted->self;
  g_autofree char *path = wanted->path;
  g_autoptr (GVariant) recipe = atl_gallery_recipe_finish (result, NULL);
  g_autoptr (AtlPictureTask) task = atl_picture_task_new_enlarging (path, wanted->factor, recipe);

  g_free (wanted);
  if (self->is_gone)
    return;
  atl_picture_queue_append (self->queue, task);
  atl_pictures_session_work (self);
}

void
atl_pictures_session_enlarge (AtlPicturesSession *self, const char *path, guint factor)
{
  Wanted *wanted = g_new0 (Wanted, 1);

  wanted->self = g_object_ref (self);
  wanted->path = g_strdup (path);
  wanted->factor = factor;
  atl_gallery_recipe_async (self->session, path, NULL, recipe_cb, wanted);
}
