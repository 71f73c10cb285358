/* What tests of the service on a GPU share: a world on PoCL, and a layer that makes calls of the
 * driver fail.
 *
 *   gpu_world_init ();             after g_test_init()
 *   if (!gpu_world_open (&world))
 *     return;                      the test is marked as skipped
 *   gpu_world_arm (3, CL_OUT_OF_RESOURCES);
 */
#pragma once

#include <dlfcn.h>

#include "opencl-fault-layer.h"
#include "opencl-fixture.h"
#include "service-fixture.h"

/* NULL where the loader of OpenCL takes no layer. */
static void (*gpu_world_arm) (long at, cl_int status);
static void *gpu_world_layer;

static inline void
gpu_world_init (void)
{
  g_autofree char *path =
      g_test_build_filename (G_TEST_BUILT, "tensor", "opencl-fault-layer.so", NULL);

  atl_error_register_dbus ();
  g_setenv ("OPENCL_LAYERS", path, TRUE);
  opencl_fixture_cache_dir ();
  if (opencl_fixture_device () != NULL)
    gpu_world_layer = dlopen (path, RTLD_NOW | RTLD_NOLOAD);
  if (gpu_world_layer != NULL)
    gpu_world_arm = dlsym (gpu_world_layer, "opencl_fault_layer_arm");
}

/* FALSE after marking the test as skipped. */
static inline gboolean
gpu_world_open (World *world)
{
  AtlOpenclDevice *device = opencl_fixture_device ();
  g_autoptr (GError) error = NULL;
  AtlDevices *devices;

  if (device == NULL)
    return FALSE;
  devices = atl_devices_new (TRUE, NULL, &error);
  g_assert_no_error (error);
  devices->gpu = atl_opencl_backend_new (device, opencl_fixture_cache_dir (), &error);
  g_assert_no_error (error);
  world_open (world, devices);
  return TRUE;
}
