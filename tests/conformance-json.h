/* For tests: a JSON file of the conformance data. */
#pragma once

#include "base/json-bounded.h"
#include "conformance.h"

/* The object in FOLDER/FILE, which lives as long as the test; NULL, with the test marked as
 * skipped, where the data is absent. */
static inline JsonObject *
atl_test_conformance_json (const char *folder, const char *file)
{
  g_autofree char *relative = g_build_filename (folder, file, NULL);
  g_autofree char *path = atl_test_conformance (relative);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;
  JsonNode *node;

  if (path == NULL)
    return NULL;
  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  node = atl_json_parse (text, size, file, &error);
  g_assert_no_error (error);
  return json_node_get_object (node);
}

/* Its "cases". */
static inline JsonArray *
atl_test_conformance_cases (const char *folder, const char *file)
{
  JsonObject *object = atl_test_conformance_json (folder, file);

  return object != NULL ? json_object_get_array_member (object, "cases") : NULL;
}
