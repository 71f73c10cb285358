/* Prints a model's distance from recorded greedy runs. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/greedy.h"

#include "engine/formats/gguf.h"
#include "engine/tools/golden-backends.h"
#include "engine/tools/greedy-run.h"

static AtlLlm *
open_model (const char *path, const GoldenBackend *backend, GError **error)
{
  g_autoptr (AtlFileMap) map = atl_file_map_new (path, error);
  g_autoptr (AtlCheckpoint) cp = map != NULL ? atl_gguf_open (&map, 1, error) : NULL;

  return cp != NULL ? atl_llm_new (cp, backend->list, backend->n, NULL, NULL, NULL, NULL, error)
                    : NULL;
}

static gboolean
print_run (guint i, const GreedyResult *r, double tolerance)
{
  gboolean good = greedy_result_is_good (r, tolerance, tolerance);

  g_print ("run %u: %u steps, %u changed (gap %.3g), at once %u (gap %.3g), top-10 within %.3g, "
           "free-running %u of %u, %s\n",
           i, r->n_steps, r->n_changed, r->gap_changed, r->n_changed_at_once,
           r->gap_changed_at_once, r->max_delta, r->n_free, r->n_steps, good ? "ok" : "FAIL");
  return good;
}

static int
measure (const char *model,
         const char *runs_path,
         const char *backend,
         AtlDType kv_dtype,
         double tolerance,
         GError **error)
{
  g_auto (GoldenBackends) backends = { 0 };
  g_autoptr (GPtrArray) runs = greedy_runs_read (runs_path, NULL, error);
  g_autoptr (AtlLlm) llm = NULL;
  guint n_steps = 0, n_changed = 0, n_bad = 0;
  int status = 1;

  if (runs == NULL || !golden_backends_open (&backends, backend, error))
    return 1;
  llm = open_model (model, &backends.list[0], error);
  for (guint i = 0; llm != NULL && i < runs->len; i++)
    {
      GreedyResult result;

      if (!greedy_run_measure (llm, runs->pdata[i], kv_dtype, &result, error))
        goto out;
      n_bad += !print_run (i, &result, tolerance);
      n_steps += result.n_steps;
      n_changed += result.n_changed;
    }
  if (llm != NULL)
    {
      g_print ("%s on %s: %u of %u steps changed, %u of %u runs failed\n", model,
               backends.list[0].name, n_changed, n_steps, n_bad, runs->len);
      status = n_bad > 0;
    }
out:
  g_clear_pointer (&llm, atl_llm_free); /* before its backends */
  return status;
}

int
atl_tool_greedy (int argc, char **argv)
{
  g_autofree char *backend = NULL, *kv = NULL;
  g_auto (GStrv) files = NULL;
  double tolerance = 0.05;
  GOptionEntry entries[] = {
    { "backend", 0, 0, G_OPTION_ARG_STRING, &backend, "As for golden; default cpu-fast", "NAME" },
    { "kv-type", 0, 0, G_OPTION_ARG_STRING, &kv, "f32, f16 (default), q8_0 or q4_0", "TYPE" },
    { "kv", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_STRING, &kv, NULL, NULL },
    { "tolerance", 0, 0, G_OPTION_ARG_DOUBLE, &tolerance, "Default 0.05", "X" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &files, NULL, "MODEL.gguf RUNS.json" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  AtlDType kv_dtype = ATL_DTYPE_F16;
  int status;

  g_option_context_set_summary (
      context,
      "Prints how far a model is from recorded runs that always took the likeliest token.");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || files == NULL ||
      g_strv_length (files) != 2 || (kv != NULL && !atl_dtype_from_name (kv, &kv_dtype)))
    {
      g_printerr ("%s\n", error != NULL ? error->message
                                        : "Name a model, a file with greedy runs, and a type of "
                                          "context that there is.");
      return 2;
    }
  status = measure (files[0], files[1], backend != NULL ? backend : "cpu-fast", kv_dtype, tolerance,
                    &error);
  if (error != NULL)
    g_printerr ("%s\n", error->message);
  return status;
}
