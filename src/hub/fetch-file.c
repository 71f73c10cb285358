/* Downloads one address into a part file: what is there is kept, what breaks is retried, what does
 * not fit together is begun again. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/fetch-file.h"
#include "hub/hub-private.h"

#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

#define MAX_RESTARTS 5
#define READ_BYTES (256 * 1024)

static guint max_attempts = 5; /* in a row without a single new byte */
static guint first_pause_ms = 500;

typedef enum
{
  TRY_DONE,
  TRY_AGAIN, /* after a pause: the connection broke or the server is busy */
  TRY_ANEW,  /* at once: what was there did not fit and is gone */
  TRY_FAILED,
} TryResult;

void
atl_fetch_set_patience (guint attempts, guint pause)
{
  max_attempts = attempts;
  first_pause_ms = pause;
}

/* Waits, or returns FALSE when cancelled meanwhile. */
static gboolean
pause_ms (gint64 ms, GCancellable *cancellable, GError **error)
{
  GPollFD poll_fd;

  if (cancellable != NULL && g_cancellable_make_pollfd (cancellable, &poll_fd))
    {
      g_poll (&poll_fd, 1, (int) ms);
      g_cancellable_release_fd (cancellable);
    }
  else
    g_usleep ((gulong) ms * 1000);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

/* "bytes 100-199/200": first and total. */
static gboolean
parse_content_range (const AtlHttpResponse *response, guint64 *first, guint64 *total)
{
  SoupMessageHeaders *headers = soup_message_get_response_headers (response->message);
  goffset start, end, length;

  if (!soup_message_headers_get_content_range (headers, &start, &end, &length) || start < 0 ||
      end < start || length <= end)
    return FALSE;
  *first = (guint64) start;
  *total = (guint64) length;
  return TRUE;
}

static gboolean
is_web_page (const AtlHttpResponse *response)
{
  const char *type = soup_message_headers_get_content_type (
      soup_message_get_response_headers (response->message), NULL);

  return type != NULL && g_ascii_strcasecmp (type, "text/html") == 0;
}

static TryResult
begin_anew (AtlPart *part, GError **error)
{
  atl_part_set_note (part, "etag", NULL);
  return atl_part_truncate (part, 0, error) ? TRY_ANEW : TRY_FAILED;
}

/* Looks at the head of the answer; TRY_DONE means: read the body. `size` (inout) is what the whole
 * file should have, once that is known. */
static TryResult
judge_answer (const AtlFetch *fetch,
              AtlPart *part,
              const AtlHttpResponse *response,
              guint64 *size,
              GError **error)
{
  guint64 have = atl_part_size (part), first = 0, total = 0;

  switch (response->status)
    {
    case 206:
      if (!parse_content_range (response, &first, &total) || first != have ||
          (*size != 0 && total != *size))
        return begin_anew (part, error);
      *size = total;
      break;
    case 200:
      /* All of it: the server ignores ranges, or the file changed. */
      if (have > 0 && !atl_part_truncate (part, 0, error))
        return TRY_FAILED;
      if (soup_message_headers_get_encoding (soup_message_get_response_headers (
              response->message)) == SOUP_ENCODING_CONTENT_LENGTH)
        total = (guint64) soup_message_headers_get_content_length (
            soup_message_get_response_headers (response->message));
      break;
    case 416:
      return begin_anew (part, error);
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      atl_http_status_error (response, fetch->what, error);
      return TRY_AGAIN;
    default:
      atl_http_status_error (response, fetch->what, error);
      return TRY_FAILED;
    }

  if (is_web_page (response))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("A web page came instead of %s. Does this network ask to log in? Open a web "
                      "browser, then try again"),
                   fetch->what);
      return TRY_FAILED;
    }
  if (*size != 0 && total != 0 && total != *size)
    {
      g_autofree char *expected = g_format_size (*size);
      g_autofree char *offered = g_format_size (total);

      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The server offers another file than %s: it has %s, expected %s"),
                   fetch->what, offered, expected);
      return TRY_FAILED;
    }
  if (*size == 0)
    *size = total;
  return TRY_DONE;
}

static TryResult
read_body (const AtlFetch *fetch,
           AtlPart *part,
           const AtlHttpResponse *response,
           guint64 size,
           AtlReporter *reporter,
           GCancellable *cancellable,
           GError **error)
{
  g_autofree guint8 *buffer = g_malloc (READ_BYTES);

  for (;;)
    {
      g_autoptr (GError) local = NULL;
      gssize n = g_input_stream_read (response->body, buffer, READ_BYTES, cancellable, &local);

      if (n > 0)
        {
          if (size != 0 && atl_part_size (part) + (guint64) n > size)
            {
              g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                           _ ("The server sends more than %s has. It was removed; try again"),
                           fetch->what);
              atl_part_truncate (part, 0, NULL);
              return TRY_FAILED;
            }
          if (!atl_part_append (part, buffer, (gsize) n, error))
            return TRY_FAILED;
          atl_reporter_done (reporter, atl_part_size (part));
          continue;
        }
      if (n == 0 && (size == 0 || atl_part_size (part) == size))
        return TRY_DONE;
      if (local != NULL && g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return TRY_FAILED;
        }
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_NETWORK,
          _ ("The connection broke while %s was fetched (%s). What came is kept; try again, it "
             "goes on from there"),
          fetch->what, local != NULL ? local->message : _ ("the server stopped too early"));
      return TRY_AGAIN;
    }
}

static TryResult
try_once (SoupSession *session,
          const AtlFetch *fetch,
          AtlPart *part,
          AtlReporter *reporter,
          GCancellable *cancellable,
          GError **error)
{
  g_auto (AtlHttpResponse) response = { 0 };
  g_autofree char *etag = NULL;
  guint64 have = atl_part_size (part), size = fetch->size_bytes;
  const char *known = atl_part_note (part, "etag");
  AtlHttpRequest request = {
    .url = fetch->url,
    .token = fetch->token,
    .range_start = have,
    .if_range = g_strcmp0 (atl_part_note (part, "url"), fetch->url) == 0 ? known : NULL,
  };
  TryResult result;

  if (!atl_http_send (session, &request, &response, cancellable, error))
    return g_cancellable_is_cancelled (cancellable) ? TRY_FAILED : TRY_AGAIN;
  etag = atl_http_strong_etag (&response);
  if (response.status == 206 && request.if_range != NULL && etag != NULL &&
      !g_str_equal (etag, request.if_range))
    return begin_anew (part, error);
  result = judge_answer (fetch, part, &response, &size, error);
  if (result != TRY_DONE)
    return result;
  atl_part_set_note (part, "etag", etag);
  atl_part_set_note (part, "url", fetch->url);

  if (size > atl_part_size (part) &&
      !atl_hub_check_room (atl_part_path (part), size - atl_part_size (part), fetch->what, error))
    return TRY_FAILED;
  atl_reporter_stage (reporter, ATL_HUB_DOWNLOADING, fetch->what, fetch->base_bytes,
                      fetch->total_bytes != 0 ? fetch->total_bytes : size);
  return read_body (fetch, part, &response, size, reporter, cancellable, error);
}

/* Brings `part` to its full length. The hash is the caller's to check (atl_part_finish). */
static gboolean
fetch_into_part (SoupSession *session,
                 const AtlFetch *fetch,
                 AtlPart *part,
                 AtlReporter *reporter,
                 GCancellable *cancellable,
                 GError **error)
{
  guint failures = 0, restarts = 0;

  if (fetch->size_bytes != 0 && atl_part_size (part) > fetch->size_bytes &&
      !atl_part_truncate (part, 0, error))
    return FALSE;
  if (atl_part_size (part) > 0)
    atl_reporter_stage (reporter, ATL_HUB_CHECKING, fetch->what, fetch->base_bytes,
                        fetch->total_bytes);
  if (!atl_part_catch_up (part, reporter, cancellable, error))
    return FALSE;
  while (fetch->size_bytes == 0 || atl_part_size (part) < fetch->size_bytes)
    {
      g_autoptr (GError) local = NULL;
      guint64 before = atl_part_size (part);
      TryResult result = try_once (session, fetch, part, reporter, cancellable, &local);

      if (result == TRY_DONE)
        break;
      if (result == TRY_ANEW && ++restarts <= MAX_RESTARTS)
        continue;
      if (atl_part_size (part) > before)
        failures = 0;
      if (result != TRY_AGAIN || ++failures >= max_attempts)
        {
          if (local == NULL)
            g_set_error (&local, ATL_ERROR, ATL_ERROR_NETWORK,
                         _ ("The server gives a different answer about %s each time"), fetch->what);
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      if (!pause_ms ((gint64) first_pause_ms << (failures - 1), cancellable, error))
        return FALSE;
    }
  return TRUE;
}

char *
atl_fetch_file (SoupSession *session,
                const AtlFetch *fetch,
                const char *target,
                const char *sha256,
                AtlReporter *reporter,
                GCancellable *cancellable,
                GError **error)
{
  g_autoptr (AtlPart) part = atl_part_open (target, sha256, error);

  if (part == NULL || !fetch_into_part (session, fetch, part, reporter, cancellable, error))
    return NULL;
  return atl_part_finish (part, sha256, error);
}
