/* Work on another thread for an object of this one.
 *
 *   g_autoptr (GTask) task = g_task_new (self, cancellable, done_cb, data);
 *   atl_thread_task_run (task, work_thread);
 *
 * g_task_run_in_thread() may leave the last reference to the task on the thread: its object, and
 * the task's data, are then finalised there, beside whatever this thread does with what they
 * belong to. Here the task is freed on the thread whose main context it was made for.
 *
 * Threading: called where the task was made; `func` runs elsewhere.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* As g_task_run_in_thread(): `func` must return something with the task. */
void atl_thread_task_run (GTask *task, GTaskThreadFunc func);

G_END_DECLS
