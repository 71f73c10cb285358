/* Reading golden cases and printing results. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/golden-case.h"

#include <math.h>

#include "base/json-bounded.h"
#include "engine/formats/open.h"

/* A backend with reduced precision states its own tolerance where a case gives none: products with
 * 15-bit activations or split bf16 stay below 1e-3 on random models. */
#define FAST_TOLERANCE 2e-3

static GPtrArray *
read_arrays (const char *folder, const char *file, gboolean required, GError **error)
{
  g_autofree char *path = g_build_filename (folder, file, NULL);
  g_autoptr (GPtrArray) arrays = atl_arrays_new ();
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (AtlCheckpoint) cp = NULL;

  if (!required && !g_file_test (path, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&arrays);
  map = atl_file_map_new (path, error);
  if (map == NULL)
    return NULL;
  cp = atl_checkpoint_open (&map, NULL, 1, error);
  if (cp == NULL)
    return NULL;
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      AtlArray *a = atl_array_from_tensor (atl_checkpoint_tensor (cp, i), error);
      if (a == NULL)
        return NULL;
      g_ptr_array_add (arrays, a);
    }
  return g_steal_pointer (&arrays);
}

GoldenCase *
golden_case_read (const char *folder, GError **error)
{
  g_autoptr (GoldenCase) self = g_new0 (GoldenCase, 1);
  g_autofree char *path = g_build_filename (folder, "case.json", NULL);
  g_autofree char *parent = g_path_get_dirname (folder);
  g_autofree char *text = NULL;
  JsonObject *object;
  gsize size;

  if (!g_file_get_contents (path, &text, &size, error))
    return NULL;
  self->root = atl_json_parse (text, size, path, error);
  if (self->root == NULL)
    return NULL;
  if (!JSON_NODE_HOLDS_OBJECT (self->root))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s is no golden case", path);
      return NULL;
    }
  object = json_node_get_object (self->root);
  self->folder = g_strdup (folder);
  self->family_folder = g_path_get_dirname (parent);
  self->name = atl_json_string (object, "name", "?");
  self->kind = atl_json_string (object, "kind", "?");
  self->model = atl_json_string (object, "model", NULL);
  self->component = atl_json_string (object, "component", NULL);
  self->architecture = atl_json_string (object, "architecture", NULL);
  self->params = atl_json_object (object, "params");
  self->tolerance = atl_json_double (atl_json_object (object, "tolerance"), "rel_l2", 1e-4);
  self->tolerance_quantised =
      atl_json_double (atl_json_object (object, "tolerance_quantized_activations"), "rel_l2", 0.0);
  self->inputs = read_arrays (folder, "inputs.safetensors", FALSE, error);
  if (self->inputs == NULL)
    return NULL;
  self->expected = read_arrays (folder, "expected.safetensors", TRUE, error);
  if (self->expected == NULL)
    return NULL;
  return g_steal_pointer (&self);
}

void
golden_case_free (GoldenCase *self)
{
  if (self == NULL)
    return;
  g_free (self->folder);
  g_free (self->family_folder);
  g_clear_pointer (&self->root, json_node_unref);
  g_clear_pointer (&self->inputs, g_ptr_array_unref);
  g_clear_pointer (&self->expected, g_ptr_array_unref);
  g_free (self);
}

static gboolean
is_model_file (const char *name)
{
  return g_str_has_suffix (name, ".safetensors") || g_str_has_suffix (name, ".gguf") ||
         g_strcmp0 (name, "config.json") == 0 || g_str_has_suffix (name, ".index.json");
}

AtlCheckpoint *
golden_open (const GoldenCase *self, const char *path, const char *component, GError **error)
{
  g_autofree char *full = g_build_filename (self->family_folder, path, component, NULL);
  g_autoptr (GPtrArray) maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autoptr (GDir) dir = NULL;
  const char *name;

  if (!g_file_test (full, G_FILE_TEST_IS_DIR))
    {
      AtlFileMap *map = atl_file_map_new (full, error);
      if (map == NULL)
        return NULL;
      g_ptr_array_add (maps, map);
      return atl_checkpoint_open ((AtlFileMap *const *) maps->pdata, NULL, 1, error);
    }
  dir = g_dir_open (full, 0, error);
  if (dir == NULL)
    return NULL;
  while ((name = g_dir_read_name (dir)) != NULL)
    if (is_model_file (name))
      {
        g_autofree char *file = g_build_filename (full, name, NULL);
        AtlFileMap *map = atl_file_map_new (file, error);
        if (map == NULL)
          return NULL;
        g_ptr_array_add (maps, map);
        g_ptr_array_add (names, (gpointer) atl_file_map_name (map));
      }
  if (maps->len == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, "%s holds no model files", full);
      return NULL;
    }
  return atl_checkpoint_open ((AtlFileMap *const *) maps->pdata, (const char *const *) names->pdata,
                              maps->len, error);
}

double
golden_tolerance (const GoldenCase *c, const GoldenBackend *backend)
{
  if (backend->exact)
    return c->tolerance;
  return MAX (c->tolerance_quantised, FAST_TOLERANCE);
}

static void
print_row (const GoldenReport *report,
           const GoldenCase *c,
           const char *backend,
           const char *output,
           double rel_l2,
           double tolerance,
           const char *verdict)
{
  if (report->json)
    {
      g_autoptr (JsonBuilder) b = json_builder_new ();
      g_autoptr (JsonNode) root = NULL;
      g_autofree char *text = NULL;

      json_builder_begin_object (b);
      json_builder_set_member_name (b, "name");
      json_builder_add_string_value (b, c->name);
      json_builder_set_member_name (b, "backend");
      json_builder_add_string_value (b, backend);
      json_builder_set_member_name (b, "output");
      json_builder_add_string_value (b, output);
      if (isfinite (rel_l2))
        {
          json_builder_set_member_name (b, "rel_l2");
          json_builder_add_double_value (b, rel_l2);
        }
      json_builder_set_member_name (b, "tolerance");
      json_builder_add_double_value (b, tolerance);
      json_builder_set_member_name (b, "verdict");
      json_builder_add_string_value (b, verdict);
      json_builder_end_object (b);
      root = json_builder_get_root (b);
      text = json_to_string (root, FALSE);
      g_print ("%s\n", text);
    }
  else
    g_print ("%s %s %s %.3g %.3g %s\n", c->name, backend, output, rel_l2, tolerance, verdict);
}

void
golden_report_result (GoldenReport *report,
                      const GoldenCase *c,
                      const GoldenBackend *backend,
                      const char *output,
                      double rel_l2,
                      double tolerance)
{
  gboolean ok = rel_l2 <= tolerance;

  if (ok)
    report->n_ok++;
  else
    report->n_failed++;
  print_row (report, c, backend->name, output, rel_l2, tolerance, ok ? "ok" : "FAIL");
}

void
golden_report_error (GoldenReport *report,
                     const GoldenCase *c,
                     const GoldenBackend *backend,
                     const GError *error)
{
  gboolean missing = g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);

  if (missing)
    report->n_missing++;
  else
    report->n_failed++;
  print_row (report, c, backend->name, "-", NAN, c->tolerance, missing ? "MISSING" : "FAIL");
  g_printerr ("%s: %s\n", c->name, error->message);
}
