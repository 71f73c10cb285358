/* A GPU that is lost in the middle of a chat: the answer ends in words, and the chat goes on on the
 * CPU. The service runs in this process, on PoCL with a layer that makes its calls fail. */
#include "gpu-world.h"

#include <string.h>

static long (*n_calls) (void);

/* Calls that fail, one a round; $ATELIER_FAULT_ROUNDS says otherwise. */
#define N_POINTS 8

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
  if (gpu_world_arm == NULL)
    {
      g_test_skip ("the OpenCL loader took no layer: this case did not run");
      return;
    }
  path = world_model_path ();
  if (path == NULL)
    return;
  gpu_world_open (&world);
  model = world_load (&world, path, "{'device': <'gpu'>}", &error);
  g_assert_no_error (error);
  on_gpu = world_ask (&world, model);
  g_assert_nonnull (on_gpu);
  g_test_message ("%s", on_gpu);
  g_assert_nonnull (strstr (on_gpu, device->name));
  first = g_strdup (world.text->str);

  gpu_world_arm (3, CL_OUT_OF_RESOURCES);
  lost = world_ask (&world, model);
  g_assert_null (lost);
  g_assert_nonnull (strstr (world.failure, "The graphics card failed"));
  g_assert_nonnull (strstr (world.failure, "run on the processor"));
  g_test_message ("%s", world.failure);

  /* The device stays lost; the answer is the same. */
  on_cpu = world_ask (&world, model);
  g_assert_nonnull (on_cpu);
  g_assert_nonnull (strstr (on_cpu, "CPU"));
  g_assert_nonnull (strstr (on_cpu, "the graphics card failed while running"));
  g_assert_cmpstr (world.text->str, ==, first);
  g_test_message ("%s", on_cpu);
  gpu_world_arm (-1, CL_SUCCESS);
  world_close (&world);
}

/* Whichever call of an answer fails, the answer is right or ends in words, and the next is right.
 */
static void
test_anywhere (void)
{
  AtlOpenclDevice *device = opencl_fixture_device ();
  const char *said = g_getenv ("ATELIER_FAULT_ROUNDS");
  guint n = said != NULL ? (guint) g_ascii_strtoull (said, NULL, 10) : N_POINTS;
  g_autofree char *path = NULL, *right = NULL;
  guint n_failed = 0;
  long n_all = 0;

  if (device == NULL)
    return;
  if (gpu_world_arm == NULL)
    {
      g_test_skip ("the OpenCL loader took no layer: this case did not run");
      return;
    }
  path = world_model_path ();
  if (path == NULL)
    return;
  for (guint i = 0; i <= n; i++)
    {
      cl_int status = i % 2 == 0 ? CL_OUT_OF_RESOURCES : CL_MEM_OBJECT_ALLOCATION_FAILURE;
      g_autoptr (GError) error = NULL;
      g_autofree char *ran_on = NULL, *again = NULL;
      World world;
      guint model;

      gpu_world_arm (-1, CL_SUCCESS);
      gpu_world_open (&world);
      model = world_load (&world, path, "{'device': <'gpu'>}", &error);
      g_assert_no_error (error);
      /* The first round counts the calls and says what is right. */
      gpu_world_arm (i == 0 ? -1 : (long) (i - 1) * MAX (n_all / (long) n, 1) % n_all, status);
      ran_on = world_ask (&world, model);
      if (i == 0)
        {
          n_all = n_calls ();
          right = g_strdup (world.text->str);
          g_assert_cmpint (n_all, >, 0);
        }
      if (ran_on != NULL)
        g_assert_cmpstr (world.text->str, ==, right);
      else
        {
          g_assert_nonnull (world.failure);
          g_assert_true (g_utf8_validate (world.failure, -1, NULL));
          n_failed++;
        }
      /* A device that is lost stays lost; one that was short of memory is tried again. */
      if (status != CL_OUT_OF_RESOURCES)
        gpu_world_arm (-1, CL_SUCCESS);
      again = world_ask (&world, model);
      g_assert_nonnull (again);
      g_assert_cmpstr (world.text->str, ==, right);
      world_close (&world);
    }
  gpu_world_arm (-1, CL_SUCCESS);
  g_test_message ("%u of %ld calls failed once: %u answers ended in words, all others were right",
                  n, n_all, n_failed);
}

static guint waiting_ms, step_ms;

/* A call that waits `step_ms` longer each time that somebody looks. */
static guint
fake_waiting_ms (AtlBackend *backend, guint *patience_ms)
{
  *patience_ms = 400;
  waiting_ms += step_ms;
  return waiting_ms;
}

static void
wait_for_state (World *world, guint state)
{
  while (world->device_state != (gint) state)
    g_main_context_iteration (NULL, TRUE);
}

/* As long as the driver does not come back the client hears of it, and of its coming back. */
static void
test_silent (void)
{
  AtlBackendClass fake;
  World world;
  guint n;

  if (!gpu_world_open (&world))
    return;
  fake = *world.devices->gpu->klass;
  fake.waiting_ms = fake_waiting_ms;
  world.devices->gpu->klass = &fake;
  waiting_ms = 0;
  step_ms = 500;
  wait_for_state (&world, ATL_DEVICE_SILENT);
  g_assert_cmpuint (waiting_ms, >=, 500);
  /* The next call of the driver. */
  waiting_ms = 0;
  step_ms = 1;
  wait_for_state (&world, ATL_DEVICE_GOES_ON);
  step_ms = 500;
  wait_for_state (&world, ATL_DEVICE_SILENT);
  wait_for_state (&world, ATL_DEVICE_HANGS);
  g_assert_cmpuint (waiting_ms, >, 1200);
  waiting_ms = 0;
  step_ms = 1;
  wait_for_state (&world, ATL_DEVICE_GOES_ON);
  /* That is said once. */
  n = world.n_silent;
  for (guint until = waiting_ms + 3; waiting_ms < until;)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (world.n_silent, ==, n);
  world_close (&world);
}

static guint jump_ms;

/* Sees a wait that grows by an hour between two looks: this process stood still. */
static guint
jumping_ms (AtlBackend *backend, guint *patience_ms)
{
  *patience_ms = 2500;
  return jump_ms += jump_ms == 1 ? 3600 * 1000 : 1;
}

static void
test_stood (void)
{
  AtlBackendClass fake;
  World world;

  if (!gpu_world_open (&world))
    return;
  fake = *world.devices->gpu->klass;
  fake.waiting_ms = jumping_ms;
  world.devices->gpu->klass = &fake;
  jump_ms = 0;
  while (jump_ms < 3600 * 1000 + 2)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (world.device_state, ==, -1);
  world_close (&world);
}

/* No layers on the device that is there is somebody's choice, not its lack of memory. */
static void
test_no_layers (void)
{
  g_autofree char *path = NULL, *ran_on = NULL;
  g_autoptr (GError) error = NULL;
  World world;
  guint model;

  if (!gpu_world_open (&world))
    return;
  path = world_model_path ();
  if (path != NULL)
    {
      model = world_load (&world, path, "{'device': <'gpu'>, 'gpu-layers': <0>}", &error);
      g_assert_no_error (error);
      ran_on = world_ask (&world, model);
      g_assert_nonnull (ran_on);
      if (strstr (ran_on, "because the settings say so") == NULL)
        g_test_fail_printf ("%s", ran_on);
    }
  world_close (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  gpu_world_init ();
  if (gpu_world_layer != NULL)
    n_calls = dlsym (gpu_world_layer, "opencl_fault_layer_n_calls");
  g_test_add_func ("/device-failure/lost", test_lost);
  g_test_add_func ("/device-failure/anywhere", test_anywhere);
  g_test_add_func ("/device-failure/silent", test_silent);
  g_test_add_func ("/device-failure/stood", test_stood);
  g_test_add_func ("/device-failure/no-layers", test_no_layers);
  return g_test_run ();
}
