/* A person's own file among the parts. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/given-part.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hub/file-copy.h"
#include "hub/hub-task.h"
#include "hub/library-parts.h"
#include "hub/part-file.h"

/* Files of one name that are not the same. */
#define MAX_NUMBER 100

typedef struct
{
  char *path, *folder, *name; /* (owned) */
  AtlGivenMode mode;
} Job;

static void
job_free (gpointer data)
{
  Job *job = data;

  g_free (job->path);
  g_free (job->folder);
  g_free (job->name);
  g_free (job);
}

static char *
copy (const Job *job,
      const char *wanted,
      AtlReporter *reporter,
      GCancellable *cancellable,
      GError **error)
{
  g_autofree char *folder = g_path_get_dirname (wanted);
  g_autofree char *base = g_path_get_basename (wanted);
  g_autofree char *hidden = g_strdup_printf ("%s/.%s.%d.copying", folder, base, (int) getpid ());
  char *placed;

  g_unlink (hidden);
  if (!atl_hub_copy_file (job->path, hidden, 0, NULL, reporter, cancellable, error))
    return NULL;
  placed = atl_hub_move_in (hidden, wanted, error);
  if (placed == NULL)
    g_unlink (hidden);
  return placed;
}

/* The file itself is linked, not a link to it that may go. */
static char *
make_link (const Job *job, const char *wanted, GError **error)
{
  char *target = realpath (job->path, NULL);
  gboolean ok = target != NULL && (link (target, wanted) == 0 || symlink (target, wanted) == 0);
  int code = errno;

  free (target);
  if (ok)
    return g_strdup (wanted);
  g_set_error (error, ATL_ERROR,
               code == ENOSPC || code == EDQUOT ? ATL_ERROR_FULL : ATL_ERROR_INVALID,
               _ ("The link %s cannot be made: %s"), wanted, g_strerror (code));
  return NULL;
}

static char *
take (gpointer data, AtlReporter *reporter, GCancellable *cancellable, GError **error)
{
  const Job *job = data;
  g_autofree char *wanted = g_build_filename (job->folder, job->name, NULL);
  g_autofree char *folder = g_path_get_dirname (wanted);
  g_autofree char *base = g_path_get_basename (wanted);
  g_autofree char *path = NULL;

  if (g_mkdir_with_parents (folder, 0755) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_FULL, _ ("The folder %s cannot be made: %s"), folder,
                   g_strerror (errno));
      return NULL;
    }
  for (guint i = 1; i <= MAX_NUMBER; i++)
    {
      GStatBuf st;

      g_free (path);
      path = atl_library_numbered (folder, base, i);
      if (g_lstat (path, &st) != 0)
        break;
      if (atl_library_is_same (job->path, path))
        return g_steal_pointer (&path);
    }
  return job->mode == ATL_GIVEN_COPY ? copy (job, path, reporter, cancellable, error)
                                     : make_link (job, path, error);
}

void
atl_given_part_take_async (const char *path,
                           const char *folder,
                           const char *name,
                           AtlGivenMode mode,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer data)
{
  const AtlHubCaller caller = { NULL, NULL, cancellable, callback, data };
  Job *job = g_new0 (Job, 1);

  job->path = g_strdup (path);
  job->folder = g_strdup (folder);
  job->name = g_strdup (name);
  job->mode = mode;
  atl_hub_task_run (atl_given_part_take_async, job, job_free, take, &caller);
}

char *
atl_given_part_take_finish (GAsyncResult *result, GError **error)
{
  return atl_hub_task_finish (result, error);
}
