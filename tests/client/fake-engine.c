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
    "(uint32 7,)",
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

/* --- Signals of the right signature that hold anything --- */

static GRand *dice;

static guint32
any_number (void)
{
  static const guint32 numbers[] = { 0, 1, 2, 3, 7, 255, 65536, G_MAXINT32, G_MAXUINT32 };

  return g_rand_boolean (dice) ? numbers[g_rand_int_range (dice, 0, G_N_ELEMENTS (numbers))]
                               : g_rand_int (dice);
}

static double
any_double (void)
{
  static const double numbers[] = { 0, 1, -1, 0.5, 1e308, -1e308, 1e-320 };
  int which = g_rand_int_range (dice, 0, G_N_ELEMENTS (numbers) + 2);

  return which == G_N_ELEMENTS (numbers)       ? g_strtod ("nan", NULL)
         : which == G_N_ELEMENTS (numbers) + 1 ? g_strtod ("inf", NULL)
                                               : numbers[which];
}

static char *
any_text (void)
{
  static const char *const texts[] = {
    "", "a", "<b>&amp;", "%s%n", "\xf0\x9f\xa6\x8a", "\n\r\x1b[", "../../x", "[{\"a\":1}]"
  };

  return g_rand_int_range (dice, 0, 40) == 0
             ? g_strnfill (1 << 16, 'x')
             : g_strdup (texts[g_rand_int_range (dice, 0, G_N_ELEMENTS (texts))]);
}

static GVariant *any_dict (guint depth);

static GVariant *
any_value (guint depth)
{
  g_autofree char *text = any_text ();

  switch (g_rand_int_range (dice, 0, depth > 2 ? 6 : 9))
    {
    case 0:
      return g_variant_new_uint32 (any_number ());
    case 1:
      return g_variant_new_int32 ((gint32) any_number ());
    case 2:
      return g_variant_new_uint64 ((guint64) any_number () << 32 | any_number ());
    case 3:
      return g_variant_new_double (any_double ());
    case 4:
      return g_variant_new_boolean (g_rand_boolean (dice));
    case 5:
      return g_variant_new_string (text);
    case 6:
      return any_dict (depth + 1);
    case 7:
      {
        GVariantBuilder list;

        g_variant_builder_init (&list, G_VARIANT_TYPE ("aa{sv}"));
        for (gint i = g_rand_int_range (dice, 0, 4); i > 0; i--)
          g_variant_builder_add_value (&list, any_dict (depth + 1));
        return g_variant_builder_end (&list);
      }
    default:
      return g_variant_new_strv ((const char *const[]){ text, "b" }, 2);
    }
}

/* With the names that the client looks for. */
static GVariant *
any_dict (guint depth)
{
  static const char *const names[] = {
    "parts",       "devices",        "ram",
    "ram-total",   "ram-free",       "name",
    "stop-reason", "n-prompt",       "n-answer",
    "n-cached",    "tokens-per-s",   "prefill-tokens-per-s",
    "first-ms",    "ran-on",         "context-used",
    "n-ctx",       "recommended",    "size-bytes",
    "kind",        "models",         "sandbox",
    "params",      "memory-by-kind", "width",
    "height",      "seed",           "steps",
    "why-not",     "runs-on",        "model",
  };
  GVariantBuilder dict;

  g_variant_builder_init (&dict, G_VARIANT_TYPE_VARDICT);
  for (gint i = g_rand_int_range (dice, 0, 8); i > 0; i--)
    g_variant_builder_add (&dict, "{sv}", names[g_rand_int_range (dice, 0, G_N_ELEMENTS (names))],
                           any_value (depth));
  return g_variant_builder_end (&dict);
}

/* A value of any type that signals have. */
static GVariant *
any_of (const GVariantType *type)
{
  g_autofree char *text = any_text ();

  if (g_variant_type_equal (type, G_VARIANT_TYPE_UINT32))
    return g_variant_new_uint32 (any_number ());
  if (g_variant_type_equal (type, G_VARIANT_TYPE_DOUBLE))
    return g_variant_new_double (any_double ());
  if (g_variant_type_equal (type, G_VARIANT_TYPE_BOOLEAN))
    return g_variant_new_boolean (g_rand_boolean (dice));
  if (g_variant_type_equal (type, G_VARIANT_TYPE_STRING))
    return g_variant_new_string (text);
  if (g_variant_type_equal (type, G_VARIANT_TYPE_INT32))
    return g_variant_new_int32 ((gint32) any_number ());
  if (g_variant_type_equal (type, G_VARIANT_TYPE_UINT64))
    return g_variant_new_uint64 ((guint64) any_number () << 32 | any_number ());
  if (g_variant_type_equal (type, G_VARIANT_TYPE_HANDLE))
    return g_variant_new_handle ((gint32) any_number ());
  if (g_variant_type_equal (type, G_VARIANT_TYPE_VARDICT))
    return any_dict (0);
  {
    gboolean is_tuple = g_variant_type_is_tuple (type);
    const GVariantType *element =
        is_tuple ? g_variant_type_first (type) : g_variant_type_element (type);
    gint n = is_tuple ? (gint) g_variant_type_n_items (type) : g_rand_int_range (dice, 0, 5);
    GVariantBuilder list;

    g_variant_builder_init (&list, type);
    for (; n > 0; n--)
      {
        g_variant_builder_add_value (&list, any_of (element));
        if (is_tuple)
          element = g_variant_type_next (element);
      }
    return g_variant_builder_end (&list);
  }
}

/* $ATELIER_FAKE_SIGNALS of them, beginning with the random number $ATELIER_FAKE_SEED; those that
 * are of a request are mostly of the one under way. */
static void
emit_anything (GDBusConnection *connection, guint request)
{
  const GDBusInterfaceInfo *interface = atl_ipc_engine1_interface_info ();
  guint n_signals = 0;

  while (interface->signals[n_signals] != NULL)
    n_signals++;
  for (guint64 n = g_ascii_strtoull (g_getenv ("ATELIER_FAKE_SIGNALS"), NULL, 10); n > 0; n--)
    {
      const GDBusSignalInfo *signal =
          interface->signals[g_rand_int_range (dice, 0, (gint) n_signals)];
      GVariantBuilder body;

      /* That would be the end of this engine, which has a case of its own. */
      if (g_str_equal (signal->name, "DeviceSilent"))
        continue;
      g_variant_builder_init (&body, G_VARIANT_TYPE_TUPLE);
      for (guint i = 0; signal->args != NULL && signal->args[i] != NULL; i++)
        if (i == 0 && g_str_equal (signal->args[i]->signature, "u") &&
            g_rand_int_range (dice, 0, 4) > 0)
          g_variant_builder_add_value (&body, g_variant_new_uint32 (request));
        else
          g_variant_builder_add_value (&body, any_of (G_VARIANT_TYPE (signal->args[i]->signature)));
      g_dbus_connection_emit_signal (connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE,
                                     signal->name, g_variant_builder_end (&body), NULL);
    }
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
    emit (connection, "DeviceSilent", "(uint32 1,)");
  return TRUE;
}

static gboolean
status_cb (AtlIpcEngine1 *skeleton, GDBusMethodInvocation *invocation)
{
  if (dice != NULL)
    {
      atl_ipc_engine1_complete_get_status (skeleton, invocation, any_dict (0));
      return TRUE;
    }
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

  if (dice != NULL)
    {
      emit_anything (connection, request);
      atl_ipc_engine1_complete_load_model (skeleton, invocation, NULL, 1 + any_number () % 9,
                                           any_dict (0));
      return TRUE;
    }
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
      emit (connection, "DeviceSilent", "(uint32 2,)");
      return TRUE;
    }
  if (dice != NULL)
    {
      emit_anything (connection, request);
      g_dbus_connection_emit_signal (connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE,
                                     "Finished", g_variant_new ("(u@a{sv})", request, any_dict (0)),
                                     NULL);
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
  if (g_str_equal (mode, "anything"))
    dice = g_rand_new_with_seed (
        (guint32) g_ascii_strtoull (g_getenv ("ATELIER_FAKE_SEED"), NULL, 10));
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
