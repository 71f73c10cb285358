/* The golden runner: finds cases below folders and runs them on the backends there are. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/golden.h"

#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/opencl/opencl.h"
#include "engine/tools/golden-case.h"

#define MAX_DEPTH 8

typedef struct
{
  GoldenBackend list[ATL_MAX_BACKENDS];
  guint n;
  AtlBackend *owned[ATL_MAX_BACKENDS];
  guint n_owned;
  char *names[ATL_MAX_BACKENDS];
} Backends;

typedef struct
{
  Backends backends;
  const char *only; /* (nullable) */
  GoldenReport report;
} Run;

static AtlBackend *
own (Backends *b, AtlBackend *backend)
{
  if (backend != NULL)
    b->owned[b->n_owned++] = backend;
  return backend;
}

static AtlBackend *
add_cpu (Backends *b, const char *name, const char *wanted, gboolean exact, GError **error)
{
  AtlCpuOptions options = { .best_level = TRUE, .exact = exact };
  AtlBackend *cpu;

  if (wanted != NULL && g_strcmp0 (wanted, name) != 0)
    return NULL;
  cpu = own (b, atl_cpu_backend_new (&options, error));
  if (cpu != NULL)
    b->list[b->n++] = (GoldenBackend){ .name = name, .list = { cpu }, .n = 1, .exact = exact };
  return cpu;
}

/* "cpu-avx2", "cpu-reference"…: one level of instructions, float32. */
static void
add_cpu_level (Backends *b, const char *wanted, GError **error)
{
  static const struct
  {
    const char *name;
    AtlCpuLevel level;
  } levels[] = {
    { "cpu-reference", ATL_CPU_REFERENCE },
    { "cpu-avx2", ATL_CPU_AVX2 },
    { "cpu-avx512", ATL_CPU_AVX512 },
    { "cpu-neon", ATL_CPU_NEON },
  };

  for (gsize i = 0; wanted != NULL && i < G_N_ELEMENTS (levels); i++)
    if (g_strcmp0 (wanted, levels[i].name) == 0)
      {
        AtlCpuOptions options = { .level = levels[i].level, .exact = TRUE };
        AtlBackend *cpu = own (b, atl_cpu_backend_new (&options, error));

        if (cpu != NULL)
          b->list[b->n++] =
              (GoldenBackend){ .name = levels[i].name, .list = { cpu }, .n = 1, .exact = TRUE };
      }
}

static gboolean
add_opencl (Backends *b, const char *wanted, GError **error)
{
  g_autofree char *why = NULL;
  g_autoptr (GPtrArray) devices = NULL;
  AtlBackend *host = NULL;

  if (wanted != NULL && !g_str_has_prefix (wanted, "opencl"))
    return TRUE;
  devices = atl_opencl_devices (&why);
  if (devices->len == 0)
    g_printerr ("OpenCL was not tested: %s\n", why != NULL ? why : "no device");
  for (guint i = 0; i < devices->len && b->n_owned + 2 <= ATL_MAX_BACKENDS; i++)
    {
      char *name = g_strdup_printf ("opencl:%u", i);
      AtlCpuOptions options = { .best_level = TRUE, .exact = TRUE };
      AtlBackend *device;

      b->names[b->n] = name;
      if (wanted != NULL && g_strcmp0 (wanted, "opencl") != 0 && g_strcmp0 (wanted, name) != 0)
        continue;
      if (host == NULL && (host = own (b, atl_cpu_backend_new (&options, error))) == NULL)
        return FALSE;
      g_autofree char *cache =
          g_build_filename (g_get_user_cache_dir (), "atelier", "kernels", NULL);
      device = own (b, atl_opencl_backend_new (devices->pdata[i], cache, error));
      if (device == NULL)
        return FALSE;
      b->list[b->n++] =
          (GoldenBackend){ .name = name, .list = { device, host }, .n = 2, .exact = TRUE };
    }
  return TRUE;
}

static void
backends_clear (Backends *b)
{
  for (guint i = b->n_owned; i-- > 0;)
    atl_backend_free (b->owned[i]);
  for (guint i = 0; i < ATL_MAX_BACKENDS; i++)
    g_free (b->names[i]);
}

static void
run_case (Run *run, const char *folder)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GoldenCase) c = golden_case_read (folder, &error);

  if (c == NULL)
    {
      g_printerr ("%s: %s\n", folder, error->message);
      run->report.n_failed++;
      return;
    }
  if (run->only != NULL && !g_pattern_match_simple (run->only, c->name))
    return;
  for (guint i = 0; i < run->backends.n; i++)
    {
      const GoldenBackend *backend = &run->backends.list[i];

      if (g_str_equal (c->kind, "llm"))
        golden_run_llm (&run->report, c, backend);
      else if (g_str_equal (c->kind, "forward") || g_str_equal (c->kind, "encode_text") ||
               g_str_equal (c->kind, "encode_image") || g_str_equal (c->kind, "vae_encode") ||
               g_str_equal (c->kind, "vae_decode"))
        golden_run_component (&run->report, c, backend);
      else
        {
          g_autoptr (GError) missing =
              g_error_new (ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                           "cases of the kind “%s” cannot be run yet", c->kind);
          golden_report_error (&run->report, c, backend, missing);
        }
    }
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (*(char *const *) a, *(char *const *) b);
}

static void
walk (Run *run, const char *folder, guint depth)
{
  g_autofree char *file = g_build_filename (folder, "case.json", NULL);
  g_autoptr (GDir) dir = NULL;
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  if (g_file_test (file, G_FILE_TEST_IS_REGULAR))
    {
      run_case (run, folder);
      return;
    }
  if (depth == 0 || (dir = g_dir_open (folder, 0, NULL)) == NULL)
    return;
  while ((name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (names, g_build_filename (folder, name, NULL));
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++)
    if (g_file_test (names->pdata[i], G_FILE_TEST_IS_DIR))
      walk (run, names->pdata[i], depth - 1);
}

int
atl_tool_golden (int argc, char **argv)
{
  g_autofree char *backend = NULL, *only = NULL;
  g_auto (GStrv) folders = NULL;
  gboolean json = FALSE;
  GOptionEntry entries[] = {
    { "backend", 0, 0, G_OPTION_ARG_STRING, &backend,
      "cpu, cpu-fast, cpu-avx2…, opencl or opencl:N", "NAME" },
    { "only", 0, 0, G_OPTION_ARG_STRING, &only, "Only cases whose name matches", "GLOB" },
    { "json", 0, 0, G_OPTION_ARG_NONE, &json, "One JSON object a line", NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &folders, NULL, "DIR…" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  Run run = { 0 };

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || folders == NULL)
    {
      g_printerr ("%s\n", error != NULL ? error->message : "Name at least one folder with cases.");
      return 2;
    }
  run.only = only;
  run.report.json = json;
  add_cpu (&run.backends, "cpu", backend, TRUE, &error);
  if (error == NULL)
    add_cpu (&run.backends, "cpu-fast", backend, FALSE, &error);
  if (error == NULL)
    add_cpu_level (&run.backends, backend, &error);
  if (error == NULL)
    add_opencl (&run.backends, backend, &error);
  if (error != NULL || run.backends.n == 0)
    {
      g_printerr ("%s\n", error != NULL ? error->message : "There is no backend of that name.");
      backends_clear (&run.backends);
      return 2;
    }

  for (guint i = 0; folders[i] != NULL; i++)
    walk (&run, folders[i], MAX_DEPTH);
  backends_clear (&run.backends);
  if (!json)
    g_print ("%u ok, %u failed, %u missing\n", run.report.n_ok, run.report.n_failed,
             run.report.n_missing);
  return run.report.n_failed == 0 && run.report.n_missing == 0 && run.report.n_ok > 0 ? 0 : 1;
}
