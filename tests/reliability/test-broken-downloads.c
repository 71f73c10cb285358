/* A download that is broken off again and again at any byte, by the server or by the end of the
 * whole program: what comes out is the right file, and no break costs more than a chunk of what had
 * come. $ATELIER_FAULT_ROUNDS breaks (10). The program that fetches is this one again
 * ("--fetch URL TARGET SHA256"). */
#include <signal.h>

#include "hub/hub-private.h"
#include "hub/rough-server.h"
#include "rounds.h"

#include "hub/download.h"
#include "hub/fetch-file.h"

#define SIZE (20u << 20)
#define CHUNK (8u << 20)
#define BREAKS_A_FILE 5

typedef struct
{
  guint8 *content;
  GMutex mutex;
  GRand *dice;
  guint n_breaks;    /* (mutex) still to come for this file */
  gboolean by_kill;  /* (mutex) the next one */
  gboolean is_due;   /* (mutex) now the program is to be killed */
  gint64 sent_to;    /* (mutex) of this file */
  gint64 most_again; /* (mutex) bytes that were sent twice after one break */
} World;

static void
handle (const Request *request, GOutputStream *out, gpointer data)
{
  World *w = data;
  gsize start = request->range_start > 0 ? (gsize) request->range_start : 0, n = SIZE - start;
  g_autofree char *head = g_strdup_printf (
      "HTTP/1.1 %s\r\nETag: \"a\"\r\nContent-Length: %zu\r\nContent-Range: bytes %zu-%u/%u\r\n\r\n",
      start > 0 ? "206 P" : "200 OK", SIZE - start, start, SIZE - 1, SIZE);
  gboolean is_due = FALSE;

  g_mutex_lock (&w->mutex);
  w->most_again = MAX (w->most_again, w->sent_to - (gint64) start);
  if (w->n_breaks > 0)
    {
      w->n_breaks--;
      n = MIN (n, (gsize) g_rand_int_range (w->dice, 0, SIZE / BREAKS_A_FILE));
      is_due = w->by_kill;
      w->by_kill = !w->by_kill;
    }
  g_mutex_unlock (&w->mutex);
  say (out, head);
  send_bytes (out, w->content + start, n);
  g_mutex_lock (&w->mutex);
  w->sent_to = (gint64) (start + n);
  w->is_due = is_due;
  g_mutex_unlock (&w->mutex);
  while (is_due)
    {
      g_usleep (1000);
      g_mutex_lock (&w->mutex);
      is_due = w->is_due;
      g_mutex_unlock (&w->mutex);
    }
}

/* --- The program that fetches --- */

static void
done_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = atl_download_finish (result, &error);
  int *status = data;

  *status = path != NULL ? 0 : 1;
}

static int
fetch (const char *url, const char *target, const char *sha256)
{
  AtlDownload request = { .url = url, .target = target, .sha256 = sha256, .size_bytes = SIZE };
  int status = -1;

  atl_fetch_set_patience (50, 1);
  atl_download_async (&request, NULL, NULL, NULL, done_cb, &status);
  while (status < 0)
    g_main_context_iteration (NULL, TRUE);
  return status;
}

/* --- The test --- */

static GSubprocess *
start (Server *server, const char *target, const char *sha256)
{
  g_autofree char *url = server_url (server, "/file");
  g_autoptr (GError) error = NULL;
  GSubprocess *child = g_subprocess_new (G_SUBPROCESS_FLAGS_STDERR_SILENCE, &error,
                                         "/proc/self/exe", "--fetch", url, target, sha256, NULL);

  g_assert_no_error (error);
  return child;
}

static gboolean
is_due (World *w)
{
  gboolean due;

  g_mutex_lock (&w->mutex);
  due = w->is_due;
  g_mutex_unlock (&w->mutex);
  return due;
}

static void
ended_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  *(gboolean *) data = TRUE;
}

/* Until the file is there, however many programs that takes. */
static guint
fetch_whole (World *w, Server *server, const char *target, const char *sha256)
{
  guint n_kills = 0;

  for (;;)
    {
      g_autoptr (GSubprocess) child = start (server, target, sha256);
      gboolean is_over = FALSE;

      g_subprocess_wait_async (child, NULL, ended_cb, &is_over);
      while (!is_over && !is_due (w))
        {
          g_main_context_iteration (NULL, FALSE);
          g_usleep (1000);
        }
      if (!is_over)
        {
          g_usleep ((gulong) g_rand_int_range (w->dice, 0, 5000));
          g_subprocess_send_signal (child, SIGKILL);
          n_kills++;
        }
      while (!is_over)
        g_main_context_iteration (NULL, TRUE);
      g_mutex_lock (&w->mutex);
      w->is_due = FALSE;
      g_mutex_unlock (&w->mutex);
      if (g_subprocess_get_if_exited (child))
        {
          g_assert_cmpint (g_subprocess_get_exit_status (child), ==, 0);
          return n_kills;
        }
      g_assert_false (g_file_test (target, G_FILE_TEST_EXISTS));
    }
}

static void
test_breaks (void)
{
  g_autofree char *dir = g_dir_make_tmp ("atelier-breaks-XXXXXX", NULL);
  g_autofree char *target = g_build_filename (dir, "model.gguf", NULL);
  World w = { .content = make_content (SIZE, 1), .dice = g_rand_new_with_seed (7) };
  g_autofree char *sha256 = g_compute_checksum_for_data (G_CHECKSUM_SHA256, w.content, SIZE);
  Server *server;
  guint n = MAX (rounds (10) / BREAKS_A_FILE, 1), n_kills = 0;

  g_mutex_init (&w.mutex);
  server = server_start (handle, &w);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *bytes = NULL;
      gsize size;

      g_mutex_lock (&w.mutex);
      w.n_breaks = BREAKS_A_FILE;
      w.sent_to = 0;
      g_mutex_unlock (&w.mutex);
      n_kills += fetch_whole (&w, server, target, sha256);
      g_assert_true (g_file_get_contents (target, &bytes, &size, NULL));
      g_assert_cmpmem (bytes, size, w.content, SIZE);
      g_assert_cmpint (g_unlink (target), ==, 0);
    }
  g_test_message ("%u breaks, %u of them by killing the program; %u files, all right; at most %.2f "
                  "MiB came twice",
                  n * BREAKS_A_FILE, n_kills, n, (double) w.most_again / 1048576);
  g_assert_cmpuint (n_kills, >, 0);
  g_assert_cmpint (w.most_again, <=, CHUNK);
  server_stop (server);
  remove_tree (dir);
  g_free (w.content);
  g_rand_free (w.dice);
  g_mutex_clear (&w.mutex);
}

int
main (int argc, char **argv)
{
  if (argc == 5 && g_str_equal (argv[1], "--fetch"))
    return fetch (argv[2], argv[3], argv[4]);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/broken-downloads/anywhere", test_breaks);
  return g_test_run ();
}
