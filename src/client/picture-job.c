/* One picture: waits for its model, asks, and reads the pixels that the engine wrote. */
#define G_LOG_DOMAIN "atl-client"

#include "base/thread-task.h"
#include "client/job.h"

struct _AtlPictureJob
{
  GObject parent_instance;

  AtlJob job;
  const char *method; /* "Create", "Upscale" */
  AtlPictureRequest *asked;
  GUnixFDList *fds; /* once opened; the first two are for pixels: OF_PICTURE, OF_PREVIEW */
  GPtrArray *names; /* of the descriptors */
  GBytes *pixels;   /* (nullable) */
  guint width, height;
  GVariant *facts; /* (nullable) */
  gboolean is_paused;
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

  atl_job_clear (&self->job);
  g_clear_object (&self->fds);
  g_clear_pointer (&self->names, g_ptr_array_unref);
  g_clear_pointer (&self->asked, atl_picture_request_unref);
  g_clear_pointer (&self->facts, g_variant_unref);
  g_clear_pointer (&self->pixels, g_bytes_unref);
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

/* --- The end --- */

/* What this one took is the price of the next. */
static void
note_rates (AtlPictureJob *self)
{
  g_autoptr (GVariant) work = atl_dict_lookup (self->facts, ATL_MADE_WORK, "a{sv}");
  g_autofree char *place = atl_dict_string (self->facts, ATL_INFO_RUNS_ON, "");
  double seconds = atl_dict_double (self->facts, ATL_MADE_SECONDS, 0);
  double factor = atl_dict_double (self->facts, ATL_MADE_FACTOR, 0);
  const char *model = atl_model_get_key (self->job.model);

  if (work != NULL)
    atl_picture_rates_note (self->job.client->rates, model, place, work, seconds);
  else if (factor >= 1)
    atl_picture_rates_note_larger (
        self->job.client->rates, model,
        (guint64) ((double) self->width * self->height / (factor * factor)), seconds);
}

/* Gives back the reference that a running job has to itself. */
static void
end (AtlPictureJob *self, const GError *error)
{
  if (!atl_job_end (&self->job))
    return;
  g_clear_object (&self->fds);
  if (error != NULL)
    g_signal_emit (self, signals[FAILED], 0, error);
  else
    g_signal_emit (self, signals[FINISHED], 0);
  g_object_unref (self);
}

static void
failed (gpointer owner, const GError *error)
{
  end (owner, error);
}

/* A preview that cannot be had is no reason to end. */
static void
take_preview (AtlPictureJob *self, guint width, guint height, guint64 offset)
{
  g_autoptr (GBytes) bytes =
      atl_room_read (self->fds, OF_PREVIEW, width, height, ATL_MAX_PREVIEW_SIDE, offset, NULL);

  if (bytes != NULL)
    g_signal_emit (self, signals[PREVIEW], 0, bytes, width, height);
}

static void
take_signal (gpointer owner, const char *name, GVariant *params)
{
  AtlPictureJob *self = owner;
  g_autoptr (GError) error = NULL;
  const char *chars;
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
}

/* --- The beginning --- */

static void
loading (gpointer owner, double fraction, const char *phase)
{
  g_signal_emit (owner, signals[PROGRESS], 0, phase, 0u, 0u, -1.0);
}

static void
send_pause (AtlPictureJob *self)
{
  if (self->job.request.id != 0 && self->job.client->process != NULL)
    atl_engine_process_send (self->job.client->process, "Pause",
                             g_variant_new ("(ub)", self->job.request.id, self->is_paused));
}

static void
ask (gpointer owner)
{
  AtlPictureJob *self = owner;
  AtlJob *job = &self->job;
  GVariantBuilder files;

  g_variant_builder_init (&files, G_VARIANT_TYPE ("a(sh)"));
  for (guint i = 0; i < self->names->len; i++)
    g_variant_builder_add (&files, "(sh)", self->names->pdata[i], (gint32) i);
  atl_job_call (job, self->method,
                g_variant_new ("(uu@a{sv}a(sh))", job->request.id, job->model->id,
                               atl_picture_request_make_settings (self->asked, NULL), &files),
                self->fds);
  if (self->is_paused)
    send_pause (self);
}

static const AtlJobClass job_class = { loading, NULL, ask, take_signal, failed };

static void
atl_picture_job_init (AtlPictureJob *self)
{
  atl_job_init (&self->job, self, &job_class);
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
    atl_job_begin (&self->job);
}

static AtlPictureJob *
job_new (AtlClient *self, AtlModel *model, AtlPictureRequest *request, const char *method)
{
  AtlPictureJob *job;
  g_autoptr (GTask) task = NULL;

  job = g_object_new (ATL_TYPE_PICTURE_JOB, NULL);
  atl_job_set (&job->job, self, model);
  job->method = method;
  job->asked = atl_picture_request_ref (request);
  task = g_task_new (job, NULL, opened_cb, NULL);
  atl_thread_task_run (task, open_thread);
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
  atl_job_stop (&self->job);
}

void
atl_picture_job_set_paused (AtlPictureJob *self, gboolean is_paused)
{
  g_return_if_fail (ATL_IS_PICTURE_JOB (self));
  if (!self->job.is_running || self->is_paused == !!is_paused)
    return;
  self->is_paused = !!is_paused;
  send_pause (self);
}

void
atl_picture_job_finish_early (AtlPictureJob *self)
{
  g_return_if_fail (ATL_IS_PICTURE_JOB (self));
  if (atl_job_is_asked (&self->job) && self->job.client->process != NULL)
    atl_engine_process_send (self->job.client->process, "Enough",
                             g_variant_new ("(u)", self->job.request.id));
}

AtlPictureRequest *
atl_picture_job_get_request (AtlPictureJob *self)
{
  g_return_val_if_fail (ATL_IS_PICTURE_JOB (self), NULL);
  return self->asked;
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
