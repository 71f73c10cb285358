/* Builds programs from source or from a stored binary. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/program-cache.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tensor/opencl/device.h"

/* Also the version of the file's layout. */
static const char magic[8] = "ATLCLB1\n";
#define DIGEST_BYTES 32
#define MAX_BINARY_BYTES (64u << 20)

static void
update_string (GChecksum *checksum, const char *text)
{
  /* The terminator separates fields. */
  g_checksum_update (checksum, (const guchar *) text, (gssize) strlen (text) + 1);
}

char *
atl_cl_program_cache_path (const AtlClBuild *build)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *device = atl_cl_device_string (build->device, CL_DEVICE_NAME);
  g_autofree char *driver = atl_cl_device_string (build->device, CL_DRIVER_VERSION);
  g_autofree char *version = atl_cl_device_string (build->device, CL_DEVICE_VERSION);
  g_autofree char *file = NULL;

  update_string (checksum, device);
  update_string (checksum, driver);
  update_string (checksum, version);
  update_string (checksum, build->options);
  for (guint i = 0; i < build->n_sources; i++)
    update_string (checksum, build->sources[i]);
  file = g_strconcat (g_checksum_get_string (checksum), ".clb", NULL);
  return g_build_filename (build->cache_dir, file, NULL);
}

static void
digest_of (const guint8 *data, gsize size, guint8 digest[DIGEST_BYTES])
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize n = DIGEST_BYTES;

  g_checksum_update (checksum, data, (gssize) size);
  g_checksum_get_digest (checksum, digest, &n);
}

/* NULL for whatever reason: the source is always there. */
static cl_program
load (const AtlClBuild *build, const char *path)
{
  g_autofree char *text = NULL;
  gsize size;
  guint8 digest[DIGEST_BYTES];
  cl_int status, binary_status;
  g_auto (cl_program) program = NULL;

  if (!g_file_get_contents (path, &text, &size, NULL))
    return NULL;
  if (size <= sizeof magic + DIGEST_BYTES || size > MAX_BINARY_BYTES ||
      memcmp (text, magic, sizeof magic) != 0)
    return NULL;
  const guint8 *binary = (const guint8 *) text + sizeof magic + DIGEST_BYTES;
  gsize binary_size = size - sizeof magic - DIGEST_BYTES;
  digest_of (binary, binary_size, digest);
  if (memcmp (text + sizeof magic, digest, DIGEST_BYTES) != 0)
    return NULL;

  program = clCreateProgramWithBinary (build->context, 1, &build->device, &binary_size, &binary,
                                       &binary_status, &status);
  if (status != CL_SUCCESS || binary_status != CL_SUCCESS ||
      clBuildProgram (program, 1, &build->device, build->options, NULL, NULL) != CL_SUCCESS)
    return NULL;
  return g_steal_pointer (&program);
}

/* A cache that cannot be written costs time only. */
static void
write_file (const AtlClBuild *build, const char *path, const void *data, gsize size)
{
  g_autoptr (GError) error = NULL;

  if (g_mkdir_with_parents (build->cache_dir, 0700) != 0 ||
      !g_file_set_contents_full (path, data, (gssize) size, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                 &error))
    g_debug ("%s: not kept: %s", path, error != NULL ? error->message : "no folder");
}

static void
store (const AtlClBuild *build, const char *path, cl_program program)
{
  g_autofree guint8 *file = NULL;
  unsigned char *binary;
  gsize size = 0;

  if (clGetProgramInfo (program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) != CL_SUCCESS ||
      size == 0 || size > MAX_BINARY_BYTES)
    return;
  file = g_malloc (sizeof magic + DIGEST_BYTES + size);
  binary = file + sizeof magic + DIGEST_BYTES;
  if (clGetProgramInfo (program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) != CL_SUCCESS)
    return;
  memcpy (file, magic, sizeof magic);
  digest_of (binary, size, file + sizeof magic);
  write_file (build, path, file, sizeof magic + DIGEST_BYTES + size);
}

void
atl_cl_program_note (const AtlClBuild *build)
{
  g_autofree char *path = NULL;

  if (build->cache_dir == NULL || !build->driver_keeps)
    return;
  path = atl_cl_program_cache_path (build);
  write_file (build, path, magic, sizeof magic);
}

static void
set_build_error (const AtlClBuild *build, cl_program program, cl_int status, GError **error)
{
  g_autofree char *log = NULL;
  g_autofree char *doing = NULL;
  gsize size = 0;

  if (clGetProgramBuildInfo (program, build->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) ==
          CL_SUCCESS &&
      size > 0)
    {
      g_autofree char *raw = g_malloc0 (size + 1);
      if (clGetProgramBuildInfo (program, build->device, CL_PROGRAM_BUILD_LOG, size, raw, NULL) ==
          CL_SUCCESS)
        log = g_strstrip (g_utf8_make_valid (raw, -1));
    }
  if (log != NULL && log[0] != '\0')
    {
      g_debug ("%s on %s: %s", build->name, build->device_name, log);
      doing = g_strdup_printf (_ ("compiling “%s” (%.*s)"), build->name, (int) strcspn (log, "\n"),
                               log);
    }
  else
    doing = g_strdup_printf (_ ("compiling “%s”"), build->name);
  atl_cl_set_error (error, status, build->device_name, doing);
}

cl_program
atl_cl_program_build (const AtlClBuild *build, gboolean *from_cache, GError **error)
{
  g_autofree char *path = build->cache_dir != NULL ? atl_cl_program_cache_path (build) : NULL;
  g_auto (cl_program) program = NULL;
  cl_int status;

  if (from_cache != NULL)
    *from_cache = FALSE;
  if (path != NULL && !build->driver_keeps)
    {
      program = load (build, path);
      if (program != NULL)
        {
          if (from_cache != NULL)
            *from_cache = TRUE;
          return g_steal_pointer (&program);
        }
    }
  if (build->no_compiler &&
      (path == NULL || !build->driver_keeps || !g_file_test (path, G_FILE_TEST_EXISTS)))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_DEVICE,
                   _ ("%s: “%s” is not compiled for this device, and no compiler may run here"),
                   build->device_name, build->name);
      return NULL;
    }
  program = clCreateProgramWithSource (build->context, build->n_sources,
                                       (const char **) build->sources, NULL, &status);
  if (status == CL_SUCCESS)
    status = clBuildProgram (program, 1, &build->device, build->options, NULL, NULL);
  else
    program = NULL;
  if (status != CL_SUCCESS)
    {
      if (program != NULL)
        set_build_error (build, program, status, error);
      else
        atl_cl_set_error (error, status, build->device_name,
                          N_ ("handing a kernel to its compiler"));
      return NULL;
    }
  if (path != NULL && !build->driver_keeps)
    store (build, path, program);
  return g_steal_pointer (&program);
}
