/* Models of several files in the library: parts that they share or have alone, pairs of files, and
 * parts that a person brings. */
#include "library-steps.h"

#include "hub/given-part.h"

/* A denoiser and its parts in folders beside it are one model; parts are shared, never overwritten,
 * and stay when one of the models goes. */
static void
test_parts (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *flux = NULL, *dev = NULL, *a = NULL, *b = NULL, *ae = NULL, *other = NULL;
  g_autofree char *text = NULL, *vaes = NULL;

  set_up ();
  flux = put ("comfy/models/diffusion_models/flux.safetensors", "denoiser");
  g_free (put ("comfy/models/text_encoders/t5.safetensors", "t5"));
  g_free (put ("comfy/models/vae/ae.safetensors", "ae"));
  expect_scan (home, "flux 8 1/1");
  a = add (flux, ATL_ADD_COPY, NULL, &error);
  g_assert_no_error (error);
  expect_scan (atl_library_dir (), "flux 8 1/1");
  /* Another one of the same parts, and one whose part only has the same name. */
  dev = put ("comfy/models/diffusion_models/dev.safetensors", "other");
  b = add (dev, ATL_ADD_COPY, NULL, &error);
  g_assert_no_error (error);
  other = put ("more/unet/third.gguf", "third");
  g_free (put ("more/vae/ae.safetensors", "AE"));
  g_free (add (other, ATL_ADD_COPY, NULL, &error));
  g_assert_no_error (error);
  expect_scan (atl_library_dir (), "dev 5 1/1\nflux 8 1/1\nthird 5 1/1");
  ae = g_build_filename (atl_library_dir (), "vae", NULL);
  vaes = list_folder (ae);
  g_assert_cmpstr (vaes, ==, "ae (2).safetensors ae.safetensors");
  g_assert_true (atl_library_remove (a, &error));
  expect_scan (atl_library_dir (), "dev 5 1/1\nthird 5 1/1");
  g_free (vaes);
  vaes = list_folder (ae);
  g_assert_cmpstr (vaes, ==, "ae (2).safetensors ae.safetensors");
  g_assert_true (g_file_get_contents (flux, &text, NULL, NULL));
  g_assert_true (atl_library_restore (a, &error));
  expect_scan (atl_library_dir (), "dev 5 1/1\nflux 8 1/1\nthird 5 1/1");
}

/* What was there for a model alone goes with it, and comes back with it. */
static void
test_parts_go (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) gone = NULL, fetched_gone = NULL;
  g_autofree char *flux = NULL, *dev = NULL, *a = NULL, *b = NULL, *ae = NULL, *mine = NULL;
  g_autofree char *fetched = g_build_filename (g_get_user_data_dir (), "atelier/parts/of/x", NULL);
  g_autofree char *own = NULL, *shared = NULL, *own_link = NULL, *shared_link = NULL;
  g_autofree char *other_link = NULL;

  set_up ();
  flux = put ("comfy/models/diffusion_models/flux.safetensors", "denoiser");
  mine = put ("comfy/models/vae/ae.safetensors", "ae");
  a = add (flux, ATL_ADD_COPY, NULL, &error);
  dev = put ("comfy/models/diffusion_models/dev.safetensors", "other");
  b = add (dev, ATL_ADD_COPY, NULL, &error);
  g_assert_no_error (error);
  ae = g_build_filename (atl_library_dir (), "vae", "ae.safetensors", NULL);
  /* One that still needs them is left. */
  g_assert_true (atl_library_remove (a, &error));
  gone = atl_library_remove_parts (NULL);
  g_assert_cmpuint (gone->len, ==, 0);
  g_assert_true (g_file_test (ae, G_FILE_TEST_EXISTS));
  g_ptr_array_unref (gone);
  g_assert_true (atl_library_remove (b, &error));
  gone = atl_library_remove_parts (NULL);
  g_assert_cmpuint (gone->len, ==, 1);
  g_assert_false (g_file_test (ae, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (mine, G_FILE_TEST_EXISTS));
  g_assert_true (atl_library_restore (b, &error));
  atl_library_restore_parts (gone);
  g_assert_true (g_file_test (ae, G_FILE_TEST_EXISTS));

  /* Fetched ones are in the store as well: only what no other model has goes from there. */
  own = g_build_filename (g_get_user_data_dir (), "atelier/parts/files/r/own", NULL);
  shared = g_build_filename (g_get_user_data_dir (), "atelier/parts/files/r/shared", NULL);
  own_link = g_build_filename (fetched, "vae", "own", NULL);
  shared_link = g_build_filename (fetched, "vae", "shared", NULL);
  other_link = g_build_filename (g_get_user_data_dir (), "atelier/parts/of/y/vae/shared", NULL);
  for (guint i = 0; i < 3; i++)
    {
      const char *links[] = { own_link, shared_link, other_link };
      const char *stored = i == 0 ? own : shared;
      g_autofree char *folder = g_path_get_dirname (links[i]), *store = g_path_get_dirname (stored);

      g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
      g_assert_cmpint (g_mkdir_with_parents (store, 0755), ==, 0);
      if (i < 2)
        g_assert_true (g_file_set_contents (stored, stored, -1, NULL));
      g_assert_cmpint (link (stored, links[i]), ==, 0);
    }
  fetched_gone = atl_library_remove_parts (fetched);
  g_assert_cmpuint (fetched_gone->len, ==, 2);
  g_assert_false (g_file_test (own, G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (fetched, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (shared, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (other_link, G_FILE_TEST_EXISTS));
  atl_library_restore_parts (fetched_gone);
  g_assert_true (g_file_test (own, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (own_link, G_FILE_TEST_EXISTS));
}

/* A description and its weights are one model, in a folder of their own. */
static void
test_pair (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_build_filename (home, "ncnn", NULL);
  g_autofree char *param = NULL, *copy = NULL, *linked = NULL, *names = NULL, *again = NULL;

  set_up ();
  param = put ("ncnn/x2.param", "graph");
  put_quietly ("ncnn/x2.bin", "weights");
  put_quietly ("ncnn/x4.param", "graph");
  put_quietly ("ncnn/x4.bin", "weights");
  put_quietly ("ncnn/alone.param", "graph");
  expect_scan (folder, "x2 12 2/2\nx4 12 2/2");
  expect_scan (param, "x2 12 2/2");
  linked = add (param, ATL_ADD_REFERENCE, NULL, &error);
  g_assert_no_error (error);
  names = list_folder (linked);
  g_assert_cmpstr (names, ==, "x2.bin x2.param");
  again = atl_library_find (param);
  g_assert_cmpstr (again, ==, linked);
  copy = add (param, ATL_ADD_COPY, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_suffix (copy, "/x2 (2)"));
  expect_scan (atl_library_dir (), "x2 12 2/2\nx2 (2) 12 2/2");
  g_assert_true (atl_library_remove (copy, &error));
  g_assert_true (atl_library_remove (linked, &error));
  expect_scan (folder, "x2 12 2/2\nx4 12 2/2");
}

typedef struct
{
  char *path;
  GError *error;
  gboolean is_over;
} Given;

static void
given_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Given *given = data;

  given->path = atl_given_part_take_finish (result, &given->error);
  given->is_over = TRUE;
}

static char *
give (const char *path, const char *folder, AtlGivenMode mode)
{
  Given given = { 0 };

  atl_given_part_take_async (path, folder, "vae/ae.safetensors", mode, NULL, given_cb, &given);
  while (!given.is_over)
    g_main_context_iteration (NULL, TRUE);
  g_assert_no_error (given.error);
  return given.path;
}

/* A person's own part: never over another, and not twice. */
static void
test_given (void)
{
  static const AtlGivenMode modes[] = { ATL_GIVEN_COPY, ATL_GIVEN_LINK };

  for (gsize i = 0; i < G_N_ELEMENTS (modes); i++)
    {
      g_autofree char *folder = g_build_filename (home, "parts", NULL);
      g_autofree char *one = NULL, *other = NULL, *a = NULL, *b = NULL, *again = NULL;
      g_autofree char *text = NULL;

      set_up ();
      one = put ("one/ae.safetensors", "one");
      other = put ("other/ae.safetensors", "two");
      a = give (one, folder, modes[i]);
      g_assert_true (g_str_has_suffix (a, "/parts/vae/ae.safetensors"));
      b = give (other, folder, modes[i]);
      g_assert_true (g_str_has_suffix (b, "/parts/vae/ae (2).safetensors"));
      again = give (other, folder, modes[i]);
      g_assert_cmpstr (again, ==, b);
      g_assert_cmpint (g_unlink (one), ==, 0);
      g_assert_true (g_file_get_contents (a, &text, NULL, NULL));
      g_assert_cmpstr (text, ==, "one");
    }
}

int
main (int argc, char **argv)
{
  int status;

  library_home_init (&argc, &argv);
  g_test_add_func ("/hub/library-parts/shared", test_parts);
  g_test_add_func ("/hub/library-parts/gone", test_parts_go);
  g_test_add_func ("/hub/library-parts/pair", test_pair);
  g_test_add_func ("/hub/library-parts/given", test_given);
  status = g_test_run ();
  library_home_clear ();
  return status;
}
