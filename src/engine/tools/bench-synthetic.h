/* Checkpoints of real shapes with random weights, for measuring without downloading.
 *
 * Threading: any; the checkpoint is the caller's.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* `spec` is "SHAPE:TYPE", see bench.h. ATL_ERROR_INVALID names the known ones. */
AtlCheckpoint *bench_synthetic_new (const char *spec, GError **error);

G_END_DECLS
