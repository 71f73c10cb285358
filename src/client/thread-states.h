/* What the threads of a process wait for: to tell one that hangs from one that is not let.
 *
 *   atl_thread_states_read (&now, "/proc/4711/task", NULL);
 *   if (atl_thread_states_are_starved (&before, &now, 1000)) …      a second later
 *
 * Threading: pure functions; reading blocks as long as /proc does.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  guint n_ready;            /* computing, or waiting for a processor */
  guint n_waiting_for_disk; /* as while pages are read back from it */
  guint64 cpu_ms;           /* computed so far, all of them together */
} AtlThreadStates;

/* `folder`: the process's below /proc. `name` (nullable): of threads with that name only. All 0
 * where nothing can be read. The thread that asks is left out. */
void atl_thread_states_read (AtlThreadStates *self, const char *folder, const char *name);

/* Whether threads were ready, and in the `elapsed_ms` since `before` got less than a quarter of
 * what they could have computed on as many processors as they are, or as there are. */
gboolean atl_thread_states_are_starved (const AtlThreadStates *before,
                                        const AtlThreadStates *now,
                                        gint64 elapsed_ms);

G_END_DECLS
