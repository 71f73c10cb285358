/* Asking the engine to read a picture. */
#define G_LOG_DOMAIN "atl-client"

#include "client/picture-file.h"

#include "base/thread-task.h"
#include "client/client-private.h"
#include "client/picture-request.h"

G_DEFINE_BOXED_TYPE (AtlPictureFile, atl_picture_file, atl_picture_file_ref, atl_picture_file_unref)

/* Places in the list of descriptors. */
enum
{
  OF_PIXELS,
  OF_FILE,
  N_FILES
};

AtlPictureFile *
atl_picture_file_ref (AtlPictureFile *self)
{
  return g_atomic_rc_box_acquire (self);
}

static void
picture_file_clear (gpointer data)
{
  AtlPictureFile *self = data;

  g_clear_pointer (&self->rgb, g_bytes_unref);
  g_clear_pointer (&self->texts, g_variant_unref);
  g_clear_pointer (&self->recipe, g_variant_unref);
}

void
atl_picture_file_unref (AtlPictureFile *self)
{
  if (self != NULL)
    g_atomic_rc_box_release_full (self, picture_file_clear);
}

/* --- Reading --- */

/* More than a page refers to at a time; what is forgotten counts as large. */
#define MAX_SIZES 1000u

typedef struct
{
  AtlRequest request;
  AtlPictureRequest *input;
  char *path; /* (nullable) */
  guint max_side;
  GUnixFDList *fds;   /* (nullable) once opened */
  GSource *cancelled; /* (nullable) */
} Reading;

static void
reading_free (gpointer data)
{
  Reading *self = data;

  atl_picture_request_unref (self->input);
  g_clear_object (&self->fds);
  g_free (self->path);
  g_free (self);
}

static gboolean
cancelled_cb (GCancellable *cancellable, gpointer user_data)
{
  GTask *task = user_data;

  atl_client_cancel_request (g_task_get_source_object (task),
                             &((Reading *) g_task_get_task_data (task))->request);
  return G_SOURCE_REMOVE;
}

static AtlPictureFile *
file_from_reply (Reading *self, GVariant *reply, GError **error)
{
  AtlPictureFile *file;
  g_autoptr (GVariant) facts = NULL;
  g_autoptr (GBytes) rgb = NULL;
  guint width, height;

  g_variant_get (reply, "(uu@a{sv})", &width, &height, &facts);
  rgb = atl_room_read (self->fds, OF_PIXELS, width, height, ATL_MAX_INPUT_SIDE, 0, error);
  if (rgb == NULL)
    return NULL;
  file = g_atomic_rc_box_new0 (AtlPictureFile);
  file->rgb = g_steal_pointer (&rgb);
  file->width = width;
  file->height = height;
  file->full_width = atl_dict_uint (facts, ATL_READ_FULL_WIDTH, width);
  file->full_height = atl_dict_uint (facts, ATL_READ_FULL_HEIGHT, height);
  file->texts = atl_dict_lookup (facts, ATL_READ_TEXTS, "a{ss}");
  if (file->texts == NULL)
    file->texts = g_variant_ref_sink (g_variant_new_array (G_VARIANT_TYPE ("{ss}"), NULL, 0));
  file->recipe = atl_dict_lookup (facts, ATL_READ_RECIPE, "a{sv}");
  return file;
}

static void
note_size (AtlClient *client, const char *path, const AtlPictureFile *file)
{
  guint size[] = { file->full_width, file->full_height };

  if (g_hash_table_size (client->picture_sizes) >= MAX_SIZES)
    g_hash_table_remove_all (client->picture_sizes);
  g_hash_table_replace (client->picture_sizes, g_strdup (path), g_memdup2 (size, sizeof size));
}

static void
read_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  AtlClient *client = g_task_get_source_object (task);
  Reading *self = g_task_get_task_data (task);
  AtlPictureFile *file = NULL;
  GError *error = NULL;
  g_autoptr (GVariant) reply =
      atl_engine_process_call_finish (ATL_ENGINE_PROCESS (source), result, &error);

  if (self->cancelled != NULL)
    g_source_destroy (self->cancelled);
  g_clear_pointer (&self->cancelled, g_source_unref);
  atl_client_remove_request (client, &self->request);
  if (reply != NULL)
    file = file_from_reply (self, reply, &error);
  if (file != NULL && self->path != NULL)
    note_size (client, self->path, file);
  if (file != NULL)
    g_task_return_pointer (task, file, (GDestroyNotify) atl_picture_file_unref);
  else
    g_task_return_error (task, error);
}

static void
started_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlClient *client = ATL_CLIENT (source);
  g_autoptr (GTask) task = user_data;
  Reading *self = g_task_get_task_data (task);
  GCancellable *cancellable = g_task_get_cancellable (task);
  GVariantBuilder files;
  GVariantDict options;
  GError *error = NULL;

  if (!atl_client_start_finish (client, result, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  if (client->process == NULL)
    {
      g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s", client->sentence);
      return;
    }
  atl_client_add_request (client, &self->request);
  if (cancellable != NULL)
    {
      self->cancelled = g_cancellable_source_new (cancellable);
      g_source_set_callback (self->cancelled, G_SOURCE_FUNC (cancelled_cb), task, NULL);
      g_source_attach (self->cancelled, client->context);
    }
  g_variant_builder_init (&files, G_VARIANT_TYPE ("a(sh)"));
  g_variant_builder_add (&files, "(sh)", ATL_CREATE_PICTURE, OF_PIXELS);
  g_variant_builder_add (&files, "(sh)", ATL_CREATE_IMAGE, OF_FILE);
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, ATL_READ_MAX_SIDE, "u", self->max_side);
  atl_engine_process_call (
      client->process, "ReadPicture",
      g_variant_new ("(ua(sh)@a{sv})", self->request.id, &files, g_variant_dict_end (&options)),
      "(uua{sv})", self->fds, read_cb, g_object_ref (task));
}

static void
open_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  AtlPictureRequest *input = data;
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  GError *error = NULL;

  if (!atl_room_add (fds, names, ATL_CREATE_PICTURE, &error) ||
      !atl_picture_request_open (input, fds, names, &error))
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, g_steal_pointer (&fds), g_object_unref);
}

static void
opened_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GTask *task = user_data;
  Reading *self = g_task_get_task_data (task);
  GError *error = NULL;

  self->fds = g_task_propagate_pointer (G_TASK (result), &error);
  if (self->fds == NULL)
    {
      g_task_return_error (task, error);
      g_object_unref (task);
      return;
    }
  atl_client_start_async (ATL_CLIENT (source), g_task_get_cancellable (task), started_cb, task);
}

void
atl_client_read_picture_async (AtlClient *self,
                               const char *path,
                               GBytes *bytes,
                               guint max_side,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data)
{
  g_autoptr (GTask) opening = NULL;
  Reading *reading;
  GTask *task;

  g_return_if_fail (ATL_IS_CLIENT (self) && (path != NULL || bytes != NULL));
  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, atl_client_read_picture_async);
  reading = g_new0 (Reading, 1);
  reading->max_side = max_side;
  reading->path = g_strdup (path);
  reading->input = atl_picture_request_new (g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0));
  if (path != NULL)
    atl_picture_request_add_file (reading->input, ATL_CREATE_IMAGE, path);
  else
    atl_picture_request_add_bytes (reading->input, ATL_CREATE_IMAGE, bytes);
  g_task_set_task_data (task, reading, reading_free);
  opening = g_task_new (self, cancellable, opened_cb, task);
  g_task_set_task_data (opening, atl_picture_request_ref (reading->input),
                        (GDestroyNotify) atl_picture_request_unref);
  atl_thread_task_run (opening, open_thread);
}

AtlPictureFile *
atl_client_read_picture_finish (AtlClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
