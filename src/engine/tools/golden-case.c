/* Reading golden cases, running them and counting results. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/golden-case.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json-bounded.h"
#include "base/write-all.h"
#include "engine/formats/open.h"

#define MAX_DEPTH 8
/* Many times what all families have. */
#define MAX_NAMES 20000

/* A backend with reduced precision states its own tolerance: products with 15-bit activations or
 * split bf16 stay below 1e-3 on random models. The cases' own "tolerance_quantized_activations" is
 * for engines that round activations to 8 bits, which this one does not do. */
#define FAST_TOLERANCE 2e-3

/* Clips of several steps have six dimensions, one more than tensors here: the last ones are taken
 * together, in the header's own text. TRUE if something was changed. */
static gboolean
merge_dimensions (char *data, gsize size)
{
  static const char key[] = "\"shape\":[";
  guint64 header = 0;
  gboolean changed = FALSE;
  char *end;

  if (size < 8)
    return FALSE;
  for (guint i = 0; i < 8; i++)
    header |= (guint64) (guint8) data[i] << (8 * i);
  end = data + 8 + MIN (header, size - 8);
  for (char *p = data + 8; (p = g_strstr_len (p, end - p, key)) != NULL;)
    {
      char *list = p + strlen (key), *close = memchr (list, ']', end - list);
      g_autofree char *text = NULL;
      g_auto (GStrv) dims = NULL;
      guint64 last = 1;
      gsize n;

      if (close == NULL)
        break;
      text = g_strndup (list, close - list);
      dims = g_strsplit (text, ",", -1);
      p = close;
      if (g_strv_length (dims) <= ATL_MAX_DIMS)
        continue;
      for (guint i = ATL_MAX_DIMS - 1; dims[i] != NULL; i++)
        last *= g_ascii_strtoull (dims[i], NULL, 10);
      g_free (dims[ATL_MAX_DIMS - 1]);
      dims[ATL_MAX_DIMS - 1] = g_strdup_printf ("%" G_GUINT64_FORMAT, last);
      for (guint i = ATL_MAX_DIMS; dims[i] != NULL; i++)
        g_clear_pointer (&dims[i], g_free);
      g_free (text);
      text = g_strjoinv (",", dims);
      n = strlen (text);
      /* A product has at most as many digits as its factors. */
      memset (list, ' ', close - list);
      memcpy (list, text, MIN (n, (gsize) (close - list)));
      changed = TRUE;
    }
  return changed;
}

static AtlFileMap *
map_arrays (const char *path, GError **error)
{
  g_autofree char *data = NULL;
  AtlFileMap *map;
  gsize size;
  int fd;

  if (!g_file_get_contents (path, &data, &size, error))
    return NULL;
  if (!merge_dimensions (data, size))
    return atl_file_map_new (path, error);
  fd = memfd_create ("golden", MFD_CLOEXEC);
  if (fd < 0 || !atl_write_all (fd, data, size))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "%s could not be copied to memory", path);
      if (fd >= 0)
        close (fd);
      return NULL;
    }
  map = atl_file_map_new_from_fd (fd, path, error);
  close (fd);
  return map;
}

static GPtrArray *
read_arrays (const char *folder, const char *file, gboolean required, GError **error)
{
  g_autofree char *path = g_build_filename (folder, file, NULL);
  g_autoptr (GPtrArray) arrays = atl_arrays_new ();
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (AtlCheckpoint) cp = NULL;

  if (!required && !g_file_test (path, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&arrays);
  map = map_arrays (path, error);
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

/* Some cases were written by a program that spells numbers which JSON lacks: infinities become very
 * large, and what is no number 0. */
static void
blank_non_finite (char *text)
{
  static const char *const words[][2] = { { "-Infinity", "-1e99" },
                                          { "Infinity", "1e99" },
                                          { "NaN", "0" } };
  gboolean quoted = FALSE;

  for (char *p = text; *p != '\0'; p++)
    {
      if (quoted && *p == '\\' && p[1] != '\0')
        p++;
      else if (*p == '"')
        quoted = !quoted;
      for (gsize i = 0; !quoted && i < G_N_ELEMENTS (words); i++)
        if (g_str_has_prefix (p, words[i][0]))
          {
            memset (p, ' ', strlen (words[i][0]));
            memcpy (p, words[i][1], strlen (words[i][1]));
          }
    }
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
  blank_non_finite (text);
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
  return g_steal_pointer (&self);
}

gboolean
golden_case_load (GoldenCase *self, GError **error)
{
  self->inputs = read_arrays (self->folder, "inputs.safetensors", FALSE, error);
  if (self->inputs == NULL)
    return FALSE;
  self->expected = read_arrays (self->folder, "expected.safetensors", TRUE, error);
  return self->expected != NULL;
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
         g_str_has_suffix (name, "config.json") || g_str_has_suffix (name, ".index.json");
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
  return backend->exact ? c->tolerance : MAX (c->tolerance, FAST_TOLERANCE);
}

void
golden_report_result (GoldenReport *report,
                      const GoldenCase *c,
                      const GoldenBackend *backend,
                      const char *output,
                      double rel_l2,
                      double tolerance)
{
  gboolean ok = rel_l2 <= tolerance; /* false for NAN */
  GoldenRow row = {
    c->name, backend->name, output, rel_l2, tolerance, ok ? "ok" : "FAIL", NULL,
  };

  if (ok)
    report->n_ok++;
  else
    report->n_failed++;
  report->row (&row, report->user_data);
}

void
golden_report_outputs (GoldenReport *report,
                       const GoldenCase *c,
                       const GoldenBackend *backend,
                       GPtrArray *outputs)
{
  for (guint i = 0; i < c->expected->len; i++)
    {
      const AtlArray *expected = c->expected->pdata[i];
      AtlArray *got = atl_arrays_find (outputs, expected->name);

      /* A clip of one frame is a picture. */
      if (got == NULL && g_str_equal (expected->name, "video") && expected->dim[0] == 1)
        got = atl_arrays_find (outputs, "image");
      if (!g_str_has_prefix (expected->name, "debug_"))
        golden_report_result (report, c, backend, expected->name,
                              got != NULL ? atl_array_rel_l2 (got, expected) : INFINITY,
                              golden_tolerance (c, backend));
    }
}

void
golden_report_error (GoldenReport *report,
                     const GoldenCase *c,
                     const GoldenBackend *backend,
                     const GError *error)
{
  gboolean missing = g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  GoldenRow row = {
    c->name, backend->name, "-", NAN, c->tolerance, missing ? "MISSING" : "FAIL", error->message,
  };

  if (missing)
    report->n_missing++;
  else
    report->n_failed++;
  report->row (&row, report->user_data);
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (*(char *const *) a, *(char *const *) b);
}

/* FALSE when there are too many names; `n_names` counts them. */
static gboolean
find_cases (GPtrArray *found, const char *folder, guint depth, guint *n_names)
{
  g_autofree char *file = g_build_filename (folder, "case.json", NULL);
  g_autoptr (GDir) dir = NULL;
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  if (g_file_test (file, G_FILE_TEST_IS_REGULAR))
    {
      g_ptr_array_add (found, g_strdup (folder));
      return TRUE;
    }
  if (depth == 0 || (dir = g_dir_open (folder, 0, NULL)) == NULL)
    return TRUE;
  while ((name = g_dir_read_name (dir)) != NULL && ++*n_names <= MAX_NAMES)
    g_ptr_array_add (names, g_build_filename (folder, name, NULL));
  if (*n_names > MAX_NAMES)
    return FALSE;
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++)
    if (g_file_test (names->pdata[i], G_FILE_TEST_IS_DIR) &&
        !find_cases (found, names->pdata[i], depth - 1, n_names))
      return FALSE;
  return TRUE;
}

GPtrArray *
golden_find_cases (const char *folder, GError **error)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);
  guint n_names = 0;

  if (find_cases (found, folder, MAX_DEPTH, &n_names))
    return g_steal_pointer (&found);
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               "%s holds more than %u names: name the folder with the cases itself", folder,
               (guint) MAX_NAMES);
  return NULL;
}

typedef void (*RunFunc) (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend);

static RunFunc
function_for (const char *kind)
{
  static const struct
  {
    const char *kind;
    RunFunc run;
  } kinds[] = {
    { "llm", golden_run_llm },
    { "forward", golden_run_component },
    { "forward_sequence", golden_run_sequence },
    { "encode_text", golden_run_component },
    { "encode_image", golden_run_component },
    { "vae_encode", golden_run_component },
    { "vae_decode", golden_run_component },
    { "upscale", golden_run_component },
    { "schedule", golden_run_schedule },
    { "pipeline", golden_run_pipeline },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (g_str_equal (kinds[i].kind, kind))
      return kinds[i].run;
  return NULL;
}

gboolean
golden_kind_is_known (const char *kind)
{
  return function_for (kind) != NULL;
}

void
golden_run_case (GoldenReport *report,
                 const char *folder,
                 const char *only,
                 const GoldenBackend *backends,
                 guint n_backends)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GoldenCase) c = golden_case_read (folder, &error);
  RunFunc run = NULL;

  if (c != NULL)
    {
      if (only != NULL && !g_pattern_match_simple (only, c->name))
        return;
      run = function_for (c->kind);
      /* The arrays of other kinds may be of shapes that only those kinds can read. */
      if (run == NULL)
        g_set_error (&error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                     "cases of the kind “%s” cannot be run yet", c->kind);
      else
        golden_case_load (c, &error);
    }
  for (guint i = 0; i < n_backends; i++)
    {
      report->n_cases++;
      if (error == NULL)
        run (report, c, &backends[i]);
      else
        {
          const GoldenCase broken = { .name = folder };
          golden_report_error (report, c != NULL ? c : &broken, &backends[i], error);
        }
    }
}
