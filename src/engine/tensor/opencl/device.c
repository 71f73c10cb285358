/* Which OpenCL devices there are, best first, and in words why one is not used by itself. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/device.h"

#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

#define MAX_PLATFORMS 32
#define MAX_DEVICES 64

/* AMD's driver calls the chip "gfx1100"; people know the board, which this query of
 * cl_amd_device_attribute_query tells. Other drivers refuse it. */
#define BOARD_NAME_AMD 0x4038

void
atl_opencl_device_free (AtlOpenclDevice *self)
{
  if (self == NULL)
    return;
  g_free (self->name);
  g_free (self->vendor);
  g_free (self->driver);
  g_free (self->why_not);
  g_free (self);
}

char *
atl_cl_device_string (cl_device_id device, cl_device_info what)
{
  gsize size = 0;
  g_autofree char *text = NULL;

  if (clGetDeviceInfo (device, what, 0, NULL, &size) != CL_SUCCESS || size == 0)
    return g_strdup ("");
  text = g_malloc0 (size + 1);
  if (clGetDeviceInfo (device, what, size, text, NULL) != CL_SUCCESS)
    return g_strdup ("");
  /* The bytes come from a driver and go into messages. */
  return g_strstrip (g_utf8_make_valid (text, -1));
}

char *
atl_cl_platform_string (cl_platform_id platform, cl_platform_info what)
{
  gsize size = 0;
  g_autofree char *text = NULL;

  if (clGetPlatformInfo (platform, what, 0, NULL, &size) != CL_SUCCESS || size == 0)
    return g_strdup ("");
  text = g_malloc0 (size + 1);
  if (clGetPlatformInfo (platform, what, size, text, NULL) != CL_SUCCESS)
    return g_strdup ("");
  return g_strstrip (g_utf8_make_valid (text, -1));
}

guint64
atl_cl_device_number (cl_device_id device, cl_device_info what)
{
  guint64 value = 0;

  /* Sizes of four and eight bytes both land right on little-endian machines, which is all that the
   * kernels are written for. */
  if (clGetDeviceInfo (device, what, sizeof value, &value, NULL) != CL_SUCCESS)
    return 0;
  return value;
}

/* "OpenCL 1.2 CUDA" -> 102 */
static guint
device_version (cl_device_id device)
{
  g_autofree char *text = atl_cl_device_string (device, CL_DEVICE_VERSION);
  guint major = 0, minor = 0;

  if (sscanf (text, "OpenCL %u.%u", &major, &minor) != 2)
    return 0;
  return major * 100 + minor;
}

/* NULL if the backend can use the device. */
static char *
unusable (cl_device_id device)
{
  guint version = device_version (device);

  if (!atl_cl_device_number (device, CL_DEVICE_AVAILABLE))
    return g_strdup (_ ("its driver says that it is not available"));
  if (version < 102)
    return g_strdup_printf (_ ("it offers OpenCL %u.%u; 1.2 is needed"), version / 100,
                            version % 100);
  if (!atl_cl_device_number (device, CL_DEVICE_COMPILER_AVAILABLE))
    return g_strdup (_ ("its driver has no compiler"));
  if (!atl_cl_device_number (device, CL_DEVICE_ENDIAN_LITTLE))
    return g_strdup ("it is big-endian");
  if (atl_cl_device_number (device, CL_DEVICE_MAX_WORK_GROUP_SIZE) < 256 ||
      atl_cl_device_number (device, CL_DEVICE_LOCAL_MEM_SIZE) < 32 * 1024)
    return g_strdup (_ ("it is too small: groups of 256 and 32 KiB of local memory are needed"));
  return NULL;
}

/* NULL if the backend should use the device by itself. */
static char *
unsuitable (cl_device_type type)
{
  if (type & CL_DEVICE_TYPE_CPU)
    return g_strdup (_ ("it is the processor, which Atelier uses much better without OpenCL"));
  if (!(type & CL_DEVICE_TYPE_GPU))
    return g_strdup (_ ("it is an accelerator, not a graphics card; it can be chosen by hand"));
  return NULL;
}

static AtlOpenclDevice *
describe (cl_device_id device, guint platform_index, guint device_index)
{
  AtlOpenclDevice *self = g_new0 (AtlOpenclDevice, 1);
  cl_device_type type = (cl_device_type) atl_cl_device_number (device, CL_DEVICE_TYPE);

  self->name = atl_cl_device_string (device, BOARD_NAME_AMD);
  if (self->name[0] == '\0')
    {
      g_free (self->name);
      self->name = atl_cl_device_string (device, CL_DEVICE_NAME);
    }
  if (self->name[0] == '\0')
    {
      g_free (self->name);
      self->name = g_strdup_printf (_ ("OpenCL device %u.%u"), platform_index, device_index);
    }
  self->vendor = atl_cl_device_string (device, CL_DEVICE_VENDOR);
  self->driver = atl_cl_device_string (device, CL_DRIVER_VERSION);
  self->why_not = unusable (device);
  self->can_compute = self->why_not == NULL;
  if (self->can_compute)
    self->why_not = unsuitable (type);
  self->is_gpu = (type & CL_DEVICE_TYPE_GPU) != 0;
  self->unified_memory = atl_cl_device_number (device, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0;
  self->memory_total = atl_cl_device_number (device, CL_DEVICE_GLOBAL_MEM_SIZE);
  self->max_alloc = atl_cl_device_number (device, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  self->platform_index = platform_index;
  self->device_index = device_index;
  return self;
}

/* Usable before unusable, GPU before the rest, its own memory before shared, then by memory. */
static gint
compare_devices (gconstpointer a, gconstpointer b)
{
  const AtlOpenclDevice *da = *(AtlOpenclDevice *const *) a;
  const AtlOpenclDevice *db = *(AtlOpenclDevice *const *) b;

  if ((da->why_not == NULL) != (db->why_not == NULL))
    return da->why_not == NULL ? -1 : 1;
  if (da->is_gpu != db->is_gpu)
    return da->is_gpu ? -1 : 1;
  if (da->unified_memory != db->unified_memory)
    return da->unified_memory ? 1 : -1;
  if (da->memory_total != db->memory_total)
    return da->memory_total > db->memory_total ? -1 : 1;
  if (da->platform_index != db->platform_index)
    return da->platform_index < db->platform_index ? -1 : 1;
  return da->device_index < db->device_index ? -1 : da->device_index > db->device_index;
}

/* What a person can do when a loader or driver shows nothing. */
static char *
explain_nothing (guint n_platforms, gboolean rusticl_off)
{
  if (n_platforms == 0)
    return g_strdup (
        _ ("No OpenCL driver is installed. For an AMD or Intel graphics card install Mesa's "
           "“rusticl” or the maker's OpenCL package, for NVIDIA its driver."));
  if (rusticl_off)
    return g_strdup (_ (
        "The OpenCL driver “rusticl” of Mesa is installed but shows no graphics card: it must be "
        "told which ones to use. Set the environment variable RUSTICL_ENABLE "
        "(“radeonsi” for AMD, “iris” for Intel) and log in again."));
  return g_strdup (_ ("The installed OpenCL drivers show no device. The user may lack the right to "
                      "use the graphics card (groups “render” and “video”)."));
}

GPtrArray *
atl_opencl_devices (char **why)
{
  GPtrArray *devices = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_opencl_device_free);
  cl_platform_id platforms[MAX_PLATFORMS];
  cl_uint n_platforms = 0;
  gboolean rusticl = FALSE, rusticl_off, usable_gpu = FALSE;

  if (clGetPlatformIDs (MAX_PLATFORMS, platforms, &n_platforms) != CL_SUCCESS)
    n_platforms = 0;
  n_platforms = MIN (n_platforms, MAX_PLATFORMS);

  for (guint p = 0; p < n_platforms; p++)
    {
      g_autofree char *platform_name = atl_cl_platform_string (platforms[p], CL_PLATFORM_NAME);
      cl_device_id ids[MAX_DEVICES];
      cl_uint n = 0;

      rusticl = rusticl || strstr (platform_name, "rusticl") != NULL;
      if (clGetDeviceIDs (platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &n) != CL_SUCCESS)
        continue;
      for (guint d = 0; d < MIN (n, MAX_DEVICES); d++)
        {
          AtlOpenclDevice *device = describe (ids[d], p, d);
          usable_gpu = usable_gpu || device->why_not == NULL;
          g_ptr_array_add (devices, device);
        }
    }
  g_ptr_array_sort (devices, compare_devices);

  rusticl_off = rusticl && !usable_gpu && g_getenv ("RUSTICL_ENABLE") == NULL;
  if (why != NULL)
    *why = devices->len == 0 || rusticl_off ? explain_nothing (n_platforms, rusticl_off) : NULL;
  return devices;
}

AtlOpenclDevice *
atl_opencl_device_choose (GPtrArray *devices)
{
  AtlOpenclDevice *best = devices->len > 0 ? devices->pdata[0] : NULL;

  return best != NULL && best->why_not == NULL ? best : NULL;
}

AtlOpenclDevice *
atl_opencl_device_by_name (GPtrArray *devices, const char *name)
{
  g_autofree char *wanted = g_utf8_casefold (name, -1);

  for (guint i = 0; i < devices->len; i++)
    {
      AtlOpenclDevice *device = devices->pdata[i];
      g_autofree char *has = g_utf8_casefold (device->name, -1);

      if (device->can_compute && strstr (has, wanted) != NULL)
        return device;
    }
  return NULL;
}

/* As documented by NVIDIA (CUDA's compute cache, which its OpenCL shares), Mesa (rusticl), Intel
 * (compute-runtime), AMD (comgr) and PoCL. */
void
atl_opencl_keep_driver_caches (const char *cache_dir)
{
  static const struct
  {
    const char *variable;
    const char *folder;
  } caches[] = {
    { "CUDA_CACHE_PATH", "nvidia" }, { "MESA_SHADER_CACHE_DIR", "mesa" },
    { "NEO_CACHE_DIR", "intel" },    { "AMD_COMGR_CACHE_DIR", "amd" },
    { "POCL_CACHE_DIR", "pocl" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (caches); i++)
    {
      g_autofree char *path = g_build_filename (cache_dir, "drivers", caches[i].folder, NULL);

      if (g_mkdir_with_parents (path, 0700) == 0)
        g_setenv (caches[i].variable, path, TRUE);
    }
}

cl_device_id
atl_cl_device_find (const AtlOpenclDevice *device, cl_platform_id *platform)
{
  cl_platform_id platforms[MAX_PLATFORMS];
  cl_device_id ids[MAX_DEVICES];
  cl_uint n = 0;

  if (clGetPlatformIDs (MAX_PLATFORMS, platforms, &n) != CL_SUCCESS || device->platform_index >= n)
    return NULL;
  *platform = platforms[device->platform_index];
  if (clGetDeviceIDs (*platform, CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &n) != CL_SUCCESS ||
      device->device_index >= n)
    return NULL;
  return ids[device->device_index];
}
