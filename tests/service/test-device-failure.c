/* A GPU that is lost in the middle of a chat: the answer ends in words, and the chat goes on on the
 * CPU. The service runs in this process, on PoCL with a layer that makes its calls fail. */
#include <dlfcn.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/service/service.h"
#include "engine/tensor/cpu/cpu.h"
#include "opencl-fault-layer.h"
#include "opencl-fixture.h"
#include "protocol/protocol.h"

static void (*arm) (long at, cl_int status);

typedef struct
{
  GDBusConnection *near, *far;
  AtlDevices *devices;
  AtlService *service;
  GString *text;
  char *failure;   /* of the last request (nullable) */
  guint n_silent;  /* times that the device was told to be silent */
  gint silent_s;   /* as last told */
  GVariant *stats; /* (nullable) */
} World;

static void
connected_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GDBusConnection **connection = user_data;
  g_autoptr (GError) error = NULL;

  *connection = g_dbus_connection_new_finish (result, &error);
  g_assert_no_error (error);
}

static void
signal_cb (GDBusConnection *connection,
           const char *sender,
           const char *path,
           const char *interface,
           const char *name,
           GVariant *params,
           gpointer user_data)
{
  World *world = user_data;
  const char *text;

  if (g_str_equal (name, "Text"))
    {
      g_variant_get_child (params, 1, "&s", &text);
      g_string_append (world->text, text);
    }
  else if (g_str_equal (name, "DeviceSilent"))
    {
      g_variant_get (params, "(u)", &world->silent_s);
      world->n_silent++;
    }
  else if (g_str_equal (name, "Failed"))
    g_variant_get_child (params, 2, "s", &world->failure);
  else if (g_str_equal (name, "Finished"))
    world->stats = g_variant_get_child_value (params, 1);
}

static GIOStream *
stream_of (int fd)
{
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, NULL);

  return G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
}

static void
world_open (World *world, AtlOpenclDevice *device)
{
  g_autofree char *guid = g_dbus_generate_guid ();
  g_autoptr (GIOStream) near = NULL;
  g_autoptr (GIOStream) far = NULL;
  g_autoptr (GError) error = NULL;
  GVariantDict empty;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  near = stream_of (fds[0]);
  far = stream_of (fds[1]);
  g_dbus_connection_new (near, guid, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER, NULL, NULL,
                         connected_cb, &world->near);
  g_dbus_connection_new (far, NULL,
                         G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                             G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                         NULL, NULL, connected_cb, &world->far);
  while (world->near == NULL || world->far == NULL)
    g_main_context_iteration (NULL, TRUE);

  world->text = g_string_new (NULL);
  world->devices = atl_devices_new (TRUE, NULL, &error);
  g_assert_no_error (error);
  world->devices->gpu = atl_opencl_backend_new (device, opencl_fixture_cache_dir (), &error);
  g_assert_no_error (error);
  world->service = atl_service_new (world->far, world->devices, "", FALSE, &error);
  g_assert_no_error (error);
  g_dbus_connection_start_message_processing (world->far);
  g_dbus_connection_signal_subscribe (world->near, NULL, ATL_ENGINE_INTERFACE, NULL,
                                      ATL_ENGINE_PATH, NULL, G_DBUS_SIGNAL_FLAGS_NONE, signal_cb,
                                      world, NULL);
  g_variant_dict_init (&empty, NULL);
  g_dbus_connection_call (
      world->near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "Hello",
      g_variant_new ("(u@a{sv})", ATL_PROTOCOL_VERSION, g_variant_dict_end (&empty)), NULL,
      G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}

static void
world_close (World *world)
{
  atl_service_free (world->service);
  g_dbus_connection_close_sync (world->near, NULL, NULL);
  g_object_unref (world->near);
  g_object_unref (world->far);
  atl_devices_free (world->devices);
  g_string_free (world->text, TRUE);
  g_clear_pointer (&world->failure, g_free);
  g_clear_pointer (&world->stats, g_variant_unref);
}

static void
replied_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GVariant **reply = user_data;
  g_autoptr (GError) error = NULL;

  *reply = g_dbus_connection_call_with_unix_fd_list_finish (G_DBUS_CONNECTION (source), NULL,
                                                            result, &error);
  g_assert_no_error (error);
}

static guint
load (World *world, const char *path)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_autoptr (GVariant) reply = NULL;
  guint model;
  int fd = open (path, O_RDONLY | O_CLOEXEC);

  g_unix_fd_list_append (fds, fd, NULL);
  close (fd);
  g_dbus_connection_call_with_unix_fd_list (
      world->near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "LoadModel",
      g_variant_new_parsed ("(uint32 1, [('m.gguf', handle 0)], {'device': <'gpu'>})"), NULL,
      G_DBUS_CALL_FLAGS_NONE, G_MAXINT, fds, NULL, replied_cb, &reply);
  while (reply == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_variant_get_child (reply, 0, "u", &model);
  return model;
}

/* Asks and waits; what it ran on, or NULL when it failed. */
static char *
ask (World *world, guint model)
{
  static guint request = 100;

  g_string_truncate (world->text, 0);
  g_clear_pointer (&world->failure, g_free);
  g_clear_pointer (&world->stats, g_variant_unref);
  g_dbus_connection_call (world->near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "Complete",
                          g_variant_new_parsed ("(%u, %u, 'Once upon a time', "
                                                "{'temperature': <0.0>, 'max-tokens': <12>})",
                                                ++request, model),
                          NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
  while (world->failure == NULL && world->stats == NULL)
    g_main_context_iteration (NULL, TRUE);
  return world->stats != NULL ? atl_dict_string (world->stats, ATL_STAT_RAN_ON, "") : NULL;
}

static void
test_lost (void)
{
  const char *conformance = g_getenv ("ATELIER_CONFORMANCE");
  g_autofree char *beside =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "..", "shared", "conformance", NULL);
  g_autofree char *path = g_build_filename (conformance != NULL ? conformance : beside, "models",
                                            "stories260K.gguf", NULL);
  AtlOpenclDevice *device = opencl_fixture_device ();
  g_autofree char *on_gpu = NULL;
  g_autofree char *lost = NULL;
  g_autofree char *on_cpu = NULL;
  g_autofree char *first = NULL;
  World world = { 0 };
  guint model;

  if (device == NULL)
    return;
  if (arm == NULL || !g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_test_skip (arm == NULL ? "the OpenCL loader took no layer: this case did not run"
                               : "stories260K.gguf not found: this case did not run");
      return;
    }
  world_open (&world, device);
  model = load (&world, path);
  on_gpu = ask (&world, model);
  g_assert_nonnull (on_gpu);
  g_test_message ("%s", on_gpu);
  g_assert_nonnull (strstr (on_gpu, device->name));
  first = g_strdup (world.text->str);

  arm (3, CL_OUT_OF_RESOURCES);
  lost = ask (&world, model);
  g_assert_null (lost);
  g_assert_nonnull (strstr (world.failure, "The GPU failed"));
  g_assert_nonnull (strstr (world.failure, "run on the CPU"));
  g_test_message ("%s", world.failure);

  /* The device stays lost; the answer is the same. */
  on_cpu = ask (&world, model);
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
  World world = { .silent_s = -1 };

  if (device == NULL)
    return;
  world_open (&world, device);
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
