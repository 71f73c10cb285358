/* A service without a process around it. */
#include "service-fixture.h"

#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conformance.h"

char *
world_model_path (void)
{
  return atl_test_conformance ("models/stories260K.gguf");
}

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
  else if (g_str_equal (name, "ModelUnloaded"))
    {
      guint model;

      g_variant_get (params, "(u&s)", &model, &text);
      g_string_append_printf (world->unloaded, "%u %s\n", model, text);
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

void
world_open (World *world, AtlDevices *devices)
{
  g_autofree char *guid = g_dbus_generate_guid ();
  g_autoptr (GIOStream) near = NULL;
  g_autoptr (GIOStream) far = NULL;
  g_autoptr (GError) error = NULL;
  GVariantDict empty;
  int fds[2];

  *world = (World){ .silent_s = -1 };
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
  world->unloaded = g_string_new (NULL);
  world->devices = devices;
  world->service = atl_service_new (world->far, world->devices, "", FALSE, &error);
  g_assert_no_error (error);
  g_dbus_connection_start_message_processing (world->far);
  world->subscription = g_dbus_connection_signal_subscribe (
      world->near, NULL, ATL_ENGINE_INTERFACE, NULL, ATL_ENGINE_PATH, NULL,
      G_DBUS_SIGNAL_FLAGS_NONE, signal_cb, world, NULL);
  g_variant_dict_init (&empty, NULL);
  g_dbus_connection_call (
      world->near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "Hello",
      g_variant_new ("(u@a{sv})", ATL_PROTOCOL_VERSION, g_variant_dict_end (&empty)), NULL,
      G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}

void
world_close (World *world)
{
  g_dbus_connection_signal_unsubscribe (world->near, world->subscription);
  atl_service_free (world->service);
  g_dbus_connection_close_sync (world->near, NULL, NULL);
  g_object_unref (world->near);
  g_object_unref (world->far);
  atl_devices_free (world->devices);
  g_string_free (world->text, TRUE);
  g_string_free (world->unloaded, TRUE);
  g_clear_pointer (&world->failure, g_free);
  g_clear_pointer (&world->stats, g_variant_unref);
}

typedef struct
{
  GVariant *reply;
  GError *error;
  gboolean is_over;
} Reply;

static void
replied_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Reply *reply = user_data;

  reply->reply = g_dbus_connection_call_with_unix_fd_list_finish (G_DBUS_CONNECTION (source), NULL,
                                                                  result, &reply->error);
  reply->is_over = TRUE;
}

guint
world_load (World *world, const char *path, const char *options, GError **error)
{
  static guint request = 1000;
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_autofree char *arguments =
      g_strdup_printf ("(uint32 %u, [('m.gguf', handle 0)], @a{sv} %s)", ++request, options);
  Reply reply = { 0 };
  guint model = 0;
  int fd = open (path, O_RDONLY | O_CLOEXEC);

  g_unix_fd_list_append (fds, fd, NULL);
  close (fd);
  g_dbus_connection_call_with_unix_fd_list (
      world->near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "LoadModel",
      g_variant_new_parsed (arguments), NULL, G_DBUS_CALL_FLAGS_NONE, G_MAXINT, fds, NULL,
      replied_cb, &reply);
  while (!reply.is_over)
    g_main_context_iteration (NULL, TRUE);
  if (reply.error != NULL)
    {
      g_dbus_error_strip_remote_error (reply.error);
      g_propagate_error (error, reply.error);
      return 0;
    }
  g_variant_get_child (reply.reply, 0, "u", &model);
  g_variant_unref (reply.reply);
  return model;
}

char *
world_ask (World *world, guint model)
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
