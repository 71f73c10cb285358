/* Finds model files below a folder; shards of one model are one entry. */
#define G_LOG_DOMAIN "atl-hub"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/sorted-folder.h"
#include "hub/library.h"
#include "hub/model-folder.h"
#include "hub/model-name.h"

#define MAX_DEPTH 6
#define MAX_ENTRIES 50000

typedef struct
{
  GPtrArray *models;   /* AtlModelFile */
  GHashTable *sharded; /* (owned) "folder/stem|n" -> AtlModelFile (borrowed) */
  GCancellable *cancellable;
  guint n_entries;
} Scan;

void
atl_model_file_free (AtlModelFile *file)
{
  if (file == NULL)
    return;
  g_free (file->path);
  g_free (file->name);
  g_free (file->origin);
  g_free (file);
}

AtlModelFile *
atl_model_file_copy (const AtlModelFile *file)
{
  AtlModelFile *copy = g_memdup2 (file, sizeof *file);

  copy->path = g_strdup (file->path);
  copy->name = g_strdup (file->name);
  copy->origin = g_strdup (file->origin);
  return copy;
}

gint64
atl_model_file_changed (const GStatBuf *st)
{
  return (gint64) st->st_mtim.tv_sec * G_USEC_PER_SEC + st->st_mtim.tv_nsec / 1000;
}

static void
add_size (AtlModelFile *model, const GStatBuf *st)
{
  model->size_bytes += (guint64) st->st_size;
  model->changed_us = MAX (model->changed_us, atl_model_file_changed (st));
}

const char *
atl_library_dir (void)
{
  static gsize dir = 0;

  if (g_once_init_enter (&dir))
    g_once_init_leave (
        &dir, (gsize) g_build_filename (g_get_user_data_dir (), "atelier", "models", NULL));
  return (const char *) dir;
}

/* "model.safetensors" says nothing: the folder's name does. */
static char *
name_for_people (const char *folder, const char *stem)
{
  static const char *const empty_words[] = { "model", "ggml-model", "pytorch_model",
                                             "diffusion_pytorch_model", "consolidated" };
  g_autofree char *shown = g_filename_display_name (stem);

  for (gsize i = 0; i < G_N_ELEMENTS (empty_words); i++)
    if (g_str_equal (stem, empty_words[i]))
      {
        g_autofree char *base = g_path_get_basename (folder);

        return g_filename_display_name (base);
      }
  return g_steal_pointer (&shown);
}

/* A network of the ncnn library, by its description; its weights lie beside it. */
static gboolean
add_pair (Scan *scan, const char *path)
{
  g_autofree char *weights = atl_model_pair_weights (path);
  AtlModelFile *model;
  GStatBuf st;

  if (weights == NULL)
    return FALSE;
  model = g_new0 (AtlModelFile, 1);
  model->path = g_strdup (path);
  model->name = g_filename_display_basename (path);
  *strrchr (model->name, '.') = '\0';
  model->n_files = model->n_expected = 2;
  if (g_stat (path, &st) == 0)
    add_size (model, &st);
  if (g_stat (weights, &st) == 0)
    add_size (model, &st);
  g_ptr_array_add (scan->models, model);
  return TRUE;
}

static void
add_file (Scan *scan, const char *folder, const char *file_name)
{
  g_auto (AtlModelName) name = { 0 };
  g_autofree char *path = g_build_filename (folder, file_name, NULL);
  g_autofree char *key = NULL;
  AtlModelFile *model = NULL;
  GStatBuf st, link;

  if (add_pair (scan, path) || !atl_model_name_parse (file_name, &name) ||
      g_stat (path, &st) != 0 || !S_ISREG (st.st_mode) || st.st_size == 0)
    return;
  if (name.n_shards > 0)
    {
      key = g_strdup_printf ("%s/%s|%u%s", folder, name.stem, name.n_shards, name.ending);
      model = g_hash_table_lookup (scan->sharded, key);
    }
  if (model == NULL)
    {
      model = g_new0 (AtlModelFile, 1);
      model->path = g_strdup (path);
      model->name = name_for_people (folder, name.stem);
      model->n_expected = MAX (name.n_shards, 1);
      model->reference = g_lstat (path, &link) == 0 && S_ISLNK (link.st_mode);
      g_ptr_array_add (scan->models, model);
      if (key != NULL)
        g_hash_table_insert (scan->sharded, g_steal_pointer (&key), model);
    }
  else if (strcmp (path, model->path) < 0)
    {
      g_free (model->path);
      model->path = g_strdup (path);
    }
  model->n_files++;
  add_size (model, &st);
}

/* The whole folder is one model. */
static void
add_folder (Scan *scan, const char *path)
{
  AtlModelFile *model = g_new0 (AtlModelFile, 1);
  g_auto (GStrv) names = atl_model_folder_files (path);
  GStatBuf st;

  model->path = g_strdup (path);
  model->name = g_filename_display_basename (path);
  model->reference = g_lstat (path, &st) == 0 && S_ISLNK (st.st_mode);
  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autofree char *file = g_build_filename (path, names[i], NULL);

      if (g_stat (file, &st) == 0)
        add_size (model, &st);
    }
  model->n_files = model->n_expected = g_strv_length (names);
  g_ptr_array_add (scan->models, model);
}

static gboolean
scan_folder (Scan *scan, const char *folder, guint depth, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  if (atl_model_folder_check (folder))
    {
      add_folder (scan, folder);
      return TRUE;
    }
  /* The model is the denoiser that they belong to. */
  if (atl_sorted_is_of_parts (folder))
    return TRUE;
  /* A folder that is gone or closed to us holds nothing for us. */
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      GStatBuf st;

      if (g_cancellable_set_error_if_cancelled (scan->cancellable, error))
        return FALSE;
      if (++scan->n_entries > MAX_ENTRIES)
        return TRUE;
      if (name[0] == '.' || g_lstat (path, &st) != 0)
        continue;
      /* Links to folders are not followed: they may lead in circles. One that is a model is one. */
      if (S_ISLNK (st.st_mode) && atl_model_folder_check (path))
        add_folder (scan, path);
      else if (!S_ISDIR (st.st_mode))
        add_file (scan, folder, name);
      else if (depth < MAX_DEPTH && !scan_folder (scan, path, depth + 1, error))
        return FALSE;
    }
  return TRUE;
}

static gint
by_name (gconstpointer a, gconstpointer b)
{
  const AtlModelFile *left = *(AtlModelFile *const *) a, *right = *(AtlModelFile *const *) b;
  g_autofree char *folded_left = g_utf8_casefold (left->name, -1);
  g_autofree char *folded_right = g_utf8_casefold (right->name, -1);
  int order = strcmp (folded_left, folded_right);

  return order != 0 ? order : strcmp (left->path, right->path);
}

/* One file: its model alone, with the shards beside it. */
static void
scan_file (Scan *scan, const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *base = g_path_get_basename (path);
  g_auto (AtlModelName) name = { 0 };

  if (add_pair (scan, path) || !atl_model_name_parse (base, &name))
    return;
  if (name.n_shards == 0)
    add_file (scan, folder, base);
  for (guint i = 1; i <= name.n_shards && i <= MAX_ENTRIES; i++)
    {
      g_autofree char *shard = atl_model_name_format (&name, name.stem, i);

      add_file (scan, folder, shard);
    }
}

GPtrArray *
atl_library_scan (const char *folder, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) models =
      g_ptr_array_new_with_free_func ((GDestroyNotify) atl_model_file_free);
  g_autoptr (GHashTable) sharded = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *absolute = g_canonicalize_filename (folder, NULL);
  Scan scan = { models, sharded, cancellable, 0 };

  if (g_file_test (absolute, G_FILE_TEST_IS_REGULAR))
    scan_file (&scan, absolute);
  else if (!scan_folder (&scan, absolute, 0, error))
    return NULL;
  g_ptr_array_sort (models, by_name);
  return g_steal_pointer (&models);
}

static void
scan_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  GError *error = NULL;
  GPtrArray *models = atl_library_scan (data, cancellable, &error);

  if (models != NULL)
    g_task_return_pointer (task, models, (GDestroyNotify) g_ptr_array_unref);
  else
    g_task_return_error (task, error);
}

void
atl_library_scan_async (const char *folder,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);

  g_task_set_source_tag (task, atl_library_scan_async);
  g_task_set_task_data (task, g_strdup (folder), g_free);
  g_task_run_in_thread (task, scan_thread);
}

GPtrArray *
atl_library_scan_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

char **
atl_library_model_files (const char *path, GError **error)
{
  g_autofree char *absolute = g_canonicalize_filename (path, NULL);
  g_autofree char *folder = g_path_get_dirname (absolute);
  g_autofree char *base = g_path_get_basename (absolute);
  g_autoptr (GStrvBuilder) files = g_strv_builder_new ();
  g_auto (AtlModelName) name = { 0 };
  gboolean sharded = atl_model_name_parse (base, &name) && name.n_shards > 0;

  for (guint i = 1; i <= (sharded ? name.n_shards : 1); i++)
    {
      g_autofree char *shard =
          sharded ? atl_model_name_format (&name, name.stem, i) : g_strdup (base);
      g_autofree char *file = g_build_filename (folder, shard, NULL);
      GStatBuf st;

      if (g_stat (file, &st) != 0)
        {
          if (sharded)
            g_set_error (
                error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                _ ("Part %u of %u of this model is missing: expected %s beside the others"), i,
                name.n_shards, shard);
          else
            g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s is not there: %s"), file,
                         g_strerror (errno));
          return NULL;
        }
      if (!S_ISREG (st.st_mode))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s is not a file"), file);
          return NULL;
        }
      g_strv_builder_add (files, file);
    }
  return g_strv_builder_end (files);
}
