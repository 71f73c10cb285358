/* One file after the other into the store of parts, and links to them. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/model-parts.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "hub/checksums.h"
#include "hub/fetch-file.h"
#include "hub/hub-file.h"
#include "hub/hub-task.h"

typedef struct
{
  GArray *parts;         /* AtlModelPart, its strings owned */
  char *folder;          /* (owned) */
  AtlReporter *reporter; /* borrowed: while it works */
} Job;

static void
part_clear (gpointer data)
{
  AtlModelPart *part = data;

  g_free ((char *) part->repository);
  g_free ((char *) part->file);
  g_free ((char *) part->name);
}

/* "owner/name" and "folder/file" as one folder and one file. */
static char *
stored_path (const AtlModelPart *part)
{
  g_auto (GStrv) repository = g_strsplit (part->repository, "/", -1);
  g_auto (GStrv) file = g_strsplit (part->file, "/", -1);
  g_autofree char *folder = g_strjoinv ("--", repository);
  g_autofree char *name = g_strjoinv ("--", file);

  return g_build_filename (g_get_user_data_dir (), "atelier", "parts", "files", folder, name, NULL);
}

/* Names come from another process: no part of them leads anywhere else. */
static gboolean
is_plain (const char *name)
{
  g_auto (GStrv) parts = g_strsplit (name, "/", -1);

  for (char **p = parts; *p != NULL; p++)
    if (**p == '\0' || **p == '.')
      return FALSE;
  return parts[0] != NULL;
}

static gboolean
check_names (const AtlModelPart *part, GError **error)
{
  if (is_plain (part->repository) && is_plain (part->file) && is_plain (part->name))
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s is no name of a file of a model"),
               part->name);
  return FALSE;
}

/* A complete file only gets its name when its hash was right. */
static gboolean
is_stored (const AtlModelPart *part)
{
  g_autofree char *path = stored_path (part);

  return g_file_test (path, G_FILE_TEST_IS_REGULAR);
}

guint64
atl_model_parts_bytes (const AtlModelPart *parts, guint n)
{
  guint64 bytes = 0;

  for (guint i = 0; i < n; i++)
    if (!is_stored (&parts[i]))
      bytes += parts[i].size_bytes;
  return bytes;
}

static gboolean
make_folder_of (const char *path, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);

  if (g_mkdir_with_parents (folder, 0755) == 0)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_FULL, _ ("The folder %s cannot be made: %s"), folder,
               g_strerror (errno));
  return FALSE;
}

static gboolean
link_part (const AtlModelPart *part, const char *folder, GError **error)
{
  g_autofree char *stored = stored_path (part);
  g_autofree char *path = g_build_filename (folder, part->name, NULL);

  if (!make_folder_of (path, error))
    return FALSE;
  if (link (stored, path) == 0 || errno == EEXIST || symlink (stored, path) == 0 || errno == EEXIST)
    {
      atl_checksum_share (stored, path);
      return TRUE;
    }
  g_set_error (error, ATL_ERROR, ATL_ERROR_FULL, _ ("%s cannot be written: %s"), path,
               g_strerror (errno));
  return FALSE;
}

/* `known` is what the hub says of it; `done` of `total` bytes came before. */
static gboolean
fetch_one (Job *job,
           SoupSession *session,
           const AtlModelPart *part,
           const AtlHubFile *known,
           guint64 done,
           guint64 total,
           GCancellable *cancellable,
           GError **error)
{
  g_autofree char *target = stored_path (part);
  g_autofree char *what = g_path_get_basename (part->file);
  g_autofree char *path = NULL;
  AtlFetch fetch = { .url = known->url,
                     .what = what,
                     .size_bytes = known->size_bytes,
                     .base_bytes = done,
                     .total_bytes = total };

  if (!make_folder_of (target, error))
    return FALSE;
  if (known->git_id != NULL)
    {
      atl_reporter_stage (job->reporter, ATL_HUB_DOWNLOADING, what, done, total);
      return atl_hub_file_fetch_small (session, known, target, cancellable, error);
    }
  path = atl_fetch_file (session, &fetch, target, known->sha256, job->reporter, cancellable, error);
  if (path != NULL)
    atl_checksum_note (path, known->sha256, ATL_CHECKSUM_FETCHED, known->url);
  return path != NULL;
}

static void
known_clear (gpointer data)
{
  atl_hub_file_clear (data);
}

/* Whether the rest goes on without a part that failed. */
static gboolean
is_missable (const AtlModelPart *part, GCancellable *cancellable, GError **error)
{
  if (!part->is_optional || g_cancellable_is_cancelled (cancellable))
    return FALSE;
  if (error != NULL)
    g_clear_error (error);
  return TRUE;
}

/* Sizes first: the bar tells of all of them, and the disk must hold them. */
static char *
fetch (gpointer data, AtlReporter *reporter, GCancellable *cancellable, GError **error)
{
  Job *job = data;
  g_autoptr (SoupSession) session = atl_http_session_new ();
  g_autoptr (GArray) known = g_array_new (FALSE, TRUE, sizeof (AtlHubFile));
  guint64 total = 0, done = 0;

  job->reporter = reporter;
  g_array_set_clear_func (known, known_clear);
  g_array_set_size (known, job->parts->len);
  for (guint i = 0; i < job->parts->len; i++)
    {
      const AtlModelPart *part = &g_array_index (job->parts, AtlModelPart, i);
      AtlHubFile *file = &g_array_index (known, AtlHubFile, i);

      atl_reporter_stage (job->reporter, ATL_HUB_CONNECTING, part->file, 0, 0);
      if (!check_names (part, error))
        return NULL;
      if (is_stored (part))
        continue;
      if (!atl_hub_file_locate (session, part->repository, part->file, file, cancellable, error) &&
          !is_missable (part, cancellable, error))
        return NULL;
      total += file->size_bytes;
    }
  if (!atl_hub_check_room (job->folder, total, _ ("The missing parts"), error))
    return NULL;
  for (guint i = 0; i < job->parts->len; i++)
    {
      const AtlModelPart *part = &g_array_index (job->parts, AtlModelPart, i);
      const AtlHubFile *file = &g_array_index (known, AtlHubFile, i);

      /* The same file may be wanted twice. */
      if (!is_stored (part) && file->url != NULL &&
          !fetch_one (job, session, part, file, done, total, cancellable, error) &&
          !is_missable (part, cancellable, error))
        return NULL;
      done += file->size_bytes;
    }
  /* All or nothing: a model with some of its parts would only say so again. */
  for (guint i = 0; i < job->parts->len; i++)
    {
      const AtlModelPart *part = &g_array_index (job->parts, AtlModelPart, i);

      if ((is_stored (part) || !part->is_optional) && !link_part (part, job->folder, error))
        return NULL;
    }
  return g_strdup (job->folder);
}

static void
job_free (gpointer data)
{
  Job *job = data;

  g_array_unref (job->parts);
  g_free (job->folder);
  g_free (job);
}

void
atl_model_parts_fetch_async (const AtlModelPart *parts,
                             guint n,
                             const char *folder,
                             AtlHubProgressFunc progress,
                             gpointer progress_data,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer data)
{
  const AtlHubCaller caller = { progress, progress_data, cancellable, callback, data };
  Job *job = g_new0 (Job, 1);

  job->parts = g_array_new (FALSE, TRUE, sizeof (AtlModelPart));
  g_array_set_clear_func (job->parts, part_clear);
  for (guint i = 0; i < n; i++)
    {
      AtlModelPart copy = { .repository = g_strdup (parts[i].repository),
                            .file = g_strdup (parts[i].file),
                            .name = g_strdup (parts[i].name),
                            .size_bytes = parts[i].size_bytes,
                            .is_optional = parts[i].is_optional };

      g_array_append_val (job->parts, copy);
    }
  job->folder = g_strdup (folder);
  atl_hub_task_run (atl_model_parts_fetch_async, job, job_free, fetch, &caller);
}

gboolean
atl_model_parts_fetch_finish (GAsyncResult *result, GError **error)
{
  g_autofree char *folder = atl_hub_task_finish (result, error);

  return folder != NULL;
}
