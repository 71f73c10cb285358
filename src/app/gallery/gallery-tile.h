/* A picture as a small rounded tile: its thumbnail, whether it has a star and is chosen. Dragged
 * out it is its file; the menu of what can be done with it comes with the right button and the menu
 * key.
 *
 * Signals:
 *   "activated" ()                    a click, or Enter
 *   "chosen"    (guint modifiers)     a click with Ctrl or Shift (GdkModifierType), a long press
 *   "menu"      (double x, double y)  the menu is asked for, at a place in the tile
 *   "dragged"   (GPtrArray *paths)    it is about to be dragged: the files that go along may be
 *                                     added (element-type filename, freed by the array)
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/gallery/gallery.h"

G_BEGIN_DECLS

#define ATL_TYPE_GALLERY_TILE (atl_gallery_tile_get_type ())
G_DECLARE_FINAL_TYPE (AtlGalleryTile, atl_gallery_tile, ATL, GALLERY_TILE, GtkWidget)

GtkWidget *atl_gallery_tile_new (void);
/* `item` NULL: it shows nothing. */
void atl_gallery_tile_set_item (AtlGalleryTile *self, AtlGallery *gallery, AtlGalleryItem *item);
AtlGalleryItem *atl_gallery_tile_get_item (AtlGalleryTile *self); /* (nullable) borrowed */
void atl_gallery_tile_set_size (AtlGalleryTile *self, int width, int height);
/* Whether it is seen, or soon will be: others need no thumbnail. TRUE at first. */
void atl_gallery_tile_set_is_near (AtlGalleryTile *self, gboolean is_near);
void atl_gallery_tile_set_is_chosen (AtlGalleryTile *self, gboolean is_chosen);

/* The files at `paths` (element-type filename), for dragging and for the clipboard. Owned by the
 * caller. */
GdkContentProvider *atl_gallery_file_content (const GPtrArray *paths);

G_END_DECLS
