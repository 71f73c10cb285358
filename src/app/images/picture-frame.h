/* A picture of the gallery with a zoom, and what is to be said when it cannot be shown.
 *
 *   frame = atl_picture_frame_new (gallery, zoom);
 *   atl_picture_frame_show (ATL_PICTURE_FRAME (frame), item);
 *
 * The thumbnail stands in until the picture is there.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/gallery/gallery.h"
#include "app/images/zoom-view.h"

G_BEGIN_DECLS

#define ATL_TYPE_PICTURE_FRAME (atl_picture_frame_get_type ())
G_DECLARE_FINAL_TYPE (AtlPictureFrame, atl_picture_frame, ATL, PICTURE_FRAME, AdwBin)

GtkWidget *atl_picture_frame_new (AtlGallery *gallery, AtlZoom *zoom);
void atl_picture_frame_show (AtlPictureFrame *self, AtlGalleryItem *item);
AtlGalleryItem *atl_picture_frame_get_item (AtlPictureFrame *self); /* (nullable) borrowed */
AtlZoomView *atl_picture_frame_get_view (AtlPictureFrame *self);    /* borrowed */

G_END_DECLS
