/* Defaults, and the file that keeps measured values. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/tuning/tuning.h"

#include <string.h>

#define GROUP "tuning"
#define FILE_VERSION 1

const AtlClTuning atl_cl_tuning_default = { .gemv_lanes = 32, .gemv_groups = 2, .gemv_rows = 2 };

/* The one list of what is stored. */
static const struct
{
  const char *name;
  gsize offset;
} fields[] = {
  { "gemv-lanes", G_STRUCT_OFFSET (AtlClTuning, gemv_lanes) },
  { "gemv-groups", G_STRUCT_OFFSET (AtlClTuning, gemv_groups) },
  { "gemv-rows", G_STRUCT_OFFSET (AtlClTuning, gemv_rows) },
};

gboolean
atl_cl_tuning_is_valid (const AtlClTuning *self)
{
  guint lanes = self->gemv_lanes;

  /* The partial sums of eight columns must fit into 16 KiB of local memory. */
  return lanes >= 8 && lanes <= 128 && (lanes & (lanes - 1)) == 0 && self->gemv_groups >= 1 &&
         self->gemv_groups <= 16 && self->gemv_rows >= 1 && self->gemv_rows <= 4 &&
         lanes * self->gemv_groups <= 256 &&
         lanes * self->gemv_groups * self->gemv_rows * 8 * sizeof (float) <= 16384;
}

static char *
file_path (const char *dir, const char *key)
{
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, key, -1);
  g_autofree char *name = g_strdup_printf ("tuning-%.16s.ini", hash);

  return g_build_filename (dir, name, NULL);
}

gboolean
atl_cl_tuning_load (AtlClTuning *self, const char *dir, const char *key)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *path = file_path (dir, key);
  g_autofree char *stored_key = NULL;
  AtlClTuning found;

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL) ||
      g_key_file_get_integer (file, GROUP, "version", NULL) != FILE_VERSION)
    return FALSE;
  stored_key = g_key_file_get_string (file, GROUP, "device", NULL);
  if (g_strcmp0 (stored_key, key) != 0)
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      int value = g_key_file_get_integer (file, GROUP, fields[i].name, NULL);
      G_STRUCT_MEMBER (guint, &found, fields[i].offset) = (guint) MAX (value, 0);
    }
  if (!atl_cl_tuning_is_valid (&found))
    return FALSE;
  *self = found;
  return TRUE;
}

void
atl_cl_tuning_store (const AtlClTuning *self, const char *dir, const char *key)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *path = file_path (dir, key);

  g_key_file_set_integer (file, GROUP, "version", FILE_VERSION);
  g_key_file_set_string (file, GROUP, "device", key);
  for (gsize i = 0; i < G_N_ELEMENTS (fields); i++)
    g_key_file_set_integer (file, GROUP, fields[i].name,
                            (int) G_STRUCT_MEMBER (guint, self, fields[i].offset));
  if (g_mkdir_with_parents (dir, 0700) == 0)
    g_key_file_save_to_file (file, path, NULL);
}
