/* Inside the folder: compiled programs, kept on disk.
 *
 * A file is named after the SHA-256 of the device's name, driver and platform version, the build
 * options and the source, and holds a checksum of its own: a file that is damaged, or that the
 * driver does not accept, is ignored and written anew, by way of a temporary file.
 *
 * Threading: any thread, one at a time per context; several processes may share the folder.
 */
#pragma once

#include "engine/tensor/opencl/cl-error.h"

G_BEGIN_DECLS

typedef struct
{
  cl_context context;
  cl_device_id device;
  const char *device_name; /* for messages */
  const char *name;        /* of the program, for messages */
  const char *const *sources;
  guint n_sources;
  const char *options;
  const char *cache_dir; /* (nullable) neither read nor write files */
  /* The driver keeps what it compiled, and giving it out is expensive: the file only says that the
   * driver has it. */
  gboolean driver_keeps;
  gboolean no_compiler; /* what is not kept is an error */
} AtlClBuild;

/* The built program, the caller's. ATL_ERROR_DEVICE with the compiler's first words if it refuses
 * the source. `from_cache` (nullable, out): whether a stored one was used. */
cl_program atl_cl_program_build (const AtlClBuild *build, gboolean *from_cache, GError **error);

/* With driver_keeps: notes that the driver has compiled all of the program. */
void atl_cl_program_note (const AtlClBuild *build);

/* The file that would hold it; caller frees. */
char *atl_cl_program_cache_path (const AtlClBuild *build);

G_END_DECLS
