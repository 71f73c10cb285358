/* Rows of the gallery: which there are, and which are near enough to need tiles. */
#include <string.h>

#include "app/gallery/gallery-line.h"
#include "app/gallery/gallery-view-private.h"

#define MARGIN 12
#define TARGET_HEIGHT 168
#define TARGET_NARROW 112
#define NARROW 500
#define NEAR_TRIES 12

guint
atl_gallery_view_row_of (AtlGalleryView *self, guint index)
{
  guint low = 0, high = g_list_model_get_n_items (G_LIST_MODEL (self->rows));

  /* The last row that begins at or before it; a heading begins nowhere. */
  while (low + 1 < high)
    {
      guint middle = (low + high) / 2, probe = middle;
      g_autoptr (AtlGalleryRow) row = g_list_model_get_item (G_LIST_MODEL (self->rows), middle);

      if (row->n == 0)
        {
          g_object_unref (row);
          row = g_list_model_get_item (G_LIST_MODEL (self->rows), ++probe);
        }
      if (row != NULL && row->first <= index)
        low = probe;
      else
        high = middle;
      if (low >= high)
        break;
    }
  return low;
}

/* The first picture that is seen; 0 when none is. */
static guint
first_seen (AtlGalleryView *self)
{
  guint first = G_MAXUINT;

  for (guint i = 0; i < self->lines->len; i++)
    {
      AtlGalleryLine *line = self->lines->pdata[i];
      AtlGalleryRow *row = atl_gallery_line_get_row (line);
      graphene_point_t at;

      if (row == NULL || row->n == 0 || !gtk_widget_get_mapped (GTK_WIDGET (line)) ||
          !gtk_widget_compute_point (GTK_WIDGET (line), self->scroller, &GRAPHENE_POINT_INIT (0, 0),
                                     &at))
        continue;
      if (at.y > -row->height / 2.0)
        first = MIN (first, row->first);
    }
  return first != G_MAXUINT ? first : 0;
}

/* A list view has some 200 rows at any time; tiles and thumbnails are for those within a page of
 * what is seen. This comes before the frame's layout: a jump is seen in the frame after. */
static gboolean
near_cb (GtkWidget *widget, GdkFrameClock *clock, gpointer data)
{
  AtlGalleryView *self = ATL_GALLERY_VIEW (widget);
  double page = gtk_widget_get_height (self->scroller);
  gboolean again = FALSE;

  for (guint i = 0; i < self->lines->len; i++)
    {
      AtlGalleryLine *line = self->lines->pdata[i];
      AtlGalleryRow *row = atl_gallery_line_get_row (line);
      graphene_point_t at;
      gboolean is_near = FALSE;

      if (row != NULL && gtk_widget_get_mapped (GTK_WIDGET (line)))
        {
          /* What has no size yet has no place either. */
          if (gtk_widget_get_height (GTK_WIDGET (line)) == 0)
            again = TRUE;
          else if (gtk_widget_compute_point (GTK_WIDGET (line), self->scroller,
                                             &GRAPHENE_POINT_INIT (0, 0), &at))
            is_near = at.y + row->height > -page && at.y < 2 * page;
        }
      atl_gallery_line_set_is_near (line, is_near);
    }
  if (self->near_tries++ == 0 || (again && self->near_tries < NEAR_TRIES))
    return G_SOURCE_CONTINUE;
  self->near_id = 0;
  return G_SOURCE_REMOVE;
}

void
atl_gallery_view_queue_near (AtlGalleryView *self)
{
  self->near_tries = 0;
  if (self->near_id == 0)
    self->near_id = gtk_widget_add_tick_callback (GTK_WIDGET (self), near_cb, NULL, NULL);
}

/* How many rows at the top stay as they are, so that nothing under the pointer is built anew while
 * pictures come in. */
static guint
same_rows (AtlGalleryView *self, GPtrArray *rows)
{
  guint n = MIN (rows->len, g_list_model_get_n_items (G_LIST_MODEL (self->rows)));

  for (guint i = 0; i < n; i++)
    {
      g_autoptr (AtlGalleryRow) old = g_list_model_get_item (G_LIST_MODEL (self->rows), i);
      const AtlGalleryRow *row = rows->pdata[i];

      if (old->n != row->n || old->first != row->first || old->height != row->height ||
          g_strcmp0 (old->title, row->title) != 0 ||
          (row->n > 0 && memcmp (old->widths, row->widths, row->n * sizeof *row->widths) != 0))
        return i;
      for (guint j = row->first; j < row->first + row->n; j++)
        if (self->laid == NULL || j >= self->laid->len ||
            self->laid->pdata[j] != self->items->pdata[j])
          return i;
    }
  return n;
}

void
atl_gallery_view_lay_out (AtlGalleryView *self)
{
  int target = self->width < NARROW ? TARGET_NARROW : TARGET_HEIGHT;
  g_autoptr (GPtrArray) rows =
      atl_gallery_rows (self->items, MAX (self->width - 2 * MARGIN, 40), target, ATL_GALLERY_GAP);
  guint seen = first_seen (self), n_same = same_rows (self, rows);
  guint n_old = g_list_model_get_n_items (G_LIST_MODEL (self->rows));
  guint seen_row = atl_gallery_view_row_of (self, seen);
  g_autoptr (GPtrArray) before = g_steal_pointer (&self->laid);

  self->laid = g_ptr_array_ref (self->items);
  if (n_same < n_old || n_same < rows->len)
    g_list_store_splice (self->rows, n_same, n_old - n_same, rows->pdata + n_same,
                         rows->len - n_same);
  /* Who is at the beginning sees what comes there; others go on seeing what they see. */
  if (n_same > seen_row)
    ;
  else if (seen == 0)
    gtk_widget_activate_action (self->list, "list.scroll-to-item", "u", 0u);
  else if (before != NULL && seen < before->len &&
           g_ptr_array_find (self->items, before->pdata[seen], &seen))
    gtk_widget_activate_action (self->list, "list.scroll-to-item", "u",
                                atl_gallery_view_row_of (self, seen));
  atl_gallery_view_queue_near (self);
}
