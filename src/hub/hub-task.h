/* Work on a thread of its own, with a main context there for what wants one (libsoup), and a
 * reporter for its progress.
 *
 *   static char *
 *   fetch (gpointer job, AtlReporter *reporter, GCancellable *cancellable, GError **error);
 *
 *   const AtlHubCaller caller = { progress, progress_data, cancellable, callback, data };
 *   atl_hub_task_run (atl_thing_fetch_async, job, job_free, fetch, &caller);
 *
 * The work ends what it is writing and keeps what may go on later also when it is cancelled; so its
 * own word counts, not the cancellable's.
 *
 * Threading: run and finish on the caller's thread; the work and nobody else has the job meanwhile.
 */
#pragma once

#include "hub/reporter.h"

G_BEGIN_DECLS

/* What every asynchronous function of the hub is called with. */
typedef struct
{
  AtlHubProgressFunc progress; /* (nullable) */
  gpointer progress_data;
  GCancellable *cancellable; /* (nullable) */
  GAsyncReadyCallback callback;
  gpointer data;
} AtlHubCaller;

/* Gives a text, mostly a path, that is the caller's; NULL with an error. */
typedef char *(*AtlHubWork) (gpointer job,
                             AtlReporter *reporter,
                             GCancellable *cancellable,
                             GError **error);

/* Takes `job`, which `free_job` frees after the callback. `tag` tells tasks apart. */
void atl_hub_task_run (gpointer tag,
                       gpointer job,
                       GDestroyNotify free_job,
                       AtlHubWork work,
                       const AtlHubCaller *caller);
/* What the work gave. */
char *atl_hub_task_finish (GAsyncResult *result, GError **error);

G_END_DECLS
