/* A disk that fills up at many different points: of a chat, of pictures that are saved, of a
 * download. Each time it is said, what was saved before stays whole, and with room again all goes
 * on, in this process and after a restart. $ATELIER_FAULT_ROUNDS points (12) of each.
 *
 * Each point is a process of its own ("--child KIND FOLDER BYTES"), in a mount namespace with a
 * disk of 3 MB of which so many bytes are free. */
#include <fcntl.h>
#include <stdlib.h>

#include "hub/hub-private.h"
#include "hub/rough-server.h"
#include "rounds.h"
#include "store/small-disk.h"

#include "hub/download.h"
#include "hub/fetch-file.h"
#include "media/picture.h"
#include "store/chats.h"
#include "store/messages.h"
#include "store/store-private.h"

#define DISK (3u << 20)
#define NOT_PERMITTED 77
#define DOWNLOAD (2u << 20)

static char *disk, *ballast;

/* Fails the child with its line. */
#define CHECK(condition)                                                                           \
  G_STMT_START                                                                                     \
  {                                                                                                \
    if (!(condition))                                                                              \
      {                                                                                            \
        fprintf (stderr, "# line %d: %s\n", __LINE__, #condition);                                 \
        exit (1);                                                                                  \
      }                                                                                            \
  }                                                                                                \
  G_STMT_END

static void
fill (gsize left)
{
  g_autofree char *block = g_malloc0 (DISK);
  int fd = g_open (ballast, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  gssize n;
  gsize all = 0;

  CHECK (fd >= 0);
  while ((n = write (fd, block, DISK)) > 0)
    all += (gsize) n;
  CHECK (ftruncate (fd, (off_t) (all - MIN (all, left))) == 0);
  close (fd);
}

static void
make_room (void)
{
  CHECK (g_unlink (ballast) == 0);
}

static gboolean
is_full (const GError *error)
{
  if (error == NULL || !g_error_matches (error, ATL_ERROR, ATL_ERROR_FULL))
    fprintf (stderr, "# %s\n", error != NULL ? error->message : "no error");
  return g_error_matches (error, ATL_ERROR, ATL_ERROR_FULL);
}

/* --- A chat --- */

static char *
text_of (gint64 number)
{
  g_autofree char *filling = g_strnfill (2000 + (gsize) number % 7 * 900, 't');

  return g_strdup_printf ("%" G_GINT64_FORMAT " %s", number, filling);
}

static void
check_messages (AtlStore *store, GArray *saved)
{
  for (guint i = 0; i < saved->len; i++)
    {
      g_autoptr (AtlMessage) m =
          atl_store_message_get (store, g_array_index (saved, gint64, i), NULL);
      g_autofree char *text = text_of (i);

      CHECK (m != NULL && g_str_equal (m->content, text));
    }
}

static void
chat (gsize left)
{
  g_autoptr (GArray) saved = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GError) error = NULL;
  AtlStore *store;
  gint64 chat = 0, parent = 0;

  fill (left);
  store = atl_store_open (disk, &error);
  CHECK (store != NULL || is_full (error));
  g_clear_error (&error);
  if (store != NULL)
    {
      chat = atl_store_chat_add (store, 0, &error);
      CHECK (chat != 0 || is_full (error));
      g_clear_error (&error);
    }
  while (chat != 0)
    {
      g_autofree char *text = text_of (saved->len);
      gint64 id = atl_store_message_add (store, chat, parent, ATL_ROLE_USER, text, NULL, &error);

      if (id == 0)
        break;
      g_array_append_val (saved, id);
      parent = id;
    }
  CHECK (chat == 0 || is_full (error));
  g_clear_error (&error);
  if (store != NULL)
    check_messages (store, saved);
  make_room ();
  /* The same handle goes on. */
  if (store != NULL)
    {
      gint64 id;
      g_autofree char *text = text_of (saved->len);

      if (chat == 0)
        chat = atl_store_chat_add (store, 0, &error);
      CHECK (chat != 0);
      id = atl_store_message_add (store, chat, parent, ATL_ROLE_USER, text, NULL, &error);
      CHECK (id != 0);
      g_array_append_val (saved, id);
    }
  g_clear_pointer (&store, atl_store_free);
  store = atl_store_open (disk, &error);
  CHECK (store != NULL);
  CHECK (atl_db_check (store->db, TRUE) == SQLITE_OK);
  check_messages (store, saved);
  atl_store_free (store);
}

/* --- Pictures --- */

static void
save_pictures (gsize left)
{
  g_autoptr (GPtrArray) saved = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *folder = g_build_filename (disk, "pictures", NULL);
  g_autofree guint8 *pixels = make_content (70001, 3);
  g_autoptr (GBytes) bytes = g_bytes_new (pixels, 70001);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = NULL;
  const char *name;
  char *path;
  guint n = 0;

  fill (left);
  while ((path = atl_picture_save (bytes, folder, "fox", "png", &error)) != NULL)
    g_ptr_array_add (saved, path);
  CHECK (is_full (error));
  g_clear_error (&error);
  make_room ();
  path = atl_picture_save (bytes, folder, "fox", "png", &error);
  CHECK (path != NULL);
  g_ptr_array_add (saved, path);
  for (guint i = 0; i < saved->len; i++)
    {
      g_autofree char *text = NULL;
      gsize size;

      CHECK (g_file_get_contents (saved->pdata[i], &text, &size, NULL));
      CHECK (size == 70001 && memcmp (text, pixels, size) == 0);
    }
  /* And nothing half written beside them. */
  dir = g_dir_open (folder, 0, NULL);
  CHECK (dir != NULL);
  while ((name = g_dir_read_name (dir)) != NULL)
    n++;
  CHECK (n == saved->len);
}

/* --- A download --- */

static void
handle (const Request *request, GOutputStream *out, gpointer data)
{
  gsize start = request->range_start > 0 ? (gsize) request->range_start : 0;
  g_autofree char *head = start > 0
                              ? g_strdup_printf ("HTTP/1.1 206 P\r\nETag: \"a\"\r\nContent-Range: "
                                                 "bytes %zu-%u/%u\r\n\r\n",
                                                 start, DOWNLOAD - 1, DOWNLOAD)
                              : g_strdup ("HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\n");

  /* No length: only the writing can find out that it does not fit. */
  say (out, head);
  send_bytes (out, (guint8 *) data + start, DOWNLOAD - start);
}

typedef struct
{
  char *path;
  GError *error;
  gboolean is_over;
} Wait;

static void
done_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Wait *wait = data;

  wait->path = atl_download_finish (result, &wait->error);
  wait->is_over = TRUE;
}

static void
fetch (const char *url, const char *target, const char *sha256, Wait *wait)
{
  AtlDownload request = { .url = url, .target = target, .sha256 = sha256 };

  *wait = (Wait){ 0 };
  atl_download_async (&request, NULL, NULL, NULL, done_cb, wait);
  while (!wait->is_over)
    g_main_context_iteration (NULL, TRUE);
}

static void
download (gsize left)
{
  g_autofree guint8 *content = make_content (DOWNLOAD, 1);
  g_autofree char *sha256 = g_compute_checksum_for_data (G_CHECKSUM_SHA256, content, DOWNLOAD);
  g_autofree char *target = g_build_filename (disk, "model.gguf", NULL);
  g_autofree char *url = NULL, *text = NULL;
  Server *server;
  gsize size;
  Wait wait;

  atl_hub_set_room_to_spare (0);
  server = server_start (handle, content);
  url = server_url (server, "/file");
  fill (left);
  fetch (url, target, sha256, &wait);
  CHECK (wait.path != NULL || is_full (wait.error));
  g_clear_error (&wait.error);
  make_room ();
  if (wait.path == NULL)
    {
      CHECK (!g_file_test (target, G_FILE_TEST_EXISTS));
      fetch (url, target, sha256, &wait);
    }
  CHECK (wait.path != NULL);
  CHECK (g_file_get_contents (wait.path, &text, &size, NULL));
  CHECK (size == DOWNLOAD && memcmp (text, content, DOWNLOAD) == 0);
  g_free (wait.path);
  server_stop (server);
}

/* --- The points --- */

static const struct
{
  const char *name;
  void (*run) (gsize left);
  gsize most; /* bytes left at the last point */
} kinds[] = {
  { "chat", chat, 700 << 10 },
  { "pictures", save_pictures, 800 << 10 },
  { "download", download, DOWNLOAD + (100 << 10) },
};

static int
run_child (const char *kind, const char *dir, const char *left)
{
  if (!mount_small (dir))
    return NOT_PERMITTED;
  disk = g_strdup (dir);
  ballast = g_build_filename (dir, "ballast", NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (g_str_equal (kinds[i].name, kind))
      kinds[i].run ((gsize) g_ascii_strtoull (left, NULL, 10));
  return 0;
}

static void
test_points (gconstpointer data)
{
  gsize kind = GPOINTER_TO_SIZE (data);
  g_autofree char *dir = g_dir_make_tmp ("atelier-full-XXXXXX", NULL);
  guint n = rounds (12);

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *left = g_strdup_printf ("%" G_GSIZE_FORMAT, kinds[kind].most / n * i);
      g_autoptr (GError) error = NULL;
      g_autoptr (GSubprocess) child =
          g_subprocess_new (G_SUBPROCESS_FLAGS_NONE, &error, "/proc/self/exe", "--child",
                            kinds[kind].name, dir, left, NULL);

      g_assert_no_error (error);
      g_assert_true (g_subprocess_wait (child, NULL, &error));
      if (g_subprocess_get_if_exited (child) &&
          g_subprocess_get_exit_status (child) == NOT_PERMITTED)
        {
          g_test_skip ("a user namespace with a tmpfs is not permitted here: this did not run");
          break;
        }
      if (g_subprocess_get_status (child) != 0)
        g_error ("with %s bytes left: status %d", left, g_subprocess_get_status (child));
    }
  g_test_message ("%u points", n);
  remove_tree (dir);
}

int
main (int argc, char **argv)
{
  if (argc == 5 && g_str_equal (argv[1], "--child"))
    return run_child (argv[2], argv[3], argv[4]);
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_autofree char *path = g_strconcat ("/full-disk/", kinds[i].name, NULL);

      g_test_add_data_func (path, GSIZE_TO_POINTER (i), test_points);
    }
  return g_test_run ();
}
