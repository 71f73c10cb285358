/* Models that other applications brought to this computer: where each keeps them, and Ollama's
 * lists, whose files have hashes for names. */
#define G_LOG_DOMAIN "atl-hub"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json-bounded.h"
#include "hub/library.h"
#include "hub/part-file.h"

#define MAX_MANIFEST_BYTES (1 << 20)
#define MAX_MANIFESTS 5000

void
atl_other_app_free (AtlOtherApp *app)
{
  if (app == NULL)
    return;
  g_free (app->app);
  g_free (app->folder);
  g_clear_pointer (&app->models, g_ptr_array_unref);
  g_free (app);
}

/* Adds the models of `folder` to the list, unless there are none. Takes `models`. */
static void
add_app (GPtrArray *apps, const char *app, const char *folder, GPtrArray *models)
{
  AtlOtherApp *entry;

  if (models->len == 0)
    {
      g_ptr_array_unref (models);
      return;
    }
  entry = g_new0 (AtlOtherApp, 1);
  entry->app = g_strdup (app);
  entry->folder = g_strdup (folder);
  entry->models = models;
  for (guint i = 0; i < models->len; i++)
    {
      AtlModelFile *model = models->pdata[i];

      g_free (model->origin);
      model->origin = g_strdup (app);
      model->reference = FALSE;
      entry->size_bytes += model->size_bytes;
    }
  g_ptr_array_add (apps, entry);
}

static gboolean
add_folder (
    GPtrArray *apps, const char *app, const char *folder, GCancellable *cancellable, GError **error)
{
  GPtrArray *models = atl_library_scan (folder, cancellable, error);

  if (models == NULL)
    return FALSE;
  add_app (apps, app, folder, models);
  return TRUE;
}

/* --- Ollama: manifests/HOST/NAMESPACE/NAME/TAG is JSON that names blobs/sha256-HEX --- */

/* The layer that is the model: its blob, or NULL. */
static AtlModelFile *
read_manifest (const char *root, const char *path, const char *name)
{
  g_autofree char *text = NULL, *blob = NULL, *file = NULL;
  g_autoptr (JsonNode) node = NULL;
  JsonArray *layers;
  GStatBuf st;
  gsize size;

  if (g_stat (path, &st) != 0 || !S_ISREG (st.st_mode) || st.st_size > MAX_MANIFEST_BYTES ||
      !g_file_get_contents (path, &text, &size, NULL))
    return NULL;
  node = atl_json_parse (text, size, path, NULL);
  if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node))
    return NULL;
  layers = atl_json_array (json_node_get_object (node), "layers");
  for (guint i = 0; layers != NULL && i < json_array_get_length (layers); i++)
    {
      JsonNode *element = json_array_get_element (layers, i);
      JsonObject *layer = JSON_NODE_HOLDS_OBJECT (element) ? json_node_get_object (element) : NULL;
      const char *digest = atl_json_string (layer, "digest", "");
      AtlModelFile *model;

      /* The digest becomes a file name: it must be one, whatever the file says. */
      if (g_strcmp0 (atl_json_string (layer, "mediaType", NULL),
                     "application/vnd.ollama.image.model") != 0 ||
          !g_str_has_prefix (digest, "sha256:") || !atl_hub_is_sha256 (digest + strlen ("sha256:")))
        continue;
      blob = g_strconcat ("sha256-", digest + strlen ("sha256:"), NULL);
      file = g_build_filename (root, "blobs", blob, NULL);
      if (g_stat (file, &st) != 0 || !S_ISREG (st.st_mode))
        return NULL;
      model = g_new0 (AtlModelFile, 1);
      model->path = g_steal_pointer (&file);
      model->name = g_filename_display_name (name);
      model->size_bytes = (guint64) st.st_size;
      model->changed_us = atl_model_file_changed (&st);
      model->n_files = model->n_expected = 1;
      return model;
    }
  return NULL;
}

/* Walks host/namespace/name/tag; `name` is "name:tag" with the namespace unless it is "library". */
static void
walk_manifests (
    const char *root, const char *folder, guint depth, const char *name, GPtrArray *models)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *entry;

  while (dir != NULL && (entry = g_dir_read_name (dir)) != NULL && models->len < MAX_MANIFESTS)
    {
      g_autofree char *path = g_build_filename (folder, entry, NULL);
      g_autofree char *below = NULL;

      if (depth == 0 || (depth == 1 && g_str_equal (entry, "library")))
        below = g_strdup ("");
      else if (depth == 3)
        below = g_strconcat (name, ":", entry, NULL);
      else
        below = g_strconcat (name, name[0] != '\0' ? "/" : "", entry, NULL);
      if (depth < 3)
        walk_manifests (root, path, depth + 1, below, models);
      else
        {
          AtlModelFile *model = read_manifest (root, path, below);

          if (model != NULL)
            g_ptr_array_add (models, model);
        }
    }
}

static void
add_ollama (GPtrArray *apps, const char *root)
{
  g_autofree char *manifests = g_build_filename (root, "manifests", NULL);
  GPtrArray *models = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_model_file_free);

  walk_manifests (root, manifests, 0, "", models);
  add_app (apps, "Ollama", root, models);
}

/* --- Hugging Face: models--ORG--NAME/snapshots/COMMIT/FILE, links into blobs --- */

static gboolean
add_hugging_face (GPtrArray *apps, const char *hub, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_model_file_free);
  g_autoptr (GDir) dir = g_dir_open (hub, 0, NULL);
  const char *entry;

  while (dir != NULL && (entry = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *folder = g_build_filename (hub, entry, "snapshots", NULL);
      g_autoptr (GPtrArray) models = NULL;
      const char *repo;

      if (!g_str_has_prefix (entry, "models--"))
        continue;
      models = atl_library_scan (folder, cancellable, error);
      if (models == NULL)
        return FALSE;
      repo = g_strrstr (entry, "--") + 2;
      for (guint i = 0; i < models->len; i++)
        {
          AtlModelFile *model = atl_model_file_copy (models->pdata[i]);
          g_autofree char *parent = g_path_get_dirname (model->path);
          g_autofree char *commit = g_path_get_basename (parent);

          /* A name that was taken from the folder is the commit here. */
          if (g_str_equal (model->name, commit))
            {
              g_free (model->name);
              model->name = g_filename_display_name (repo);
            }
          g_ptr_array_add (all, model);
        }
    }
  add_app (apps, "Hugging Face", hub, g_steal_pointer (&all));
  return TRUE;
}

static char *
below (const char *base, const char *path)
{
  return g_build_filename (base, path, NULL);
}

GPtrArray *
atl_other_apps_find (GCancellable *cancellable, GError **error)
{
  static const struct
  {
    const char *app, *path; /* below the home folder */
  } places[] = {
    { "LM Studio", ".lmstudio/models" },
    { "LM Studio", ".cache/lm-studio/models" },
    { "Jan", ".local/share/Jan/data" },
    { "GPT4All", ".local/share/nomic.ai/GPT4All" },
    { "ComfyUI", "ComfyUI/models" },
    { "Stable Diffusion web UI", "stable-diffusion-webui/models" },
  };
  g_autoptr (GPtrArray) apps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_other_app_free);
  const char *home = g_get_home_dir ();
  const char *ollama = g_getenv ("OLLAMA_MODELS"), *hf_home = g_getenv ("HF_HOME");
  g_autofree char *ollama_home = below (home, ".ollama/models");
  g_autofree char *hub =
      hf_home != NULL ? below (hf_home, "hub") : below (g_get_user_cache_dir (), "huggingface/hub");

  if (ollama != NULL)
    add_ollama (apps, ollama);
  else
    {
      add_ollama (apps, ollama_home);
      add_ollama (apps, "/usr/share/ollama/.ollama/models");
    }
  if (!add_hugging_face (apps, hub, cancellable, error))
    return NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (places); i++)
    {
      g_autofree char *folder = below (home, places[i].path);

      if (!add_folder (apps, places[i].app, folder, cancellable, error))
        return NULL;
    }
  return g_steal_pointer (&apps);
}

static void
find_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  GError *error = NULL;
  GPtrArray *apps = atl_other_apps_find (cancellable, &error);

  if (apps != NULL)
    g_task_return_pointer (task, apps, (GDestroyNotify) g_ptr_array_unref);
  else
    g_task_return_error (task, error);
}

void
atl_other_apps_find_async (GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);

  g_task_set_source_tag (task, atl_other_apps_find_async);
  g_task_run_in_thread (task, find_thread);
}

GPtrArray *
atl_other_apps_find_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
