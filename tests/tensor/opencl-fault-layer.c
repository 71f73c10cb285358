/* An OpenCL layer (OPENCL_LAYERS) that lets the n-th call that can fail on a device fail, as a GPU
 * with too little memory or after a reset would. The test loads the same file to arm it. */
#include "opencl-fault-layer.h"

#include <CL/cl_layer.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__ ((visibility ("default")))

static const cl_icd_dispatch *next; /* what the layer sits on */
static cl_icd_dispatch layer;
static long n_calls;  /* since it was armed */
static long fail_at;  /* -1: never */
static cl_int status; /* what the call returns then */
static int hangs;     /* (atomic) */
static void (*tell) (void *data);
static void *tell_data;
static long tell_at;

EXPORT void
opencl_fault_layer_arm (long at, cl_int with)
{
  n_calls = 0;
  fail_at = at;
  status = with;
  tell = NULL;
}

EXPORT void
opencl_fault_layer_tell (long at, void (*func) (void *data), void *data)
{
  tell_at = at;
  tell = func;
  tell_data = data;
}

EXPORT long
opencl_fault_layer_n_calls (void)
{
  return n_calls;
}

EXPORT void
opencl_fault_layer_hang (int on)
{
  __atomic_store_n (&hangs, on, __ATOMIC_SEQ_CST);
}

static void
hang (void)
{
  while (__atomic_load_n (&hangs, __ATOMIC_SEQ_CST))
    usleep (1000);
}

/* A lost device stays lost: every call from the chosen one on fails. */
static int
fails (void)
{
  long n = n_calls++;

  if (tell != NULL && n == tell_at)
    tell (tell_data);
  return fail_at >= 0 && n >= fail_at && (n == fail_at || status == CL_OUT_OF_RESOURCES);
}

static cl_mem CL_API_CALL
create_buffer (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *error)
{
  if (!fails ())
    return next->clCreateBuffer (context, flags, size, host, error);
  *error = status;
  return NULL;
}

static cl_command_queue CL_API_CALL
create_queue (cl_context context,
              cl_device_id device,
              cl_command_queue_properties properties,
              cl_int *error)
{
  if (!fails ())
    return next->clCreateCommandQueue (context, device, properties, error);
  *error = status;
  return NULL;
}

static cl_context CL_API_CALL
create_context (const cl_context_properties *properties,
                cl_uint n,
                const cl_device_id *devices,
                void (CL_CALLBACK *notify) (const char *, const void *, size_t, void *),
                void *user_data,
                cl_int *error)
{
  if (!fails ())
    return next->clCreateContext (properties, n, devices, notify, user_data, error);
  *error = status;
  return NULL;
}

static cl_int CL_API_CALL
build_program (cl_program program,
               cl_uint n,
               const cl_device_id *devices,
               const char *options,
               void (CL_CALLBACK *notify) (cl_program, void *),
               void *user_data)
{
  return fails () ? status : next->clBuildProgram (program, n, devices, options, notify, user_data);
}

static cl_int CL_API_CALL
create_kernels (cl_program program, cl_uint n, cl_kernel *kernels, cl_uint *n_ret)
{
  return fails () ? status : next->clCreateKernelsInProgram (program, n, kernels, n_ret);
}

static cl_int CL_API_CALL
run_kernel (cl_command_queue queue,
            cl_kernel kernel,
            cl_uint dims,
            const size_t *offset,
            const size_t *global,
            const size_t *local,
            cl_uint n,
            const cl_event *wait,
            cl_event *event)
{
  return fails () ? status
                  : next->clEnqueueNDRangeKernel (queue, kernel, dims, offset, global, local, n,
                                                  wait, event);
}

static cl_int CL_API_CALL
write_buffer (cl_command_queue queue,
              cl_mem memory,
              cl_bool blocking,
              size_t offset,
              size_t size,
              const void *data,
              cl_uint n,
              const cl_event *wait,
              cl_event *event)
{
  return fails () ? status
                  : next->clEnqueueWriteBuffer (queue, memory, blocking, offset, size, data, n,
                                                wait, event);
}

static cl_int CL_API_CALL
read_buffer (cl_command_queue queue,
             cl_mem memory,
             cl_bool blocking,
             size_t offset,
             size_t size,
             void *data,
             cl_uint n,
             const cl_event *wait,
             cl_event *event)
{
  hang ();
  return fails () ? status
                  : next->clEnqueueReadBuffer (queue, memory, blocking, offset, size, data, n, wait,
                                               event);
}

static cl_int CL_API_CALL
fill_buffer (cl_command_queue queue,
             cl_mem memory,
             const void *pattern,
             size_t pattern_size,
             size_t offset,
             size_t size,
             cl_uint n,
             const cl_event *wait,
             cl_event *event)
{
  return fails () ? status
                  : next->clEnqueueFillBuffer (queue, memory, pattern, pattern_size, offset, size,
                                               n, wait, event);
}

static cl_int CL_API_CALL
marker (cl_command_queue queue, cl_uint n, const cl_event *wait, cl_event *event)
{
  return fails () ? status : next->clEnqueueMarkerWithWaitList (queue, n, wait, event);
}

static cl_int CL_API_CALL
flush (cl_command_queue queue)
{
  return fails () ? status : next->clFlush (queue);
}

static cl_int CL_API_CALL
finish (cl_command_queue queue)
{
  hang ();
  return fails () ? status : next->clFinish (queue);
}

static cl_int CL_API_CALL
wait_for_events (cl_uint n, const cl_event *events)
{
  hang ();
  return fails () ? status : next->clWaitForEvents (n, events);
}

EXPORT CL_API_ENTRY cl_int CL_API_CALL
clGetLayerInfo (cl_layer_info what, size_t size, void *value, size_t *size_ret)
{
  const cl_layer_api_version version = CL_LAYER_API_VERSION_100;

  if (what != CL_LAYER_API_VERSION || (value != NULL && size < sizeof version))
    return CL_INVALID_VALUE;
  if (value != NULL)
    memcpy (value, &version, sizeof version);
  if (size_ret != NULL)
    *size_ret = sizeof version;
  return CL_SUCCESS;
}

EXPORT CL_API_ENTRY cl_int CL_API_CALL
clInitLayer (cl_uint n_entries,
             const cl_icd_dispatch *target,
             cl_uint *n_entries_ret,
             const cl_icd_dispatch **layer_ret)
{
  if (target == NULL || n_entries_ret == NULL || layer_ret == NULL)
    return CL_INVALID_VALUE;
  if (n_entries < sizeof layer / sizeof layer.clGetPlatformIDs)
    return CL_INVALID_VALUE;
  next = target;
  fail_at = -1;
  /* Entries that stay NULL are passed on by the loader. */
  layer.clCreateContext = create_context;
  layer.clCreateCommandQueue = create_queue;
  layer.clCreateBuffer = create_buffer;
  layer.clBuildProgram = build_program;
  layer.clCreateKernelsInProgram = create_kernels;
  layer.clEnqueueNDRangeKernel = run_kernel;
  layer.clEnqueueWriteBuffer = write_buffer;
  layer.clEnqueueReadBuffer = read_buffer;
  layer.clEnqueueFillBuffer = fill_buffer;
  layer.clEnqueueMarkerWithWaitList = marker;
  layer.clFlush = flush;
  layer.clFinish = finish;
  layer.clWaitForEvents = wait_for_events;
  *layer_ret = &layer;
  *n_entries_ret = sizeof layer / sizeof layer.clGetPlatformIDs;
  return CL_SUCCESS;
}
