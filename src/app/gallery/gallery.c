/* The list of pictures between the store and the widgets. */
#define G_LOG_DOMAIN "atl-app"

#include "app/gallery/gallery.h"

#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

#include "app/gallery/gallery-private.h"
#include "app/words.h"
#include "media/recipe.h"

#define SESSION_KEY "gallery"
#define DESCRIBED_CHARS 120

G_DEFINE_FINAL_TYPE (AtlGallery, atl_gallery, G_TYPE_OBJECT)

static guint changed_signal;

void
atl_gallery_emit_changed (AtlGallery *self)
{
  g_signal_emit (self, changed_signal, 0);
}

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
  atl_gallery_emit_changed (self);
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
  g_autoptr (AtlPictureRow) row = NULL;
  g_autoptr (GDateTime) when = NULL;
  g_autofree char *date = NULL, *name = NULL, *said = NULL;
  const char *words = atl_gallery_item_get_words (item);

  if (words != NULL)
    return g_strdup (words);
  row = atl_gallery_get_row (self, item, NULL);
  if (row == NULL)
    return g_strdup (_ ("Picture"));
  when = g_date_time_new_from_unix_local (row->created_us / G_USEC_PER_SEC);
  date = g_date_time_format (when, "%x %H:%M");
  name = g_path_get_basename (row->path);
  words = row->prompt != NULL && *row->prompt != '\0' ? row->prompt : name;
  said = g_strdup_printf (
      "%.*s, %s",
      (int) (g_utf8_offset_to_pointer (words, MIN (g_utf8_strlen (words, -1), DESCRIBED_CHARS)) -
             words),
      words, date);
  atl_gallery_item_set_words (item, said);
  return g_steal_pointer (&said);
}

/* In its place; nearly always the newest. */
static void
insert (AtlGallery *self, AtlGalleryItem *item)
{
  guint at = 0;

  if (g_list_store_find (self->pictures, item, NULL))
    return;
  for (; at < g_list_model_get_n_items (G_LIST_MODEL (self->pictures)); at++)
    {
      g_autoptr (AtlGalleryItem) other = g_list_model_get_item (G_LIST_MODEL (self->pictures), at);

      if (atl_gallery_item_get_created_us (other) <= atl_gallery_item_get_created_us (item))
        break;
    }
  g_list_store_insert (self->pictures, at, item);
}

gint64
atl_gallery_note (AtlGallery *self, const AtlPictureRow *row, GError **error)
{
  AtlPictureRow full = *row;
  AtlPictureBrief brief = { 0 };
  GStatBuf st;

  if (g_stat (row->path, &st) == 0)
    {
      full.size_bytes = (guint64) st.st_size;
      full.changed_us = (gint64) st.st_mtim.tv_sec * G_USEC_PER_SEC + st.st_mtim.tv_nsec / 1000;
    }
  if (full.created_us == 0)
    full.created_us = g_get_real_time ();
  brief.id = atl_store_picture_add (atl_session_get_store (self->session), &full, error);
  if (brief.id == 0)
    return 0;
  brief.created_us = full.created_us;
  brief.width = full.width;
  brief.height = full.height;
  brief.starred = full.starred;
  ensure_item (self, &brief);
  return brief.id;
}

void
atl_gallery_show_noted (
    AtlGallery *self, gint64 id, const char *path, GBytes *rgb, guint width, guint height)
{
  AtlGalleryItem *item = g_hash_table_lookup (self->items, &id);

  g_return_if_fail (item != NULL);
  insert (self, item);
  if (rgb != NULL && width > 0 && height > 0)
    atl_thumbnails_put (self->thumbnails, item, path, rgb, width, height);
}

gint64
atl_gallery_add (AtlSession *session, const AtlPictureRow *row, GBytes *rgb, GError **error)
{
  AtlGallery *self = atl_gallery_get (session);
  gint64 id = atl_gallery_note (self, row, error);

  if (id == 0)
    return 0;
  atl_gallery_show_noted (self, id, row->path, rgb, row->width, row->height);
  atl_gallery_emit_changed (self);
  return id;
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
atl_gallery_star (AtlGallery *self, GPtrArray *items, gboolean starred)
{
  AtlStore *store = atl_session_get_store (self->session);
  g_autoptr (GError) error = NULL;
  gboolean ok = atl_store_begin (store, &error);

  if (ok)
    {
      for (guint i = 0; i < items->len && ok; i++)
        ok = atl_store_picture_star (store, atl_gallery_item_get_id (items->pdata[i]), starred,
                                     &error);
      ok = atl_store_end (store, ok, ok ? &error : NULL);
    }
  for (guint i = 0; i < items->len && ok; i++)
    atl_gallery_item_set_starred (items->pdata[i], starred);
  if (!ok)
    atl_session_emit_notice (self->session, error->message);
  atl_gallery_emit_changed (self);
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
  atl_gallery_emit_changed (self);
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
  g_clear_pointer (&self->read, g_ptr_array_unref);
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

/* Work under way keeps it, but finds no session any more. */
static void
leave_session (gpointer data)
{
  AtlGallery *self = data;

  g_cancellable_cancel (self->cancellable);
  g_object_unref (self);
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
      g_object_set_data_full (G_OBJECT (session), SESSION_KEY, self, leave_session);
      atl_gallery_reload (self);
    }
  return self;
}
