/* Every file of conformance/gguf-bad, broken or valid, behaves as its manifest says: a clean error
 * or a checkpoint that can be read whole, in little time and memory, never a crash. */
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/json-bounded.h"
#include "engine/formats/gguf.h"
#include "engine/formats/open.h"
#include "engine/formats/safetensors.h"

#include "conformance.h"
#include "walk.h"

#if defined(__SANITIZE_ADDRESS__)
#define MEASURE_MEMORY FALSE /* the sanitizer's own memory would be measured */
#else
#define MEASURE_MEMORY TRUE
#endif

/* Of the processor, not of the clock: other programs do not count. */
#define MAX_SECONDS 20.0
#define MAX_GROWTH_KIB (64 * 1024)

typedef struct
{
  char *path;
  char *file;
  gboolean safetensors;
  gboolean container; /* the file reader itself must refuse it */
  char *expect;
} BadFile;

static long
peak_kib (void)
{
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

static AtlCheckpoint *
open_as_said (const BadFile *bad, AtlFileMap *map, GError **error)
{
  return bad->safetensors ? atl_safetensors_open (&map, 1, NULL, 0, error)
                          : atl_gguf_open (&map, 1, error);
}

static void
check_error (const BadFile *bad, const GError *error)
{
  g_assert_nonnull (error);
  g_assert_true (error->domain == ATL_ERROR);
  g_assert_cmpuint (strlen (error->message), >, 10);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_test_message ("%s: %s", bad->file, error->message);
}

static void
test_file (gconstpointer user_data)
{
  const BadFile *bad = user_data;
  g_autoptr (GError) error = NULL;
  clock_t start = clock ();
  long before = peak_kib ();
  g_autoptr (AtlFileMap) map = atl_file_map_new (bad->path, &error);

  if (map != NULL)
    {
      g_autoptr (AtlCheckpoint) cp = open_as_said (bad, map, &error);
      g_autoptr (AtlCheckpoint) guessed = NULL;
      g_autoptr (GError) guess_error = NULL;

      if (cp != NULL)
        {
          walk_checkpoint (cp);
          if (bad->container && strcmp (bad->expect, "error") == 0)
            g_error ("%s was opened; its manifest expects an error", bad->file);
        }
      else
        {
          check_error (bad, error);
          if (strcmp (bad->expect, "ok") == 0 ||
              (!bad->container && strcmp (bad->expect, "any") == 0))
            g_error ("%s was refused: %s", bad->file, error->message);
        }

      /* Opening by content says the same, except where the content is a good file of another kind.
       */
      guessed = atl_checkpoint_open (&map, NULL, 1, &guess_error);
      if (guessed != NULL)
        walk_checkpoint (guessed);
      else
        check_error (bad, guess_error);
      if (cp != NULL)
        g_assert_nonnull (guessed);
    }
  else
    {
      check_error (bad, error);
      g_assert_cmpstr (bad->expect, !=, "ok");
    }

  g_assert_cmpfloat ((double) (clock () - start) / CLOCKS_PER_SEC, <, MAX_SECONDS);
  if (MEASURE_MEMORY)
    g_assert_cmpint (peak_kib () - before, <, MAX_GROWTH_KIB);
}

static void
test_none (void)
{
  g_autofree char *path = atl_test_conformance ("gguf-bad/manifest.json");
  g_assert_null (path);
}

int
main (int argc, char **argv)
{
  g_autofree char *path = NULL, *text = NULL, *folder = NULL;
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GError) error = NULL;
  JsonArray *files;
  gsize size;

  g_test_init (&argc, &argv, NULL);
  path = atl_test_conformance_find ("gguf-bad/manifest.json");
  if (path == NULL)
    {
      g_test_add_func ("/formats/bad-files", test_none);
      return g_test_run ();
    }

  folder = g_path_get_dirname (path);
  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  root = atl_json_parse (text, size, path, &error);
  g_assert_no_error (error);
  files = atl_json_array (json_node_get_object (root), "files");
  g_assert_cmpuint (json_array_get_length (files), >, 400);

  for (guint i = 0; i < json_array_get_length (files); i++)
    {
      JsonObject *object = json_array_get_object_element (files, i);
      BadFile *bad = g_new0 (BadFile, 1);
      g_autofree char *test_path = NULL;

      bad->file = g_strdup (atl_json_string (object, "file", ""));
      bad->path = g_build_filename (folder, bad->file, NULL);
      bad->safetensors = g_str_equal (atl_json_string (object, "format", ""), "safetensors");
      bad->container = g_str_equal (atl_json_string (object, "stage", ""), "container");
      bad->expect = g_strdup (atl_json_string (object, "expect", ""));
      test_path = g_strdup_printf ("/formats/bad-files/%s", bad->file);
      g_test_add_data_func (test_path, bad, test_file);
    }
  return g_test_run ();
}
