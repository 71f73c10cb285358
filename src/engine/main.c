/* The engine's program.
 *
 *   atelier-engine --fd N             serves the client behind descriptor N, which started it
 *   atelier-engine --fd N --cpu-only  without looking for GPUs, whose drivers may crash
 *   atelier-engine --compile N,M      compiles for the GPU what models with matrices of the types
 *                                     1 << AtlDType in N and convolutions of those in M need; not
 *                                     locked in, reads no model
 *   atelier-engine --probe-sandbox    tries what the sandbox must deny
 *   atelier-engine TOOL ARGUMENTS…    runs one of atelier-cli's tools in this process
 */
#define G_LOG_DOMAIN "atl-engine"

#include <glib/gi18n.h>
#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atelier-config.h"
#include "base/language.h"
#include "engine/service/pulse.h"
#include "engine/service/sandbox.h"
#include "engine/service/service.h"
#include "engine/tools/bench.h"
#include "engine/tools/devices.h"
#include "engine/tools/golden.h"
#include "engine/tools/greedy.h"
#include "engine/tools/inspect.h"
#include "engine/tools/quantize.h"
#include "engine/tools/tokenize.h"

/* After the client is gone, running jobs end within a token; a device that hangs must not keep the
 * process alive. */
#define FAREWELL_S 5

/* Tools that only read model files (and write one) lock network and programs away first: the files
 * are as untrusted there as they are here. */
static const struct
{
  const char *name;
  int (*run) (int argc, char **argv);
  gboolean is_locked;
} tools[] = {
  { "bench", atl_tool_bench },           { "devices", atl_tool_devices },
  { "golden", atl_tool_golden },         { "greedy", atl_tool_greedy },
  { "convert", atl_tool_convert, TRUE }, { "quantize", atl_tool_quantize, TRUE },
  { "inspect", atl_tool_inspect, TRUE }, { "tokenize", atl_tool_tokenize, TRUE },
};

static void
closed_cb (GDBusConnection *connection,
           gboolean remote_peer_vanished,
           GError *error,
           gpointer user_data)
{
  g_main_loop_quit (user_data);
}

static GDBusConnection *
connect_to_client (int fd, GError **error)
{
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, error);
  g_autoptr (GSocketConnection) stream = NULL;

  if (socket == NULL)
    return NULL;
  stream = g_socket_connection_factory_create_connection (socket);
  return g_dbus_connection_new_sync (G_IO_STREAM (stream), NULL,
                                     G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                         G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                                     NULL, NULL, error);
}

/* Compilers inside OpenCL drivers catch crashes to print their own report; a crash must end this
 * process, as the client waits for that. */
static void
reset_signals (void)
{
  static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGABRT, SIGTERM };

  for (gsize i = 0; i < G_N_ELEMENTS (fatal); i++)
    signal (fatal[i], SIG_DFL);
}

/* (nullable) Owned. */
static char *
open_cache (void)
{
  char *cache = g_build_filename (g_get_user_cache_dir (), "atelier", "kernels", NULL);

  if (g_mkdir_with_parents (cache, 0700) != 0)
    g_clear_pointer (&cache, g_free);
  else
    atl_opencl_keep_driver_caches (cache);
  return cache;
}

static int
serve (int fd, gboolean cpu_only)
{
  AtlSandbox box = ATL_SANDBOX_INIT;
  g_autofree char *cache = NULL;
  g_autofree char *sentence = NULL;
  g_autoptr (GDBusConnection) connection = NULL;
  g_autoptr (GMainLoop) loop = NULL;
  g_autoptr (AtlPulseThread) pulse = NULL;
  g_autoptr (GError) error = NULL;
  AtlDevices *devices;
  AtlService *service;

  if (!atl_sandbox_prepare_process (fd))
    return EXIT_FAILURE;
  /* Ctrl-C in a terminal reaches all its processes: what it ends is the client's to say. */
  signal (SIGINT, SIG_IGN);
  cache = open_cache ();
  /* The time zone is read from a file that is out of reach soon; templates print the date. */
  g_date_time_unref (g_date_time_new_now_local ());

  /* Landlock binds this thread and its children only: before there are others. */
  atl_sandbox_restrict_files (&box, cache, !cpu_only);
  devices = atl_devices_new (cpu_only, cache, &error);
  if (devices == NULL)
    {
      g_printerr ("atelier-engine: %s\n", error->message);
      return EXIT_FAILURE;
    }
  reset_signals ();
  atl_sandbox_restrict_calls (&box);
  atl_devices_forbid_compiler (devices);
  sentence = atl_sandbox_sentence (&box);

  connection = connect_to_client (fd, &error);
  if (connection == NULL)
    {
      g_printerr ("atelier-engine: %s\n", error->message);
      return EXIT_FAILURE;
    }
  g_dbus_connection_set_exit_on_close (connection, FALSE);
  loop = g_main_loop_new (NULL, FALSE);
  g_signal_connect (connection, "closed", G_CALLBACK (closed_cb), loop);
  pulse = atl_pulse_thread_new (connection);
  service = atl_service_new (connection, devices, sentence, atl_sandbox_is_full (&box), &error);
  if (service == NULL)
    {
      g_printerr ("atelier-engine: %s\n", error->message);
      return EXIT_FAILURE;
    }
  g_dbus_connection_start_message_processing (connection);
  g_main_loop_run (loop);

  alarm (FAREWELL_S);
  g_signal_handlers_disconnect_by_data (connection, loop);
  atl_service_free (service);
  g_clear_pointer (&pulse, atl_pulse_thread_free);
  atl_devices_free (devices);
  return EXIT_SUCCESS;
}

static void
compiled_cb (guint n_done, guint n_total, gpointer user_data)
{
  printf ("compiled %u of %u\n", n_done, n_total);
  fflush (stdout);
}

/* The client reads what is printed: client/compile.c. */
static int
compile (const char *types)
{
  AtlOpenclNeeds needs = { 0 };
  g_autofree char *cache = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) numbers = g_strsplit (types, ",", 2);

  if (numbers[0] == NULL ||
      !g_ascii_string_to_unsigned (numbers[0], 10, 0, G_MAXUINT64, &needs.matrices, &error) ||
      (numbers[1] != NULL &&
       !g_ascii_string_to_unsigned (numbers[1], 10, 0, G_MAXUINT64, &needs.convs, &error)))
    {
      g_printerr ("atelier-engine: --compile: %s\n", error != NULL ? error->message : "");
      return 2;
    }
  if (!atl_sandbox_prepare_process (-1))
    return EXIT_FAILURE;
  cache = open_cache ();
  if (cache == NULL)
    g_set_error (&error, ATL_ERROR, ATL_ERROR_FULL, _ ("nothing can be kept in %s"),
                 g_get_user_cache_dir ());
  else
    atl_devices_compile (cache, &needs, compiled_cb, NULL, &error);
  if (error == NULL)
    return EXIT_SUCCESS;
  printf ("failed %s\n", g_strdelimit (error->message, "\n\r", ' '));
  return EXIT_FAILURE;
}

static int
run_tool (int argc, char **argv)
{
  for (gsize i = 0; i < G_N_ELEMENTS (tools); i++)
    if (strcmp (argv[0], tools[i].name) == 0)
      {
        AtlSandbox box = ATL_SANDBOX_INIT;
        g_autofree char *called = g_strdup_printf ("atelier-cli %s", argv[0]);

        /* For the help of those that have options. */
        g_set_prgname (called);
        if (tools[i].is_locked)
          atl_sandbox_restrict_calls (&box);
        return tools[i].run (argc, argv);
      }
  g_printerr ("atelier-engine: there is no tool “%s”. It is started by Atelier or atelier-cli.\n",
              argv[0]);
  return 2;
}

int
main (int argc, char **argv)
{
  gint64 fd = -1;
  gboolean cpu_only = FALSE;

  /* A file beyond the limit of a login's files is told about, as a full disk is. */
  signal (SIGXFSZ, SIG_IGN);
  atl_language_open ();
  if (argc < 2)
    {
      g_printerr ("atelier-engine %s is started by Atelier or atelier-cli.\n", ATL_VERSION);
      return 2;
    }
  if (strcmp (argv[1], "--version") == 0)
    {
      printf ("atelier-engine %s\n", ATL_VERSION);
      return EXIT_SUCCESS;
    }
  if (strcmp (argv[1], "--probe-sandbox") == 0)
    return atl_sandbox_probe ();
  if (strcmp (argv[1], "--compile") == 0 && argc == 3)
    return compile (argv[2]);
  if (argv[1][0] != '-')
    return run_tool (argc - 1, argv + 1);

  for (int i = 1; i < argc; i++)
    {
      if (strcmp (argv[i], "--fd") == 0 && i + 1 < argc &&
          g_ascii_string_to_signed (argv[i + 1], 10, 3, 1023, &fd, NULL))
        i++;
      else if (strcmp (argv[i], "--cpu-only") == 0)
        cpu_only = TRUE;
      else
        {
          g_printerr ("atelier-engine: the argument “%s” is not known.\n", argv[i]);
          return 2;
        }
    }
  if (fd < 0)
    {
      g_printerr ("atelier-engine: --fd is missing.\n");
      return 2;
    }
  return serve ((int) fd, cpu_only);
}
