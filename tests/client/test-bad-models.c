/* Every hostile file of the conformance set, loaded through a real engine: one sentence each, and
 * the same engine process afterwards. */
#include <json-glib/json-glib.h>
#include <string.h>

#include "client-fixture.h"

static char *
folder_path (void)
{
  const char *conformance = g_getenv ("ATELIER_CONFORMANCE");

  return conformance != NULL ? g_build_filename (conformance, "gguf-bad", NULL)
                             : g_build_filename (g_getenv ("ATELIER_SOURCE"), "..", "shared",
                                                 "conformance", "gguf-bad", NULL);
}

static void
test_all (void)
{
  g_autofree char *folder = folder_path ();
  g_autofree char *manifest = g_build_filename (folder, "manifest.json", NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  AtlClient *client = NULL;
  JsonArray *files;
  guint n_loaded = 0, n_refused = 0, n_bad = 0;
  gint64 slowest_us = 0;
  GPid pid = 0;
  if (!json_parser_load_from_file (parser, manifest, NULL))
    {
      g_test_skip ("gguf-bad/manifest.json not found: the hostile files did not run");
      return;
    }
  files =
      json_object_get_array_member (json_node_get_object (json_parser_get_root (parser)), "files");
  client = atl_client_new ();
  for (guint i = 0; i < json_array_get_length (files); i++)
    {
      const char *name =
          json_object_get_string_member (json_array_get_object_element (files, i), "file");
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_autoptr (GError) error = NULL;
      gint64 started = g_get_monotonic_time ();
      g_autoptr (AtlModel) model = fixture_load (client, path, NULL, NULL, &error);
      gint64 took_us = g_get_monotonic_time () - started;

      slowest_us = MAX (slowest_us, took_us);
      if (pid == 0)
        pid = atl_client_get_pid (client);
      if (model != NULL)
        {
          g_assert_true (fixture_unload (client, model, NULL));
          n_loaded++;
        }
      else
        n_refused++;
      if ((model == NULL && (error->domain != ATL_ERROR || *error->message == '\0' ||
                             error->code == ATL_ERROR_ENGINE_GONE)) ||
          atl_client_get_pid (client) != pid)
        {
          g_test_message ("%s: %s", name, error != NULL ? error->message : "loaded");
          pid = atl_client_get_pid (client);
          n_bad++;
        }
    }
  g_test_message ("%u refused in words, %u loaded, the slowest took %.0f ms", n_refused, n_loaded,
                  slowest_us / 1000.0);
  g_assert_cmpuint (n_bad, ==, 0);
  g_assert_cmpuint (n_refused, >, 150);
  atl_client_stop (client);
  g_object_unref (client);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bad-models/all", test_all);
  return g_test_run ();
}
