/* Memory of weights: many in one piece of large pages.
 *
 *   bytes = atl_cpu_slabs_alloc (slabs, n);
 *   atl_cpu_slabs_free (slabs, bytes);
 *
 * A weight in an allocation of its own has its end, and all of it when it is smaller than a large
 * page, in small ones, from which weights stream at two thirds of the speed and which cost a fault
 * each when they are filled. What is smaller than ATL_CPU_SLABS_MIN is allocated by itself.
 *
 * Threading: allocations run on the pool, so they are made by its main thread; memory may be freed
 * by any other.
 */
#pragma once

#include "engine/tensor/cpu/pool.h"

G_BEGIN_DECLS

#define ATL_CPU_SLABS_MIN (32u * 1024)

typedef struct _AtlCpuSlabs AtlCpuSlabs;

/* `pool` is borrowed. */
AtlCpuSlabs *atl_cpu_slabs_new (AtlPool *pool);
/* All that was allocated must have been freed. Accepts NULL. */
void atl_cpu_slabs_free_all (AtlCpuSlabs *self);

/* 64-byte aligned memory, contents undefined; NULL when there is none. */
gpointer atl_cpu_slabs_alloc (AtlCpuSlabs *self, gsize bytes);
/* Accepts NULL. */
void atl_cpu_slabs_free (AtlCpuSlabs *self, gpointer memory);

G_END_DECLS
