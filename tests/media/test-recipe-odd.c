/* Recipes in EXIF blocks, also damaged ones, and very large ones: no harm is done and no time lost.
 * Odd texts are in fuzz/fuzz-recipe.c. */
#include "recipe-samples.h"

/* --- EXIF --- */

static void
put (GByteArray *out, gboolean big, guint bytes, guint32 number)
{
  for (guint i = 0; i < bytes; i++)
    {
      guint8 byte = (guint8) (number >> (8 * (big ? bytes - 1 - i : i)));

      g_byte_array_append (out, &byte, 1);
    }
}

/* A JPEG with an EXIF block whose UserComment is `text` in UTF-16 of either order. */
static GBytes *
jpeg_with_comment (const char *text, gboolean big)
{
  g_autoptr (AtlPicture) picture = atl_picture_new (8, 8);
  g_autoptr (GBytes) plain = atl_picture_encode (picture, ATL_PICTURE_JPEG, 0, NULL);
  g_autoptr (GByteArray) block = g_byte_array_new ();
  GByteArray *out = g_byte_array_new ();
  gsize n_comment, n_plain;
  g_autofree char *comment =
      g_convert (text, -1, big ? "UTF-16BE" : "UTF-16LE", "UTF-8", NULL, &n_comment, NULL);
  const guint8 *data = g_bytes_get_data (plain, &n_plain);

  g_byte_array_append (block, (const guint8 *) "Exif\0\0", 6);
  g_byte_array_append (block, (const guint8 *) (big ? "MM\0*" : "II*\0"), 4);
  put (block, big, 4, 8);
  put (block, big, 2, 1);
  put (block, big, 2, 0x8769);
  put (block, big, 2, 4);
  put (block, big, 4, 1);
  put (block, big, 4, 26);
  put (block, big, 4, 0);
  put (block, big, 2, 1);
  put (block, big, 2, 0x9286);
  put (block, big, 2, 7);
  put (block, big, 4, (guint32) n_comment + 8);
  put (block, big, 4, 44);
  put (block, big, 4, 0);
  g_byte_array_append (block, (const guint8 *) "UNICODE\0", 8);
  g_byte_array_append (block, (const guint8 *) comment, (guint) n_comment);

  g_byte_array_append (out, data, 2);
  put (out, TRUE, 2, 0xffe1);
  put (out, TRUE, 2, block->len + 2);
  g_byte_array_append (out, block->data, block->len);
  g_byte_array_append (out, data + 2, (guint) n_plain - 2);
  return g_byte_array_free_to_bytes (out);
}

static void
test_exif (void)
{
  static const char *const prompts[] = { "a quay at night", "夜の桟橋" };

  for (guint i = 0; i < 4; i++)
    {
      g_autofree char *text = g_strdup_printf (
          "%s\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 11, Size: 8x8", prompts[i / 2]);
      g_autoptr (GBytes) bytes = jpeg_with_comment (text, i % 2);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlPicture) picture = atl_picture_decode (
          g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), 1 << 20, &error);
      g_autoptr (GVariant) recipe = NULL;

      g_assert_no_error (error);
      recipe = atl_recipe_read (picture);
      assert_text (recipe, "prompt", prompts[i / 2]);
      assert_text (recipe, "sampler", "Euler a");
      assert_uint (recipe, "seed", 11);
      /* The block with bytes changed: whatever it says, nothing outside it is read. */
      for (guint j = 0; j < 500; j++)
        {
          gsize size;
          const guint8 *data = g_bytes_get_data (bytes, &size);
          g_autofree guint8 *odd = g_memdup2 (data, size);
          g_autoptr (AtlPicture) damaged = NULL;

          for (guint k = 0; k < 3; k++)
            odd[12 + g_test_rand_int_range (0, 60)] = (guint8) g_test_rand_int_range (0, 256);
          damaged = atl_picture_decode (odd, size, 1 << 20, NULL);
          if (damaged != NULL)
            {
              g_autoptr (GVariant) read = atl_recipe_read (damaged);

              check_readable (read);
            }
        }
    }
}

/* As large as a file may hold, in the shapes that make a careless reader slow. */
static void
test_large (void)
{
  static const char *const pieces[] = { "a,",         "<lora:", "\"",
                                        "{\"a\":",    "x: \"",  "\nNegative prompt:",
                                        "\n",         "x:",     "[1,",
                                        "Steps: 1, ", "\xff" };

  for (gsize i = 0; i < G_N_ELEMENTS (pieces); i++)
    for (guint j = 0; j < 2; j++)
      {
        g_autoptr (GString) text = g_string_new (j == 1 ? "Steps: 1, " : NULL);
        g_autoptr (GVariant) recipe = NULL;
        gint64 start = g_get_monotonic_time ();

        while (text->len < (4u << 20) - 100)
          g_string_append (text, pieces[i]);
        g_string_append (text, ": 5, Seed: 3");
        recipe = atl_recipe_from_text (text->str);
        check_readable (recipe);
        g_test_message ("%s: %.0f ms", pieces[i][0] == '\xff' ? "?" : pieces[i],
                        (g_get_monotonic_time () - start) / 1000.0);
      }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/media/recipe-odd/exif", test_exif);
  g_test_add_func ("/media/recipe-odd/large", test_large);
  return g_test_run ();
}
