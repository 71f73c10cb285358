/* Files that a reader accepts and a model must not: conformance/gguf-bad's stages “model”, and
 * every tensor and key of tiny models made wrong in turn. Refused in words, or loaded and run;
 * never a crash, never memory that the file does not account for. */
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/formats/gguf.h"
#include "engine/tokenizers/tokenizer.h"

#include "conformance.h"
#include "changed-model.h"

/* --- Files --- */

typedef struct
{
  char *path;
  gboolean must_fail;
} BadFile;

static void
test_file (gconstpointer user_data)
{
  const BadFile *bad = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = atl_file_map_new (bad->path, &error);
  g_autoptr (AtlCheckpoint) cp = map != NULL ? atl_gguf_open (&map, 1, &error) : NULL;
  g_autoptr (AtlTokenizer) tokenizer =
      cp != NULL ? atl_tokenizer_new_from_checkpoint (cp, &error) : NULL;
  gboolean loaded = tokenizer != NULL && changed_model_try (cp, &error);

  if (!loaded)
    changed_model_check_words (error);
  else if (bad->must_fail)
    {
      g_test_message ("%s was loaded", bad->path);
      g_test_fail ();
    }
}

static void
add_files (void)
{
  g_autofree char *path = atl_test_conformance_find ("gguf-bad/manifest.json");
  g_autofree char *text = NULL;
  g_autofree char *folder = NULL;
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GError) error = NULL;
  JsonArray *files;
  gsize size;

  if (path == NULL)
    return;
  folder = g_path_get_dirname (path);
  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  root = atl_json_parse (text, size, path, &error);
  g_assert_no_error (error);
  files = atl_json_array (json_node_get_object (root), "files");
  for (guint i = 0; i < json_array_get_length (files); i++)
    {
      JsonObject *object = json_array_get_object_element (files, i);
      const char *file = atl_json_string (object, "file", "");
      g_autofree char *test_path = g_strdup_printf ("/models/bad/%s", file);
      BadFile *bad;

      if (!g_str_equal (atl_json_string (object, "stage", ""), "model"))
        continue;
      bad = g_new0 (BadFile, 1);
      bad->path = g_build_filename (folder, file, NULL);
      bad->must_fail = g_str_equal (atl_json_string (object, "expect", ""), "error");
      g_test_add_data_func (test_path, bad, test_file);
    }
}

static void
test_no_files (void)
{
  g_autofree char *path = atl_test_conformance ("gguf-bad/manifest.json");
  g_assert_null (path);
}

/* --- Models made wrong --- */

/* Rotary divisors may be of any value, but not of any size. */
static void
test_rope_divisors (void)
{
  static const float wild[] = { 0.0f, -1.0f, NAN, INFINITY, 1e-38f };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-llama3-tied", "model.gguf");
  const AtlTensorInfo *have = atl_checkpoint_find (cp, "rope_freqs.weight");
  AtlTensorInfo info;
  Change c = { .tensor = "rope_freqs.weight", .info = &info };
  gsize n;

  g_assert_nonnull (have);
  n = have->size_bytes / sizeof (float);
  for (gsize k = 0; k < G_N_ELEMENTS (wild); k++)
    {
      g_autofree float *values = g_new (float, n);

      for (gsize i = 0; i < n; i++)
        values[i] = wild[k];
      info = *have;
      info.data = (const guint8 *) values;
      changed_model_survive (cp, &c);
    }
  info = *have;
  info.dtype = ATL_DTYPE_F16;
  info.size_bytes /= 2;
  changed_model_refuse (cp, &c);
}

/* NaN weights: the end is orderly, the numbers are none. */
static void
test_nan_weights (void)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-mixtral", "model.gguf");

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      AtlTensorInfo info = *atl_checkpoint_tensor (cp, i);
      g_autofree guint8 *bytes = g_malloc (info.size_bytes);

      memset (bytes, 0xff, info.size_bytes);
      info.data = bytes;
      changed_model_survive (cp, &(Change){ .tensor = info.name, .info = &info });
    }
}

static void
test_supports (void)
{
  static const char *const names[] = { "", "nothing", "%s%n%1000d", "llama " };
  g_autoptr (AtlCheckpoint) from = model_fixture_open ("llm-llama2", "model.gguf");

  g_assert_true (atl_llm_supports (from, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      AtlMetaValue value = { .type = ATL_META_STRING, .v_string = { names[i], strlen (names[i]) } };
      Change c = { .key = "general.architecture", .value = &value };
      g_autoptr (AtlCheckpoint) cp = changed_model (from, &c);
      g_autofree char *why = NULL;

      g_assert_false (atl_llm_supports (cp, &why));
      g_assert_nonnull (strstr (why, "Llama, Mistral"));
      changed_model_refuse (from, &c);
    }
}

int
main (int argc, char **argv)
{
  g_autofree char *manifest = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  manifest = atl_test_conformance_find ("gguf-bad/manifest.json");
  if (manifest != NULL)
    add_files ();
  else
    g_test_add_func ("/models/bad/files", test_no_files);
  g_test_add_func ("/models/bad/rope-divisors", test_rope_divisors);
  g_test_add_func ("/models/bad/nan-weights", test_nan_weights);
  g_test_add_func ("/models/bad/supports", test_supports);
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
