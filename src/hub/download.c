/* The public face of one download: a task on a thread of its own. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/download.h"

#include "hub/fetch-file.h"

typedef struct
{
  char *url, *target, *what, *sha256, *token; /* (owned) */
  guint64 size_bytes;
  AtlReporter *reporter; /* (owned) */
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
  atl_reporter_unref (job->reporter);
  g_free (job);
}

static void
download_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Job *job = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  AtlFetch fetch = {
    .url = job->url, .what = job->what, .token = job->token, .size_bytes = job->size_bytes
  };
  GError *error = NULL;
  char *path;

  g_main_context_push_thread_default (context);
  {
    g_autoptr (SoupSession) session = atl_http_session_new ();

    path = atl_fetch_file (session, &fetch, job->target, job->sha256, job->reporter, cancellable,
                           &error);
  }
  g_main_context_pop_thread_default (context);
  if (path != NULL)
    g_task_return_pointer (task, path, g_free);
  else
    g_task_return_error (task, error);
}

void
atl_download_async (const AtlDownload *request,
                    AtlHubProgressFunc progress,
                    gpointer progress_data,
                    GCancellable *cancellable,
                    GAsyncReadyCallback callback,
                    gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  Job *job = g_new0 (Job, 1);

  g_return_if_fail (request->url != NULL && request->target != NULL);
  g_return_if_fail (atl_hub_is_sha256 (request->sha256));
  g_task_set_source_tag (task, atl_download_async);
  job->url = g_strdup (request->url);
  job->target = g_strdup (request->target);
  job->what =
      request->what != NULL ? g_strdup (request->what) : g_path_get_basename (request->target);
  job->sha256 = g_strdup (request->sha256);
  job->token = g_strdup (request->token);
  job->size_bytes = request->size_bytes;
  job->reporter = atl_reporter_new (task, progress, progress_data);
  g_task_set_task_data (task, job, job_free);
  /* The thread finishes its write and keeps the part even when cancelled. */
  g_task_set_check_cancellable (task, FALSE);
  g_task_run_in_thread (task, download_thread);
}

char *
atl_download_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
