/* Real models against recorded greedy runs: every *.greedy.json of the conformance data whose model
 * (same name, .gguf) lies in $ATELIER_TEST_MODELS, or in the library, on one backend. */
#include <gio/gio.h>
#include <string.h>

#include "engine/formats/gguf.h"
#include "engine/tools/golden-backends.h"
#include "engine/tools/greedy-run.h"

#define ENDING ".greedy.json"
/* What float16 activations may cost, by the README of the recorded runs. */
#define TOLERANCE 0.05

static const char *backend_name;

static char *
conformance_folder (void)
{
  const char *named = g_getenv ("ATELIER_CONFORMANCE");

  if (named != NULL)
    return g_build_filename (named, "real", NULL);
  return g_build_filename (g_getenv ("ATELIER_SOURCE"), "..", "shared", "conformance", "real",
                           NULL);
}

/* NULL when the model is in neither place. */
static char *
find_model (const char *name)
{
  const char *named = g_getenv ("ATELIER_TEST_MODELS");
  g_autofree char *file = g_strconcat (name, ".gguf", NULL);
  g_autofree char *library =
      g_build_filename (g_get_user_data_dir (), "atelier", "models", file, NULL);

  if (named != NULL)
    {
      g_autofree char *path = g_build_filename (named, file, NULL);

      if (g_file_test (path, G_FILE_TEST_IS_REGULAR))
        return g_steal_pointer (&path);
    }
  return g_file_test (library, G_FILE_TEST_IS_REGULAR) ? g_steal_pointer (&library) : NULL;
}

static void
check_run (AtlLlm *llm, guint index, const GreedyRun *run)
{
  g_autoptr (GError) error = NULL;
  GreedyResult result;
  gboolean measured = greedy_run_measure (llm, run, ATL_DTYPE_F16, &result, &error);

  g_assert_no_error (error);
  g_assert_true (measured);
  g_test_message (
      "run %u: %u steps, %u changed (gap %.3g), at once %u (gap %.3g), top-10 within %.3g, "
      "free-running %u",
      index, result.n_steps, result.n_changed, result.gap_changed, result.n_changed_at_once,
      result.gap_changed_at_once, result.max_delta, result.n_free);
  g_assert_true (greedy_result_is_good (&result, TOLERANCE, TOLERANCE));
}

static void
test_model (gconstpointer data)
{
  const char *name = data;
  g_autofree char *folder = conformance_folder ();
  g_autofree char *runs_name = g_strconcat (name, ENDING, NULL);
  g_autofree char *runs_path = g_build_filename (folder, runs_name, NULL);
  g_autofree char *model = find_model (name);
  g_auto (GoldenBackends) backends = { 0 };
  g_autoptr (GPtrArray) runs = NULL;
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (AtlCheckpoint) checkpoint = NULL;
  g_autoptr (GError) error = NULL;
  AtlLlm *llm;

  if (model == NULL)
    {
      g_autofree char *words = g_strdup_printf (
          "%s.gguf is not in $ATELIER_TEST_MODELS: its greedy runs did not run", name);

      g_test_skip (words);
      return;
    }
  if (!golden_backends_open (&backends, backend_name, &error))
    {
      g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
      g_test_skip (error->message);
      return;
    }
  runs = greedy_runs_read (runs_path, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (runs->len, >, 0);
  map = atl_file_map_new (model, &error);
  g_assert_no_error (error);
  checkpoint = atl_gguf_open (&map, 1, &error);
  g_assert_no_error (error);
  llm = atl_llm_new (checkpoint, backends.list[0].list, backends.list[0].n, NULL, NULL, NULL, NULL,
                     &error);
  g_assert_no_error (error);
  for (guint i = 0; i < runs->len; i++)
    check_run (llm, i, runs->pdata[i]);
  atl_llm_free (llm); /* before its backends */
}

static void
test_absent (void)
{
  g_autofree char *folder = conformance_folder ();
  g_autofree char *words =
      g_strdup_printf ("%s not found: the greedy runs of real models did not run", folder);

  g_test_skip (words);
}

int
main (int argc, char **argv)
{
  g_autofree char *folder = NULL;
  g_autoptr (GDir) dir = NULL;
  const char *entry;

  g_test_init (&argc, &argv, NULL);
  backend_name = argc > 1 ? argv[1] : "cpu-fast";
  folder = conformance_folder ();
  dir = g_dir_open (folder, 0, NULL);
  if (dir == NULL)
    g_test_add_func ("/tools/greedy/all", test_absent);
  while (dir != NULL && (entry = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (entry, ENDING))
      {
        char *name = g_strndup (entry, strlen (entry) - strlen (ENDING));
        g_autofree char *path = g_strconcat ("/tools/greedy/", name, NULL);

        g_test_add_data_func_full (path, name, test_model, g_free);
      }
  return g_test_run ();
}
