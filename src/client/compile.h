/* Compiling for the GPU in a process of its own, because the engine is locked in. Private to
 * client/.
 *
 * The engine's program is started with --compile: it reads no model and no message, only two
 * numbers, and fills the folder of compiled programs that the engine may read.
 *
 * Threading: the thread whose default main context was current at the call.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

typedef void (*AtlCompileFunc) (guint n_done, guint n_total, gpointer user_data);

/* Compiles for matrices of the types 1 << AtlDType in `matrices`, and convolutions of those in
 * `convs`. `progress` never runs after
 * `callback`. Cancelling ends the process. ATL_ERROR_DEVICE says in words why it did not succeed:
 * what the driver said, that it ended, or that it made no progress for minutes. */
void atl_compile_async (guint64 matrices,
                        guint64 convs,
                        AtlCompileFunc progress,
                        gpointer progress_data,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer user_data);
gboolean atl_compile_finish (GAsyncResult *result, GError **error);

G_END_DECLS
