/* Telling folders of diffusers. */
#include "base/picture-folder.h"

#include <string.h>

static gboolean
has_file (const char *path, const char *folder, const char *name)
{
  g_autofree char *full = g_build_filename (path, folder, name, NULL);

  return g_file_test (full, G_FILE_TEST_IS_REGULAR);
}

gboolean
atl_picture_folder_has_index (const char *path)
{
  return has_file (path, "", ATL_PICTURE_INDEX);
}

gboolean
atl_picture_folder_check (const char *path)
{
  return atl_picture_folder_has_index (path) || has_file (path, "transformer", "config.json") ||
         has_file (path, "unet", "config.json");
}

gboolean
atl_picture_folder_is_part (const char *path, const char *name)
{
  static const char *const roles[] = { "tokenizer", "text_encoder", "vae",
                                       "scheduler", "transformer",  "unet" };
  g_autofree char *full = g_build_filename (path, name, NULL);
  gboolean is_known = FALSE;

  for (gsize i = 0; i < G_N_ELEMENTS (roles); i++)
    {
      gsize length = strlen (roles[i]);

      /* "text_encoder_2", but not "text_encoders", where others sort those of many models into. */
      is_known = is_known || (strncmp (name, roles[i], length) == 0 &&
                              (name[length] == '\0' || name[length] == '_'));
    }
  return is_known && g_file_test (full, G_FILE_TEST_IS_DIR) &&
         (g_str_has_prefix (name, "tokenizer") || has_file (path, name, "config.json") ||
          has_file (path, name, "scheduler_config.json"));
}
