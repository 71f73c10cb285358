/* Chat templates against conformance/chat-templates: the templates of 68 models and the prompts
 * that the reference (Jinja2 3.1.6) and llama.cpp make of them; then what AtlChatTemplate finds out
 * and adapts. */
#include "engine/tokenizers/chat-template.h"

#include <string.h>

#include "base/json-bounded.h"
#include "engine/tokenizers/jinja.h"

static char *conformance; /* (owned) */

static const AtlJinjaOptions options = { .trim_blocks = TRUE, .lstrip_blocks = TRUE };

/* --- Helpers --- */

static JsonObject *
load (const char *name)
{
  g_autofree char *path = g_build_filename (conformance, "chat-templates", name, NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;
  JsonNode *node;

  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  node = atl_json_parse (text, size, name, &error); /* lives as long as the test */
  g_assert_no_error (error);
  return json_node_get_object (node);
}

static char *
load_template (const char *name)
{
  g_autofree char *path = g_build_filename (conformance, "chat-templates", "templates", name, NULL);
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

static GDateTime *
clock_of (JsonObject *item)
{
  const char *now = atl_json_string (item, "now", "2025-07-10T12:00:00");
  g_autoptr (GTimeZone) utc = g_time_zone_new_utc ();
  GDateTime *time = g_date_time_new_from_iso8601 (now, utc);

  g_assert_nonnull (time);
  return time;
}

static gboolean
accepted (JsonObject *item, const char *got)
{
  JsonArray *also = atl_json_array (item, "also_accept");
  const char *expected = atl_json_string (item, "expected_output", NULL);

  if (expected != NULL && strcmp (got, expected) == 0)
    return TRUE;
  for (guint i = 0; also != NULL && i < json_array_get_length (also); i++)
    if (strcmp (json_array_get_string_element (also, i), got) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
check_case (const char *name, JsonObject *item, const char *source, JsonObject *context)
{
  gboolean wants_error = atl_json_bool (item, "expect_error", FALSE);
  g_autoptr (GDateTime) now = clock_of (item);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlJinja) jinja = atl_jinja_parse (source, -1, &options, &error);
  g_autofree char *got =
      jinja != NULL ? atl_jinja_render (jinja, context, NULL, now, &error) : NULL;

  g_assert_true ((got == NULL) == (error != NULL));
  if (got == NULL ? wants_error || atl_json_bool (item, "lenient", FALSE) : accepted (item, got))
    return TRUE;
  g_test_message ("FAILED %s\n wanted: %s\n got: %s", name,
                  wants_error ? "(an error)"
                              : json_object_get_string_member (item, "expected_output"),
                  got != NULL ? got : error->message);
  return FALSE;
}

/* --- Conformance --- */

static void
test_huggingface (void)
{
  JsonArray *cases = json_object_get_array_member (load ("cases-huggingface-js.json"), "cases");
  guint n_failed = 0;

  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *item = json_array_get_object_element (cases, i);

      n_failed += !check_case (json_object_get_string_member (item, "name"), item,
                               json_object_get_string_member (item, "template"),
                               json_object_get_object_member (item, "context"));
    }
  g_test_message ("%u cases, %u failed", json_array_get_length (cases), n_failed);
  g_assert_cmpuint (json_array_get_length (cases), >=, 53);
  if (n_failed > 0)
    g_test_fail ();
}

static void
test_golden (void)
{
  JsonObject *root = load ("cases-golden.json");
  JsonArray *cases = json_object_get_array_member (root, "cases");
  JsonObject *contexts = json_object_get_object_member (root, "contexts");
  guint n_failed = 0;

  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *item = json_array_get_object_element (cases, i);
      const char *file = json_object_get_string_member (item, "template");
      const char *context = json_object_get_string_member (item, "context");
      g_autofree char *source = load_template (file);
      g_autofree char *name = g_strdup_printf ("%s with %s", file, context);

      n_failed +=
          !check_case (name, item, source, json_object_get_object_member (contexts, context));
    }
  g_test_message ("%u cases, %u failed", json_array_get_length (cases), n_failed);
  g_assert_cmpuint (json_array_get_length (cases), >=, 884);
  if (n_failed > 0)
    g_test_fail ();
}

static void
test_absent (void)
{
  g_test_skip ("ATELIER_CONFORMANCE/chat-templates not found: these suites did not run");
}

int
main (int argc, char *argv[])
{
  g_autofree char *probe = NULL;

  g_test_init (&argc, &argv, NULL);
  conformance = g_strdup (g_getenv ("ATELIER_CONFORMANCE"));
  if (conformance == NULL)
    conformance =
        g_build_filename (g_getenv ("ATELIER_SOURCE") != NULL ? g_getenv ("ATELIER_SOURCE") : ".",
                          "..", "shared", "conformance", NULL);
  probe = g_build_filename (conformance, "chat-templates", NULL);
  if (g_file_test (probe, G_FILE_TEST_IS_DIR))
    {
      g_test_add_func ("/chat-template/huggingface-js", test_huggingface);
      g_test_add_func ("/chat-template/golden", test_golden);
    }
  else
    g_test_add_func ("/chat-template/conformance", test_absent);
  return g_test_run ();
}
