/* Finding parts of pictures' models in the folders that others sort them into. */
#define G_LOG_DOMAIN "atl-client"

#include "client/nearby-files.h"

#include <string.h>

#define MAX_FILES 100

static const char *const of_denoisers[] = { "diffusion_models", "unet", NULL };
static const char *const of_parts[] = { "text_encoders", "clip", "vae", "clip_vision", NULL };
static const char *const suffixes[] = { ".safetensors", ".sft", ".gguf", NULL };

static const char *const of_tiny[] = { "vae_approx", "VAE-approx" };
/* What the authors call their files; without halves that only encode. */
static const char *const tiny_marks[] = { "tae", "lighttae" };
static const char *const tiny_suffixes[] = { ".safetensors", ".sft", ".pth", NULL };
/* The folders above a model that may have one of tiny decoders. */
#define TINY_LEVELS 3

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static gboolean
is_tiny (const char *name)
{
  gboolean is_marked = FALSE;

  for (gsize i = 0; i < G_N_ELEMENTS (tiny_marks); i++)
    is_marked = is_marked || g_str_has_prefix (name, tiny_marks[i]);
  return is_marked && strstr (name, "_encoder") == NULL;
}

static void
add_files (const char *folder, const char *below, gboolean of_tiny_ones, GPtrArray *files)
{
  g_autofree char *path = g_build_filename (folder, below, NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *const *endings = of_tiny_ones ? tiny_suffixes : suffixes;
  const char *name;

  while (dir != NULL && files->len < MAX_FILES && (name = g_dir_read_name (dir)) != NULL)
    for (const char *const *suffix = endings; *suffix != NULL; suffix++)
      if (*name != '.' && g_str_has_suffix (name, *suffix) && (!of_tiny_ones || is_tiny (name)))
        {
          g_autofree char *full = g_build_filename (path, name, NULL);

          /* A link that leads nowhere is none. */
          if (g_file_test (full, G_FILE_TEST_IS_REGULAR))
            g_ptr_array_add (files, g_steal_pointer (&full));
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

  add_files (folder, "", TRUE, files);
  for (guint level = 0; level < TINY_LEVELS; level++)
    {
      char *above;

      for (gsize i = 0; i < G_N_ELEMENTS (of_tiny); i++)
        add_files (folder, of_tiny[i], TRUE, files);
      above = g_path_get_dirname (folder);
      g_free (folder);
      folder = above;
    }
  add_files (given, "", TRUE, files);
}

GPtrArray *
atl_nearby_files (const char *path)
{
  GPtrArray *files = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *own = g_path_get_dirname (path);
  g_autofree char *kind = g_path_get_basename (own);
  g_autofree char *above = g_path_get_dirname (own);

  for (guint i = 0; g_strv_contains (of_denoisers, kind) && of_parts[i] != NULL; i++)
    add_files (above, of_parts[i], FALSE, files);
  add_tiny (path, files);
  g_ptr_array_sort (files, compare_names);
  return files;
}

GPtrArray *
atl_nearby_denoisers (const char *folder)
{
  static const char *const below[] = { "", "models", "split_files" };
  GPtrArray *files = g_ptr_array_new_with_free_func (g_free);

  for (gsize i = 0; files->len == 0 && i < G_N_ELEMENTS (below); i++)
    for (guint k = 0; of_denoisers[k] != NULL; k++)
      {
        g_autofree char *path = g_build_filename (folder, below[i], NULL);

        add_files (path, of_denoisers[k], FALSE, files);
      }
  g_ptr_array_sort (files, compare_names);
  return files;
}
