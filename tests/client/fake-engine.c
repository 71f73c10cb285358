/* An engine gone wrong, for testing the client: $ATELIER_FAKE says in which way. */
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine1.h"
#include "protocol/protocol.h"

static const char *mode;
static gboolean is_cpu_only;

static void
emit (GDBusConnection *connection, const char *signal, const char *params)
{
  g_dbus_connection_emit_signal (connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, signal,
                                 g_variant_new_parsed (params), NULL);
}

/* Every signal in every wrong shape, for requests that exist and that do not. */
static void
emit_nonsense (GDBusConnection *connection)
{
  static const char *const signals[] = {
    "Text",         "Prefill",       "Finished",     "Failed",
    "LoadProgress", "StatusChanged", "DeviceSilent", "Unheard"
  };
  static const char *const bodies[] = {
    "()",
    "('x',)",
    "(uint32 1,)",
    "(uint32 1, 'text', 'no boolean')",
    "(uint32 4000000000, 'text', true)",
    "(uint32 2, uint32 900, uint32 3)",
    "(uint32 2, {'stop-reason': <7>, 'n-prompt': <'many'>, 'tokens-per-s': <inf>})",
    "(uint32 77, 'not.an.error', 'x')",
    "(uint32 2, nan, 'phase')",
    "(uint32 2, -5.0, 'phase')",
    "({'parts': <[{'ram': <'x'>}]>, 'devices': <7>, 'ram-total': <uint64 18446744073709551615>},)",
  };

  for (gsize s = 0; s < G_N_ELEMENTS (signals); s++)
    for (gsize b = 0; b < G_N_ELEMENTS (bodies); b++)
      /* A well-formed end of request 2 would end the job under test: it comes by itself. */
      if (!g_str_equal (signals[s], "Finished") || !g_str_has_prefix (bodies[b], "(uint32 2, {"))
        emit (connection, signals[s], bodies[b]);
}

static gboolean
hello_cb (AtlIpcEngine1 *skeleton,
          GDBusMethodInvocation *invocation,
          guint version,
          GVariant *options)
{
  GDBusConnection *connection = g_dbus_method_invocation_get_connection (invocation);

  if (g_str_equal (mode, "silent-death"))
    _exit (3);
  if (g_str_equal (mode, "types"))
    {
      /* A reply whose signature is not the method's. */
      g_autoptr (GDBusMessage) reply =
          g_dbus_message_new_method_reply (g_dbus_method_invocation_get_message (invocation));

      g_dbus_message_set_body (reply, g_variant_new ("(s)", "hello yourself"));
      g_dbus_connection_send_message (connection, reply, 0, NULL, NULL);
      g_object_unref (invocation);
      return TRUE;
    }
  atl_ipc_engine1_complete_hello (
      skeleton, invocation, g_str_equal (mode, "version") ? 99 : version,
      g_variant_new_parsed ("{'sandbox': <uint32 3>, 'x': <[(1, 2)]>}"));
  if (g_str_equal (mode, "nonsense"))
    emit_nonsense (connection);
  if (g_str_equal (mode, "silent-device") && !is_cpu_only)
    emit (connection, "DeviceSilent", "(uint32 20,)");
  return TRUE;
}

static gboolean
status_cb (AtlIpcEngine1 *skeleton, GDBusMethodInvocation *invocation)
{
  atl_ipc_engine1_complete_get_status (
      skeleton, invocation,
      g_variant_new_parsed ("{'parts': <[@a{sv} {}, {'name': <3>}]>, 'devices': <'none'>, "
                            "'ram-free': <-1>}"));
  return TRUE;
}

static gboolean
load_cb (AtlIpcEngine1 *skeleton,
         GDBusMethodInvocation *invocation,
         GUnixFDList *fds,
         guint request,
         GVariant *files,
         GVariant *options)
{
  GDBusConnection *connection = g_dbus_method_invocation_get_connection (invocation);

  for (gint i = 3; i >= -3; i--)
    g_dbus_connection_emit_signal (connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE,
                                   "LoadProgress",
                                   g_variant_new ("(uds)", request, i / 2.0, "Backwards"), NULL);
  emit_nonsense (connection);
  atl_ipc_engine1_complete_load_model (
      skeleton, invocation, NULL, g_str_equal (mode, "model-zero") ? 0 : 7,
      g_variant_new_parsed ("{'name': <''>, 'recommended': <'hot'>, 'n-ctx': <'long'>, "
                            "'size-bytes': <-4.0>}"));
  return TRUE;
}

static gboolean
chat_cb (AtlIpcEngine1 *skeleton,
         GDBusMethodInvocation *invocation,
         guint request,
         guint model,
         const char *messages,
         GVariant *params)
{
  GDBusConnection *connection = g_dbus_method_invocation_get_connection (invocation);

  atl_ipc_engine1_complete_complete (skeleton, invocation);
  if (g_str_equal (mode, "silent-device") && !is_cpu_only)
    {
      emit (connection, "DeviceSilent", "(uint32 60,)");
      return TRUE;
    }
  emit_nonsense (connection);
  for (guint i = 0; i < 3; i++)
    {
      g_dbus_connection_emit_signal (connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE,
                                     "Text", g_variant_new ("(usb)", request, "ab", FALSE), NULL);
      g_dbus_connection_emit_signal (connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE,
                                     "Finished",
                                     g_variant_new_parsed ("(%u, {'stop-reason': <7>, "
                                                           "'tokens-per-s': <inf>})",
                                                           request),
                                     NULL);
      g_dbus_connection_emit_signal (
          connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "Failed",
          g_variant_new ("(uss)", request, "org.Nobody.Error", "late"), NULL);
    }
  return TRUE;
}

static gboolean
ping_cb (AtlIpcPulse1 *skeleton, GDBusMethodInvocation *invocation, guint serial)
{
  atl_ipc_pulse1_complete_ping (skeleton, invocation, serial, 0);
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocketConnection) stream = NULL;
  g_autoptr (GDBusConnection) connection = NULL;
  g_autoptr (AtlIpcEngine1) skeleton = NULL;
  g_autoptr (AtlIpcPulse1) pulse = NULL;
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);

  mode = g_getenv ("ATELIER_FAKE");
  is_cpu_only = argc > 3 && g_str_equal (argv[3], "--cpu-only");
  if (g_str_equal (mode, "exit"))
    return 0;
  if (g_str_equal (mode, "abort"))
    abort ();
  if (g_str_equal (mode, "garbage"))
    {
      g_autofree char *bytes = g_strnfill (1 << 16, '\xf3');

      return write (3, bytes, 1 << 16) < 0;
    }
  socket = g_socket_new_from_fd (3, NULL);
  stream = g_socket_connection_factory_create_connection (socket);
  connection = g_dbus_connection_new_sync (G_IO_STREAM (stream), NULL,
                                           G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                               G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                                           NULL, NULL, NULL);
  if (connection == NULL)
    return 1;
  skeleton = atl_ipc_engine1_skeleton_new ();
  g_object_connect (skeleton, "signal::handle-hello", hello_cb, NULL, "signal::handle-get-status",
                    status_cb, NULL, "signal::handle-load-model", load_cb, NULL,
                    "signal::handle-complete", chat_cb, NULL, NULL);
  g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (skeleton), connection,
                                    ATL_ENGINE_PATH, NULL);
  pulse = atl_ipc_pulse1_skeleton_new ();
  g_signal_connect (pulse, "handle-ping", G_CALLBACK (ping_cb), NULL);
  g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (pulse), connection, ATL_ENGINE_PATH,
                                    NULL);
  g_signal_connect_swapped (connection, "closed", G_CALLBACK (g_main_loop_quit), loop);
  g_dbus_connection_start_message_processing (connection);
  g_main_loop_run (loop);
  return 0;
}
