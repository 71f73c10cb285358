/* A camera that is held on its side writes the rows as they come and says so in EXIF: all eight
 * ways are set upright in each format, in either order of bytes, and what is damaged turns nothing.
 */
#include <string.h>

#include <webp/mux.h>
#include <zlib.h>

#include "media/picture.h"

#define MAX_PIXELS (1u << 20)
#define BLOCK 16u
#define SHORT 3u
#define LONG 4u
#define ORIENTATION 0x0112u
#define EXIF 0x8769u

/* Squares of six colours, "ABC" over "DEF". */
static const guint8 colors[6][3] = { { 250, 10, 10 },   { 10, 250, 10 },   { 10, 10, 250 },
                                     { 245, 245, 245 }, { 128, 128, 128 }, { 5, 5, 5 } };

static AtlPicture *
sample (void)
{
  AtlPicture *picture = atl_picture_new (3 * BLOCK, 2 * BLOCK);

  for (guint y = 0; y < picture->height; y++)
    for (guint x = 0; x < picture->width; x++)
      memcpy (picture->rgb + (y * picture->width + x) * 3, colors[y / BLOCK * 3 + x / BLOCK], 3);
  return picture;
}

/* Which square has the colour of the middle of that one. */
static char
letter_at (const AtlPicture *picture, guint column, guint row)
{
  const guint8 *rgb =
      picture->rgb + ((row * BLOCK + BLOCK / 2) * picture->width + column * BLOCK + BLOCK / 2) * 3;

  for (guint i = 0; i < 6; i++)
    {
      int off = 0;

      for (guint c = 0; c < 3; c++)
        off = MAX (off, ABS ((int) rgb[c] - (int) colors[i][c]));
      if (off < 40)
        return (char) ('A' + i);
    }
  return '?';
}

/* "ABC/DEF". */
static char *
letters (const AtlPicture *picture)
{
  GString *out = g_string_new (NULL);

  g_assert_cmpuint (picture->width % BLOCK + picture->height % BLOCK, ==, 0);
  for (guint row = 0; row < picture->height / BLOCK; row++)
    {
      if (row > 0)
        g_string_append_c (out, '/');
      for (guint column = 0; column < picture->width / BLOCK; column++)
        g_string_append_c (out, letter_at (picture, column, row));
    }
  return g_string_free (out, FALSE);
}

/* --- EXIF --- */

static void
put (GByteArray *out, gboolean is_big, guint bytes, guint32 number)
{
  for (guint i = 0; i < bytes; i++)
    {
      guint8 byte = (guint8) (number >> (8 * (is_big ? bytes - 1 - i : i)));

      g_byte_array_append (out, &byte, 1);
    }
}

static void
put_entry (GByteArray *out, gboolean is_big, guint tag, guint type, guint32 count, guint32 value)
{
  put (out, is_big, 2, tag);
  put (out, is_big, 2, type);
  put (out, is_big, 4, count);
  /* What is shorter than four bytes stands in the first of them. */
  put (out, is_big, type == SHORT ? 2 : 4, value);
  if (type == SHORT)
    put (out, is_big, 2, 0);
}

/* A block, without "Exif" in front, of one directory at `at` that says to have `n` entries and has
 * one, which leads to no other. */
static GByteArray *
block (gboolean is_big, guint32 at, guint n, guint tag, guint type, guint32 count, guint32 value)
{
  GByteArray *out = g_byte_array_new ();

  g_byte_array_append (out, (const guint8 *) (is_big ? "MM\0*" : "II*\0"), 4);
  put (out, is_big, 4, at);
  put (out, is_big, 2, n);
  put_entry (out, is_big, tag, type, count, value);
  put (out, is_big, 4, 0);
  return out;
}

/* --- Files that hold one --- */

static GByteArray *
png_with (const guint8 *data, gsize size, const GByteArray *exif)
{
  GByteArray *out = g_byte_array_new ();
  guint start;

  /* Behind IHDR. */
  g_byte_array_append (out, data, 33);
  put (out, TRUE, 4, exif->len);
  start = out->len;
  g_byte_array_append (out, (const guint8 *) "eXIf", 4);
  g_byte_array_append (out, exif->data, exif->len);
  put (out, TRUE, 4, (guint32) crc32 (0, out->data + start, out->len - start));
  g_byte_array_append (out, data + 33, (guint) size - 33);
  return out;
}

static GByteArray *
jpeg_with (const guint8 *data, gsize size, const GByteArray *exif)
{
  GByteArray *out = g_byte_array_new ();

  g_byte_array_append (out, data, 2);
  put (out, TRUE, 2, 0xffe1);
  put (out, TRUE, 2, exif->len + 8);
  g_byte_array_append (out, (const guint8 *) "Exif\0\0", 6);
  g_byte_array_append (out, exif->data, exif->len);
  g_byte_array_append (out, data + 2, (guint) size - 2);
  return out;
}

static GByteArray *
webp_with (const guint8 *data, gsize size, const GByteArray *exif)
{
  WebPMux *mux = WebPMuxCreate (&(WebPData){ data, size }, 0);
  GByteArray *out = g_byte_array_new ();
  WebPData whole = { 0 };

  g_assert_cmpint (WebPMuxSetChunk (mux, "EXIF", &(WebPData){ exif->data, exif->len }, 0), ==,
                   WEBP_MUX_OK);
  g_assert_cmpint (WebPMuxAssemble (mux, &whole), ==, WEBP_MUX_OK);
  g_byte_array_append (out, whole.bytes, (guint) whole.size);
  WebPDataClear (&whole);
  WebPMuxDelete (mux);
  return out;
}

/* The sample with that block, as it is read. */
static AtlPicture *
read_with (AtlPictureFormat format, const GByteArray *exif)
{
  static GByteArray *(*const with[]) (const guint8 *, gsize,
                                      const GByteArray *) = { png_with, jpeg_with, webp_with };
  g_autoptr (AtlPicture) picture = sample ();
  g_autoptr (GBytes) plain = atl_picture_encode (picture, format, 95, NULL);
  gsize size;
  const guint8 *data = g_bytes_get_data (plain, &size);
  g_autoptr (GByteArray) file = with[format](data, size, exif);
  g_autoptr (GError) error = NULL;
  AtlPicture *got = atl_picture_decode (file->data, file->len, MAX_PIXELS, &error);

  g_assert_no_error (error);
  return got;
}

static void
assert_reads (AtlPictureFormat format, const GByteArray *exif, const char *expected)
{
  g_autoptr (AtlPicture) got = read_with (format, exif);
  g_autofree char *found = letters (got);

  g_assert_cmpstr (found, ==, expected);
}

/* --- Tests --- */

static void
test_upright (void)
{
  static const char *const upright[] = { "ABC/DEF",  "CBA/FED",  "FED/CBA",  "DEF/ABC",
                                         "AD/BE/CF", "DA/EB/FC", "FC/EB/DA", "CF/BE/AD" };

  for (guint format = ATL_PICTURE_PNG; format <= ATL_PICTURE_WEBP; format++)
    for (guint i = 0; i < G_N_ELEMENTS (upright); i++)
      for (guint big = 0; big < 2; big++)
        {
          g_autoptr (GByteArray) exif = block (big, 8, 1, ORIENTATION, SHORT, 1, i + 1);

          assert_reads (format, exif, upright[i]);
        }
}

/* What is written anew is upright as it stands. */
static void
test_written (void)
{
  g_autoptr (GByteArray) exif = block (TRUE, 8, 1, ORIENTATION, SHORT, 1, 6);

  for (guint format = ATL_PICTURE_PNG; format <= ATL_PICTURE_WEBP; format++)
    {
      g_autoptr (AtlPicture) got = read_with (format, exif);
      g_autoptr (GBytes) bytes = NULL;
      g_autoptr (AtlPicture) again = NULL;
      g_autofree char *found = NULL;

      atl_picture_set_text (got, "parameters", "a quay at night");
      bytes = atl_picture_encode (got, format, 95, NULL);
      again = atl_picture_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes),
                                  MAX_PIXELS, NULL);
      found = letters (again);
      g_assert_cmpstr (found, ==, "DA/EB/FC");
    }
}

/* Nothing that is no orientation turns a picture. */
static void
test_wrong (void)
{
  static const struct
  {
    guint32 at;
    guint n, tag, type;
    guint32 count, value;
  } wrong[] = { { 8, 1, ORIENTATION, SHORT, 1, 0 },
                { 8, 1, ORIENTATION, SHORT, 1, 9 },
                { 8, 1, ORIENTATION, SHORT, 1, 0xffff },
                { 8, 1, ORIENTATION, SHORT, 0, 6 },
                { 8, 1, ORIENTATION, SHORT, 2, 6 },
                { 8, 1, ORIENTATION, SHORT, 0xffffffff, 6 },
                { 8, 1, ORIENTATION, LONG, 1, 6 },
                { 8, 0, ORIENTATION, SHORT, 1, 6 },
                { 0, 1, ORIENTATION, SHORT, 1, 6 },
                { 25, 1, ORIENTATION, SHORT, 1, 6 },
                { 0xffffffff, 1, ORIENTATION, SHORT, 1, 6 },
                /* Directories that lead to themselves, and out of the block. */
                { 8, 1, EXIF, LONG, 1, 8 },
                { 8, 1, EXIF, LONG, 1, 0xfffffff0 } };

  for (guint format = ATL_PICTURE_PNG; format <= ATL_PICTURE_WEBP; format++)
    for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
      for (guint big = 0; big < 2; big++)
        {
          g_autoptr (GByteArray) exif = block (big, wrong[i].at, wrong[i].n, wrong[i].tag,
                                               wrong[i].type, wrong[i].count, wrong[i].value);

          assert_reads (format, exif, "ABC/DEF");
        }
}

/* More entries than there are, and a block that ends anywhere: as far as it goes. */
static void
test_short (void)
{
  g_autoptr (GByteArray) many = block (TRUE, 8, 0xffff, ORIENTATION, SHORT, 1, 3);
  const guint whole = 8 + 2 + 12;

  assert_reads (ATL_PICTURE_PNG, many, "FED/CBA");
  for (guint n = 1; n < many->len; n++)
    {
      g_autoptr (GByteArray) cut = g_byte_array_new ();

      g_byte_array_append (cut, many->data, n);
      assert_reads (ATL_PICTURE_PNG, cut, n < whole ? "ABC/DEF" : "FED/CBA");
    }
}

/* The second directory is of how it was taken; the first says how it lies. */
static void
test_second_directory (void)
{
  g_autoptr (GByteArray) exif = block (FALSE, 8, 1, EXIF, LONG, 1, 26);

  put (exif, FALSE, 2, 1);
  put_entry (exif, FALSE, ORIENTATION, SHORT, 1, 6);
  put (exif, FALSE, 4, 0);
  assert_reads (ATL_PICTURE_JPEG, exif, "ABC/DEF");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/media/orientation/upright", test_upright);
  g_test_add_func ("/media/orientation/written", test_written);
  g_test_add_func ("/media/orientation/wrong", test_wrong);
  g_test_add_func ("/media/orientation/short", test_short);
  g_test_add_func ("/media/orientation/second-directory", test_second_directory);
  return g_test_run ();
}
