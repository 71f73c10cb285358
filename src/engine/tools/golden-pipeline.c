/* Golden cases of whole pipelines: from a prompt to a picture or clip. */
#define G_LOG_DOMAIN "atl-tools"

#include "base/json-bounded.h"
#include "engine/diffusion/model.h"
#include "engine/tools/golden-case.h"

#define MAX_LORAS 8

/* The denoiser of another folder, where the case names one for its last steps. */
static gboolean
add_refiner (GoldenFiles *self, const GoldenCase *c, GError **error)
{
  const char *folder = atl_json_string (c->params, "refine_model", NULL);
  g_autofree char *path =
      folder != NULL ? g_build_filename (c->family_folder, folder, "transformer", NULL) : NULL;

  return path == NULL || golden_files_add (self, path, "refiner", error);
}

/* The case's model: a folder, a file, or a folder whose "components" say each part's file. */
static gboolean
add_model (GoldenFiles *self, const GoldenCase *c, GError **error)
{
  g_autofree char *path = g_build_filename (c->family_folder, c->model, NULL);
  JsonObject *components = atl_json_object (c->params, "components");
  g_autoptr (GList) roles = components != NULL ? json_object_get_members (components) : NULL;

  if (roles == NULL)
    {
      g_autofree char *base = g_path_get_basename (path);

      return golden_files_add (self, path, g_file_test (path, G_FILE_TEST_IS_DIR) ? "" : base,
                               error) &&
             add_refiner (self, c, error);
    }
  for (GList *l = roles; l != NULL; l = l->next)
    {
      const char *file = atl_json_string (components, l->data, "");
      g_autofree char *full = g_build_filename (path, file, NULL);
      g_autofree char *base = g_path_get_basename (file);
      g_autofree char *logical = g_file_test (full, G_FILE_TEST_IS_DIR)
                                     ? g_strdup (l->data)
                                     : g_build_filename (l->data, base, NULL);

      if (!golden_files_add (self, full, logical, error))
        return FALSE;
    }
  return TRUE;
}

/* The origins' two spellings of the same arguments. */
static AtlSettings *
read_settings (const GoldenCase *c)
{
  static const char *const spellings[][2] = { { "guidance_scale", "guidance" },
                                              { "num_inference_steps", "steps" },
                                              { "num_frames", "frames" } };
  AtlSettings *settings = atl_settings_new ();

  atl_settings_add_json (settings, c->params);
  for (gsize i = 0; i < G_N_ELEMENTS (spellings); i++)
    if (atl_settings_has (settings, spellings[i][0]))
      atl_settings_set_number (settings, spellings[i][1],
                               atl_settings_number (settings, spellings[i][0], 0));
  return settings;
}

/* With ATELIER_GOLDEN_TRACE, how far each intermediate result is from the case's "debug_" one. */
static void
trace_cb (const char *name, const AtlArray *value, gpointer user_data)
{
  const GoldenCase *c = user_data;
  g_autofree char *full = g_strconcat ("debug_", name, NULL);
  const AtlArray *expected = atl_arrays_find (c->expected, full);

  if (expected != NULL)
    g_printerr ("%s %s %g\n", c->name, full, atl_array_rel_l2 (value, expected));
}

static gboolean
run (GoldenReport *report,
     const GoldenCase *c,
     const GoldenBackend *backend,
     AtlCheckpoint **lora_checkpoints,
     GError **error)
{
  g_auto (GoldenFiles) files = { NULL, NULL };
  g_autoptr (AtlDiffusionModel) model = NULL;
  g_autoptr (AtlSettings) settings = read_settings (c);
  g_autoptr (GPtrArray) outputs = NULL;
  AtlRunHooks hooks = { .trace = trace_cb, .user_data = (gpointer) c };
  AtlLoraFile loras[MAX_LORAS];
  guint n_loras = 0;
  gboolean is_traced = g_getenv ("ATELIER_GOLDEN_TRACE") != NULL;

  if (!add_model (&files, c, error) ||
      !golden_open_loras (c, loras, lora_checkpoints, MAX_LORAS, &n_loras, error))
    return FALSE;
  model = atl_diffusion_model_open ((AtlFileMap *const *) files.maps->pdata,
                                    (const char *const *) files.names->pdata, files.maps->len,
                                    c->architecture, error);
  if (model == NULL)
    return FALSE;
  atl_diffusion_model_use (model, backend->list, backend->n);
  atl_diffusion_model_set_loras (model, loras, n_loras);
  outputs =
      atl_diffusion_model_run (model, settings, c->inputs, is_traced ? &hooks : NULL, NULL, error);
  if (outputs == NULL)
    return FALSE;
  golden_report_outputs (report, c, backend, outputs);
  return TRUE;
}

void
golden_run_pipeline (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend)
{
  AtlCheckpoint *lora_checkpoints[MAX_LORAS] = { NULL };
  g_autoptr (GError) error = NULL;

  if (!run (report, c, backend, lora_checkpoints, &error))
    golden_report_error (report, c, backend, error);
  for (guint i = 0; i < MAX_LORAS; i++)
    atl_checkpoint_unref (lora_checkpoints[i]);
}
