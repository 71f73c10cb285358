/* The list of pictures between the store and the widgets. */
#define G_LOG_DOMAIN "atl-app"

#include "app/images/gallery.h"

#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

#include "app/images/gallery-private.h"
#include "app/images/pictures-session.h"
#include "app/undo.h"
#include "app/words.h"
#include "hub/desktop-trash.h"
#include "media/recipe.h"
#include "store/trash.h"

#define SESSION_KEY "gallery"
#define DESCRIBED_CHARS 120

G_DEFINE_FINAL_TYPE (AtlGallery, atl_gallery, G_TYPE_OBJECT)

static guint changed_signal;

/* --- Items --- */

static AtlGalleryItem *
ensure_item (AtlGallery *self, const AtlPictureBrief *brief)
{
  AtlGalleryItem *item = g_hash_table_lookup (self->items, &brief->id);
  gint64 *key;

  if (item != NULL)
    {
      atl_gallery_item_update (item, brief);
      return item;
    }
  item = atl_gallery_item_new (brief);
  key = g_memdup2 (&brief->id, sizeof brief->id);
  g_hash_table_insert (self->items, key, item);
  return item;
}

void
atl_gallery_reload (AtlGallery *self)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) briefs =
      atl_store_picture_list (atl_session_get_store (self->session), NULL, FALSE, &error);
  g_autoptr (GPtrArray) items = g_ptr_array_new ();

  if (briefs == NULL)
    {
      atl_session_emit_notice (self->session, error->message);
      return;
    }
  for (guint i = 0; i < briefs->len; i++)
    g_ptr_array_add (items, ensure_item (self, &g_array_index (briefs, AtlPictureBrief, i)));
  g_list_store_splice (self->pictures, 0, g_list_model_get_n_items (G_LIST_MODEL (self->pictures)),
                       items->pdata, items->len);
  g_signal_emit (self, changed_signal, 0);
}

GListModel *
atl_gallery_get_pictures (AtlGallery *self)
{
  return G_LIST_MODEL (self->pictures);
}

AtlSession *
atl_gallery_get_session (AtlGallery *self)
{
  return self->session;
}

AtlGalleryItem *
atl_gallery_find (AtlGallery *self, gint64 id)
{
  AtlGalleryItem *item = g_hash_table_lookup (self->items, &id);

  return item != NULL && g_list_store_find (self->pictures, item, NULL) ? item : NULL;
}

AtlGalleryItem *
atl_gallery_find_path (AtlGallery *self, const char *path)
{
  g_autoptr (AtlPictureRow) row =
      atl_store_picture_find (atl_session_get_store (self->session), path, NULL);

  return row != NULL ? atl_gallery_find (self, row->id) : NULL;
}

GPtrArray *
atl_gallery_search (AtlGallery *self, const char *words, gboolean only_starred, GError **error)
{
  g_autoptr (GArray) briefs =
      atl_store_picture_list (atl_session_get_store (self->session), words, only_starred, error);
  GPtrArray *items;

  if (briefs == NULL)
    return NULL;
  items = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < briefs->len; i++)
    g_ptr_array_add (
        items, g_object_ref (ensure_item (self, &g_array_index (briefs, AtlPictureBrief, i))));
  return items;
}

AtlPictureRow *
atl_gallery_get_row (AtlGallery *self, AtlGalleryItem *item, GError **error)
{
  return atl_store_picture_get (atl_session_get_store (self->session),
                                atl_gallery_item_get_id (item), error);
}

char *
atl_gallery_dup_path (AtlGallery *self, AtlGalleryItem *item)
{
  g_autoptr (AtlPictureRow) row = atl_gallery_get_row (self, item, NULL);

  return row != NULL ? g_steal_pointer (&row->path) : NULL;
}

char *
atl_gallery_describe (AtlGallery *self, AtlGalleryItem *item)
{
  g_autoptr (AtlPictureRow) row = atl_gallery_get_row (self, item, NULL);
  g_autoptr (GDateTime) when = NULL;
  g_autofree char *date = NULL, *name = NULL;
  const char *words;

  if (row == NULL)
    return g_strdup (_ ("Picture"));
  when = g_date_time_new_from_unix_local (row->created_us / G_USEC_PER_SEC);
  date = g_date_time_format (when, "%x %H:%M");
  name = g_path_get_basename (row->path);
  words = row->prompt != NULL && *row->prompt != '\0' ? row->prompt : name;
  return g_strdup_printf (
      "%.*s, %s",
      (int) (g_utf8_offset_to_pointer (words, MIN (g_utf8_strlen (words, -1), DESCRIBED_CHARS)) -
             words),
      words, date);
}

gint64
atl_gallery_add (AtlSession *session, const AtlPictureRow *row, GBytes *rgb, GError **error)
{
  AtlGallery *self = atl_gallery_get (session);
  AtlPictureRow full = *row;
  AtlPictureBrief brief = { 0 };
  AtlGalleryItem *item;
  GStatBuf st;
  guint at = 0;

  if (g_stat (row->path, &st) == 0)
    {
      full.size_bytes = (guint64) st.st_size;
      full.changed_us = (gint64) st.st_mtim.tv_sec * G_USEC_PER_SEC + st.st_mtim.tv_nsec / 1000;
    }
  if (full.created_us == 0)
    full.created_us = g_get_real_time ();
  brief.id = atl_store_picture_add (atl_session_get_store (session), &full, error);
  if (brief.id == 0)
    return 0;
  brief.created_us = full.created_us;
  brief.width = full.width;
  brief.height = full.height;
  brief.starred = full.starred;
  item = ensure_item (self, &brief);
  if (!g_list_store_find (self->pictures, item, NULL))
    {
      /* Nearly always the newest. */
      for (; at < g_list_model_get_n_items (G_LIST_MODEL (self->pictures)); at++)
        {
          g_autoptr (AtlGalleryItem) other =
              g_list_model_get_item (G_LIST_MODEL (self->pictures), at);

          if (atl_gallery_item_get_created_us (other) <= brief.created_us)
            break;
        }
      g_list_store_insert (self->pictures, at, item);
    }
  if (rgb != NULL && full.width > 0 && full.height > 0)
    atl_thumbnails_put (self->thumbnails, item, row->path, rgb, row->width, row->height);
  g_signal_emit (self, changed_signal, 0);
  return brief.id;
}

/* --- Tiles --- */

void
atl_gallery_show (AtlGallery *self, AtlGalleryItem *item)
{
  g_autofree char *path = NULL;

  atl_gallery_item_hold (item);
  if (atl_gallery_item_get_texture (item) != NULL)
    return;
  path = atl_gallery_dup_path (self, item);
  if (path != NULL)
    atl_thumbnails_want (self->thumbnails, item, path);
}

void
atl_gallery_hide (AtlGallery *self, AtlGalleryItem *item)
{
  atl_gallery_item_release (item);
  if (!atl_gallery_item_is_held (item))
    atl_thumbnails_forget (self->thumbnails, item);
}

void
atl_gallery_star (AtlGallery *self, AtlGalleryItem *item, gboolean starred)
{
  g_autoptr (GError) error = NULL;

  if (atl_store_picture_star (atl_session_get_store (self->session), atl_gallery_item_get_id (item),
                              starred, &error))
    atl_gallery_item_set_starred (item, starred);
  else
    atl_session_emit_notice (self->session, error->message);
  g_signal_emit (self, changed_signal, 0);
}

/* --- Deleting --- */

typedef struct
{
  AtlGallery *self;
  GArray *ids;      /* of gint64 */
  GPtrArray *paths; /* of char *: what lies in the trash of the desktop, "" for the others */
} Deleted;

static void
deleted_free (gpointer data)
{
  Deleted *deleted = data;

  g_object_unref (deleted->self);
  g_array_unref (deleted->ids);
  g_ptr_array_unref (deleted->paths);
  g_free (deleted);
}

static gboolean
undo_cb (gpointer data, GError **error)
{
  Deleted *deleted = data;
  AtlStore *store = atl_session_get_store (deleted->self->session);
  gboolean ok = TRUE;

  for (guint i = 0; i < deleted->ids->len; i++)
    {
      const char *path = deleted->paths->pdata[i];

      /* A person may have brought it back in the file manager. */
      if (*path != '\0' && !g_file_test (path, G_FILE_TEST_EXISTS))
        ok = atl_desktop_untrash (path, ok ? error : NULL) && ok;
      ok = atl_store_restore (store, ATL_TRASH_PICTURE, g_array_index (deleted->ids, gint64, i),
                              ok ? error : NULL) &&
           ok;
    }
  atl_gallery_reload (deleted->self);
  return ok;
}

gboolean
atl_gallery_is_ours (const char *path)
{
  g_autofree char *folder = atl_pictures_dir ();
  gsize n = strlen (folder);

  return strncmp (path, folder, n) == 0 && path[n] == '/';
}

/* The row first: killed between, it is out of the gallery and its file where it was, and undo works
 * still. */
static gboolean
delete_one (AtlGallery *self, AtlGalleryItem *item, gboolean keep_file, Deleted *deleted)
{
  AtlStore *store = atl_session_get_store (self->session);
  g_autoptr (AtlPictureRow) row = NULL;
  g_autoptr (GError) error = NULL;
  gint64 id = atl_gallery_item_get_id (item);
  const char *trashed = "";
  guint at;

  row = atl_gallery_get_row (self, item, &error);
  if (row == NULL || !atl_store_trash (store, ATL_TRASH_PICTURE, id, &error))
    {
      atl_session_emit_notice (self->session, error->message);
      return FALSE;
    }
  if (!keep_file && atl_gallery_is_ours (row->path) && g_file_test (row->path, G_FILE_TEST_EXISTS))
    {
      if (!atl_desktop_trash (row->path, &error))
        {
          atl_store_restore (store, ATL_TRASH_PICTURE, id, NULL);
          atl_session_emit_notice (self->session, error->message);
          return FALSE;
        }
      trashed = row->path;
    }
  g_array_append_val (deleted->ids, id);
  g_ptr_array_add (deleted->paths, g_strdup (trashed));
  if (g_list_store_find (self->pictures, item, &at))
    g_list_store_remove (self->pictures, at);
  return TRUE;
}

static void
delete_all (AtlGallery *self, GtkWidget *widget, GPtrArray *items, gboolean keep_files)
{
  Deleted *deleted = g_new0 (Deleted, 1);
  g_autofree char *words = NULL;
  guint n_files = 0;

  deleted->self = g_object_ref (self);
  deleted->ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  deleted->paths = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < items->len; i++)
    delete_one (self, items->pdata[i], keep_files, deleted);
  for (guint i = 0; i < deleted->paths->len; i++)
    n_files += *(const char *) deleted->paths->pdata[i] != '\0';
  if (deleted->ids->len == 0)
    {
      deleted_free (deleted);
      return;
    }
  words = n_files > 0
              ? g_strdup_printf (g_dngettext (GETTEXT_PACKAGE, "Picture deleted",
                                              "%u pictures deleted", deleted->ids->len),
                                 deleted->ids->len)
              : g_strdup (g_dngettext (
                    GETTEXT_PACKAGE, "Taken out of the gallery; the file stays where it is",
                    "Taken out of the gallery; the files stay where they are", deleted->ids->len));
  atl_undo_offer (widget, words, undo_cb, deleted, deleted_free);
  g_signal_emit (self, changed_signal, 0);
}

void
atl_gallery_trash (AtlGallery *self, GtkWidget *widget, GPtrArray *items)
{
  delete_all (self, widget, items, FALSE);
}

void
atl_gallery_forget (AtlGallery *self, GtkWidget *widget, AtlGalleryItem *item)
{
  g_autoptr (GPtrArray) items = g_ptr_array_new ();

  g_ptr_array_add (items, item);
  delete_all (self, widget, items, TRUE);
}

gboolean
atl_gallery_move (AtlGallery *self, AtlGalleryItem *item, const char *path, GError **error)
{
  if (!atl_store_picture_move (atl_session_get_store (self->session),
                               atl_gallery_item_get_id (item), path, error))
    return FALSE;
  atl_gallery_item_set_state (item, ATL_GALLERY_FRESH, NULL);
  if (atl_gallery_item_is_held (item))
    atl_thumbnails_want (self->thumbnails, item, path);
  g_signal_emit (self, changed_signal, 0);
  return TRUE;
}

/* --- Reading --- */

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  AtlGalleryItem *item = g_task_get_task_data (task);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureFile) file =
      atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);

  if (file == NULL)
    {
      if (g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND))
        atl_gallery_item_set_state (item, ATL_GALLERY_GONE, NULL);
      g_task_return_error (task, g_steal_pointer (&error));
      return;
    }
  g_task_return_pointer (task,
                         gdk_memory_texture_new ((int) file->width, (int) file->height,
                                                 GDK_MEMORY_R8G8B8, file->rgb,
                                                 (gsize) file->width * 3),
                         g_object_unref);
}

void
atl_gallery_load_async (AtlGallery *self,
                        AtlGalleryItem *item,
                        guint max_side,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureRow) row = atl_gallery_get_row (self, item, &error);

  g_task_set_task_data (task, g_object_ref (item), g_object_unref);
  if (row == NULL)
    g_task_return_error (task, g_steal_pointer (&error));
  else
    atl_client_read_picture_async (atl_session_get_client (self->session), row->path, NULL,
                                   max_side, cancellable, loaded_cb, g_steal_pointer (&task));
}

GdkTexture *
atl_gallery_load_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
recipe_read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureFile) file =
      atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);
  g_autofree char *name = NULL;

  if (file == NULL)
    g_task_return_error (task, g_steal_pointer (&error));
  else if (file->recipe != NULL)
    g_task_return_pointer (task, g_variant_ref (file->recipe), (GDestroyNotify) g_variant_unref);
  else
    {
      name = g_path_get_basename (g_task_get_task_data (task));
      g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                               _ ("“%s” does not say how it was made"), name);
    }
}

void
atl_gallery_recipe_async (AtlSession *session,
                          const char *path,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer data)
{
  g_autoptr (GTask) task = g_task_new (session, cancellable, callback, data);
  g_autoptr (AtlPictureRow) row =
      atl_store_picture_find (atl_session_get_store (session), path, NULL);
  GVariant *recipe = row != NULL && row->recipe != NULL ? atl_recipe_from_json (row->recipe) : NULL;

  g_task_set_task_data (task, g_strdup (path), g_free);
  if (recipe != NULL)
    g_task_return_pointer (task, recipe, (GDestroyNotify) g_variant_unref);
  else
    atl_client_read_picture_async (atl_session_get_client (session), path, NULL, 1, cancellable,
                                   recipe_read_cb, g_steal_pointer (&task));
}

GVariant *
atl_gallery_recipe_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* --- GObject --- */

static void
atl_gallery_finalize (GObject *object)
{
  AtlGallery *self = ATL_GALLERY (object);

  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->imports, g_ptr_array_unref);
  g_clear_pointer (&self->thumbnails, atl_thumbnails_free);
  g_clear_object (&self->pictures);
  g_clear_pointer (&self->items, g_hash_table_unref);
  G_OBJECT_CLASS (atl_gallery_parent_class)->finalize (object);
}

static void
atl_gallery_class_init (AtlGalleryClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_gallery_finalize;
  changed_signal = g_signal_new ("changed", ATL_TYPE_GALLERY, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                 NULL, G_TYPE_NONE, 0);
}

static void
atl_gallery_init (AtlGallery *self)
{
  self->pictures = g_list_store_new (ATL_TYPE_GALLERY_ITEM);
  self->items = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_object_unref);
  self->cancellable = g_cancellable_new ();
  self->imports = g_ptr_array_new_with_free_func (g_free);
}

AtlGallery *
atl_gallery_get (AtlSession *session)
{
  AtlGallery *self = g_object_get_data (G_OBJECT (session), SESSION_KEY);

  if (self == NULL)
    {
      self = g_object_new (ATL_TYPE_GALLERY, NULL);
      self->session = session;
      self->thumbnails = atl_thumbnails_new (atl_session_get_client (session), NULL);
      g_object_set_data_full (G_OBJECT (session), SESSION_KEY, self, g_object_unref);
      atl_gallery_reload (self);
    }
  return self;
}
