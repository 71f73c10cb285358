/* Saves a copy of a picture: where to is asked, bytes or pixels are written by a worker. */
#define G_LOG_DOMAIN "atl-app"

#include "app/gallery/picture-copy.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/images/pictures-session.h"
#include "base/thread-task.h"
#include "base/whole-file.h"
#include "media/recipe.h"

typedef struct
{
  GFile *from, *to;
  gboolean replaces;
  AtlPictureFormat format; /* of the pixels */
  GVariant *recipe;        /* (nullable) */
  GdkTexture *pixels;      /* (nullable) NULL: the bytes of `from` */
} Copy;

static void
copy_free (gpointer data)
{
  Copy *copy = data;

  g_object_unref (copy->from);
  g_object_unref (copy->to);
  g_clear_pointer (&copy->recipe, g_variant_unref);
  g_clear_object (&copy->pixels);
  g_free (copy);
}

/* The ending of a file's name with its dot; NULL when it has none. Borrowed. */
static const char *
ending_of (const char *name)
{
  const char *dot = strrchr (name, '.');

  return dot != NULL && dot != name && dot[1] != '\0' ? dot : NULL;
}

/* FALSE when a name says nothing of a format that we write. */
static gboolean
format_of (GFile *file, AtlPictureFormat *format)
{
  static const struct
  {
    const char *ending;
    AtlPictureFormat format;
  } known[] = { { ".png", ATL_PICTURE_PNG },
                { ".jpg", ATL_PICTURE_JPEG },
                { ".jpeg", ATL_PICTURE_JPEG },
                { ".webp", ATL_PICTURE_WEBP } };
  g_autofree char *name = g_file_get_basename (file);
  const char *ending = ending_of (name);

  for (gsize i = 0; ending != NULL && i < G_N_ELEMENTS (known); i++)
    if (g_ascii_strcasecmp (ending, known[i].ending) == 0)
      {
        *format = known[i].format;
        return TRUE;
      }
  return FALSE;
}

/* --- On the worker --- */

/* Also by another name: what is opened for writing would be empty when it is read. */
static gboolean
is_same (GFile *a, GFile *b)
{
  g_autoptr (GFileInfo) of_a = g_file_query_info (a, G_FILE_ATTRIBUTE_ID_FILE, 0, NULL, NULL);
  g_autoptr (GFileInfo) of_b = g_file_query_info (b, G_FILE_ATTRIBUTE_ID_FILE, 0, NULL, NULL);

  return of_a != NULL && of_b != NULL &&
         g_strcmp0 (g_file_info_get_attribute_string (of_a, G_FILE_ATTRIBUTE_ID_FILE),
                    g_file_info_get_attribute_string (of_b, G_FILE_ATTRIBUTE_ID_FILE)) == 0;
}

/* Gdk hands out blue, green, red and a fourth byte, as one word of the machine's order. */
static AtlPicture *
to_picture (GdkTexture *texture, GError **error)
{
  guint width = (guint) gdk_texture_get_width (texture);
  guint height = (guint) gdk_texture_get_height (texture);
  gsize n = (gsize) width * height;
  g_autoptr (AtlPicture) picture = atl_picture_try_new (width, height, error);
  g_autofree guint32 *words = picture != NULL ? g_try_new (guint32, n) : NULL;

  if (picture == NULL)
    return NULL;
  if (words == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
                   _ ("There is not enough memory to make a copy of this picture"));
      return NULL;
    }
  gdk_texture_download (texture, (guchar *) words, (gsize) width * sizeof *words);
  for (gsize i = 0; i < n; i++)
    {
      picture->rgb[3 * i] = (guint8) (words[i] >> 16);
      picture->rgb[3 * i + 1] = (guint8) (words[i] >> 8);
      picture->rgb[3 * i + 2] = (guint8) words[i];
    }
  return g_steal_pointer (&picture);
}

static gboolean
write_pixels (Copy *copy, GError **error)
{
  g_autoptr (AtlPicture) picture = to_picture (copy->pixels, error);
  g_autoptr (GBytes) bytes = NULL;

  if (picture == NULL)
    return FALSE;
  if (copy->recipe != NULL)
    atl_recipe_write (picture, copy->recipe);
  bytes = atl_picture_encode (picture, copy->format, 0, error);
  return bytes != NULL && atl_whole_file_save (copy->to, bytes, copy->replaces, error);
}

static gboolean
write_same (Copy *copy, GError **error)
{
  g_autoptr (GBytes) bytes = g_file_load_bytes (copy->from, NULL, NULL, error);

  return bytes != NULL && atl_whole_file_save (copy->to, bytes, copy->replaces, error);
}

static void
copy_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Copy *copy = data;
  GError *error = NULL;
  gboolean is_done = is_same (copy->from, copy->to);

  if (!is_done && copy->pixels != NULL)
    is_done = write_pixels (copy, &error);
  else if (!is_done)
    is_done = write_same (copy, &error);
  if (is_done)
    g_task_return_pointer (task, g_object_ref (copy->to), g_object_unref);
  else
    g_task_return_error (task, error);
}

/* --- On the main thread --- */

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  Copy *copy = g_task_get_task_data (task);
  GError *error = NULL;

  copy->pixels = atl_gallery_load_finish (result, &error);
  if (copy->pixels == NULL)
    g_task_return_error (task, error);
  else
    atl_thread_task_run (task, copy_thread);
}

/* With the ending of the picture. Owned by the caller. */
static GFile *
with_ending (GFile *to, const char *path)
{
  g_autofree char *name = g_file_get_basename (to);
  g_autofree char *own = g_path_get_basename (path);
  g_autofree char *whole = NULL;
  g_autoptr (GFile) folder = g_file_get_parent (to);

  if (ending_of (name) != NULL || ending_of (own) == NULL || folder == NULL)
    return g_object_ref (to);
  whole = g_strconcat (name, ending_of (own), NULL);
  return g_file_get_child (folder, whole);
}

void
atl_picture_copy_async (AtlGallery *gallery,
                        AtlGalleryItem *item,
                        GFile *to,
                        GAsyncReadyCallback callback,
                        gpointer data)
{
  g_autoptr (GTask) task = g_task_new (gallery, NULL, callback, data);
  GError *error = NULL;
  g_autoptr (AtlPictureRow) row = atl_gallery_get_row (gallery, item, &error);
  AtlPictureFormat from_format, to_format;
  Copy *copy;

  if (row == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  copy = g_new0 (Copy, 1);
  copy->from = g_file_new_for_path (row->path);
  copy->to = with_ending (to, row->path);
  copy->replaces = g_file_equal (copy->to, to);
  g_task_set_task_data (task, copy, copy_free);
  if (!format_of (copy->to, &to_format) || !format_of (copy->from, &from_format) ||
      to_format == from_format)
    {
      atl_thread_task_run (task, copy_thread);
      return;
    }
  copy->format = to_format;
  copy->recipe = row->recipe != NULL ? atl_recipe_from_json (row->recipe) : NULL;
  atl_gallery_load_async (gallery, item, 0, NULL, loaded_cb, g_steal_pointer (&task));
}

GFile *
atl_picture_copy_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* --- The question --- */

typedef struct
{
  AtlGallery *gallery;
  AtlGalleryItem *item;
} Question;

static void
copied_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  AtlSession *session = atl_gallery_get_session (ATL_GALLERY (source));
  g_autoptr (GError) error = NULL;
  g_autoptr (GFile) file = atl_picture_copy_finish (result, &error);

  if (file == NULL)
    atl_session_emit_notice (session, error->message);
  else
    {
      g_autofree char *name = g_file_get_parse_name (file);
      g_autofree char *words = g_strdup_printf (_ ("A copy is in %s"), name);

      atl_session_emit_notice (session, words);
    }
}

static void
chosen_cb (GtkNativeDialog *chooser, int response, Question *question)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) to = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser));

      if (to != NULL)
        atl_picture_copy_async (question->gallery, question->item, to, copied_cb, NULL);
    }
  g_object_unref (question->gallery);
  g_object_unref (question->item);
  g_free (question);
  g_object_unref (chooser);
}

void
atl_picture_copy_ask (GtkWidget *widget, AtlGallery *gallery, AtlGalleryItem *item)
{
  g_autofree char *path = atl_gallery_dup_path (gallery, item);
  g_autofree char *ours = atl_pictures_dir ();
  g_autofree char *pictures = g_path_get_dirname (ours);
  g_autofree char *name = path != NULL ? g_path_get_basename (path) : NULL;
  g_autoptr (GFile) folder = NULL;
  GtkFileChooserNative *chooser;
  Question *question;

  if (path == NULL)
    return;
  folder = g_file_new_for_path (g_file_test (pictures, G_FILE_TEST_IS_DIR) ? pictures
                                                                           : g_get_home_dir ());
  question = g_new0 (Question, 1);
  question->gallery = g_object_ref (gallery);
  question->item = g_object_ref (item);
  chooser =
      gtk_file_chooser_native_new (_ ("Save a copy"), GTK_WINDOW (gtk_widget_get_root (widget)),
                                   GTK_FILE_CHOOSER_ACTION_SAVE, _ ("_Save"), NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  gtk_file_chooser_set_current_folder (GTK_FILE_CHOOSER (chooser), folder, NULL);
  gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (chooser), name);
  g_signal_connect (chooser, "response", G_CALLBACK (chosen_cb), question);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}
