/* Small versions of pictures: made once, kept as files in the cache folder, loaded away from the
 * main thread while somebody looks.
 *
 *   AtlThumbnails *thumbnails = atl_thumbnails_new (client, NULL);
 *   atl_thumbnails_want (thumbnails, item, path);    a tile shows it: texture or state follow
 *   atl_thumbnails_forget (thumbnails, item);        none does any more
 *
 * Pictures are decoded by the engine, behind its sandbox; only files that were written here are
 * decoded here. What was asked for last comes first. At most ATL_THUMBNAILS_KEPT stay in memory,
 * besides those that are shown.
 *
 * Threading: the main thread; two files at a time are read on workers.
 */
#pragma once

#include "app/gallery/gallery-item.h"
#include "client/client.h"

G_BEGIN_DECLS

#define ATL_THUMBNAIL_SIDE 288u
#define ATL_THUMBNAILS_KEPT 300u

typedef struct _AtlThumbnails AtlThumbnails;

/* `dir` NULL: atelier/thumbnails in the person's cache folder. */
AtlThumbnails *atl_thumbnails_new (AtlClient *client, const char *dir);
void atl_thumbnails_free (AtlThumbnails *self);

void atl_thumbnails_want (AtlThumbnails *self, AtlGalleryItem *item, const char *path);
void atl_thumbnails_forget (AtlThumbnails *self, AtlGalleryItem *item);
/* From pixels that are at hand: [height, width, 3]. */
void atl_thumbnails_put (AtlThumbnails *self,
                         AtlGalleryItem *item,
                         const char *path,
                         GBytes *rgb,
                         guint width,
                         guint height);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlThumbnails, atl_thumbnails_free)

G_END_DECLS
