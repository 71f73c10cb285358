/* A row of the gallery: the heading of a day, or pictures side by side. Made for a list view, which
 * gives it one row after the other.
 *
 *   line = atl_gallery_line_new ();
 *   g_signal_connect (line, "tile-added", G_CALLBACK (tile_added_cb), view);
 *   atl_gallery_line_set (line, gallery, items, row, 6);
 *   atl_gallery_line_set_is_near (line, TRUE);
 *
 * A list view binds some two hundred rows at a time, of which a few are seen: a line has its height
 * at once and tiles when it is near.
 *
 * Signals:
 *   "tile-added" (AtlGalleryTile *)  made once, used for many pictures
 *   "tile-shown" (AtlGalleryTile *)  it has been given a picture
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/gallery/gallery-rows.h"
#include "app/gallery/gallery-tile.h"

G_BEGIN_DECLS

#define ATL_TYPE_GALLERY_LINE (atl_gallery_line_get_type ())
G_DECLARE_FINAL_TYPE (AtlGalleryLine, atl_gallery_line, ATL, GALLERY_LINE, AdwBin)

GtkWidget *atl_gallery_line_new (void);
/* `row` NULL: it shows nothing. `items` are those that `row` counts in. */
void atl_gallery_line_set (
    AtlGalleryLine *self, AtlGallery *gallery, GPtrArray *items, AtlGalleryRow *row, int gap);
AtlGalleryRow *atl_gallery_line_get_row (AtlGalleryLine *self); /* (nullable) borrowed */
/* Whether it is seen, or soon will be; FALSE at first. */
void atl_gallery_line_set_is_near (AtlGalleryLine *self, gboolean is_near);
/* The tile that shows picture `index` of all; NULL when it is not in this row, or not near. */
AtlGalleryTile *atl_gallery_line_get_tile (AtlGalleryLine *self, guint index);

G_END_DECLS
