/* Inside the folder: one device in use, its queue, its programs, and whether it still lives.
 *
 * One in-order queue; nothing inside a run waits for it except the pacing (atl_cl_pace), which
 * keeps a few batches in flight so that a run can be cancelled and no watchdog sees an endless
 * queue. The first failure of a launch or transfer marks the device as lost: every later call fails
 * at once with the same words.
 *
 * A driver that hangs cannot be left: its call never returns. So every call that may wait is
 * bracketed by atl_cl_enter and atl_cl_leave, and another thread reads how long it has been, and
 * how long one of its kind may take. Batches are waited for one by one, so that a slow device is
 * seen to go on; what the device took for those before says how long the next may take.
 *
 * Threading: as backend.h: one thread at a time.
 */
#pragma once

#include "engine/tensor/opencl/device.h"
#include "engine/tensor/opencl/pace.h"
#include "engine/tensor/opencl/tuning/tuning.h"

G_BEGIN_DECLS

/* Kernel files become programs: one of each of the first kind, one per weight type of the others.
 */
typedef enum
{
  ATL_CL_ELEMENTWISE,
  ATL_CL_NORM,
  ATL_CL_ROWS,
  ATL_CL_ROUTE,
  ATL_CL_ATTENTION,
  ATL_CL_RECURRENT,
  ATL_CL_LINEAR, /* + weight type */
  ATL_CL_CONV,   /* + weight type */
  ATL_CL_GEMV,   /* + weight type; the one kernel that is measured, quick to compile */
  ATL_CL_N_FAMILIES
} AtlClFamily;

typedef struct
{
  cl_kernel kernel; /* (owned) */
  char name[32];
  gsize local[3];
} AtlClKernel;

typedef struct
{
  cl_program program; /* (owned) */
  AtlClKernel *kernels;
  guint n_kernels;
} AtlClProgram;

#define ATL_CL_IN_FLIGHT 4

/* Launches that are waited for together. */
typedef struct
{
  cl_event event; /* (owned) */
  double work;    /* how much there is to do: see pace.h */
} AtlClBatch;

typedef struct
{
  AtlBackend parent;
  cl_platform_id platform;
  cl_device_id device;
  cl_context context;     /* (owned) */
  cl_command_queue queue; /* (owned) */
  cl_mem nothing;         /* (owned) stands in for absent operands */
  char *cache_dir;        /* (owned) (nullable) */
  gboolean is_cpu;        /* a CPU-type device: for tests */
  gboolean is_pocl;       /* compiles at first launches and keeps that to itself */
  gboolean no_compiler;   /* programs come out of the cache folder only */
  guint64 waiting;        /* (atomic) a driver's call that runs, packed by atl_cl_enter; 0: none */
  guint64 used_bytes;
  AtlClTuning tuning;
  AtlClProgram *programs[ATL_CL_N_FAMILIES][ATL_N_DTYPES]; /* (owned) (nullable) */
  char *lost;                                              /* (owned) (nullable) why */

  AtlClBatch in_flight[ATL_CL_IN_FLIGHT]; /* oldest first */
  guint n_in_flight;
  GCancellable *cancellable; /* (nullable) of the run that is under way */
  double most_work;          /* of a launch, for tests; 0: by the pace */
  guint n_groups;            /* of work that run side by side */
  guint n_launches;          /* since the last marker */
  double n_flops;            /* since the last marker, estimated */
  double n_bytes;            /* since the last marker, read and written, estimated */
  AtlClPace pace;
} AtlOpencl;

extern const AtlBackendClass atl_cl_backend_class; /* backend.c */

static inline AtlOpencl *
atl_opencl (AtlBackend *backend)
{
  return (AtlOpencl *) backend;
}

/* TRUE while the device lives; else sets the error of its loss. */
gboolean atl_cl_alive (const AtlOpencl *self, GError **error);

/* Marks the device as lost and sets the error; returns FALSE. `doing`: "running “linear”". */
gboolean atl_cl_lose (AtlOpencl *self, cl_int status, const char *doing, GError **error);

/* Around every call into the driver that may wait for the device: since when in milliseconds and,
 * in the lowest bits, how long it may take. */
#define ATL_CL_PATIENCE_BITS 20
static inline void
atl_cl_enter_for (AtlOpencl *self, guint patience_ms)
{
  guint64 since = (guint64) g_get_monotonic_time () / 1000;

  __atomic_store_n (&self->waiting,
                    since << ATL_CL_PATIENCE_BITS |
                        MIN (patience_ms, (1u << ATL_CL_PATIENCE_BITS) - 1),
                    __ATOMIC_RELAXED);
}

/* The same where nobody knows how long: memory, copies, the driver's compiler. */
static inline void
atl_cl_enter (AtlOpencl *self)
{
  atl_cl_enter_for (self, ATL_CL_PATIENCE_MS);
}

static inline void
atl_cl_leave (AtlOpencl *self)
{
  __atomic_store_n (&self->waiting, 0, __ATOMIC_RELAXED);
}

/* Gets the context, queue and stand-in buffer; the rest of `self` is zeroed before. */
gboolean atl_cl_context_init (AtlOpencl *self,
                              const AtlOpenclDevice *device,
                              const char *cache_dir,
                              GError **error);
/* Accepts a half initialised one. */
void atl_cl_context_clear (AtlOpencl *self);

/* Accepts NULL and a half made one. */
void atl_cl_program_free (AtlClProgram *program);

/* What so many bytes take. */
static inline gsize
atl_cl_memory_size (gsize size_bytes)
{
  return MAX (size_bytes, 64);
}

/* Device memory; ATL_ERROR_NO_MEMORY names `what` when there is too little. Release with
 * atl_cl_memory_free, which accepts NULL and clears the pointer. */
cl_mem atl_cl_memory_new (AtlOpencl *self, gsize size_bytes, const char *what, GError **error);
void atl_cl_memory_free (AtlOpencl *self, cl_mem *memory, gsize size_bytes);

/* Waits for all that was started. `doing` as for atl_cl_lose, which a failure calls. */
gboolean atl_cl_finish (AtlOpencl *self, const char *doing, GError **error);
/* Host memory to the device and back, once all that was started is done. */
gboolean atl_cl_write (AtlOpencl *self,
                       cl_mem memory,
                       gsize offset,
                       const void *src,
                       gsize size_bytes,
                       const char *doing,
                       GError **error);
gboolean atl_cl_read (AtlOpencl *self,
                      cl_mem memory,
                      gsize offset,
                      void *dst,
                      gsize size_bytes,
                      const char *doing,
                      GError **error);

/* --- Pacing (see above) --- */

/* How many work-groups of so much arithmetic may be one launch. */
guint64 atl_cl_pace_groups (const AtlOpencl *self, double flops);
/* After every node of a run, and between its launches. FALSE when cancelled or lost. */
gboolean atl_cl_pace (AtlOpencl *self, GError **error);
/* At the end of a run, successful or not: hands the rest to the device, waits for nothing. */
gboolean atl_cl_pace_end (AtlOpencl *self, GError **error);

G_END_DECLS
