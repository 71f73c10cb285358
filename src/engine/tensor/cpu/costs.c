/* What nodes cost, and the roof that products of many rows run under. */
#include <string.h>

#include "engine/tensor/cpu/cpu-private.h"

/* Inner elements of a tile: rows and panels of it stay in a first-level cache. */
#define PEAK_K 64
#define PEAK_TILES 20000

void
atl_cpu_backend_count (AtlBackend *self, AtlCpuCost *costs)
{
  ((AtlCpu *) self)->costs = costs;
}

typedef struct
{
  const AtlCpuKernels *kernels;
  guint8 *memory;
  gsize bytes; /* of a worker */
} Peak;

static void
peak_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Peak *p = args;
  const AtlCpuKernels *k = p->kernels;
  guint8 *rows = p->memory + worker * p->bytes;
  guint8 *panels = rows + ATL_TILE_MAX_ROWS * PEAK_K * sizeof (float);
  float *sums = (float *) (panels + 2 * 16 * PEAK_K * sizeof (float));

  if (k->begin != NULL)
    k->begin ();
  for (guint i = 0; i < PEAK_TILES; i++)
    k->tile (PEAK_K, rows, panels, panels + 16 * PEAK_K * sizeof (float), sums, 32, FALSE);
  if (k->end != NULL)
    k->end ();
}

double
atl_cpu_backend_peak (AtlBackend *self)
{
  AtlCpu *cpu = (AtlCpu *) self;
  Peak p = { .kernels = cpu->kernels,
             .bytes = (ATL_TILE_MAX_ROWS + 32) * PEAK_K * sizeof (float) +
                      ATL_TILE_MAX_ROWS * 32 * sizeof (float) };
  double best = 0.0;

  if (cpu->kernels == NULL)
    return 0.0;
  p.memory = atl_cpu_alloc (p.bytes * cpu->n_threads);
  if (p.memory == NULL)
    return 0.0;
  memset (p.memory, 0, p.bytes * cpu->n_threads);
  for (guint i = 0; i < 8; i++)
    {
      gint64 start = g_get_monotonic_time ();
      double seconds;

      atl_pool_run (cpu->pool, cpu->n_threads, peak_chunk, &p);
      seconds = (double) (g_get_monotonic_time () - start) / 1e6;
      best = MAX (best, (double) cpu->n_threads * PEAK_TILES * cpu->kernels->tile_rows * 32.0 *
                            PEAK_K / seconds);
    }
  free (p.memory);
  return best;
}
