/* Independent pieces of work on all processors, for what happens once: making, quantising and
 * checking whole files. (Passes of a model have the pool of their backend.)
 *
 *   atl_parallel_run (n_chunks, func, &args);      func (&args, i) for every i, in any order
 *
 * Threading: any thread; returns when all is done. Threads that cannot be started are done without.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef void (*AtlParallelFunc) (gpointer data, guint chunk);

/* Calls func (data, chunk) for every chunk below `n_chunks` once, here and on threads of its own
 * (one a processor at the most), and returns when all have returned. `func` must bear being called
 * by several threads at a time. */
void atl_parallel_run (guint n_chunks, AtlParallelFunc func, gpointer data);

G_END_DECLS
