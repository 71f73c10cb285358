/* Pictures, their texts and their files' names. */
#define G_LOG_DOMAIN "atl-media"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/name-hash.h"
#include "base/whole-file.h"
#include "media/picture-private.h"

#define MAX_SIDE 65535u
#define MAX_NAMES 100000u

static AtlPicture *
picture_take (guint width, guint height, guint8 *rgb)
{
  AtlPicture *self = g_new0 (AtlPicture, 1);

  self->width = width;
  self->height = height;
  self->rgb = rgb;
  self->texts = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free, g_free);
  return self;
}

AtlPicture *
atl_picture_new (guint width, guint height)
{
  g_assert (width >= 1 && width <= MAX_SIDE && height >= 1 && height <= MAX_SIDE);
  return picture_take (width, height, g_malloc0 ((gsize) width * height * 3));
}

void
atl_picture_set_no_memory (GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "%s",
               _ ("There is not enough memory for this picture"));
}

AtlPicture *
atl_picture_try_new (guint width, guint height, GError **error)
{
  guint8 *rgb;

  g_assert (width >= 1 && width <= MAX_SIDE && height >= 1 && height <= MAX_SIDE);
  rgb = g_try_malloc0 ((gsize) width * height * 3);
  if (rgb != NULL)
    return picture_take (width, height, rgb);
  atl_picture_set_no_memory (error);
  return NULL;
}

void
atl_picture_free (AtlPicture *self)
{
  if (self == NULL)
    return;
  g_free (self->rgb);
  g_hash_table_unref (self->texts);
  g_free (self);
}

GList *
atl_picture_text_keys (const AtlPicture *self)
{
  return g_list_sort (g_hash_table_get_keys (self->texts), (GCompareFunc) strcmp);
}

const char *
atl_picture_text (const AtlPicture *self, const char *key)
{
  return g_hash_table_lookup (self->texts, key);
}

void
atl_picture_set_text (AtlPicture *self, const char *key, const char *text)
{
  gsize n = strlen (key);

  if (n < 1 || n > 79 || !g_str_is_ascii (key))
    return;
  if (text == NULL)
    g_hash_table_remove (self->texts, key);
  else if (g_hash_table_size (self->texts) < ATL_PICTURE_MAX_TEXTS ||
           g_hash_table_contains (self->texts, key))
    g_hash_table_replace (self->texts, g_strdup (key), g_utf8_make_valid (text, -1));
}

AtlPicture *
atl_picture_shrink (const AtlPicture *self, guint max_side)
{
  guint side = MAX (self->width, self->height);
  guint width = side > max_side ? MAX ((guint64) self->width * max_side / side, 1) : self->width;
  guint height = side > max_side ? MAX ((guint64) self->height * max_side / side, 1) : self->height;
  AtlPicture *small = atl_picture_new (width, height);

  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++)
      {
        guint x0 = (guint) ((guint64) x * self->width / width);
        guint x1 = (guint) (((guint64) x + 1) * self->width / width);
        guint y0 = (guint) ((guint64) y * self->height / height);
        guint y1 = (guint) (((guint64) y + 1) * self->height / height);
        guint64 sum[3] = { 0 }, n = (guint64) (x1 - x0) * (y1 - y0);

        for (guint v = y0; v < y1; v++)
          for (guint u = x0; u < x1; u++)
            for (guint c = 0; c < 3; c++)
              sum[c] += self->rgb[((gsize) v * self->width + u) * 3 + c];
        for (guint c = 0; c < 3; c++)
          small->rgb[((gsize) y * width + x) * 3 + c] = (guint8) ((sum[c] + n / 2) / n);
      }
  return small;
}

gboolean
atl_picture_check_size (guint64 width, guint64 height, guint64 max_pixels, GError **error)
{
  if (width < 1 || height < 1)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s", _ ("The picture has no pixels"));
      return FALSE;
    }
  if (width > MAX_SIDE || height > MAX_SIDE || width * height > max_pixels)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_FULL,
                   _ ("The picture has %u × %u pixels, which is too large"),
                   (guint) MIN (width, G_MAXUINT), (guint) MIN (height, G_MAXUINT));
      return FALSE;
    }
  return TRUE;
}

AtlPicture *
atl_picture_decode (const guint8 *data, gsize size, guint64 max_pixels, GError **error)
{
  if (size >= 8 && memcmp (data, "\x89PNG\r\n\x1a\n", 8) == 0)
    return atl_png_decode (data, size, max_pixels, error);
  if (size >= 3 && memcmp (data, "\xff\xd8\xff", 3) == 0)
    return atl_jpeg_decode (data, size, max_pixels, error);
  if (size >= 12 && memcmp (data, "RIFF", 4) == 0 && memcmp (data + 8, "WEBP", 4) == 0)
    return atl_webp_decode (data, size, max_pixels, error);
  g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, "%s",
               _ ("This is no picture that can be read here. PNG, JPEG and WebP can"));
  return NULL;
}

GBytes *
atl_picture_encode (const AtlPicture *self, AtlPictureFormat format, guint quality, GError **error)
{
  quality = quality == 0 ? 92 : MIN (quality, 100);
  switch (format)
    {
    case ATL_PICTURE_JPEG:
      return atl_jpeg_encode (self, quality, error);
    case ATL_PICTURE_WEBP:
      return atl_webp_encode (self, quality, error);
    case ATL_PICTURE_PNG:
    default:
      return atl_png_encode (self, error);
    }
}

/* --- Files --- */

char *
atl_picture_save (
    GBytes *bytes, const char *folder, const char *stem, const char *ending, GError **error)
{
  g_auto (AtlWholeFile) file = ATL_WHOLE_FILE_INIT;
  int number = EEXIST;

  if (g_mkdir_with_parents (folder, 0755) != 0)
    {
      atl_whole_file_set_error (error, errno, folder);
      return NULL;
    }
  if (!atl_whole_file_write (&file, folder, bytes, error))
    return NULL;
  for (guint i = 1; number == EEXIST && i < MAX_NAMES; i++)
    {
      g_autofree char *name = i == 1 ? g_strdup_printf ("%s.%s", stem, ending)
                                     : g_strdup_printf ("%s-%u.%s", stem, i, ending);
      g_autofree char *path = g_build_filename (folder, name, NULL);

      number = atl_whole_file_take_name (&file, path);
      if (number == 0)
        return g_steal_pointer (&path);
    }
  atl_whole_file_set_error (error, number, folder);
  return NULL;
}
