/* Inside the folder: finding the values of tuning.h for a device.
 *
 * Threading: as backend.h.
 */
#pragma once

#include "engine/tensor/opencl/context.h"

G_BEGIN_DECLS

/* Stored values if there are, else the defaults; programs that were built with others are built
 * again when they are needed. While no plan runs. */
void atl_cl_tuning_restore (AtlOpencl *self);

/* Measures unless values are stored, which takes a few seconds at most, and stores them; the
 * programs that depend on them are built again. Does nothing without a cache folder (the result
 * could not be kept) and on CPU-type devices (nobody computes there for speed). FALSE when the
 * device fails or the work is cancelled. */
gboolean atl_cl_tuning_measure (AtlOpencl *self, GCancellable *cancellable, GError **error);

G_END_DECLS
