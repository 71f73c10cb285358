/* Files of every kind under any name: models open, the rest is refused in words that help. */
#include "engine/formats/open.h"

#include "build.h"
#include "walk.h"

#define ONE(name) "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"

static AtlFileMap *
build_gguf (const char *name)
{
  const guint64 dims[] = { 4 };
  GgufBuilder b;

  build_header (&b, 3, 1, 1);
  build_key_text (&b, "general.architecture", "llama");
  build_tensor (&b, "t", 1, dims, 0, 0);
  build_pad (&b, 32);
  for (guint i = 0; i < 4; i++)
    build_u32 (&b, i);
  return build_finish (&b, name);
}

static void
test_by_content (void)
{
  g_autoptr (AtlFileMap) gguf = build_gguf ("a.safetensors");
  g_autoptr (AtlFileMap) st = build_safetensors ("b.gguf", ONE ("t"), 1);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) a = atl_checkpoint_open (&gguf, NULL, 1, &error);
  g_autoptr (AtlCheckpoint) b = atl_checkpoint_open (&st, NULL, 1, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (walk_checkpoint (a), !=, walk_checkpoint (b));
}

static void
test_folder (void)
{
  const char *config = "{\"model_type\":\"llama\"}", *generation = "{\"top_k\":40}";
  const char *index = "{\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\","
                      "\"b\":\"model-00002-of-00002.safetensors\"}}";
  g_autoptr (AtlFileMap) a = build_safetensors ("model-00001-of-00002.safetensors", ONE ("a"), 1);
  g_autoptr (AtlFileMap) b = build_safetensors ("model-00002-of-00002.safetensors", ONE ("b"), 1);
  g_autoptr (AtlFileMap) c = build_map ("config.json", config, strlen (config));
  g_autoptr (AtlFileMap) g = build_map ("x", generation, strlen (generation));
  g_autoptr (AtlFileMap) i = build_map ("model.safetensors.index.json", index, strlen (index));
  g_autoptr (AtlFileMap) readme = build_map ("README.md", "# A model", 9);
  AtlFileMap *maps[] = { g, readme, b, i, c, a };
  const char *names[] = { "sub/generation_config.json", NULL, NULL, NULL, NULL, NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) cp = atl_checkpoint_open (maps, names, 6, &error);

  g_assert_no_error (error);
  walk_checkpoint (cp);
  g_assert_cmpuint (atl_checkpoint_n_tensors (cp), ==, 2);
  g_assert_cmpstr (atl_checkpoint_get_string (cp, "model_type"), ==, "llama");
  g_assert_cmpint (atl_checkpoint_meta (cp, "generation_config.top_k")->v_int, ==, 40);

  /* A part that is missing is missed, with the index or by the names. */
  g_assert_null (atl_checkpoint_open ((AtlFileMap *[]){ a, i }, NULL, 2, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (atl_checkpoint_open ((AtlFileMap *[]){ a, c }, NULL, 2, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "2 parts"));
}

static void
test_refused (void)
{
  g_autofree char *tar = g_malloc0 (512), *zeros = g_malloc0 (5000);
  const struct
  {
    const char *bytes;
    gsize size;
    const char *words;
  } cases[] = {
    { "PK\3\4\0\0\0\0notes.txt", 17, "ZIP" },
    { "\x80\x02}q\1", 5, "PyTorch" },
    { "\x1f\x8b\x08\0", 4, "archive" },
    { "lmgg\0\0\0\0", 8, "GGML" },
    { "\n <!DOCTYPE html><html>", 22, "web page" },
    { "version https://git-lfs.github.com/spec/v1\noid sha256:0", 54, "Git LFS" },
    { "Invalid username or password.", 29, "Invalid username" },
    { "{\"model_type\":\"llama\"}", 22, "no weights" },
    { "\x89PNG\r\n\x1a\n", 8, "picture" },
    { "\x7f"
      "ELF\2\1",
      6, "program" },
    { "\1\2\3\4\5\6\7\1\2\3\4\5\6\7\1\2", 16, "no kind that is known" },
    { "GGU", 3, "only 3 bytes" },
    { tar, 512, "tar archive" },
    { zeros, 5000, "zeros" },
  };

  memcpy (tar, "model.bin", 9);
  memcpy (tar + 257, "ustar", 5);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AtlFileMap) map = build_map ("x.gguf", cases[i].bytes, cases[i].size);
      g_autoptr (GError) error = NULL;

      g_assert_null (atl_checkpoint_open (&map, NULL, 1, &error));
      g_assert_true (error->domain == ATL_ERROR);
      g_assert_true (g_str_has_prefix (error->message, "x.gguf "));
      if (strstr (error->message, cases[i].words) == NULL)
        g_error ("“%s” does not speak of “%s”", error->message, cases[i].words);
      g_test_message ("%s", error->message);
    }
}

static void
test_mixed (void)
{
  g_autoptr (AtlFileMap) gguf = build_gguf ("a.gguf");
  g_autoptr (AtlFileMap) st = build_safetensors ("b.safetensors", ONE ("t"), 1);
  g_autoptr (AtlFileMap) page = build_map ("c.safetensors", "<html>", 6);
  g_autoptr (GError) error = NULL;

  g_assert_null (atl_checkpoint_open ((AtlFileMap *[]){ gguf, st }, NULL, 2, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_null (atl_checkpoint_open ((AtlFileMap *[]){ st, page }, NULL, 2, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_assert_nonnull (strstr (error->message, "c.safetensors"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/formats/open/by-content", test_by_content);
  g_test_add_func ("/formats/open/folder", test_folder);
  g_test_add_func ("/formats/open/refused", test_refused);
  g_test_add_func ("/formats/open/mixed", test_mixed);
  return g_test_run ();
}
