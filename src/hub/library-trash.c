/* Removes models to the desktop's trash and brings them back. */
#define G_LOG_DOMAIN "atl-hub"

#include <glib/gi18n.h>
#include <glib/gstdio.h>

#include "hub/desktop-trash.h"
#include "hub/library-parts.h"
#include "hub/library.h"
#include "hub/model-name.h"

static gboolean
is_ours (const char *path, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);

  if (atl_library_is_place (folder))
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("%s is not in Atelier's own folder, so it is left alone. Remove it with the "
                  "application it belongs to, or in the file manager"),
               path);
  return FALSE;
}

gboolean
atl_library_remove (const char *path, GError **error)
{
  g_autofree char *absolute = g_canonicalize_filename (path, NULL);
  g_auto (GStrv) files = NULL;
  GStatBuf st;

  if (!is_ours (absolute, error))
    return FALSE;
  files = atl_library_model_files (absolute, NULL);
  if (files == NULL)
    {
      /* Shards are missing, or a link leads nowhere: what was named goes. */
      if (g_lstat (absolute, &st) != 0)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s is not there"), absolute);
          return FALSE;
        }
      files = g_new0 (char *, 2);
      files[0] = g_strdup (absolute);
    }
  for (guint i = 0; files[i] != NULL; i++)
    if (!atl_desktop_trash (files[i], NULL, error))
      {
        /* All or nothing. */
        while (i-- > 0)
          atl_desktop_untrash (files[i], NULL, NULL);
        return FALSE;
      }
  return TRUE;
}

gboolean
atl_library_restore (const char *path, GError **error)
{
  g_autofree char *absolute = g_canonicalize_filename (path, NULL);
  g_autofree char *base = g_path_get_basename (absolute);
  g_autofree char *folder = g_path_get_dirname (absolute);
  g_auto (AtlModelName) name = { 0 };

  if (!is_ours (absolute, error) || !atl_desktop_untrash (absolute, NULL, error))
    return FALSE;
  if (!atl_model_name_parse (base, &name))
    return TRUE;
  for (guint i = 1; i <= name.n_shards; i++)
    {
      g_autofree char *shard = atl_model_name_format (&name, name.stem, i);
      g_autofree char *file = g_build_filename (folder, shard, NULL);

      if (!g_file_test (file, G_FILE_TEST_EXISTS) && !atl_desktop_untrash (file, NULL, error))
        return FALSE;
    }
  return TRUE;
}
