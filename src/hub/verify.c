/* Hashes a model's files and compares; fetches anew what is not right. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/verify.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "base/sorted-folder.h"
#include "base/sync.h"
#include "hub/checksums.h"
#include "hub/fetch-file.h"
#include "hub/file-copy.h"
#include "hub/library.h"
#include "hub/model-folder.h"
#include "hub/model-name.h"
#include "hub/starter.h"

typedef struct
{
  char *path;            /* (owned) (nullable) of the model to verify */
  AtlVerified *verified; /* (owned) (nullable) whose files are fetched */
  AtlReporter *reporter; /* (owned) */
} Job;

static void
job_free (gpointer data)
{
  Job *job = data;

  g_free (job->path);
  atl_verified_free (job->verified);
  atl_reporter_unref (job->reporter);
  g_free (job);
}

static AtlVerified *
verified_new (void)
{
  AtlVerified *self = g_new0 (AtlVerified, 1);

  self->wrong = g_ptr_array_new_with_free_func (g_free);
  self->contents = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void
atl_verified_free (AtlVerified *self)
{
  if (self == NULL)
    return;
  g_ptr_array_unref (self->wrong);
  g_ptr_array_unref (self->contents);
  g_free (self);
}

char *
atl_verified_names (const AtlVerified *self)
{
  g_autofree char *first =
      self->wrong->len > 0 ? g_path_get_basename (self->wrong->pdata[0]) : g_strdup ("");

  if (self->wrong->len < 2)
    return g_filename_display_name (first);
  return g_strdup_printf (ngettext ("%s and %u more", "%s and %u more", self->wrong->len - 1),
                          first, self->wrong->len - 1);
}

/* --- Verifying --- */

/* By its name, by its beginning (Ollama's have no names), or because it was installed. Any other
 * file would be noted and never be asked about. */
static gboolean
is_of_model (const char *path)
{
  static const char *const endings[] = { ".ckpt", ".pt", ".bin", ".param" };
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *small = g_ascii_strdown (base, -1);
  g_auto (AtlModelName) name = { 0 };
  g_autoptr (AtlChecksum) known = NULL;
  char magic[4];
  FILE *file;
  gboolean is_gguf;

  if (atl_model_name_parse (base, &name))
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (endings); i++)
    if (g_str_has_suffix (small, endings[i]))
      return TRUE;
  known = atl_checksum_find (path);
  if (known != NULL)
    return TRUE;
  file = g_fopen (path, "rbe");
  is_gguf =
      file != NULL && fread (magic, sizeof magic, 1, file) == 1 && memcmp (magic, "GGUF", 4) == 0;
  if (file != NULL)
    fclose (file);
  return is_gguf;
}

/* Absolute; NULL when one is missing or none of a model. (element-type filename) The caller's. */
static GPtrArray *
files_of (const char *path, GError **error)
{
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) names = NULL;

  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    {
      names = atl_model_folder_files (path);
      for (guint i = 0; names[i] != NULL; i++)
        g_ptr_array_add (files, g_build_filename (path, names[i], NULL));
    }
  else
    {
      g_autoptr (GPtrArray) parts = atl_sorted_parts (path);

      names = atl_library_model_files (path, error);
      if (names == NULL)
        return NULL;
      if (!is_of_model (names[0]))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("%s is not a model file. Files that end in .gguf or .safetensors work"),
                       names[0]);
          return NULL;
        }
      for (guint i = 0; names[i] != NULL; i++)
        g_ptr_array_add (files, g_strdup (names[i]));
      for (guint i = 0; i < parts->len; i++)
        g_ptr_array_add (files, g_strdup (parts->pdata[i]));
    }
  if (files->len > 0)
    return g_steal_pointer (&files);
  g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("There are no files of a model in %s"),
               path);
  return NULL;
}

static void
judge (AtlVerified *self, const char *path, const char *sha256)
{
  g_autoptr (AtlChecksum) known = atl_checksum_find (path);
  AtlVerdict verdict = ATL_VERDICT_INTACT;
  gint64 changed_us = 0;
  GStatBuf st;

  if (g_stat (path, &st) == 0)
    changed_us = atl_model_file_changed (&st);
  if (known == NULL)
    {
      atl_checksum_note (path, sha256, ATL_CHECKSUM_SEEN, NULL);
      verdict = ATL_VERDICT_NOTED;
    }
  else if (!g_str_equal (known->sha256, sha256))
    {
      verdict = known->changed_us != 0 && known->changed_us != changed_us ? ATL_VERDICT_CHANGED
                                                                          : ATL_VERDICT_DAMAGED;
      if (self->wrong->len == 0)
        {
          self->noted_us = known->noted_us;
          self->changed_us = changed_us;
          self->can_fetch = TRUE;
        }
      self->can_fetch &= known->url != NULL || atl_starter_for_path (path) != NULL;
      g_ptr_array_add (self->wrong, g_strdup (path));
      g_ptr_array_add (self->contents, g_strdup (sha256));
    }
  self->verdict = MAX (self->verdict, verdict);
  self->n_files++;
}

static AtlVerified *
verify (Job *job, GCancellable *cancellable, GError **error)
{
  g_autoptr (AtlVerified) self = verified_new ();
  g_autofree char *what = g_path_get_basename (job->path);
  g_autoptr (GPtrArray) files = files_of (job->path, error);
  guint64 total = 0, done = 0;
  GStatBuf st;

  if (files == NULL)
    return NULL;
  for (guint i = 0; i < files->len; i++)
    if (g_stat (files->pdata[i], &st) == 0)
      total += (guint64) st.st_size;
  for (guint i = 0; i < files->len; i++)
    {
      g_autofree char *sha256 = NULL;

      atl_reporter_stage (job->reporter, ATL_HUB_CHECKING, what, done, total);
      sha256 = atl_hub_hash_file (files->pdata[i], job->reporter, cancellable, error);
      if (sha256 == NULL)
        return NULL;
      judge (self, files->pdata[i], sha256);
      if (g_stat (files->pdata[i], &st) == 0)
        done += (guint64) st.st_size;
    }
  return g_steal_pointer (&self);
}

static void
verify_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  GError *error = NULL;
  AtlVerified *verified = verify (data, cancellable, &error);

  if (verified != NULL)
    g_task_return_pointer (task, verified, (GDestroyNotify) atl_verified_free);
  else
    g_task_return_error (task, error);
}

void
atl_library_verify_async (const char *path,
                          AtlHubProgressFunc progress,
                          gpointer progress_data,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  Job *job = g_new0 (Job, 1);

  g_task_set_source_tag (task, atl_library_verify_async);
  job->path = g_canonicalize_filename (path, NULL);
  job->reporter = atl_reporter_new (task, progress, progress_data);
  g_task_set_task_data (task, job, job_free);
  g_task_run_in_thread (task, verify_thread);
}

AtlVerified *
atl_library_verify_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

void
atl_library_accept (const AtlVerified *self)
{
  for (guint i = 0; i < self->wrong->len; i++)
    atl_checksum_note (self->wrong->pdata[i], self->contents->pdata[i], ATL_CHECKSUM_SEEN, NULL);
}

/* --- Fetching again --- */

/* Into the hidden folder `beside` of the file's own; the caller's. */
static char *
fetch_anew (Job *job,
            const char *path,
            const AtlChecksum *known,
            const char *beside,
            GCancellable *cancellable,
            GError **error)
{
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *target = g_build_filename (beside, base, NULL);
  const AtlStarter *starter = atl_starter_for_path (path);

  if (known != NULL && known->url != NULL)
    {
      AtlFetch fetch = { .url = known->url, .what = base };
      g_autoptr (SoupSession) session = atl_http_session_new ();

      return atl_fetch_file (session, &fetch, target, known->sha256, job->reporter, cancellable,
                             error);
    }
  if (starter != NULL)
    return atl_starter_fetch_anew (starter, beside, job->reporter, cancellable, error);
  g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("Where %s comes from is not known"), base);
  return NULL;
}

static gboolean
replace (Job *job, const char *path, GCancellable *cancellable, GError **error)
{
  g_autoptr (AtlChecksum) known = atl_checksum_find (path);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *beside = g_build_filename (folder, ".again", NULL);
  g_autofree char *fetched = fetch_anew (job, path, known, beside, cancellable, error);

  if (fetched == NULL)
    return FALSE;
  if (g_rename (fetched, path) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s cannot be replaced: %s"), path,
                   g_strerror (errno));
      return FALSE;
    }
  atl_sync_path (folder);
  g_rmdir (beside);
  /* With the time of the new file. */
  if (known != NULL)
    atl_checksum_note (path, known->sha256, ATL_CHECKSUM_FETCHED, known->url);
  return TRUE;
}

static void
fetch_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Job *job = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  GError *error = NULL;
  gboolean ok = TRUE;

  g_main_context_push_thread_default (context);
  for (guint i = 0; ok && i < job->verified->wrong->len; i++)
    ok = replace (job, job->verified->wrong->pdata[i], cancellable, &error);
  g_main_context_pop_thread_default (context);
  if (ok)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

void
atl_library_fetch_again_async (const AtlVerified *verified,
                               AtlHubProgressFunc progress,
                               gpointer progress_data,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  Job *job = g_new0 (Job, 1);

  g_task_set_source_tag (task, atl_library_fetch_again_async);
  job->verified = verified_new ();
  for (guint i = 0; i < verified->wrong->len; i++)
    g_ptr_array_add (job->verified->wrong, g_strdup (verified->wrong->pdata[i]));
  job->reporter = atl_reporter_new (task, progress, progress_data);
  g_task_set_task_data (task, job, job_free);
  /* The thread keeps what has come even when cancelled. */
  g_task_set_check_cancellable (task, FALSE);
  g_task_run_in_thread (task, fetch_thread);
}

gboolean
atl_library_fetch_again_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
