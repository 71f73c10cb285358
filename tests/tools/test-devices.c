/* `atelier-cli devices` prints what there is, for people and for scripts. */
#include "engine/tools/devices.h"

#include <json-glib/json-glib.h>
#include <stdlib.h>
#include <string.h>

static void
run (const char *argument)
{
  char *argv[3] = { (char *) "devices", (char *) argument, NULL };

  exit (atl_tool_devices (argument != NULL ? 2 : 1, argv));
}

static void
test_words (void)
{
  if (g_test_subprocess ())
    run (NULL);
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stdout ("*Processor: *threads*OpenCL: *");
}

/* Printed by the child, read by the parent: a file lies between. */
static void
test_json (void)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *out = NULL;
  JsonObject *root, *cpu;
  JsonArray *devices;
  guint n_used = 0;

  g_assert_true (g_spawn_sync (NULL, (char *[]){ self, (char *) "print-json", NULL }, NULL,
                               G_SPAWN_DEFAULT, NULL, NULL, &out, NULL, NULL, &error));
  g_assert_true (json_parser_load_from_data (parser, out, -1, &error));
  g_assert_no_error (error);
  g_assert_nonnull (strchr (out, '\n'));
  g_assert_cmpint (strchr (out, '\n')[1], ==, '\0');
  root = json_node_get_object (json_parser_get_root (parser));
  cpu = json_object_get_object_member (root, "cpu");
  g_assert_cmpint (json_object_get_int_member (cpu, "threads"), >=, 1);
  g_assert_cmpint (json_object_get_int_member (cpu, "memory_bytes"), >, 1 << 20);
  devices = json_object_get_array_member (root, "opencl");
  for (guint i = 0; i < json_array_get_length (devices); i++)
    {
      JsonObject *d = json_array_get_object_element (devices, i);
      gboolean used = json_object_get_boolean_member (d, "used");

      n_used += used;
      g_assert_cmpint (json_object_get_int_member (d, "memory_bytes"), >, 0);
      /* A device that cannot be used says why. */
      g_assert_false (used && !json_object_get_null_member (d, "why_not"));
    }
  g_assert_cmpuint (n_used, <=, 1);
}

static void
test_arguments (void)
{
  if (g_test_subprocess ())
    run ("--nonsense");
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*Usage: atelier-cli devices*");
}

int
main (int argc, char **argv)
{
  if (argc == 2 && strcmp (argv[1], "print-json") == 0)
    run ("--json");
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/devices/words", test_words);
  g_test_add_func ("/devices/json", test_json);
  g_test_add_func ("/devices/arguments", test_arguments);
  return g_test_run ();
}
