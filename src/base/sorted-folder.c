/* Denoisers and the parts beside them. */
#include "base/sorted-folder.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FILES 100

static const char *const of_denoisers[] = { "diffusion_models", "unet", NULL };
static const char *const of_parts[] = { "text_encoders", "clip", "vae", "clip_vision", NULL };
/* Of parts that no model needs, but of no models either. */
static const char *const of_others[] = { "vae_approx", "VAE-approx", "loras",      "Lora",
                                         "embeddings", "controlnet", "ControlNet", NULL };
/* Of whole models. */
static const char *const of_models[] = { "checkpoints", "Stable-diffusion", NULL };
static const char *const suffixes[] = { ".safetensors", ".sft", ".gguf", NULL };

int
atl_sorted_compare (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

const char *const *
atl_sorted_denoiser_folders (void)
{
  return of_denoisers;
}

void
atl_sorted_add_files (const char *folder,
                      const char *below,
                      const char *const *endings,
                      GPtrArray *files)
{
  g_autofree char *path = g_build_filename (folder, below, NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && files->len < MAX_FILES && (name = g_dir_read_name (dir)) != NULL)
    for (const char *const *ending = endings; *ending != NULL; ending++)
      if (*name != '.' && g_str_has_suffix (name, *ending))
        {
          g_autofree char *full = g_build_filename (path, name, NULL);

          if (g_file_test (full, G_FILE_TEST_IS_REGULAR))
            g_ptr_array_add (files, g_steal_pointer (&full));
        }
}

static char *
denoiser_folder (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *kind = g_path_get_basename (folder);

  return g_strv_contains (of_denoisers, kind) ? g_steal_pointer (&folder) : NULL;
}

/* The folder of denoisers that the file at `path` lies in, itself or, where it is a link, what that
 * leads to; NULL when it does not. The caller's. */
static char *
folder_of (const char *path)
{
  char *folder = denoiser_folder (path), *target;

  if (folder != NULL)
    return folder;
  target = realpath (path, NULL);
  folder = target != NULL ? denoiser_folder (target) : NULL;
  free (target);
  return folder;
}

GPtrArray *
atl_sorted_parts (const char *path)
{
  GPtrArray *files = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *folder = folder_of (path);
  g_autofree char *above = folder != NULL ? g_path_get_dirname (folder) : NULL;

  for (guint i = 0; above != NULL && of_parts[i] != NULL; i++)
    atl_sorted_add_files (above, of_parts[i], suffixes, files);
  g_ptr_array_sort (files, atl_sorted_compare);
  return files;
}

static gboolean
has_one_of (const char *above, const char *const *folders)
{
  for (guint i = 0; folders[i] != NULL; i++)
    {
      g_autofree char *path = g_build_filename (above, folders[i], NULL);

      if (g_file_test (path, G_FILE_TEST_IS_DIR))
        return TRUE;
    }
  return FALSE;
}

gboolean
atl_sorted_is_of_parts (const char *folder)
{
  g_autofree char *name = g_path_get_basename (folder);
  g_autofree char *above = g_path_get_dirname (folder);

  return (g_strv_contains (of_parts, name) || g_strv_contains (of_others, name)) &&
         (has_one_of (above, of_denoisers) || has_one_of (above, of_models));
}
