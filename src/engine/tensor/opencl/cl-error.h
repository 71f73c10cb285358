/* What an OpenCL status means, in words and as a GError.
 *
 *   status = clEnqueueNDRangeKernel (...);
 *   if (status != CL_SUCCESS)
 *     return atl_cl_set_error (error, status, "AMD Radeon RX 7600", "running “linear”");
 *
 * Also the only place that includes <CL/cl.h>: the rest of the folder gets the version to program
 * against from here. Threading: pure functions, any thread.
 */
#pragma once

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "base/error.h"

G_BEGIN_DECLS

/* Whether the status says that the device has too little memory. */
gboolean atl_cl_status_is_memory (cl_int status);

/* Sets ATL_ERROR_DEVICE: "<device>: <doing> failed: <meaning> (<name>)". Always returns FALSE. */
gboolean
atl_cl_set_error (GError **error, cl_int status, const char *device_name, const char *doing);

G_DEFINE_AUTO_CLEANUP_FREE_FUNC (cl_mem, clReleaseMemObject, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (cl_program, clReleaseProgram, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (cl_event, clReleaseEvent, NULL)

G_END_DECLS
