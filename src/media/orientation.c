/* Pictures that lie on their sides, as cameras write them: EXIF 2.3, 4.6.4, Orientation. */
#define G_LOG_DOMAIN "atl-media"

#include <string.h>

#include "media/picture-private.h"

/* From 5 on the first row that is stored is a side of the picture. */
#define FIRST_TURNED 5u

static gboolean
set_upright (AtlPicture *self, guint orientation, GError **error)
{
  gboolean is_turned = orientation >= FIRST_TURNED;
  /* Whether the first column stands right or below, the first row below or right. */
  gboolean from_last_column =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  gboolean from_last_row =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  guint width = is_turned ? self->height : self->width;
  guint height = is_turned ? self->width : self->height;
  guint8 *rgb, *to;

  to = rgb = g_try_malloc ((gsize) width * height * 3);
  if (rgb == NULL)
    {
      atl_picture_set_no_memory (error);
      return FALSE;
    }
  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++, to += 3)
      {
        guint column = is_turned ? y : x, row = is_turned ? x : y;

        column = from_last_column ? self->width - 1 - column : column;
        row = from_last_row ? self->height - 1 - row : row;
        memcpy (to, self->rgb + ((gsize) row * self->width + column) * 3, 3);
      }
  g_free (self->rgb);
  self->rgb = rgb;
  self->width = width;
  self->height = height;
  return TRUE;
}

AtlPicture *
atl_picture_take_upright (AtlPicture *self, guint orientation, GError **error)
{
  if (orientation >= 2 && orientation <= ATL_ORIENTATION_LAST &&
      !set_upright (self, orientation, error))
    g_clear_pointer (&self, atl_picture_free);
  return self;
}
