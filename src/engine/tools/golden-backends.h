/* The backends that tools compare, by name.
 *
 *   cpu                 the machine's best instructions, float32 throughout
 *   cpu-fast            what people run: reduced precision where it pays
 *   cpu-LEVEL[-fast]    reference, avx2, avx512, amx or neon; only where the processor has it
 *   opencl:N            the N-th OpenCL device, with the CPU behind it; opencl: all of them
 *
 * Threading: one thread.
 */
#pragma once

#include "engine/tools/golden-case.h"

G_BEGIN_DECLS

typedef struct
{
  GoldenBackend list[ATL_MAX_BACKENDS];
  guint n;
  AtlBackend *owned[ATL_MAX_BACKENDS];
  guint n_owned;
  char *names[ATL_MAX_BACKENDS];
  char *without_opencl; /* (nullable) why no OpenCL device is in the list, in words */
} GoldenBackends;

/* `wanted` NULL opens "cpu", "cpu-fast" and every OpenCL device. A name that is none of the above
 * is ATL_ERROR_INVALID, a level or device that this machine lacks ATL_ERROR_NOT_FOUND. The struct
 * must be cleared in every case. */
gboolean golden_backends_open (GoldenBackends *self, const char *wanted, GError **error);
void golden_backends_clear (GoldenBackends *self);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (GoldenBackends, golden_backends_clear)

G_END_DECLS
