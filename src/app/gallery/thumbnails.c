/* Thumbnails: a queue of wishes, workers that read the cache, the engine for what is not in it. */
#define G_LOG_DOMAIN "atl-app"

#include "app/gallery/thumbnails.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

#include "media/picture.h"

#define MAX_RUNNING 2u
/* Of pixels at hand; what has no room is read again when somebody looks. */
#define MAX_WAITING 16u
#define QUALITY 82u

struct _AtlThumbnails
{
  gint n_refs; /* 1 for the owner, 1 for each that runs */
  gboolean is_gone;
  AtlClient *client;
  GCancellable *cancellable;
  char *dir;
  GQueue wishes;     /* of Wish, the newest first */
  GHashTable *known; /* AtlGalleryItem -> Wish that waits or runs */
  guint n_running;
  GQueue kept; /* of AtlGalleryItem (owned) with a texture, the newest first */
};

typedef struct
{
  AtlThumbnails *self;
  AtlGalleryItem *item;
  char *path, *cached;
  time_t mtime; /* the picture's, before it is read */
  GBytes *rgb;  /* (nullable) pixels to make it from */
  guint width, height;
  gboolean runs;
} Wish;

static void
wish_free (Wish *wish)
{
  g_object_unref (wish->item);
  g_free (wish->path);
  g_free (wish->cached);
  g_clear_pointer (&wish->rgb, g_bytes_unref);
  g_free (wish);
}

static void
unref (AtlThumbnails *self)
{
  if (--self->n_refs > 0)
    return;
  g_queue_clear_full (&self->wishes, (GDestroyNotify) wish_free);
  g_queue_clear_full (&self->kept, g_object_unref);
  g_hash_table_unref (self->known);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->client);
  g_free (self->dir);
  g_free (self);
}

/* The name is the path's: ids begin anew when the list of pictures is lost. */
static char *
cached_path (AtlThumbnails *self, const char *path)
{
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_MD5, path, -1);
  g_autofree char *name = g_strconcat (hash, ".webp", NULL);

  return g_build_filename (self->dir, name, NULL);
}

/* In the format that is drawn without being converted in each frame. */
static GdkTexture *
to_texture (const AtlPicture *picture)
{
  gsize n = (gsize) picture->width * picture->height, stride = (gsize) picture->width * 4;
  guint32 *pixels = g_new (guint32, MAX (n, 1));
  g_autoptr (GBytes) bytes = g_bytes_new_take (pixels, stride * picture->height);

  /* GDK_MEMORY_DEFAULT is cairo's: the bits of a word in the processor's order. */
  for (gsize i = 0; i < n; i++)
    pixels[i] = 0xff000000u | (guint32) picture->rgb[3 * i] << 16 |
                (guint32) picture->rgb[3 * i + 1] << 8 | picture->rgb[3 * i + 2];
  return gdk_memory_texture_new ((int) picture->width, (int) picture->height, GDK_MEMORY_DEFAULT,
                                 bytes, stride);
}

/* --- On a worker --- */

/* What the cache has, if it was made of the picture as it is now: it has the picture's time. NULL
 * without an error when it has nothing; ATL_ERROR_NOT_FOUND when there is no picture. */
static GdkTexture *
read_cached (Wish *wish, GError **error)
{
  g_autofree char *data = NULL;
  g_autoptr (AtlPicture) picture = NULL;
  GStatBuf original, cached;
  gsize size;

  if (g_stat (wish->path, &original) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, "%s", g_strerror (errno));
      return NULL;
    }
  wish->mtime = original.st_mtime;
  if (g_stat (wish->cached, &cached) != 0 || cached.st_mtime != original.st_mtime ||
      !g_file_get_contents (wish->cached, &data, &size, NULL))
    return NULL;
  picture = atl_picture_decode ((const guint8 *) data, size,
                                (guint64) ATL_THUMBNAIL_SIDE * ATL_THUMBNAIL_SIDE, NULL);
  return picture != NULL ? to_texture (picture) : NULL;
}

/* `mtime` is the picture's when its pixels were read. */
static void
write_cached (const Wish *wish, GBytes *file)
{
  g_autofree char *folder = g_path_get_dirname (wish->cached);
  const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = wish->mtime } };

  if (g_mkdir_with_parents (folder, 0700) == 0 &&
      g_file_set_contents_full (wish->cached, g_bytes_get_data (file, NULL),
                                (gssize) g_bytes_get_size (file), G_FILE_SET_CONTENTS_CONSISTENT,
                                0600, NULL))
    utimensat (AT_FDCWD, wish->cached, times, 0);
}

/* From pixels; a cache that cannot be written to is no harm. */
static GdkTexture *
make (const Wish *wish)
{
  g_autoptr (AtlPicture) whole = atl_picture_new (wish->width, wish->height);
  g_autoptr (AtlPicture) small = NULL;
  g_autoptr (GBytes) file = NULL;

  memcpy (whole->rgb, g_bytes_get_data (wish->rgb, NULL), (gsize) wish->width * wish->height * 3);
  small = atl_picture_shrink (whole, ATL_THUMBNAIL_SIDE);
  file = atl_picture_encode (small, ATL_PICTURE_WEBP, QUALITY, NULL);
  if (file != NULL)
    write_cached (wish, file);
  return to_texture (small);
}

static void
work_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Wish *wish = data;
  GError *error = NULL;
  GdkTexture *texture = wish->rgb != NULL ? make (wish) : read_cached (wish, &error);

  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, texture, g_object_unref);
}

/* --- On the main thread --- */

static void start_next (AtlThumbnails *self);

/* The oldest that nobody looks at make room. */
static void
keep (AtlThumbnails *self, AtlGalleryItem *item)
{
  g_queue_push_head (&self->kept, g_object_ref (item));
  for (guint i = 0; g_queue_get_length (&self->kept) > ATL_THUMBNAILS_KEPT && i < 8; i++)
    {
      AtlGalleryItem *oldest = g_queue_pop_tail (&self->kept);

      if (atl_gallery_item_is_held (oldest))
        {
          g_queue_push_head (&self->kept, oldest);
          continue;
        }
      atl_gallery_item_set_state (oldest, ATL_GALLERY_FRESH, NULL);
      g_object_unref (oldest);
    }
}

/* Ends a wish that ran: `texture` (taken, nullable). */
static void
end (Wish *wish, AtlGalleryState state, GdkTexture *texture)
{
  AtlThumbnails *self = wish->self;

  self->n_running--;
  if (!self->is_gone)
    {
      gboolean had_one = atl_gallery_item_get_texture (wish->item) != NULL;

      g_hash_table_remove (self->known, wish->item);
      atl_gallery_item_set_state (wish->item, state, texture);
      if (texture != NULL && !had_one)
        keep (self, wish->item);
      start_next (self);
    }
  g_clear_object (&texture);
  wish_free (wish);
  unref (self);
}

static void run (Wish *wish);

static void
read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Wish *wish = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureFile) file =
      atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);

  if (file == NULL)
    {
      AtlGalleryState state = ATL_GALLERY_FRESH;

      /* An engine that ended has not seen what is wrong with the file. */
      if (g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND))
        state = ATL_GALLERY_GONE;
      else if (g_error_matches (error, ATL_ERROR, ATL_ERROR_BAD_FILE) ||
               g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED) ||
               g_error_matches (error, ATL_ERROR, ATL_ERROR_FULL))
        state = ATL_GALLERY_BROKEN;
      end (wish, state, NULL);
      return;
    }
  wish->rgb = g_bytes_ref (file->rgb);
  wish->width = file->width;
  wish->height = file->height;
  run (wish);
}

static void
worked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Wish *wish = data;
  g_autoptr (GError) error = NULL;
  GdkTexture *texture = g_task_propagate_pointer (G_TASK (result), &error);

  if (texture != NULL)
    end (wish, ATL_GALLERY_READY, texture);
  else if (error != NULL)
    end (wish, ATL_GALLERY_GONE, NULL);
  else if (wish->self->is_gone)
    end (wish, ATL_GALLERY_FRESH, NULL);
  else
    atl_client_read_picture_async (wish->self->client, wish->path, NULL, ATL_THUMBNAIL_SIDE,
                                   wish->self->cancellable, read_cb, wish);
}

static void
run (Wish *wish)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, worked_cb, wish);

  g_task_set_task_data (task, wish, NULL);
  g_task_run_in_thread (task, work_thread);
}

static void
start_next (AtlThumbnails *self)
{
  while (self->n_running < MAX_RUNNING && !g_queue_is_empty (&self->wishes))
    {
      Wish *wish = g_queue_pop_head (&self->wishes);

      wish->runs = TRUE;
      self->n_running++;
      self->n_refs++;
      run (wish);
    }
}

static Wish *
add_wish (AtlThumbnails *self, AtlGalleryItem *item, const char *path)
{
  Wish *wish = g_new0 (Wish, 1);

  wish->self = self;
  wish->item = g_object_ref (item);
  wish->path = g_strdup (path);
  wish->cached = cached_path (self, path);
  g_queue_push_head (&self->wishes, wish);
  g_hash_table_insert (self->known, item, wish);
  return wish;
}

void
atl_thumbnails_want (AtlThumbnails *self, AtlGalleryItem *item, const char *path)
{
  if (atl_gallery_item_get_texture (item) == NULL && !g_hash_table_contains (self->known, item))
    {
      add_wish (self, item, path);
      start_next (self);
    }
}

void
atl_thumbnails_forget (AtlThumbnails *self, AtlGalleryItem *item)
{
  Wish *wish = g_hash_table_lookup (self->known, item);

  if (wish == NULL || wish->runs || wish->rgb != NULL)
    return;
  g_queue_remove (&self->wishes, wish);
  g_hash_table_remove (self->known, item);
  wish_free (wish);
}

void
atl_thumbnails_put (AtlThumbnails *self,
                    AtlGalleryItem *item,
                    const char *path,
                    GBytes *rgb,
                    guint width,
                    guint height)
{
  Wish *wish;
  GStatBuf st;

  g_return_if_fail (g_bytes_get_size (rgb) >= (gsize) width * height * 3);

  if (g_hash_table_contains (self->known, item) ||
      g_queue_get_length (&self->wishes) >= MAX_WAITING || g_stat (path, &st) != 0)
    return;
  wish = add_wish (self, item, path);
  wish->mtime = st.st_mtime;
  wish->rgb = g_bytes_ref (rgb);
  wish->width = width;
  wish->height = height;
  start_next (self);
}

AtlThumbnails *
atl_thumbnails_new (AtlClient *client, const char *dir)
{
  AtlThumbnails *self = g_new0 (AtlThumbnails, 1);

  self->n_refs = 1;
  self->client = g_object_ref (client);
  self->cancellable = g_cancellable_new ();
  self->dir = dir != NULL
                  ? g_strdup (dir)
                  : g_build_filename (g_get_user_cache_dir (), "atelier", "thumbnails", NULL);
  self->known = g_hash_table_new (NULL, NULL);
  return self;
}

void
atl_thumbnails_free (AtlThumbnails *self)
{
  if (self == NULL)
    return;
  self->is_gone = TRUE;
  g_cancellable_cancel (self->cancellable);
  unref (self);
}
