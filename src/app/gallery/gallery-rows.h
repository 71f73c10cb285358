/* Pictures as rows that fill a width: a heading for each day, then rows of pictures in their own
 * aspect, all of a row equally high.
 *
 *   g_autoptr (GPtrArray) rows = atl_gallery_rows (items, 800, 160, 6);
 *
 * Threading: any thread; rows are immutable.
 */
#pragma once

#include "app/gallery/gallery-item.h"

G_BEGIN_DECLS

#define ATL_TYPE_GALLERY_ROW (atl_gallery_row_get_type ())
G_DECLARE_FINAL_TYPE (AtlGalleryRow, atl_gallery_row, ATL, GALLERY_ROW, GObject)

struct _AtlGalleryRow
{
  GObject parent_instance;

  char *title;     /* (nullable) of a heading, which has no pictures */
  guint first;     /* index of its first picture among `items` */
  guint n;         /* pictures */
  int height;      /* px, of each */
  guint16 *widths; /* px, of each; with the gaps between never wider than the row */
};

/* `items` newest first; `width` and `gap` in px, `target` the height that rows come close to.
 * (transfer full) (element-type AtlGalleryRow) */
GPtrArray *atl_gallery_rows (GPtrArray *items, int width, int target, int gap);

G_END_DECLS
