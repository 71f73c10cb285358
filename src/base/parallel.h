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

void atl_parallel_run (guint n_chunks, AtlParallelFunc func, gpointer data);

G_END_DECLS
