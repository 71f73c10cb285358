/* A download onto a disk that is too small: words, the part kept, and on it goes when there is
 * room. The work is done by a second process in a mount namespace of its own, because a program
 * with threads cannot enter one. */
#include "rough-server.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "hub/download.h"
#include "hub/fetch-file.h"
#include "hub/library.h"
#include "hub/hub-private.h"
#include "hub/part-file.h"

#define SIZE (6u << 20)
#define NOT_PERMITTED 77

static gboolean
write_text (const char *path, const char *text)
{
  FILE *file = fopen (path, "w");

  return file != NULL && fputs (text, file) >= 0 && fclose (file) == 0;
}

static gboolean
mount_small (const char *dir)
{
  g_autofree char *uid_map = g_strdup_printf ("0 %d 1", (int) getuid ());
  g_autofree char *gid_map = g_strdup_printf ("0 %d 1", (int) getgid ());

  return unshare (CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
         write_text ("/proc/self/setgroups", "deny") &&
         write_text ("/proc/self/uid_map", uid_map) && write_text ("/proc/self/gid_map", gid_map) &&
         mount ("tmpfs", dir, "tmpfs", 0, "size=8m") == 0;
}

static void
handle (const Request *request, GOutputStream *out, gpointer data)
{
  if (g_str_has_suffix (request->path, "/unknown-size"))
    {
      /* No length: only the writing can find out. */
      gsize start = request->range_start > 0 ? (gsize) request->range_start : 0;
      g_autofree char *head =
          start > 0 ? g_strdup_printf ("HTTP/1.1 206 P\r\nContent-Range: bytes %zu-%u/%u\r\n\r\n",
                                       start, SIZE - 1, SIZE)
                    : g_strdup ("HTTP/1.1 200 OK\r\n\r\n");

      say (out, head);
      send_bytes (out, (guint8 *) data + start, SIZE - start);
      return;
    }
  send_file (request, out, "\"a\"", data, SIZE);
}

typedef struct
{
  GMainLoop *loop;
  char *path;
  GError *error;
} Wait;

static void
done_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Wait *wait = data;

  wait->path = atl_download_finish (result, &wait->error);
  g_main_loop_quit (wait->loop);
}

static char *
fetch (const char *url, const char *target, const char *sha256, GError **error)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  AtlDownload request = { .url = url, .target = target, .sha256 = sha256 };
  Wait wait = { .loop = loop };

  atl_download_async (&request, NULL, NULL, NULL, done_cb, &wait);
  g_main_loop_run (loop);
  if (wait.error != NULL)
    g_propagate_error (error, wait.error);
  return wait.path;
}

static void
added_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Wait *wait = data;

  wait->path = atl_library_add_finish (result, &wait->error);
  g_main_loop_quit (wait->loop);
}

static guint
count_entries (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  guint n = 0;

  while (dir != NULL && g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

/* There was room when a model began to be copied in, then there is none: nothing of it stays. No
 * file may grow beyond a length, as if somebody else had filled the disk meanwhile. */
static int
copy_in (const char *dir, const guint8 *content)
{
  g_autofree char *model = g_build_filename (dir, "fox.gguf", NULL);
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  struct rlimit limit;

  g_setenv ("XDG_DATA_HOME", dir, TRUE);
  if (!g_file_set_contents (model, (const char *) content, SIZE, NULL))
    return 1;
  signal (SIGXFSZ, SIG_IGN);
  getrlimit (RLIMIT_FSIZE, &limit);
  limit.rlim_cur = SIZE / 2;
  setrlimit (RLIMIT_FSIZE, &limit);
  for (int i = 0; i < 2; i++)
    {
      Wait wait = { .loop = loop };

      atl_library_add_async (model, ATL_ADD_COPY, NULL, NULL, NULL, added_cb, &wait);
      g_main_loop_run (loop);
      if ((wait.path != NULL) != (i == 1) || (wait.error != NULL) != (i == 0))
        return 2 + i;
      if (count_entries (atl_library_dir ()) != (guint) i)
        return 4 + i;
      limit.rlim_cur = limit.rlim_max;
      setrlimit (RLIMIT_FSIZE, &limit);
    }
  return 0;
}

/* In the second process: 0, NOT_PERMITTED, or the number of the step that failed. */
static int
run_child (const char *dir, const char *mode)
{
  g_autofree guint8 *content = make_content (SIZE, 1);
  g_autofree char *sha256 = g_compute_checksum_for_data (G_CHECKSUM_SHA256, content, SIZE);
  g_autofree char *ballast = g_build_filename (dir, "ballast", NULL);
  g_autofree char *target = g_build_filename (dir, "model.gguf", NULL);
  g_autofree char *block = g_strnfill (4 << 20, 'b');
  g_autofree char *relative = g_strconcat ("/", mode, NULL);
  g_autofree char *url = NULL, *path = NULL, *text = NULL;
  g_autoptr (GError) error = NULL;
  Server *server;
  gsize size;

  if (g_str_equal (mode, "copy"))
    return copy_in (dir, content);
  if (!mount_small (dir))
    return NOT_PERMITTED;
  atl_hub_set_room_to_spare (0);
  if (!g_file_set_contents (ballast, block, 4 << 20, NULL))
    return 1;
  server = server_start (handle, content);
  url = server_url (server, relative);
  path = fetch (url, target, sha256, &error);
  if (path != NULL || !g_error_matches (error, ATL_ERROR, ATL_ERROR_FULL))
    return 2;
  fprintf (stderr, "# %s\n", error->message);
  g_clear_error (&error);
  if (g_file_test (target, G_FILE_TEST_EXISTS))
    return 3;
  g_remove (ballast);
  path = fetch (url, target, sha256, &error);
  if (path == NULL)
    {
      fprintf (stderr, "# %s\n", error->message);
      return 4;
    }
  if (!g_file_get_contents (path, &text, &size, NULL) || size != SIZE ||
      memcmp (text, content, SIZE) != 0)
    return 5;
  server_stop (server);
  return 0;
}

static void
test_disk_full (gconstpointer mode)
{
  g_autofree char *dir = g_dir_make_tmp ("atelier-full-XXXXXX", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) child = g_subprocess_new (G_SUBPROCESS_FLAGS_NONE, &error,
                                                    "/proc/self/exe", "--child", dir, mode, NULL);

  g_assert_no_error (error);
  g_assert_true (g_subprocess_wait (child, NULL, &error));
  if (g_subprocess_get_if_exited (child) && g_subprocess_get_exit_status (child) == NOT_PERMITTED)
    g_test_skip ("a user namespace with a tmpfs is not permitted here: a full disk was not tried");
  else
    g_assert_cmpint (g_subprocess_get_status (child), ==, 0);
  remove_tree (dir);
}

/* What is left to others is part of what is said to be needed. */
static void
test_room_to_spare (void)
{
  g_autofree char *path = g_build_filename (g_get_tmp_dir (), "file", NULL);
  g_autoptr (GError) error = NULL;

  atl_hub_set_room_to_spare ((guint64) 3 << 60);
  g_assert_false (atl_hub_check_room (path, 1, "A file", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_FULL);
  g_assert_nonnull (strstr (error->message, "3.5\302\240EB more"));
}

/* What is fetched already is not needed once more. */
static void
test_bytes_there (void)
{
  g_autofree char *dir = g_dir_make_tmp ("atelier-there-XXXXXX", NULL);
  g_autofree char *target = g_build_filename (dir, "file", NULL);
  g_autofree char *part = g_strconcat (target, ".part", NULL);

  g_assert_cmpuint (atl_part_bytes_there (target), ==, 0);
  g_assert_true (g_file_set_contents (part, "12345", 5, NULL));
  g_assert_cmpuint (atl_part_bytes_there (target), ==, 5);
  remove_tree (dir);
  g_assert_true (g_mkdir_with_parents (part, 0700) == 0);
  g_assert_cmpuint (atl_part_bytes_there (target), ==, 0);
  remove_tree (dir);
}

int
main (int argc, char **argv)
{
  if (argc == 4 && g_str_equal (argv[1], "--child"))
    return run_child (argv[2], argv[3]);
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/hub/disk-full/known-size", "known-size", test_disk_full);
  g_test_add_data_func ("/hub/disk-full/unknown-size", "unknown-size", test_disk_full);
  g_test_add_data_func ("/hub/disk-full/copy", "copy", test_disk_full);
  g_test_add_func ("/hub/disk-full/room-to-spare", test_room_to_spare);
  g_test_add_func ("/hub/disk-full/bytes-there", test_bytes_there);
  return g_test_run ();
}
