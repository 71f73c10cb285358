/* Threads that live for one piece of work. */
#include "base/parallel.h"

#define MAX_THREADS 64

typedef struct
{
  AtlParallelFunc func;
  gpointer data;
  guint n_chunks;
  gint next; /* (atomic) */
} Work;

static gpointer
work_thread (gpointer data)
{
  Work *work = data;
  guint chunk;

  while ((chunk = (guint) g_atomic_int_add (&work->next, 1)) < work->n_chunks)
    work->func (work->data, chunk);
  return NULL;
}

void
atl_parallel_run (guint n_chunks, AtlParallelFunc func, gpointer data)
{
  Work work = { func, data, n_chunks, 0 };
  GThread *threads[MAX_THREADS];
  guint wanted = MIN (MIN (g_get_num_processors (), MAX_THREADS), n_chunks), n = 0;

  g_assert (n_chunks <= G_MAXINT - MAX_THREADS);
  while (n + 1 < wanted &&
         (threads[n] = g_thread_try_new ("parallel", work_thread, &work, NULL)) != NULL)
    n++;
  work_thread (&work);
  for (guint i = 0; i < n; i++)
    g_thread_join (threads[i]);
}
