/* The fields that the files of the view share: gallery-view.c has what is shown,
 * gallery-view-rows.c how it lies in rows, gallery-view-keys.c focus, keys and what is chosen. */
#pragma once

#include "app/gallery/gallery-tile.h"
#include "app/gallery/gallery-view.h"

G_BEGIN_DECLS

struct _AtlGalleryView
{
  GtkWidget parent_instance;

  AtlGallery *gallery; /* (nullable) borrowed */
  GPtrArray *items;    /* of AtlGalleryItem: what is shown, newest first */
  GListStore *found;   /* the same, for the viewer */
  GListStore *rows;    /* of AtlGalleryRow */
  int width;           /* that the rows are made for */
  GPtrArray *laid;     /* (nullable) the items that the rows are made of */
  guint relayout_id;
  guint changed_id;
  gboolean is_stale; /* pictures changed since the last search */
  gint64 changed_us;
  guint near_id; /* a tick callback that looks which rows are near */
  guint near_tries;
  GPtrArray *lines;   /* of AtlGalleryLine (borrowed): those that exist */
  GHashTable *chosen; /* AtlGalleryItem (owned) */
  guint cursor;       /* index of the picture that has the keyboard's attention */
  guint anchor;       /* where choosing with Shift began */
  guint focus_id;     /* a tick callback that waits for its tile */
  guint focus_tries;
  GtkWidget *focus_from; /* (nullable) only compared: what had the focus before it */

  GtkWidget *box;
  GtkWidget *entry;
  GtkWidget *stars;
  GtkWidget *stack;
  GtkWidget *scroller;
  GtkWidget *list;
  GtkWidget *choice_bar;
  GtkWidget *choice_label;
  GtkWidget *compare_button;
};

/* gallery-view.c */
/* Searches anew and shows what is found. */
void atl_gallery_view_refresh (AtlGalleryView *self);
/* The index of what `tile` shows; G_MAXUINT when it shows nothing. */
guint atl_gallery_view_index_of (AtlGalleryView *self, AtlGalleryTile *tile);
void atl_gallery_view_look (AtlGalleryView *self, guint index, gboolean full_size);

/* gallery-view-rows.c */
#define ATL_GALLERY_GAP 6 /* px between pictures */
/* The row that picture `index` is in. */
guint atl_gallery_view_row_of (AtlGalleryView *self, guint index);
/* Makes the rows anew for what is shown and the width there is. */
void atl_gallery_view_lay_out (AtlGalleryView *self);
/* Before the next frames: those near to what is seen get tiles, others let go of their thumbnails.
 */
void atl_gallery_view_queue_near (AtlGalleryView *self);

/* gallery-view-keys.c */
void atl_gallery_view_install_keys (AtlGalleryView *self);
/* Scrolls to picture `index` and gives it the focus. */
void atl_gallery_view_focus (AtlGalleryView *self, guint index);
/* Of its class: to the picture at the cursor, without any to the words that are searched for. */
gboolean atl_gallery_view_grab_focus (GtkWidget *widget);
/* A picture that was to have the focus, and has not yet, does not take it any more. */
void atl_gallery_view_stop_focusing (AtlGalleryView *self);
/* Whether a picture has the focus, and not what is above or below the list. */
gboolean atl_gallery_view_has_focus (AtlGalleryView *self);
/* After what is shown has changed: the picture at the cursor has the focus again, without any the
 * words that are searched for. */
void atl_gallery_view_keep_focus (AtlGalleryView *self);
void atl_gallery_view_bind_choice_callbacks (GtkWidgetClass *widget_class);
void atl_gallery_view_choose (AtlGalleryView *self, guint index, GdkModifierType modifiers);
/* All that are chosen go along with one of them. */
void atl_gallery_view_drag (AtlGalleryTile *tile, GPtrArray *paths, AtlGalleryView *self);
/* After what is shown has changed. */
void atl_gallery_view_trim_choice (AtlGalleryView *self);

G_END_DECLS
