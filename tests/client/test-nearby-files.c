/* Parts of pictures' models in the folders that others sort them into. */
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/picture-folder.h"
#include "base/sorted-folder.h"
#include "client/nearby-files.h"
#include "client/open-files.h"

static char *
put (const char *root, const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (root, folder, NULL);
  char *full = g_build_filename (path, name, NULL);

  g_assert_cmpint (g_mkdir_with_parents (path, 0700), ==, 0);
  g_assert_true (g_file_set_contents (full, "x", 1, NULL));
  return full;
}

static void
remove_all (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *full = g_build_filename (path, name, NULL);

      remove_all (full);
    }
  g_remove (path);
}

static void
test_sorted (void)
{
  g_autofree char *root = g_dir_make_tmp ("atelier-nearby-XXXXXX", NULL);
  g_autofree char *denoiser = put (root, "models/diffusion_models", "flux.safetensors");
  g_autofree char *text = put (root, "models/text_encoders", "t5.safetensors");
  g_autofree char *vae = put (root, "models/vae", "ae.safetensors");
  g_autofree char *note = put (root, "models/vae", "readme.txt");
  g_autofree char *other = put (root, "models/checkpoints", "sd.safetensors");
  g_autofree char *gone = g_build_filename (root, "models/vae", "gone.safetensors", NULL);
  g_autofree char *linked = g_build_filename (root, "linked.safetensors", NULL);
  g_autoptr (GPtrArray) files = NULL;
  g_autoptr (GPtrArray) through = NULL;
  g_autoptr (GPtrArray) none = NULL;
  g_autoptr (GPtrArray) denoisers = NULL;
  g_autoptr (GPtrArray) no_denoisers = NULL;

  g_assert_cmpint (symlink ("/nowhere", gone), ==, 0);
  files = atl_nearby_files (denoiser);
  g_assert_cmpuint (files->len, ==, 2);
  g_assert_cmpstr (files->pdata[0], ==, text);
  g_assert_cmpstr (files->pdata[1], ==, vae);
  /* A library's link to it. */
  g_assert_cmpint (symlink (denoiser, linked), ==, 0);
  through = atl_nearby_files (linked);
  g_assert_cmpuint (through->len, ==, 2);
  g_assert_cmpstr (through->pdata[1], ==, vae);
  none = atl_nearby_files (other);
  g_assert_cmpuint (none->len, ==, 0);
  denoisers = atl_nearby_denoisers (root);
  g_assert_cmpuint (denoisers->len, ==, 1);
  g_assert_cmpstr (denoisers->pdata[0], ==, denoiser);
  no_denoisers = atl_nearby_denoisers ("/nowhere");
  g_assert_cmpuint (no_denoisers->len, ==, 0);
  remove_all (root);
}

/* Tiny decoders: beside the model, in the folders that others have for them, and in Atelier's. */
static void
test_tiny (void)
{
  g_autofree char *root = g_dir_make_tmp ("atelier-nearby-XXXXXX", NULL);
  g_autofree char *own = atl_nearby_tiny_dir ();
  g_autofree char *model = put (root, "models/checkpoints/xl", "sd.safetensors");
  g_autofree char *beside = put (root, "models/checkpoints/xl", "taesdxl_decoder.safetensors");
  g_autofree char *comfy = put (root, "models/vae_approx", "taesd_decoder.pth");
  g_autofree char *encoder = put (root, "models/vae_approx", "taesd_encoder.pth");
  g_autofree char *light = put (root, "models/vae_approx", "lighttaew2_1.safetensors");
  g_autofree char *other = put (root, "models/VAE-approx", "model.pt");
  g_autofree char *given = put (own, "", "taef1_decoder.safetensors");
  g_autofree char *folder = g_path_get_dirname (model);
  const char *paths[] = { model, folder };

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autoptr (GPtrArray) files = atl_nearby_files (paths[i]);
      const char *const expected[] = { beside, light, comfy, given };
      guint found = 0;

      g_assert_cmpuint (files->len, ==, G_N_ELEMENTS (expected));
      for (guint k = 0; k < files->len; k++)
        for (gsize e = 0; e < G_N_ELEMENTS (expected); e++)
          found += g_str_equal (files->pdata[k], expected[e]);
      g_assert_cmpuint (found, ==, G_N_ELEMENTS (expected));
    }
  remove_all (root);
}

/* What a folder's files are told the engine as: "NAME NAME…", sorted. */
static char *
told (const char *folder)
{
  g_autoptr (GPtrArray) names = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GUnixFDList) fds =
      atl_open_model_files ((const char *const[]){ folder, NULL }, &names, &error);

  g_assert_no_error (error);
  g_ptr_array_sort (names, atl_sorted_compare);
  g_ptr_array_add (names, NULL);
  return g_strjoinv (" ", (char **) names->pdata);
}

/* A folder of diffusers without its index; and a lone denoiser with its parts beside it, loose and
 * in folders. */
static void
test_folders (void)
{
  g_autofree char *root = g_dir_make_tmp ("atelier-folders-XXXXXX", NULL);
  g_autofree char *whole = g_build_filename (root, "whole.2509", NULL);
  g_autofree char *lone = g_build_filename (root, "lone", NULL);
  g_autofree char *loose = g_build_filename (root, "loose", NULL);
  char *files[] = {
    put (whole, "unet", "config.json"),         put (whole, "unet", "model.safetensors"),
    put (whole, "vae", "model.safetensors"),    put (lone, "", "flux.gguf"),
    put (lone, "", "ae.safetensors"),           put (lone, "tokenizer", "vocab.json"),
    put (lone, "text_encoders", "t5.gguf"),     put (lone, "vae", "config.json"),
    put (lone, "vae", "model.safetensors"),     put (loose, "", "flux.safetensors"),
    put (loose, "tokenizer_2", "spiece.model"), NULL,
  };
  g_autofree char *of_whole = NULL, *of_lone = NULL, *of_loose = NULL;

  g_assert_true (atl_picture_folder_check (whole));
  g_assert_false (atl_picture_folder_has_index (whole));
  g_assert_false (atl_picture_folder_check (lone));
  of_whole = told (whole);
  of_lone = told (lone);
  of_loose = told (loose);
  g_assert_cmpstr (of_whole, ==,
                   "unet/config.json unet/whole-2509_model.safetensors vae/model.safetensors");
  g_assert_cmpstr (of_lone, ==,
                   "flux.gguf nearby/ae.safetensors tokenizer/vocab.json vae/config.json "
                   "vae/model.safetensors");
  g_assert_cmpstr (of_loose, ==, "loose/flux.safetensors tokenizer_2/spiece.model");
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    g_free (g_steal_pointer (&files[i]));
  remove_all (root);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, G_TEST_OPTION_ISOLATE_DIRS, NULL);
  g_test_add_func ("/client/nearby-files/sorted", test_sorted);
  g_test_add_func ("/client/nearby-files/tiny", test_tiny);
  g_test_add_func ("/client/nearby-files/folders", test_folders);
  return g_test_run ();
}
