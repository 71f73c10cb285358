/* One picture: waits for its model, asks, and reads the pixels that the engine wrote. */
#define G_LOG_DOMAIN "atl-client"

#include "client/client-private.h"

#include <glib/gi18n.h>

struct _AtlPictureJob
{
  GObject parent_instance;

  AtlClient *client;
  AtlModel *model;
  AtlRequest request;
  const char *method; /* "Create", "Upscale" */
  AtlPictureRequest *asked;
  GUnixFDList *fds;          /* once opened; the first two are for pixels: OF_PICTURE, OF_PREVIEW */
  GPtrArray *names;          /* of the descriptors */
  GCancellable *cancellable; /* of what comes before the engine is asked */
  GBytes *pixels;            /* (nullable) */
  guint width, height;
  GVariant *facts; /* (nullable) */
  GBytes *preview; /* (nullable) */
  guint preview_width, preview_height;
  guint asked_id; /* the model's number in the engine then */
  gboolean is_running, is_stopping, is_paused;
  gboolean was_refused; /* the engine had unloaded the model meanwhile */
};

G_DEFINE_FINAL_TYPE (AtlPictureJob, atl_picture_job, G_TYPE_OBJECT)

/* Places in the list of descriptors. */
enum
{
  OF_PICTURE,
  OF_PREVIEW
};

enum
{
  PROGRESS,
  PREVIEW,
  FINISHED,
  FAILED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static void
atl_picture_job_finalize (GObject *object)
{
  AtlPictureJob *self = ATL_PICTURE_JOB (object);

  g_clear_object (&self->client);
  g_clear_object (&self->model);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->fds);
  g_clear_pointer (&self->names, g_ptr_array_unref);
  g_clear_pointer (&self->asked, atl_picture_request_unref);
  g_clear_pointer (&self->facts, g_variant_unref);
  g_clear_pointer (&self->pixels, g_bytes_unref);
  g_clear_pointer (&self->preview, g_bytes_unref);
  G_OBJECT_CLASS (atl_picture_job_parent_class)->finalize (object);
}

static void
atl_picture_job_class_init (AtlPictureJobClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_picture_job_finalize;

  signals[PROGRESS] =
      g_signal_new ("progress", ATL_TYPE_PICTURE_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 4, G_TYPE_STRING, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_DOUBLE);
  signals[PREVIEW] =
      g_signal_new ("preview", ATL_TYPE_PICTURE_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 3, G_TYPE_BYTES, G_TYPE_UINT, G_TYPE_UINT);
  signals[FINISHED] = g_signal_new ("finished", ATL_TYPE_PICTURE_JOB, G_SIGNAL_RUN_LAST, 0, NULL,
                                    NULL, NULL, G_TYPE_NONE, 0);
  signals[FAILED] = g_signal_new ("failed", ATL_TYPE_PICTURE_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                  NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
atl_picture_job_init (AtlPictureJob *self)
{
  self->cancellable = g_cancellable_new ();
  self->is_running = TRUE;
}

/* --- The end --- */

/* What this one took is the price of the next. */
static void
note_rates (AtlPictureJob *self)
{
  g_autoptr (GVariant) work = atl_dict_lookup (self->facts, ATL_MADE_WORK, "a{sv}");
  g_autofree char *place = atl_dict_string (self->facts, ATL_INFO_RUNS_ON, "");

  if (work != NULL)
    atl_picture_rates_note (self->client->rates, atl_model_get_key (self->model), place, work,
                            atl_dict_double (self->facts, ATL_MADE_SECONDS, 0));
}

/* Gives back the reference that a running job has to itself. */
static void
end (AtlPictureJob *self, const GError *error)
{
  if (!self->is_running)
    return;
  self->is_running = FALSE;
  atl_client_remove_request (self->client, &self->request);
  g_clear_object (&self->fds);
  if (error != NULL)
    g_signal_emit (self, signals[FAILED], 0, error);
  else
    g_signal_emit (self, signals[FINISHED], 0);
  g_object_unref (self);
}

static void
job_gone (AtlRequest *request, const char *sentence)
{
  g_autoptr (GError) error = g_error_new_literal (ATL_ERROR, ATL_ERROR_ENGINE_GONE, sentence);

  end (request->owner, error);
}

/* A preview that cannot be had is no reason to end. */
static void
take_preview (AtlPictureJob *self, guint width, guint height, guint64 offset)
{
  GBytes *bytes =
      atl_room_read (self->fds, OF_PREVIEW, width, height, ATL_MAX_PREVIEW_SIDE, offset, NULL);

  if (bytes == NULL)
    return;
  g_clear_pointer (&self->preview, g_bytes_unref);
  self->preview = bytes;
  self->preview_width = width;
  self->preview_height = height;
  g_signal_emit (self, signals[PREVIEW], 0, bytes, width, height);
}

static gboolean ask_again (AtlPictureJob *self, const GError *error);

static void
job_signal (AtlRequest *request, const char *name, GVariant *params)
{
  g_autoptr (AtlPictureJob) self = g_object_ref (request->owner);
  g_autoptr (GError) error = NULL;
  const char *chars, *message;
  guint id, step, n_steps, width, height;
  guint64 offset;
  double left;

  if (g_str_equal (name, "PictureProgress") &&
      g_variant_is_of_type (params, G_VARIANT_TYPE ("(usuud)")))
    {
      g_variant_get (params, "(u&suud)", &id, &chars, &step, &n_steps, &left);
      g_signal_emit (self, signals[PROGRESS], 0, chars, step, n_steps, left);
    }
  else if (g_str_equal (name, "PicturePreview") &&
           g_variant_is_of_type (params, G_VARIANT_TYPE ("(uuut)")))
    {
      g_variant_get (params, "(uuut)", &id, &width, &height, &offset);
      take_preview (self, width, height, offset);
    }
  else if (g_str_equal (name, "PictureDone") &&
           g_variant_is_of_type (params, G_VARIANT_TYPE ("(uuua{sv})")))
    {
      g_clear_pointer (&self->facts, g_variant_unref);
      g_variant_get (params, "(uuu@a{sv})", &id, &self->width, &self->height, &self->facts);
      g_clear_pointer (&self->pixels, g_bytes_unref);
      self->pixels = atl_room_read (self->fds, OF_PICTURE, self->width, self->height,
                                    ATL_MAX_UPSCALED_SIDE, 0, &error);
      if (self->pixels != NULL)
        note_rates (self);
      end (self, error);
    }
  else if (g_str_equal (name, "Failed") && g_variant_is_of_type (params, G_VARIANT_TYPE ("(uss)")))
    {
      g_variant_get (params, "(u&s&s)", &id, &chars, &message);
      error = g_dbus_error_new_for_dbus_error (chars, message);
      g_dbus_error_strip_remote_error (error);
      if (!ask_again (self, error))
        end (self, error);
    }
}

/* --- The beginning --- */

static void
loading_cb (double fraction, const char *phase, gpointer user_data)
{
  AtlPictureJob *self = user_data;

  if (self->is_running)
    g_signal_emit (self, signals[PROGRESS], 0, phase, 0u, 0u, -1.0);
}

static void ensured_cb (GObject *source, GAsyncResult *result, gpointer user_data);

/* The engine may unload an idle model while the question is on its way: once it is loaded again. */
static gboolean
ask_again (AtlPictureJob *self, const GError *error)
{
  if (!g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND) || self->was_refused)
    return FALSE;
  self->was_refused = TRUE;
  atl_client_remove_request (self->client, &self->request);
  if (self->model->id == self->asked_id)
    atl_client_set_model_loaded (self->client, self->model, 0, NULL);
  atl_client_ensure_model_async (self->client, self->model, FALSE, loading_cb, self,
                                 self->cancellable, ensured_cb, g_object_ref (self));
  return TRUE;
}

static void
accepted_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AtlPictureJob) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply =
      atl_engine_process_call_finish (ATL_ENGINE_PROCESS (source), result, &error);

  if (reply == NULL && !ask_again (self, error))
    end (self, error);
}

static void
send_pause (AtlPictureJob *self)
{
  if (self->request.id != 0 && self->client->process != NULL)
    atl_engine_process_send (self->client->process, "Pause",
                             g_variant_new ("(ub)", self->request.id, self->is_paused));
}

static void
ensured_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AtlPictureJob) self = user_data;
  g_autoptr (GError) error = NULL;
  GVariantBuilder files;

  if (atl_client_ensure_model_finish (self->client, result, &error) &&
      !g_cancellable_set_error_if_cancelled (self->cancellable, &error) &&
      self->client->process == NULL)
    error = g_error_new_literal (ATL_ERROR, ATL_ERROR_ENGINE_GONE, self->client->sentence);
  if (error != NULL)
    {
      end (self, error);
      return;
    }
  self->request.owner = self;
  self->request.model = self->model;
  self->request.signal = job_signal;
  self->request.gone = job_gone;
  atl_client_add_request (self->client, &self->request);
  self->asked_id = self->model->id;
  g_variant_builder_init (&files, G_VARIANT_TYPE ("a(sh)"));
  for (guint i = 0; i < self->names->len; i++)
    g_variant_builder_add (&files, "(sh)", self->names->pdata[i], (gint32) i);
  atl_engine_process_call (self->client->process, self->method,
                           g_variant_new ("(uu@a{sv}a(sh))", self->request.id, self->model->id,
                                          atl_picture_request_make_settings (self->asked), &files),
                           "()", self->fds, accepted_cb, g_object_ref (self));
  if (self->is_paused)
    send_pause (self);
}

/* --- Opening --- */

static void
open_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  AtlPictureJob *self = source;
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  GError *error = NULL;

  if (!atl_room_add (fds, names, ATL_CREATE_PICTURE, &error) ||
      !atl_room_add (fds, names, ATL_CREATE_PREVIEW, &error) ||
      !atl_picture_request_open (self->asked, fds, names, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  self->names = g_steal_pointer (&names);
  g_task_return_pointer (task, g_steal_pointer (&fds), g_object_unref);
}

static void
opened_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlPictureJob *self = ATL_PICTURE_JOB (source);
  g_autoptr (GError) error = NULL;

  self->fds = g_task_propagate_pointer (G_TASK (result), &error);
  if (self->fds == NULL)
    end (self, error);
  else
    atl_client_ensure_model_async (self->client, self->model, FALSE, loading_cb, self,
                                   self->cancellable, ensured_cb, g_object_ref (self));
}

static AtlPictureJob *
job_new (AtlClient *self, AtlModel *model, AtlPictureRequest *request, const char *method)
{
  AtlPictureJob *job;
  g_autoptr (GTask) task = NULL;

  job = g_object_new (ATL_TYPE_PICTURE_JOB, NULL);
  job->client = g_object_ref (self);
  job->model = g_object_ref (model);
  job->method = method;
  job->asked = atl_picture_request_ref (request);
  task = g_task_new (job, NULL, opened_cb, NULL);
  g_task_run_in_thread (task, open_thread);
  return g_object_ref (job);
}

AtlPictureJob *
atl_client_create (AtlClient *self, AtlModel *model, AtlPictureRequest *request)
{
  g_return_val_if_fail (ATL_IS_CLIENT (self) && ATL_IS_MODEL (model) && request != NULL, NULL);
  return job_new (self, model, request, "Create");
}

AtlPictureJob *
atl_client_upscale (AtlClient *self, AtlModel *model, AtlPictureRequest *request)
{
  g_return_val_if_fail (ATL_IS_CLIENT (self) && ATL_IS_MODEL (model) && request != NULL, NULL);
  return job_new (self, model, request, "Upscale");
}

/* --- What others see --- */

void
atl_picture_job_stop (AtlPictureJob *self)
{
  g_return_if_fail (ATL_IS_PICTURE_JOB (self));
  if (!self->is_running || self->is_stopping)
    return;
  self->is_stopping = TRUE;
  g_cancellable_cancel (self->cancellable);
  if (self->request.id != 0)
    atl_client_cancel_request (self->client, &self->request);
}

void
atl_picture_job_set_paused (AtlPictureJob *self, gboolean is_paused)
{
  g_return_if_fail (ATL_IS_PICTURE_JOB (self));
  if (!self->is_running || self->is_paused == !!is_paused)
    return;
  self->is_paused = !!is_paused;
  send_pause (self);
}

void
atl_picture_job_finish_early (AtlPictureJob *self)
{
  g_return_if_fail (ATL_IS_PICTURE_JOB (self));
  if (self->is_running && self->request.id != 0 && self->client->process != NULL)
    atl_engine_process_send (self->client->process, "Enough",
                             g_variant_new ("(u)", self->request.id));
}

gboolean
atl_picture_job_is_running (AtlPictureJob *self)
{
  g_return_val_if_fail (ATL_IS_PICTURE_JOB (self), FALSE);
  return self->is_running;
}

AtlModel *
atl_picture_job_get_model (AtlPictureJob *self)
{
  g_return_val_if_fail (ATL_IS_PICTURE_JOB (self), NULL);
  return self->model;
}

AtlPictureRequest *
atl_picture_job_get_request (AtlPictureJob *self)
{
  g_return_val_if_fail (ATL_IS_PICTURE_JOB (self), NULL);
  return self->asked;
}

GBytes *
atl_picture_job_get_preview (AtlPictureJob *self, guint *width, guint *height)
{
  g_return_val_if_fail (ATL_IS_PICTURE_JOB (self), NULL);
  if (self->preview != NULL)
    {
      *width = self->preview_width;
      *height = self->preview_height;
    }
  return self->preview;
}

GBytes *
atl_picture_job_get_pixels (AtlPictureJob *self, guint *width, guint *height)
{
  g_return_val_if_fail (ATL_IS_PICTURE_JOB (self), NULL);
  if (self->pixels != NULL)
    {
      *width = self->width;
      *height = self->height;
    }
  return self->pixels;
}

GVariant *
atl_picture_job_get_facts (AtlPictureJob *self)
{
  g_return_val_if_fail (ATL_IS_PICTURE_JOB (self), NULL);
  return self->facts;
}
