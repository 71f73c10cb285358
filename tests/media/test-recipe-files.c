/* Recipes in JPEG and WebP files: those of other programs, in the blocks that each of them writes,
 * and ours, however long. */
#include "recipe-samples.h"

#define MAX_PIXELS (1u << 20)

/* --- Files as other programs write them --- */

static void
put (GByteArray *out, gboolean big, guint bytes, guint32 number)
{
  for (guint i = 0; i < bytes; i++)
    {
      guint8 byte = (guint8) (number >> (8 * (big ? bytes - 1 - i : i)));

      g_byte_array_append (out, &byte, 1);
    }
}

static void
put_entry (GByteArray *out, gboolean big, guint tag, guint type, guint32 length, guint32 value)
{
  put (out, big, 2, tag);
  put (out, big, 2, type);
  put (out, big, 4, length);
  put (out, big, 4, value);
}

/* A TIFF block with one text: in the directory of EXIF, or in the first one. */
static GByteArray *
block_with (guint tag, guint type, gboolean in_first, gboolean big, GBytes *text)
{
  GByteArray *out = g_byte_array_new ();
  gsize size;
  const guint8 *data = g_bytes_get_data (text, &size);

  g_byte_array_append (out, (const guint8 *) (big ? "MM\0*" : "II*\0"), 4);
  put (out, big, 4, 8);
  put (out, big, 2, 1);
  if (!in_first)
    {
      put_entry (out, big, 0x8769, 4, 1, 26);
      put (out, big, 4, 0);
      put (out, big, 2, 1);
    }
  put_entry (out, big, tag, type, (guint32) size, in_first ? 26 : 44);
  put (out, big, 4, 0);
  g_byte_array_append (out, data, (guint) size);
  return out;
}

static GBytes *
encode (AtlPicture *picture, AtlPictureFormat format)
{
  g_autoptr (GError) error = NULL;
  GBytes *bytes = atl_picture_encode (picture, format, 0, &error);

  g_assert_no_error (error);
  return bytes;
}

static GBytes *
jpeg_with (const GByteArray *block)
{
  g_autoptr (AtlPicture) picture = atl_picture_new (8, 8);
  g_autoptr (GBytes) plain = encode (picture, ATL_PICTURE_JPEG);
  GByteArray *out = g_byte_array_new ();
  gsize size;
  const guint8 *data = g_bytes_get_data (plain, &size);

  g_byte_array_append (out, data, 2);
  put (out, TRUE, 2, 0xffe1);
  put (out, TRUE, 2, block->len + 8);
  g_byte_array_append (out, (const guint8 *) "Exif\0\0", 6);
  g_byte_array_append (out, block->data, block->len);
  g_byte_array_append (out, data + 2, (guint) size - 2);
  return g_byte_array_free_to_bytes (out);
}

/* The simple file becomes one of chunks: VP8X says that EXIF is in it. */
static GBytes *
webp_with (const GByteArray *block)
{
  g_autoptr (AtlPicture) picture = atl_picture_new (8, 8);
  g_autoptr (GBytes) plain = encode (picture, ATL_PICTURE_WEBP);
  GByteArray *out = g_byte_array_new ();
  gsize size;
  const guint8 *data = g_bytes_get_data (plain, &size);
  guint padded = block->len + block->len % 2;

  g_byte_array_append (out, (const guint8 *) "RIFF", 4);
  put (out, FALSE, 4, (guint32) (size - 8 + 18 + 8 + padded));
  g_byte_array_append (out, (const guint8 *) "WEBPVP8X", 8);
  put (out, FALSE, 4, 10);
  put (out, FALSE, 4, 8);
  put (out, FALSE, 3, 7);
  put (out, FALSE, 3, 7);
  g_byte_array_append (out, data + 12, (guint) size - 12);
  g_byte_array_append (out, (const guint8 *) "EXIF", 4);
  put (out, FALSE, 4, block->len);
  g_byte_array_append (out, block->data, block->len);
  put (out, FALSE, padded - block->len, 0);
  return g_byte_array_free_to_bytes (out);
}

static AtlPicture *
decode (GBytes *bytes)
{
  g_autoptr (GError) error = NULL;
  AtlPicture *picture = atl_picture_decode (g_bytes_get_data (bytes, NULL),
                                            g_bytes_get_size (bytes), MAX_PIXELS, &error);

  g_assert_no_error (error);
  return picture;
}

/* --- Other programs --- */

static const char a1111[] =
    "a quay at night\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, "
    "Schedule type: Karras, CFG scale: 7, Seed: 11, Size: 64x48, Model: m";
static const char fooocus[] =
    "{\"prompt\": \"a quay at night\", \"negative_prompt\": \"blurry\", \"seed\": \"11\", "
    "\"steps\": 20, \"sampler\": \"euler_ancestral\", \"scheduler\": \"karras\", "
    "\"guidance_scale\": 7.0, \"resolution\": \"(64, 48)\", \"base_model\": \"m\", "
    "\"metadata_scheme\": \"fooocus\", \"version\": \"Fooocus v2.5.0\"}";
static const char swarm[] =
    "{\"sui_image_params\": {\"prompt\": \"a quay at night\", \"negativeprompt\": \"blurry\", "
    "\"model\": \"m\", \"seed\": 11, \"steps\": 20, \"cfgscale\": 7.0, \"width\": 64, "
    "\"height\": 48, \"sampler\": \"euler_ancestral\", \"scheduler\": \"karras\"}}";
static const char comfy[] =
    "prompt:{\"3\": {\"class_type\": \"KSampler\", \"inputs\": {\"seed\": 11, \"steps\": 20, "
    "\"cfg\": 7, \"sampler_name\": \"euler_ancestral\", \"scheduler\": \"karras\", \"denoise\": 1, "
    "\"model\": [\"4\", 0], \"positive\": [\"6\", 0], \"negative\": [\"7\", 0], "
    "\"latent_image\": [\"5\", 0]}}, \"4\": {\"class_type\": \"CheckpointLoaderSimple\", "
    "\"inputs\": {\"ckpt_name\": \"m.safetensors\"}}, \"5\": {\"class_type\": "
    "\"EmptyLatentImage\", "
    "\"inputs\": {\"width\": 64, \"height\": 48, \"batch_size\": 1}}, \"6\": {\"class_type\": "
    "\"CLIPTextEncode\", \"inputs\": {\"text\": \"a quay at night\", \"clip\": [\"4\", 1]}}, "
    "\"7\": {\"class_type\": \"CLIPTextEncode\", \"inputs\": {\"text\": \"blurry\", "
    "\"clip\": [\"4\", 1]}}}";

static const struct
{
  const char *name, *text;
  guint tag, type;
  gboolean in_first, big;
  const char *code,
      *encoding; /* (nullable) in front of the text, and how its letters are written */
} programs[] = {
  { "A1111", a1111, 0x9286, 7, FALSE, TRUE, "UNICODE", "UTF-16BE" },
  { "A1111, little end first", a1111, 0x9286, 7, FALSE, FALSE, "UNICODE", "UTF-16BE" },
  { "Fooocus", fooocus, 0x9286, 2, TRUE, FALSE, NULL, NULL },
  { "Fooocus in A1111's words", a1111, 0x9286, 2, TRUE, FALSE, NULL, NULL },
  { "SwarmUI", swarm, 0x9286, 7, FALSE, FALSE, "UNICODE", "UTF-16LE" },
  { "SwarmUI in ASCII", swarm, 0x9286, 7, FALSE, FALSE, "ASCII\0\0", "UTF-8" },
  { "ComfyUI", comfy, 0x0110, 2, TRUE, FALSE, NULL, NULL },
  { "ComfyUI in Make", comfy, 0x010f, 2, TRUE, TRUE, NULL, NULL },
};

static void
test_programs (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (programs); i++)
    for (guint format = ATL_PICTURE_JPEG; format <= ATL_PICTURE_WEBP; format++)
      {
        const char *encoding = programs[i].encoding != NULL ? programs[i].encoding : "UTF-8";
        gsize n;
        g_autofree char *letters =
            g_convert (programs[i].text, -1, encoding, "UTF-8", NULL, &n, NULL);
        GByteArray *said = g_byte_array_new ();
        g_autoptr (GBytes) text = NULL, file = NULL;
        g_autoptr (GByteArray) block = NULL;
        g_autoptr (AtlPicture) picture = NULL;
        g_autoptr (GVariant) recipe = NULL;

        g_test_message ("%s, format %u", programs[i].name, format);
        if (programs[i].code != NULL)
          g_byte_array_append (said, (const guint8 *) programs[i].code, 8);
        g_byte_array_append (said, (const guint8 *) letters, (guint) n);
        text = g_byte_array_free_to_bytes (said);
        block = block_with (programs[i].tag, programs[i].type, programs[i].in_first,
                            programs[i].big, text);
        file = format == ATL_PICTURE_JPEG ? jpeg_with (block) : webp_with (block);
        picture = decode (file);
        recipe = atl_recipe_read (picture);
        assert_text (recipe, "prompt", "a quay at night");
        assert_text (recipe, "negative_prompt", "blurry");
        assert_text (recipe, "sampler", "Euler a");
        assert_text (recipe, "schedule", "Karras");
        assert_text (recipe, "model", "m");
        assert_uint (recipe, "seed", 11);
        assert_uint (recipe, "steps", 20);
        assert_uint (recipe, "width", 64);
        assert_uint (recipe, "height", 48);
        assert_double (recipe, "guidance", 7);
      }
}

/* --- Ours --- */

/* Other programs find it where they look: without our own words, in A1111's. */
static void
test_for_others (void)
{
  for (guint format = ATL_PICTURE_JPEG; format <= ATL_PICTURE_WEBP; format++)
    {
      g_autoptr (AtlPicture) picture = atl_picture_new (8, 8), back = NULL;
      g_autoptr (GBytes) bytes = NULL;
      g_autoptr (GVariant) recipe = sample (), read = NULL;

      atl_recipe_write (picture, recipe);
      bytes = encode (picture, format);
      back = decode (bytes);
      g_assert_cmpstr (atl_picture_text (back, "UserComment"), ==,
                       atl_picture_text (picture, "parameters"));
      atl_picture_set_text (back, "atelier", NULL);
      atl_picture_set_text (back, "parameters", NULL);
      read = atl_recipe_read (back);
      assert_text (read, "prompt", "ein Fuchs, (rot:1.2) 🦊\nSteps: 3, no");
      assert_uint (read, "steps", 20);
    }
}

/* More than a marker of a JPEG file holds, and keys that are no names. */
static void
test_long (void)
{
  static const char *const keys[] = { "parameters", "atelier", "two words", "_x20_", "9 & <b>" };
  static const guint lengths[] = { 0, 1, 20000, 65400, 65533, 70000, 500000 };

  for (guint format = ATL_PICTURE_PNG; format <= ATL_PICTURE_WEBP; format++)
    for (gsize i = 0; i < G_N_ELEMENTS (lengths); i++)
      {
        g_autoptr (AtlPicture) picture = atl_picture_new (4, 4), back = NULL;
        g_autoptr (GBytes) bytes = NULL;

        for (gsize k = 0; k < G_N_ELEMENTS (keys); k++)
          {
            g_autoptr (GString) text = g_string_new ("<ü & \"🦊\">\n");

            while (text->len < lengths[i])
              g_string_append_printf (text, "%u,", (guint) text->len);
            atl_picture_set_text (picture, keys[k], text->str);
          }
        bytes = encode (picture, format);
        back = decode (bytes);
        for (gsize k = 0; k < G_N_ELEMENTS (keys); k++)
          g_assert_cmpstr (atl_picture_text (back, keys[k]), ==,
                           atl_picture_text (picture, keys[k]));
      }
}

/* Where the pieces of long texts begin in a JPEG file: their markers. */
static GArray *
find_pieces (const guint8 *data, gsize size)
{
  GArray *places = g_array_new (FALSE, FALSE, sizeof (gsize));

  for (gsize at = 2; at + 40 < size && data[at] == 0xff && data[at + 1] != 0xda;
       at += 2 + ((gsize) data[at + 2] << 8) + data[at + 3])
    if (memcmp (data + at + 4, "http://ns.adobe.com/xmp/extension/", 35) == 0)
      g_array_append_val (places, at);
  return places;
}

/* In another order they say the same; with one that is missing or damaged, nothing wrong is said.
 */
static void
test_pieces (void)
{
  g_autoptr (AtlPicture) picture = atl_picture_new (4, 4), turned = NULL, cut = NULL, lied = NULL;
  g_autoptr (GBytes) bytes = NULL, other = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GArray) places = NULL;
  g_autofree guint8 *copy = NULL;
  gsize size, a, b, n_a, n_b;
  const guint8 *data;

  while (text->len < 120000)
    g_string_append_printf (text, "%u,", (guint) text->len);
  atl_picture_set_text (picture, "atelier", text->str);
  bytes = encode (picture, ATL_PICTURE_JPEG);
  data = g_bytes_get_data (bytes, &size);
  places = find_pieces (data, size);
  g_assert_cmpuint (places->len, ==, 2);
  a = g_array_index (places, gsize, 0);
  b = g_array_index (places, gsize, 1);
  n_a = b - a;
  n_b = 2 + ((gsize) data[b + 2] << 8) + data[b + 3];

  copy = g_memdup2 (data, size);
  memcpy (copy + a, data + b, n_b);
  memcpy (copy + a + n_b, data + a, n_a);
  other = g_bytes_new (copy, size);
  turned = decode (other);
  g_assert_cmpstr (atl_picture_text (turned, "atelier"), ==, text->str);

  g_bytes_unref (other);
  memcpy (copy, data, size);
  memmove (copy + b, copy + b + n_b, size - b - n_b);
  other = g_bytes_new (copy, size - n_b);
  cut = decode (other);
  g_assert_null (atl_picture_text (cut, "atelier"));

  /* The second says that it belongs behind the end. */
  g_bytes_unref (other);
  memcpy (copy, data, size);
  memset (copy + b + 4 + 35 + 32 + 4, 0xff, 4);
  other = g_bytes_new (copy, size);
  lied = decode (other);
  g_assert_null (atl_picture_text (lied, "atelier"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/media/recipe-files/programs", test_programs);
  g_test_add_func ("/media/recipe-files/for-others", test_for_others);
  g_test_add_func ("/media/recipe-files/long", test_long);
  g_test_add_func ("/media/recipe-files/pieces", test_pieces);
  return g_test_run ();
}
