/* The few texts of an EXIF block that programs put recipes into, the one that is written for them,
 * and how a camera was held. Layout: TIFF 6.0 (a header, then directories of entries of 12 bytes)
 * and EXIF 2.3 (tag 0x8769 leads to the directory that holds UserComment, which begins with eight
 * bytes that name its encoding). */
#define G_LOG_DOMAIN "atl-media"

#include <string.h>

#include "media/picture-private.h"

#define MAX_ENTRIES 200u
#define TYPE_SHORT 3u
#define TAG_ORIENTATION 0x0112u
#define TAG_EXIF 0x8769u
#define TAG_VERSION 0x9000u
#define TAG_COMMENT 0x9286u
#define CODE_BYTES 8u

/* --- Reading --- */

typedef struct
{
  const guint8 *data; /* from the TIFF header on */
  gsize size;
  gboolean is_big;
} Block;

static guint
read16 (const Block *self, gsize at)
{
  const guint8 *p = self->data + at;

  return self->is_big ? (guint) p[0] << 8 | p[1] : (guint) p[1] << 8 | p[0];
}

static guint32
read32 (const Block *self, gsize at)
{
  guint32 a = read16 (self, at), b = read16 (self, at + 2);

  return self->is_big ? a << 16 | b : b << 16 | a;
}

/* UTF-16 in either order: most programs write the big end first whatever the header says, so the
 * zeros of Latin letters decide, and the header where there are none. */
static char *
from_utf16 (const Block *self, const guint8 *data, gsize size)
{
  gsize first = 0, second = 0;
  gboolean is_big;

  for (gsize i = 0; i + 1 < size; i += 2)
    {
      first += data[i] == 0;
      second += data[i + 1] == 0;
    }
  is_big = first != second ? first > second : self->is_big;
  return g_convert_with_fallback ((const char *) data, (gssize) (size & ~(gsize) 1), "UTF-8",
                                  is_big ? "UTF-16BE" : "UTF-16LE", "?", NULL, NULL, NULL);
}

static char *
comment_text (const Block *self, const guint8 *data, gsize size)
{
  if (size >= CODE_BYTES && memcmp (data, "UNICODE\0", CODE_BYTES) == 0)
    return from_utf16 (self, data + CODE_BYTES, size - CODE_BYTES);
  if (size >= CODE_BYTES && (memcmp (data, "ASCII\0\0\0", CODE_BYTES) == 0 ||
                             memcmp (data, "\0\0\0\0\0\0\0\0", CODE_BYTES) == 0))
    return g_strndup ((const char *) data + CODE_BYTES, size - CODE_BYTES);
  return g_strndup ((const char *) data, size);
}

/* Reads a directory; the place of EXIF's own, 0 when it is not in it. `orientation` stays as it is
 * when there is none. */
static gsize
read_directory (AtlPicture *picture, const Block *self, gsize at, guint *orientation)
{
  static const struct
  {
    guint tag;
    const char *key;
  } texts[] = { { 0x010e, "ImageDescription" },
                { 0x010f, "Make" },
                { 0x0110, "Model" },
                { TAG_COMMENT, "UserComment" } };
  gsize exif = 0;
  guint n;

  if (at < 8 || at > self->size || self->size - at < 2)
    return 0;
  n = MIN (read16 (self, at), MAX_ENTRIES);
  for (guint i = 0; i < n && self->size - at - 2 >= 12 * ((gsize) i + 1); i++)
    {
      gsize entry = at + 2 + 12 * (gsize) i;
      guint tag = read16 (self, entry), type = read16 (self, entry + 2);
      guint32 length = read32 (self, entry + 4);
      gsize place = length <= 4 ? entry + 8 : read32 (self, entry + 8);

      if (tag == TAG_EXIF)
        exif = read32 (self, entry + 8);
      if (tag == TAG_ORIENTATION && type == TYPE_SHORT && length == 1 &&
          read16 (self, entry + 8) <= ATL_ORIENTATION_LAST)
        *orientation = read16 (self, entry + 8);
      /* Bytes, text, or undefined: one byte each. */
      if ((type != 1 && type != 2 && type != 7) || place > self->size ||
          length > self->size - place || length > ATL_PICTURE_MAX_TEXT)
        continue;
      for (gsize j = 0; j < G_N_ELEMENTS (texts); j++)
        if (tag == texts[j].tag)
          {
            g_autofree char *text = tag == TAG_COMMENT
                                        ? comment_text (self, self->data + place, length)
                                        : g_strndup ((const char *) self->data + place, length);

            if (text != NULL && *text != '\0')
              atl_picture_set_text (picture, texts[j].key, text);
          }
    }
  return exif;
}

guint
atl_exif_read (AtlPicture *picture, const guint8 *data, gsize size)
{
  Block block;
  guint orientation = 0, of_no_picture = 0;
  gsize exif;

  if (size >= 6 && memcmp (data, "Exif\0\0", 6) == 0)
    {
      data += 6;
      size -= 6;
    }
  if (size < 8 || (memcmp (data, "MM\0*", 4) != 0 && memcmp (data, "II*\0", 4) != 0))
    return 0;
  block = (Block){ data, size, data[0] == 'M' };
  exif = read_directory (picture, &block, read32 (&block, 4), &orientation);
  if (exif != 0)
    read_directory (picture, &block, exif, &of_no_picture);
  return orientation;
}

/* --- Writing --- */

static void
put16 (GByteArray *out, guint n)
{
  g_byte_array_append (out, (const guint8[]){ (guint8) (n >> 8), (guint8) n }, 2);
}

static void
put32 (GByteArray *out, guint32 n)
{
  put16 (out, n >> 16);
  put16 (out, n & 0xffff);
}

static void
put_entry (GByteArray *out, guint tag, guint type, guint32 length)
{
  put16 (out, tag);
  put16 (out, type);
  put32 (out, length);
}

/* Two directories follow each other, of one entry and of two; then comes the comment. */
GByteArray *
atl_exif_write (const AtlPicture *picture)
{
  enum
  {
    TYPE_LONG = 4,
    TYPE_UNDEFINED = 7,
    FIRST = 8,
    SECOND = FIRST + 2 + 12 + 4,
    COMMENT = SECOND + 2 + 24 + 4
  };
  const char *text = atl_picture_text (picture, "parameters");
  gsize size = 0;
  g_autofree char *wide =
      text != NULL ? g_convert (text, -1, "UTF-16BE", "UTF-8", NULL, &size, NULL) : NULL;
  GByteArray *out;

  if (wide == NULL || size > ATL_PICTURE_MAX_TEXT)
    return NULL;
  out = g_byte_array_new ();
  g_byte_array_append (out, (const guint8 *) "Exif\0\0MM\0*", 10);
  put32 (out, FIRST);
  put16 (out, 1);
  put_entry (out, TAG_EXIF, TYPE_LONG, 1);
  put32 (out, SECOND);
  put32 (out, 0);
  put16 (out, 2);
  put_entry (out, TAG_VERSION, TYPE_UNDEFINED, 4);
  g_byte_array_append (out, (const guint8 *) "0232", 4);
  put_entry (out, TAG_COMMENT, TYPE_UNDEFINED, (guint32) (CODE_BYTES + size));
  put32 (out, COMMENT);
  put32 (out, 0);
  g_byte_array_append (out, (const guint8 *) "UNICODE\0", CODE_BYTES);
  g_byte_array_append (out, (const guint8 *) wide, (guint) size);
  return out;
}
