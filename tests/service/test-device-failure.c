/* A GPU that is lost in the middle of a chat: the answer ends in words, and the chat goes on on the
 * CPU. The service runs in this process, on PoCL with a layer that makes its calls fail. */
#include "service-fixture.h"

#include <dlfcn.h>
#include <string.h>

#include "opencl-fault-layer.h"
#include "opencl-fixture.h"

static void (*arm) (long at, cl_int status);

static void
open_world (World *world, AtlOpenclDevice *device)
{
  g_autoptr (GError) error = NULL;
  AtlDevices *devices = atl_devices_new (TRUE, NULL, &error);

  g_assert_no_error (error);
  devices->gpu = atl_opencl_backend_new (device, opencl_fixture_cache_dir (), &error);
  g_assert_no_error (error);
  world_open (world, devices);
}

static void
test_lost (void)
{
  AtlOpenclDevice *device = opencl_fixture_device ();
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *on_gpu = NULL;
  g_autofree char *lost = NULL;
  g_autofree char *on_cpu = NULL;
  g_autofree char *first = NULL;
  World world;
  guint model;

  if (device == NULL)
    return;
  if (arm == NULL)
    {
      g_test_skip ("the OpenCL loader took no layer: this case did not run");
      return;
    }
  path = world_model_path ();
  if (path == NULL)
    return;
  open_world (&world, device);
  model = world_load (&world, path, "{'device': <'gpu'>}", &error);
  g_assert_no_error (error);
  on_gpu = world_ask (&world, model);
  g_assert_nonnull (on_gpu);
  g_test_message ("%s", on_gpu);
  g_assert_nonnull (strstr (on_gpu, device->name));
  first = g_strdup (world.text->str);

  arm (3, CL_OUT_OF_RESOURCES);
  lost = world_ask (&world, model);
  g_assert_null (lost);
  g_assert_nonnull (strstr (world.failure, "The GPU failed"));
  g_assert_nonnull (strstr (world.failure, "run on the CPU"));
  g_test_message ("%s", world.failure);

  /* The device stays lost; the answer is the same. */
  on_cpu = world_ask (&world, model);
  g_assert_nonnull (on_cpu);
  g_assert_nonnull (strstr (on_cpu, "CPU"));
  g_assert_nonnull (strstr (on_cpu, "the GPU failed while running"));
  g_assert_cmpstr (world.text->str, ==, first);
  g_test_message ("%s", on_cpu);
  arm (-1, CL_SUCCESS);
  world_close (&world);
}

static guint waiting_ms;

static guint
fake_waiting_ms (AtlBackend *backend)
{
  return waiting_ms;
}

/* As long as the driver does not come back the client hears of it, and of its coming back. */
static void
test_silent (void)
{
  AtlOpenclDevice *device = opencl_fixture_device ();
  AtlBackendClass fake;
  World world;

  if (device == NULL)
    return;
  open_world (&world, device);
  fake = *world.devices->gpu->klass;
  fake.waiting_ms = fake_waiting_ms;
  world.devices->gpu->klass = &fake;
  waiting_ms = 1000 * ATL_DEVICE_SILENT_S + 1;
  while (world.n_silent < 2)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (world.silent_s, ==, ATL_DEVICE_SILENT_S);
  waiting_ms = 1000 * ATL_DEVICE_SILENT_S - 1;
  while (world.silent_s != 0)
    g_main_context_iteration (NULL, TRUE);
  world_close (&world);
}

int
main (int argc, char **argv)
{
  g_autofree char *path = NULL;
  void *module;

  g_test_init (&argc, &argv, NULL);
  atl_error_register_dbus ();
  path = g_test_build_filename (G_TEST_BUILT, "tensor", "opencl-fault-layer.so", NULL);
  g_setenv ("OPENCL_LAYERS", path, TRUE);
  opencl_fixture_cache_dir ();
  if (opencl_fixture_device () != NULL && (module = dlopen (path, RTLD_NOW | RTLD_NOLOAD)) != NULL)
    arm = dlsym (module, "opencl_fault_layer_arm");
  g_test_add_func ("/device-failure/lost", test_lost);
  g_test_add_func ("/device-failure/silent", test_silent);
  return g_test_run ();
}
