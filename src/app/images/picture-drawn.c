/* Pixels and recipe of what was drawn, to a file and a row. */
#define G_LOG_DOMAIN "atl-app"

#include "app/images/picture-drawn.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

#include "app/gallery/gallery.h"
#include "app/images/pictures-session.h"
#include "app/words.h"
#include "media/recipe.h"

#define STEM_CHARS 48

/* --- What it is --- */

void
atl_picture_drawn_free (AtlPictureDrawn *self)
{
  if (self == NULL)
    return;
  g_bytes_unref (self->pixels);
  g_clear_pointer (&self->recipe, g_variant_unref);
  g_free (self->folder);
  g_free (self->stem);
  g_free (self->parent);
  g_free (self);
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
take_pixels (AtlPictureDrawn *self, AtlPictureJob *job)
{
  g_clear_pointer (&self->pixels, g_bytes_unref);
  self->pixels = g_bytes_ref (atl_picture_job_get_pixels (job, &self->width, &self->height));
}

AtlPictureDrawn *
atl_picture_drawn_new (AtlPictureTask *task, AtlPictureJob *job, AtlPictureFormat format)
{
  const AtlPictureSettings *settings = atl_picture_task_get_settings (task);
  AtlPictureDrawn *self = g_new0 (AtlPictureDrawn, 1);

  take_pixels (self, job);
  self->recipe =
      atl_recipe_join (atl_picture_request_get_settings (atl_picture_job_get_request (job)),
                       atl_picture_job_get_facts (job), self->width, self->height);
  self->folder = atl_pictures_dir ();
  self->stem = stem_for (settings->prompt);
  self->origin = settings->start != NULL ? ATL_ORIGIN_EDITED : ATL_ORIGIN_MADE;
  self->parent = g_strdup (settings->start);
  self->format = format;
  return self;
}

AtlPictureDrawn *
atl_picture_drawn_new_larger (AtlPictureTask *task, AtlPictureFormat format)
{
  const char *source = atl_picture_task_get_source (task);
  GVariant *recipe = atl_picture_task_get_recipe (task);
  g_autofree char *name = g_path_get_basename (source);
  char *dot = strrchr (name, '.');
  AtlPictureDrawn *self = g_new0 (AtlPictureDrawn, 1);
  g_autofree char *stem = NULL;

  if (dot != NULL && dot != name)
    *dot = '\0';
  stem = g_strdup_printf ("%s %ux", name, atl_picture_task_get_settings (task)->enlarge);
  self->recipe = recipe != NULL ? g_variant_ref (recipe) : NULL;
  self->folder = atl_pictures_dir ();
  self->stem = stem_for (stem);
  self->origin = ATL_ORIGIN_UPSCALED;
  self->parent = g_strdup (source);
  self->format = format;
  return self;
}

void
atl_picture_drawn_take_larger (AtlPictureDrawn *self, AtlPictureJob *job)
{
  g_autoptr (GVariant) before = g_steal_pointer (&self->recipe);

  take_pixels (self, job);
  if (before != NULL)
    self->recipe =
        atl_recipe_enlarged (before, atl_picture_job_get_facts (job), self->width, self->height);
}

/* --- To a file --- */

static void
save_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  static const char *const endings[] = { "png", "jpg", "webp" };
  AtlPictureDrawn *self = data;
  GError *error = NULL;
  g_autoptr (AtlPicture) picture = atl_picture_try_new (self->width, self->height, &error);
  g_autoptr (GBytes) bytes = NULL;
  char *path = NULL;

  if (picture == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  memcpy (picture->rgb, g_bytes_get_data (self->pixels, NULL), g_bytes_get_size (self->pixels));
  if (self->recipe != NULL)
    atl_recipe_write (picture, self->recipe);
  bytes = atl_picture_encode (picture, self->format, 0, &error);
  /* What is too large for it is not lost. */
  if (bytes == NULL && g_error_matches (error, ATL_ERROR, ATL_ERROR_INVALID))
    {
      g_clear_error (&error);
      self->format = ATL_PICTURE_PNG;
      bytes = atl_picture_encode (picture, self->format, 0, &error);
    }
  if (bytes != NULL && g_mkdir_with_parents (self->folder, 0755) != 0)
    g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID, _ ("The folder %s cannot be made: %s"),
                 self->folder, g_strerror (errno));
  else if (bytes != NULL)
    path = atl_picture_save (bytes, self->folder, self->stem, endings[self->format], &error);
  if (path != NULL)
    g_task_return_pointer (task, path, g_free);
  else
    g_task_return_error (task, error);
}

void
atl_picture_drawn_save_async (AtlPictureDrawn *self,
                              GAsyncReadyCallback callback,
                              gpointer user_data)
{
  g_autoptr (GTask) work = g_task_new (NULL, NULL, callback, user_data);

  g_task_set_source_tag (work, atl_picture_drawn_save_async);
  g_task_set_task_data (work, self, NULL);
  g_task_run_in_thread (work, save_thread);
}

char *
atl_picture_drawn_save_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* The file is what counts: without a row it is found again when the gallery looks round. */
gint64
atl_picture_drawn_add_row (const AtlPictureDrawn *self, AtlSession *session, const char *path)
{
  g_autoptr (GVariant) said = self->recipe != NULL
                                  ? g_variant_ref (self->recipe)
                                  : g_variant_ref_sink (g_variant_new ("a{sv}", NULL));
  g_autofree char *prompt = atl_dict_string (said, ATL_MADE_PROMPT, NULL);
  g_autofree char *negative = atl_dict_string (said, ATL_MADE_NEGATIVE, NULL);
  g_autofree char *model = atl_dict_string (said, ATL_RECIPE_MODEL, NULL);
  g_autofree char *recipe = self->recipe != NULL ? atl_recipe_to_json (self->recipe) : NULL;
  g_autoptr (GVariant) seed = atl_dict_lookup (said, ATL_MADE_SEED, "u");
  g_autoptr (GError) error = NULL;
  AtlGalleryItem *parent =
      self->parent != NULL ? atl_gallery_find_path (atl_gallery_get (session), self->parent) : NULL;
  AtlPictureRow row = { .path = (char *) path,
                        .origin = self->origin,
                        .parent_id = parent != NULL ? atl_gallery_item_get_id (parent) : 0,
                        .created_us = g_get_real_time (),
                        .width = self->width,
                        .height = self->height,
                        .prompt = prompt,
                        .negative = negative,
                        .model = model,
                        .recipe = recipe,
                        .seed = seed != NULL ? (gint64) g_variant_get_uint32 (seed) : -1 };
  gint64 id;

  id = atl_gallery_add (session, &row, self->pixels, &error);
  if (id == 0)
    g_warning ("A picture is not in the gallery: %s", error->message);
  return id;
}
