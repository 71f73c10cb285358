/* What the engine computes on: the CPU always, a GPU where one is usable, and why not where not.
 *
 * Threading: created before the sandbox; then read from any thread. `gpu_failed` is set on the
 * compute thread and read with g_atomic_int_get().
 */
#pragma once

#include "engine/tensor/opencl/opencl.h"

G_BEGIN_DECLS

#define ATL_MAX_CPU_BACKENDS 4

typedef struct
{
  AtlBackend *cpu;                                /* all threads */
  AtlBackend *more_cpu[ATL_MAX_CPU_BACKENDS - 1]; /* on the compute thread */
  guint more_threads[ATL_MAX_CPU_BACKENDS - 1];
  guint n_more;
  AtlBackend *gpu;      /* (nullable) */
  char *why_no_gpu;     /* (nullable) "no GPU was found"; follows "because" */
  gint gpu_failed;      /* (atomic) it failed while running: not used again by this process */
  char *why_unprepared; /* (nullable) on the compute thread: why its programs cannot be had */
  GVariant *list;       /* aa{sv} for the status */
} AtlDevices;

/* Part of the name of the OpenCL device to use instead of the best GPU; also takes devices that are
 * never chosen by themselves. */
#define ATL_DEVICE_VARIABLE "ATELIER_OPENCL_DEVICE"

/* `cpu_only`: does not even look for GPUs. NULL only when the CPU backend cannot be made. */
AtlDevices *atl_devices_new (gboolean cpu_only, const char *cache_dir, GError **error);
/* Once the sandbox is closed: the GPU's programs come out of the cache only. */
void atl_devices_forbid_compiler (AtlDevices *self);
/* In a process without sandbox: compiles for the GPU that atl_devices_new() would open. */
gboolean atl_devices_compile (const char *cache_dir,
                              const AtlOpenclNeeds *needs,
                              AtlOpenclProgress progress,
                              gpointer progress_data,
                              GError **error);
void atl_devices_free (AtlDevices *self);

/* A CPU backend with `n_threads` (0: all); at most ATL_MAX_CPU_BACKENDS kinds live at a time, after
 * which the first is given. On the compute thread. Borrowed. */
AtlBackend *atl_devices_cpu (AtlDevices *self, guint n_threads);

/* The backends for `device` ("auto", "cpu", "gpu"; NULL is "auto"), host last, into `out`, where
 * the host's is the one with all threads; their number. 0 with ATL_ERROR_DEVICE when a GPU was
 * asked for and there is none, ATL_ERROR_INVALID for another word. */
guint atl_devices_choose (AtlDevices *self, const char *device, AtlBackend *out[2], GError **error);
/* Whether the error means that the GPU is lost; it is not used again then. Any thread. */
gboolean atl_devices_gave_up (AtlDevices *self, const GError *error);
/* "CPU, 2 threads, because no GPU was found" for one of the CPU backends; `device` as asked. Owned.
 */
char *atl_devices_cpu_words (AtlDevices *self, const AtlBackend *cpu, const char *device);

G_END_DECLS
