/* From the queue to files: one task after the other is drawn, enlarged where that was asked for,
 * and saved while the next is drawn. */
#define G_LOG_DOMAIN "atl-app"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

#include "app/images/gallery.h"
#include "app/images/known-loras.h"
#include "app/images/picture-prepare.h"
#include "app/images/pictures-session-private.h"
#include "app/words.h"
#include "media/recipe.h"
#include "store/pictures.h"

#define STEM_CHARS 48
#define BYTES_A_PIXEL 3u
/* Of the progress of one that is enlarged afterwards. */
#define DRAWING_PART 0.6

/* --- Saving --- */

typedef struct
{
  GBytes *pixels; /* [height, width, 3] */
  guint width, height;
  GVariant *recipe; /* (nullable) of a picture that was only enlarged and says nothing */
  char *folder, *stem;
  AtlPictureOrigin origin;
  char *parent; /* (nullable) the file it was made from */
  AtlPictureFormat format;
} Drawn;

static void
drawn_free (gpointer data)
{
  Drawn *drawn = data;

  g_bytes_unref (drawn->pixels);
  g_clear_pointer (&drawn->recipe, g_variant_unref);
  g_free (drawn->folder);
  g_free (drawn->stem);
  g_free (drawn->parent);
  g_free (drawn);
}

char *
atl_pictures_dir (void)
{
  const char *pictures = g_get_user_special_dir (G_USER_DIRECTORY_PICTURES);

  if (pictures != NULL && !g_str_equal (pictures, g_get_home_dir ()))
    return g_build_filename (pictures, "Atelier", NULL);
  return g_build_filename (g_get_home_dir (), "Pictures", "Atelier", NULL);
}

/* The first words of the prompt: what a person looks for in the folder. */
static char *
stem_for (const char *prompt)
{
  g_autofree char *valid = g_utf8_make_valid (prompt, -1);
  g_autofree char *name = NULL;
  gchar *cut;

  if (g_utf8_strlen (valid, -1) > STEM_CHARS)
    {
      cut = g_utf8_offset_to_pointer (valid, STEM_CHARS);
      *cut = '\0';
      cut = strrchr (valid, ' ');
      if (cut != NULL && cut - valid > STEM_CHARS / 2)
        *cut = '\0';
    }
  g_strstrip (valid);
  name = atl_file_name_from_title (*valid != '\0' ? valid : _ ("Picture"), "");
  return g_steal_pointer (&name);
}

static void
save_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  static const char *const endings[] = { "png", "jpg", "webp" };
  Drawn *drawn = data;
  GError *error = NULL;
  g_autoptr (AtlPicture) picture = atl_picture_try_new (drawn->width, drawn->height, &error);
  g_autoptr (GBytes) bytes = NULL;
  char *path = NULL;

  if (picture == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  memcpy (picture->rgb, g_bytes_get_data (drawn->pixels, NULL), g_bytes_get_size (drawn->pixels));
  if (drawn->recipe != NULL)
    atl_recipe_write (picture, drawn->recipe);
  bytes = atl_picture_encode (picture, drawn->format, 0, &error);
  /* What is too large for it is not lost. */
  if (bytes == NULL && g_error_matches (error, ATL_ERROR, ATL_ERROR_INVALID))
    {
      g_clear_error (&error);
      drawn->format = ATL_PICTURE_PNG;
      bytes = atl_picture_encode (picture, drawn->format, 0, &error);
    }
  if (bytes != NULL && g_mkdir_with_parents (drawn->folder, 0755) != 0)
    g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID, _ ("The folder %s cannot be made: %s"),
                 drawn->folder, g_strerror (errno));
  else if (bytes != NULL)
    path = atl_picture_save (bytes, drawn->folder, drawn->stem, endings[drawn->format], &error);
  if (path != NULL)
    g_task_return_pointer (task, path, g_free);
  else
    g_task_return_error (task, error);
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

static GdkTexture *
new_texture (GBytes *rgb, guint width, guint height)
{
  return gdk_memory_texture_new ((int) width, (int) height, GDK_MEMORY_R8G8B8, rgb,
                                 (gsize) width * BYTES_A_PIXEL);
}

/* The file is what counts: without a row it is found again when the gallery looks round. */
static gint64
add_row (AtlPicturesSession *self, const Drawn *drawn, const char *path)
{
  g_autoptr (GVariant) said = drawn->recipe != NULL
                                  ? g_variant_ref (drawn->recipe)
                                  : g_variant_ref_sink (g_variant_new ("a{sv}", NULL));
  g_autofree char *prompt = atl_dict_string (said, ATL_MADE_PROMPT, NULL);
  g_autofree char *negative = atl_dict_string (said, ATL_MADE_NEGATIVE, NULL);
  g_autofree char *model = atl_dict_string (said, ATL_RECIPE_MODEL, NULL);
  g_autofree char *recipe = drawn->recipe != NULL ? atl_recipe_to_json (drawn->recipe) : NULL;
  g_autoptr (GVariant) seed = atl_dict_lookup (said, ATL_MADE_SEED, "u");
  g_autoptr (GError) error = NULL;
  AtlGalleryItem *parent =
      drawn->parent != NULL ? atl_gallery_find_path (atl_gallery_get (self->session), drawn->parent)
                            : NULL;
  AtlPictureRow row = { .path = (char *) path,
                        .origin = drawn->origin,
                        .parent_id = parent != NULL ? atl_gallery_item_get_id (parent) : 0,
                        .created_us = g_get_real_time (),
                        .width = drawn->width,
                        .height = drawn->height,
                        .prompt = prompt,
                        .negative = negative,
                        .model = model,
                        .recipe = recipe,
                        .seed = seed != NULL ? g_variant_get_uint32 (seed) : -1 };
  gint64 id;

  id = atl_gallery_add (self->session, &row, drawn->pixels, &error);
  if (id == 0)
    g_warning ("A picture is not in the gallery: %s", error->message);
  return id;
}

static void
saved_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Saving *saving = data;
  g_autoptr (AtlPicturesSession) self = saving->self;
  g_autoptr (AtlPictureTask) task = saving->task;
  Drawn *drawn = g_task_get_task_data (G_TASK (result));
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_task_propagate_pointer (G_TASK (result), &error);
  g_autoptr (GdkTexture) texture = NULL;

  g_free (saving);
  if (self->is_gone)
    return;
  if (path == NULL)
    {
      fail (self, task, error);
      return;
    }
  texture = new_texture (drawn->pixels, drawn->width, drawn->height);
  atl_pictures_session_emit_saved (self, path, texture, add_row (self, drawn, path));
  g_hash_table_remove (self->unsaved, task);
  atl_picture_queue_remove (self->queue, task);
}

/* Hands the drawn picture of `task` to a worker; it stays in `unsaved` until it is on the disk. */
static void
save (AtlPicturesSession *self, AtlPictureTask *task)
{
  g_autoptr (GTask) work = NULL;
  Saving *saving = g_new0 (Saving, 1);

  saving->self = g_object_ref (self);
  saving->task = g_object_ref (task);
  atl_picture_task_set_state (task, ATL_TASK_SAVING);
  work = g_task_new (NULL, NULL, saved_cb, saving);
  g_task_set_task_data (work, g_hash_table_lookup (self->unsaved, task), NULL);
  g_task_run_in_thread (work, save_thread);
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
take_pixels (Drawn *drawn, AtlPictureJob *job)
{
  g_clear_pointer (&drawn->pixels, g_bytes_unref);
  drawn->pixels = g_bytes_ref (atl_picture_job_get_pixels (job, &drawn->width, &drawn->height));
}

static Drawn *
drawn_new (AtlPictureTask *task, AtlPictureJob *job)
{
  const AtlPictureSettings *settings = atl_picture_task_get_settings (task);
  Drawn *drawn = g_new0 (Drawn, 1);

  take_pixels (drawn, job);
  drawn->recipe =
      atl_recipe_join (atl_picture_request_get_settings (atl_picture_job_get_request (job)),
                       atl_picture_job_get_facts (job), drawn->width, drawn->height);
  drawn->folder = atl_pictures_dir ();
  drawn->stem = stem_for (settings->prompt);
  drawn->origin = settings->start != NULL ? ATL_ORIGIN_EDITED : ATL_ORIGIN_MADE;
  drawn->parent = g_strdup (settings->start);
  return drawn;
}

/* Of a picture that was there before. */
static Drawn *
drawn_new_larger (AtlPictureTask *task)
{
  const char *source = atl_picture_task_get_source (task);
  GVariant *recipe = atl_picture_task_get_recipe (task);
  g_autofree char *name = g_path_get_basename (source);
  char *dot = strrchr (name, '.');
  Drawn *drawn = g_new0 (Drawn, 1);
  g_autofree char *stem = NULL;

  if (dot != NULL && dot != name)
    *dot = '\0';
  stem = g_strdup_printf ("%s %ux", name, atl_picture_task_get_settings (task)->enlarge);
  drawn->recipe = recipe != NULL ? g_variant_ref (recipe) : NULL;
  drawn->folder = atl_pictures_dir ();
  drawn->stem = stem_for (stem);
  drawn->origin = ATL_ORIGIN_UPSCALED;
  drawn->parent = g_strdup (source);
  return drawn;
}

static void
enlarged (Drawn *drawn, AtlPictureJob *job)
{
  g_autoptr (GVariant) before = g_steal_pointer (&drawn->recipe);

  take_pixels (drawn, job);
  if (before != NULL)
    drawn->recipe =
        atl_recipe_enlarged (before, atl_picture_job_get_facts (job), drawn->width, drawn->height);
}

static void
ask_larger (AtlPicturesSession *self, AtlPictureTask *task, const Drawn *drawn)
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

static void
finished_cb (AtlPictureJob *job, AtlPicturesSession *self)
{
  AtlPictureTask *task = self->current;
  Drawn *drawn = g_hash_table_lookup (self->unsaved, task);
  GSettings *settings = atl_session_get_settings (self->session);

  if (drawn == NULL)
    {
      drawn = self->is_enlarging ? drawn_new_larger (task) : drawn_new (task, job);
      drawn->format = (AtlPictureFormat) g_settings_get_enum (settings, "picture-format");
      g_hash_table_insert (self->unsaved, g_object_ref (task), drawn);
    }
  if (self->is_enlarging)
    enlarged (drawn, job);
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
atl_pictures_session_work (AtlPicturesSession *self)
{
  AtlPictureTask *task = atl_picture_queue_next (self->queue);
  g_autoptr (AtlPictureRequest) request = NULL;

  if (self->current != NULL || self->is_paused || self->is_gone || task == NULL)
    return;
  self->current = g_object_ref (task);
  atl_picture_task_set_state (task, ATL_TASK_RUNNING);
  atl_picture_task_set_progress (task, _ ("Starting…"), 0, 0, -1);
  if (atl_picture_task_get_source (task) != NULL)
    {
      ask_larger (self, task, NULL);
      atl_pictures_session_notify_current (self);
      return;
    }
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
  atl_pictures_session_notify_current (self);
}

/* --- What the page asks for --- */

gboolean
atl_pictures_session_create (AtlPicturesSession *self)
{
  const AtlPictureSettings *settings = self->settings;

  if (self->model == NULL)
    return FALSE;
  for (guint i = 0; i < settings->loras->len; i++)
    atl_known_loras_note (self->session, ((AtlPictureLora *) settings->loras->pdata[i])->path);
  for (guint i = 0; i < settings->count; i++)
    {
      guint32 seed = settings->seed_is_locked ? settings->seed + i : g_random_int ();
      g_autoptr (AtlPictureTask) task = atl_picture_task_new (self->model, settings, seed);

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
    atl_picture_job_finish_early (self->job);
  else
    atl_picture_job_stop (self->job);
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
  atl_picture_task_set_state (task, ATL_TASK_WAITING);
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
}

void
atl_pictures_session_init_work (AtlPicturesSession *self)
{
  self->unsaved = g_hash_table_new_full (NULL, NULL, g_object_unref, drawn_free);
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
