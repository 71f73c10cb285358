/* The layout of the gallery as plain arithmetic. */
#include "app/gallery/gallery-rows.h"

#include <glib/gi18n.h>
#include <math.h>

/* A row that cannot be filled otherwise is at most so much higher than the target. */
#define MAX_GROWTH 1.5

G_DEFINE_FINAL_TYPE (AtlGalleryRow, atl_gallery_row, G_TYPE_OBJECT)

static void
atl_gallery_row_finalize (GObject *object)
{
  AtlGalleryRow *self = ATL_GALLERY_ROW (object);

  g_free (self->title);
  g_free (self->widths);
  G_OBJECT_CLASS (atl_gallery_row_parent_class)->finalize (object);
}

static void
atl_gallery_row_class_init (AtlGalleryRowClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_gallery_row_finalize;
}

static void
atl_gallery_row_init (AtlGalleryRow *self)
{
}

/* When the day of a time began, in the person's time zone. */
static gint64
day_start (gint64 time_us)
{
  g_autoptr (GDateTime) when = g_date_time_new_from_unix_local (time_us / G_USEC_PER_SEC);
  g_autoptr (GDateTime) start = NULL;

  if (when != NULL)
    start = g_date_time_new_local (g_date_time_get_year (when), g_date_time_get_month (when),
                                   g_date_time_get_day_of_month (when), 0, 0, 0);
  return start != NULL ? g_date_time_to_unix (start) * G_USEC_PER_SEC : time_us;
}

/* "Today", "Yesterday", "Monday, 3 May", "3 May 2024". The caller's. */
static char *
day_title (gint64 time_us, gint64 now_us)
{
  g_autoptr (GDateTime) when = g_date_time_new_from_unix_local (time_us / G_USEC_PER_SEC);
  g_autoptr (GDateTime) now = g_date_time_new_from_unix_local (now_us / G_USEC_PER_SEC);
  gint64 today = day_start (now_us);

  if (when == NULL || now == NULL)
    return g_strdup ("");
  if (time_us >= today)
    return g_strdup (_ ("Today"));
  /* The day before ends when this one begins, however long it was. */
  if (time_us >= day_start (today - 1))
    return g_strdup (_ ("Yesterday"));
  if (g_date_time_get_year (when) == g_date_time_get_year (now))
    /* Translators: a day of this year as strftime writes it: "Monday, 3 May". */
    return g_date_time_format (when, _ ("%A, %-e %B"));
  /* Translators: a day of another year as strftime writes it: "3 May 2024". */
  return g_date_time_format (when, _ ("%-e %B %Y"));
}

static AtlGalleryRow *
new_row (GPtrArray *items, guint first, guint n, int width, double height, int gap, gboolean fill)
{
  AtlGalleryRow *row = g_object_new (ATL_TYPE_GALLERY_ROW, NULL);
  int left = width - gap * ((int) n - 1);

  row->first = first;
  row->n = n;
  row->height = MAX ((int) height, 1);
  row->widths = g_new0 (guint16, n);
  for (guint i = 0; i < n; i++)
    {
      int wanted = (int) round (atl_gallery_item_get_aspect (items->pdata[first + i]) * height);

      /* What was lost by rounding goes to the last, and nothing is ever wider than the row. */
      if (fill && i == n - 1)
        wanted = left;
      row->widths[i] = (guint16) CLAMP (wanted, 1, MAX (left, 1));
      left -= row->widths[i];
    }
  return row;
}

GPtrArray *
atl_gallery_rows (GPtrArray *items, int width, int target, int gap)
{
  GPtrArray *rows = g_ptr_array_new_with_free_func (g_object_unref);
  gint64 now_us = g_get_real_time ();
  guint first = 0;

  g_return_val_if_fail (target > 0 && gap >= 0, rows);

  width = CLAMP (width, 1, G_MAXUINT16);
  while (first < items->len)
    {
      gint64 time_us = atl_gallery_item_get_created_us (items->pdata[first]);
      gint64 start = day_start (time_us);
      AtlGalleryRow *heading = g_object_new (ATL_TYPE_GALLERY_ROW, NULL);
      guint end = first;

      heading->title = day_title (time_us, now_us);
      g_ptr_array_add (rows, heading);
      /* Newest first: what is not older than the beginning of the day is of it. */
      while (end < items->len && atl_gallery_item_get_created_us (items->pdata[end]) >= start)
        end++;
      while (first < end)
        {
          double aspects = 0, height;
          guint n = 0;

          /* As many as make it as wide as it must be, at no more than the target's height. */
          do
            aspects += atl_gallery_item_get_aspect (items->pdata[first + n++]);
          while (first + n < end && aspects * target + gap * (double) (n - 1) < width);
          height = (width - gap * (double) (n - 1)) / aspects;
          if (height <= target * MAX_GROWTH && (height <= target || first + n < end))
            g_ptr_array_add (rows, new_row (items, first, n, width, height, gap, TRUE));
          else
            g_ptr_array_add (rows,
                             new_row (items, first, n, width, MIN (target, height), gap, FALSE));
          first += n;
        }
    }
  return rows;
}
