/* What the processor's threads read from memory: the bandwidth that bounds decoding.
 *
 * Where a machine is shared it changes within seconds, so it is read right before and after what is
 * compared with it. Threading: one reading at a time.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _BenchMemory BenchMemory;

/* Half a gigabyte in large pages, as weights are kept, for `n_threads` (at least 1); NULL where
 * there is no room for it. */
BenchMemory *bench_memory_new (guint n_threads);
/* Accepts NULL. */
void bench_memory_free (BenchMemory *self);

/* Reads all of it `n` times, with all threads: out[n] in bytes a second. Some ten milliseconds a
 * time. */
void bench_memory_read (BenchMemory *self, double *out, guint n);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BenchMemory, bench_memory_free)

G_END_DECLS
