/* Opens the store of a session, and another one where that cannot be. */
#define G_LOG_DOMAIN "atl-app"

#include <glib/gstdio.h>

#include "app/session/session-private.h"

/* A store has folders in its folder, and no deeper ones. */
#define DEPTH 2

static void
remove_folder (const char *path, guint depth)
{
  g_autoptr (GDir) dir = NULL;
  const char *name;

  if (g_unlink (path) == 0)
    return;
  dir = depth > 0 ? g_dir_open (path, 0, NULL) : NULL;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *inside = g_build_filename (path, name, NULL);
      remove_folder (inside, depth - 1);
    }
  g_rmdir (path);
}

/* Where the disk of the temporary files is full as well, memory may do: it has a folder too. */
static gboolean
open_temporary (AtlSession *self)
{
  const char *const places[] = { g_get_tmp_dir (), g_get_user_runtime_dir (), "/dev/shm" };

  for (guint i = 0; i < G_N_ELEMENTS (places) && self->store == NULL; i++)
    {
      g_autofree char *dir = g_build_filename (places[i], "atelier-XXXXXX", NULL);

      if (g_mkdtemp (dir) == NULL)
        continue;
      self->store = atl_store_open (dir, NULL);
      if (self->store != NULL)
        self->temporary_dir = g_steal_pointer (&dir);
      else
        remove_folder (dir, DEPTH);
    }
  return self->store != NULL;
}

gboolean
atl_session_open_store (AtlSession *self, const char *dir, GError **error)
{
  self->store = atl_store_open (dir, &self->store_error);
  if (self->store != NULL || open_temporary (self))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&self->store_error));
  return FALSE;
}

void
atl_session_close_store (AtlSession *self)
{
  g_clear_pointer (&self->store, atl_store_free);
  if (self->temporary_dir != NULL)
    remove_folder (self->temporary_dir, DEPTH);
  g_clear_pointer (&self->temporary_dir, g_free);
}
