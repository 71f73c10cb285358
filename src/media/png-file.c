/* PNG: pixels by libpng's simplified interface, texts by walking the chunks. */
#define G_LOG_DOMAIN "atl-media"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <png.h>
#include <string.h>

#include "media/picture-private.h"

#define MAX_KEY 79

static guint32
big_endian (const guint8 *p)
{
  return (guint32) p[0] << 24 | (guint32) p[1] << 16 | (guint32) p[2] << 8 | p[3];
}

/* --- Texts --- */

/* What zlib data become, at most ATL_PICTURE_MAX_TEXT; NULL when they are damaged. */
static char *
inflate_text (const guint8 *data, gsize size, gsize *length)
{
  g_autoptr (GZlibDecompressor) zlib = g_zlib_decompressor_new (G_ZLIB_COMPRESSOR_FORMAT_ZLIB);
  g_autoptr (GByteArray) out = g_byte_array_new ();
  guint8 buffer[8192];

  while (out->len < ATL_PICTURE_MAX_TEXT)
    {
      gsize read = 0, written = 0;
      GConverterResult result =
          g_converter_convert (G_CONVERTER (zlib), data, size, buffer, sizeof buffer,
                               G_CONVERTER_INPUT_AT_END, &read, &written, NULL);

      if (result == G_CONVERTER_ERROR)
        return NULL;
      g_byte_array_append (out, buffer, (guint) written);
      data += read;
      size -= read;
      if (result == G_CONVERTER_FINISHED)
        break;
      if (read == 0 && written == 0)
        return NULL;
    }
  *length = out->len;
  g_byte_array_append (out, (const guint8 *) "", 1);
  return (char *) g_byte_array_free (g_steal_pointer (&out), FALSE);
}

static void
take_text (AtlPicture *self, const char *key, const guint8 *data, gsize size, gboolean is_latin)
{
  g_autofree char *text = NULL;

  size = MIN (size, ATL_PICTURE_MAX_TEXT);
  /* tEXt is Latin-1 by the letter of the format; many programs write UTF-8 there. */
  if (is_latin && !g_utf8_validate_len ((const char *) data, size, NULL))
    text = g_convert ((const char *) data, (gssize) size, "UTF-8", "ISO-8859-1", NULL, NULL, NULL);
  else
    text = g_strndup ((const char *) data, size);
  if (text == NULL)
    return;
  atl_picture_set_text (self, key, text);
  if (strcmp (key, "XML:com.adobe.xmp") == 0)
    atl_xmp_read (self, text, strlen (text));
}

/* One text chunk; anything strange is passed over. */
static void
read_text (AtlPicture *self, const char *type, const guint8 *data, gsize size)
{
  const guint8 *end = data + size, *zero = memchr (data, 0, MIN (size, MAX_KEY + 1));
  g_autofree char *key = NULL;
  g_autofree char *plain = NULL;
  gboolean is_packed = FALSE;
  gsize length;

  if (zero == NULL || zero == data)
    return;
  key = g_strndup ((const char *) data, (gsize) (zero - data));
  data = zero + 1;
  if (strcmp (type, "zTXt") == 0)
    {
      if (data >= end || *data++ != 0)
        return;
      is_packed = TRUE;
    }
  else if (strcmp (type, "iTXt") == 0)
    {
      if (end - data < 2)
        return;
      is_packed = data[0] == 1;
      data += 2;
      /* The language, then the keyword in that language. */
      for (guint i = 0; i < 2; i++)
        {
          zero = memchr (data, 0, (gsize) (end - data));
          if (zero == NULL)
            return;
          data = zero + 1;
        }
    }
  if (!is_packed)
    {
      take_text (self, key, data, (gsize) (end - data), strcmp (type, "tEXt") == 0);
      return;
    }
  plain = inflate_text (data, (gsize) (end - data), &length);
  if (plain != NULL)
    take_text (self, key, (const guint8 *) plain, length, strcmp (type, "zTXt") == 0);
}

/* The orientation, 0 when none is told. */
static guint
read_texts (AtlPicture *self, const guint8 *data, gsize size)
{
  guint orientation = 0;
  gsize at = 8;

  while (size - at >= 12)
    {
      guint32 length = big_endian (data + at);
      char type[5] = { 0 };

      memcpy (type, data + at + 4, 4);
      if (length > size - at - 12)
        break;
      if (strcmp (type, "tEXt") == 0 || strcmp (type, "zTXt") == 0 || strcmp (type, "iTXt") == 0)
        read_text (self, type, data + at + 8, length);
      /* A file has one at most. */
      else if (strcmp (type, "eXIf") == 0 && orientation == 0)
        orientation = atl_exif_read (self, data + at + 8, length);
      at += 12 + (gsize) length;
    }
  return orientation;
}

/* --- Pixels --- */

/* libpng says what went wrong in words alone. */
static void
set_error (const png_image *image, GError **error)
{
  if (strstr (image->message, "memory") != NULL)
    atl_picture_set_no_memory (error);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("This PNG file is damaged: %s"),
                 image->message);
}

AtlPicture *
atl_png_decode (const guint8 *data, gsize size, guint64 max_pixels, GError **error)
{
  png_image image = { .version = PNG_IMAGE_VERSION };
  png_color white = { 255, 255, 255 };
  AtlPicture *self;

  if (!png_image_begin_read_from_memory (&image, data, size))
    {
      set_error (&image, error);
      return NULL;
    }
  if (!atl_picture_check_size (image.width, image.height, max_pixels, error))
    {
      png_image_free (&image);
      return NULL;
    }
  image.format = PNG_FORMAT_RGB;
  self = atl_picture_try_new (image.width, image.height, error);
  if (self == NULL)
    {
      png_image_free (&image);
      return NULL;
    }
  if (!png_image_finish_read (&image, &white, self->rgb, 0, NULL))
    {
      set_error (&image, error);
      png_image_free (&image);
      atl_picture_free (self);
      return NULL;
    }
  return atl_picture_take_upright (self, read_texts (self, data, size), error);
}

/* --- Writing --- */

static guint32
crc (const guint8 *data, gsize size)
{
  guint32 c = 0xffffffffu;

  for (gsize i = 0; i < size; i++)
    {
      c ^= data[i];
      for (guint k = 0; k < 8; k++)
        c = (c >> 1) ^ ((c & 1) != 0 ? 0xedb88320u : 0);
    }
  return c ^ 0xffffffffu;
}

static void
append_number (GByteArray *out, guint32 n)
{
  guint8 bytes[4] = { (guint8) (n >> 24), (guint8) (n >> 16), (guint8) (n >> 8), (guint8) n };

  g_byte_array_append (out, bytes, 4);
}

/* Latin letters go into a tEXt chunk, which every program reads; others into iTXt. */
static void
append_text (GByteArray *out, const char *key, const char *text)
{
  static const guint8 plain[5] = { 0 };
  gboolean is_ascii = g_str_is_ascii (text);
  gsize n_key = strlen (key), n_text = MIN (strlen (text), ATL_PICTURE_MAX_TEXT);
  guint start = out->len;

  append_number (out, (guint32) (n_key + n_text + (is_ascii ? 1 : 5)));
  g_byte_array_append (out, (const guint8 *) (is_ascii ? "tEXt" : "iTXt"), 4);
  g_byte_array_append (out, (const guint8 *) key, (guint) n_key);
  g_byte_array_append (out, plain, is_ascii ? 1 : 5);
  g_byte_array_append (out, (const guint8 *) text, (guint) n_text);
  append_number (out, crc (out->data + start + 4, out->len - start - 4));
}

GBytes *
atl_png_encode (const AtlPicture *self, GError **error)
{
  png_image image = { .version = PNG_IMAGE_VERSION,
                      .width = self->width,
                      .height = self->height,
                      .format = PNG_FORMAT_RGB };
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX (image);
  g_autofree guint8 *data = g_try_malloc (size);
  g_autoptr (GByteArray) out = g_byte_array_new ();
  g_autoptr (GList) keys = atl_picture_text_keys (self);
  gsize head;

  if (data == NULL || !png_image_write_to_memory (&image, data, &size, 0, self->rgb, 0, NULL))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "%s",
                   _ ("There is not enough memory to save this picture"));
      return NULL;
    }
  /* Texts stand behind the first chunk, IHDR. */
  head = 8 + 12 + (gsize) big_endian (data + 8);
  g_byte_array_append (out, data, (guint) head);
  for (const GList *l = keys; l != NULL; l = l->next)
    append_text (out, l->data, atl_picture_text (self, l->data));
  g_byte_array_append (out, data + head, (guint) (size - head));
  return g_byte_array_free_to_bytes (g_steal_pointer (&out));
}
