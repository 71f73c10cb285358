/* Asks the hub for size and hash of a file: the headers X-Repo-Commit, X-Linked-Size and
 * X-Linked-Etag of the resolve address. */
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
  SoupMessageHeaders *headers;
  const char *commit, *etag, *size;
  g_autofree char *hash = NULL;

  if (!atl_http_send (session, &request, &response, cancellable, error))
    return FALSE;
  if (response.status >= 400)
    {
      atl_http_status_error (&response, file, error);
      return FALSE;
    }
  headers = soup_message_get_response_headers (response.message);
  commit = soup_message_headers_get_one (headers, "X-Repo-Commit");
  etag = soup_message_headers_get_one (headers, "X-Linked-Etag");
  size = soup_message_headers_get_one (headers, "X-Linked-Size");
  if (!is_commit (commit))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK,
                   _ ("What answers as %s is not the model hub. Does this network ask to log in?"),
                   host);
      return FALSE;
    }
  hash = etag != NULL ? bare_etag (etag) : NULL;
  if (!atl_hub_is_sha256 (hash) || size == NULL ||
      !g_ascii_string_to_unsigned (size, 10, 1, G_MAXINT64, &out->size_bytes, NULL))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK,
                   _ ("%s does not say what %s must contain, so it cannot be verified"), host,
                   file);
      return FALSE;
    }
  out->url = g_strdup_printf ("%s/%s/resolve/%s/%s", base, repo, commit, file);
  out->sha256 = g_steal_pointer (&hash);
  return TRUE;
}
