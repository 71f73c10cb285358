/* What can be done with a picture wherever it is shown.
 *
 *   atl_gallery_install_actions (widget, widget, gallery);  // "gallery.…" for it and what is in it
 *   atl_gallery_popup_menu (widget, gallery, item, x, y);
 *
 * Actions ("gallery.", parameter x: the picture's id): show-in-files, copy, share-recipe, star,
 * trash, locate, forget. Those of the page that draws ("images.", parameter s: the path) come
 * first in the menu; the main window passes them on to that page from wherever they are chosen.
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/gallery/gallery.h"

G_BEGIN_DECLS

/* What the page that draws does with a picture: names of its actions, which all take the path. */
#define ATL_GALLERY_N_PAGE_ACTIONS 6
extern const char *const atl_gallery_page_actions[ATL_GALLERY_N_PAGE_ACTIONS];

/* `owner` is in the main window, where undo is offered; it must outlive `widget`'s use of them. */
void atl_gallery_install_actions (GtkWidget *widget, GtkWidget *owner, AtlGallery *gallery);

/* A chooser of one picture file, to be shown; owned by the caller. */
GtkFileChooserNative *atl_gallery_choose_picture (GtkWidget *widget, const char *title);

/* The menu of one picture. Owned by the caller; NULL when the picture is gone. */
GMenuModel *atl_gallery_menu (AtlGallery *gallery, AtlGalleryItem *item);
/* Shows a menu at a place of `widget`, which need not care for it any more; the second, that of a
 * picture, as it is now. */
void atl_gallery_popup_model (GtkWidget *widget, GMenuModel *menu, double x, double y);
void atl_gallery_popup_menu (
    GtkWidget *widget, AtlGallery *gallery, AtlGalleryItem *item, double x, double y);

G_END_DECLS
