/* Files that nobody put into the gallery, or that are no longer where they were. */
#define G_LOG_DOMAIN "atl-app"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

#include "app/gallery/gallery-private.h"
#include "app/images/pictures-session.h"
#include "base/thread-task.h"
#include "media/picture.h"
#include "media/recipe.h"

#define LOOK_EVERY_US (30 * G_USEC_PER_SEC)
#define MAX_DEPTH 6u
#define MAX_FILES 50000u
/* Of a file that is copied. */
#define MAX_COPY_BYTES (512 << 20)
/* A picture is being written still. */
#define SETTLED_US (3 * G_USEC_PER_SEC)
/* Rows of what is taken in come together: each time the disk is waited for, and lists are made
 * anew.
 */
#define ROWS_EVERY_US (G_USEC_PER_SEC / 2)
#define MAX_ROWS 64u

/* --- Looking, on a worker --- */

typedef struct
{
  char *folder;
  GHashTable *known; /* char * -> gint64 * */
  /* found: */
  GPtrArray *unknown; /* of char *: pictures without a row, the oldest first */
  GHashTable *gone;   /* gint64 * -> char *: rows whose file is not there, its name */
} Look;

static void
look_free (gpointer data)
{
  Look *look = data;

  g_free (look->folder);
  g_hash_table_unref (look->known);
  g_ptr_array_unref (look->unknown);
  g_hash_table_unref (look->gone);
  g_free (look);
}

static gboolean
is_picture_name (const char *name)
{
  static const char *const endings[] = { ".png", ".jpg", ".jpeg", ".webp" };
  g_autofree char *lower = g_ascii_strdown (name, -1);

  for (gsize i = 0; i < G_N_ELEMENTS (endings); i++)
    if (g_str_has_suffix (lower, endings[i]))
      return *name != '.';
  return FALSE;
}

static gint64
changed_us (const GStatBuf *st)
{
  return (gint64) st->st_mtim.tv_sec * G_USEC_PER_SEC + st->st_mtim.tv_nsec / 1000;
}

static void
look_into (Look *look, const char *folder, guint depth, guint *n_left)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && *n_left > 0 && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      GStatBuf st;

      (*n_left)--;
      if (*name == '.' || g_lstat (path, &st) != 0)
        continue;
      if (S_ISDIR (st.st_mode) && depth < MAX_DEPTH)
        look_into (look, path, depth + 1, n_left);
      else if (S_ISREG (st.st_mode) && is_picture_name (name) &&
               !g_hash_table_contains (look->known, path) &&
               changed_us (&st) < g_get_real_time () - SETTLED_US)
        g_ptr_array_add (look->unknown, g_steal_pointer (&path));
    }
}

static void
look_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Look *look = data;
  GHashTableIter iter;
  gpointer path, id;
  guint n_left = MAX_FILES;

  look_into (look, look->folder, 0, &n_left);
  g_hash_table_iter_init (&iter, look->known);
  while (g_hash_table_iter_next (&iter, &path, &id))
    if (!g_file_test (path, G_FILE_TEST_EXISTS))
      g_hash_table_insert (look->gone, g_memdup2 (id, sizeof (gint64)), g_path_get_basename (path));
  g_task_return_boolean (task, TRUE);
}

/* --- What was found --- */

/* The row whose file is now `path`: of the same name and size, and gone from where it was. 0 when
 * there is none. */
static gint64
find_moved (AtlGallery *self, Look *look, const char *path)
{
  g_autofree char *name = g_path_get_basename (path);
  GHashTableIter iter;
  gpointer id, other;
  GStatBuf st;

  if (g_stat (path, &st) != 0)
    return 0;
  g_hash_table_iter_init (&iter, look->gone);
  while (g_hash_table_iter_next (&iter, &id, &other))
    {
      g_autoptr (AtlPictureRow) row = NULL;

      if (!g_str_equal (other, name))
        continue;
      row = atl_store_picture_get (atl_session_get_store (self->session), *(gint64 *) id, NULL);
      if (row != NULL && row->size_bytes == (guint64) st.st_size &&
          row->changed_us == changed_us (&st))
        return row->id;
    }
  return 0;
}

static void import_next (AtlGallery *self);

static void
looked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlGallery) self = ATL_GALLERY (g_object_ref (source));
  Look *look = g_task_get_task_data (G_TASK (result));
  GHashTableIter iter;
  gpointer id;
  gboolean any_moved = FALSE;

  self->is_looking = FALSE;
  if (g_cancellable_is_cancelled (self->cancellable))
    return;
  for (guint i = 0; i < look->unknown->len; i++)
    {
      const char *path = look->unknown->pdata[i];
      gint64 moved = find_moved (self, look, path);

      if (moved != 0 &&
          atl_store_picture_move (atl_session_get_store (self->session), moved, path, NULL))
        {
          g_hash_table_remove (look->gone, &moved);
          any_moved = TRUE;
        }
      else
        g_ptr_array_add (self->imports, g_strdup (path));
    }
  g_hash_table_iter_init (&iter, look->gone);
  while (g_hash_table_iter_next (&iter, &id, NULL))
    {
      AtlGalleryItem *item = atl_gallery_find (self, *(gint64 *) id);

      if (item != NULL)
        atl_gallery_item_set_state (item, ATL_GALLERY_GONE, NULL);
    }
  if (any_moved)
    atl_gallery_reload (self);
  import_next (self);
}

static void
begin_look (AtlGallery *self)
{
  g_autoptr (GTask) task = NULL;
  GHashTable *known;
  Look *look;

  known = atl_store_picture_paths (atl_session_get_store (self->session), NULL);
  if (known == NULL)
    return;
  self->is_looking = self->has_looked = TRUE;
  look = g_new0 (Look, 1);
  look->folder = atl_pictures_dir ();
  look->known = known;
  look->unknown = g_ptr_array_new_with_free_func (g_free);
  look->gone = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  task = g_task_new (self, NULL, looked_cb, NULL);
  g_task_set_task_data (task, look, look_free);
  atl_thread_task_run (task, look_thread);
}

void
atl_gallery_look (AtlGallery *self)
{
  gint64 now = g_get_monotonic_time ();

  if (self->is_looking || (self->looked_us != 0 && now - self->looked_us < LOOK_EVERY_US))
    return;
  self->looked_us = now;
  begin_look (self);
}

void
atl_gallery_look_first (AtlGallery *self)
{
  if (!self->has_looked && !self->is_looking)
    begin_look (self);
}

/* --- Taking in, one after the other --- */

static void
end_import (AtlGallery *self)
{
  g_autofree char *words = NULL;

  if (!self->was_asked || self->n_imported + self->n_refused == 0)
    return;
  if (self->n_refused == 0)
    words = g_strdup_printf (g_dngettext (GETTEXT_PACKAGE, "Picture added to the gallery",
                                          "%u pictures added to the gallery", self->n_imported),
                             self->n_imported);
  else
    words = g_strdup_printf (
        g_dngettext (
            GETTEXT_PACKAGE, "A file could not be read as a picture. PNG, JPEG and WebP can",
            "%u files could not be read as pictures. PNG, JPEG and WebP can", self->n_refused),
        self->n_refused);
  atl_session_emit_notice (self->session, words);
  self->was_asked = FALSE;
  self->n_imported = self->n_refused = 0;
}

static char *
lookup_text (GVariant *recipe, const char *key)
{
  const char *text = NULL;

  return recipe != NULL && g_variant_lookup (recipe, key, "&s", &text) ? g_strdup (text) : NULL;
}

/* What was read and waits for its row. */
typedef struct
{
  AtlPictureRow *row;
  GBytes *rgb; /* [height, width, 3] */
  guint width, height;
} Read;

static void
read_free (gpointer data)
{
  Read *read = data;

  atl_picture_row_free (read->row);
  g_bytes_unref (read->rgb);
  g_free (read);
}

static AtlPictureRow *
row_of (const char *path, AtlPictureFile *file)
{
  g_autofree char *source = lookup_text (file->recipe, ATL_RECIPE_SOURCE);
  AtlPictureRow *row = g_new0 (AtlPictureRow, 1);
  GStatBuf st;
  guint32 seed;

  row->path = g_strdup (path);
  row->width = file->full_width;
  row->height = file->full_height;
  row->prompt = lookup_text (file->recipe, "prompt");
  row->negative = lookup_text (file->recipe, "negative_prompt");
  row->model = lookup_text (file->recipe, ATL_RECIPE_MODEL);
  row->recipe = file->recipe != NULL ? atl_recipe_to_json (file->recipe) : NULL;
  /* Ours say nothing about the program; their list was lost, or its process killed. */
  row->origin = file->recipe != NULL && (source == NULL || g_str_equal (source, "Atelier"))
                    ? ATL_ORIGIN_MADE
                    : ATL_ORIGIN_IMPORTED;
  row->seed = file->recipe != NULL && g_variant_lookup (file->recipe, "seed", "u", &seed)
                  ? (gint64) seed
                  : -1;
  if (g_stat (path, &st) == 0)
    row->created_us = changed_us (&st);
  return row;
}

/* Rows for all that was read. One that is refused does not keep the others away. */
static void
note_read (AtlGallery *self)
{
  AtlStore *store = atl_session_get_store (self->session);
  g_autoptr (GPtrArray) read = g_steal_pointer (&self->read);
  g_autofree gint64 *ids = g_new0 (gint64, MAX (read->len, 1));
  g_autoptr (GError) error = NULL;
  guint n_noted = 0;

  self->read = g_ptr_array_new_with_free_func (read_free);
  self->noted_us = g_get_monotonic_time ();
  if (read->len == 0)
    return;
  if (atl_store_begin (store, &error))
    {
      for (guint i = 0; i < read->len; i++)
        ids[i] =
            atl_gallery_note (self, ((Read *) read->pdata[i])->row, error == NULL ? &error : NULL);
      if (!atl_store_end (store, TRUE, error == NULL ? &error : NULL))
        memset (ids, 0, read->len * sizeof *ids);
    }
  for (guint i = 0; i < read->len; i++)
    {
      const Read *one = read->pdata[i];

      if (ids[i] == 0)
        continue;
      atl_gallery_show_noted (self, ids[i], one->row->path, one->rgb, one->width, one->height);
      n_noted++;
    }
  self->n_imported += n_noted;
  self->n_refused += read->len - n_noted;
  if (error != NULL)
    atl_session_emit_notice (self->session, error->message);
  if (n_noted > 0)
    atl_gallery_emit_changed (self);
}

static void
keep_read (AtlGallery *self, const char *path, AtlPictureFile *file)
{
  Read *read = g_new0 (Read, 1);

  read->row = row_of (path, file);
  read->rgb = g_bytes_ref (file->rgb);
  read->width = file->width;
  read->height = file->height;
  g_ptr_array_add (self->read, read);
  if (self->read->len >= MAX_ROWS ||
      g_get_monotonic_time () - self->noted_us > (gint64) ROWS_EVERY_US)
    note_read (self);
}

static void
import_read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlGallery) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureFile) file =
      atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);
  g_autofree char *path = NULL;

  self->is_importing = FALSE;
  if (g_cancellable_is_cancelled (self->cancellable) || self->imports->len == 0)
    return;
  if (self->read == NULL)
    self->read = g_ptr_array_new_with_free_func (read_free);
  path = g_ptr_array_steal_index (self->imports, 0);
  if (file != NULL)
    keep_read (self, path, file);
  else
    {
      g_info ("%s was not taken in: %s", path, error->message);
      self->n_refused++;
    }
  import_next (self);
}

static void
import_next (AtlGallery *self)
{
  AtlClient *client = atl_session_get_client (self->session);

  /* No client: the window has closed, and the next start finds what was not read. */
  if (self->is_importing || client == NULL)
    return;
  if (self->imports->len == 0)
    {
      if (self->read != NULL)
        note_read (self);
      end_import (self);
      return;
    }
  self->is_importing = TRUE;
  atl_client_read_picture_async (client, self->imports->pdata[0], NULL, ATL_THUMBNAIL_SIDE,
                                 self->cancellable, import_read_cb, g_object_ref (self));
}

/* --- What a person drops --- */

/* Places that are emptied, or that only this process may see now. */
static gboolean
is_temporary (const char *path)
{
  const char *const places[] = { g_get_tmp_dir (), "/tmp", "/var/tmp", g_get_user_cache_dir (),
                                 g_get_user_runtime_dir () };

  for (gsize i = 0; i < G_N_ELEMENTS (places); i++)
    {
      gsize n = strlen (places[i]);

      if (strncmp (path, places[i], n) == 0 && path[n] == '/')
        return !atl_gallery_is_ours (path);
    }
  return FALSE;
}

typedef struct
{
  GPtrArray *files; /* of GFile */
  GPtrArray *paths; /* of char *, made by the worker */
  char *folder;
  char *problem; /* (nullable) words */
} Copies;

static void
copies_free (gpointer data)
{
  Copies *copies = data;

  g_ptr_array_unref (copies->files);
  g_ptr_array_unref (copies->paths);
  g_free (copies->folder);
  g_free (copies->problem);
  g_free (copies);
}

/* The bytes as they are, under a name that is free. NULL with words. */
static char *
copy_in (GFile *file, const char *folder, GError **error)
{
  g_autofree char *name = g_file_get_basename (file);
  g_autofree char *data = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GFileInfo) info = NULL;
  char *dot = strrchr (name, '.');
  gsize size;

  info = g_file_query_info (file, G_FILE_ATTRIBUTE_STANDARD_SIZE, 0, NULL, error);
  if (info == NULL)
    return NULL;
  if (g_file_info_get_size (info) > MAX_COPY_BYTES)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_FULL, _ ("%s is too large for a picture"), name);
      return NULL;
    }
  if (!g_file_load_contents (file, NULL, &data, &size, NULL, error))
    return NULL;
  bytes = g_bytes_new_take (g_steal_pointer (&data), size);
  if (dot != NULL)
    *dot = '\0';
  return atl_picture_save (bytes, folder, *name != '\0' ? name : "picture",
                           dot != NULL ? dot + 1 : "png", error);
}

static void
copy_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Copies *copies = data;

  for (guint i = 0; i < copies->files->len; i++)
    {
      g_autofree char *path = g_file_get_path (copies->files->pdata[i]);
      g_autoptr (GError) error = NULL;

      if (path != NULL && !is_temporary (path))
        g_ptr_array_add (copies->paths, g_steal_pointer (&path));
      else
        {
          char *copy = copy_in (copies->files->pdata[i], copies->folder, &error);

          if (copy != NULL)
            g_ptr_array_add (copies->paths, copy);
          else if (copies->problem == NULL)
            copies->problem = g_strdup (error->message);
        }
    }
  g_task_return_boolean (task, TRUE);
}

static void
copied_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  AtlGallery *self = ATL_GALLERY (source);
  Copies *copies = g_task_get_task_data (G_TASK (result));

  if (g_cancellable_is_cancelled (self->cancellable))
    return;
  if (copies->problem != NULL)
    atl_session_emit_notice (self->session, copies->problem);
  for (guint i = 0; i < copies->paths->len; i++)
    g_ptr_array_add (self->imports, g_strdup (copies->paths->pdata[i]));
  self->was_asked = TRUE;
  import_next (self);
}

void
atl_gallery_import (AtlGallery *self, GPtrArray *files)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, copied_cb, NULL);
  Copies *copies = g_new0 (Copies, 1);

  copies->files = g_ptr_array_ref (files);
  copies->paths = g_ptr_array_new_with_free_func (g_free);
  copies->folder = atl_pictures_dir ();
  g_task_set_task_data (task, copies, copies_free);
  atl_thread_task_run (task, copy_thread);
}
