/* Any bytes as a picture of somebody else: refused in words, or pixels with texts, of which a
 * recipe may come. Each input is read as it is, and as the PNG that it would be if the sums in it
 * were right: hardly a change gets past those. */
#include <string.h>

#include "fuzz.h"
#include "media/recipe.h"

#define MAX_PIXELS (4u * 1024)

static const guint8 png_start[8] = "\x89PNG\r\n\x1a\n";

static const AtlFuzzBytes seeds[] = {
  /* A colour table with transparency, sixteen bits of grey interlaced; their pixels end early. */
  ATL_FUZZ_BYTES ("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x4\0\0\0\x4\x2\x3\0\0\0\0\0\0\0\0\0\0\x6PLTE"
                  "abcdef\0\0\0\0\0\0\0\x2tRNS\x1\x80\0\0\0\0\0\0\0\0IDAT\0\0\0\0"
                  "\0\0\0\0IEND\0\0\0\0"),
  ATL_FUZZ_BYTES ("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x8\0\0\0\x8\x10\0\0\0\1\0\0\0\0"
                  "\0\0\0\x9tEXta\0prompt1\0\0\0\0\0\0\0\0IDAT\0\0\0\0\0\0\0\0IEND\0\0\0\0"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("IHDR"),
  ATL_FUZZ_BYTES ("PLTE"),
  ATL_FUZZ_BYTES ("tRNS"),
  ATL_FUZZ_BYTES ("\0\0\0\x6tEXtab\0x: "),
  ATL_FUZZ_BYTES ("zTXtparameters\0\0\x78\x9c"),
  ATL_FUZZ_BYTES ("iTXtatelier\0\1\0\0\0\x78\x9c"),
  ATL_FUZZ_BYTES ("Exif\0\0MM\0*\0\0\0\x8\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x1a"),
  ATL_FUZZ_BYTES ("Exif\0\0II*\0\x8\0\0\0"),
  ATL_FUZZ_BYTES ("UNICODE\0"),
  ATL_FUZZ_BYTES ("\xff\xe1"),
  ATL_FUZZ_BYTES ("\xff\xc0"),
  ATL_FUZZ_BYTES ("\xff\xda"),
  ATL_FUZZ_BYTES ("http://ns.adobe.com/xap/1.0/\0"),
  ATL_FUZZ_BYTES ("http://ns.adobe.com/xmp/extension/\0"),
  ATL_FUZZ_BYTES ("VP8X"),
  ATL_FUZZ_BYTES ("VP8L"),
  ATL_FUZZ_BYTES ("EXIF"),
  ATL_FUZZ_BYTES ("XMP "),
  ATL_FUZZ_BYTES ("ANMF"),
  { NULL, 0 },
};

static void
add_seeds (GPtrArray *list)
{
  for (guint format = 0; format < 3; format++)
    {
      g_autoptr (AtlPicture) picture = atl_picture_new (9, 7);
      g_autoptr (GError) error = NULL;
      GBytes *bytes;

      for (guint i = 0; i < 9 * 7 * 3; i++)
        picture->rgb[i] = (guint8) (i * 37);
      atl_picture_set_text (picture, "parameters",
                            "a fox <lora:ink:0.8>\nNegative prompt: x\nSteps: 20, Size: 9x7");
      atl_picture_set_text (picture, "atelier", "{\"prompt\": \"ein Füchslein\", \"steps\": 20}");
      bytes = atl_picture_encode (picture, format, 80, &error);
      g_assert_no_error (error);
      g_ptr_array_add (list, bytes);
    }
}

const AtlFuzzTarget atl_fuzz_target = { "picture", NULL, NULL, seeds, words, add_seeds };

static void
read_picture (const guint8 *data, gsize size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPicture) picture = atl_picture_decode (data, size, MAX_PIXELS, &error);
  g_autoptr (GVariant) recipe = NULL;
  GHashTableIter iter;
  gpointer key, text;
  guint64 sum = 0;

  g_assert_true ((picture == NULL) == (error != NULL));
  if (picture == NULL)
    {
      g_assert_true (error->domain == ATL_ERROR && g_utf8_validate (error->message, -1, NULL));
      return;
    }
  g_assert_cmpuint ((guint64) picture->width * picture->height, <=, MAX_PIXELS);
  for (gsize i = 0; i < (gsize) picture->width * picture->height * 3; i++)
    sum += picture->rgb[i];
  g_assert_cmpuint (sum, <=, (guint64) MAX_PIXELS * 3 * 255);
  g_hash_table_iter_init (&iter, picture->texts);
  while (g_hash_table_iter_next (&iter, &key, &text))
    g_assert_true (g_utf8_validate (key, -1, NULL) && g_utf8_validate (text, -1, NULL));
  recipe = atl_recipe_read (picture);
  g_assert_true (recipe == NULL || g_variant_is_of_type (recipe, G_VARIANT_TYPE_VARDICT));
}

/* --- PNG's sums --- */

static guint32
read_big (const guint8 *at)
{
  return (guint32) at[0] << 24 | (guint32) at[1] << 16 | (guint32) at[2] << 8 | at[3];
}

/* CRC-32 of ISO 3309, as PNG has it. */
static guint32
crc_of (const guint8 *data, gsize size)
{
  guint32 crc = 0xffffffff;

  for (gsize i = 0; i < size; i++)
    {
      crc ^= data[i];
      for (guint k = 0; k < 8; k++)
        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
  return ~crc;
}

/* Whether a chunk ends behind the end: libpng clears up to 8 MB for it before it finds out, which
 * takes a hundred times as long as any other input. */
static gboolean
claims_more (const guint8 *data, gsize size)
{
  gsize at = sizeof png_start;

  while (size - at >= 12 && read_big (data + at) <= size - at - 12)
    at += 12 + (gsize) read_big (data + at);
  return size - at >= 8 && memcmp (data + at + 4, "IDAT", 4) != 0;
}

/* FALSE when they were right. */
static gboolean
make_sums_right (guint8 *data, gsize size)
{
  gboolean is_changed = FALSE;
  gsize at = sizeof png_start;

  while (size - at >= 12 && read_big (data + at) <= size - at - 12)
    {
      guint8 *end = data + at + 8 + read_big (data + at);
      guint32 crc = GUINT32_TO_BE (crc_of (data + at + 4, (gsize) (end - data) - at - 4));

      is_changed |= memcmp (end, &crc, 4) != 0;
      memcpy (end, &crc, 4);
      at = (gsize) (end - data) + 4;
    }
  return is_changed;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  gboolean is_png = size > sizeof png_start && memcmp (data, png_start, sizeof png_start) == 0;

  /* One in 32 of them. */
  if (is_png && claims_more (data, size) && size % 32 != 0)
    return 0;
  read_picture (data, size);
  if (is_png)
    {
      g_autofree guint8 *right = g_memdup2 (data, size);

      if (make_sums_right (right, size))
        read_picture (right, size);
    }
  return 0;
}
