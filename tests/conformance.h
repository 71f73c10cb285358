/* For tests: where the conformance data lies. It is read in place and never shipped.
 *
 *   g_autofree char *path = atl_test_conformance ("quant/q4_0.blk");
 *   if (path == NULL)
 *     return;   (the test was marked as skipped, with the reason)
 *
 * The folder is $ATELIER_CONFORMANCE, else shared/conformance beside the source tree.
 */
#pragma once

#include <glib.h>

/* The path of `relative` in the conformance folder; NULL when there is no such file. Free with
 * g_free(). */
static inline char *
atl_test_conformance_find (const char *relative)
{
  const char *folder = g_getenv ("ATELIER_CONFORMANCE");
  const char *source = g_getenv ("ATELIER_SOURCE");
  g_autofree char *path = NULL;

  if (folder != NULL)
    path = g_build_filename (folder, relative, NULL);
  else if (source != NULL)
    path = g_build_filename (source, "..", "shared", "conformance", relative, NULL);
  return path != NULL && g_file_test (path, G_FILE_TEST_EXISTS) ? g_steal_pointer (&path) : NULL;
}

/* The same for a test that needs the file: without it the running test is marked as skipped, with
 * the reason, and should return. */
static inline char *
atl_test_conformance (const char *relative)
{
  char *path = atl_test_conformance_find (relative);

  if (path == NULL)
    {
      g_autofree char *why = g_strdup_printf (
          "conformance data “%s” not found: its suite did not run; set ATELIER_CONFORMANCE",
          relative);
      g_test_skip (why);
    }
  return path;
}
