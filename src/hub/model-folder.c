/* Recognising and listing the folders of authors' models. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/model-folder.h"

#include <string.h>

#include "base/picture-folder.h"

#define MAX_FILES 4096

/* Everything that the engine reads (client/open-files.c), and the licence that goes with it. */
static const char *const suffixes[] = { ".safetensors", ".gguf", ".json", ".jinja",
                                        ".model",       ".txt",  ".md" };

static gboolean
has_file (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  return g_file_test (path, G_FILE_TEST_IS_REGULAR);
}

static gboolean
belongs (const char *name)
{
  g_autofree char *lower = g_ascii_strdown (name, -1);

  if (*name == '.')
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    if (g_str_has_suffix (lower, suffixes[i]))
      return TRUE;
  return g_str_equal (lower, "license");
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* "dir/NAME.param" -> "dir/NAME.bin", where both are there. */
static char *
other_half (const char *path, const char *ending, const char *other)
{
  g_autofree char *stem = NULL;
  g_autofree char *half = NULL;

  if (!g_str_has_suffix (path, ending) || !g_file_test (path, G_FILE_TEST_IS_REGULAR))
    return NULL;
  stem = g_strndup (path, strlen (path) - strlen (ending));
  half = g_strconcat (stem, other, NULL);
  return g_file_test (half, G_FILE_TEST_IS_REGULAR) ? g_steal_pointer (&half) : NULL;
}

char *
atl_model_pair_weights (const char *path)
{
  return other_half (path, ".param", ".bin");
}

char *
atl_model_pair_of_weights (const char *path)
{
  return other_half (path, ".bin", ".param");
}

/* NAME of the only .param file in a folder that also has NAME.bin; the caller's, NULL for none. */
static char *
pair_name (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  g_autofree char *stem = NULL;
  g_autofree char *weights = NULL;
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (*name != '.' && g_str_has_suffix (name, ".param"))
      {
        if (stem != NULL)
          return NULL;
        stem = g_strndup (name, strlen (name) - strlen (".param"));
      }
  weights = stem != NULL ? g_strconcat (stem, ".bin", NULL) : NULL;
  return weights != NULL && has_file (path, weights) ? g_steal_pointer (&stem) : NULL;
}

/* `below` is "" or the part's folder. */
static void
list_files (const char *path, const char *below, gboolean has_parts, GPtrArray *names)
{
  g_autofree char *folder = g_build_filename (path, below, NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && names->len < MAX_FILES && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *full = g_build_filename (folder, name, NULL);

      if (belongs (name) && has_file (folder, name))
        g_ptr_array_add (names,
                         *below != '\0' ? g_build_filename (below, name, NULL) : g_strdup (name));
      else if (has_parts && *name != '.' && g_file_test (full, G_FILE_TEST_IS_DIR))
        list_files (path, name, FALSE, names);
    }
}

char **
atl_model_folder_files (const char *path)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *pair = pair_name (path);

  list_files (path, "", atl_model_folder_check_pictures (path), names);
  if (pair != NULL)
    {
      g_ptr_array_add (names, g_strconcat (pair, ".param", NULL));
      g_ptr_array_add (names, g_strconcat (pair, ".bin", NULL));
    }
  g_ptr_array_sort (names, compare_names);
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
}

gboolean
atl_model_folder_check_pictures (const char *path)
{
  return atl_picture_folder_check (path);
}

gboolean
atl_model_folder_check (const char *path)
{
  static const char *const vocabularies[] = { "tokenizer.json", "tokenizer.model",
                                              "tokenizer_config.json" };
  g_auto (GStrv) names = NULL;
  gboolean has_vocabulary = FALSE;
  g_autofree char *pair = pair_name (path);

  if (atl_model_folder_check_pictures (path) || pair != NULL)
    return TRUE;
  if (!has_file (path, "config.json"))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (vocabularies); i++)
    has_vocabulary |= has_file (path, vocabularies[i]);
  if (!has_vocabulary)
    return FALSE;
  names = atl_model_folder_files (path);
  for (guint i = 0; names[i] != NULL; i++)
    if (g_str_has_suffix (names[i], ".safetensors"))
      return TRUE;
  return FALSE;
}
