/* A hostile client: wrong versions, orders, types, sizes and numbers. The engine refuses in words
 * and answers the next ping. */
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/protocol.h"

/* Of an engine on a machine that has much else to do. */
#define PATIENCE_MS 120000

typedef struct
{
  GSubprocess *process;
  GDBusConnection *connection;
  char *model_path; /* (nullable) */
} Peer;

static GVariant *
call (Peer *peer,
      const char *interface,
      const char *method,
      GVariant *params,
      GUnixFDList *fds,
      GError **error)
{
  return g_dbus_connection_call_with_unix_fd_list_sync (
      peer->connection, NULL, ATL_ENGINE_PATH, interface, method, params, NULL,
      G_DBUS_CALL_FLAGS_NONE, PATIENCE_MS, fds, NULL, NULL, error);
}

static void
assert_alive (Peer *peer)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply =
      call (peer, ATL_PULSE_INTERFACE, "Ping", g_variant_new ("(u)", 41u), NULL, &error);
  guint serial, late;

  g_assert_no_error (error);
  g_variant_get (reply, "(uu)", &serial, &late);
  g_assert_cmpuint (serial, ==, 41);
  g_assert_cmpuint (late, <, 2000);
}

static void
refuse (Peer *peer, const char *method, GVariant *params, GUnixFDList *fds)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = call (peer, ATL_ENGINE_INTERFACE, method, params, fds, &error);

  g_assert_null (reply);
  g_assert_nonnull (error);
  assert_alive (peer);
}

static void
hello (Peer *peer, guint version, GError **error)
{
  g_autoptr (GVariant) reply = call (
      peer, ATL_ENGINE_INTERFACE, "Hello",
      g_variant_new ("(u@a{sv})", version, g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0)),
      NULL, error);
}

static void
set_up (Peer *peer, gconstpointer data)
{
  g_autoptr (GSubprocessLauncher) launcher =
      g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_SILENCE);
  g_autofree char *guid = g_dbus_generate_guid ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocketConnection) stream = NULL;
  g_autoptr (GError) error = NULL;
  const char *conformance = g_getenv ("ATELIER_CONFORMANCE");
  int fds[2];

  atl_error_register_dbus ();
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  g_subprocess_launcher_take_fd (launcher, fds[1], 3);
  /* The leak sanitizer traces its own process, which the sandbox denies. */
  g_subprocess_launcher_setenv (launcher, "ASAN_OPTIONS", "detect_leaks=0", TRUE);
  peer->process = g_subprocess_launcher_spawn (launcher, &error, g_getenv ("ATELIER_ENGINE"),
                                               "--fd", "3", "--cpu-only", NULL);
  g_assert_no_error (error);
  socket = g_socket_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  stream = g_socket_connection_factory_create_connection (socket);
  peer->connection =
      g_dbus_connection_new_sync (G_IO_STREAM (stream), guid,
                                  G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
                                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_REQUIRE_SAME_USER,
                                  NULL, NULL, &error);
  g_assert_no_error (error);
  g_dbus_connection_set_exit_on_close (peer->connection, FALSE);
  peer->model_path = conformance != NULL
                         ? g_build_filename (conformance, "models", "stories260K.gguf", NULL)
                         : g_build_filename (g_getenv ("ATELIER_SOURCE"), "..", "shared",
                                             "conformance", "models", "stories260K.gguf", NULL);
  if (!g_file_test (peer->model_path, G_FILE_TEST_EXISTS))
    g_clear_pointer (&peer->model_path, g_free);
  if (data == NULL)
    {
      hello (peer, ATL_PROTOCOL_VERSION, &error);
      g_assert_no_error (error);
    }
}

static void
tear_down (Peer *peer, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  /* It leaves by itself, in peace, when the connection closes. */
  g_dbus_connection_close_sync (peer->connection, NULL, NULL);
  g_assert_true (g_subprocess_wait (peer->process, NULL, &error));
  g_assert_true (g_subprocess_get_if_exited (peer->process));
  g_assert_cmpint (g_subprocess_get_exit_status (peer->process), ==, 0);
  g_clear_object (&peer->connection);
  g_clear_object (&peer->process);
  g_clear_pointer (&peer->model_path, g_free);
}

static void
test_version (Peer *peer, gconstpointer data)
{
  static const guint versions[] = { 0, ATL_PROTOCOL_VERSION - 1, ATL_PROTOCOL_VERSION + 1,
                                    G_MAXUINT };

  refuse (peer, "UnloadModel", g_variant_new ("(u)", 1u), NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (versions); i++)
    {
      g_autoptr (GError) error = NULL;

      hello (peer, versions[i], &error);
      g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
      g_assert_nonnull (strstr (error->message, "version"));
    }
  refuse (peer, "Chat", g_variant_new_parsed ("(uint32 1, uint32 1, '[]', @a{sv} {})"), NULL);
}

static void
test_types (Peer *peer, gconstpointer data)
{
  static const char *const methods[] = { "Hello",    "Inspect", "LoadModel", "UnloadModel", "Chat",
                                         "Complete", "Cancel",  "GetStatus", "Nonsense" };
  static const char *const bodies[] = {
    "('x',)",
    "(1,)",
    "([1, 2, 3],)",
    "(uint64 1, 'a', 'b', 'c', 'd')",
    "(@a{sv} {},)",
    "(uint32 1, [(1, 2)], @a{sv} {})",
    "({'a': <1>}, uint32 7)",
  };

  for (gsize m = 0; m < G_N_ELEMENTS (methods); m++)
    for (gsize b = 0; b < G_N_ELEMENTS (bodies); b++)
      {
        g_autoptr (GVariant) body = g_variant_ref_sink (g_variant_new_parsed (bodies[b]));
        g_autoptr (GError) error = NULL;
        g_autoptr (GVariant) reply = NULL;

        if (g_str_equal (methods[m], "Cancel") || g_str_equal (methods[m], "UnloadModel"))
          if (g_variant_is_of_type (body, G_VARIANT_TYPE ("(u)")))
            continue;
        reply = call (peer, ATL_ENGINE_INTERFACE, methods[m], body, NULL, &error);
        g_assert_null (reply);
      }
  assert_alive (peer);
}

static void
test_numbers (Peer *peer, gconstpointer data)
{
  refuse (peer, "UnloadModel", g_variant_new ("(u)", 0u), NULL);
  refuse (peer, "UnloadModel", g_variant_new ("(u)", G_MAXUINT), NULL);
  refuse (peer, "Chat", g_variant_new_parsed ("(uint32 0, uint32 0, '[]', @a{sv} {})"), NULL);
  refuse (peer, "Chat", g_variant_new_parsed ("(uint32 1, uint32 77, '[]', @a{sv} {})"), NULL);
  refuse (peer, "Complete", g_variant_new_parsed ("(uint32 1, uint32 77, 'x', @a{sv} {})"), NULL);
  /* Cancelling what is not there is nothing. */
  {
    g_autoptr (GError) error = NULL;
    g_autoptr (GVariant) reply =
        call (peer, ATL_ENGINE_INTERFACE, "Cancel", g_variant_new ("(u)", 5u), NULL, &error);

    g_assert_no_error (error);
  }
  /* Handles without descriptors, negative ones, no files at all. */
  refuse (peer, "LoadModel", g_variant_new_parsed ("(uint32 1, @a(sh) [], @a{sv} {})"), NULL);
  refuse (peer, "LoadModel", g_variant_new_parsed ("(uint32 1, [('a', handle 0)], @a{sv} {})"),
          NULL);
  refuse (peer, "LoadModel", g_variant_new_parsed ("(uint32 1, [('a', handle -1)], @a{sv} {})"),
          NULL);
  refuse (peer, "Inspect",
          g_variant_new_parsed ("(uint32 1, [('a', handle 2147483647)], @a{sv} {})"), NULL);
}

static GUnixFDList *
fd_of (const char *path, int flags)
{
  GUnixFDList *fds = g_unix_fd_list_new ();
  int fd = open (path, flags | O_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  g_unix_fd_list_append (fds, fd, NULL);
  close (fd);
  return fds;
}

static void
test_descriptors (Peer *peer, gconstpointer data)
{
  static const char *const paths[] = { "/dev/null", "/dev/zero", "/proc/self/maps", "/tmp", "/" };

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autoptr (GUnixFDList) fds = fd_of (paths[i], O_RDONLY);

      refuse (peer, "LoadModel",
              g_variant_new_parsed ("(uint32 9, [('m.gguf', handle 0)], @a{sv} {})"), fds);
      refuse (peer, "Inspect", g_variant_new_parsed ("(uint32 9, [('', handle 0)], @a{sv} {})"),
              fds);
    }
  /* A pipe and a socket. */
  {
    g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
    int ends[2];

    g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
    g_unix_fd_list_append (fds, ends[0], NULL);
    refuse (peer, "LoadModel",
            g_variant_new_parsed ("(uint32 9, [('m.gguf', handle 0)], @a{sv} {})"), fds);
    close (ends[0]);
    close (ends[1]);
  }
}

static GVariant *
load (Peer *peer, const char *options, GError **error)
{
  g_autoptr (GUnixFDList) fds = fd_of (peer->model_path, O_RDONLY);
  g_autoptr (GVariant) dict = g_variant_ref_sink (g_variant_new_parsed (options));

  return call (peer, ATL_ENGINE_INTERFACE, "LoadModel",
               g_variant_new_parsed ("(uint32 3, [('m.gguf', handle 0)], %@a{sv})", dict), fds,
               error);
}

static void
test_options (Peer *peer, gconstpointer data)
{
  static const char *const bad[] = {
    "{'kv-type': <'zip'>}",
    "{'device': <'moon'>}",
    "{'device': <'gpu'>}",
    "{'n-ctx': <uint32 4294967295>}",
  };
  static const char *const odd[] = {
    "{'n-ctx': <'many'>, 'gpu-layers': <-9>, 'n-threads': <uint32 99999>}",
    "{'gpu-layers': <2147483647>, 'unknown': <[1, 2]>}",
  };

  if (peer->model_path == NULL)
    {
      g_test_skip ("stories260K.gguf not found: this case did not run");
      return;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (load (peer, bad[i], &error));
      g_assert_cmpint (error->domain, ==, ATL_ERROR);
      assert_alive (peer);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (odd); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GVariant) reply = load (peer, odd[i], &error);

      g_assert_no_error (error);
    }
  assert_alive (peer);
}

/* The same number twice, more requests than the queue holds, and cancelling them all. */
static void
test_queue (Peer *peer, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) loaded = NULL;
  guint model, n_full = 0, n_taken = 0;

  if (peer->model_path == NULL)
    {
      g_test_skip ("stories260K.gguf not found: this case did not run");
      return;
    }
  loaded = load (peer, "@a{sv} {}", &error);
  g_assert_no_error (error);
  g_variant_get_child (loaded, 0, "u", &model);
  for (guint i = 0; i < 200; i++)
    {
      g_autoptr (GError) local = NULL;
      g_autoptr (GVariant) reply =
          call (peer, ATL_ENGINE_INTERFACE, "Complete",
                g_variant_new_parsed ("(%u, %u, 'Once', {'temperature': <5.0>, 'top-k': <0>, "
                                      "'shift-context': <true>, 'max-tokens': <1000000>})",
                                      i / 2 + 1, model),
                NULL, &local);

      if (reply == NULL)
        {
          n_full += g_error_matches (local, ATL_ERROR, ATL_ERROR_FULL);
          n_taken += g_error_matches (local, ATL_ERROR, ATL_ERROR_INVALID);
        }
    }
  g_assert_cmpuint (n_full, >, 0);
  g_assert_cmpuint (n_taken, >, 0);
  assert_alive (peer);
  /* Unloading ends them all. */
  {
    g_autoptr (GVariant) reply = call (peer, ATL_ENGINE_INTERFACE, "UnloadModel",
                                       g_variant_new ("(u)", model), NULL, &error);

    g_assert_no_error (error);
  }
  assert_alive (peer);
}

/* --- Random values of the right types, so that they reach what reads them --- */

static GVariant *random_of (const GVariantType *type, guint depth);

static GVariant *
random_children (const GVariantType *type, guint depth)
{
  GVariantBuilder children;

  g_variant_builder_init (&children, type);
  if (g_variant_type_is_array (type))
    for (gint i = g_test_rand_int_range (0, depth > 3 ? 1 : 4); i > 0; i--)
      g_variant_builder_add_value (&children, random_of (g_variant_type_element (type), depth + 1));
  else
    for (const GVariantType *t = g_variant_type_first (type); t != NULL;
         t = g_variant_type_next (t))
      g_variant_builder_add_value (&children, random_of (t, depth + 1));
  return g_variant_builder_end (&children);
}

#define ANY(list) list[g_test_rand_int_range (0, G_N_ELEMENTS (list))]

static GVariant *
random_of (const GVariantType *type, guint depth)
{
  static const char *const keys[] = {
    "n-ctx",    "temperature", "top-k",   "stop",   "max-tokens", "seed",         "grammar",
    "tools",    "json-schema", "n-probs", "device", "gpu-layers", "n-threads",    "adapters",
    "compiled", "from-disk",   "width",   "height", "steps",      "guidance",     "prompt",
    "sampler",  "schedule",    "loras",   "weight", "strength",   "conversation", "max-side",
    "factor",   "tile",        "kv-type", "name",   "count",      "idle-minutes"
  };
  static const char *const texts[] = { "",
                                       "m.gguf",
                                       "image",
                                       "\xc3\xbc[{\"role\":\"user\"}]",
                                       "root ::= root",
                                       "cpu",
                                       "a/../b",
                                       "[{\"role\":\"user\",\"content\":\"Hi\"}]" };
  static const char *const types[] = {
    "u", "i", "d", "s", "b", "t", "as", "ad", "a{sv}", "aa{sv}"
  };
  static const guint64 numbers[] = { 0,    1,          2,           3,          64,
                                     4096, G_MAXINT32, G_MAXUINT32, G_MAXINT64, G_MAXUINT64 };
  static const double doubles[] = { 0, -1, 0.5, 1e308, -1e308, 1e-308, G_MAXUINT32 };

  switch (g_variant_type_peek_string (type)[0])
    {
    case 'u':
      return g_variant_new_uint32 ((guint32) ANY (numbers));
    case 'i':
      return g_variant_new_int32 ((gint32) ANY (numbers));
    case 't':
      return g_variant_new_uint64 (ANY (numbers));
    case 'd':
      return g_variant_new_double (ANY (doubles));
    case 'b':
      return g_variant_new_boolean (g_test_rand_bit ());
    case 'h':
      return g_variant_new_handle (g_test_rand_int_range (-1, 4));
    case 's':
      return g_variant_new_string (ANY (texts));
    case 'v':
      return g_variant_new_variant (
          random_of (G_VARIANT_TYPE (depth > 3 ? "u" : ANY (types)), depth + 1));
    case '{':
      return g_variant_new_dict_entry (g_variant_new_string (ANY (keys)),
                                       random_of (g_variant_type_value (type), depth + 1));
    default:
      return random_children (type, depth);
    }
}

static GDBusNodeInfo *
ask_what_there_is (Peer *peer)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply =
      call (peer, "org.freedesktop.DBus.Introspectable", "Introspect", NULL, NULL, &error);
  GDBusNodeInfo *info;
  const char *xml;

  g_assert_no_error (error);
  g_variant_get (reply, "(&s)", &xml);
  info = g_dbus_node_info_new_for_xml (xml, &error);
  g_assert_no_error (error);
  return info;
}

static char *
signature_of (const GDBusMethodInfo *method)
{
  g_autoptr (GString) signature = g_string_new ("(");

  for (GDBusArgInfo **arg = method->in_args; arg != NULL && *arg != NULL; arg++)
    g_string_append (signature, (*arg)->signature);
  return g_strdup_printf ("%s)", signature->str);
}

/* Every method with values that its signature allows. $ATELIER_FUZZ_RUNS calls (3000). */
static void
test_random (Peer *peer, gconstpointer data)
{
  GDBusNodeInfo *node = ask_what_there_is (peer);
  GDBusInterfaceInfo *engine = g_dbus_node_info_lookup_interface (node, ATL_ENGINE_INTERFACE);
  const char *said = g_getenv ("ATELIER_FUZZ_RUNS");
  guint64 n = said != NULL ? g_ascii_strtoull (said, NULL, 10) : 3000;
  g_autoptr (GUnixFDList) fds = fd_of ("/proc/self/exe", O_RDONLY);
  guint n_methods = 0, n_done = 0;

  g_assert_nonnull (engine);
  while (engine->methods[n_methods] != NULL)
    n_methods++;
  g_assert_cmpuint (n_methods, >=, 17);
  if (peer->model_path != NULL)
    {
      int fd = open (peer->model_path, O_RDONLY | O_CLOEXEC);

      g_assert_cmpint (g_unix_fd_list_append (fds, fd, NULL), ==, 1);
      close (fd);
    }
  for (guint64 i = 0; i < n; i++)
    {
      const GDBusMethodInfo *method = engine->methods[g_test_rand_int_range (0, (gint) n_methods)];
      g_autofree char *signature = signature_of (method);
      g_autoptr (GVariant) reply =
          call (peer, ATL_ENGINE_INTERFACE, method->name, random_of (G_VARIANT_TYPE (signature), 0),
                g_test_rand_bit () ? fds : NULL, NULL);

      n_done += reply != NULL;
      if (i % 500 == 0)
        assert_alive (peer);
    }
  assert_alive (peer);
  g_test_message ("%" G_GUINT64_FORMAT " calls of %u methods, %u of them answered", n, n_methods,
                  n_done);
  g_assert_cmpuint (n_done, >, 0);
  g_dbus_node_info_unref (node);
}

static void
add (const char *name, void (*test) (Peer *, gconstpointer), gboolean ungreeted)
{
  g_test_add (name, Peer, GINT_TO_POINTER (ungreeted), set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("/hostile/version", test_version, TRUE);
  add ("/hostile/types", test_types, FALSE);
  add ("/hostile/numbers", test_numbers, FALSE);
  add ("/hostile/descriptors", test_descriptors, FALSE);
  add ("/hostile/options", test_options, FALSE);
  add ("/hostile/queue", test_queue, FALSE);
  add ("/hostile/random", test_random, FALSE);
  return g_test_run ();
}
