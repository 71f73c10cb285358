/* Context, queue, memory and pacing of one device. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/context.h"

#include <glib/gi18n.h>
#include <string.h>

/* A batch ends after so many launches, or with its share of time (pace.h), which is this many
 * launches that are as long as they may be. */
#define BATCH_LAUNCHES 64
#define BATCH_LONG_LAUNCHES 2

gboolean
atl_cl_alive (const AtlOpencl *self, GError **error)
{
  if (self->lost == NULL)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_DEVICE, "%s", self->lost);
  return FALSE;
}

gboolean
atl_cl_lose (AtlOpencl *self, cl_int status, const char *doing, GError **error)
{
  g_autoptr (GError) local = NULL;

  atl_cl_set_error (&local, status, self->parent.description, doing);
  if (self->lost == NULL)
    self->lost = g_strdup (local->message);
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

gboolean
atl_cl_context_init (AtlOpencl *self,
                     const AtlOpenclDevice *device,
                     const char *cache_dir,
                     GError **error)
{
  g_autofree char *platform = NULL;
  cl_int status;

  self->device = atl_cl_device_find (device, &self->platform);
  if (self->device == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_DEVICE, _ ("%s is not there any more"),
                   device->name);
      return FALSE;
    }
  self->n_groups = (guint) atl_cl_device_number (self->device, CL_DEVICE_MAX_COMPUTE_UNITS);
  self->is_cpu = (atl_cl_device_number (self->device, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_CPU) != 0;
  platform = atl_cl_platform_string (self->platform, CL_PLATFORM_NAME);
  self->is_pocl = strstr (platform, "Portable Computing Language") != NULL;
  self->cache_dir = g_strdup (cache_dir);

  self->context = clCreateContext (NULL, 1, &self->device, NULL, NULL, &status);
  if (status != CL_SUCCESS)
    return atl_cl_set_error (error, status, device->name, N_ ("opening the device"));
  self->queue = clCreateCommandQueue (self->context, self->device, 0, &status);
  if (status != CL_SUCCESS)
    return atl_cl_set_error (error, status, device->name, N_ ("opening a command queue"));
  self->nothing = clCreateBuffer (self->context, CL_MEM_READ_WRITE, 4096, NULL, &status);
  if (status != CL_SUCCESS)
    return atl_cl_set_error (error, status, device->name, N_ ("allocating a first buffer"));
  return TRUE;
}

void
atl_cl_program_free (AtlClProgram *program)
{
  if (program == NULL)
    return;
  for (guint i = 0; i < program->n_kernels; i++)
    clReleaseKernel (program->kernels[i].kernel);
  g_free (program->kernels);
  if (program->program != NULL)
    clReleaseProgram (program->program);
  g_free (program);
}

void
atl_cl_context_clear (AtlOpencl *self)
{
  for (guint i = 0; i < self->n_in_flight; i++)
    clReleaseEvent (self->in_flight[i].event);
  self->n_in_flight = 0;
  for (guint f = 0; f < ATL_CL_N_FAMILIES; f++)
    for (guint d = 0; d < ATL_N_DTYPES; d++)
      g_clear_pointer (&self->programs[f][d], atl_cl_program_free);
  if (self->nothing != NULL)
    clReleaseMemObject (self->nothing);
  if (self->queue != NULL)
    clReleaseCommandQueue (self->queue);
  if (self->context != NULL)
    clReleaseContext (self->context);
  g_clear_pointer (&self->cache_dir, g_free);
  g_clear_pointer (&self->lost, g_free);
}

static void
update_free_memory (AtlOpencl *self)
{
  guint64 total = self->parent.memory_total;

  self->parent.memory_free = total > self->used_bytes ? total - self->used_bytes : 0;
}

static void
set_no_memory (AtlOpencl *self, gsize size_bytes, const char *what, GError **error)
{
  g_autofree char *size = g_format_size_full (size_bytes, G_FORMAT_SIZE_IEC_UNITS);
  g_autofree char *largest = g_format_size_full (self->parent.max_alloc, G_FORMAT_SIZE_IEC_UNITS);
  g_autofree char *used = g_format_size_full (self->used_bytes, G_FORMAT_SIZE_IEC_UNITS);

  if (size_bytes > self->parent.max_alloc)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
                 _ ("%s needs %s in one piece; %s gives at most %s"), what, size,
                 self->parent.description, largest);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
                 _ ("%s has no room for %s (%s); %s are in use here, other programs may use more"),
                 self->parent.description, what, size, used);
}

cl_mem
atl_cl_memory_new (AtlOpencl *self, gsize size_bytes, const char *what, GError **error)
{
  const cl_uint zero = 0;
  cl_int status;
  cl_mem memory;

  if (!atl_cl_alive (self, error))
    return NULL;
  size_bytes = atl_cl_memory_size (size_bytes);
  if (size_bytes > self->parent.max_alloc)
    {
      set_no_memory (self, size_bytes, what, error);
      return NULL;
    }
  atl_cl_enter (self);
  memory = clCreateBuffer (self->context, CL_MEM_READ_WRITE, size_bytes, NULL, &status);
  if (status == CL_SUCCESS)
    {
      /* Many drivers allocate at first use: use it now, while a refusal is still harmless. */
      status = clEnqueueFillBuffer (self->queue, memory, &zero, sizeof zero, 0, sizeof zero, 0,
                                    NULL, NULL);
      if (status == CL_SUCCESS)
        status = clFinish (self->queue);
      if (status != CL_SUCCESS)
        clReleaseMemObject (memory);
    }
  atl_cl_leave (self);
  if (status != CL_SUCCESS)
    {
      if (atl_cl_status_is_memory (status))
        set_no_memory (self, size_bytes, what, error);
      else
        atl_cl_lose (self, status, N_ ("allocating memory"), error);
      return NULL;
    }
  self->used_bytes += size_bytes;
  update_free_memory (self);
  return memory;
}

void
atl_cl_memory_free (AtlOpencl *self, cl_mem *memory, gsize size_bytes)
{
  if (*memory == NULL)
    return;
  clReleaseMemObject (*memory);
  *memory = NULL;
  self->used_bytes -= MIN (self->used_bytes, atl_cl_memory_size (size_bytes));
  update_free_memory (self);
}

/* Waits for the oldest batch. */
static cl_int
wait_for_batch (AtlOpencl *self)
{
  const AtlClBatch batch = self->in_flight[0];
  cl_int status;

  /* A processor that others use as well may take any time. */
  atl_cl_enter_for (self, self->is_cpu ? ATL_CL_PATIENCE_MS
                                       : atl_cl_pace_patience_ms (&self->pace, batch.work));
  status = clWaitForEvents (1, &batch.event);
  atl_cl_leave (self);
  atl_cl_pace_took (&self->pace, batch.work, g_get_monotonic_time ());
  clReleaseEvent (batch.event);
  self->n_in_flight--;
  for (guint i = 0; i < self->n_in_flight; i++)
    self->in_flight[i] = self->in_flight[i + 1];
  return status;
}

static cl_int
wait_for_batches (AtlOpencl *self)
{
  cl_int status = CL_SUCCESS;

  while (self->n_in_flight > 0 && status == CL_SUCCESS)
    status = wait_for_batch (self);
  return status;
}

gboolean
atl_cl_finish (AtlOpencl *self, const char *doing, GError **error)
{
  cl_int status = wait_for_batches (self);

  if (status == CL_SUCCESS)
    {
      atl_cl_enter (self);
      status = clFinish (self->queue);
      atl_cl_leave (self);
    }
  return status == CL_SUCCESS || atl_cl_lose (self, status, doing, error);
}

gboolean
atl_cl_write (AtlOpencl *self,
              cl_mem memory,
              gsize offset,
              const void *src,
              gsize size_bytes,
              const char *doing,
              GError **error)
{
  cl_int status = wait_for_batches (self);

  if (status == CL_SUCCESS)
    {
      atl_cl_enter (self);
      status = clEnqueueWriteBuffer (self->queue, memory, CL_TRUE, offset, size_bytes, src, 0, NULL,
                                     NULL);
      atl_cl_leave (self);
    }
  return status == CL_SUCCESS || atl_cl_lose (self, status, doing, error);
}

gboolean
atl_cl_read (AtlOpencl *self,
             cl_mem memory,
             gsize offset,
             void *dst,
             gsize size_bytes,
             const char *doing,
             GError **error)
{
  cl_int status = wait_for_batches (self);

  if (status == CL_SUCCESS)
    {
      atl_cl_enter (self);
      status = clEnqueueReadBuffer (self->queue, memory, CL_TRUE, offset, size_bytes, dst, 0, NULL,
                                    NULL);
      atl_cl_leave (self);
    }
  return status == CL_SUCCESS || atl_cl_lose (self, status, doing, error);
}

static gboolean
end_batch (AtlOpencl *self, GError **error)
{
  cl_int status;
  AtlClBatch *batch;

  if (self->n_launches == 0)
    return TRUE;
  if (self->n_in_flight == ATL_CL_IN_FLIGHT)
    {
      status = wait_for_batch (self);
      if (status != CL_SUCCESS)
        return atl_cl_lose (self, status, N_ ("computing"), error);
    }
  if (self->n_in_flight == 0)
    atl_cl_pace_start (&self->pace, g_get_monotonic_time ());
  batch = &self->in_flight[self->n_in_flight];
  batch->work = atl_cl_work (self->n_launches, self->n_flops, self->n_bytes);
  atl_cl_enter (self);
  status = clEnqueueMarkerWithWaitList (self->queue, 0, NULL, &batch->event);
  if (status == CL_SUCCESS)
    {
      self->n_in_flight++;
      self->n_launches = 0;
      self->n_flops = 0;
      self->n_bytes = 0;
      status = clFlush (self->queue);
    }
  atl_cl_leave (self);
  return status == CL_SUCCESS || atl_cl_lose (self, status, N_ ("starting work"), error);
}

static double
launch_work (const AtlOpencl *self)
{
  return self->most_work > 0 ? self->most_work : atl_cl_pace_launch (&self->pace, self->is_cpu);
}

guint64
atl_cl_pace_groups (const AtlOpencl *self, double flops)
{
  guint64 n = (guint64) MIN (launch_work (self) / MAX (flops, 1), G_MAXUINT32);

  return MAX (n, self->most_work > 0 ? 1 : MAX (self->n_groups, 1));
}

gboolean
atl_cl_pace (AtlOpencl *self, GError **error)
{
  if (self->n_launches < BATCH_LAUNCHES &&
      atl_cl_work (self->n_launches, self->n_flops, self->n_bytes) <
          BATCH_LONG_LAUNCHES * launch_work (self))
    return TRUE;
  return end_batch (self, error) &&
         !g_cancellable_set_error_if_cancelled (self->cancellable, error);
}

gboolean
atl_cl_pace_end (AtlOpencl *self, GError **error)
{
  return self->lost == NULL ? end_batch (self, error) : FALSE;
}
