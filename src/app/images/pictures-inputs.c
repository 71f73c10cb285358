/* Pictures of others that go in: to begin with, to follow, to do again. They are read in the
 * engine; here are only their pixels. */
#define G_LOG_DOMAIN "atl-app"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>

#include "app/images/known-loras.h"
#include "app/images/pictures-session-private.h"
#include "app/models/model-list.h"
#include "app/words.h"
#include "media/recipe.h"

/* Enough to paint on, and for a thumbnail. */
#define SHOWN_SIDE 1024u
/* A day: so long a picture that was pasted and taken away again can be taken back. */
#define PASTED_KEPT_S (24 * 3600)

/* --- To begin with --- */

AtlPictureFile *
atl_pictures_session_get_start (AtlPicturesSession *self)
{
  return self->start;
}

static void
forget_start (AtlPicturesSession *self)
{
  if (self->start_cancel != NULL)
    g_cancellable_cancel (self->start_cancel);
  g_clear_object (&self->start_cancel);
  g_clear_pointer (&self->start, atl_picture_file_unref);
  g_clear_pointer (&self->start_path, g_free);
}

void
atl_pictures_session_dispose_inputs (AtlPicturesSession *self)
{
  forget_start (self);
}

static void
start_read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlPicturesSession) self = data;
  g_autoptr (GError) error = NULL;
  AtlPictureFile *file = atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);

  if (self->is_gone || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      g_clear_pointer (&file, atl_picture_file_unref);
      return;
    }
  g_clear_object (&self->start_cancel);
  if (file != NULL)
    {
      self->start = file;
      atl_pictures_session_notify_start (self);
      return;
    }
  /* What cannot be read is nothing to begin with. */
  atl_session_emit_notice (self->session, error->message);
  atl_pictures_session_set_start (self, NULL);
}

void
atl_pictures_session_follow_start (AtlPicturesSession *self)
{
  if (g_strcmp0 (self->settings->start, self->start_path) == 0)
    return;
  forget_start (self);
  self->start_path = g_strdup (self->settings->start);
  if (self->start_path != NULL)
    {
      self->start_cancel = g_cancellable_new ();
      atl_client_read_picture_async (atl_session_get_client (self->session), self->start_path, NULL,
                                     SHOWN_SIDE, self->start_cancel, start_read_cb,
                                     g_object_ref (self));
    }
  atl_pictures_session_notify_start (self);
}

static guint
abilities (AtlPicturesSession *self)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self);

  return info != NULL ? info->abilities : ATL_PICTURE_IMAGE;
}

gboolean
atl_pictures_session_follows (AtlPicturesSession *self)
{
  return (abilities (self) & (ATL_PICTURE_BEGINS | ATL_PICTURE_REFERENCE)) == ATL_PICTURE_REFERENCE;
}

typedef struct
{
  AtlPicturesSession *self;
  char *path;
} Read;

static Read *
read_new (AtlPicturesSession *self, const char *path)
{
  Read *read = g_new0 (Read, 1);

  read->self = g_object_ref (self);
  read->path = g_strdup (path);
  return read;
}

static void
read_free (Read *read)
{
  g_object_unref (read->self);
  g_free (read->path);
  g_free (read);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Read, read_free)

static void
begin_with (AtlPicturesSession *self, const char *path, const AtlPictureFile *file)
{
  AtlPictureSettings *settings = atl_picture_settings_copy (self->settings);
  const AtlModelInfo *info = atl_pictures_session_get_info (self);
  gboolean shapes = TRUE;
  guint width, height;

  if ((abilities (self) & ATL_PICTURE_BEGINS) == 0)
    {
      if (info != NULL && settings->references->len >= info->max_references &&
          settings->references->len > 0)
        g_ptr_array_remove_index (settings->references, 0);
      g_ptr_array_add (settings->references, g_strdup (path));
      /* The result has the first one's shape. */
      shapes = settings->references->len == 1;
    }
  else
    {
      /* Chosen once more it keeps what was painted on it. */
      if (g_strcmp0 (settings->start, path) != 0)
        {
          atl_picture_settings_clear_start (settings);
          settings->start = g_strdup (path);
        }
    }
  if (shapes)
    {
      atl_picture_settings_fit (info, file->full_width, file->full_height, &width, &height);
      atl_picture_settings_set_size (settings, info, width, height);
    }
  atl_pictures_session_take_settings (self, settings);
}

static void
looked_at_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (Read) read = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureFile) file =
      atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);

  if (read->self->is_gone)
    return;
  if (file == NULL)
    atl_session_emit_notice (read->self->session, error->message);
  else
    begin_with (read->self, read->path, file);
}

void
atl_pictures_session_set_start (AtlPicturesSession *self, const char *path)
{
  if (path == NULL)
    {
      AtlPictureSettings *settings = atl_picture_settings_copy (self->settings);

      atl_picture_settings_clear_start (settings);
      atl_pictures_session_take_settings (self, settings);
      return;
    }
  if ((abilities (self) & (ATL_PICTURE_BEGINS | ATL_PICTURE_REFERENCE)) == 0)
    {
      g_autofree char *words =
          g_strdup_printf (_ ("%s draws from words alone and cannot begin with a picture."),
                           atl_pictures_session_get_model_name (self));

      atl_session_emit_notice (self->session, words);
      return;
    }
  /* Its size first: pixels follow once the draft has it. */
  atl_client_read_picture_async (atl_session_get_client (self->session), path, NULL, 16, NULL,
                                 looked_at_cb, read_new (self, path));
}

static const char *
ending_of (GBytes *bytes)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  if (size > 3 && data[0] == 0xff && data[1] == 0xd8)
    return "jpg";
  return size > 12 && memcmp (data, "RIFF", 4) == 0 ? "webp" : "png";
}

static char *
pasted_folder (void)
{
  return g_build_filename (g_get_user_data_dir (), "atelier", "pasted", NULL);
}

char *
atl_pictures_input_name (const char *path)
{
  g_autofree char *folder = pasted_folder ();
  g_autofree char *parent = g_path_get_dirname (path);
  g_autofree char *name = g_filename_display_basename (path);
  g_autoptr (GDateTime) pasted = NULL;
  g_autofree char *when = NULL;

  if (g_str_equal (parent, folder))
    pasted = g_date_time_new_from_unix_local (g_ascii_strtoll (name, NULL, 10) / G_USEC_PER_SEC);
  if (pasted == NULL)
    return g_steal_pointer (&name);
  when = g_date_time_format (pasted, "%X");
  /* Translators: a time of day. */
  return g_strdup_printf (_ ("Pasted at %s"), when);
}

static gboolean
is_in_use (const AtlPictureSettings *settings, const char *path)
{
  return g_strcmp0 (settings->start, path) == 0 ||
         g_ptr_array_find_with_equal_func (settings->references, path, g_str_equal, NULL);
}

void
atl_pictures_session_clean_pasted (AtlPicturesSession *self)
{
  g_autofree char *folder = pasted_folder ();
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  gint64 oldest = g_get_real_time () / G_USEC_PER_SEC - PASTED_KEPT_S;
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      GStatBuf st;

      if (!is_in_use (self->settings, path) && g_stat (path, &st) == 0 && st.st_mtime < oldest)
        g_unlink (path);
    }
}

static void
kept_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlPicturesSession) self = data;
  g_autoptr (GError) error = NULL;
  gboolean is_kept = g_file_replace_contents_finish (G_FILE (source), result, NULL, &error);

  if (self->is_gone)
    return;
  if (is_kept)
    atl_pictures_session_set_start (self, g_file_peek_path (G_FILE (source)));
  else
    atl_session_emit_notice (self->session, error->message);
}

void
atl_pictures_session_set_start_bytes (AtlPicturesSession *self, GBytes *bytes)
{
  g_autofree char *folder = pasted_folder ();
  g_autofree char *name =
      g_strdup_printf ("%" G_GINT64_FORMAT ".%s", g_get_real_time (), ending_of (bytes));
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GFile) file = g_file_new_for_path (path);

  g_mkdir_with_parents (folder, 0700);
  g_file_replace_contents_bytes_async (file, bytes, NULL, FALSE, G_FILE_CREATE_PRIVATE, NULL,
                                       kept_cb, g_object_ref (self));
}

void
atl_pictures_session_set_extend (AtlPicturesSession *self, const guint extend[4])
{
  AtlPictureSettings *settings = atl_picture_settings_copy (self->settings);
  const AtlModelInfo *info = atl_pictures_session_get_info (self);
  guint width, height;

  memcpy (settings->extend, extend, sizeof settings->extend);
  if (self->start != NULL)
    {
      atl_picture_settings_extended (settings, self->start->full_width, self->start->full_height,
                                     &width, &height);
      atl_picture_settings_fit (info, width, height, &width, &height);
      atl_picture_settings_set_size (settings, info, width, height);
    }
  atl_pictures_session_take_settings (self, settings);
}

/* --- To do again --- */

char *
atl_pictures_session_apply_recipe (AtlPicturesSession *self,
                                   AtlPictureSettings *settings,
                                   GVariant *recipe)
{
  atl_picture_settings_apply_recipe (settings, recipe, atl_pictures_session_get_info (self));
  return atl_known_loras_restore (self->session, settings, recipe);
}

static gboolean
has_model (AtlPicturesSession *self, const char *name)
{
  GListModel *models = G_LIST_MODEL (atl_session_get_models (self->session));

  for (guint i = 0; i < g_list_model_get_n_items (models); i++)
    {
      g_autoptr (AtlModelEntry) entry = g_list_model_get_item (models, i);

      if (entry->kind == ATL_MODEL_PICTURES && entry->why_not == NULL &&
          (g_ascii_strcasecmp (entry->name, name) == 0 ||
           atl_known_loras_is_called (entry->path, name)))
        return TRUE;
    }
  return FALSE;
}

/* Of a recipe: what another program draws with and the model does not; NULL: nothing. The caller's.
 */
static char *
unknown_sampler (AtlPicturesSession *self, GVariant *recipe)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self);
  g_autofree char *sampler = atl_dict_string (recipe, ATL_MADE_SAMPLER, "");

  if (info == NULL || atl_model_info_has_sampler (info, sampler))
    return NULL;
  return g_steal_pointer (&sampler);
}

char *
atl_pictures_session_lacks_words (AtlPicturesSession *self, GVariant *recipe, const char *loras)
{
  const char *now = atl_pictures_session_get_model_name (self), *then = NULL;
  g_autofree char *first = NULL, *second = NULL, *third = NULL;
  g_autofree char *sampler = unknown_sampler (self, recipe);
  char *const *const said[] = { &first, &second, &third };
  g_autoptr (GStrvBuilder) all = g_strv_builder_new ();
  g_auto (GStrv) parts = NULL;

  /* The one that is being loaded is in use soon; "" where there is none. */
  if (now == NULL)
    now = atl_pictures_session_get_load_name (self);
  if (loras != NULL)
    first = g_strdup_printf (_ ("LoRAs of this picture that are not here: %s."), loras);
  if (g_variant_lookup (recipe, ATL_RECIPE_MODEL, "&s", &then) && *then != '\0' &&
      g_ascii_strcasecmp (now, then) != 0)
    second = g_strdup_printf (has_model (self, then)
                                  /* Translators: the name of a model for pictures. */
                                  ? _ ("It was made with another model, which you have: %s.")
                                  : _ ("It was made with another model, which is not here: %s."),
                              then);
  if (sampler != NULL)
    /* Translators: the name of a sampler. */
    third = g_strdup_printf (_ ("Its sampler is not known for this model: %s."), sampler);
  for (gsize i = 0; i < G_N_ELEMENTS (said); i++)
    if (*said[i] != NULL)
      g_strv_builder_add (all, *said[i]);
  parts = g_strv_builder_end (all);
  return *parts != NULL ? g_strjoinv (" ", parts) : NULL;
}

static void
recipe_read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (Read) read = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureFile) file =
      atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);
  AtlPicturesSession *self = read->self;
  g_autofree char *missing = NULL, *lacks = NULL, *words = NULL;
  AtlPictureSettings *settings;

  if (self->is_gone)
    return;
  if (file == NULL || file->recipe == NULL)
    {
      atl_session_emit_notice (self->session,
                               file == NULL ? error->message
                                            : _ ("This picture does not say how it was made."));
      return;
    }
  settings = atl_picture_settings_copy (self->settings);
  missing = atl_pictures_session_apply_recipe (self, settings, file->recipe);
  atl_pictures_session_take_settings (self, settings);
  lacks = atl_pictures_session_lacks_words (self, file->recipe, missing);
  words = g_strjoin (" ", _ ("The settings of this picture are back."), lacks, NULL);
  atl_session_emit_notice (self->session, words);
}

void
atl_pictures_session_restore_recipe (AtlPicturesSession *self, const char *path)
{
  atl_client_read_picture_async (atl_session_get_client (self->session), path, NULL, 16, NULL,
                                 recipe_read_cb, read_new (self, path));
}
