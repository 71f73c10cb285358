/* The threads of the CPU backend: parallel regions of dynamically handed out chunks.
 *
 *   atl_pool_run (pool, n_chunks, func, &args);
 *     long chunks: products of many rows, convolutions
 *   atl_pool_run_restartable (pool, n_chunks, compute, commit, &args, sizeof args);
 *     short ones: decoding
 *
 * Workers live as long as the pool. Between regions they spin for some tens of microseconds, then
 * sleep on a futex, so that a core is free for others (and for the kernel to move our main thread
 * to) while nothing is to be done.
 *
 * Why two kinds: when another process takes the core of a worker in the middle of a chunk, a plain
 * region waits until the worker is back, milliseconds later. In a restartable region the chunk
 * is computed into memory of the worker and committed under a claim. The main thread that finds
 * nothing left to do takes the claim away, computes the chunk itself and goes on; the late worker
 * finds its claim gone and drops its result.
 *
 * Threading: one thread, "main", at a time calls these functions; regions do not nest.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define ATL_POOL_ARGS_MAX 512
#define ATL_POOL_SCRATCH_BYTES (64 * 1024)
#define ATL_POOL_MAX_RESTARTABLE 1024
#define ATL_POOL_MAX_THREADS 256

typedef struct _AtlPool AtlPool;

/* `worker` is below atl_pool_n_threads; 0 is the calling thread. */
typedef void (*AtlPoolFunc) (gconstpointer args, guint chunk, guint worker);

/* Writes nothing but `scratch` (64-byte aligned, ATL_POOL_SCRATCH_BYTES long). May run although its
 * region is over and its inputs hold other values: it must stay inside its memory whatever values
 * it reads, so indices that are read from memory must be clamped. */
typedef void (*AtlPoolCompute) (gconstpointer args, guint chunk, gpointer scratch);
/* Copies the result from `scratch` to its place; runs exactly once a chunk, while the region lasts.
 */
typedef void (*AtlPoolCommit) (gconstpointer args, guint chunk, gconstpointer scratch);

/* `n_threads` counts the calling one; clamped to 1 … ATL_POOL_MAX_THREADS. Threads that cannot be
 * started are done without. */
AtlPool *atl_pool_new (guint n_threads);
/* Accepts NULL. */
void atl_pool_free (AtlPool *self);
guint atl_pool_n_threads (const AtlPool *self);

/* Calls func once for every chunk in [0, n_chunks), in parallel; returns when all are done. */
void atl_pool_run (AtlPool *self, guint n_chunks, AtlPoolFunc func, gconstpointer args);

/* The same with chunks that may be computed twice; n_chunks <= ATL_POOL_MAX_RESTARTABLE. The
 * `args_bytes` (<= ATL_POOL_ARGS_MAX) at `args` are copied; what they point to must stay mapped
 * until atl_pool_quiesce. */
void atl_pool_run_restartable (AtlPool *self,
                               guint n_chunks,
                               AtlPoolCompute compute,
                               AtlPoolCommit commit,
                               gconstpointer args,
                               gsize args_bytes);

/* What a lane of the next region reads first. A region's chunks are dealt to so many lanes of
 * neighbours; threads that have nothing to do meanwhile, or wait for the others, ask for it. */
#define ATL_POOL_AHEADS 3
typedef struct
{
  const guint8 *data;
  gsize bytes;
} AtlPoolAhead;

guint atl_pool_n_lanes (const AtlPool *self);
/* The first chunk of a lane of a region. */
guint atl_pool_lane_start (const AtlPool *self, guint lane, guint n_chunks);
/* To be called before the region ahead of that one; NULL: nothing is known. Nothing is read, so the
 * memory may be gone. */
void atl_pool_ask_ahead (AtlPool *self, guint lane, const AtlPoolAhead ahead[ATL_POOL_AHEADS]);

/* Waits until no late worker is inside an old region: before memory that regions read is freed. */
void atl_pool_quiesce (AtlPool *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPool, atl_pool_free)

G_END_DECLS
