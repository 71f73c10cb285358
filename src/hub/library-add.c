/* Brings models into the library, by copy or by reference. */
#define G_LOG_DOMAIN "atl-hub"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sorted-folder.h"
#include "base/sync.h"
#include "hub/checksums.h"
#include "hub/file-copy.h"
#include "hub/hub-task.h"
#include "hub/library-parts.h"
#include "hub/library.h"
#include "hub/model-folder.h"
#include "hub/model-name.h"
#include "hub/part-file.h"

typedef struct
{
  char *path; /* (owned) */
  AtlAddMode mode;
  AtlReporter *reporter; /* borrowed: while it works */
} Job;

static void
job_free (gpointer data)
{
  Job *job = data;

  g_free (job->path);
  g_free (job);
}

/* A stem under which none of the files is in `folder` yet. */
static char *
free_stem (const char *folder, const AtlModelName *name)
{
  for (guint i = 1;; i++)
    {
      g_autofree char *stem =
          i == 1 ? g_strdup (name->stem) : g_strdup_printf ("%s (%u)", name->stem, i);
      gboolean taken = FALSE;

      for (guint shard = 1; shard <= MAX (name->n_shards, 1) && !taken; shard++)
        {
          g_autofree char *base = atl_model_name_format (name, stem, shard);
          g_autofree char *path = g_build_filename (folder, base, NULL);
          GStatBuf st;

          taken = g_lstat (path, &st) == 0;
        }
      if (!taken)
        return g_steal_pointer (&stem);
    }
}

char *
atl_library_find (const char *path)
{
  g_autofree char *folder = g_strconcat (atl_library_dir (), G_DIR_SEPARATOR_S, NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autofree char *weights = NULL, *base = NULL;
  GStatBuf wanted, found;
  const char *name;

  g_return_val_if_fail (path != NULL, NULL);
  weights = atl_model_pair_weights (path);
  base = g_path_get_basename (path);
  if (dir == NULL || g_stat (path, &wanted) != 0 ||
      (S_ISDIR (wanted.st_mode) && !atl_model_folder_check (path)))
    return NULL;
  if (g_str_has_prefix (path, folder))
    return g_strdup (path);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *inside = g_build_filename (folder, name, NULL);

      if (name[0] == '.')
        continue;
      if (g_stat (inside, &found) == 0 && found.st_dev == wanted.st_dev &&
          found.st_ino == wanted.st_ino)
        return g_steal_pointer (&inside);
      /* Links to a pair lie in a folder of ours. */
      if (weights != NULL)
        {
          g_autofree char *half = g_build_filename (inside, base, NULL);

          if (g_stat (half, &found) == 0 && found.st_dev == wanted.st_dev &&
              found.st_ino == wanted.st_ino)
            return g_steal_pointer (&inside);
        }
    }
  return NULL;
}

static gboolean
place_reference (const char *file, const char *target, GError **error)
{
  if (symlink (file, target) == 0)
    return TRUE;
  g_set_error (error, ATL_ERROR,
               errno == ENOSPC || errno == EDQUOT ? ATL_ERROR_FULL : ATL_ERROR_INVALID,
               _ ("The link %s cannot be made: %s"), target, g_strerror (errno));
  return FALSE;
}

#define COPYING ".copying"

/* The process in ".name.gguf.1234.copying", which copies it; 0 for any other name. */
static guint64
copying_process (const char *name)
{
  g_autofree char *stem = NULL;
  guint64 pid = 0;

  if (name[0] != '.' || !g_str_has_suffix (name, COPYING))
    return 0;
  stem = g_strndup (name, strlen (name) - strlen (COPYING));
  if (strrchr (stem, '.') != NULL)
    g_ascii_string_to_unsigned (strrchr (stem, '.') + 1, 10, 1, G_MAXINT32, &pid, NULL);
  return pid;
}

static void
remove_leftover (const char *path, guint depth)
{
  g_autoptr (GDir) dir = NULL;
  const char *name;

  if (g_unlink (path) == 0 || depth == 0 || (dir = g_dir_open (path, 0, NULL)) == NULL)
    return;
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *inside = g_build_filename (path, name, NULL);
      remove_leftover (inside, depth - 1);
    }
  g_rmdir (path);
}

void
atl_library_sweep (void)
{
  g_autoptr (GDir) dir = g_dir_open (atl_library_dir (), 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      guint64 pid = copying_process (name);
      g_autofree char *process = g_strdup_printf ("/proc/%" G_GUINT64_FORMAT, pid);
      g_autofree char *path = g_build_filename (atl_library_dir (), name, NULL);

      if (pid != 0 && !g_file_test (process, G_FILE_TEST_EXISTS))
        remove_leftover (path, 3);
    }
}

/* One file of a model on its way into the library. */
typedef struct
{
  char *hidden; /* of a copy, which grows there */
  char *target;
  char *sha256;
  gboolean is_placed; /* under its target */
} Placing;

static void
placing_free (gpointer data)
{
  Placing *placing = data;

  g_free (placing->hidden);
  g_free (placing->target);
  g_free (placing->sha256);
  g_free (placing);
}

static Placing *
placing_new (const char *target)
{
  Placing *placing = g_new0 (Placing, 1);
  g_autofree char *base = g_path_get_basename (target);

  placing->target = g_strdup (target);
  placing->hidden =
      g_strdup_printf ("%s/.%s.%d" COPYING, atl_library_dir (), base, (int) getpid ());
  return placing;
}

static void
placing_undo (const Placing *placing)
{
  g_unlink (placing->is_placed ? placing->target : placing->hidden);
}

/* A complete copy gets its name. */
static gboolean
place_copy (Placing *placing, GError **error)
{
  g_autofree char *placed = atl_hub_move_in (placing->hidden, placing->target, error);

  if (placed == NULL)
    return FALSE;
  placing->is_placed = g_str_equal (placed, placing->target);
  if (placing->is_placed)
    {
      atl_checksum_note (placing->target, placing->sha256, ATL_CHECKSUM_COPIED, NULL);
      return TRUE;
    }
  /* Somebody took the name meanwhile. A shard under another number would be of no use. */
  g_unlink (placed);
  g_set_error (error, ATL_ERROR, ATL_ERROR_BUSY, _ ("%s was added by another window"),
               placing->target);
  return FALSE;
}

/* All files of a model, or none: names are given when every copy is complete. */
static gboolean
place_files (Job *job, char **files, GPtrArray *placings, GCancellable *cancellable, GError **error)
{
  guint64 done = 0;
  gboolean ok = TRUE;

  for (guint i = 0; ok && i < placings->len; i++)
    {
      Placing *placing = placings->pdata[i];
      GStatBuf st;

      if (job->mode == ATL_ADD_REFERENCE)
        {
          ok = placing->is_placed = place_reference (files[i], placing->target, error);
          continue;
        }
      g_unlink (placing->hidden);
      ok = atl_hub_copy_file (files[i], placing->hidden, done, &placing->sha256, job->reporter,
                              cancellable, error);
      if (g_stat (files[i], &st) == 0)
        done += (guint64) st.st_size;
    }
  for (guint i = 0; ok && job->mode == ATL_ADD_COPY && i < placings->len; i++)
    ok = place_copy (placings->pdata[i], error);
  for (guint i = 0; !ok && i < placings->len; i++)
    placing_undo (placings->pdata[i]);
  return ok;
}

static guint64
total_size (char **files)
{
  guint64 total = 0;

  for (guint i = 0; files[i] != NULL; i++)
    {
      GStatBuf st;

      if (g_stat (files[i], &st) == 0)
        total += (guint64) st.st_size;
    }
  return total;
}

/* A name in the library under which nothing is there yet. */
static char *
free_folder (const char *path)
{
  g_autofree char *base = g_path_get_basename (path);

  for (guint i = 1;; i++)
    {
      g_autofree char *name = i == 1 ? g_strdup (base) : g_strdup_printf ("%s (%u)", base, i);
      g_autofree char *target = g_build_filename (atl_library_dir (), name, NULL);
      GStatBuf st;

      if (g_lstat (target, &st) != 0)
        return g_steal_pointer (&target);
    }
}

static void
remove_folder (const char *folder, char **names)
{
  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autofree char *file = g_build_filename (folder, names[i], NULL);
      g_unlink (file);
    }
  /* The folders of parts, which are empty now. */
  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autofree char *file = g_build_filename (folder, names[i], NULL);
      g_autofree char *part = g_path_get_dirname (file);

      if (!g_str_equal (part, folder))
        g_rmdir (part);
    }
  g_rmdir (folder);
}

static gboolean
make_folder (const char *folder, GError **error)
{
  if (g_mkdir_with_parents (folder, 0755) == 0)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("The folder %s cannot be made: %s"), folder,
               g_strerror (errno));
  return FALSE;
}

/* That the files are in them is on the disk before the folder gets its name. */
static gboolean
sync_folders (const char *folder, char **names, GError **error)
{
  gboolean ok = atl_sync_path (folder);

  for (guint i = 0; ok && names[i] != NULL; i++)
    {
      g_autofree char *file = g_build_filename (folder, names[i], NULL);
      g_autofree char *part = g_path_get_dirname (file);

      ok = g_str_equal (part, folder) || atl_sync_path (part);
    }
  if (!ok)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s cannot be written: %s"), folder,
                 g_strerror (errno));
  return ok;
}

/* The files `names` in `source` grow in a hidden folder, which gets its name when all are there. */
static char *
copy_folder (Job *job,
             const char *source,
             char **names,
             const char *target,
             GCancellable *cancellable,
             GError **error)
{
  g_autofree char *base = g_path_get_basename (target);
  g_autofree char *hidden =
      g_strdup_printf ("%s/.%s.%d" COPYING, atl_library_dir (), base, (int) getpid ());
  g_autoptr (GPtrArray) sums = g_ptr_array_new_with_free_func (g_free);
  guint64 done = 0, total = 0;
  gboolean ok;

  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autofree char *file = g_build_filename (source, names[i], NULL);
      GStatBuf st;

      if (g_stat (file, &st) == 0)
        total += (guint64) st.st_size;
    }
  atl_reporter_stage (job->reporter, ATL_HUB_COPYING, base, 0, total);
  remove_folder (hidden, names);
  ok = make_folder (hidden, error);
  for (guint i = 0; ok && names[i] != NULL; i++)
    {
      g_autofree char *from = g_build_filename (source, names[i], NULL);
      g_autofree char *to = g_build_filename (hidden, names[i], NULL);
      g_autofree char *part = g_path_get_dirname (to);
      char *sha256 = NULL;
      GStatBuf st;

      ok = make_folder (part, error) &&
           atl_hub_copy_file (from, to, done, &sha256, job->reporter, cancellable, error);
      g_ptr_array_add (sums, sha256);
      if (ok && g_stat (to, &st) == 0)
        done += (guint64) st.st_size;
    }
  ok = ok && sync_folders (hidden, names, error);
  /* Onto a folder that somebody made meanwhile, renaming fails unless that is empty. */
  if (ok && g_rename (hidden, target) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BUSY, _ ("%s was added by another window"), target);
      ok = FALSE;
    }
  if (ok)
    {
      atl_sync_path (atl_library_dir ());
      for (guint i = 0; names[i] != NULL; i++)
        {
          g_autofree char *file = g_build_filename (target, names[i], NULL);

          atl_checksum_note (file, sums->pdata[i], ATL_CHECKSUM_COPIED, NULL);
        }
      return g_strdup (target);
    }
  remove_folder (hidden, names);
  return NULL;
}

static char *
add_folder (Job *job, GCancellable *cancellable, GError **error)
{
  g_autofree char *parent = g_path_get_dirname (job->path);
  g_autofree char *target = NULL;

  if (g_str_equal (parent, atl_library_dir ()))
    return g_strdup (job->path);
  if (!make_folder (atl_library_dir (), error))
    return NULL;
  target = free_folder (job->path);
  if (job->mode == ATL_ADD_COPY)
    {
      g_auto (GStrv) names = atl_model_folder_files (job->path);

      return copy_folder (job, job->path, names, target, cancellable, error);
    }
  return place_reference (job->path, target, error) ? g_steal_pointer (&target) : NULL;
}

/* Two files that belong together get a folder of their own, named after them. */
static char *
add_pair (Job *job, const char *weights, GCancellable *cancellable, GError **error)
{
  g_autofree char *parent = g_path_get_dirname (job->path);
  g_autofree char *stem = g_strndup (job->path, strlen (job->path) - strlen (".param"));
  g_auto (GStrv) names = g_new0 (char *, 3);
  g_autofree char *target = NULL;
  gboolean ok;

  if (!make_folder (atl_library_dir (), error))
    return NULL;
  target = free_folder (stem);
  names[0] = g_path_get_basename (job->path);
  names[1] = g_path_get_basename (weights);
  if (job->mode == ATL_ADD_COPY)
    return copy_folder (job, parent, names, target, cancellable, error);
  ok = make_folder (target, error);
  for (guint i = 0; ok && names[i] != NULL; i++)
    {
      g_autofree char *file = g_build_filename (parent, names[i], NULL);
      g_autofree char *name = g_build_filename (target, names[i], NULL);

      ok = place_reference (file, name, error);
    }
  if (ok)
    return g_steal_pointer (&target);
  remove_folder (target, names);
  return NULL;
}

/* The folder of the library that a model goes into: a copy that has parts beside it needs one
 * beside those of its parts. */
static char *
place_of (const Job *job)
{
  g_autoptr (GPtrArray) parts = job->mode == ATL_ADD_COPY ? atl_sorted_parts (job->path) : NULL;

  return parts != NULL && parts->len > 0
             ? g_build_filename (atl_library_dir (), atl_sorted_denoiser_folders ()[0], NULL)
             : g_strdup (atl_library_dir ());
}

static char *
add_model (gpointer data, AtlReporter *reporter, GCancellable *cancellable, GError **error)
{
  Job *job = data;
  g_autofree char *base = g_path_get_basename (job->path);
  g_autofree char *folder = NULL, *stem = NULL, *place = NULL, *weights = NULL;
  g_auto (AtlModelName) name = { 0 };
  g_auto (GStrv) files = NULL;
  g_autoptr (GPtrArray) placings = g_ptr_array_new_with_free_func (placing_free);

  job->reporter = reporter;
  if (atl_model_folder_check (job->path))
    return add_folder (job, cancellable, error);
  weights = atl_model_pair_weights (job->path);
  if (weights != NULL)
    return add_pair (job, weights, cancellable, error);
  if (!atl_model_name_parse (base, &name))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("%s is not a model file. Files that end in .gguf or .safetensors work"),
                   base);
      return NULL;
    }
  files = atl_library_model_files (job->path, error);
  if (files == NULL)
    return NULL;
  folder = g_path_get_dirname (files[0]);
  if (atl_library_is_place (folder))
    return g_strdup (files[0]);
  place = place_of (job);
  if (!make_folder (place, error))
    return NULL;
  stem = free_stem (place, &name);
  atl_reporter_stage (job->reporter, ATL_HUB_COPYING, name.stem, 0, total_size (files));
  for (guint i = 0; files[i] != NULL; i++)
    {
      g_autofree char *target_base = atl_model_name_format (&name, stem, i + 1);
      g_autofree char *target = g_build_filename (place, target_base, NULL);

      g_ptr_array_add (placings, placing_new (target));
    }
  if (!place_files (job, files, placings, cancellable, error))
    return NULL;
  if (!g_str_equal (place, atl_library_dir ()))
    atl_library_share_parts (files[0]);
  return g_strdup (((Placing *) placings->pdata[0])->target);
}

void
atl_library_add_async (const char *path,
                       AtlAddMode mode,
                       AtlHubProgressFunc progress,
                       gpointer progress_data,
                       GCancellable *cancellable,
                       GAsyncReadyCallback callback,
                       gpointer data)
{
  const AtlHubCaller caller = { progress, progress_data, cancellable, callback, data };
  Job *job = g_new0 (Job, 1);

  job->path = g_canonicalize_filename (path, NULL);
  job->mode = mode;
  atl_hub_task_run (atl_library_add_async, job, job_free, add_model, &caller);
}

char *
atl_library_add_finish (GAsyncResult *result, GError **error)
{
  return atl_hub_task_finish (result, error);
}
