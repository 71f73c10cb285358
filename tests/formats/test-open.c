/* Files of every kind under any name: models open, the rest is refused in words that help. */
#include "engine/formats/open.h"

#include "build-torch.h"
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
    { "GGML\0\0\0\0", 8, "GGML" },
    { "\xef\xbb\xbf Entry not found, sorry", 26, "“Entry not found, sorry”" },
    { "Two lines of text\r\nin a file", 28, "“Two lines of text”" },
    { "A text with a byte \1 in it", 25, "no kind that is known" },
    { "                        ", 24, "no kind that is known" },
    { "\n\n\n\nwith empty lines before", 27, "“with empty lines before”" },
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

/* What opens, or the words of its refusal. */
static char *
open_words (AtlFileMap *const *maps, const char *const *names, guint n)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) cp = atl_checkpoint_open (maps, names, n, &error);

  g_assert_true ((cp == NULL) == (error != NULL));
  if (cp != NULL)
    {
      walk_checkpoint (cp);
      return g_strdup_printf ("%u tensors", atl_checkpoint_n_tensors (cp));
    }
  g_assert_true (error->domain == ATL_ERROR);
  return g_strdup (error->message);
}

static void
expect (AtlFileMap *const *maps, const char *const *names, guint n, const char *words)
{
  g_autofree char *said = open_words (maps, names, n);

  if (strstr (said, words) == NULL)
    g_error ("“%s” does not speak of “%s”", said, words);
}

/* Only a name that counts parts says that some are missing. */
static void
test_parts (void)
{
  static const struct
  {
    const char *name, *words;
  } cases[] = {
    { "model-00001-of-00003.safetensors", "one of 3 parts" },
    { "model-00001-of-00001.safetensors", "1 tensors" },
    { "best-of-3.safetensors", "1 tensors" },
    { "-of-3.safetensors", "1 tensors" },
    { "model-1-of-many.safetensors", "1 tensors" },
    { "model-1-of-99999999999.safetensors", "1 tensors" },
    { "sub-1-of-3/model.safetensors", "1 tensors" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AtlFileMap) map = build_safetensors (cases[i].name, ONE ("t"), 1);

      expect (&map, NULL, 1, cases[i].words);
    }
}

/* Settings beside the weights that are none, or are there twice. */
static void
test_settings (void)
{
  g_autoptr (AtlFileMap) st = build_safetensors ("m.safetensors", ONE ("t"), 1);
  g_autoptr (AtlFileMap) good = build_map ("a/config.json", "{\"a\":1}", 7);
  g_autoptr (AtlFileMap) other = build_map ("b/config.json", "{\"a\":2}", 7);
  g_autoptr (AtlFileMap) broken = build_map ("config.json", "{\"a\":", 5);
  g_autoptr (AtlFileMap) marked = build_map ("x.json", "\xef\xbb\xbf \n{}", 7);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) cp =
      atl_checkpoint_open ((AtlFileMap *[]){ st, good, other }, NULL, 3, &error);

  g_assert_no_error (error);
  g_assert_cmpint (atl_checkpoint_meta (cp, "a")->v_int, ==, 1);
  expect ((AtlFileMap *[]){ st, broken }, NULL, 2, "config.json");
  expect ((AtlFileMap *[]){ good, marked }, NULL, 2, "no weights");
  expect (&marked, NULL, 1, "no weights");
}

/* Names without a character or with too many, at any depth; more text than settings have. */
static void
test_odd_settings (void)
{
  static const char lists[] = "{\"a\":[[1]],\"b\":[1,\"x\"],\"c\":[],\"d\":[1,2.5],\"e\":[2.5,1],"
                              "\"f\":[true,1],\"g\":null,\"h\":[null]}";
  g_autoptr (AtlFileMap) st = build_safetensors ("m.safetensors", ONE ("t"), 1);
  g_autofree char *long_name = g_strnfill (513, 'k');
  g_autofree char *large = g_strnfill ((2u << 20) + 1, ' ');
  char *texts[] = {
    g_strdup ("{\"a\":{\"\":1}}"),
    g_strdup_printf ("{\"%s\":1}", long_name),
    g_strdup_printf ("{\"a\":{\"b\":{\"%.510s\":1}}}", long_name),
  };
  static const char *const words[] = { "1 to 512 bytes", "1 to 512 bytes", "1 to 512 bytes" };
  g_autoptr (AtlFileMap) twice = NULL;
  g_autoptr (AtlFileMap) big = NULL;
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (AtlFileMap) map = build_map ("config.json", texts[i], strlen (texts[i]));

      expect ((AtlFileMap *[]){ st, map }, NULL, 2, words[i]);
      g_free (g_steal_pointer (&texts[i]));
    }
  large[0] = '{';
  large[2u << 20] = '}';
  big = build_map ("config.json", large, (2u << 20) + 1);
  expect ((AtlFileMap *[]){ st, big }, NULL, 2, "larger than 2 MiB");

  /* Lists of lists, of kinds that do not go together, of nothing: passed over, but not an empty
   * one. */
  twice = build_map ("config.json", lists, sizeof lists - 1);
  cp = atl_checkpoint_open ((AtlFileMap *[]){ st, twice }, NULL, 2, &error);
  g_assert_no_error (error);
  g_assert_null (atl_checkpoint_meta (cp, "a"));
  g_assert_null (atl_checkpoint_meta (cp, "b"));
  g_assert_cmpuint (atl_checkpoint_meta (cp, "c")->v_array.n, ==, 0);
  g_assert_cmpfloat (((double *) atl_checkpoint_meta (cp, "d")->v_array.elems)[0], ==, 1);
  g_assert_cmpfloat (((double *) atl_checkpoint_meta (cp, "e")->v_array.elems)[1], ==, 1);
  g_assert_null (atl_checkpoint_meta (cp, "f"));
  g_assert_null (atl_checkpoint_meta (cp, "g"));
  g_assert_null (atl_checkpoint_meta (cp, "h"));
}

static AtlFileMap *
build_torch (const char *name, const char *tensor)
{
  static const float numbers[8];
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  const char tail[] = BUILD_TENSOR ("K\0", "K\2K\3\x86", "K\3K\1\x86") "s.";
  g_autoptr (GByteArray) zip = NULL;

  g_byte_array_append (bytes, (const guint8 *) "\x80\2}X\1\0\0\0", 8);
  g_byte_array_append (bytes, (const guint8 *) tensor, 1);
  g_byte_array_append (bytes, (const guint8 *) tail, sizeof tail - 1);
  zip = build_zip ((BuildMember[]){ { "x/data.pkl", bytes->data, bytes->len },
                                    { "x/data/0", numbers, sizeof numbers } },
                   2);
  return build_map (name, zip->data, zip->len);
}

/* What training leaves beside the weights is passed over, unless it is all that was opened. */
static void
test_training (void)
{
  g_autoptr (AtlFileMap) model = build_torch ("pytorch_model.bin", "a");
  g_autoptr (AtlFileMap) second = build_torch ("more.bin", "b");
  g_autoptr (AtlFileMap) optimizer = build_torch ("run/optimizer.pt", "c");

  expect ((AtlFileMap *[]){ model, optimizer }, NULL, 2, "1 tensors");
  expect ((AtlFileMap *[]){ model, second, optimizer }, NULL, 3, "2 tensors");
  expect (&optimizer, NULL, 1, "1 tensors");
}

/* The weights of an ncnn network are the file of its name, or the only other one. */
static void
test_ncnn (void)
{
  const char *param = "7767517\n2 2\nInput  in  0 1 data\n"
                      "PReLU  p0  1 1 data out  0=2\n";
  const char numbers[8] = "\0\0\0\x3f\0\0\x80\x3e";
  g_autoptr (AtlFileMap) p = build_map ("sub/net.param", param, strlen (param));
  g_autoptr (AtlFileMap) bare = build_map ("net", param, strlen (param));
  g_autoptr (AtlFileMap) w = build_map ("sub/net.bin", numbers, sizeof numbers);
  g_autoptr (AtlFileMap) readme = build_map ("README.md", "# A network here", 16);
  g_autoptr (AtlFileMap) license = build_map ("LICENSE", "Apache License 2", 16);

  expect ((AtlFileMap *[]){ p, readme, w, license }, NULL, 4, "1 tensors");
  expect ((AtlFileMap *[]){ bare, w }, NULL, 2, "1 tensors");
  expect ((AtlFileMap *[]){ p, readme, license }, NULL, 3, "net.bin");
  expect (&bare, NULL, 1, "net.bin");
  expect ((AtlFileMap *[]){ readme, license }, NULL, 2, "“# A network here”");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/formats/open/by-content", test_by_content);
  g_test_add_func ("/formats/open/folder", test_folder);
  g_test_add_func ("/formats/open/refused", test_refused);
  g_test_add_func ("/formats/open/mixed", test_mixed);
  g_test_add_func ("/formats/open/parts", test_parts);
  g_test_add_func ("/formats/open/settings", test_settings);
  g_test_add_func ("/formats/open/odd-settings", test_odd_settings);
  g_test_add_func ("/formats/open/training", test_training);
  g_test_add_func ("/formats/open/ncnn", test_ncnn);
  return g_test_run ();
}
