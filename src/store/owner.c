/* Whose streaming answers are whose. A handle that streams holds a locked file in running/; the
 * kernel drops the lock however the process ends, so an answer whose owner's file can be locked has
 * lost its writer. Process ids would not do: they repeat, and differ between sandboxes. */
#define G_LOG_DOMAIN "atl-store"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/store-private.h"

static char *
owner_path (AtlStore *self, const char *owner)
{
  return g_build_filename (self->dir, "running", owner, NULL);
}

gboolean
atl_store_ensure_owner (AtlStore *self, GError **error)
{
  g_autofree char *name = NULL;
  g_autofree char *path = NULL;
  int fd;

  if (self->owner != NULL)
    return TRUE;
  name = g_uuid_string_random ();
  path = owner_path (self, name);
  fd = open (path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 || flock (fd, LOCK_EX | LOCK_NB) != 0)
    {
      int code = errno;

      g_set_error (error, ATL_ERROR,
                   code == ENOSPC || code == EDQUOT ? ATL_ERROR_FULL : ATL_ERROR_INVALID,
                   _ ("An answer cannot be started: the file %s cannot be made (%s)"), path,
                   g_strerror (code));
      if (fd >= 0)
        close (fd);
      return FALSE;
    }
  self->owner = g_steal_pointer (&name);
  self->owner_fd = fd;
  return TRUE;
}

static int
interrupt_answers_of (AtlStore *self, const char *owner, GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (
      self, "UPDATE messages SET state = 2, owner = NULL WHERE state = 1 AND owner IS ?1", error);

  if (stmt == NULL ||
      !atl_db_run (self, stmt, _ ("closing an unfinished answer"), error, "s", owner))
    return -1;
  return sqlite3_changes (self->db);
}

void
atl_store_drop_owner (AtlStore *self)
{
  g_autofree char *path = owner_path (self, self->owner);

  interrupt_answers_of (self, self->owner, NULL);
  g_unlink (path);
}

/* TRUE when nobody holds the file of `owner`; it is removed then. */
static gboolean
is_dead (AtlStore *self, const char *owner)
{
  g_autofree char *path = NULL;
  int fd;
  gboolean dead;

  /* The name comes from the database, which may be damaged: it must stay a name. */
  if (owner == NULL || !g_uuid_string_is_valid (owner))
    return TRUE;
  path = owner_path (self, owner);
  fd = open (path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return errno == ENOENT || errno == ELOOP;
  dead = flock (fd, LOCK_EX | LOCK_NB) == 0;
  if (dead)
    g_unlink (path);
  close (fd);
  return dead;
}

/* Files of owners that died without a streaming answer. */
static void
sweep_running (AtlStore *self)
{
  g_autofree char *folder = g_build_filename (self->dir, "running", NULL);
  g_autoptr (GDir) entries = g_dir_open (folder, 0, NULL);
  const char *name;

  while (entries != NULL && (name = g_dir_read_name (entries)) != NULL)
    if (g_uuid_string_is_valid (name) && g_strcmp0 (name, self->owner) != 0)
      is_dead (self, name);
}

int
atl_store_recover (AtlStore *self, GError **error)
{
  g_autoptr (GPtrArray) owners = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) local = NULL;
  int total = 0;

  {
    g_autoptr (AtlStmt) stmt =
        atl_db_stmt (self, "SELECT DISTINCT owner FROM messages WHERE state = 1", error);

    if (stmt == NULL)
      return -1;
    while (atl_db_next (self, stmt, _ ("looking for unfinished answers"), &local))
      {
        char *owner = g_strdup ((const char *) sqlite3_column_text (stmt, 0));

        if ((owner == NULL || g_strcmp0 (owner, self->owner) != 0) && is_dead (self, owner))
          g_ptr_array_add (owners, owner);
        else
          g_free (owner);
      }
    if (local != NULL)
      {
        g_propagate_error (error, g_steal_pointer (&local));
        return -1;
      }
  }
  for (guint i = 0; i < owners->len; i++)
    {
      int n = interrupt_answers_of (self, owners->pdata[i], error);

      if (n < 0)
        return -1;
      total += n;
    }
  sweep_running (self);
  return total;
}
