/* Who asks for the engine's heartbeat is answered, also where there is no thread left for it. */
#include <gio/gio.h>
#include <sys/socket.h>

#include "engine/service/pulse.h"
#include "protocol/protocol.h"
#include "refuse-threads.h"

static void
connected_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  *(GDBusConnection **) user_data = g_dbus_connection_new_finish (result, &error);
  g_assert_no_error (error);
}

static void
connect_end (int fd, GDBusConnectionFlags flags, GDBusConnection **connection)
{
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, NULL);
  g_autoptr (GSocketConnection) stream = g_socket_connection_factory_create_connection (socket);
  g_autofree char *guid = g_dbus_generate_guid ();
  gboolean serves = (flags & G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER) != 0;

  g_dbus_connection_new (G_IO_STREAM (stream), serves ? guid : NULL, flags, NULL, NULL,
                         connected_cb, connection);
}

static void
pinged_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply =
      g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  guint serial, age;

  g_assert_no_error (error);
  g_variant_get (reply, "(uu)", &serial, &age);
  g_assert_cmpuint (serial, ==, 7);
  *(gboolean *) user_data = TRUE;
}

static void
test_ping (gconstpointer no_thread)
{
  g_autoptr (GDBusConnection) engine = NULL, client = NULL;
  g_autoptr (AtlPulseThread) pulse = NULL;
  gboolean answered = FALSE;
  int ends[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
  connect_end (ends[0],
               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                   G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
               &engine);
  connect_end (ends[1], G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER, &client);
  while (engine == NULL || client == NULL)
    g_main_context_iteration (NULL, TRUE);
  refuses_threads = no_thread != NULL;
  pulse = atl_pulse_thread_new (engine);
  refuses_threads = FALSE;
  g_dbus_connection_start_message_processing (engine);
  g_dbus_connection_call (client, NULL, ATL_ENGINE_PATH, "io.github.atelier.Pulse1", "Ping",
                          g_variant_new ("(u)", 7), G_VARIANT_TYPE ("(uu)"), G_DBUS_CALL_FLAGS_NONE,
                          -1, NULL, pinged_cb, &answered);
  while (!answered)
    g_main_context_iteration (NULL, TRUE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/service/pulse/thread", NULL, test_ping);
  g_test_add_data_func ("/service/pulse/no-thread", "none", test_ping);
  return g_test_run ();
}
