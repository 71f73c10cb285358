/* Tiles of a row are kept and used again. */
#include "app/gallery/gallery-line.h"

struct _AtlGalleryLine
{
  AdwBin parent_instance;

  AtlGallery *gallery; /* (nullable) borrowed */
  AtlGalleryRow *row;  /* (nullable) */
  GPtrArray *items;    /* (nullable) those that the row counts in */
  GPtrArray *tiles;    /* of AtlGalleryTile (borrowed): those in use first */
  gboolean is_near;
  gboolean is_filled; /* the tiles are of the row */

  GtkWidget *title;
  GtkWidget *box;
};

G_DEFINE_FINAL_TYPE (AtlGalleryLine, atl_gallery_line, ADW_TYPE_BIN)

static guint added_signal, shown_signal;

AtlGalleryRow *
atl_gallery_line_get_row (AtlGalleryLine *self)
{
  return self->row;
}

AtlGalleryTile *
atl_gallery_line_get_tile (AtlGalleryLine *self, guint index)
{
  if (self->row == NULL || !self->is_filled || index < self->row->first ||
      index >= self->row->first + self->row->n)
    return NULL;
  return self->tiles->pdata[index - self->row->first];
}

static AtlGalleryTile *
ensure_tile (AtlGalleryLine *self, guint i)
{
  if (i >= self->tiles->len)
    {
      GtkWidget *tile = atl_gallery_tile_new ();

      atl_gallery_tile_set_is_near (ATL_GALLERY_TILE (tile), self->is_near);
      gtk_box_append (GTK_BOX (self->box), tile);
      g_ptr_array_add (self->tiles, tile);
      g_signal_emit (self, added_signal, 0, tile);
    }
  return self->tiles->pdata[i];
}

/* `n` of the tiles have the pictures of the row, the others none. */
static void
fill (AtlGalleryLine *self, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      AtlGalleryTile *tile = ensure_tile (self, i);

      atl_gallery_tile_set_size (tile, self->row->widths[i], self->row->height);
      atl_gallery_tile_set_item (tile, self->gallery, self->items->pdata[self->row->first + i]);
      gtk_widget_set_visible (GTK_WIDGET (tile), TRUE);
    }
  for (guint i = n; i < self->tiles->len; i++)
    {
      atl_gallery_tile_set_item (self->tiles->pdata[i], self->gallery, NULL);
      gtk_widget_set_visible (self->tiles->pdata[i], FALSE);
    }
  self->is_filled = n > 0;
  for (guint i = 0; i < n; i++)
    g_signal_emit (self, shown_signal, 0, self->tiles->pdata[i]);
}

void
atl_gallery_line_set (
    AtlGalleryLine *self, AtlGallery *gallery, GPtrArray *items, AtlGalleryRow *row, int gap)
{
  guint n = row != NULL ? row->n : 0;

  g_assert (row == NULL || row->first + n <= items->len);
  self->gallery = gallery;
  g_set_object (&self->row, row);
  g_clear_pointer (&self->items, g_ptr_array_unref);
  self->items = row != NULL ? g_ptr_array_ref (items) : NULL;
  gtk_widget_set_visible (self->title, row != NULL && row->title != NULL);
  gtk_widget_set_visible (self->box, n > 0);
  gtk_label_set_text (GTK_LABEL (self->title), row != NULL && row->title != NULL ? row->title : "");
  gtk_box_set_spacing (GTK_BOX (self->box), gap);
  gtk_widget_set_size_request (self->box, -1, n > 0 ? row->height : -1);
  fill (self, self->is_near ? n : 0);
}

void
atl_gallery_line_set_is_near (AtlGalleryLine *self, gboolean is_near)
{
  if (self->is_near == is_near)
    return;
  self->is_near = is_near;
  if (is_near && !self->is_filled && self->row != NULL)
    fill (self, self->row->n);
  for (guint i = 0; i < self->tiles->len; i++)
    atl_gallery_tile_set_is_near (self->tiles->pdata[i], is_near);
}

static void
atl_gallery_line_dispose (GObject *object)
{
  AtlGalleryLine *self = ATL_GALLERY_LINE (object);

  g_clear_object (&self->row);
  g_clear_pointer (&self->items, g_ptr_array_unref);
  g_clear_pointer (&self->tiles, g_ptr_array_unref);
  G_OBJECT_CLASS (atl_gallery_line_parent_class)->dispose (object);
}

static void
atl_gallery_line_class_init (AtlGalleryLineClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_gallery_line_dispose;
  added_signal = g_signal_new ("tile-added", ATL_TYPE_GALLERY_LINE, G_SIGNAL_RUN_LAST, 0, NULL,
                               NULL, NULL, G_TYPE_NONE, 1, ATL_TYPE_GALLERY_TILE);
  shown_signal = g_signal_new ("tile-shown", ATL_TYPE_GALLERY_LINE, G_SIGNAL_RUN_LAST, 0, NULL,
                               NULL, NULL, G_TYPE_NONE, 1, ATL_TYPE_GALLERY_TILE);
}

static void
atl_gallery_line_init (AtlGalleryLine *self)
{
  GtkWidget *both = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);

  self->tiles = g_ptr_array_new ();
  self->title = gtk_label_new (NULL);
  gtk_label_set_xalign (GTK_LABEL (self->title), 0);
  gtk_widget_add_css_class (self->title, "heading");
  gtk_widget_add_css_class (self->title, "gallery-day");
  self->box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 0);
  gtk_box_append (GTK_BOX (both), self->title);
  gtk_box_append (GTK_BOX (both), self->box);
  adw_bin_set_child (ADW_BIN (self), both);
}

GtkWidget *
atl_gallery_line_new (void)
{
  return g_object_new (ATL_TYPE_GALLERY_LINE, NULL);
}
