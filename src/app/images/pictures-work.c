/* From the queue to files: one task after the other is drawn, enlarged where that was asked for,
 * and saved while the next is drawn. */
#define G_LOG_DOMAIN "atl-app"

#include <glib/gi18n.h>

#include "app/images/known-loras.h"
#include "app/images/picture-drawn.h"
#include "app/images/picture-prepare.h"
#include "app/images/pictures-session-private.h"
#include "app/words.h"

#define BYTES_A_PIXEL 3u
/* Of the progress of one that is enlarged afterwards. */
#define DRAWING_PART 0.6

/* --- Saving --- */

char *
atl_pictures_dir (void)
{
  const char *pictures = g_get_user_special_dir (G_USER_DIRECTORY_PICTURES);

  if (pictures != NULL && !g_str_equal (pictures, g_get_home_dir ()))
    return g_build_filename (pictures, "Atelier", NULL);
  return g_build_filename (g_get_home_dir (), "Pictures", "Atelier", NULL);
}

static GdkTexture *
new_texture (GBytes *rgb, guint width, guint height)
{
  return gdk_memory_texture_new ((int) width, (int) height, GDK_MEMORY_R8G8B8, rgb,
                                 (gsize) width * BYTES_A_PIXEL);
}

typedef struct
{
  AtlPicturesSession *self;
  AtlPictureTask *task;
} Saving;

static void
fail (AtlPicturesSession *self, AtlPictureTask *task, const GError *error)
{
  atl_picture_task_fail (task, error);
  atl_pictures_session_emit_failed (self, task);
}

static void
saved_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Saving *saving = data;
  g_autoptr (AtlPicturesSession) self = saving->self;
  g_autoptr (AtlPictureTask) task = saving->task;
  const AtlPictureDrawn *drawn;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = atl_picture_drawn_save_finish (result, &error);
  g_autoptr (GdkTexture) texture = NULL;

  g_free (saving);
  if (self->is_gone)
    return;
  if (path == NULL)
    {
      fail (self, task, error);
      return;
    }
  drawn = g_hash_table_lookup (self->unsaved, task);
  texture = new_texture (drawn->pixels, drawn->width, drawn->height);
  atl_pictures_session_emit_saved (self, path, texture,
                                   atl_picture_drawn_add_row (drawn, self->session, path));
  g_hash_table_remove (self->unsaved, task);
  atl_picture_queue_remove (self->queue, task);
}

/* Hands the drawn picture of `task` to a worker; it stays in `unsaved` until it is on the disk. */
static void
save (AtlPicturesSession *self, AtlPictureTask *task)
{
  Saving *saving = g_new0 (Saving, 1);

  saving->self = g_object_ref (self);
  saving->task = g_object_ref (task);
  atl_picture_task_set_state (task, ATL_TASK_SAVING);
  atl_picture_drawn_save_async (g_hash_table_lookup (self->unsaved, task), saved_cb, saving);
}

/* --- Drawing --- */

static void
let_go (AtlPicturesSession *self)
{
  if (self->job != NULL)
    g_signal_handlers_disconnect_by_data (self->job, self);
  g_clear_object (&self->job);
}

static void
end_job (AtlPicturesSession *self)
{
  let_go (self);
  self->is_enlarging = self->keeps_small = FALSE;
  g_clear_object (&self->current);
}

static void
progress_cb (AtlPictureJob *job,
             const char *phase,
             guint step,
             guint n_steps,
             double seconds_left,
             AtlPicturesSession *self)
{
  atl_picture_task_set_progress (self->current, phase, step, n_steps, seconds_left);
}

static void
preview_cb (AtlPictureJob *job, GBytes *rgb, guint width, guint height, AtlPicturesSession *self)
{
  g_autoptr (GdkTexture) texture = new_texture (rgb, width, height);

  atl_picture_task_set_preview (self->current, texture);
}

static void
ask_larger (AtlPicturesSession *self, AtlPictureTask *task, const AtlPictureDrawn *drawn)
{
  g_autoptr (AtlPictureRequest) request = atl_picture_request_new (g_variant_new_parsed (
      "{%s: <%d>}", ATL_MADE_FACTOR, (double) atl_picture_task_get_settings (task)->enlarge));

  self->is_enlarging = TRUE;
  if (drawn != NULL)
    atl_picture_request_add_pixels (request, ATL_CREATE_IMAGE, drawn->pixels, drawn->width,
                                    drawn->height);
  else
    atl_picture_request_add_file (request, ATL_CREATE_IMAGE, atl_picture_task_get_source (task));
  atl_pictures_session_ask_larger (self, request);
}

/* The picture that is saved is the one in `unsaved`. */
static void
save_current (AtlPicturesSession *self)
{
  g_autoptr (AtlPictureTask) task = g_object_ref (self->current);

  end_job (self);
  save (self, task);
  atl_pictures_session_notify_current (self);
  atl_pictures_session_work (self);
}

/* What is to be known of the picture besides: what a LoRA could not change. */
static void
tell_notice (AtlPicturesSession *self, AtlPictureJob *job)
{
  g_autofree char *notice = atl_dict_string (atl_picture_job_get_facts (job), ATL_INFO_NOTICE, "");

  if (*notice != '\0')
    atl_session_emit_notice (self->session, notice);
}

static void
finished_cb (AtlPictureJob *job, AtlPicturesSession *self)
{
  AtlPictureTask *task = self->current;
  AtlPictureDrawn *drawn = g_hash_table_lookup (self->unsaved, task);
  GSettings *settings = atl_session_get_settings (self->session);

  if (drawn == NULL)
    {
      AtlPictureFormat format = (AtlPictureFormat) g_settings_get_enum (settings, "picture-format");

      drawn = self->is_enlarging ? atl_picture_drawn_new_larger (task, format)
                                 : atl_picture_drawn_new (task, job, format);
      g_hash_table_insert (self->unsaved, g_object_ref (task), drawn);
      tell_notice (self, job);
    }
  if (self->is_enlarging)
    atl_picture_drawn_take_larger (drawn, job);
  else if (atl_picture_task_get_settings (task)->enlarge > 1)
    {
      let_go (self);
      atl_picture_task_begin_stage (task, DRAWING_PART, 1);
      ask_larger (self, task, drawn);
      return;
    }
  save_current (self);
}

void
atl_pictures_session_over (AtlPicturesSession *self, const GError *error)
{
  g_autoptr (AtlPictureTask) task = g_object_ref (self->current);
  gboolean is_cancelled = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  /* What is drawn is not lost because it stayed small. */
  if (g_hash_table_contains (self->unsaved, task) && (self->keeps_small || !is_cancelled))
    {
      if (!is_cancelled)
        {
          g_autofree char *words = g_strdup_printf (
              _ ("The picture is saved as it was drawn; it could not be enlarged: %s"),
              error->message);

          atl_session_emit_notice (self->session, words);
        }
      save_current (self);
      return;
    }
  end_job (self);
  if (is_cancelled)
    {
      g_hash_table_remove (self->unsaved, task);
      atl_picture_queue_remove (self->queue, task);
    }
  else
    fail (self, task, error);
  atl_pictures_session_notify_current (self);
  atl_pictures_session_work (self);
}

static void
failed_cb (AtlPictureJob *job, const GError *error, AtlPicturesSession *self)
{
  atl_pictures_session_over (self, error);
}

void
atl_pictures_session_watch (AtlPicturesSession *self, AtlPictureJob *job)
{
  self->job = job;
  g_signal_connect (self->job, "progress", G_CALLBACK (progress_cb), self);
  g_signal_connect (self->job, "preview", G_CALLBACK (preview_cb), self);
  g_signal_connect (self->job, "finished", G_CALLBACK (finished_cb), self);
  g_signal_connect (self->job, "failed", G_CALLBACK (failed_cb), self);
  /* Paused while it was prepared. */
  if (self->is_paused)
    atl_picture_job_set_paused (job, TRUE);
}

static void
prepared_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlPicturesSession) self = data;
  g_autoptr (AtlPictureRequest) request = NULL;
  g_autoptr (GError) error = NULL;

  request = atl_picture_prepare_finish (result, &error);
  if (self->is_gone)
    return;
  g_clear_object (&self->preparing);
  if (request != NULL)
    atl_pictures_session_watch (self, atl_client_create (atl_session_get_client (self->session),
                                                         atl_picture_task_get_model (self->current),
                                                         request));
  else
    atl_pictures_session_over (self, error);
}

void
atl_pictures_session_draw (AtlPicturesSession *self)
{
  AtlPictureTask *task = self->current;
  g_autoptr (AtlPictureRequest) request = NULL;

  if (atl_picture_task_get_settings (task)->enlarge > 1)
    atl_picture_task_begin_stage (task, 0, DRAWING_PART);
  request = atl_picture_prepare_request (atl_picture_task_get_settings (task),
                                         atl_model_get_info (atl_picture_task_get_model (task)),
                                         atl_picture_task_get_seed (task));
  self->preparing = g_cancellable_new ();
  atl_picture_prepare_async (atl_session_get_client (self->session), request,
                             atl_picture_task_get_settings (task),
                             atl_model_get_info (atl_picture_task_get_model (task))->abilities,
                             self->preparing, prepared_cb, g_object_ref (self));
}

void
atl_pictures_session_work (AtlPicturesSession *self)
{
  AtlPictureTask *task = atl_picture_queue_next (self->queue);

  if (self->current != NULL || self->is_paused || self->is_gone || task == NULL)
    return;
  self->current = g_object_ref (task);
  atl_picture_task_set_state (task, ATL_TASK_RUNNING);
  atl_picture_task_set_progress (task, _ ("Starting…"), 0, 0, -1);
  if (atl_picture_task_get_source (task) != NULL)
    ask_larger (self, task, NULL);
  else if (atl_picture_task_get_model (task) == NULL)
    atl_pictures_session_load_kept (self);
  else
    atl_pictures_session_draw (self);
  atl_pictures_session_notify_current (self);
}

/* --- What the page asks for --- */

gboolean
atl_pictures_session_create (AtlPicturesSession *self)
{
  AtlPictureSettings *settings = self->settings;

  if (self->model == NULL)
    return FALSE;
  /* Who asks for pictures now does not want the others to keep on waiting. */
  if (self->has_kept)
    atl_pictures_session_set_is_paused (self, FALSE);
  if (self->is_paused)
    atl_session_emit_notice (self->session,
                             _ ("Drawing is paused: what you create waits until you press Go on."));
  for (guint i = 0; i < settings->loras->len; i++)
    atl_known_loras_note (self->session, ((AtlPictureLora *) settings->loras->pdata[i])->path);
  /* Remembered, so that the lock keeps the seeds of what was made last and not some others. */
  if (!settings->seed_is_locked)
    settings->seed = g_random_int ();
  for (guint i = 0; i < settings->count; i++)
    {
      g_autoptr (AtlPictureTask) task =
          atl_picture_task_new (self->model, settings, settings->seed + i);

      atl_picture_queue_append (self->queue, task);
    }
  atl_pictures_session_work (self);
  return TRUE;
}

void
atl_pictures_session_stop (AtlPicturesSession *self, gboolean keep)
{
  self->keeps_small = keep && self->is_enlarging;
  if (self->preparing != NULL)
    g_cancellable_cancel (self->preparing);
  if (self->job == NULL)
    return;
  if (keep && !self->is_enlarging)
    {
      atl_picture_job_finish_early (self->job);
      atl_picture_task_end_early (self->current);
    }
  else
    {
      atl_picture_job_stop (self->job);
      if (!self->keeps_small)
        {
          atl_picture_task_stop (self->current);
          atl_pictures_session_keep_queue (self);
        }
    }
}

/* A model that ended the engine again and again waits for a person to ask for it: this is that. */
static void
allow_model (AtlPicturesSession *self, AtlPictureTask *task)
{
  const char *path = atl_picture_task_get_model_path (task);

  if (path != NULL &&
      g_error_matches (atl_picture_task_get_error (task), ATL_ERROR, ATL_ERROR_BUSY))
    atl_client_set_crash_count (atl_session_get_client (self->session), path, 0);
}

void
atl_pictures_session_retry (AtlPicturesSession *self, AtlPictureTask *task)
{
  g_return_if_fail (atl_picture_task_get_state (task) == ATL_TASK_FAILED);

  if (g_hash_table_contains (self->unsaved, task))
    {
      save (self, task);
      return;
    }
  allow_model (self, task);
  atl_picture_task_set_state (task, ATL_TASK_WAITING);
  atl_pictures_session_set_is_paused (self, FALSE);
  atl_pictures_session_work (self);
}

void
atl_pictures_session_put_back (AtlPicturesSession *self, AtlPictureTask *task, guint at)
{
  atl_picture_queue_insert (self->queue, task, at);
  atl_pictures_session_work (self);
}

/* What was taken out of the queue is not going to be saved. */
static void
queue_cb (AtlPicturesSession *self)
{
  GHashTableIter iter;
  gpointer task;

  g_hash_table_iter_init (&iter, self->unsaved);
  while (g_hash_table_iter_next (&iter, &task, NULL))
    if (atl_picture_task_get_state (task) == ATL_TASK_FAILED &&
        !atl_picture_queue_contains (self->queue, task))
      g_hash_table_iter_remove (&iter);
  /* There is nothing left to wait with. */
  if (g_list_model_get_n_items (G_LIST_MODEL (self->queue)) == 0)
    atl_pictures_session_set_is_paused (self, FALSE);
}

void
atl_pictures_session_init_work (AtlPicturesSession *self)
{
  self->unsaved =
      g_hash_table_new_full (NULL, NULL, g_object_unref, (GDestroyNotify) atl_picture_drawn_free);
  g_signal_connect_object (self->queue, "items-changed", G_CALLBACK (queue_cb), self,
                           G_CONNECT_SWAPPED);
}

void
atl_pictures_session_dispose_work (AtlPicturesSession *self)
{
  if (self->preparing != NULL)
    g_cancellable_cancel (self->preparing);
  g_clear_object (&self->preparing);
  if (self->job != NULL)
    atl_picture_job_stop (self->job);
  end_job (self);
}
