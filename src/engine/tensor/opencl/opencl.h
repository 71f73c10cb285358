/* The OpenCL backend: any conforming device, OpenCL 1.2 baseline.
 *
 * Kernels are written for GPUs. CPU-type devices (PoCL) are listed but skipped in the automatic
 * choice; tests use them. Threading: see backend.h.
 */
#pragma once

#include "engine/tensor/backend.h"

G_BEGIN_DECLS

typedef struct
{
  char *name;    /* (owned) "AMD Radeon RX 7600" */
  char *vendor;  /* (owned) */
  char *driver;  /* (owned) version string */
  char *why_not; /* (owned) (nullable) why it is not used by itself, in words */
  gboolean is_gpu;
  gboolean unified_memory;
  guint64 memory_total, max_alloc;
  guint platform_index, device_index;
} AtlOpenclDevice;

void atl_opencl_device_free (AtlOpenclDevice *self);

/* All devices of all platforms, best first. Never fails: without a loader or driver the array is
 * empty and *why (nullable out, caller frees) says so in words. (element-type AtlOpenclDevice*) */
GPtrArray *atl_opencl_devices (char **why);

/* The device to use by default: the best one without `why_not`; NULL if there is none. Borrowed. */
AtlOpenclDevice *atl_opencl_device_choose (GPtrArray *devices);

/* cache_dir: where compiled programs are kept (nullable: not kept). */
AtlBackend *
atl_opencl_backend_new (const AtlOpenclDevice *device, const char *cache_dir, GError **error);

/* Builds every kernel that a model with these weight dtypes may need, so that no compiler runs
 * later (the sandbox forbids it). `dtypes` as a bit set 1 << AtlDType. */
gboolean atl_opencl_backend_prepare (AtlBackend *self,
                                     guint64 dtypes,
                                     GCancellable *cancellable,
                                     GError **error);

G_END_DECLS
