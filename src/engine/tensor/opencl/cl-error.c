/* Names and meanings of OpenCL status codes. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/cl-error.h"

#include <glib/gi18n.h>

static const struct
{
  cl_int status;
  const char *name;
  const char *meaning; /* (nullable) for a person */
} codes[] = {
  { CL_DEVICE_NOT_FOUND, "CL_DEVICE_NOT_FOUND", N_ ("the device is gone") },
  { CL_DEVICE_NOT_AVAILABLE, "CL_DEVICE_NOT_AVAILABLE", N_ ("the device is not available") },
  { CL_COMPILER_NOT_AVAILABLE, "CL_COMPILER_NOT_AVAILABLE", N_ ("its driver has no compiler") },
  { CL_MEM_OBJECT_ALLOCATION_FAILURE, "CL_MEM_OBJECT_ALLOCATION_FAILURE",
    N_ ("the device ran out of memory") },
  { CL_OUT_OF_RESOURCES, "CL_OUT_OF_RESOURCES",
    N_ ("the device ran out of resources or was reset") },
  { CL_OUT_OF_HOST_MEMORY, "CL_OUT_OF_HOST_MEMORY", N_ ("the computer ran out of memory") },
  { CL_BUILD_PROGRAM_FAILURE, "CL_BUILD_PROGRAM_FAILURE", N_ ("its compiler refused a kernel") },
  { CL_INVALID_DEVICE, "CL_INVALID_DEVICE", N_ ("the device is gone") },
  { CL_INVALID_CONTEXT, "CL_INVALID_CONTEXT", NULL },
  { CL_INVALID_COMMAND_QUEUE, "CL_INVALID_COMMAND_QUEUE", N_ ("the device was lost") },
  { CL_INVALID_MEM_OBJECT, "CL_INVALID_MEM_OBJECT", NULL },
  { CL_INVALID_BINARY, "CL_INVALID_BINARY", N_ ("the driver does not accept a stored kernel") },
  { CL_INVALID_PROGRAM_EXECUTABLE, "CL_INVALID_PROGRAM_EXECUTABLE", NULL },
  { CL_INVALID_KERNEL_NAME, "CL_INVALID_KERNEL_NAME", NULL },
  { CL_INVALID_KERNEL_ARGS, "CL_INVALID_KERNEL_ARGS", NULL },
  { CL_INVALID_ARG_INDEX, "CL_INVALID_ARG_INDEX", NULL },
  { CL_INVALID_ARG_SIZE, "CL_INVALID_ARG_SIZE", NULL },
  { CL_INVALID_VALUE, "CL_INVALID_VALUE", NULL },
  { CL_INVALID_WORK_GROUP_SIZE, "CL_INVALID_WORK_GROUP_SIZE",
    N_ ("the device does not take groups of this size") },
  { CL_INVALID_WORK_ITEM_SIZE, "CL_INVALID_WORK_ITEM_SIZE", NULL },
  { CL_INVALID_GLOBAL_WORK_SIZE, "CL_INVALID_GLOBAL_WORK_SIZE", NULL },
  { CL_INVALID_BUFFER_SIZE, "CL_INVALID_BUFFER_SIZE",
    N_ ("the device does not give so much memory in one piece") },
  { CL_INVALID_OPERATION, "CL_INVALID_OPERATION", NULL },
  { CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST",
    N_ ("work that was started before failed on the device") },
};

/* "CL_OUT_OF_RESOURCES"; static, never NULL. */
static const char *
status_name (cl_int status)
{
  for (gsize i = 0; i < G_N_ELEMENTS (codes); i++)
    if (codes[i].status == status)
      return codes[i].name;
  return _ ("an unknown status");
}

gboolean
atl_cl_status_is_memory (cl_int status)
{
  return status == CL_MEM_OBJECT_ALLOCATION_FAILURE || status == CL_OUT_OF_HOST_MEMORY ||
         status == CL_INVALID_BUFFER_SIZE;
}

gboolean
atl_cl_set_error (GError **error, cl_int status, const char *device_name, const char *doing)
{
  const char *meaning = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (codes); i++)
    if (codes[i].status == status)
      meaning = codes[i].meaning;
  g_set_error (error, ATL_ERROR, ATL_ERROR_DEVICE, _ ("%s: %s failed: %s (%s, %d)"), device_name,
               doing, meaning != NULL ? _ (meaning) : _ ("its driver reports a mistake"),
               status_name (status), (int) status);
  return FALSE;
}
