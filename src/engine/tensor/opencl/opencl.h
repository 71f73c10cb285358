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
  gboolean can_compute; /* when chosen by name */
  gboolean unified_memory;
  guint64 memory_total, max_alloc;
  guint platform_index, device_index;
} AtlOpenclDevice;

/* NULL is fine. */
void atl_opencl_device_free (AtlOpenclDevice *self);

/* All devices of all platforms, best first. Never fails: without a loader or driver the array is
 * empty and *why (nullable out, caller frees) says so in words. (element-type AtlOpenclDevice*) */
GPtrArray *atl_opencl_devices (char **why);

/* The device to use by default: the best one without `why_not`; NULL if there is none. Borrowed. */
AtlOpenclDevice *atl_opencl_device_choose (GPtrArray *devices);
/* The first that can compute and has `name` in its name, whatever its case; NULL if there is none.
 * Borrowed. */
AtlOpenclDevice *atl_opencl_device_by_name (GPtrArray *devices, const char *name);

/* Drivers keep compiled kernels in folders of their own; this puts those below `cache_dir`. Sets
 * environment variables: call it before there are threads and before any device is looked for. */
void atl_opencl_keep_driver_caches (const char *cache_dir);

/* cache_dir: where compiled programs are kept (nullable: not kept). */
AtlBackend *
atl_opencl_backend_new (const AtlOpenclDevice *device, const char *cache_dir, GError **error);

/* The most arithmetic, in multiplications with an addition and what goes for one, of one launch,
 * unless a work-group has more; 0, as at first: by what was measured while it ran. For tests. */
void atl_opencl_backend_set_launch (AtlBackend *self, double most_work);

/* --- Compiling in one process, computing in another that may not ---
 *
 *   AtlOpenclNeeds needs = { .matrices = 1 << ATL_DTYPE_Q4_K };
 *   the process that may:   atl_opencl_backend_prepare (backend, &needs, NULL, NULL, NULL, &error)
 *   the one that may not:   atl_opencl_backend_forbid_compiler (backend);
 *                           atl_opencl_backend_is_prepared (backend, &needs)
 */

/* What a model needs besides what all need: its weights' types as bit sets 1 << AtlDType. */
typedef struct
{
  guint64 matrices;
  guint64 convs;
} AtlOpenclNeeds;

/* Programs done of all; on the calling thread. */
typedef void (*AtlOpenclProgress) (guint n_done, guint n_total, gpointer user_data);

/* Measures what suits the device unless that is known, and builds and tries every program that such
 * a model may run, so that the cache folder has them all. */
gboolean atl_opencl_backend_prepare (AtlBackend *self,
                                     const AtlOpenclNeeds *needs,
                                     AtlOpenclProgress progress /* nullable */,
                                     gpointer progress_data,
                                     GCancellable *cancellable,
                                     GError **error);

/* From now on programs come out of the cache folder only; one that is not there is an error of its
 * op. */
void atl_opencl_backend_forbid_compiler (AtlBackend *self);

/* Whether such a model runs without a compiler: TRUE unless that is forbidden. Opens the programs,
 * so that the first token need not. While no plan runs. */
gboolean atl_opencl_backend_is_prepared (AtlBackend *self, const AtlOpenclNeeds *needs);

G_END_DECLS
