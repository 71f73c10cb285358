/* One way to work beside the main thread. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/hub-task.h"

typedef struct
{
  gpointer job;
  GDestroyNotify free_job;
  AtlHubWork work;
  AtlReporter *reporter; /* (owned) */
} Work;

static void
work_free (gpointer data)
{
  Work *work = data;

  work->free_job (work->job);
  atl_reporter_unref (work->reporter);
  g_free (work);
}

static void
thread_cb (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Work *work = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  GError *error = NULL;
  char *result;

  g_main_context_push_thread_default (context);
  result = work->work (work->job, work->reporter, cancellable, &error);
  g_main_context_pop_thread_default (context);
  if (result != NULL)
    g_task_return_pointer (task, result, g_free);
  else
    g_task_return_error (task, error);
}

void
atl_hub_task_run (gpointer tag,
                  gpointer job,
                  GDestroyNotify free_job,
                  AtlHubWork work,
                  const AtlHubCaller *caller)
{
  g_autoptr (GTask) task = g_task_new (NULL, caller->cancellable, caller->callback, caller->data);
  Work *self = g_new0 (Work, 1);

  g_task_set_source_tag (task, tag);
  self->job = job;
  self->free_job = free_job;
  self->work = work;
  self->reporter = atl_reporter_new (task, caller->progress, caller->progress_data);
  g_task_set_task_data (task, self, work_free);
  g_task_set_check_cancellable (task, FALSE);
  g_task_run_in_thread (task, thread_cb);
}

char *
atl_hub_task_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
