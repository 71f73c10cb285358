/* The hub's HTTP client: libsoup, with our own rules for redirects. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/http.h"
#include "hub/hub-private.h"

#include <glib/gi18n.h>
#include <string.h>

#include "atelier-config.h"

#define MAX_REDIRECTS 5

static guint timeout_s = 30;

void
atl_http_set_timeout (guint seconds)
{
  timeout_s = seconds;
}

void
atl_http_response_clear (AtlHttpResponse *response)
{
  g_clear_pointer (&response->url, g_free);
  /* The body first: closing it ends the message. */
  g_clear_object (&response->body);
  g_clear_object (&response->message);
  response->status = 0;
}

SoupSession *
atl_http_session_new (void)
{
  SoupSession *session = soup_session_new_with_options (
      "timeout", timeout_s, "idle-timeout", timeout_s, "user-agent", "Atelier/" ATL_VERSION, NULL);
  const char *ca_file = g_getenv ("SSL_CERT_FILE");

  /* Sizes and ranges must be those of the file, not of a compressed form. */
  soup_session_remove_feature_by_type (session, SOUP_TYPE_CONTENT_DECODER);
  if (ca_file != NULL && g_file_test (ca_file, G_FILE_TEST_IS_REGULAR))
    {
      g_autoptr (GTlsDatabase) database = g_tls_file_database_new (ca_file, NULL);

      if (database != NULL)
        soup_session_set_tls_database (session, database);
    }
  return session;
}

/* 127.0.0.1 within IPv6, "::ffff:127.0.0.1". */
static GInetAddress *
unmapped (GInetAddress *address)
{
  static const guint8 start[12] = { [10] = 0xff, [11] = 0xff };
  const guint8 *bytes = g_inet_address_to_bytes (address);

  if (g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV6 &&
      memcmp (bytes, start, sizeof start) == 0)
    return g_inet_address_new_from_bytes (bytes + sizeof start, G_SOCKET_FAMILY_IPV4);
  return g_object_ref (address);
}

static gboolean
is_this_machine (const char *host)
{
  g_autofree char *name = host != NULL ? g_ascii_strdown (host, -1) : NULL;
  g_autoptr (GInetAddress) written = NULL, address = NULL;

  /* The root of all names may be written out. */
  if (name != NULL && g_str_has_suffix (name, "."))
    name[strlen (name) - 1] = '\0';
  if (name == NULL || g_str_equal (name, "localhost") || g_str_has_suffix (name, ".localhost"))
    return TRUE;
  written = g_inet_address_new_from_string (name);
  if (written == NULL)
    return FALSE;
  address = unmapped (written);
  return g_inet_address_get_is_loopback (address) || g_inet_address_get_is_any (address);
}

static GUri *
parse_url (const char *url, GUri *base, GError **error)
{
  const GUriFlags flags = SOUP_HTTP_URI_FLAGS | G_URI_FLAGS_PARSE_RELAXED;
  g_autoptr (GError) local = NULL;
  GUri *uri = base != NULL ? g_uri_parse_relative (base, url, flags, &local)
                           : g_uri_parse (url, flags, &local);
  const char *scheme = uri != NULL ? g_uri_get_scheme (uri) : NULL;

  if (uri != NULL && (g_strcmp0 (scheme, "http") == 0 || g_strcmp0 (scheme, "https") == 0) &&
      g_uri_get_host (uri) != NULL && g_uri_get_host (uri)[0] != '\0')
    return uri;
  g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK,
               _ ("“%s” is not a web address that can be downloaded from"), url);
  g_clear_pointer (&uri, g_uri_unref);
  return NULL;
}

GUri *
atl_http_next_hop (GUri *from, const char *location, GError **error)
{
  g_autoptr (GUri) to = parse_url (location, from, error);

  if (to == NULL)
    return NULL;
  if (g_str_equal (g_uri_get_scheme (from), "https") && g_str_equal (g_uri_get_scheme (to), "http"))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK,
                   _ ("%s leads to an address that is not encrypted (%s); it was not followed"),
                   g_uri_get_host (from), g_uri_get_host (to));
      return NULL;
    }
  if (is_this_machine (g_uri_get_host (to)) && !is_this_machine (g_uri_get_host (from)))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK,
                   _ ("%s leads to an address on this computer; it was not followed"),
                   g_uri_get_host (from));
      return NULL;
    }
  return g_steal_pointer (&to);
}

static SoupMessage *
make_message (const AtlHttpRequest *request, GUri *uri, GUri *first)
{
  SoupMessage *message =
      soup_message_new_from_uri (request->method != NULL ? request->method : "GET", uri);
  SoupMessageHeaders *headers = soup_message_get_request_headers (message);
  gboolean same_host = g_strcmp0 (g_uri_get_host (uri), g_uri_get_host (first)) == 0 &&
                       g_uri_get_port (uri) == g_uri_get_port (first) &&
                       g_str_equal (g_uri_get_scheme (uri), g_uri_get_scheme (first));

  soup_message_add_flags (message, SOUP_MESSAGE_NO_REDIRECT);
  soup_message_headers_replace (headers, "Accept-Encoding", "identity");
  if (request->accept != NULL)
    soup_message_headers_replace (headers, "Accept", request->accept);
  if (request->token != NULL && same_host)
    {
      g_autofree char *value = g_strconcat ("Bearer ", request->token, NULL);

      soup_message_headers_replace (headers, "Authorization", value);
    }
  else if (g_uri_get_user (uri) != NULL && same_host)
    {
      /* "https://name:password@host/", as package indexes are configured. */
      g_autofree char *pair =
          g_strdup_printf ("%s:%s", g_uri_get_user (uri),
                           g_uri_get_password (uri) != NULL ? g_uri_get_password (uri) : "");
      g_autofree char *encoded = g_base64_encode ((const guchar *) pair, strlen (pair));
      g_autofree char *value = g_strconcat ("Basic ", encoded, NULL);

      soup_message_headers_replace (headers, "Authorization", value);
    }
  if (request->range_start > 0)
    {
      soup_message_headers_set_range (headers, (goffset) request->range_start, -1);
      if (request->if_range != NULL)
        soup_message_headers_replace (headers, "If-Range", request->if_range);
    }
  return message;
}

gboolean
atl_http_send (SoupSession *session,
               const AtlHttpRequest *request,
               AtlHttpResponse *response,
               GCancellable *cancellable,
               GError **error)
{
  g_autoptr (GUri) first = parse_url (request->url, NULL, error);
  g_autoptr (GUri) uri = first != NULL ? g_uri_ref (first) : NULL;

  if (first == NULL)
    return FALSE;
  for (int hop = 0; hop <= MAX_REDIRECTS; hop++)
    {
      g_autoptr (SoupMessage) message = make_message (request, uri, first);
      g_autoptr (GError) local = NULL;
      g_autoptr (GInputStream) body = soup_session_send (session, message, cancellable, &local);
      const char *location;
      GUri *next;

      if (body == NULL)
        {
          if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED))
            g_propagate_error (error, g_steal_pointer (&local));
          else
            g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK, _ ("%s cannot be reached: %s"),
                         g_uri_get_host (uri), local->message);
          return FALSE;
        }
      location =
          soup_message_headers_get_one (soup_message_get_response_headers (message), "Location");
      if (!SOUP_STATUS_IS_REDIRECTION (soup_message_get_status (message)) || location == NULL ||
          request->stop_at_redirect)
        {
          response->status = soup_message_get_status (message);
          response->url = g_uri_to_string (uri);
          response->message = g_steal_pointer (&message);
          response->body = g_steal_pointer (&body);
          return TRUE;
        }
      next = atl_http_next_hop (uri, location, error);
      if (next == NULL)
        return FALSE;
      g_uri_unref (uri);
      uri = next;
    }
  g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK,
               _ ("%s leads in circles: more than %d redirects"), g_uri_get_host (first),
               MAX_REDIRECTS);
  return FALSE;
}

char *
atl_http_host (const char *url)
{
  g_autoptr (GUri) uri = g_uri_parse (url, SOUP_HTTP_URI_FLAGS, NULL);

  return g_strdup (uri != NULL ? g_uri_get_host (uri) : "the server");
}

void
atl_http_status_error (const AtlHttpResponse *response, const char *what, GError **error)
{
  g_autofree char *host = atl_http_host (response->url);
  guint status = response->status;

  if (status == 404 || status == 410)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s is not (or no longer) on %s"), what,
                 host);
  else if (status == 401 || status == 403 || status == 407)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK,
                 _ ("%s does not hand out %s without permission (status %u)"), host, what, status);
  else if (status == 429)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK,
                 _ ("%s asks to wait: too many downloads from this address"), host);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK, _ ("%s cannot deliver %s now (status %u)"),
                 host, what, status);
}

char *
atl_http_strong_etag (const AtlHttpResponse *response)
{
  const char *etag =
      soup_message_headers_get_one (soup_message_get_response_headers (response->message), "ETag");
  gsize length = etag != NULL ? strlen (etag) : 0;

  /* Weak ones ("W/...") do not promise the same bytes. */
  return length > 2 && length < 512 && etag[0] == '"' && etag[length - 1] == '"' ? g_strdup (etag)
                                                                                 : NULL;
}

GBytes *
atl_http_read_all (const AtlHttpResponse *response,
                   gsize max_bytes,
                   GCancellable *cancellable,
                   GError **error)
{
  g_autoptr (GByteArray) all = g_byte_array_new ();
  g_autofree char *host = atl_http_host (response->url);
  g_autoptr (GError) local = NULL;
  guint8 buffer[16384];
  gssize n;

  while ((n = g_input_stream_read (response->body, buffer, sizeof buffer, cancellable, &local)) > 0)
    {
      if (all->len + (gsize) n > max_bytes)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK,
                       _ ("%s answered with more than %u bytes, which is no list"), host,
                       (guint) max_bytes);
          return NULL;
        }
      g_byte_array_append (all, buffer, (guint) n);
    }
  if (n == 0)
    return g_byte_array_free_to_bytes (g_steal_pointer (&all));
  if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_propagate_error (error, g_steal_pointer (&local));
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_NETWORK, _ ("The connection to %s broke: %s"), host,
                 local->message);
  return NULL;
}
