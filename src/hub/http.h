/* One request of the hub's client: redirects followed by our rules, failures in words.
 *
 *   g_autoptr (SoupSession) session = atl_http_session_new ();
 *   g_auto (AtlHttpResponse) response = { 0 };
 *   AtlHttpRequest request = { .url = url };
 *   if (!atl_http_send (session, &request, &response, cancellable, error)) ...
 *   g_input_stream_read (response.body, ...)
 *
 * Rules: only http and https; never from https down to http; never from another machine to this
 * one; five redirects at most; a token only to the host it is meant for; content as it is, not
 * compressed; 30 seconds of silence are a failure.
 *
 * Threading: a session belongs to the thread that made it, whose main context must not run
 * meanwhile; calls block.
 */
#pragma once

#include <libsoup/soup.h>

#include "base/error.h"

G_BEGIN_DECLS

typedef struct
{
  const char *url;
  const char *method;        /* (nullable) default "GET" */
  const char *accept;        /* (nullable) */
  const char *token;         /* (nullable) bearer token for the host of `url` */
  guint64 range_start;       /* ask for the bytes from here on; 0: all */
  const char *if_range;      /* (nullable) etag that must still hold for the range */
  gboolean stop_at_redirect; /* a redirect is the answer */
} AtlHttpRequest;

typedef struct
{
  guint status;
  char *url;            /* (owned) of the answer, after redirects; may hold a password */
  SoupMessage *message; /* (owned) for its headers */
  GInputStream *body;   /* (owned) */
} AtlHttpResponse;

/* Ends what is still being read. A zeroed one is fine. */
void atl_http_response_clear (AtlHttpResponse *response);

/* Of one thread. Bodies come as they are stored, not compressed; SSL_CERT_FILE names other roots of
 * trust. */
SoupSession *atl_http_session_new (void);

/* TRUE with any HTTP status; FALSE with ATL_ERROR_NETWORK, or cancelled. */
gboolean atl_http_send (SoupSession *session,
                        const AtlHttpRequest *request,
                        AtlHttpResponse *response,
                        GCancellable *cancellable,
                        GError **error);

/* The host of an address, to name it in messages; the caller's. */
char *atl_http_host (const char *url);

/* Words for an unwelcome status: ATL_ERROR_NOT_FOUND for 404 and 410, else ATL_ERROR_NETWORK. */
void atl_http_status_error (const AtlHttpResponse *response, const char *what, GError **error);

/* The etag of an answer if it is a strong one, for If-Range; the caller's, or NULL. */
char *atl_http_strong_etag (const AtlHttpResponse *response);

/* Reads a text answer of `max_bytes` at most. */
GBytes *atl_http_read_all (const AtlHttpResponse *response,
                           gsize max_bytes,
                           GCancellable *cancellable,
                           GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlHttpResponse, atl_http_response_clear)

G_END_DECLS
