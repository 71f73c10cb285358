/* Finding parts of pictures' models in the folders that others sort them into. */
#define G_LOG_DOMAIN "atl-client"

#include "client/nearby-files.h"

#include <string.h>

#include "base/sorted-folder.h"

static const char *const suffixes[] = { ".safetensors", ".sft", ".gguf", NULL };

static const char *const of_tiny[] = { "vae_approx", "VAE-approx" };
/* What the authors call their files; without halves that only encode. */
static const char *const tiny_marks[] = { "tae", "lighttae" };
static const char *const tiny_suffixes[] = { ".safetensors", ".sft", ".pth", NULL };
/* The folders above a model that may have one of tiny decoders. */
#define TINY_LEVELS 3

gboolean
atl_nearby_is_tiny_name (const char *name)
{
  gboolean is_marked = FALSE;

  for (gsize i = 0; i < G_N_ELEMENTS (tiny_marks); i++)
    is_marked = is_marked || g_str_has_prefix (name, tiny_marks[i]);
  return is_marked && strstr (name, "_encoder") == NULL;
}

static void
add_tiny_of (const char *folder, const char *below, GPtrArray *files)
{
  guint first = files->len;

  atl_sorted_add_files (folder, below, tiny_suffixes, files);
  for (guint i = files->len; i-- > first;)
    {
      g_autofree char *name = g_path_get_basename (files->pdata[i]);

      if (!atl_nearby_is_tiny_name (name))
        g_ptr_array_remove_index (files, i);
    }
}

char *
atl_nearby_tiny_dir (void)
{
  return g_build_filename (g_get_user_data_dir (), "atelier", of_tiny[0], NULL);
}

static void
add_tiny (const char *path, GPtrArray *files)
{
  g_autofree char *given = atl_nearby_tiny_dir ();
  g_autofree char *folder =
      g_file_test (path, G_FILE_TEST_IS_DIR) ? g_strdup (path) : g_path_get_dirname (path);

  add_tiny_of (folder, "", files);
  for (guint level = 0; level < TINY_LEVELS; level++)
    {
      char *above;

      for (gsize i = 0; i < G_N_ELEMENTS (of_tiny); i++)
        add_tiny_of (folder, of_tiny[i], files);
      above = g_path_get_dirname (folder);
      g_free (folder);
      folder = above;
    }
  add_tiny_of (given, "", files);
}

GPtrArray *
atl_nearby_files (const char *path)
{
  GPtrArray *files = atl_sorted_parts (path);

  add_tiny (path, files);
  g_ptr_array_sort (files, atl_sorted_compare);
  return files;
}

GPtrArray *
atl_nearby_denoisers (const char *folder)
{
  static const char *const below[] = { "", "models", "split_files" };
  const char *const *of_denoisers = atl_sorted_denoiser_folders ();
  GPtrArray *files = g_ptr_array_new_with_free_func (g_free);

  for (gsize i = 0; files->len == 0 && i < G_N_ELEMENTS (below); i++)
    for (guint k = 0; of_denoisers[k] != NULL; k++)
      {
        g_autofree char *path = g_build_filename (folder, below[i], NULL);

        atl_sorted_add_files (path, of_denoisers[k], suffixes, files);
      }
  g_ptr_array_sort (files, atl_sorted_compare);
  return files;
}
