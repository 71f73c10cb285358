/* The public face of one download: a task on a thread of its own. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/download.h"

#include "hub/fetch-file.h"
#include "hub/hub-task.h"

typedef struct
{
  char *url, *target, *what, *sha256, *token; /* (owned) */
  guint64 size_bytes;
} Job;

static void
job_free (gpointer data)
{
  Job *job = data;

  g_free (job->url);
  g_free (job->target);
  g_free (job->what);
  g_free (job->sha256);
  g_free (job->token);
  g_free (job);
}

static char *
fetch (gpointer data, AtlReporter *reporter, GCancellable *cancellable, GError **error)
{
  Job *job = data;
  g_autoptr (SoupSession) session = atl_http_session_new ();
  AtlFetch fetch = {
    .url = job->url, .what = job->what, .token = job->token, .size_bytes = job->size_bytes
  };

  return atl_fetch_file (session, &fetch, job->target, job->sha256, reporter, cancellable, error);
}

void
atl_download_async (const AtlDownload *request,
                    AtlHubProgressFunc progress,
                    gpointer progress_data,
                    GCancellable *cancellable,
                    GAsyncReadyCallback callback,
                    gpointer data)
{
  const AtlHubCaller caller = { progress, progress_data, cancellable, callback, data };
  Job *job;

  g_return_if_fail (request->url != NULL && request->target != NULL);
  g_return_if_fail (atl_hub_is_sha256 (request->sha256));
  job = g_new0 (Job, 1);
  job->url = g_strdup (request->url);
  job->target = g_strdup (request->target);
  job->what =
      request->what != NULL ? g_strdup (request->what) : g_path_get_basename (request->target);
  job->sha256 = g_strdup (request->sha256);
  job->token = g_strdup (request->token);
  job->size_bytes = request->size_bytes;
  atl_hub_task_run (atl_download_async, job, job_free, fetch, &caller);
}

char *
atl_download_finish (GAsyncResult *result, GError **error)
{
  return atl_hub_task_finish (result, error);
}
