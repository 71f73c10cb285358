/* Notes of checksums, a file each. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/checksums.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json-bounded.h"
#include "hub/library.h"
#include "hub/part-file.h"
#include "hub/starter.h"

static const char *const origin_names[] = { "fetched", "copied", "seen" };

void
atl_checksum_free (AtlChecksum *self)
{
  if (self == NULL)
    return;
  g_free (self->sha256);
  g_free (self->url);
  g_free (self);
}

/* Where the file lies, links followed; below the library's folder where it is in there, so that the
 * note stays true when that moves. The caller's. */
static char *
place_of (const char *path)
{
  char *real = realpath (path, NULL), *library = realpath (atl_library_dir (), NULL);
  gsize n = library != NULL ? strlen (library) : 0;
  char *place;

  if (real == NULL)
    place = g_canonicalize_filename (path, NULL);
  else if (n > 0 && strncmp (real, library, n) == 0 && real[n] == '/')
    place = g_strdup (real + n + 1);
  else
    place = g_strdup (real);
  free (real);
  free (library);
  return place;
}

static char *
note_path (const char *place)
{
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, place, -1);
  g_autofree char *name = g_strdup_printf ("%.32s.json", hash);

  return g_build_filename (g_get_user_data_dir (), "atelier", "checksums", name, NULL);
}

static AtlChecksum *
read_note (const char *place)
{
  g_autofree char *path = note_path (place);
  g_autofree char *text = NULL;
  g_autoptr (JsonNode) root = NULL;
  JsonObject *object;
  AtlChecksum *self;
  const char *sha256, *origin;
  gsize size;

  if (!g_file_get_contents (path, &text, &size, NULL))
    return NULL;
  root = atl_json_parse (text, size, path, NULL);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    return NULL;
  object = json_node_get_object (root);
  sha256 = atl_json_string (object, "sha256", "");
  if (!atl_hub_is_sha256 (sha256) || !g_str_equal (atl_json_string (object, "file", ""), place))
    return NULL;
  self = g_new0 (AtlChecksum, 1);
  self->sha256 = g_ascii_strdown (sha256, -1);
  self->url = g_strdup (atl_json_string (object, "url", NULL));
  self->noted_us = atl_json_int (object, "noted_us", 0);
  self->changed_us = atl_json_int (object, "changed_us", 0);
  origin = atl_json_string (object, "origin", "");
  self->origin = ATL_CHECKSUM_SEEN;
  for (guint i = 0; i < G_N_ELEMENTS (origin_names); i++)
    if (g_str_equal (origin, origin_names[i]))
      self->origin = i;
  return self;
}

/* ".../blobs/sha256-0123…" (Ollama), ".../blobs/0123…" (Hugging Face's cache), starters. */
static AtlChecksum *
named_checksum (const char *path)
{
  const AtlStarter *starter = atl_starter_for_path (path);
  char *real = realpath (path, NULL);
  g_autofree char *base = real != NULL ? g_path_get_basename (real) : g_strdup ("");
  g_autofree char *folder = real != NULL ? g_path_get_dirname (real) : g_strdup ("");
  const char *hex = g_str_has_prefix (base, "sha256-") ? base + strlen ("sha256-") : base;
  AtlChecksum *self;

  free (real);
  if (!g_str_has_suffix (folder, "/blobs") || !atl_hub_is_sha256 (hex))
    hex = starter != NULL ? starter->sha256 : NULL;
  if (hex == NULL)
    return NULL;
  self = g_new0 (AtlChecksum, 1);
  self->sha256 = g_ascii_strdown (hex, -1);
  self->origin = ATL_CHECKSUM_FETCHED;
  return self;
}

AtlChecksum *
atl_checksum_find (const char *path)
{
  g_autofree char *place = place_of (path);
  AtlChecksum *self = read_note (place);

  return self != NULL ? self : named_checksum (path);
}

static void
write_note (const char *path, const AtlChecksum *note)
{
  g_autofree char *place = place_of (path);
  g_autofree char *file = note_path (place);
  g_autofree char *folder = g_path_get_dirname (file);
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_OBJECT);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  JsonObject *object = json_object_new ();

  json_node_take_object (root, object);
  json_object_set_string_member (object, "file", place);
  json_object_set_string_member (object, "sha256", note->sha256);
  json_object_set_string_member (object, "origin", origin_names[note->origin]);
  if (note->url != NULL)
    json_object_set_string_member (object, "url", note->url);
  json_object_set_int_member (object, "noted_us", note->noted_us);
  json_object_set_int_member (object, "changed_us", note->changed_us);
  text = json_to_string (root, FALSE);
  if (g_mkdir_with_parents (folder, 0700) != 0 ||
      !g_file_set_contents_full (file, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
    g_info ("The checksum of %s cannot be noted: %s", path,
            error != NULL ? error->message : g_strerror (errno));
}

void
atl_checksum_note (const char *path, const char *sha256, AtlChecksumOrigin origin, const char *url)
{
  AtlChecksum note = {
    .sha256 = (char *) sha256, .origin = origin, .url = (char *) url, .noted_us = g_get_real_time ()
  };
  GStatBuf st;

  /* A name that is not UTF-8 cannot be written down. */
  if (g_stat (path, &st) != 0 || !g_utf8_validate (path, -1, NULL))
    return;
  note.changed_us = atl_model_file_changed (&st);
  write_note (path, &note);
}

void
atl_checksum_share (const char *from, const char *to)
{
  g_autofree char *place = place_of (from);
  g_autoptr (AtlChecksum) note = read_note (place);

  if (note != NULL && g_utf8_validate (to, -1, NULL))
    write_note (to, note);
}
