/* One picture: waits for its model, asks, and reads the pixels that the engine wrote. */
#define G_LOG_DOMAIN "atl-client"

#include "client/client-private.h"
#include "client/open-files.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct _AtlPictureJob
{
  GObject parent_instance;

  AtlClient *client;
  AtlModel *model;
  AtlRequest request;
  GVariant *settings;
  char *image, *mask;        /* (nullable) paths */
  GUnixFDList *fds;          /* once opened; the first is the room */
  GPtrArray *names;          /* of the descriptors */
  GCancellable *cancellable; /* of what comes before the engine is asked */
  GBytes *pixels;            /* (nullable) */
  guint width, height;
  GVariant *facts; /* (nullable) */
  guint asked_id;  /* the model's number in the engine then */
  gboolean is_running, is_stopping;
  gboolean was_refused; /* the engine had unloaded the model meanwhile */
};

G_DEFINE_FINAL_TYPE (AtlPictureJob, atl_picture_job, G_TYPE_OBJECT)

enum
{
  PROGRESS,
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
  g_clear_pointer (&self->settings, g_variant_unref);
  g_clear_pointer (&self->facts, g_variant_unref);
  g_clear_pointer (&self->pixels, g_bytes_unref);
  g_free (self->image);
  g_free (self->mask);
  G_OBJECT_CLASS (atl_picture_job_parent_class)->finalize (object);
}

static void
atl_picture_job_class_init (AtlPictureJobClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_picture_job_finalize;

  signals[PROGRESS] =
      g_signal_new ("progress", ATL_TYPE_PICTURE_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 4, G_TYPE_STRING, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_DOUBLE);
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

/* The engine may still write to the file: its bytes are copied, and its size is not believed. */
static GBytes *
read_room (AtlPictureJob *self, GError **error)
{
  gsize size = (gsize) self->width * self->height * 3, done = 0;
  g_autofree guint8 *bytes = NULL;
  int fd;

  if (self->width == 0 || self->height == 0 || self->width > ATL_MAX_PICTURE_SIDE ||
      self->height > ATL_MAX_PICTURE_SIDE || self->fds == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s",
                   _ ("The engine gave an answer that makes no sense."));
      return NULL;
    }
  bytes = g_try_malloc (size);
  if (bytes == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "%s",
                   _ ("There is no memory left for the finished picture"));
      return NULL;
    }
  fd = g_unix_fd_list_get (self->fds, 0, error);
  if (fd < 0)
    return NULL;
  while (done < size)
    {
      gssize n = pread (fd, bytes + done, size - done, (off_t) done);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        break;
      done += (gsize) n;
    }
  close (fd);
  if (done < size)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s",
                   _ ("The engine gave an answer that makes no sense."));
      return NULL;
    }
  return g_bytes_new_take (g_steal_pointer (&bytes), size);
}

static gboolean ask_again (AtlPictureJob *self, const GError *error);

static void
job_signal (AtlRequest *request, const char *name, GVariant *params)
{
  g_autoptr (AtlPictureJob) self = g_object_ref (request->owner);
  g_autoptr (GError) error = NULL;
  const char *chars, *message;
  guint id, step, n_steps;
  double left;

  if (g_str_equal (name, "PictureProgress") &&
      g_variant_is_of_type (params, G_VARIANT_TYPE ("(usuud)")))
    {
      g_variant_get (params, "(u&suud)", &id, &chars, &step, &n_steps, &left);
      g_signal_emit (self, signals[PROGRESS], 0, chars, step, n_steps, left);
    }
  else if (g_str_equal (name, "PictureDone") &&
           g_variant_is_of_type (params, G_VARIANT_TYPE ("(uuua{sv})")))
    {
      g_clear_pointer (&self->facts, g_variant_unref);
      g_variant_get (params, "(uuu@a{sv})", &id, &self->width, &self->height, &self->facts);
      self->pixels = read_room (self, &error);
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
  atl_engine_process_call (
      self->client->process, "Create",
      g_variant_new ("(uu@a{sv}a(sh))", self->request.id, self->model->id, self->settings, &files),
      "()", self->fds, accepted_cb, g_object_ref (self));
}

/* --- Opening --- */

static gboolean
add_room (GUnixFDList *fds, GError **error)
{
  int fd = memfd_create ("atelier-picture", MFD_CLOEXEC);
  gboolean ok;

  if (fd < 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "%s",
                   _ ("There is no memory left for the finished picture"));
      return FALSE;
    }
  ok = g_unix_fd_list_append (fds, fd, error) >= 0;
  close (fd);
  return ok;
}

static gboolean
add_picture (AtlPictureJob *self,
             const char *path,
             const char *name,
             GUnixFDList *fds,
             GPtrArray *names,
             GError **error)
{
  if (path == NULL)
    return TRUE;
  g_ptr_array_add (names, g_strdup (name));
  return atl_open_picture_file (path, fds, error);
}

static void
open_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  AtlPictureJob *self = source;
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  GError *error = NULL;

  g_ptr_array_add (names, g_strdup (ATL_CREATE_PICTURE));
  if (!add_room (fds, &error) ||
      !add_picture (self, self->image, ATL_CREATE_IMAGE, fds, names, &error) ||
      !add_picture (self, self->mask, ATL_CREATE_MASK, fds, names, &error))
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

AtlPictureJob *
atl_client_create (
    AtlClient *self, AtlModel *model, GVariant *settings, const char *image, const char *mask)
{
  AtlPictureJob *job;
  g_autoptr (GTask) task = NULL;

  g_return_val_if_fail (ATL_IS_CLIENT (self) && ATL_IS_MODEL (model), NULL);
  g_return_val_if_fail (g_variant_is_of_type (settings, G_VARIANT_TYPE_VARDICT), NULL);
  job = g_object_new (ATL_TYPE_PICTURE_JOB, NULL);
  job->client = g_object_ref (self);
  job->model = g_object_ref (model);
  job->settings = g_variant_ref_sink (settings);
  job->image = g_strdup (image);
  job->mask = g_strdup (mask);
  task = g_task_new (job, NULL, opened_cb, NULL);
  g_task_run_in_thread (task, open_thread);
  return g_object_ref (job);
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
