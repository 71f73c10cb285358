/* Checkpoints of random weights, for measuring without downloading. The bytes are blocks of really
 * quantised noise in random order: speed depends on layout and size only, and values stay in a
 * range where nothing overflows.
 *
 *   static void describe (BenchNoise *noise, gconstpointer shape)
 *   { bench_noise_tensor (noise, ATL_DTYPE_F16, 2, (gint64[]){ 64, 64 }, "blk.%u.q.weight", 0); }
 *   AtlCheckpoint *cp = bench_noise_build ("a name", describe, &shape, &error);
 *
 * Threading: one at a time.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

typedef struct _BenchNoise BenchNoise;

/* Names all tensors; called twice. */
typedef void (*BenchDescribe) (BenchNoise *noise, gconstpointer shape);

/* One tensor; of one dimension: ones where the name holds “norm”, else zeros, in f32. */
void bench_noise_tensor (
    BenchNoise *self, AtlDType dtype, guint n_dims, const gint64 *dim, const char *format, ...)
    G_GNUC_PRINTF (5, 6);

/* ATL_ERROR_NO_MEMORY when there is no room for them. */
AtlCheckpoint *
bench_noise_build (const char *name, BenchDescribe describe, gconstpointer shape, GError **error);

G_END_DECLS
