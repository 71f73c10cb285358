/* Inside the folder: device queries shared by enumeration and context.
 *
 * Threading: any thread; drivers serialise.
 */
#pragma once

#include "engine/tensor/opencl/cl-error.h"
#include "engine/tensor/opencl/opencl.h"

G_BEGIN_DECLS

/* Valid UTF-8 without surrounding space; "" when the driver refuses. Caller frees. */
char *atl_cl_device_string (cl_device_id device, cl_device_info what);
char *atl_cl_platform_string (cl_platform_id platform, cl_platform_info what);

/* A number or flag of at most eight bytes; 0 when the driver refuses. */
guint64 atl_cl_device_number (cl_device_id device, cl_device_info what);

/* The driver's handle of an enumerated device; NULL if it has gone. */
cl_device_id atl_cl_device_find (const AtlOpenclDevice *device, cl_platform_id *platform);

G_END_DECLS
