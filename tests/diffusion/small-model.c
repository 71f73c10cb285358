/* Unpacking and opening small models. */
#include "small-model.h"

/* Below the folder `into`: what comes with the source may have less in it than others. */
static char *
unpack (const char *archives, const char *family, const char *into)
{
  g_autofree char *script = g_test_build_filename (G_TEST_DIST, "golden", "unpack", NULL);
  g_autofree char *out = g_test_build_filename (G_TEST_BUILT, "golden", into, NULL);
  g_autoptr (GError) error = NULL;
  int status;

  if (!g_spawn_sync (NULL,
                     (char *[]){ script, "-f", (char *) archives, out, (char *) family, NULL },
                     NULL, 0, NULL, NULL, NULL, NULL, &status, &error) ||
      !g_spawn_check_wait_status (status, &error))
    g_error ("%s could not be unpacked: %s", family, error->message);
  return g_build_filename (out, family, NULL);
}

char *
small_model_shipped (const char *family)
{
  g_autofree char *archives = g_test_build_filename (G_TEST_DIST, "golden", NULL);

  return unpack (archives, family, "small");
}

char *
small_model_folder (const char *family)
{
  g_autofree char *folder = small_model_shipped (family);

  return g_build_filename (folder, "model", NULL);
}

char *
small_model_family (const char *family)
{
  const char *path = g_getenv ("ATELIER_GOLDEN_PATH");
  g_autofree char *shared =
      g_test_build_filename (G_TEST_DIST, "..", "..", "shared", "golden", NULL);
  g_auto (GStrv) folders = g_strsplit (path != NULL ? path : shared, ":", 12);
  g_autofree char *name = g_strconcat (family, ".tar.xz", NULL);

  for (char **folder = folders; *folder != NULL; folder++)
    {
      g_autofree char *archive = g_build_filename (*folder, name, NULL);
      g_autofree char *cases = g_build_filename (*folder, family, "cases", NULL);

      if (g_file_test (archive, G_FILE_TEST_EXISTS))
        return unpack (*folder, family, "more");
      if (g_file_test (cases, G_FILE_TEST_IS_DIR))
        return g_build_filename (*folder, family, NULL);
    }
  return NULL;
}

static void
add_files (const char *folder, const char *name, GPtrArray *maps, GPtrArray *names)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  g_autoptr (GError) error = NULL;
  const char *child;

  if (dir == NULL)
    {
      AtlFileMap *map = atl_file_map_new (path, &error);

      g_assert_no_error (error);
      g_ptr_array_add (maps, map);
      g_ptr_array_add (names, g_strdup (name));
      return;
    }
  while ((child = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *longer = g_build_filename (name, child, NULL);
      add_files (folder, longer, maps, names);
    }
}

AtlDiffusionModel *
small_model_open (const char *family)
{
  return small_model_open_with (family, NULL, NULL);
}

AtlDiffusionModel *
small_model_open_with (const char *family, AtlFileMap *more, const char *name)
{
  g_autofree char *folder = small_model_folder (family);

  return small_model_open_folder (folder, more, name);
}

AtlDiffusionModel *
small_model_open_folder (const char *folder, AtlFileMap *more, const char *name)
{
  g_autoptr (GPtrArray) maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  AtlDiffusionModel *model;

  add_files (folder, "", maps, names);
  if (more != NULL)
    {
      g_ptr_array_add (maps, atl_file_map_ref (more));
      g_ptr_array_add (names, g_strdup (name));
    }
  model = atl_diffusion_model_open ((AtlFileMap *const *) maps->pdata,
                                    (const char *const *) names->pdata, maps->len, NULL, &error);
  g_assert_no_error (error);
  return model;
}
