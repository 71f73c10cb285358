/* Tiny models for tests. */
#include "model-fixture.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

#include "engine/formats/gguf.h"
#include "engine/formats/open.h"
#include "engine/tensor/cpu/cpu.h"

static AtlBackend *cpus[2];
static AtlBackend *alone;

char *
model_fixture_path (const char *family, const char *file)
{
  const char *source = g_getenv ("ATELIER_SOURCE");
  g_autofree char *script = g_build_filename (source, "tests", "golden", "unpack", NULL);
  g_autofree char *folder =
      g_test_build_filename (G_TEST_BUILT, "golden", "unpacked", "shipped", NULL);
  const char *argv[] = { script, folder, family, NULL };
  g_autoptr (GError) error = NULL;
  int status = -1;

  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  g_spawn_check_wait_status (status, &error);
  g_assert_no_error (error);
  return g_build_filename (folder, family, file, NULL);
}

AtlCheckpoint *
model_fixture_open_path (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = atl_file_map_new (path, &error);
  AtlCheckpoint *cp;

  g_assert_no_error (error);
  cp = atl_gguf_open (&map, 1, &error);
  g_assert_no_error (error);
  return cp;
}

AtlCheckpoint *
model_fixture_open (const char *family, const char *file)
{
  g_autofree char *path = model_fixture_path (family, file);

  return model_fixture_open_path (path);
}

static gint
compare (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static void
add_family (GPtrArray *paths, const char *family)
{
  g_autofree char *whole = g_build_filename (family, "model.gguf", NULL);
  g_autofree char *variants = g_build_filename (family, "variants", NULL);
  g_autoptr (GDir) forms = g_dir_open (variants, 0, NULL);
  const char *form;

  if (g_file_test (whole, G_FILE_TEST_EXISTS))
    g_ptr_array_add (paths, g_steal_pointer (&whole));
  while (forms != NULL && (form = g_dir_read_name (forms)) != NULL)
    {
      g_autofree char *path = g_build_filename (variants, form, "model.gguf", NULL);

      if (g_file_test (path, G_FILE_TEST_EXISTS))
        g_ptr_array_add (paths, g_steal_pointer (&path));
    }
}

/* What is unpacked elsewhere, but for families that are there already. */
static void
add_elsewhere (GPtrArray *paths, GHashTable *families)
{
  const char *path = g_getenv ("ATELIER_GOLDEN_PATH");
  g_auto (GStrv) folders = g_strsplit (path != NULL ? path : "", ":", -1);

  for (guint i = 0; folders[i] != NULL; i++)
    {
      g_autoptr (GDir) dir = g_dir_open (folders[i], 0, NULL);
      const char *name;

      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        {
          g_autofree char *family = g_build_filename (folders[i], name, NULL);

          if (g_str_has_prefix (name, "llm-") && g_hash_table_add (families, g_strdup (name)))
            add_family (paths, family);
        }
    }
}

GPtrArray *
model_fixture_models (void)
{
  g_autofree char *folder = g_build_filename (g_getenv ("ATELIER_SOURCE"), "tests", "golden", NULL);
  g_autoptr (GHashTable) families = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GDir) archives = NULL;
  g_autoptr (GError) error = NULL;
  GPtrArray *paths = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  archives = g_dir_open (folder, 0, &error);
  g_assert_no_error (error);
  while ((name = g_dir_read_name (archives)) != NULL)
    {
      g_autofree char *family = g_strndup (name, strcspn (name, "."));
      g_autofree char *whole = NULL;
      g_autofree char *unpacked = NULL;

      if (!g_str_has_prefix (name, "llm-") || !g_str_has_suffix (name, ".tar.xz"))
        continue;
      whole = model_fixture_path (family, "model.gguf");
      unpacked = g_path_get_dirname (whole);
      add_family (paths, unpacked);
      g_hash_table_add (families, g_steal_pointer (&family));
    }
  add_elsewhere (paths, families);
  g_ptr_array_sort (paths, compare);
  return paths;
}

AtlCheckpoint *
model_fixture_open_folder (const char *path)
{
  g_autoptr (GPtrArray) maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (path, 0, &error);
  AtlCheckpoint *cp;
  const char *name;

  g_assert_no_error (error);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);

      if (!g_str_has_suffix (name, ".json") && !g_str_has_suffix (name, ".safetensors"))
        continue;
      g_ptr_array_add (maps, atl_file_map_new (file, &error));
      g_assert_no_error (error);
    }
  cp = atl_checkpoint_open ((AtlFileMap **) maps->pdata, NULL, maps->len, &error);
  g_assert_no_error (error);
  return cp;
}

static void
add_if_folder (GPtrArray *paths, char *path)
{
  g_autofree char *config = g_build_filename (path, "config.json", NULL);

  if (g_file_test (config, G_FILE_TEST_EXISTS))
    g_ptr_array_add (paths, path);
  else
    g_free (path);
}

GPtrArray *
model_fixture_folders (void)
{
  static const char *const archives[] = { "llm-hf-families", "llm-hf-folder" };
  GPtrArray *paths = g_ptr_array_new_with_free_func (g_free);

  for (gsize i = 0; i < G_N_ELEMENTS (archives); i++)
    {
      g_autofree char *variants = model_fixture_path (archives[i], "variants");
      g_autoptr (GDir) dir = g_dir_open (variants, 0, NULL);
      const char *name;

      add_if_folder (paths, model_fixture_path (archives[i], "model"));
      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        add_if_folder (paths, g_build_filename (variants, name, NULL));
    }
  return paths;
}

AtlBackend *
model_fixture_cpu (gboolean exact)
{
  AtlCpuOptions options = { .n_threads = 2, .best_level = TRUE, .exact = exact };
  g_autoptr (GError) error = NULL;

  if (cpus[exact] == NULL)
    cpus[exact] = atl_cpu_backend_new (&options, &error);
  g_assert_no_error (error);
  return cpus[exact];
}

AtlBackend *
model_fixture_one_thread (void)
{
  AtlCpuOptions options = { .n_threads = 1, .best_level = TRUE, .exact = TRUE };
  g_autoptr (GError) error = NULL;

  if (alone == NULL)
    alone = atl_cpu_backend_new (&options, &error);
  g_assert_no_error (error);
  return alone;
}

void
model_fixture_end (void)
{
  g_clear_pointer (&alone, atl_backend_free);
  for (gsize i = 0; i < G_N_ELEMENTS (cpus); i++)
    g_clear_pointer (&cpus[i], atl_backend_free);
}

AtlLlm *
model_fixture_load (AtlCheckpoint *cp, AtlBackend *backend)
{
  g_autoptr (GError) error = NULL;
  AtlLlm *llm = atl_llm_new (cp, &backend, 1, NULL, NULL, NULL, NULL, &error);

  g_assert_no_error (error);
  return llm;
}

const float *
model_fixture_feed (AtlLlm *llm, AtlLlmCache *cache, const gint32 *ids, guint n)
{
  AtlLlmBatch batch = { cache, ids, n, FALSE };
  g_autoptr (GError) error = NULL;

  atl_llm_decode (llm, &batch, 1, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (atl_llm_n_logits (llm), ==, 1);
  return atl_llm_logits (llm, 0);
}

static struct
{
  AtlBackendClass klass;
  const AtlBackendClass *original;
  guint n_until;
  GCancellable *cancellable;
  gboolean half_way;
} trap;

static gboolean
trapped_run (AtlBackend *self,
             AtlNode *const *nodes,
             guint n_nodes,
             AtlBuffer *scratch,
             GCancellable *cancellable,
             GError **error)
{
  if (trap.n_until-- == 0)
    {
      /* Far enough for states to have been written. */
      if (trap.half_way &&
          !trap.original->run (self, nodes, n_nodes / 2, scratch, cancellable, error))
        return FALSE;
      if (trap.cancellable == NULL)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_DEVICE, "The device stopped answering");
          return FALSE;
        }
      g_cancellable_cancel (trap.cancellable);
    }
  return trap.original->run (self, nodes, n_nodes, scratch, cancellable, error);
}

void
model_fixture_trap (AtlBackend *backend,
                    guint n_until,
                    GCancellable *cancellable,
                    gboolean half_way)
{
  trap.original = backend->klass;
  trap.klass = *backend->klass;
  trap.klass.run = trapped_run;
  trap.n_until = n_until;
  trap.cancellable = cancellable;
  trap.half_way = half_way;
  backend->klass = &trap.klass;
}

void
model_fixture_trap_end (AtlBackend *backend)
{
  backend->klass = trap.original;
}

AtlArray *
model_fixture_run_unet (AtlComponent *unet, gint64 n_context)
{
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  const struct
  {
    const char *name;
    guint n_dims;
    gint64 dim[4];
  } inputs[] = { { "latent", 4, { 1, 4, 8, 8 } },
                 { "timestep", 1, { 1 } },
                 { "context", 3, { 1, 7, n_context } } };
  g_autoptr (GPtrArray) outputs = NULL;
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (inputs); i++)
    {
      AtlArray *a = atl_array_new (inputs[i].name, ATL_DTYPE_F32, inputs[i].n_dims, inputs[i].dim);

      for (gint64 k = 0; k < atl_array_n_elems (a); k++)
        atl_array_f32 (a)[k] = (float) (k % 13) / 7 - 0.5f + (float) (i == 1) * 500;
      atl_request_add (request, a);
    }
  outputs = atl_component_run (unet, request, NULL, &error);
  g_assert_no_error (error);
  return g_ptr_array_steal_index (outputs, 0);
}

double
model_fixture_distance (const float *a, const float *b, guint n)
{
  double difference = 0.0, norm = 0.0;

  for (guint i = 0; i < n; i++)
    {
      difference += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
      norm += (double) b[i] * b[i];
    }
  return isfinite (difference) && norm > 0.0 ? sqrt (difference / norm) : INFINITY;
}

guint64
model_fixture_peak (void)
{
#ifdef __SANITIZE_ADDRESS__
  return 0;
#else
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  return (guint64) usage.ru_maxrss * 1024;
#endif
}
