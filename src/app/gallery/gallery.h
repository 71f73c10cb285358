/* The pictures of this computer, newest first, as all strips and grids show them. One for each
 * AtlSession; it lives as long.
 *
 *   AtlGallery *gallery = atl_gallery_get (session);
 *   GListModel *pictures = atl_gallery_get_pictures (gallery);     // of AtlGalleryItem
 *   atl_gallery_show (gallery, item);      // a tile shows it: its thumbnail comes
 *   atl_gallery_hide (gallery, item);
 *
 * Signals:
 *   "changed" ()  pictures came or went, or their stars
 *
 * Files are where they are: a picture may be gone when it is looked at (ATL_GALLERY_GONE).
 * atl_gallery_look() finds files that were moved inside the folder of pictures, and takes in those
 * that nobody knows: of other programs, and of a process that was killed between the file and its
 * row.
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/gallery/gallery-item.h"
#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_GALLERY (atl_gallery_get_type ())
G_DECLARE_FINAL_TYPE (AtlGallery, atl_gallery, ATL, GALLERY, GObject)

/* Made when it is asked for first; borrowed. */
AtlGallery *atl_gallery_get (AtlSession *session);
AtlSession *atl_gallery_get_session (AtlGallery *self);  /* borrowed */
GListModel *atl_gallery_get_pictures (AtlGallery *self); /* borrowed */

/* NULL when it is not there, or in the trash. Borrowed. */
AtlGalleryItem *atl_gallery_find (AtlGallery *self, gint64 id);
AtlGalleryItem *atl_gallery_find_path (AtlGallery *self, const char *path);
/* Newest first; `words` as a person types them. (transfer full) (element-type AtlGalleryItem) */
GPtrArray *
atl_gallery_search (AtlGallery *self, const char *words, gboolean only_starred, GError **error);
/* All that is known of it; NULL with words. Owned by the caller. */
AtlPictureRow *atl_gallery_get_row (AtlGallery *self, AtlGalleryItem *item, GError **error);
/* Its path; NULL when it is gone from the store. The caller's. */
char *atl_gallery_dup_path (AtlGallery *self, AtlGalleryItem *item);
/* What a screen reader tells of it: the beginning of its prompt, and when it was made. The
 * caller's. */
char *atl_gallery_describe (AtlGallery *self, AtlGalleryItem *item);

/* Notes a picture whose file is on the disk; size and time of the file are looked up. `rgb`
 * (nullable, [row->height, row->width, 3]) makes the thumbnail. Its id, 0 on error. */
gint64 atl_gallery_add (AtlSession *session, const AtlPictureRow *row, GBytes *rgb, GError **error);

/* A tile begins and ends to show an item. */
void atl_gallery_show (AtlGallery *self, AtlGalleryItem *item);
void atl_gallery_hide (AtlGallery *self, AtlGalleryItem *item);

/* (element-type AtlGalleryItem) */
void atl_gallery_star (AtlGallery *self, GPtrArray *items, gboolean starred);
/* Pictures in our folder go to the desktop's trash, others are only forgotten; with an undo in the
 * window of `widget`. (element-type AtlGalleryItem) */
void atl_gallery_trash (AtlGallery *self, GtkWidget *widget, GPtrArray *items);

/* The picture in its size, at most `max_side` px (0: as it is), decoded by the engine. A file that
 * is gone makes the item GONE. Finish: owned. */
void atl_gallery_load_async (AtlGallery *self,
                             AtlGalleryItem *item,
                             guint max_side,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer data);
GdkTexture *atl_gallery_load_finish (GAsyncResult *result, GError **error);

/* How the picture in the file `path` was made: a{sv} as media/recipe.h has it, from the gallery, or
 * from the file. ATL_ERROR_NOT_FOUND in words when it does not say. Finish: owned. */
void atl_gallery_recipe_async (AtlSession *session,
                               const char *path,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer data);
GVariant *atl_gallery_recipe_finish (GAsyncResult *result, GError **error);

/* --- Files that are somewhere else (gallery-files.c) --- */

/* Looks through the folder of pictures, on a worker, at most every half minute. */
void atl_gallery_look (AtlGallery *self);
/* The same, once since the program was started; the half minute is not counted from it. */
void atl_gallery_look_first (AtlGallery *self);
/* Takes in pictures of others, used where they are; those in temporary places are copied first.
 * (element-type GFile) */
void atl_gallery_import (AtlGallery *self, GPtrArray *files);
/* The file of `item` is now `path`. */
gboolean
atl_gallery_move (AtlGallery *self, AtlGalleryItem *item, const char *path, GError **error);
/* Takes it out of the gallery; its file, if there is one, stays. With an undo as above. */
void atl_gallery_forget (AtlGallery *self, GtkWidget *widget, AtlGalleryItem *item);

G_END_DECLS
