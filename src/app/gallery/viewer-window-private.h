/* The fields that the files of the viewer share: viewer-window.c shows, viewer-keys.c takes keys.
 */
#pragma once

#include "app/gallery/viewer-window.h"
#include "app/images/picture-frame.h"

struct _AtlViewerWindow
{
  AdwWindow parent_instance;

  GtkWidget *owner; /* (nullable) weak */
  AtlGallery *gallery;
  GListModel *pictures; /* (nullable) when two are compared */
  guint position;
  AtlZoom *zoom;
  GtkWidget *frames[2]; /* the second: (nullable) */

  GtkWidget *toasts;
  AdwToast *deleted; /* (nullable) weak: the offer to take back the last deletion */
  GtkWidget *header;
  GtkWidget *title;
  GtkWidget *previous;
  GtkWidget *next;
  GtkWidget *star;
  GtkWidget *menu;
  GtkWidget *menus[2]; /* (nullable) of two that are compared */
  GtkWidget *recipe_button;
  GtkWidget *recipe_revealer;
  GtkWidget *recipe_label;
  GtkWidget *pair; /* (nullable) box of two frames */
};

/* Of the picture that is shown, or the first of two; borrowed. */
AtlGalleryItem *atl_viewer_window_item (AtlViewerWindow *self);
/* Does nothing where there is none. */
void atl_viewer_window_show_at (AtlViewerWindow *self, guint position);

/* Of viewer-keys.c: */
void atl_viewer_window_install_keys (AtlViewerWindow *self);
void atl_viewer_window_step (AtlViewerWindow *self, int by);
void atl_viewer_window_star (AtlViewerWindow *self);
