/* Parts of pictures' models in the folders that others sort them into. */
#include <glib/gstdio.h>
#include <unistd.h>

#include "client/nearby-files.h"

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
  g_autoptr (GPtrArray) files = NULL;
  g_autoptr (GPtrArray) none = NULL;
  g_autoptr (GPtrArray) denoisers = NULL;
  g_autoptr (GPtrArray) no_denoisers = NULL;

  g_assert_cmpint (symlink ("/nowhere", gone), ==, 0);
  files = atl_nearby_files (denoiser);
  g_assert_cmpuint (files->len, ==, 2);
  g_assert_cmpstr (files->pdata[0], ==, text);
  g_assert_cmpstr (files->pdata[1], ==, vae);
  none = atl_nearby_files (other);
  g_assert_cmpuint (none->len, ==, 0);
  denoisers = atl_nearby_denoisers (root);
  g_assert_cmpuint (denoisers->len, ==, 1);
  g_assert_cmpstr (denoisers->pdata[0], ==, denoiser);
  no_denoisers = atl_nearby_denoisers ("/nowhere");
  g_assert_cmpuint (no_denoisers->len, ==, 0);
  remove_all (root);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/client/nearby-files/sorted", test_sorted);
  return g_test_run ();
}
