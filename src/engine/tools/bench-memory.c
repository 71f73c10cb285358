/* The memory bandwidth; what it promises is in bench-memory.h. */
#include "engine/tools/bench-memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BANDWIDTH_BYTES ((gsize) 512 << 20)
#define HUGE_BYTES (2u << 20)
#define LINE_BYTES 64

/* What one thread reads. */
typedef struct
{
  const guint8 *data;
  gsize n_bytes;
  guint64 sum;
} Slice;

struct _BenchMemory
{
  guint n_threads;
  guint8 *data;   /* (owned) [BANDWIDTH_BYTES] */
  Slice *slices;  /* (owned) [n_threads] */
  guint64 unused; /* so that no reading is left out */
};

BenchMemory *
bench_memory_new (guint n_threads)
{
  BenchMemory *self;
  gpointer data = NULL;
  gsize per = BANDWIDTH_BYTES / n_threads / LINE_BYTES * LINE_BYTES;

  if (posix_memalign (&data, HUGE_BYTES, BANDWIDTH_BYTES) != 0)
    return NULL;
  madvise (data, BANDWIDTH_BYTES, MADV_HUGEPAGE);
  memset (data, 1, BANDWIDTH_BYTES);
  self = g_new0 (BenchMemory, 1);
  self->n_threads = n_threads;
  self->data = data;
  self->slices = g_new0 (Slice, n_threads);
  for (guint i = 0; i < n_threads; i++)
    self->slices[i] = (Slice){ self->data + i * per, per, 0 };
  return self;
}

void
bench_memory_free (BenchMemory *self)
{
  if (self == NULL)
    return;
  free (self->data);
  g_free (self->slices);
  g_free (self);
}

static gpointer
read_slice (gpointer data)
{
  Slice *s = data;
  guint64 sums[LINE_BYTES / sizeof (guint64)] = { 0 };

  for (gsize i = 0; i < s->n_bytes; i += LINE_BYTES)
    {
      const guint64 *line = (const guint64 *) (s->data + i);

      /* The roof of what runs here is asked for as the products do it. */
      __builtin_prefetch (s->data + i + 2048, 0, 2);
      __builtin_prefetch (s->data + i + 1024);
      for (guint k = 0; k < G_N_ELEMENTS (sums); k++)
        sums[k] += line[k];
    }
  for (guint k = 0; k < G_N_ELEMENTS (sums); k++)
    s->sum += sums[k];
  return NULL;
}

void
bench_memory_read (BenchMemory *self, double *out, guint n)
{
  const guint n_workers = self->n_threads - 1;
  g_autofree GThread **threads = g_new0 (GThread *, n_workers + 1);

  for (guint round = 0; round < n; round++)
    {
      gint64 start = g_get_monotonic_time ();

      for (guint i = 0; i < n_workers; i++)
        threads[i] = g_thread_new ("bandwidth", read_slice, &self->slices[i]);
      read_slice (&self->slices[n_workers]);
      for (guint i = 0; i < n_workers; i++)
        g_thread_join (threads[i]);
      out[round] = (double) (self->slices[0].n_bytes * self->n_threads) * 1e6 /
                   (double) MAX (g_get_monotonic_time () - start, 1);
    }
  for (guint i = 0; i < self->n_threads; i++)
    self->unused += self->slices[i].sum;
}
