/* A closer look: one picture in a window of its own, the others an arrow away; or two side by side.
 *
 *   atl_viewer_window_show (strip, gallery, pictures, 3, FALSE);
 *
 * Keys: arrows to the others, Space and Esc close, F full size, + and - and 0, Ctrl and arrows
 * move, F11 the whole screen, S star, I recipe, Delete trash, Ctrl+Z.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/gallery/gallery.h"

G_BEGIN_DECLS

#define ATL_TYPE_VIEWER_WINDOW (atl_viewer_window_get_type ())
G_DECLARE_FINAL_TYPE (AtlViewerWindow, atl_viewer_window, ATL, VIEWER_WINDOW, AdwWindow)

/* Shows the picture at `position` of `pictures` (of AtlGalleryItem), in its full size or whole.
 * `owner` is in the main window; actions of the page that draws are asked from
 * there. */
void atl_viewer_window_show (GtkWidget *owner,
                             AtlGallery *gallery,
                             GListModel *pictures,
                             guint position,
                             gboolean full_size);

/* Two pictures side by side, zoomed and moved together. */
void atl_viewer_compare (GtkWidget *owner,
                         AtlGallery *gallery,
                         AtlGalleryItem *first,
                         AtlGalleryItem *second);

G_END_DECLS
