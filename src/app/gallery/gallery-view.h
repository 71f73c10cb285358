/* All pictures of this computer by day, with search, stars, choosing several, comparing two.
 *
 * Keys: arrows walk, with Shift they choose, Ctrl+Space chooses one more, Ctrl+A all, Esc none;
 * Enter and Space look closer, F in full size, S gives a star, Delete moves to the trash, C
 * compares two that are chosen, Ctrl+F searches.
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/gallery/gallery.h"

G_BEGIN_DECLS

#define ATL_TYPE_GALLERY_VIEW (atl_gallery_view_get_type ())
G_DECLARE_FINAL_TYPE (AtlGalleryView, atl_gallery_view, ATL, GALLERY_VIEW, GtkWidget)

GtkWidget *atl_gallery_view_new (void);
void atl_gallery_view_set_session (AtlGalleryView *self, AtlSession *session);
/* Where a person types; `words` (nullable) are typed for them. */
void atl_gallery_view_search (AtlGalleryView *self, const char *words);
/* Files that were dropped on it: taken into the gallery. `files`: of GFile. */
void atl_gallery_view_import (AtlGalleryView *self, GSList *files);

G_END_DECLS
