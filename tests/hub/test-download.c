/* Downloads from well-behaved, broken and hostile servers: a file is there only when it is the
 * right one, and what came is not fetched twice. */
#include "rough-server.h"

#include "hub/download.h"
#include "hub/fetch-file.h"
#include "hub/hub-private.h"

#define SIZE (3u << 20)
/* Longer than a busy machine lets a server of its own wait. */
#define ATTEMPTS 4
#define PATIENCE_S 120

typedef struct
{
  Server *server;
  char *dir, *target, *part;
  guint8 *content;
  char *sha256;
  const char *mode;
  GMutex mutex;
  guint64 sent;          /* (mutex) bytes of content that were put on the wire */
  guint n_seen;          /* (mutex) requests of this mode */
  gboolean token_leaked; /* (mutex) */
  gboolean token_came;   /* (mutex) */
} Fixture;

static void
send_counted (Fixture *f, const Request *request, GOutputStream *out, const char *etag, gsize limit)
{
  g_autofree char *head = NULL;
  gsize start = request->range_start > 0 ? (gsize) request->range_start : 0;
  gsize n = MIN (SIZE - start, limit);

  head = start > 0 ? g_strdup_printf ("HTTP/1.1 206 P\r\nETag: %s\r\nContent-Length: %zu\r\n"
                                      "Content-Range: bytes %zu-%u/%u\r\n\r\n",
                                      etag, SIZE - start, start, SIZE - 1, SIZE)
                   : g_strdup_printf ("HTTP/1.1 200 OK\r\nETag: %s\r\nContent-Length: %u\r\n\r\n",
                                      etag, SIZE);
  say (out, head);
  send_bytes (out, f->content + start, n);
  g_mutex_lock (&f->mutex);
  f->sent += n;
  g_mutex_unlock (&f->mutex);
}

/* The rest from `start` on, so slowly that it takes a minute, until whoever asks has given up. */
static void
send_drops (Fixture *f, GOutputStream *out, gsize start)
{
  while (start < SIZE)
    {
      gsize n = MIN (SIZE - start, 1000);

      if (!g_output_stream_write_all (out, f->content + start, n, NULL, NULL, NULL))
        return;
      start += n;
      g_mutex_lock (&f->mutex);
      f->sent += n;
      g_mutex_unlock (&f->mutex);
      g_usleep (30000);
    }
}

static void
redirect (GOutputStream *out, const char *to)
{
  g_autofree char *head =
      g_strdup_printf ("HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", to);

  say (out, head);
}

static void
handle (const Request *request, GOutputStream *out, gpointer data)
{
  Fixture *f = data;
  const char *mode = f->mode;
  guint seen;

  g_mutex_lock (&f->mutex);
  seen = f->n_seen++;
  if (request->authorization != NULL)
    {
      f->token_came = TRUE;
      if (g_str_has_prefix (request->path, "/other"))
        f->token_leaked = TRUE;
    }
  g_mutex_unlock (&f->mutex);

  if (g_str_equal (mode, "good") || g_str_has_prefix (request->path, "/other"))
    send_file (request, out, "\"a\"", f->content, SIZE);
  else if (g_str_equal (mode, "cut"))
    send_counted (f, request, out, "\"a\"", 200000);
  else if (g_str_equal (mode, "slow"))
    {
      send_counted (f, request, out, "\"a\"", 1 << 20);
      send_drops (f, out, 1 << 20);
    }
  else if (g_str_equal (mode, "html"))
    say (out,
         "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 15\r\n\r\n"
         "<html>Log in</html>");
  else if (g_str_equal (mode, "wrong-bytes"))
    {
      g_autofree guint8 *other = make_content (SIZE, 99);

      send_file (request, out, "\"a\"", other, SIZE);
    }
  else if (g_str_equal (mode, "ignores-range"))
    {
      Request plain = *request;

      plain.range_start = -1;
      send_file (&plain, out, "\"a\"", f->content, SIZE);
    }
  else if (g_str_equal (mode, "new-etag"))
    send_file (request, out, "\"b\"", f->content, SIZE);
  else if (g_str_equal (mode, "new-etag-206"))
    {
      /* Claims to continue although the file is another one: its bytes must not be joined. */
      Request forced = *request;

      forced.if_range = NULL;
      send_file (&forced, out, "\"b\"", f->content, SIZE);
    }
  else if (g_str_equal (mode, "other-length"))
    say (out, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
  else if (g_str_equal (mode, "longer"))
    {
      say (out, "HTTP/1.1 200 OK\r\n\r\n");
      send_bytes (out, f->content, SIZE);
      send_bytes (out, f->content, SIZE);
    }
  else if (g_str_equal (mode, "lies-about-range"))
    {
      if (request->range_start > 0)
        {
          say (out, "HTTP/1.1 206 P\r\nContent-Length: 10\r\nContent-Range: bytes 0-9/10\r\n\r\n"
                    "0123456789");
          return;
        }
      send_file (request, out, "\"a\"", f->content, SIZE);
    }
  else if (g_str_equal (mode, "other-place"))
    {
      /* The file is the right one, but what comes does not begin where it was asked to. */
      Request other = *request;

      other.range_start = MAX (request->range_start - 7, -1);
      send_file (&other, out, "\"a\"", f->content, SIZE);
    }
  else if (g_str_equal (mode, "416"))
    {
      if (request->range_start > 0)
        say (out, "HTTP/1.1 416 No\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n\r\n");
      else
        send_file (request, out, "\"a\"", f->content, SIZE);
    }
  else if (g_str_equal (mode, "loop"))
    redirect (out, "/again");
  else if (g_str_equal (mode, "to-file"))
    redirect (out, "file:///etc/passwd");
  else if (g_str_equal (mode, "to-nonsense"))
    redirect (out, "http://");
  else if (g_str_equal (mode, "to-other"))
    {
      g_autofree char *to = g_strdup_printf ("http://localhost:%u/other", f->server->port);

      redirect (out, to);
    }
  else if (g_str_equal (mode, "stall"))
    {
      say (out, "HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\nabc");
      wait_until_left (request);
    }
  else if (g_str_equal (mode, "silent"))
    wait_until_left (request);
  else if (g_str_equal (mode, "garbage"))
    send_bytes (out, f->content, 5000);
  else if (g_str_equal (mode, "404"))
    say (out, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
  else if (g_str_equal (mode, "403"))
    say (out, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
  else if (g_str_equal (mode, "503-twice"))
    {
      if (seen < 2)
        say (out, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
      else
        send_file (request, out, "\"a\"", f->content, SIZE);
    }
  else if (g_str_equal (mode, "gzip"))
    say (out, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n"
              "\x1f\x8b\x08"
              "zzzzzzzzzzzzzzzzz");
  else
    g_assert_not_reached ();
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_mutex_init (&f->mutex);
  f->dir = g_dir_make_tmp ("atelier-download-XXXXXX", NULL);
  f->target = g_build_filename (f->dir, "model.gguf", NULL);
  f->part = g_strconcat (f->target, ".part", NULL);
  f->content = make_content (SIZE, 1);
  f->sha256 = g_compute_checksum_for_data (G_CHECKSUM_SHA256, f->content, SIZE);
  f->mode = "good";
  f->server = server_start (handle, f);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  server_stop (f->server);
  remove_tree (f->dir);
  g_free (f->dir);
  g_free (f->target);
  g_free (f->part);
  g_free (f->content);
  g_free (f->sha256);
  g_mutex_clear (&f->mutex);
}

typedef struct
{
  GMainLoop *loop;
  char *path;
  GError *error;
  guint64 last_done;
  guint n_reports;
  gboolean ended;
  GCancellable *cancel_at_first; /* (nullable) */
} Wait;

static void
progress_cb (const AtlHubProgress *progress, gpointer data)
{
  Wait *wait = data;

  g_assert_false (wait->ended);
  g_assert_cmpstr (progress->what, ==, "model.gguf");
  if (progress->stage == ATL_HUB_DOWNLOADING)
    {
      g_assert_cmpuint (progress->done_bytes, >=, wait->last_done);
      g_assert_cmpuint (progress->total_bytes, ==, SIZE);
      wait->last_done = progress->done_bytes;
      if (wait->cancel_at_first != NULL && progress->done_bytes > 0)
        g_cancellable_cancel (wait->cancel_at_first);
    }
  wait->n_reports++;
}

static void
done_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Wait *wait = data;

  wait->path = atl_download_finish (result, &wait->error);
  wait->ended = TRUE;
  g_main_loop_quit (wait->loop);
}

/* Runs one download to its end; the path or NULL. */
static char *
fetch_with (Fixture *f, const char *token, guint64 size, GCancellable *cancellable, GError **error)
{
  g_autofree char *url = server_url (f->server, "/file");
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Wait wait = { .loop = loop, .cancel_at_first = cancellable };
  AtlDownload request = {
    .url = url, .target = f->target, .sha256 = f->sha256, .size_bytes = size, .token = token
  };

  atl_download_async (&request, progress_cb, &wait, cancellable, done_cb, &wait);
  g_main_loop_run (loop);
  while (g_main_context_iteration (NULL, FALSE))
    ; /* no report may come after the end */
  if (wait.error != NULL)
    g_propagate_error (error, wait.error);
  return wait.path;
}

static void
expect_file (Fixture *f, const char *mode)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL, *text = NULL, *names = NULL;
  gsize size;

  f->mode = mode;
  f->n_seen = 0;
  path = fetch_with (f, NULL, SIZE, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (path, ==, f->target);
  g_assert_true (g_file_get_contents (path, &text, &size, NULL));
  g_assert_cmpmem (text, size, f->content, SIZE);
  names = list_folder (f->dir);
  g_assert_cmpstr (names, ==, "model.gguf");
}

/* The mode must end in this error, and no file. */
static void
expect_error (Fixture *f, const char *mode, int code, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;

  f->mode = mode;
  f->n_seen = 0;
  path = fetch_with (f, NULL, SIZE, NULL, &error);
  g_assert_error (error, ATL_ERROR, code);
  g_assert_nonnull (strstr (error->message, words));
  g_test_message ("%s: %s", mode, error->message);
  g_assert_null (path);
  g_assert_false (g_file_test (f->target, G_FILE_TEST_EXISTS));
}

/* Leaves the first `size` bytes of the right content as a part with etag "a". */
static void
leave_part (Fixture *f, gsize size)
{
  g_autofree char *url = server_url (f->server, "/file");
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPart) part = atl_part_open (f->target, f->sha256, &error);

  g_assert_no_error (error);
  g_assert_true (atl_part_append (part, f->content, size, &error));
  atl_part_set_note (part, "etag", "\"a\"");
  atl_part_set_note (part, "url", url);
}

static void
test_good (Fixture *f, gconstpointer data)
{
  expect_file (f, "good");
}

static void
test_unknown_size (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = fetch_with (f, NULL, 0, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (path, ==, f->target);
}

static void
test_breaks (Fixture *f, gconstpointer data)
{
  expect_file (f, "cut");
  /* Sixteen pieces: nothing came twice but what the kernel lost with the connections. */
  g_assert_cmpuint (f->sent, <, SIZE + SIZE / 2);
  g_assert_cmpuint (f->n_seen, >=, SIZE / 200000);
}

static void
test_cancel_and_resume (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autofree char *path = NULL;
  guint64 sent;
  GStatBuf st;

  f->mode = "slow";
  path = fetch_with (f, NULL, SIZE, cancellable, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (path);
  g_assert_cmpint (g_stat (f->part, &st), ==, 0);
  g_assert_cmpint (st.st_size, >, 0);
  sent = f->sent;
  expect_file (f, "cut");
  g_assert_cmpuint (f->sent - sent, <, SIZE);
}

static void
test_resume (Fixture *f, gconstpointer data)
{
  leave_part (f, SIZE / 2);
  expect_file (f, "cut");
  g_assert_cmpuint (f->sent, <, SIZE / 2 + 400000 * 3);
}

static void
test_resume_odd_answers (Fixture *f, gconstpointer mode)
{
  FILE *part;

  leave_part (f, SIZE / 2);
  /* Of another file, as only the answer can tell: joined, they would be neither. */
  part = fopen (f->part, "r+");
  g_assert_true (part != NULL && fputc ('x', part) == 'x' && fclose (part) == 0);
  expect_file (f, mode);
}

static void
test_part_of_another_file (Fixture *f, gconstpointer data)
{
  g_autofree char *state = g_strconcat (f->part, ".state", NULL);

  g_assert_true (g_file_set_contents (f->part, "something else", -1, NULL));
  expect_file (f, "good");
  g_remove (f->target);
  g_assert_true (g_file_set_contents (f->part, "something else", -1, NULL));
  g_assert_true (g_file_set_contents (state, "{\"key\": 3, \"flushed\": \"x\"", -1, NULL));
  expect_file (f, "good");
}

/* After a power cut only what was flushed counts: the rest may be zeros. */
static void
test_power_cut (Fixture *f, gconstpointer data)
{
  g_autofree char *state_path = g_strconcat (f->part, ".state", NULL);
  g_autofree char *url = server_url (f->server, "/file");
  g_autofree char *state = g_strdup_printf ("{\"key\":\"%s\",\"boot\":\"another\",\"flushed\":%u,"
                                            "\"notes\":{\"etag\":\"\\\"a\\\"\",\"url\":\"%s\"}}",
                                            f->sha256, 1u << 20, url);
  g_autofree guint8 *torn = g_memdup2 (f->content, 2u << 20);

  memset (torn + (1u << 20), 0, 1u << 20);
  g_assert_true (g_file_set_contents (f->part, (char *) torn, 2u << 20, NULL));
  g_assert_true (g_file_set_contents (state_path, state, -1, NULL));
  expect_file (f, "cut");
}

static void
test_refused (Fixture *f, gconstpointer data)
{
  gint before;

  expect_error (f, "html", ATL_ERROR_BAD_FILE, "web page");
  expect_error (f, "wrong-bytes", ATL_ERROR_BAD_FILE, "SHA-256");
  expect_error (f, "other-length", ATL_ERROR_BAD_FILE, "another file");
  expect_error (f, "longer", ATL_ERROR_BAD_FILE, "sends more");
  expect_error (f, "gzip", ATL_ERROR_BAD_FILE, "");
  expect_error (f, "404", ATL_ERROR_NOT_FOUND, "");
  expect_error (f, "403", ATL_ERROR_NETWORK, "permission");
  before = g_atomic_int_get (&f->server->n_requests);
  expect_error (f, "loop", ATL_ERROR_NETWORK, "circles");
  g_assert_cmpint (g_atomic_int_get (&f->server->n_requests) - before, <=, 6 * ATTEMPTS);
  expect_error (f, "to-file", ATL_ERROR_NETWORK, "");
  expect_error (f, "to-nonsense", ATL_ERROR_NETWORK, "");
  expect_error (f, "garbage", ATL_ERROR_NETWORK, "");
  /* And after all that, the right one still comes. */
  expect_file (f, "503-twice");
}

/* Never down to http, and never from another machine to this one, however that is written. */
static void
test_redirects (Fixture *f, gconstpointer data)
{
  static const struct
  {
    const char *from, *location;
    gboolean follows;
  } hops[] = {
    { "https://hub.example/a/b", "c", TRUE },
    { "https://hub.example/a", "//cdn.example/x", TRUE },
    { "http://hub.example/a", "https://cdn.example/x", TRUE },
    { "https://hub.example/a", "http://hub.example/a", FALSE },
    { "https://hub.example/a", "file:///etc/passwd", FALSE },
    { "https://hub.example/a", "ftp://hub.example/a", FALSE },
    { "https://hub.example/a", "https:///x", FALSE },
    { "https://hub.example/a", "https://127.0.0.1/x", FALSE },
    { "https://hub.example/a", "https://127.9.9.9:8080/x", FALSE },
    { "https://hub.example/a", "https://0.0.0.0/x", FALSE },
    { "https://hub.example/a", "https://[::1]/x", FALSE },
    { "https://hub.example/a", "https://[::]/x", FALSE },
    { "https://hub.example/a", "https://[::ffff:127.0.0.1]/x", FALSE },
    { "https://hub.example/a", "https://[::ffff:7f00:1]/x", FALSE },
    { "https://hub.example/a", "https://localhost/x", FALSE },
    { "https://hub.example/a", "https://LocalHost./x", FALSE },
    { "https://hub.example/a", "https://a.LOCALHOST/x", FALSE },
    { "https://hub.example/a", "https://localhost.example/x", TRUE },
    { "https://hub.example/a", "https://[::ffff:93.184.216.34]/x", TRUE },
    { "http://localhost:1/a", "http://127.0.0.1:2/x", TRUE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (hops); i++)
    {
      g_autoptr (GUri) from = g_uri_parse (hops[i].from, SOUP_HTTP_URI_FLAGS, NULL);
      g_autoptr (GError) error = NULL;
      g_autoptr (GUri) to = atl_http_next_hop (from, hops[i].location, &error);

      if ((to != NULL) != hops[i].follows)
        g_test_fail_printf ("%s to %s", hops[i].from, hops[i].location);
      g_assert_true (to != NULL || g_error_matches (error, ATL_ERROR, ATL_ERROR_NETWORK));
    }
}

static void
test_silence (Fixture *f, gconstpointer data)
{
  atl_http_set_timeout (1);
  expect_error (f, "silent", ATL_ERROR_NETWORK, "");
  expect_error (f, "stall", ATL_ERROR_NETWORK, "");
  atl_http_set_timeout (PATIENCE_S);
}

static void
test_token (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;

  f->mode = "to-other";
  path = fetch_with (f, "secret", SIZE, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (f->token_came);
  g_assert_false (f->token_leaked);
}

static void
test_busy (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  g_autoptr (AtlPart) part = atl_part_open (f->target, f->sha256, &error);

  g_assert_no_error (error);
  path = fetch_with (f, NULL, SIZE, NULL, &error);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BUSY);
}

/* What has the name already stays. */
static void
test_never_overwrites (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL, *text = NULL, *expected = NULL;

  g_assert_true (g_file_set_contents (f->target, "mine", -1, NULL));
  path = fetch_with (f, NULL, SIZE, NULL, &error);
  g_assert_no_error (error);
  expected = g_build_filename (f->dir, "model (2).gguf", NULL);
  g_assert_cmpstr (path, ==, expected);
  g_assert_true (g_file_get_contents (f->target, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "mine");
}

static void
test_links_are_not_followed (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *victim = g_build_filename (f->dir, "victim", NULL);
  g_autofree char *path = NULL, *text = NULL;

  g_assert_true (g_file_set_contents (victim, "precious", -1, NULL));
  g_assert_cmpint (symlink (victim, f->part), ==, 0);
  path = fetch_with (f, NULL, SIZE, NULL, &error);
  g_assert_nonnull (error);
  g_assert_true (g_file_get_contents (victim, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "precious");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  atl_http_set_timeout (PATIENCE_S);
  atl_fetch_set_patience (ATTEMPTS, 10);
#define ADD(name, data, func)                                                                      \
  g_test_add ("/hub/download/" name, Fixture, data, set_up, func, tear_down)
  ADD ("good", NULL, test_good);
  ADD ("unknown-size", NULL, test_unknown_size);
  ADD ("breaks", NULL, test_breaks);
  ADD ("cancel-and-resume", NULL, test_cancel_and_resume);
  ADD ("resume", NULL, test_resume);
  ADD ("resume/ignores-range", "ignores-range", test_resume_odd_answers);
  ADD ("resume/new-etag", "new-etag", test_resume_odd_answers);
  ADD ("resume/new-etag-206", "new-etag-206", test_resume_odd_answers);
  ADD ("resume/lies-about-range", "lies-about-range", test_resume_odd_answers);
  ADD ("resume/other-place", "other-place", test_resume_odd_answers);
  ADD ("resume/416", "416", test_resume_odd_answers);
  ADD ("part-of-another-file", NULL, test_part_of_another_file);
  ADD ("power-cut", NULL, test_power_cut);
  ADD ("refused", NULL, test_refused);
  ADD ("redirects", NULL, test_redirects);
  ADD ("silence", NULL, test_silence);
  ADD ("token", NULL, test_token);
  ADD ("busy", NULL, test_busy);
  ADD ("never-overwrites", NULL, test_never_overwrites);
  ADD ("links-are-not-followed", NULL, test_links_are_not_followed);
  return g_test_run ();
}
