/* Asks the hub for size and hash of a file: the headers X-Repo-Commit, X-Linked-Size and
 * X-Linked-Etag of the resolve address; a small file, which lies in git, has its id there as Etag.
 */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/hub-file.h"

#include <glib/gi18n.h>
#include <string.h>

#include "hub/part-file.h"

#define PUBLIC_HUB "https://huggingface.co"

void
atl_hub_file_clear (AtlHubFile *file)
{
  g_clear_pointer (&file->url, g_free);
  g_clear_pointer (&file->sha256, g_free);
  g_clear_pointer (&file->git_id, g_free);
  file->size_bytes = 0;
}

/* W/"abc" or "abc" -> abc */
static char *
bare_etag (const char *etag)
{
  const char *start = g_str_has_prefix (etag, "W/") ? etag + 2 : etag;
  char *bare = g_ascii_strdown (start, -1);

  g_strdelimit (bare, "\"", ' ');
  return g_strstrip (bare);
}

static gboolean
is_commit (const char *text)
{
  return text != NULL && strlen (text) == 40 && strspn (text, "0123456789abcdef") == 40;
}

/* Size and hash by the headers of an answer: the hub's own for large files, else the usual ones,
 * which in a redirect are about its own few words. */
static gboolean
read_headers (const AtlHttpResponse *response, AtlHubFile *out)
{
  SoupMessageHeaders *headers = soup_message_get_response_headers (response->message);
  const char *etag = soup_message_headers_get_one (headers, "X-Linked-Etag");
  const char *size = soup_message_headers_get_one (headers, "X-Linked-Size");
  g_autofree char *hash = NULL;

  if (etag == NULL)
    etag = soup_message_headers_get_one (headers, "ETag");
  if (size == NULL && response->status < 300)
    size = soup_message_headers_get_one (headers, "Content-Length");
  hash = etag != NULL ? bare_etag (etag) : NULL;
  if (size == NULL || !g_ascii_string_to_unsigned (size, 10, 1, G_MAXINT64, &out->size_bytes, NULL))
    return FALSE;
  if (atl_hub_is_sha256 (hash))
    out->sha256 = g_steal_pointer (&hash);
  else if (is_commit (hash) && out->size_bytes <= ATL_HUB_MAX_SMALL)
    out->git_id = g_steal_pointer (&hash);
  return out->sha256 != NULL || out->git_id != NULL;
}

gboolean
atl_hub_file_locate (SoupSession *session,
                     const char *repo,
                     const char *file,
                     AtlHubFile *out,
                     GCancellable *cancellable,
                     GError **error)
{
  const char *endpoint = g_getenv ("HF_ENDPOINT");
  const char *base = endpoint != NULL && endpoint[0] != '\0' ? endpoint : PUBLIC_HUB;
  g_autofree char *url = g_strdup_printf ("%s/%s/resolve/main/%s", base, repo, file);
  g_autofree char *host = atl_http_host (url);
  g_auto (AtlHttpResponse) response = { 0 };
  AtlHttpRequest request = { .url = url, .method = "HEAD", .stop_at_redirect = TRUE };
  g_autofree char *commit = NULL;
  gboolean is_known;

  if (!atl_http_send (session, &request, &response, cancellable, error))
    return FALSE;
  if (response.status >= 400)
    {
      atl_http_status_error (&response, file, error);
      return FALSE;
    }
  commit = g_strdup (soup_message_headers_get_one (
      soup_message_get_response_headers (response.message), "X-Repo-Commit"));
  if (!is_commit (commit))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK,
                   _ ("What answers as %s is not the model hub. Does this network ask to log in?"),
                   host);
      return FALSE;
    }
  is_known = read_headers (&response, out);
  if (!is_known && response.status >= 300)
    {
      /* A small file whose answer is somewhere else on the hub. */
      atl_http_response_clear (&response);
      request.stop_at_redirect = FALSE;
      if (!atl_http_send (session, &request, &response, cancellable, error))
        return FALSE;
      is_known = response.status < 300 && read_headers (&response, out);
    }
  if (!is_known)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK,
                   _ ("%s does not say what %s must contain, so it cannot be verified"), host,
                   file);
      return FALSE;
    }
  out->url = g_strdup_printf ("%s/%s/resolve/%s/%s", base, repo, commit, file);
  return TRUE;
}

/* The name that git has for content. */
static char *
git_id_of (GBytes *bytes)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA1);
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  g_autofree char *header = g_strdup_printf ("blob %" G_GSIZE_FORMAT, size);

  g_checksum_update (sum, (const guchar *) header, (gssize) strlen (header) + 1);
  g_checksum_update (sum, data, (gssize) size);
  return g_strdup (g_checksum_get_string (sum));
}

gboolean
atl_hub_file_fetch_small (SoupSession *session,
                          const AtlHubFile *file,
                          const char *target,
                          GCancellable *cancellable,
                          GError **error)
{
  g_auto (AtlHttpResponse) response = { 0 };
  AtlHttpRequest request = { .url = file->url };
  g_autofree char *name = g_path_get_basename (target);
  g_autoptr (GBytes) bytes = NULL;
  g_autofree char *id = NULL;

  g_return_val_if_fail (file->git_id != NULL, FALSE);
  if (!atl_http_send (session, &request, &response, cancellable, error))
    return FALSE;
  if (response.status >= 300)
    {
      atl_http_status_error (&response, name, error);
      return FALSE;
    }
  bytes = atl_http_read_all (&response, ATL_HUB_MAX_SMALL, cancellable, error);
  if (bytes == NULL)
    return FALSE;
  id = git_id_of (bytes);
  if (!g_str_equal (id, file->git_id))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s is not the file that was promised (its hash differs)"), name);
      return FALSE;
    }
  return g_file_set_contents_full (
      target, g_bytes_get_data (bytes, NULL), (gssize) g_bytes_get_size (bytes),
      G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644, error);
}
