/* One picture of the gallery, as strip and grid show it.
 *
 * Properties (all notify):
 *   "texture"  GdkTexture (nullable): its thumbnail, while it is in memory
 *   "state"    guint, AtlGalleryState
 *   "starred"  gboolean
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "store/pictures.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_GALLERY_FRESH,  /* nothing is known of its file yet */
  ATL_GALLERY_READY,  /* there is a thumbnail of it */
  ATL_GALLERY_GONE,   /* the file is not where it was */
  ATL_GALLERY_BROKEN, /* the file is there and cannot be read */
} AtlGalleryState;

#define ATL_TYPE_GALLERY_ITEM (atl_gallery_item_get_type ())
G_DECLARE_FINAL_TYPE (AtlGalleryItem, atl_gallery_item, ATL, GALLERY_ITEM, GObject)

AtlGalleryItem *atl_gallery_item_new (const AtlPictureBrief *brief);
/* What the store says now. */
void atl_gallery_item_update (AtlGalleryItem *self, const AtlPictureBrief *brief);

gint64 atl_gallery_item_get_id (AtlGalleryItem *self);
gint64 atl_gallery_item_get_created_us (AtlGalleryItem *self);
/* Width by height, bounded so that a panorama is still a tile; 1 when it is not known. */
double atl_gallery_item_get_aspect (AtlGalleryItem *self);
gboolean atl_gallery_item_get_starred (AtlGalleryItem *self);
void atl_gallery_item_set_starred (AtlGalleryItem *self, gboolean starred);
/* What a screen reader tells of it, once it was looked up (atl_gallery_describe()); forgotten when
 * the store says something new. (nullable) borrowed */
const char *atl_gallery_item_get_words (AtlGalleryItem *self);
void atl_gallery_item_set_words (AtlGalleryItem *self, const char *words);
GdkTexture *atl_gallery_item_get_texture (AtlGalleryItem *self); /* (nullable) borrowed */
AtlGalleryState atl_gallery_item_get_state (AtlGalleryItem *self);
/* `texture` (nullable) is the thumbnail when the state is READY. */
void atl_gallery_item_set_state (AtlGalleryItem *self, AtlGalleryState state, GdkTexture *texture);

/* How many tiles show it: what is shown keeps its thumbnail. */
void atl_gallery_item_hold (AtlGalleryItem *self);
void atl_gallery_item_release (AtlGalleryItem *self);
gboolean atl_gallery_item_is_held (AtlGalleryItem *self);

G_END_DECLS
