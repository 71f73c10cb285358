/* A task within a task: the inner one, which the thread may free, holds nothing. */
#include "base/thread-task.h"

typedef struct
{
  GTask *task; /* (owned) */
  GTaskThreadFunc func;
} Work;

static void
work_thread (GTask *inner, gpointer source, gpointer data, GCancellable *cancellable)
{
  Work *work = data;

  work->func (work->task, g_task_get_source_object (work->task), g_task_get_task_data (work->task),
              g_task_get_cancellable (work->task));
  g_task_return_boolean (inner, TRUE);
}

/* The thread is through with it. */
static void
worked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Work *work = data;

  g_object_unref (work->task);
  g_free (work);
}

void
atl_thread_task_run (GTask *task, GTaskThreadFunc func)
{
  Work *work = g_new0 (Work, 1);
  g_autoptr (GTask) inner = NULL;

  work->task = g_object_ref (task);
  work->func = func;
  g_main_context_push_thread_default (g_task_get_context (task));
  inner = g_task_new (NULL, NULL, worked_cb, work);
  g_main_context_pop_thread_default (g_task_get_context (task));
  g_task_set_task_data (inner, work, NULL);
  g_task_run_in_thread (inner, work_thread);
}
