/* The golden runner: finds cases below folders and runs them on the backends there are. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/golden.h"

#include <math.h>

#include "engine/tools/golden-backends.h"

static void
print_text (const GoldenRow *row, gpointer user_data)
{
  g_print ("%s %s %s %.3g %.3g %s\n", row->name, row->backend, row->output, row->rel_l2,
           row->tolerance, row->verdict);
  if (row->why != NULL)
    g_printerr ("%s: %s\n", row->name, row->why);
}

static void
print_json (const GoldenRow *row, gpointer user_data)
{
  g_autoptr (JsonObject) object = json_object_new ();
  g_autoptr (JsonNode) root = json_node_init_object (json_node_alloc (), object);
  g_autofree char *text = NULL;

  json_object_set_string_member (object, "name", row->name);
  json_object_set_string_member (object, "backend", row->backend);
  json_object_set_string_member (object, "output", row->output);
  /* JSON has no infinity and no NaN. */
  if (isfinite (row->rel_l2))
    json_object_set_double_member (object, "rel_l2", row->rel_l2);
  json_object_set_double_member (object, "tolerance", row->tolerance);
  json_object_set_string_member (object, "verdict", row->verdict);
  if (row->why != NULL)
    json_object_set_string_member (object, "why", row->why);
  text = json_to_string (root, FALSE);
  g_print ("%s\n", text);
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
  g_auto (GoldenBackends) backends = { 0 };
  GoldenReport report = { 0 };

  g_option_context_set_summary (
      context,
      "Runs recorded cases on the backends there are and prints how far each result is off.");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || folders == NULL)
    {
      g_printerr ("%s\n", error != NULL ? error->message : "Name at least one folder with cases.");
      return 2;
    }
  if (!golden_backends_open (&backends, backend, &error))
    {
      g_printerr ("%s\n", error->message);
      return 2;
    }
  if (backends.without_opencl != NULL)
    g_printerr ("OpenCL was not tested: %s\n", backends.without_opencl);

  report.row = json ? print_json : print_text;
  for (guint i = 0; folders[i] != NULL; i++)
    {
      g_autoptr (GPtrArray) cases = golden_find_cases (folders[i], &error);

      if (cases == NULL)
        {
          g_printerr ("%s\n", error->message);
          return 2;
        }
      if (cases->len == 0)
        g_printerr ("%s holds no golden cases.\n", folders[i]);
      for (guint k = 0; k < cases->len; k++)
        golden_run_case (&report, cases->pdata[k], only, backends.list, backends.n);
    }
  if (!json)
    g_print ("%u ok, %u failed, %u missing\n", report.n_ok, report.n_failed, report.n_missing);
  return report.n_failed == 0 && report.n_missing == 0 && report.n_ok > 0 ? 0 : 1;
}
