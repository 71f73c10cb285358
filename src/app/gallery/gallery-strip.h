/* The newest pictures as a row of thumbnails below the canvas, or as a small grid in the sidebar.
 *
 * Arrows walk through it; Space looks closer, Delete moves to the trash, S gives a star.
 *
 * Properties:
 *   "orientation"  GtkOrientation, construct only: vertical is the grid
 *   "selected"     char * (nullable), notify: the path of the picture that is chosen
 * Signal:
 *   "activated" (char *path)  Enter, or a click, also on the one that is chosen already
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/gallery/gallery.h"

G_BEGIN_DECLS

#define ATL_TYPE_GALLERY_STRIP (atl_gallery_strip_get_type ())
G_DECLARE_FINAL_TYPE (AtlGalleryStrip, atl_gallery_strip, ATL, GALLERY_STRIP, GtkWidget)

GtkWidget *atl_gallery_strip_new (GtkOrientation orientation);
void atl_gallery_strip_set_session (AtlGalleryStrip *self, AtlSession *session);
const char *atl_gallery_strip_get_selected (AtlGalleryStrip *self); /* (nullable) borrowed */
/* NULL: none. A path that is not in the gallery: none. */
void atl_gallery_strip_set_selected (AtlGalleryStrip *self, const char *path);

G_END_DECLS
