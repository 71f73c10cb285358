/* The library of model files: listing, adding, removing, and other applications' models. Runs with
 * a home folder of its own. */
#include "library-steps.h"

#include "hub/checksums.h"
#include "hub/model-name.h"

static void
test_names (void)
{
  static const struct
  {
    const char *name, *stem;
    guint shard, n_shards;
  } cases[] = {
    { "a.gguf", "a", 0, 0 },
    { "A.GGUF", "A", 0, 0 },
    { "a-00001-of-00003.gguf", "a", 1, 3 },
    { "a-00003-of-00003.safetensors", "a", 3, 3 },
    { "a-00004-of-00003.gguf", "a-00004-of-00003", 0, 0 },
    { "a-00000-of-00003.gguf", "a-00000-of-00003", 0, 0 },
    { "-00001-of-00003.gguf", "-00001-of-00003", 0, 0 },
    { "a-1-of-3.gguf", "a-1-of-3", 0, 0 },
    { ".a.gguf", NULL, 0, 0 },
    { "a.gguf.part", NULL, 0, 0 },
    { ".gguf", NULL, 0, 0 },
    { "a.bin", NULL, 0, 0 },
    { "", NULL, 0, 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (AtlModelName) name = { 0 };

      g_assert_true (atl_model_name_parse (cases[i].name, &name) == (cases[i].stem != NULL));
      if (cases[i].stem == NULL)
        continue;
      g_assert_cmpstr (name.stem, ==, cases[i].stem);
      g_assert_cmpuint (name.shard, ==, cases[i].shard);
      g_assert_cmpuint (name.n_shards, ==, cases[i].n_shards);
    }
}

static void
test_scan (void)
{
  g_autofree char *folder = g_build_filename (home, "some", NULL);
  g_autofree char *deep = NULL, *loop = NULL, *dead = NULL, *one = NULL;

  set_up ();
  put_quietly ("some/b.gguf", "bb");
  put_quietly ("some/A.safetensors", "a");
  put_quietly ("some/big-00002-of-00003.gguf", "22");
  put_quietly ("some/big-00001-of-00003.gguf", "1");
  put_quietly ("some/mine/model.safetensors", "xyz");
  put_quietly ("some/empty.gguf", "");
  put_quietly ("some/.hidden.gguf", "x");
  put_quietly ("some/.fetching/x.gguf", "x");
  put_quietly ("some/b.gguf.part", "x");
  put_quietly ("some/readme.txt", "x");
  put_quietly ("some/1/2/3/4/5/6/ok.gguf", "x");
  put_quietly ("some/1/2/3/4/5/6/7/too-deep.gguf", "x");
  deep = g_build_filename (folder, "circle", NULL);
  g_assert_cmpint (symlink (folder, deep), ==, 0);
  dead = g_build_filename (folder, "dead.gguf", NULL);
  g_assert_cmpint (symlink ("/nowhere/at/all", dead), ==, 0);
  expect_scan (folder, "A 1 1/1\nb 2 1/1\nbig 3 2/3\nmine 3 1/1\nok 1 1/1");
  one = g_build_filename (folder, "big-00002-of-00003.gguf", NULL);
  expect_scan (one, "big 3 2/3");
  expect_scan ("/nowhere/at/all", "");
  {
    g_autoptr (GError) error = NULL;
    g_auto (GStrv) files = atl_library_model_files (one, &error);

    g_assert_null (files);
    g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
    g_assert_nonnull (strstr (error->message, "Part 3 of 3"));
  }
  {
    g_autoptr (GError) error = NULL;
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();

    g_cancellable_cancel (cancellable);
    g_assert_null (atl_library_scan (folder, cancellable, &error));
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  }
}

static void
test_copy (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *source = NULL, *first = NULL, *second = NULL, *expected = NULL;
  g_autoptr (AtlChecksum) noted = NULL;
  g_autofree char *text = NULL, *again = NULL, *names = NULL;

  set_up ();
  source = put ("some/a.gguf", "the model");
  first = add (source, ATL_ADD_COPY, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (first, atl_library_dir ()));
  expected = g_compute_checksum_for_string (G_CHECKSUM_SHA256, "the model", -1);
  noted = atl_checksum_find (first);
  g_assert_cmpstr (noted->sha256, ==, expected);
  /* The name is taken: the second gets another. What is in the library already stays as it is. */
  g_assert_true (g_file_set_contents (source, "another", -1, NULL));
  second = add (source, ATL_ADD_COPY, NULL, &error);
  g_assert_true (g_str_has_suffix (second, "/a (2).gguf"));
  g_assert_true (g_file_get_contents (first, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "the model");
  again = add (first, ATL_ADD_COPY, NULL, &error);
  g_assert_cmpstr (again, ==, first);
  expect_scan (atl_library_dir (), "a 9 1/1\na (2) 7 1/1");
  names = list_folder (atl_library_dir ());
  g_assert_cmpstr (names, ==, "a (2).gguf a.gguf");
}

static void
test_copy_shards (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *one = NULL, *two = NULL, *path = NULL, *missing = NULL;

  set_up ();
  one = put ("some/m-00001-of-00002.gguf", "1");
  missing = add (one, ATL_ADD_COPY, NULL, &error);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  expect_scan (atl_library_dir (), "");
  two = put ("some/m-00002-of-00002.gguf", "22");
  path = add (two, ATL_ADD_COPY, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_suffix (path, "/m-00001-of-00002.gguf"));
  expect_scan (atl_library_dir (), "m 3 2/2");
}

static void
test_cancelled_copy (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autofree char *source = NULL, *path = NULL, *names = NULL;

  set_up ();
  source = put ("some/a.gguf", "the model");
  g_cancellable_cancel (cancellable);
  path = add (source, ATL_ADD_COPY, cancellable, &error);
  g_assert_null (path);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  names = list_folder (atl_library_dir ());
  g_assert_cmpstr (names, ==, "");
}

/* What a killed copy left goes; what a living process copies, and all else, stays. */
static void
test_sweep (void)
{
  g_autofree char *left = g_build_filename (atl_library_dir (), ".a.gguf.2147483646.copying", NULL);
  g_autofree char *folder = g_build_filename (atl_library_dir (), ".b.2147483646.copying", NULL);
  g_autofree char *inside = g_build_filename (folder, "config.json", NULL);
  g_autofree char *ours = g_strdup_printf ("%s/.c.gguf.%d.copying", atl_library_dir (), getpid ());
  g_autofree char *hidden = g_build_filename (atl_library_dir (), ".copying", NULL);

  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_assert_true (g_file_set_contents (left, "x", 1, NULL));
  g_assert_true (g_file_set_contents (inside, "x", 1, NULL));
  g_assert_true (g_file_set_contents (ours, "x", 1, NULL));
  g_assert_true (g_file_set_contents (hidden, "x", 1, NULL));
  atl_library_sweep ();
  g_assert_false (g_file_test (left, G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (folder, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (ours, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (hidden, G_FILE_TEST_EXISTS));
  g_unlink (ours);
  g_unlink (hidden);
}

static void
test_reference (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *source = NULL, *path = NULL, *text = NULL, *found = NULL, *again = NULL;

  set_up ();
  source = put ("some/a.gguf", "the model");
  g_assert_null (atl_library_find (source));
  path = add (source, ATL_ADD_REFERENCE, NULL, &error);
  g_assert_no_error (error);
  expect_scan (atl_library_dir (), "a 9 1/1 ref");
  /* Known by its own path and by that of the reference. */
  found = atl_library_find (source);
  again = atl_library_find (path);
  g_assert_cmpstr (found, ==, path);
  g_assert_cmpstr (again, ==, path);
  /* Removing a reference leaves the file; undo brings the reference back. */
  g_assert_true (atl_library_remove (path, &error));
  g_assert_no_error (error);
  expect_scan (atl_library_dir (), "");
  g_assert_true (g_file_get_contents (source, &text, NULL, NULL));
  g_assert_true (atl_library_restore (path, &error));
  expect_scan (atl_library_dir (), "a 9 1/1 ref");
  /* A file that is gone is no model. */
  g_remove (source);
  expect_scan (atl_library_dir (), "");
  g_assert_true (atl_library_remove (path, &error));
}

/* A folder as authors publish it is one model: found, added and removed as a whole. */
static void
test_folder (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_build_filename (home, "some/My Model", NULL);
  g_autofree char *copy = NULL, *linked = NULL, *text = NULL, *file = NULL, *names = NULL;

  set_up ();
  put_quietly ("some/My Model/config.json", "{}");
  put_quietly ("some/My Model/tokenizer.json", "{}");
  put_quietly ("some/My Model/onnx/model.onnx", "none of ours");
  put_quietly ("some/My Model/model-00001-of-00002.safetensors", "1");
  put_quietly ("some/My Model/model-00002-of-00002.safetensors", "22");
  /* A part of a picture model has no vocabulary beside it. */
  put_quietly ("some/pictures/vae/config.json", "{}");
  put_quietly ("some/pictures/vae/diffusion_pytorch_model.safetensors", "333");
  expect_scan (folder, "My Model 7 4/4");
  copy = add (folder, ATL_ADD_COPY, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_suffix (copy, "/My Model"));
  linked = add (folder, ATL_ADD_REFERENCE, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_suffix (linked, "/My Model (2)"));
  expect_scan (atl_library_dir (), "My Model 7 4/4\nMy Model (2) 7 4/4 ref");
  file = g_build_filename (copy, "model-00002-of-00002.safetensors", NULL);
  g_assert_true (g_file_get_contents (file, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "22");
  names = list_folder (atl_library_dir ());
  g_assert_cmpstr (names, ==, "My Model My Model (2)");
  g_assert_true (atl_library_remove (copy, &error));
  g_assert_true (atl_library_remove (linked, &error));
  g_assert_no_error (error);
  expect_scan (atl_library_dir (), "");
  expect_scan (folder, "My Model 7 4/4");
  g_assert_true (atl_library_restore (copy, &error));
  g_assert_no_error (error);
  expect_scan (atl_library_dir (), "My Model 7 4/4");
}

static void
test_refused (void)
{
  static const char *const names[] = { "notes.txt", "a.gguf.part", ".a.gguf", "folder.gguf" };
  g_autofree char *folder = g_build_filename (home, "some/folder.gguf", NULL);

  set_up ();
  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *relative = g_build_filename ("some", names[i], NULL);
      g_autofree char *path = g_build_filename (home, relative, NULL);
      g_autoptr (GError) error = NULL;
      g_autofree char *added = NULL;

      if (!g_file_test (path, G_FILE_TEST_IS_DIR))
        put_quietly (relative, "x");
      added = add (path, ATL_ADD_COPY, NULL, &error);
      g_assert_null (added);
      g_assert_nonnull (error);
    }
  {
    g_autofree char *pipe = g_build_filename (home, "some/pipe.gguf", NULL);
    g_autoptr (GError) error = NULL;
    g_autofree char *added = NULL;

    g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
    added = add (pipe, ATL_ADD_COPY, NULL, &error);
    g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  }
}

static void
test_trash (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *one = NULL, *other = NULL, *foreign = NULL, *files = NULL;

  set_up ();
  one = put ("data/atelier/models/m ü-00001-of-00002.gguf", "1");
  other = put ("data/atelier/models/m ü-00002-of-00002.gguf", "22");
  g_assert_true (atl_library_remove (other, &error));
  g_assert_no_error (error);
  expect_scan (atl_library_dir (), "");
  files = g_build_filename (home, "data", "Trash", "files", NULL);
  expect_scan (files, "m ü 3 2/2");
  /* The same name again, and away with it: undo takes the newest. */
  put_quietly ("data/atelier/models/m ü-00001-of-00002.gguf", "newer");
  put_quietly ("data/atelier/models/m ü-00002-of-00002.gguf", "newer");
  g_assert_true (atl_library_restore (one, &error) == FALSE);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BUSY);
  g_clear_error (&error);
  g_remove (one);
  g_remove (other);
  g_assert_true (atl_library_restore (one, &error));
  g_assert_no_error (error);
  expect_scan (atl_library_dir (), "m ü 3 2/2");
  g_assert_false (atl_library_restore (one, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  /* What is not ours is left alone. */
  foreign = put ("some/theirs.gguf", "x");
  g_assert_false (atl_library_remove (foreign, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_true (g_file_test (foreign, G_FILE_TEST_EXISTS));
}

static void
test_many_names (void)
{
  static const char *const pieces[] = { "..", "%2e%2e", "a",  "\xff\xfe", "\n",  "\\",
                                        " ",  "'",      "\"", "$HOME",    "`x`", "-rf" };
  guint n = 0;

  set_up ();
  for (gsize i = 0; i < G_N_ELEMENTS (pieces); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (pieces); j++)
      for (int k = 0; k < 4; k++)
        {
          g_autofree char *long_part = g_strnfill (k == 3 ? 200 : k, 'l');
          g_autofree char *name =
              g_strdup_printf ("%s%s%s%s", pieces[i], k == 1 ? "\\" : "", pieces[j], long_part);
          g_autofree char *relative = g_strdup_printf ("some/x%s.gguf", name);
          g_autofree char *path = put (relative, "m");
          g_autoptr (GError) error = NULL;
          g_autofree char *added = add (path, ATL_ADD_COPY, NULL, &error);
          g_autofree char *folder = NULL;

          g_assert_no_error (error);
          folder = g_path_get_dirname (added);
          g_assert_cmpstr (folder, ==, atl_library_dir ());
          n++;
        }
  {
    g_autofree char *all = list_folder (home);

    g_assert_cmpstr (all, ==, "data some");
  }
  g_assert_cmpuint (n, >, 500);
}

/* "app: models", one a line. */
static char *
apps_text (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) apps = atl_other_apps_find (NULL, &error);
  GString *out = g_string_new (NULL);

  g_assert_no_error (error);
  for (guint i = 0; i < apps->len; i++)
    {
      const AtlOtherApp *app = apps->pdata[i];
      g_autofree char *models = models_text (app->models);

      g_strdelimit (models, "\n", ',');
      g_string_append_printf (out, "%s%s: %s", i > 0 ? "\n" : "", app->app, models);
      for (guint j = 0; j < app->models->len; j++)
        g_assert_cmpstr (((AtlModelFile *) app->models->pdata[j])->origin, ==, app->app);
    }
  return g_string_free (out, FALSE);
}

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LAYER(digest)                                                                              \
  "{\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.license\",\"digest\":\"x\"},3,"      \
  "{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"" digest "\",\"size\":3}]}"

static void
test_other_apps (void)
{
  g_autofree char *none = NULL, *text = NULL, *blob = NULL, *snapshot = NULL;

  set_up ();
  none = apps_text ();
  g_assert_cmpstr (none, ==, "");
  put_quietly (".lmstudio/models/org/repo/lm.gguf", "1");
  put_quietly ("ollama/blobs/sha256-" HEX, "GGUF");
  put_quietly ("ollama/manifests/registry.ollama.ai/library/llama3/8b", LAYER ("sha256:" HEX));
  put_quietly ("ollama/manifests/registry.ollama.ai/someone/own/latest", LAYER ("sha256:" HEX));
  put_quietly ("ollama/manifests/registry.ollama.ai/library/evil/1",
               LAYER ("sha256:../../../../etc/passwd"));
  put_quietly ("ollama/manifests/registry.ollama.ai/library/evil/2", LAYER ("sha256-/etc/passwd"));
  put_quietly ("ollama/manifests/registry.ollama.ai/library/evil/3", "{\"layers\":7}");
  put_quietly ("ollama/manifests/registry.ollama.ai/library/evil/4", "[[[[");
  blob = put ("cache/huggingface/hub/models--org--name/blobs/abc", "12345");
  snapshot = put ("cache/huggingface/hub/models--org--name/snapshots/c0ffee/x", "");
  g_remove (snapshot);
  g_free (snapshot);
  snapshot = g_build_filename (
      home, "cache/huggingface/hub/models--org--name/snapshots/c0ffee/model.safetensors", NULL);
  g_assert_cmpint (symlink (blob, snapshot), ==, 0);
  text = apps_text ();
  g_assert_cmpstr (text, ==,
                   "Ollama: llama3:8b 4 1/1,someone/own:latest 4 1/1\n"
                   "Hugging Face: name 5 1/1\n"
                   "LM Studio: lm 1 1/1");
}

int
main (int argc, char **argv)
{
  int status;

  library_home_init (&argc, &argv);
  g_test_add_func ("/hub/library/names", test_names);
  g_test_add_func ("/hub/library/scan", test_scan);
  g_test_add_func ("/hub/library/copy", test_copy);
  g_test_add_func ("/hub/library/copy-shards", test_copy_shards);
  g_test_add_func ("/hub/library/cancelled-copy", test_cancelled_copy);
  g_test_add_func ("/hub/library/sweep", test_sweep);
  g_test_add_func ("/hub/library/reference", test_reference);
  g_test_add_func ("/hub/library/folder", test_folder);
  g_test_add_func ("/hub/library/refused", test_refused);
  g_test_add_func ("/hub/library/trash", test_trash);
  g_test_add_func ("/hub/library/many-names", test_many_names);
  g_test_add_func ("/hub/library/other-apps", test_other_apps);
  status = g_test_run ();
  library_home_clear ();
  return status;
}
