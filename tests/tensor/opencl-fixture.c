/* One device for all OpenCL tests. */
#include "opencl-fixture.h"

#include <glib/gstdio.h>
#include <string.h>

/* PoCL and its compiler keep memory for the life of the process; ours must still be free of leaks.
 * Asked for by the leak sanitizer where that is built in. */
const char *__lsan_default_suppressions (void);

const char *
__lsan_default_suppressions (void)
{
  return "leak:libpocl\nleak:libLLVM\nleak:libclang\n";
}

const char *
opencl_fixture_cache_dir (void)
{
  static char *dir;

  if (dir == NULL)
    {
      const char *build = g_getenv ("G_TEST_BUILDDIR");
      g_autofree char *pocl = NULL;

      dir = g_build_filename (build != NULL ? build : g_get_tmp_dir (), "opencl-cache", NULL);
      pocl = g_build_filename (dir, "pocl", NULL);
      g_assert_cmpint (g_mkdir_with_parents (pocl, 0700), ==, 0);
      g_setenv ("POCL_CACHE_DIR", pocl, FALSE);
    }
  return dir;
}

AtlOpenclDevice *
opencl_fixture_device (void)
{
  static GPtrArray *devices;

  if (devices == NULL)
    {
      opencl_fixture_cache_dir ();
      devices = atl_opencl_devices (NULL);
    }
  for (guint i = 0; i < devices->len; i++)
    {
      AtlOpenclDevice *device = devices->pdata[i];
      if (device->why_not == NULL || strstr (device->why_not, "processor") != NULL)
        return device;
    }
  g_test_skip ("no OpenCL device found (package pocl-opencl-icd): the OpenCL tests did not run");
  return NULL;
}

AtlBackend *
opencl_fixture_open (const char *cache_dir)
{
  AtlOpenclDevice *device = opencl_fixture_device ();
  g_autoptr (GError) error = NULL;
  AtlBackend *backend;

  if (device == NULL)
    return NULL;
  backend = atl_opencl_backend_new (device, cache_dir, &error);
  g_assert_no_error (error);
  return backend;
}

void
opencl_fixture_remove_dir (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);
      g_remove (file);
    }
  g_rmdir (path);
}
